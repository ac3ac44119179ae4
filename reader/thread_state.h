/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a thread does at a moment, beside its stack: whether it is on a CPU or waits, for what and
 * how long. Whoever knows that gives replay a `struct thread_states`; without one all is unknown.
 */
#ifndef READER_THREAD_STATE_H
#define READER_THREAD_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "reader/spot.h"
#include "reader/trace_seek.h"

enum thread_activity {
	ACTIVITY_UNKNOWN,
	ACTIVITY_ON_CPU,
	ACTIVITY_WAITING,
	ACTIVITY_READY, /* it could run, but others have the CPU */
};

#define THREAD_STATE_REASON_SIZE 128

struct thread_state {
	enum thread_activity activity;
	/* From when until when; 0: not known. */
	uint64_t start_ns;
	uint64_t end_ns;
	bool is_idle; /* it waits as event loops do that have nothing to do */
	/* Why it waits, any bytes, "" when that is not known. */
	char reason[THREAD_STATE_REASON_SIZE];
};

struct thread_turn {
	uint16_t thread;
	uint64_t start_ns, end_ns;
};

struct thread_states {
	void *ctx;
	/* Returns 1; 0 when nothing is known of that moment; or a negative errno. */
	int (*at)(void *ctx, uint16_t thread, uint64_t time_ns, struct thread_state *ret);
	/*
	 * The first wait of at least min_ns that begins after time_ns (BACKWARDS: the last that
	 * begins before).
	 * @thread      0: of any
	 * @ret_thread  whose it is
	 * Returns 1, 0 when there is none, -EOPNOTSUPP when waits are not known, or another
	 * negative errno.
	 */
	int (*find_wait)(void *ctx, uint16_t thread, uint64_t time_ns, enum direction way,
			 uint64_t min_ns, enum idle_choice idle, uint16_t *ret_thread,
			 struct thread_state *ret);
	/*
	 * The same for turns of an event loop: what a thread does from the end of one idle wait to
	 * the begin of the next. -EINTR when it was cancelled.
	 */
	int (*find_turn)(void *ctx, uint16_t thread, uint64_t time_ns, enum direction way,
			 uint64_t min_ns, struct cancel cancel, struct thread_turn *ret);
};

#endif
