/* SPDX-License-Identifier: BSD-3-Clause */
/* How much happened when, over the whole of a trace, in a few columns. */
#ifndef READER_ACTIVITY_H
#define READER_ACTIVITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace;

#define ACTIVITY_LEVELS 8

struct activity {
	uint8_t level; /* 0: nothing happened, to ACTIVITY_LEVELS */
	bool has_gap;  /* most of it was not seen */
	bool waits;    /* the threads mostly waited in the blocks that were looked at */
	bool is_known; /* a block of some thread covers a part of it */
};

/*
 * Columns of equal time between two moments. Looks at a few blocks of each column, so the time it
 * takes does not depend on the trace's length.
 * @thread  0: all together
 * Returns 0 or a negative errno; columns that could not be read are not known.
 */
int activity_read(struct trace *t, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
		  struct activity *ret, size_t n);

#endif
