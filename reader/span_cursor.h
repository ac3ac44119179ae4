/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one thread did, stretch by stretch in the order of time: in each its stack stayed as it was,
 * and so did what it did there. For those who ask for the next one; who wants all of a trace at
 * once has reader/walk.h.
 *
 * Stretches go on over the ends of blocks. Only what is asked for is decoded.
 */
#ifndef READER_SPAN_CURSOR_H
#define READER_SPAN_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/wait_codec.h"
#include "reader/block_cache.h"
#include "reader/thread_state.h"

struct span {
	uint64_t start_ns;
	uint64_t end_ns; /* later than start_ns */
	bool is_gap;	 /* nothing is known of it */
	enum thread_activity activity;
	/* For ACTIVITY_WAITING and ACTIVITY_READY; what of it is not known is 0. */
	struct wait_kind wait;
	unsigned provenance; /* of the event that made the stack, see spot_provenance() */
	/* Outermost first; lent until the next call. */
	const struct block_line *stack;
	uint32_t depth;
};

struct span_cursor_options {
	uint16_t thread;
	/*
	 * What ends before is left out, and so is what begins at until_ns or later. The first one
	 * may have begun before it is said to, if that is before since_ns.
	 */
	uint64_t since_ns;
	uint64_t until_ns;
	/* Of the thread's life what no block tells of is a gap; 0: not known. */
	uint64_t life_start_ns;
	uint64_t life_end_ns;
	bool only_waits; /* nothing else is told, and blocks without waits are not decoded */
	bool has_edges;	 /* the trace knows when threads were on a CPU */
};

struct span_cursor;

/* @cache  lent for as long as the cursor is used; others may use it, too */
struct span_cursor *span_cursor_new(struct block_cache *cache,
				    const struct span_cursor_options *options);
void span_cursor_free(struct span_cursor *c);
DEFINE_CLEANUP(struct span_cursor *, span_cursor_free)

/*
 * @ret  lent until the next call
 * Returns 1, 0 at the end, -EBADMSG when what comes next is damaged, or another negative errno;
 * after an error there is nothing more.
 */
int span_cursor_next(struct span_cursor *c, const struct span **ret);
/* After -EBADMSG: the block that is damaged. */
const struct block_row *span_cursor_block(const struct span_cursor *c);

#endif
