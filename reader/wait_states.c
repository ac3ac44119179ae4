/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A wait of days lies in many thousand blocks. They are not walked through: of a block that one
 * wait fills the table of waits tells when that began, so the last such block is found by doubling
 * the distance and then halving it. What a damaged or invented trace says can make the answer
 * wrong, but each search only goes on, block by block, the way that it began.
 */
#include "reader/wait_states.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "reader/trace_waits.h"
#include "reader/wait_states_private.h"

#define UNIT_NS (UINT64_C(1) << WAIT_TIME_SHIFT)
/* Further blocks that are looked at one by one. */
#define NEAR_BLOCKS 2

/* One wait, whole. */
struct wait {
	struct block_row first, last; /* the blocks in which it begins and ends */
	uint64_t start_ns, end_ns;
	struct wait_kind kind;
};

struct wanted {
	uint64_t time_ns; /* it begins beyond that */
	enum direction way;
	uint64_t min_ns;
	enum idle_choice idle;
};

uint64_t wait_item_end(const struct block_row *row, const struct wait_item *item)
{
	uint64_t end_ns = row->first_ns + item->start_ns + item->length_ns;

	return item->flags & WAIT_GOES_ON || end_ns > row->last_ns ? row->last_ns : end_ns;
}

/* At the end of the unit it has surely begun: the stack is then the one in which it waits. */
static uint64_t start_of(const struct block_row *row, const struct wait_item *item)
{
	uint64_t start_ns = row->first_ns + item->start_ns, end_ns = wait_item_end(row, item);

	if (!(item->flags & WAIT_BEGAN_BEFORE))
		start_ns += UNIT_NS - 1;
	return start_ns < end_ns ? start_ns : end_ns;
}

int wait_states_decode(struct trace *t, const struct block_row *row, struct wait_list *ret)
{
	int r = trace_decode_waits(t, row->id, ret);

	if (r < 0) {
		wait_list_done(ret);
		*ret = (struct wait_list){0};
	}
	return r == -EBADMSG ? 0 : r;
}

/* The block that begins where this one ends (BACKWARDS: the other way round). */
static int adjoining(struct trace *t, const struct block_row *row, enum direction way,
		     struct block_row *ret)
{
	int r = trace_block_beside(t, row, way, ret);

	if (r == 1 &&
	    (way == FORWARDS ? ret->first_ns != row->last_ns : ret->last_ns != row->first_ns))
		r = 0;
	return r;
}

/* What it was for may be known in one of its blocks only. */
static void learn_kind(struct wait *w, const struct wait_kind *kind)
{
	if (!w->kind.reason && kind->reason)
		w->kind = *kind;
}

/* --- the end of a wait --- */

/* Whether the wait that began at start_ns fills a later block, or has its end in it. */
static int is_part_in(struct trace *t, const struct block_row *after, uint64_t time_ns,
		      uint64_t start_ns, struct block_row *ret)
{
	uint64_t its_start_ns;
	int r = trace_block_at(t, after->thread, time_ns, ret);

	if (r <= 0 || ret->first_ns <= after->first_ns)
		return r < 0 ? r : 0;
	r = trace_wait_start(t, ret->id, &its_start_ns);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return its_start_ns == start_ns;
}

/* Far ahead, from a block that a wait fills to a later one with a part of it: few are left then. */
static int leap(struct trace *t, struct block_row *row)
{
	uint64_t step_ns = row->last_ns - row->first_ns + 1, least_ns = step_ns, far_ns, start_ns;
	struct block_row found;
	int r = trace_wait_start(t, row->id, &start_ns);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	do {
		if (step_ns > (uint64_t)INT64_MAX / 2 - row->last_ns / 2)
			break;
		far_ns = row->last_ns + step_ns;
		r = is_part_in(t, row, far_ns, start_ns, &found);
		if (r == 1)
			*row = found;
		step_ns *= 2;
	} while (r == 1);
	far_ns = row->last_ns + step_ns;
	while (r >= 0 && far_ns > row->last_ns && far_ns - row->last_ns > least_ns) {
		uint64_t middle_ns = row->last_ns + (far_ns - row->last_ns) / 2;

		r = is_part_in(t, row, middle_ns, start_ns, &found);
		if (r == 1)
			*row = found;
		else
			far_ns = middle_ns;
	}
	return r < 0 ? r : 0;
}

