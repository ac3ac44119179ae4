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
	uint64_t n_waits;
	/* Of the thread at hand. */
	uint64_t at_ns;	 /* all before is told, or part of the stretch */
	uint64_t end_ns; /* of the interval */
	struct stack stack;
	struct stretch stretch;
	/* Of the block at hand. */
	uint32_t n_decoded; /* events */
	struct provenance_runs provenance;
	int event_provenance; /* of the one that is told; -1: none is */
	uint32_t *place_of;   /* of each of its lines */
	size_t cap_place_of;
	uint32_t *pushed;
	size_t cap_pushed;
	struct stack entry; /* the stack at at_ns, before it is told */
	struct wait_list waits;
	size_t wait; /* those before are over */
	enum thread_activity otherwise;
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

int walk_provenance(const struct walk *w)
{
	return w->event_provenance;
}

/* --- telling --- */

static int told(struct walk *w, int r)
{
	if (r < 0)
		w->is_stopped = true;
	return r < 0 ? r : 0;
}

static int tell_stretch(struct walk *w)
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

static void stack_push(struct stack *s, const uint32_t *places, uint32_t n)
{
	if (s->depth + n > s->cap)
		s->places = xgrow(s->places, &s->cap, s->depth + n, sizeof(*s->places));
	for (uint32_t i = 0; i < n; i++)
		s->places[s->depth++] = places[i];
}

