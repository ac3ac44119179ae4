/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a thread's event loop waits when it has nothing to do: such waits are idle, and all others
 * keep the loop from going on. Learnt from the waits as they come. No I/O, no clock.
 */
#ifndef RECORDER_IDLE_PLACES_H
#define RECORDER_IDLE_PLACES_H

#include <stdbool.h>
#include <stdint.h>

/* What a wait is for. */
enum idle_polls {
	POLLS_UNKNOWN, /* it was too short to be asked about */
	POLLS_NOTHING, /* a call that waits for something else */
	POLLS_ONE,     /* poll, select or epoll for one descriptor */
	POLLS_MANY,
};

struct idle_wait {
	uint32_t depth; /* of followed frames, from 1; 0: there are none, and it is never idle */
	uint32_t file;
	int32_t line; /* of the innermost; 0: not known */
	enum idle_polls polls;
	uint64_t start_ns, end_ns; /* end_ns: so far */
};

struct idle_place {
	uint32_t depth; /* 0: none yet */
	uint32_t file;
	int32_t line;
	uint32_t n; /* waits there */
	uint64_t total_ns;
	uint64_t last_start_ns, last_end_ns;
};

/* {0}: nothing is known. */
struct idle_places {
	struct idle_place loop;
	struct idle_place outer; /* further out than that, one descriptor was waited for */
};

/* Whether this wait is idle. May be called again for the same one, in the order of their starts. */
bool idle_places_take(struct idle_places *p, const struct idle_wait *w);

#endif
