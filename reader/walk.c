/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is told next is kept as the *stretch* at hand: it grows from event to event and from block
 * to block, and is told when something changes. So a wait of an hour is one on_time, in however
 * many blocks it lies.
 *
 * Time only goes forward: what of a block lies before the moment that was reached (because the
 * interval begins within it, or in an invented trace, because blocks overlap) is applied in
 * silence, and the stack it leads to is then told as one change.
 */
#include "reader/walk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/provenance_codec.h"
#include "common/wait_codec.h"
#include "common/xalloc.h"
#include "reader/block_split.h"
#include "reader/place_table.h"
#include "reader/trace.h"
#include "reader/trace_waits.h"

DEFINE_CLEANUP(struct block_decoder *, block_decoder_free)

struct stack {
	uint32_t *places; /* outermost first */
	uint32_t depth;
	size_t cap;
};

/* From start_ns to the moment that was reached. */
struct stretch {
	enum { NOTHING, TIME, GAP } what;
	uint64_t start_ns;
	enum thread_activity activity;
	struct wait_kind wait;
	uint64_t wait_number; /* two waits for the same are two stretches */
	struct time_split split;
};

struct walk {
	struct trace *trace;
	const struct walk_calls *calls;
	void *ctx;
	struct walk_totals totals;
	bool is_stopped; /* by a call */
	bool is_entering;
	bool is_damaged;
	struct place_table *places;
	enum thread_activity running; /* what a thread does that does not wait */
	/* Of the thread at hand. */
	uint64_t at_ns;	 /* all before is told, or part of the stretch */
	uint64_t end_ns; /* of the interval */
	int64_t last;	 /* its last block, when has_last */
	bool has_last;
	struct stack stack;
	struct stretch stretch;
	/* Of the block at hand. */
	uint64_t n_blocks;  /* its number */
	uint32_t n_decoded; /* events */
	struct provenance_runs provenance;
	bool is_event;	    /* what is told */
	uint32_t *place_of; /* of each of its lines */
	size_t cap_place_of;
	const uint32_t *pool; /* lines that its events push, and as places */
	uint32_t *pool_places;
	size_t cap_pool_places;
	struct stack entry;		/* the stack at at_ns, before it is told */
	enum thread_activity otherwise; /* than in its waits */
	bool is_plain;			/* it does just that, all the time */
	struct block_split split;
	uint32_t *part_of; /* of each of its lines */
	size_t cap_part_of;
	uint32_t *part_of_place; /* the same, of each of its places */
	size_t cap_part_of_place;
};

const struct walk_place *walk_place(const struct walk *w, uint32_t id)
{
	return place_table_get(w->places, id);
}

size_t walk_n_places(const struct walk *w)
{
	return place_table_n(w->places);
}

bool walk_is_entering(const struct walk *w)
{
	return w->is_entering;
}

uint64_t walk_block_number(const struct walk *w)
{
	return w->n_blocks;
}

int walk_provenance(const struct walk *w)
{
	if (!w->is_event)
		return -1;
	return (int)provenance_runs_find(&w->provenance, w->n_decoded - 1).provenance;
}

const struct time_split *walk_split(const struct walk *w)
{
	return &w->stretch.split;
}

/* --- telling ---
 *
 * Inline is what is done for each event. */

static inline int told(struct walk *w, int r)
{
	if (r < 0)
		w->is_stopped = true;
	return r < 0 ? r : 0;
}

static inline int tell_stretch(struct walk *w)
{
	struct stretch *s = &w->stretch;
	bool is_gap = s->what == GAP, is_empty = s->what == NOTHING || s->start_ns >= w->at_ns;
	bool waits = s->activity == ACTIVITY_WAITING || s->activity == ACTIVITY_READY;

	s->what = NOTHING;
	if (is_empty)
		return 0;
	if (is_gap)
		return w->calls->on_gap ? told(w, w->calls->on_gap(w->ctx, s->start_ns, w->at_ns))
					: 0;
	w->totals.observed_ns += w->at_ns - s->start_ns;
	if (!w->calls->on_time)
		return 0;
	return told(w, w->calls->on_time(w->ctx, s->start_ns, w->at_ns, s->activity,
					 waits ? &s->wait : NULL));
}

