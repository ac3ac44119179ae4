/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The few words for scope-bound release. A target can vanish at any read, so functions leave
 * early from many points; a local declared with one of these is released at each of them.
 * Initialise such locals always.
 */
#ifndef COMMON_CLEANUP_H
#define COMMON_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Declare `static inline void name##_p(type *p)` that calls release(*p) when *p is not NULL. */
#define DEFINE_CLEANUP(type, release)           \
	static inline void release##_p(type *p) \
	{                                       \
		if (*p)                         \
			release(*p);            \
	}

#define auto_release(release) __attribute__((cleanup(release##_p)))

static inline void free_p(void *p)
{
	free(*(void **)p);
}

static inline void close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclose_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define auto_free   __attribute__((cleanup(free_p)))
#define auto_close  __attribute__((cleanup(close_p)))
#define auto_fclose __attribute__((cleanup(fclose_p)))

/* Move a pointer or descriptor out of a scope-bound local, which then releases nothing. */
#define steal_ptr(p)                                  \
	__extension__({                               \
		__typeof__(p) *steal_from_ = &(p);    \
		__typeof__(p) stolen_ = *steal_from_; \
		*steal_from_ = NULL;                  \
		stolen_;                              \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#endif