static int change(struct walk *w, uint32_t pop, const uint32_t *places, uint32_t n)
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
static int pass(struct walk *w, uint64_t time_ns, enum thread_activity activity)
{
	int r;

	if (w->stretch.what != TIME || w->stretch.activity != activity) {
		r = tell_stretch(w);
		if (r < 0)
			return r;
		w->stretch =
		    (struct stretch){.what = TIME, .start_ns = w->at_ns, .activity = activity};
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
		       w->stretch.wait_number == w->n_waits;
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
		w->stretch.wait_number = w->n_waits;
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

/* A wait that goes on from the block before is the one that was told there. */
static void begin_wait(struct walk *w)
{
	const struct wait_item *item = &w->waits.items[w->wait];
	bool goes_on = w->wait == 0 && item->flags & WAIT_BEGAN_BEFORE;

	if (!goes_on)
		w->n_waits++;
}

static uint64_t wait_end(const struct block_row *row, const struct wait_item *item)
{
	uint64_t start_ns = least(row->first_ns + item->start_ns, row->last_ns);

	if (item->flags & WAIT_GOES_ON || item->length_ns > row->last_ns - start_ns)
		return row->last_ns;
	return start_ns + item->length_ns;
}

/* Go on to time_ns, which is not after the block's end. */
static int pass_in_block(struct walk *w, const struct block_row *row, uint64_t time_ns)
{
	int r = 0;

	while (r == 0 && w->at_ns < time_ns && w->wait < w->waits.n_items) {
		const struct wait_item *item = &w->waits.items[w->wait];
		uint64_t start_ns = least(row->first_ns + item->start_ns, time_ns);
		uint64_t end_ns = wait_end(row, item);

		if (w->at_ns < start_ns)
			r = pass(w, start_ns, w->otherwise);
		if (r == 0 && w->at_ns < time_ns && w->at_ns < end_ns)
			r = pass_wait(w, least(end_ns, time_ns), &w->waits.kinds[item->kind]);
		if (w->at_ns < end_ns)
			break;
		if (++w->wait < w->waits.n_items)
			begin_wait(w);
	}
	if (r == 0 && w->at_ns < time_ns)
		r = pass(w, time_ns, w->otherwise);
	return r;
}

/* Without its waits, it is not known what the thread did. */
static void load_waits(struct walk *w, const struct block_row *row)
{
	int r;

	wait_list_done(&w->waits);
	w->waits = (struct wait_list){0};
	w->wait = 0;
	w->otherwise = w->running;
	if (w->running == ACTIVITY_UNKNOWN)
		return;
	r = trace_decode_waits(w->trace, row->id, &w->waits);
	if (r < 0) {
		wait_list_done(&w->waits);
		w->waits = (struct wait_list){0};
		w->otherwise = ACTIVITY_UNKNOWN;
		w->is_damaged = true;
	}
	if (w->waits.n_items)
		begin_wait(w);
}

static void load_entry(struct walk *w, const struct block_decoder *d)
{
	uint32_t n_lines, depth;
	const struct block_line *lines = block_decoder_lines(d, &n_lines);
	const uint32_t *start = block_decoder_stack(d, &depth);

	w->place_of =
	    xgrow(w->place_of, &w->cap_place_of, (size_t)n_lines + 1, sizeof(*w->place_of));
	for (uint32_t i = 0; i < n_lines; i++)
		w->place_of[i] = place_table_find(w->places, lines[i]);
	w->entry.depth = 0;
	for (uint32_t i = 0; i < depth; i++)
		stack_push(&w->entry, &w->place_of[start[i]], 1);
}

/* The places that an event pushes; lent until the next event. */
static const uint32_t *pushed_places(struct walk *w, const struct block_event *e)
{
	if (e->n_pushed > w->cap_pushed)
		w->pushed = xgrow(w->pushed, &w->cap_pushed, e->n_pushed, sizeof(*w->pushed));
	for (uint32_t i = 0; i < e->n_pushed; i++)
		w->pushed[i] = w->place_of[e->pushed[i]];
	return w->pushed;
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
	int r;

	while ((r = block_decoder_next(d, event)) == 1 &&
	       event->offset_ns < w->at_ns - row->first_ns) {
		const uint32_t *places = pushed_places(w, event);

		w->entry.depth -= event->pop;
		stack_push(&w->entry, places, event->n_pushed);
		w->n_decoded++;
	}
	return r;
}

static int tell_event(struct walk *w, uint32_t pop, const uint32_t *places, uint32_t n)
{
	int r;

	w->event_provenance = provenance_runs_find(&w->provenance, w->n_decoded - 1).provenance;
	r = change(w, pop, places, n);
	w->event_provenance = -1;
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
	w->n_decoded = 0;
	r = trace_decode_block(w->trace, row->id, &d);
	if (r == 0) {
		provenance_runs_done(&w->provenance);
		trace_decode_provenance(w->trace, row->id, block_decoder_n_events(d),
					&w->provenance);
		load_waits(w, row);
		load_entry(w, d);
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

	while (found == 1 && r == 0 && row->first_ns < w->end_ns) {
		if (row->last_ns > w->at_ns ||
		    (row->last_ns == w->at_ns && row->first_ns == w->at_ns))
			r = walk_block(w, row);
		if (r == 0)
			found = trace_block_beside(w->trace, row, FORWARDS, row);
	}
	if (found < 0)
		w->is_damaged = true;
	return r;
}

static int walk_thread(struct walk *w, const struct selection *s, const struct trace_thread *thread)
{
	struct block_row row = {0};
	int found = first_block(w->trace, s, thread->id, &row), r = 0;
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
	w->stack.depth = 0;
	w->stretch.what = NOTHING;
	if (w->calls->on_thread)
		r = told(w, w->calls->on_thread(w->ctx, w, thread));
	if (r == 0)
		r = walk_blocks(w, &row, found);
	if (r == 0)
		r = pass_gap(w, least(end_ns, s->until_ns));
	if (r == 0 && w->stack.depth)
		r = change(w, w->stack.depth, NULL, 0);
	return r < 0 ? r : tell_stretch(w);
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
	return r < 0 ? r : w->is_damaged ? -EBADMSG : 0;
}

int walk_trace(struct trace *t, const struct selection *s, const struct walk_calls *calls,
	       void *ctx, struct walk_totals *ret)
{
	struct walk w = {
	    .trace = t,
	    .calls = calls,
	    .ctx = ctx,
	    .running = ACTIVITY_UNKNOWN,
	    .event_provenance = -1,
	};
	int r = trace_has_edges(t);

	if (r == 1)
		w.running = ACTIVITY_ON_CPU;
	w.is_damaged = r < 0;
	w.places = place_table_new(t);
	r = walk_threads(&w, s);
	if (ret)
		*ret = w.totals;
	place_table_free(w.places);
	wait_list_done(&w.waits);
	provenance_runs_done(&w.provenance);
	free(w.stack.places);
	free(w.entry.places);
	free(w.place_of);
	free(w.pushed);
	return r;
}