static inline void stack_push(struct stack *s, const uint32_t *places, uint32_t n)
{
	uint32_t depth = s->depth;

	s->depth += n;
	if (s->depth > s->cap)
		s->places = xgrow(s->places, &s->cap, s->depth, sizeof(*s->places));
	for (uint32_t i = 0; i < n; i++)
		s->places[depth + i] = places[i];
}

static inline int change(struct walk *w, uint32_t pop, const uint32_t *places, uint32_t n)
{
	int r = tell_stretch(w);

	if (r < 0)
		return r;
	w->stack.depth -= pop;
	stack_push(&w->stack, places, n);
	if (!w->calls->on_change)
		return 0;
	return told(w, w->calls->on_change(w->ctx, w->at_ns, pop, places, n));
}

/* Go on to time_ns, with the same stack. */
static inline int pass(struct walk *w, uint64_t time_ns, enum thread_activity activity)
{
	int r;

	if (w->stretch.what != TIME || w->stretch.activity != activity) {
		r = tell_stretch(w);
		if (r < 0)
			return r;
		w->stretch.what = TIME;
		w->stretch.start_ns = w->at_ns;
		w->stretch.activity = activity;
		w->stretch.split = (struct time_split){0};
	}
	w->at_ns = time_ns;
	return 0;
}

static int pass_wait(struct walk *w, uint64_t time_ns, const struct wait_kind *kind)
{
	const struct trace_reason *reason =
	    kind->reason ? trace_get_reason(w->trace, kind->reason) : NULL;
	enum thread_activity activity =
	    kind->state == WAIT_FOR_CPU ? ACTIVITY_READY : ACTIVITY_WAITING;
	bool is_same = w->stretch.what == TIME && w->stretch.activity == activity &&
		       w->stretch.wait_number == w->split.n_waits;
	int r = is_same ? 0 : tell_stretch(w);

	if (r < 0)
		return r;
	/* What it was for may be known in one of its blocks only. */
	if (!is_same || !w->stretch.wait.reason) {
		w->stretch.wait = *kind;
		w->stretch.wait.reason = reason ? reason->same_as : 0;
	}
	if (!is_same) {
		w->stretch.what = TIME;
		w->stretch.start_ns = w->at_ns;
		w->stretch.activity = activity;
		w->stretch.wait_number = w->split.n_waits;
		w->stretch.split = (struct time_split){0};
	}
	w->at_ns = time_ns;
	return 0;
}

static int pass_gap(struct walk *w, uint64_t time_ns)
{
	int r = 0;

	if (time_ns <= w->at_ns)
		return 0;
	if (w->stack.depth)
		r = change(w, w->stack.depth, NULL, 0);
	if (r == 0 && w->stretch.what != GAP) {
		r = tell_stretch(w);
		w->stretch = (struct stretch){.what = GAP, .start_ns = w->at_ns};
	}
	w->at_ns = time_ns;
	return r;
}

/* --- a block --- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint32_t split_part(const struct walk *w, const struct stack *s)
{
	return s->depth ? w->part_of_place[s->places[s->depth - 1]] : SPLIT_NO_LINE;
}

/* Go on to time_ns, which is not after the block's end. */
static int pass_in_block(struct walk *w, const struct block_row *row, uint64_t time_ns)
{
	int r = 0;

	if (w->is_plain && w->at_ns < time_ns) {
		uint64_t ns = w->otherwise == ACTIVITY_ON_CPU ? time_ns - w->at_ns : 0;

		r = pass(w, time_ns, w->otherwise);
		w->stretch.split.ns[SPLIT_ON_CPU] += ns;
		return r;
	}
	while (r == 0 && w->at_ns < time_ns) {
		uint64_t start_ns = w->at_ns, end_ns = time_ns;
		const struct wait_item *item = block_split_find(&w->split, row, start_ns, &end_ns);

		r = item ? pass_wait(w, end_ns, &w->split.waits.kinds[item->kind])
			 : pass(w, end_ns, w->otherwise);
		if (r == 0 && w->otherwise != ACTIVITY_UNKNOWN)
			block_split_add(&w->split, split_part(w, &w->stack),
					block_split_kind(&w->split, item), end_ns - start_ns,
					&w->stretch.split);
	}
	return r;
}

