/* SPDX-License-Identifier: BSD-3-Clause */
/* What the threads of a trace did most in a stretch of time. */
#ifndef READER_CHAIN_ACTIVITY_H
#define READER_CHAIN_ACTIVITY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wait_codec.h"

struct trace;

struct chain_activity {
	struct wait_kind kind; /* file and line; of a wait all of it but native */
	bool is_wait;
	uint64_t ns; /* 0: nothing was seen */
	/* Of a wait: the longest one, as far as it lies in the stretch. */
	uint64_t longest_start_ns, longest_end_ns;
	uint64_t idle_ns; /* of the line that was idle longest */
	bool is_partial;  /* some of it could not be read, or was too much */
};

/*
 * Adds up by line and by what is waited for. Idle waits count only where there is nothing else.
 * Only blocks that overlap the stretch are read, and of these not more than some hundred.
 */
void chain_activity_find(struct trace *t, uint64_t start_ns, uint64_t end_ns,
			 struct chain_activity *ret);

#endif
