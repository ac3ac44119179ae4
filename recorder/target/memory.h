/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one door through which a target's memory is read: a live process (a descriptor of
 * /proc/PID/mem, which needs no privilege once it is open and stays bound to the address space
 * that it was opened on), or a recorded or invented image (for tests and fuzzing).
 */
#ifndef RECORDER_TARGET_MEMORY_H
#define RECORDER_TARGET_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* An address in the target: never a pointer here, so the compiler refuses to dereference it. */
typedef uint64_t remote_addr;

struct memory {
	int fd; /* of /proc/PID/mem, owned; -1 for an image */
	/* Instead of a descriptor: copies len bytes at addr to buf, returns as memory_read(). */
	int (*read_image)(void *ctx, remote_addr addr, void *buf, size_t len);
	void *ctx;
	uint64_t n_reads; /* reads so far, for benchmarks */
};

/* Take over a descriptor of /proc/PID/mem. */
void memory_init_fd(struct memory *m, int fd);
void memory_init_image(struct memory *m,
		       int (*read_image)(void *ctx, remote_addr addr, void *buf, size_t len),
		       void *ctx);
void memory_done(struct memory *m);

/*
 * Read len bytes at addr, all or nothing.
 * Returns 0, -EFAULT when a part is not mapped there, or -ESRCH when the address space is gone
 * (the process ended or executed another program).
 */
int memory_read(struct memory *m, remote_addr addr, void *buf, size_t len);

/*
 * As memory_read(), but a read that runs into an unmapped page returns what lies before it.
 * Returns the number of bytes (at least 1), -EFAULT or -ESRCH.
 */
int memory_read_some(struct memory *m, remote_addr addr, void *buf, size_t len);

int memory_read_u64(struct memory *m, remote_addr addr, uint64_t *ret);
int memory_read_u32(struct memory *m, remote_addr addr, uint32_t *ret);

#endif