/* The same before at_ns, where nothing is told. */
static void skip_in_block(struct walk *w, const struct block_row *row, uint64_t start_ns,
			  uint64_t time_ns)
{
	struct time_split skipped = {0};

	while (start_ns < time_ns && w->otherwise != ACTIVITY_UNKNOWN) {
		uint64_t end_ns = time_ns;
		const struct wait_item *item = block_split_find(&w->split, row, start_ns, &end_ns);

		block_split_add(&w->split, split_part(w, &w->entry),
				block_split_kind(&w->split, item), end_ns - start_ns, &skipped);
		start_ns = end_ns;
	}
}

/* Without its waits, it is not known what the thread did. */
static void load_waits(struct walk *w, const struct block_row *row, const struct block_decoder *d)
{
	w->otherwise = w->running;
	if (w->running != ACTIVITY_UNKNOWN && block_split_load(&w->split, w->trace, row, d) < 0) {
		w->otherwise = ACTIVITY_UNKNOWN;
		w->is_damaged = true;
	}
	w->is_plain = !w->split.waits.n_items && !w->split.n_lines;
}

/* What its lines, by which its events name them, and their places are in the split of its time. */
static void load_parts(struct walk *w, const struct block_row *row, const struct block_decoder *d,
		       uint32_t n_lines)
{
	w->part_of = xgrow(w->part_of, &w->cap_part_of, (size_t)n_lines + 1, sizeof(*w->part_of));
	w->part_of_place = xgrow(w->part_of_place, &w->cap_part_of_place, walk_n_places(w) + 1,
				 sizeof(*w->part_of_place));
	for (uint32_t i = 0; i < n_lines; i++) {
		const struct walk_place *p = walk_place(w, w->place_of[i]);

		w->part_of[i] = block_split_part(&w->split, p->file, p->line, p->code);
		w->part_of_place[w->place_of[i]] = w->part_of[i];
	}
	block_split_tell_apart(&w->split, w->trace, row, d, w->part_of);
}

static void load_entry(struct walk *w, const struct block_row *row, const struct block_decoder *d)
{
	uint32_t n_lines, depth;
	size_t n_pool;
	const struct block_line *lines = block_decoder_lines(d, &n_lines);
	const uint32_t *start = block_decoder_stack(d, &depth);

	w->place_of =
	    xgrow(w->place_of, &w->cap_place_of, (size_t)n_lines + 1, sizeof(*w->place_of));
	for (uint32_t i = 0; i < n_lines; i++)
		w->place_of[i] = place_table_find(w->places, lines[i]);
	load_parts(w, row, d, n_lines);
	w->entry.depth = 0;
	for (uint32_t i = 0; i < depth; i++)
		stack_push(&w->entry, &w->place_of[start[i]], 1);
	w->pool = block_decoder_pool(d, &n_pool);
	w->pool_places =
	    xgrow(w->pool_places, &w->cap_pool_places, n_pool + 1, sizeof(*w->pool_places));
	for (size_t i = 0; i < n_pool; i++)
		w->pool_places[i] = w->place_of[w->pool[i]];
}

/* The places that an event pushes; lent until the next block. */
static const uint32_t *pushed_places(const struct walk *w, const struct block_event *e)
{
	return w->pool_places + (e->pushed - w->pool);
}

