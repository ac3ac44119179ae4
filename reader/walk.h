/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that was seen, one thread after the other, each in the order of time: what every export, the
 * call tree and the report are made of, so that their numbers agree. One block is in memory at a
 * time, however long the trace.
 *
 * Blocks are joined: where one begins when the one before ended, only the frames that differ
 * change. Where time lies between them, or a block is damaged, there is a gap and the stack is
 * empty.
 */
#ifndef READER_WALK_H
#define READER_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader/block_split.h"
#include "reader/selection.h"
#include "reader/thread_state.h"
#include "reader/trace_seek.h"

struct trace;
struct wait_kind;
struct walk;

/* A line of a function. A function that was defined again is the same one. */
struct walk_place {
	uint32_t file; /* trace_get_file(), 0 when not known */
	uint32_t code; /* a code object of that function, 0 when not known */
	int32_t line;  /* 0: unknown */
};

/*
 * Threads that have nothing of the interval are left out. Each returns 0, or a negative errno that
 * ends the walk and is returned by it; any may be NULL. Per thread: on_thread; then on_change,
 * on_time and on_gap in the order of time, where on_time and on_gap cover the interval's part of
 * the thread's life without overlapping; at its end and before a gap the stack is emptied by an
 * on_change. All times lie in the selection's interval.
 */
struct walk_calls {
	/* The stack is empty. */
	int (*on_thread)(void *ctx, struct walk *w, const struct trace_thread *thread);
	/*
	 * Frames end, then others come on top.
	 * @places  of the frames pushed, outermost first: ids for walk_place()
	 */
	int (*on_change)(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places,
			 uint32_t n_places);
	/*
	 * The stack stayed as it is from start_ns to end_ns (later than start_ns), and the thread
	 * did the same all the time: a wait is one, in however many blocks it lies.
	 * @activity  ACTIVITY_UNKNOWN when the trace does not know
	 * @wait      what it waited for, when ACTIVITY_WAITING or ACTIVITY_READY; lent; equal
	 *            reasons have one id
	 */
	int (*on_time)(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		       const struct wait_kind *wait);
	/* Nothing is known of the thread. */
	int (*on_gap)(void *ctx, uint64_t start_ns, uint64_t end_ns);
};

struct walk_totals {
	uint64_t observed_ns;	/* the sum of all on_time */
	uint64_t n_events;	/* in the interval */
	uint64_t n_lost_blocks; /* damaged: their time is a gap */
	uint64_t n_lost_events; /* at least */
};

/*
 * Walk over what is selected.
 * @ret  also on error, as far as it got; may be NULL
 * Returns 0, -EBADMSG when something is damaged (all else was walked over), what a call returned,
 * or another negative errno.
 */
int walk_trace(struct trace *t, const struct selection *s, const struct walk_calls *calls,
	       void *ctx, struct walk_totals *ret);

/* Neighbouring blocks of one thread. */
struct walk_range {
	struct block_row first;
	int64_t last; /* its id */
	/* From within the first one to within the last one, or all of them. */
	uint64_t since_ns, until_ns;
};

/*
 * Walk over no more than these blocks, also those that have no length. on_thread gets nothing but
 * the thread's number. The same errors.
 */
int walk_part(struct trace *t, const struct walk_range *range, const struct walk_calls *calls,
	      void *ctx);

/* Valid while the walk lasts; ids count from 0, in the order in which they first appear. */
const struct walk_place *walk_place(const struct walk *w, uint32_t id);
size_t walk_n_places(const struct walk *w);
/*
 * In an on_change: whether it is no event, but the stack as it was when a thread, after time of
 * which nothing is known, was there again, or when the interval began. Nothing was entered then.
 */
bool walk_is_entering(const struct walk *w);
/* In an on_change: how the event is known (see spot_provenance()); -1: it is none. */
int walk_provenance(const struct walk *w);
/* In an on_change: as long as this stays the same, what lies at the same address is the same. */
uint64_t walk_block_number(const struct walk *w);
/*
 * In an on_time: what the thread did in truth, in sum. Waits too short to be told one by one are in
 * it, so that sums are those of the line index. All zeros when the trace does not know.
 */
const struct time_split *walk_split(const struct walk *w);

#endif
