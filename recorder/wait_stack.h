/* SPDX-License-Identifier: BSD-3-Clause */
/* The native stack of a thread that waits, as the text that a trace keeps. */
#ifndef RECORDER_WAIT_STACK_H
#define RECORDER_WAIT_STACK_H

#include <stdint.h>

struct native_unwinder;

/*
 * @syscall       the thread's line of /proc/PID/syscall, which ends with "... SP PC"
 * @ret_ns        it is true if the wait went on until then: naming its frames can take much longer
 * @ret_complete  bool: it goes down to where the thread began
 * Returns the text, which the caller frees, a line for each frame as docs/trace-format.md says; or
 * NULL when there is none.
 */
char *wait_stack_text(struct native_unwinder *unwinder, const char *syscall, uint64_t *ret_ns,
		      int *ret_complete);

#endif