/* Returns 1 when it goes on at the end of this block, too; 0 when not; or a negative errno. */
static int continue_in(struct trace *t, const struct block_row *row, struct wait *w)
{
	auto_waits struct wait_list list = {0};
	const struct wait_item *item;
	int r = wait_states_decode(t, row, &list);

	item = list.items;
	if (r < 0 || !list.n_items || !(item->flags & WAIT_BEGAN_BEFORE))
		return r;
	learn_kind(w, &list.kinds[item->kind]);
	w->last = *row;
	w->end_ns = wait_item_end(row, item);
	return list.n_items == 1 && item->flags & WAIT_GOES_ON;
}

/* Of a wait that goes on at the end of w->last. */
static int extend_forwards(struct trace *t, struct wait *w)
{
	struct block_row next;
	unsigned n = 0;
	int r;

	while ((r = adjoining(t, &w->last, FORWARDS, &next)) == 1) {
		if (++n == NEAR_BLOCKS)
			r = leap(t, &next);
		if (r >= 0)
			r = continue_in(t, &next, w);
		if (r != 1)
			break;
	}
	return r < 0 ? r : 0;
}

/* --- its beginning --- */

/* By the last wait of a block, which goes on after it. Returns 1, 0 when there is no such. */
static int begin_in(struct trace *t, const struct block_row *row, struct wait *w,
		    bool *ret_began_before)
{
	auto_waits struct wait_list list = {0};
	const struct wait_item *item;
	int r = wait_states_decode(t, row, &list);

	if (r < 0 || !list.n_items)
		return r;
	item = &list.items[list.n_items - 1];
	if (!(item->flags & WAIT_GOES_ON))
		return 0;
	learn_kind(w, &list.kinds[item->kind]);
	w->first = *row;
	w->start_ns = start_of(row, item);
	*ret_began_before = item->flags & WAIT_BEGAN_BEFORE;
	return 1;
}

/* Of a wait that fills w->first. */
static int leap_back(struct trace *t, struct wait *w)
{
	struct block_row row;
	bool began_before;
	uint64_t start_ns;
	int r = trace_wait_start(t, w->first.id, &start_ns);

	if (r < 0 || start_ns >= w->first.first_ns)
		return r == -ENOENT || r >= 0 ? 0 : r;
	r = trace_block_at(t, w->first.thread, start_ns, &row);
	if (r <= 0)
		return r;
	r = begin_in(t, &row, w, &began_before);
	if (r == 0)
		w->start_ns = start_ns;
	return r < 0 ? r : 0;
}

/* Of a wait that had begun before w->first. */
static int extend_back(struct trace *t, struct wait *w, bool fills_block)
{
	struct block_row before;
	bool began_before = false;
	int r;

	if (fills_block)
		return leap_back(t, w);
	r = adjoining(t, &w->first, BACKWARDS, &before);
	if (r == 1)
		r = begin_in(t, &before, w, &began_before);
	if (r == 1 && began_before)
		r = leap_back(t, w);
	return r < 0 ? r : 0;
}

/* --- one wait --- */

/* The whole of the i-th wait of a block. */
static int join(struct trace *t, const struct block_row *row, const struct wait_list *list,
		size_t i, struct wait *ret)
{
	const struct wait_item *item = &list->items[i];
	bool begins = i == 0 && item->flags & WAIT_BEGAN_BEFORE;
	bool ends = i == list->n_items - 1 && item->flags & WAIT_GOES_ON;
	int r = 0;

	*ret = (struct wait){.first = *row,
			     .last = *row,
			     .start_ns = start_of(row, item),
			     .end_ns = wait_item_end(row, item),
			     .kind = list->kinds[item->kind]};
	if (begins)
		r = extend_back(t, ret, ends);
	if (r == 0 && ends)
		r = extend_forwards(t, ret);
	return r;
}

static void put_reason(struct trace *t, const struct wait_kind *kind, struct thread_state *ret)
{
	const struct trace_reason *reason = trace_get_reason(t, kind->reason);
	const char *what;

	if (!reason || kind->state == WAIT_FOR_CPU)
		return;
	what = *reason->what ? reason->what : *reason->call ? reason->call : reason->kind;
	snprintf(ret->reason, sizeof(ret->reason), *reason->peer ? "%s (%s)" : "%s%s", what,
		 reason->peer);
}

static void put_wait(struct trace *t, const struct wait *w, struct thread_state *ret)
{
	*ret = (struct thread_state){
	    .activity = w->kind.state == WAIT_FOR_CPU ? ACTIVITY_READY : ACTIVITY_WAITING,
	    .start_ns = w->start_ns,
	    .end_ns = w->end_ns,
	    .is_idle = w->kind.idle,
	};
	put_reason(t, &w->kind, ret);
}