/* From the stack that was told to that of the block. */
static int enter(struct walk *w)
{
	uint32_t same = 0;
	int r;

	while (same < w->stack.depth && same < w->entry.depth &&
	       w->stack.places[same] == w->entry.places[same])
		same++;
	if (same == w->stack.depth && same == w->entry.depth)
		return 0;
	w->is_entering = true;
	r = change(w, w->stack.depth - same, w->entry.places + same, w->entry.depth - same);
	w->is_entering = false;
	return r;
}

/* Returns 1 with an event that is still to be told, 0 at the end, or a negative errno. */
static int skip_to_entry(struct walk *w, const struct block_row *row, struct block_decoder *d,
			 struct block_event *event)
{
	uint64_t from_ns = row->first_ns;
	int r;

	while ((r = block_decoder_next(d, event)) == 1 &&
	       event->offset_ns < w->at_ns - row->first_ns) {
		const uint32_t *places = pushed_places(w, event);

		skip_in_block(w, row, from_ns, row->first_ns + event->offset_ns);
		from_ns = row->first_ns + event->offset_ns;
		w->entry.depth -= event->pop;
		stack_push(&w->entry, places, event->n_pushed);
		w->n_decoded++;
	}
	if (r >= 0)
		skip_in_block(w, row, from_ns, w->at_ns);
	return r;
}

static inline int tell_event(struct walk *w, uint32_t pop, const uint32_t *places, uint32_t n)
{
	int r;

	w->is_event = true;
	r = change(w, pop, places, n);
	w->is_event = false;
	return r;
}

static int walk_events(struct walk *w, const struct block_row *row, struct block_decoder *d)
{
	uint64_t span_ns = row->last_ns - row->first_ns, until_ns = least(row->last_ns, w->end_ns);
	struct block_event event;
	int found = skip_to_entry(w, row, d, &event), r;

	if (found < 0)
		return found;
	r = enter(w);
	while (r == 0 && found == 1) {
		const uint32_t *places;

		if (event.offset_ns > span_ns)
			return -EBADMSG;
		if (row->first_ns + event.offset_ns > until_ns)
			break;
		r = pass_in_block(w, row, row->first_ns + event.offset_ns);
		places = pushed_places(w, &event);
		w->n_decoded++;
		w->totals.n_events++;
		if (r == 0)
			r = tell_event(w, event.pop, places, event.n_pushed);
		if (r == 0)
			found = block_decoder_next(d, &event);
	}
	if (r < 0 || found < 0)
		return r < 0 ? r : found;
	return pass_in_block(w, row, until_ns);
}

/* The block has time after at_ns. */
static int walk_block(struct walk *w, const struct block_row *row)
{
	auto_release(block_decoder_free) struct block_decoder *d = NULL;
	int r = pass_gap(w, row->first_ns);

	if (r < 0)
		return r;
	w->n_blocks++;
	w->n_decoded = 0;
	r = trace_decode_block(w->trace, row->id, &d);
	if (r == 0) {
		provenance_runs_done(&w->provenance);
		trace_decode_provenance(w->trace, row->id, block_decoder_n_events(d),
					&w->provenance);
		load_waits(w, row, d);
		load_entry(w, row, d);
		r = walk_events(w, row, d);
	}
	if (r == 0 || w->is_stopped)
		return r;
	/* Each block stands alone: one that is damaged takes no other with it. */
	w->totals.n_lost_blocks++;
	if (row->n_events > w->n_decoded)
		w->totals.n_lost_events += row->n_events - w->n_decoded;
	w->is_damaged = true;
	return pass_gap(w, least(row->last_ns, w->end_ns));
}

/* --- a thread --- */

/* The first block that has to do with the interval; or one before it. */
static int first_block(struct trace *t, const struct selection *s, uint16_t thread,
		       struct block_row *ret)
{
	int r = trace_block_at(t, thread, s->since_ns, ret);

	return r == 0 ? trace_block_end(t, thread, FORWARDS, ret) : r;
}

