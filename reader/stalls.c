/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread's blocks are gone through with nothing but how long it was idle in each. A turn of
 * min_ns has so much time that is not idle in one block, or in the last block with an idle wait and
 * all from there to the next such one. Only then their waits are decoded. The sums of the index
 * come from times in units, so each wait can make them wrong by some of those.
 */
#include "reader/stalls.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "reader/selection.h"
#include "reader/stall_cost.h"
#include "reader/trace_turns.h"
#include "reader/trace_waits.h"
#include "reader/wait_states_private.h"

#define UNIT_NS (UINT64_C(1) << WAIT_TIME_SHIFT)

/* The search in one thread. */
struct search {
	struct trace *trace;
	const struct stalls_wanted *wanted;
	struct stall_costs *costs;
	int (*on_stall)(void *ctx, const struct stall *stall);
	void *ctx;
	struct stalls_totals *totals;
	uint16_t thread;
	bool has_block, has_loop;
	uint64_t last_ns; /* the end of what was passed without a gap */
	/* There was an idle wait in that. Its end is idle_ns, or it is the last one of `pending`.
	 */
	bool has_idle, is_pending;
	uint64_t idle_ns;
	struct block_row pending;
	uint64_t busy_ns; /* pending: not idle since the last idle wait, at most */
};

static int report(struct search *s, uint64_t end_ns, bool is_unfinished)
{
	const struct stalls_wanted *q = s->wanted;
	struct stall stall = {
	    .thread = s->thread,
	    .start_ns = s->idle_ns,
	    .end_ns = end_ns,
	    .is_unfinished = is_unfinished,
	};
	int r;

	if (end_ns <= s->idle_ns || end_ns - s->idle_ns < q->min_ns)
		return 0;
	if (s->idle_ns < q->since_ns || s->idle_ns >= q->until_ns)
		return 0;
	r = stall_costs_find(s->costs, &stall);
	if (r == -EBADMSG)
		s->totals->n_lost_blocks++;
	else if (r < 0)
		return r;
	return s->on_stall(s->ctx, &stall);
}

static int decode(struct search *s, const struct block_row *row, struct wait_list *ret)
{
	int r = trace_decode_waits(s->trace, row->id, ret);

	if (r != -EBADMSG)
		return r;
	/* What it did there is not known, as in a gap. */
	s->totals->n_lost_blocks++;
	s->has_idle = s->is_pending = false;
	wait_list_done(ret);
	*ret = (struct wait_list){0};
	return 0;
}

/* The end of the last idle wait, if it was not needed until now. */
static int resolve_pending(struct search *s)
{
	auto_waits struct wait_list list = {0};
	struct block_row row = s->pending;
	int r;

	if (!s->is_pending)
		return 0;
	s->has_idle = s->is_pending = false;
	r = decode(s, &row, &list);
	for (size_t i = 0; r == 0 && i < list.n_items; i++) {
		if (!list.kinds[list.items[i].kind].idle)
			continue;
		s->has_idle = true;
		s->idle_ns = wait_item_end(&row, &list.items[i]);
	}
	return r;
}

/* Go through the idle waits of a block one by one. */
static int pass_waits(struct search *s, const struct block_row *row)
{
	auto_waits struct wait_list list = {0};
	int r = resolve_pending(s);

	if (r == 0)
		r = decode(s, row, &list);
	for (size_t i = 0; r == 0 && i < list.n_items; i++) {
		if (!list.kinds[list.items[i].kind].idle)
			continue;
		if (s->has_idle)
			r = report(s, row->first_ns + list.items[i].start_ns, false);
		s->has_idle = true;
		s->idle_ns = wait_item_end(row, &list.items[i]);
	}
	return r;
}

/* Nothing more is known, for a while at least. */
static int end_stretch(struct search *s)
{
	int r = 0;

	if (s->is_pending && s->busy_ns >= s->wanted->min_ns)
		r = resolve_pending(s);
	if (r == 0 && s->has_idle && !s->is_pending)
		r = report(s, s->last_ns, true);
	s->has_idle = s->is_pending = false;
	return r;
}

