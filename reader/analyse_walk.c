/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows from a walk: who entered what when, and what the thread did meanwhile. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/wait_codec.h"
#include "common/xalloc.h"
#include "reader/analyse.h"
#include "reader/analyse_rows.h"
#include "reader/trace_waits.h"
#include "reader/walk.h"

#define NO_ROW SIZE_MAX

/* A frame on the stack. */
struct slot {
	uint32_t place;
	size_t row;
	uint64_t since_ns; /* on this line, or in this call */
};

struct place_row {
	struct walk_place place;
	size_t row;
};

/* What is open of a row. */
struct row_state {
	uint32_t n_frames;
	uint64_t since_ns;
};

struct walker {
	const struct row_walk *what;
	struct analysis_rows *rows;
	struct slot *slots;
	size_t depth, cap_slots;
	struct place_row *places; /* by place */
	size_t n_places, cap_places;
	struct row_state *states; /* by row */
	size_t n_states, cap_states;
	const struct walk *walk;
};

/* --- places and rows --- */

static size_t find_row(struct walker *w, const struct walk_place *p)
{
	const struct analysis_filter *f = &w->what->a->filter;
	const struct trace_code *code = trace_get_code(w->what->a->trace, p->code);
	const struct analysis_row *found;
	size_t row;

	if (w->what->is_filtered &&
	    (!analysis_filter_has_file(f, p->file) || !analysis_filter_has_code(f, p->code)))
		return NO_ROW;
	if (w->what->by_function)
		found = analysis_rows_get(w->rows, p->file, code ? code->first_line : 0, p->code);
	else
		found = analysis_rows_get(w->rows, p->file, p->line, 0);
	row = (size_t)(found - w->rows->rows);
	while (w->n_states <= row) {
		w->states = xgrow(w->states, &w->cap_states, w->n_states + 1, sizeof(*w->states));
		w->states[w->n_states++] = (struct row_state){0};
	}
	return row;
}

static void add_places(struct walker *w)
{
	size_t n = walk_n_places(w->walk);

	w->places = xgrow(w->places, &w->cap_places, n, sizeof(*w->places));
	for (; w->n_places < n; w->n_places++) {
		const struct walk_place *p = walk_place(w->walk, (uint32_t)w->n_places);

		w->places[w->n_places] = (struct place_row){.place = *p, .row = find_row(w, p)};
	}
}

/* Lent until the next call. */
static inline struct place_row *get_place(struct walker *w, uint32_t id)
{
	if (id >= w->n_places)
		add_places(w);
	return &w->places[id];
}

static bool is_same_function(struct walker *w, uint32_t on_stack, uint32_t next)
{
	const struct walk_place *y = &get_place(w, next)->place;
	const struct walk_place *x = &w->places[on_stack].place;

	return x->file == y->file && x->code == y->code;
}

/* --- frames --- */

static void enter(struct walker *w, uint32_t place, uint64_t time_ns)
{
	size_t row = get_place(w, place)->row;

	if (w->depth == w->cap_slots)
		w->slots = xgrow(w->slots, &w->cap_slots, w->depth + 1, sizeof(*w->slots));
	w->slots[w->depth++] = (struct slot){place, row, time_ns};
	if (row == NO_ROW)
		return;
	if (w->states[row].n_frames++ == 0)
		w->states[row].since_ns = time_ns;
	if (!walk_is_entering(w->walk))
		w->rows->rows[row].sum.visits++;
}

static void leave(struct walker *w, uint64_t time_ns)
{
	const struct slot *s = &w->slots[--w->depth];
	struct analysis_row *row;

	if (s->row == NO_ROW)
		return;
	row = &w->rows->rows[s->row];
	if (--w->states[s->row].n_frames == 0)
		row->sum.total_ns += time_ns - w->states[s->row].since_ns;
	if (w->what->with_durations)
		durations_add(&row->durations, s->since_ns, time_ns - s->since_ns);
}

static int on_thread(void *ctx, struct walk *walk, const struct trace_thread *thread)
{
	struct walker *w = ctx;

	(void)thread;
	w->walk = walk;
	w->depth = 0;
	return 0;
}

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places,
		     uint32_t n_places)
{
	struct walker *w = ctx;
	size_t bottom = pop < w->depth ? w->depth - pop : 0;
	bool is_move = w->depth > bottom && n_places > 0 && w->what->by_function &&
		       is_same_function(w, w->slots[bottom].place, places[0]);

	while (w->depth > bottom + (is_move ? 1 : 0))
		leave(w, time_ns);
	/* The frame only went on to another line. */
	if (is_move)
		w->slots[bottom].place = places[0];
	for (uint32_t i = is_move ? 1 : 0; i < n_places; i++)
		enter(w, places[i], time_ns);
	/* Lines count also when they are returned to, as in the index. */
	if (n_places == 0 && w->depth > 0 && !w->what->by_function &&
	    w->slots[w->depth - 1].row != NO_ROW)
		w->rows->rows[w->slots[w->depth - 1].row].sum.visits++;
	return 0;
}

/* --- time --- */

static bool is_gil(struct walker *w, const struct wait_kind *wait)
{
	const struct trace_reason *reason =
	    wait ? trace_get_reason(w->what->a->trace, wait->reason) : NULL;

	return reason && strcmp(reason->kind, TRACE_KIND_GIL) == 0;
}

static int on_time(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		   const struct wait_kind *wait)
{
	struct walker *w = ctx;
	const struct time_split *split = walk_split(w->walk);
	struct trace_line *sum;

	w->rows->observed_ns += end_ns - start_ns;
	if (w->depth == 0 || w->slots[w->depth - 1].row == NO_ROW)
		return 0;
	sum = &w->rows->rows[w->slots[w->depth - 1].row].sum;
	sum->self_ns += end_ns - start_ns;
	sum->wait_ns += split->ns[SPLIT_WAITING];
	sum->ready_ns += split->ns[SPLIT_READY];
	if (activity == ACTIVITY_WAITING && is_gil(w, wait))
		sum->gil_ns += end_ns - start_ns;
	return 0;
}

static int on_gap(void *ctx, uint64_t start_ns, uint64_t end_ns)
{
	struct walker *w = ctx;

	w->rows->unobserved_ns += end_ns - start_ns;
	return 0;
}

int analysis_walk(const struct row_walk *what, const struct walk_range *range,
		  struct analysis_rows *ret)
{
	static const struct walk_calls calls = {
	    .on_thread = on_thread,
	    .on_change = on_change,
	    .on_time = on_time,
	    .on_gap = on_gap,
	};
	struct walker w = {.what = what, .rows = ret};
	int r = range ? walk_part(what->a->trace, range, &calls, &w)
		      : walk_trace(what->a->trace, what->a->selection, &calls, &w, NULL);

	free(w.slots);
	free(w.places);
	free(w.states);
	return r;
}
