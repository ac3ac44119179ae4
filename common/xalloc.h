/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Allocation that does not return on failure: out of memory ends the program with a message
 * (closed blocks of a trace are safe). Any size that comes from a target or a file must have met
 * a named limit before it gets here.
 */
#ifndef COMMON_XALLOC_H
#define COMMON_XALLOC_H

#include <stddef.h>

/* For libraries that allocate on their own and failed to. */
void xalloc_failed(void) __attribute__((noreturn));

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Make room for at least `need` elements of `size` bytes in a growing array.
 * @p    the array (may be NULL); returned, possibly moved
 * @cap  in and out: its capacity in elements; doubles
 */
void *xgrow(void *p, size_t *cap, size_t need, size_t size);

#endif