static uint64_t busy_in(const struct trace_idle *b)
{
	uint64_t span_ns = b->row.last_ns - b->row.first_ns;
	uint64_t idle_ns = b->ns > span_ns ? span_ns : b->ns;
	uint64_t error_ns = b->n < span_ns / UNIT_NS ? 2 * UNIT_NS * (b->n + 2) : span_ns;

	return error_ns < idle_ns ? span_ns - idle_ns + error_ns : span_ns;
}

static int pass_block(struct search *s, const struct trace_idle *b)
{
	uint64_t busy_ns = busy_in(b), min_ns = s->wanted->min_ns, turn_ns = busy_ns;

	if (!b->n && !b->ns) {
		s->busy_ns += busy_ns;
		return 0;
	}
	s->has_loop = true;
	if (s->has_idle)
		turn_ns += s->is_pending ? s->busy_ns : b->row.first_ns - s->idle_ns;
	if (turn_ns >= min_ns)
		return pass_waits(s, &b->row);
	s->has_idle = s->is_pending = true;
	s->pending = b->row;
	s->busy_ns = busy_ns;
	return 0;
}

/* Whether no later turn can begin before until_ns. Returns 1, 0 or a negative errno. */
static int is_over(struct search *s, const struct block_row *row)
{
	uint64_t until_ns = s->wanted->until_ns;
	int r;

	if (row->first_ns < until_ns)
		return 0;
	r = resolve_pending(s);
	if (r < 0 || (s->has_idle && s->idle_ns < until_ns))
		return r;
	s->has_idle = false;
	return 1;
}

static int on_block(void *ctx, const struct trace_idle *b)
{
	struct search *s = ctx;
	int r = 0;

	if (s->has_block && b->row.first_ns != s->last_ns)
		r = end_stretch(s);
	if (r == 0)
		r = is_over(s, &b->row);
	if (r != 0)
		return r;
	s->has_block = true;
	s->last_ns = b->row.last_ns;
	return pass_block(s, b);
}

static int search_thread(struct search *s)
{
	struct block_row first;
	uint64_t from_ns = 0;
	int r = trace_block_at(s->trace, s->thread, s->wanted->since_ns, &first);

	/* In it is the idle wait that ends then or later. */
	if (r == 1)
		from_ns = first.first_ns;
	if (r >= 0)
		r = trace_each_idle(s->trace, s->thread, from_ns, on_block, s);
	if (r >= 0)
		r = end_stretch(s);
	if (s->has_loop)
		s->totals->n_loops++;
	return r;
}

int stalls_find(struct trace *t, const struct stalls_wanted *wanted,
		int (*on_stall)(void *ctx, const struct stall *stall), void *ctx,
		struct stalls_totals *ret)
{
	auto_release(stall_costs_free) struct stall_costs *costs = NULL;
	auto_free struct trace_thread *threads = NULL;
	int r = trace_has_edges(t), error = 0;
	size_t n = 0;

	*ret = (struct stalls_totals){0};
	if (r <= 0)
		return r < 0 ? r : -EOPNOTSUPP;
	costs = stall_costs_new(t);
	error = trace_threads(t, &threads, &n);
	for (size_t i = 0; i < n; i++) {
		struct search s = {
		    .trace = t,
		    .wanted = wanted,
		    .costs = costs,
		    .on_stall = on_stall,
		    .ctx = ctx,
		    .totals = ret,
		    .thread = threads[i].id,
		};

		if (wanted->threads && !selection_has(wanted->threads, threads[i].id))
			continue;
		r = search_thread(&s);
		if (r < 0 && r != -EBADMSG)
			return r;
		if (r < 0)
			error = r;
	}
	return error < 0 ? error : ret->n_lost_blocks ? -EBADMSG : 0;
}
