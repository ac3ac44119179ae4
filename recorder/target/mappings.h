/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files that a process has mapped, from the text of /proc/PID/maps. Anonymous memory is
 * left out: nobody here looks for anything in it, and a large program has a great deal of it.
 * Only where the vDSO is, code that the kernel gives to each process, is kept.
 */
#ifndef RECORDER_TARGET_MAPPINGS_H
#define RECORDER_TARGET_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

/* Mapped files beyond this number are left out, see struct mappings.truncated. */
#define MAPPINGS_MAX 16384

struct mapping {
	uint64_t start, end; /* addresses in the target; end is the first one behind it */
	uint64_t offset;     /* of start in the file */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	bool readable, writable, executable;
	bool deleted; /* the file was unlinked since (or replaced) */
	bool vdso;    /* no file, but the kernel's vDSO */
	char *path;   /* as the kernel names it; NULL for anonymous memory */
};

struct mappings {
	struct mapping *items; /* by address */
	size_t n;
	size_t cap;
	uint64_t vdso_start, vdso_end; /* both 0 when there is none */
	bool truncated;
};

/*
 * Take one line of the text, without its newline, to pieces.
 * Returns 0 with ret->path malloc()ed (the caller's) or NULL, or -EINVAL.
 */
int mappings_parse_line(const char *line, size_t len, struct mapping *ret);

/*
 * Read the mapped files from a descriptor of /proc/PID/maps (or of a file with such a text),
 * from its beginning. Lines that make no sense are left out. Returns 0 or a negative errno;
 * -ESRCH when there is no text at all: the address space is gone.
 */
int mappings_read(int fd, struct mappings *ret);
void mappings_done(struct mappings *m);

static inline void mappings_done_p(struct mappings *m)
{
	mappings_done(m);
}
#define auto_mappings __attribute__((cleanup(mappings_done_p)))

/* The mapping with exactly these bounds, lent until mappings_done(), or NULL. */
struct mapping *mappings_find(const struct mappings *m, uint64_t start, uint64_t end);

#endif