static int state_at(void *ctx, uint16_t thread, uint64_t time_ns, struct thread_state *ret)
{
	auto_waits struct wait_list list = {0};
	struct trace *t = ctx;
	struct block_row row;
	struct wait wait;
	int r = trace_has_edges(t);

	if (r == 1)
		r = trace_block_at(t, thread, time_ns, &row);
	if (r != 1 || row.last_ns < time_ns)
		return r < 0 ? r : 0;
	r = trace_decode_waits(t, row.id, &list);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	for (size_t i = 0; i < list.n_items; i++) {
		const struct wait_item *item = &list.items[i];
		uint64_t end_ns = wait_item_end(&row, item) + !!(item->flags & WAIT_GOES_ON);

		if (time_ns < start_of(&row, item) || time_ns >= end_ns)
			continue;
		r = join(t, &row, &list, i, &wait);
		if (r < 0)
			return r;
		put_wait(t, &wait, ret);
		return 1;
	}
	*ret = (struct thread_state){.activity = ACTIVITY_ON_CPU};
	return 1;
}

/* --- searching --- */

static bool is_wanted(const struct wanted *q, const struct wait *w)
{
	bool is_beyond = q->way == FORWARDS ? w->start_ns > q->time_ns : w->start_ns < q->time_ns;

	if (q->idle != IDLE_TOO && w->kind.idle != (q->idle == IDLE_ONLY))
		return false;
	/* Its length is known to a unit on either side. */
	return is_beyond && w->end_ns + 2 * UNIT_NS >= w->start_ns + q->min_ns;
}

/*
 * The first wanted wait of a block.
 * @row  on return of 0, the farthest block that its waits reach
 */
static int search_block(struct trace *t, const struct wanted *q, struct block_row *row,
			struct wait *ret)
{
	auto_waits struct wait_list list = {0};
	struct block_row from = *row;
	int r = wait_states_decode(t, &from, &list);

	for (size_t n = 0; r == 0 && n < list.n_items; n++) {
		size_t i = q->way == FORWARDS ? n : list.n_items - 1 - n;

		r = join(t, &from, &list, i, ret);
		if (r < 0)
			return r;
		if (is_wanted(q, ret))
			return 1;
		if (q->way == FORWARDS && ret->last.first_ns > row->first_ns)
			*row = ret->last;
		if (q->way == BACKWARDS && ret->first.first_ns < row->first_ns)
			*row = ret->first;
	}
	return r;
}

/* Of one thread. */
static int search(struct trace *t, uint16_t thread, const struct wanted *q, struct wait *ret)
{
	uint64_t least_ns = q->min_ns > 2 * UNIT_NS ? q->min_ns - 2 * UNIT_NS : 0;
	struct block_row row, next;
	int r = trace_block_at(t, thread, q->time_ns, &row);

	if (r == 0 && q->way == FORWARDS)
		r = trace_block_end(t, thread, FORWARDS, &row);
	while (r == 1) {
		next = row;
		r = search_block(t, q, &next, ret);
		if (r != 0)
			return r;
		r = 1;
		if (next.id == row.id)
			r = trace_block_waiting(t, &row, q->way, least_ns, q->idle, &next);
		row = next;
	}
	return r;
}

static int find_wait(void *ctx, uint16_t thread, uint64_t time_ns, enum direction way,
		     uint64_t min_ns, enum idle_choice idle, uint16_t *ret_thread,
		     struct thread_state *ret)
{
	struct wanted q = {.time_ns = time_ns, .way = way, .min_ns = min_ns, .idle = idle};
	auto_free struct trace_thread *threads = NULL;
	struct trace *t = ctx;
	struct wait wait = {0}, best = {0};
	int r = trace_has_edges(t), found = 0;
	size_t n = 0;

	if (r <= 0)
		return r < 0 ? r : -EOPNOTSUPP;
	r = trace_threads(t, &threads, &n);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (thread && threads[i].id != thread)
			continue;
		r = search(t, threads[i].id, &q, &wait);
		if (r != 1 || (found && (way == FORWARDS ? wait.start_ns >= best.start_ns
							 : wait.start_ns <= best.start_ns)))
			continue;
		best = wait;
		*ret_thread = threads[i].id;
		found = 1;
	}
	if (r < 0 || !found)
		return r < 0 ? r : 0;
	put_wait(t, &best, ret);
	return 1;
}

struct thread_states wait_states(struct trace *trace)
{
	return (struct thread_states){.ctx = trace,
				      .at = state_at,
				      .find_wait = find_wait,
				      .find_turn = wait_states_find_turn};
}
