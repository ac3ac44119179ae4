/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a process whose threads sleep in the kernel, opened as the collector opens it. */
#ifndef TESTS_SUPPORT_SLEEPER_H
#define TESTS_SUPPORT_SLEEPER_H

#include <stdint.h>
#include <sys/types.h>

#include "recorder/oncpu/native_stack.h"
#include "recorder/target/identity.h"
#include "recorder/target/memory.h"

struct sleeper {
	struct identity id;
	struct memory mem;
	int maps_fd;
	struct native_unwinder *unwinder;
	/* After sleeper_unwind(): */
	struct native_frame frames[NATIVE_MAX_FRAMES];
	size_t n;
	enum native_end end;
};

/* Returns 0, or a negative errno. */
int sleeper_open(pid_t pid, struct sleeper *ret);
void sleeper_close(struct sleeper *s);

/*
 * Wait, up to 20 s, until a thread sleeps in one of these system calls.
 * @tid    0: the main thread
 * @calls  ends with -1; NULL: any call
 * Returns 0 with its registers; -ETIMEDOUT, or another negative errno when it has ended.
 */
int sleeper_wait(const struct sleeper *s, pid_t tid, const long *calls, uint64_t *ret_ip,
		 uint64_t *ret_sp);

/* Wait for it, unwind and name the frames. Returns as both of them. */
int sleeper_unwind(struct sleeper *s, pid_t tid, const long *calls);

/* The frames as text, for messages: the caller frees. */
char *sleeper_text(const struct sleeper *s);

#endif
