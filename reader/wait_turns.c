/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Turns of an event loop: what lies between its idle waits. There are no sums that would tell where
 * a long one is, so all blocks on the way are looked at; only their waits are decoded.
 */
#include <errno.h>
#include <stdbool.h>

#include "common/cleanup.h"
#include "reader/trace_waits.h"
#include "reader/wait_states_private.h"

struct turn_wanted {
	uint64_t time_ns; /* it begins beyond that */
	enum direction way;
	uint64_t min_ns;
};

struct turn_search {
	struct turn_wanted wanted;
	bool has_idle;	  /* there was an idle wait in what was passed, without a gap since */
	uint64_t idle_ns; /* its end; BACKWARDS: its begin */
};

/* Passes an idle wait, or a part of it. Returns whether it bounds a turn that is wanted. */
static bool pass_idle(struct turn_search *s, uint64_t start_ns, uint64_t end_ns,
		      struct thread_turn *ret)
{
	const struct turn_wanted *q = &s->wanted;
	bool forwards = q->way == FORWARDS, had_idle = s->has_idle, is_beyond;

	ret->start_ns = forwards ? s->idle_ns : end_ns;
	ret->end_ns = forwards ? start_ns : s->idle_ns;
	s->has_idle = true;
	s->idle_ns = forwards ? end_ns : start_ns;
	is_beyond = forwards ? ret->start_ns > q->time_ns : ret->start_ns < q->time_ns;
	return had_idle && is_beyond && ret->end_ns > ret->start_ns &&
	       ret->end_ns - ret->start_ns >= q->min_ns;
}

/* Returns 1, 0 or a negative errno. */
static int pass_block(struct trace *t, const struct block_row *row, struct turn_search *s,
		      struct thread_turn *ret)
{
	auto_waits struct wait_list list = {0};
	int r = wait_states_decode(t, row, &list);

	for (size_t n = 0; r == 0 && n < list.n_items; n++) {
		size_t i = s->wanted.way == FORWARDS ? n : list.n_items - 1 - n;
		const struct wait_item *item = &list.items[i];

		if (list.kinds[item->kind].idle &&
		    pass_idle(s, row->first_ns + item->start_ns, wait_item_end(row, item), ret))
			return 1;
	}
	return r;
}

/* Where to begin: a turn that began before some time can end long after it. */
static int find_turn_start(struct trace *t, uint16_t thread, const struct turn_wanted *q,
			   struct block_row *ret)
{
	int r = trace_block_at(t, thread, q->time_ns, ret);

	if (r == 0 && q->way == FORWARDS)
		return trace_block_end(t, thread, FORWARDS, ret);
	if (r == 1 && q->way == BACKWARDS) {
		r = trace_block_waiting(t, ret, FORWARDS, 0, IDLE_ONLY, ret);
		if (r == 0)
			r = 1;
	}
	return r;
}

static int search_turn(struct trace *t, uint16_t thread, const struct turn_wanted *q,
		       struct cancel cancel, struct thread_turn *ret)
{
	struct turn_search s = {.wanted = *q};
	struct block_row row, next;
	int r = find_turn_start(t, thread, q, &row), found;

	*ret = (struct thread_turn){.thread = thread};
	while (r == 1) {
		found = pass_block(t, &row, &s, ret);
		if (found)
			return found;
		if (cancel.is_asked && cancel.is_asked(cancel.ctx))
			return -EINTR;
		r = trace_block_beside(t, &row, q->way, &next);
		if (r == 1 && (q->way == FORWARDS ? next.first_ns != row.last_ns
						  : next.last_ns != row.first_ns))
			s.has_idle = false;
		row = next;
	}
	return r;
}

int wait_states_find_turn(void *ctx, uint16_t thread, uint64_t time_ns, enum direction way,
			  uint64_t min_ns, struct cancel cancel, struct thread_turn *ret)
{
	struct turn_wanted q = {.time_ns = time_ns, .way = way, .min_ns = min_ns};
	auto_free struct trace_thread *threads = NULL;
	struct trace *t = ctx;
	struct thread_turn turn = {0};
	int r = trace_has_edges(t), found = 0;
	size_t n = 0;

	if (r <= 0)
		return r < 0 ? r : -EOPNOTSUPP;
	r = trace_threads(t, &threads, &n);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (thread && threads[i].id != thread)
			continue;
		r = search_turn(t, threads[i].id, &q, cancel, &turn);
		if (r != 1 || (found && (way == FORWARDS ? turn.start_ns >= ret->start_ns
							 : turn.start_ns <= ret->start_ns)))
			continue;
		*ret = turn;
		found = 1;
	}
	return r < 0 ? r : found;
}