static int walk_blocks(struct walk *w, struct block_row *row, int found)
{
	int r = 0;

	while (found == 1 && r == 0 &&
	       (row->first_ns < w->end_ns || (w->has_last && row->first_ns == w->end_ns))) {
		if (row->last_ns > w->at_ns ||
		    (row->last_ns == w->at_ns && row->first_ns == w->at_ns))
			r = walk_block(w, row);
		if (w->has_last && row->id == w->last)
			break;
		if (r == 0)
			found = trace_block_beside(w->trace, row, FORWARDS, row);
	}
	if (found < 0)
		w->is_damaged = true;
	return r;
}

/* @alive_until_ns  of the thread: what is then missing is a gap */
static int walk_from(struct walk *w, const struct trace_thread *thread, struct block_row *row,
		     int found, uint64_t alive_until_ns)
{
	int r = 0;

	w->stack.depth = 0;
	w->stretch.what = NOTHING;
	if (w->calls->on_thread)
		r = told(w, w->calls->on_thread(w->ctx, w, thread));
	if (r == 0)
		r = walk_blocks(w, row, found);
	if (r == 0)
		r = pass_gap(w, alive_until_ns);
	if (r == 0 && w->stack.depth)
		r = change(w, w->stack.depth, NULL, 0);
	return r < 0 ? r : tell_stretch(w);
}

static int walk_thread(struct walk *w, const struct selection *s, const struct trace_thread *thread)
{
	struct block_row row = {0};
	int found = first_block(w->trace, s, thread->id, &row);
	uint64_t start_ns = thread->first_ns,
		 end_ns = thread->last_ns ? thread->last_ns : UINT64_MAX;

	if (found == 1 && row.first_ns < start_ns)
		start_ns = row.first_ns;
	if (found == 1 && row.last_ns > end_ns)
		end_ns = row.last_ns;
	if (start_ns >= s->until_ns || end_ns <= s->since_ns)
		return 0;
	w->at_ns = start_ns > s->since_ns ? start_ns : s->since_ns;
	w->end_ns = s->until_ns;
	return walk_from(w, thread, &row, found, least(end_ns, s->until_ns));
}

static int walk_threads(struct walk *w, const struct selection *s)
{
	auto_free struct trace_thread *threads = NULL;
	size_t n;
	int r = trace_threads(w->trace, &threads, &n);

	if (r < 0)
		w->is_damaged = true;
	r = 0;
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (selection_has(s, threads[i].id))
			r = walk_thread(w, s, &threads[i]);
	}
	return r;
}

static void walk_init(struct walk *w, struct trace *t, const struct walk_calls *calls, void *ctx)
{
	int r = trace_has_edges(t);

	*w = (struct walk){
	    .trace = t,
	    .calls = calls,
	    .ctx = ctx,
	    .is_damaged = r < 0,
	    .running = r == 1 ? ACTIVITY_ON_CPU : ACTIVITY_UNKNOWN,
	    .places = place_table_new(t),
	};
}

/* Returns what the walk returns. */
static int walk_done(struct walk *w, int r)
{
	place_table_free(w->places);
	provenance_runs_done(&w->provenance);
	free(w->stack.places);
	free(w->entry.places);
	free(w->place_of);
	free(w->pool_places);
	block_split_done(&w->split);
	free(w->part_of);
	free(w->part_of_place);
	return r < 0 ? r : w->is_damaged ? -EBADMSG : 0;
}

int walk_trace(struct trace *t, const struct selection *s, const struct walk_calls *calls,
	       void *ctx, struct walk_totals *ret)
{
	struct walk w;
	int r;

	walk_init(&w, t, calls, ctx);
	r = walk_threads(&w, s);
	if (ret)
		*ret = w.totals;
	return walk_done(&w, r);
}

int walk_part(struct trace *t, const struct walk_range *range, const struct walk_calls *calls,
	      void *ctx)
{
	const struct trace_thread thread = {.id = range->first.thread};
	struct block_row row = range->first;
	struct walk w;

	walk_init(&w, t, calls, ctx);
	w.at_ns = range->since_ns;
	w.end_ns = range->until_ns;
	w.last = range->last;
	w.has_last = true;
	return walk_done(&w, walk_from(&w, &thread, &row, 1, 0));
}
