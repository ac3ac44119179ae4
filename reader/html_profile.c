/* SPDX-License-Identifier: BSD-3-Clause */
/* From a walk over the trace to a profile. Threads come one after the other, each in the order of
 * time: only one row is open, and all before it are done. */
#include "reader/html_profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash_index.h"
#include "common/xalloc.h"
#include "reader/html_profile_private.h"
#include "reader/trace.h"
#include "reader/trace_waits.h"

/* With more reasons to wait, further ones are told by their kind alone. */
#define MAX_STATES 4096

const struct profile_limits profile_default_limits = {
    .max_slices = 8192,
    .min_slices = 512,
    .max_cells = 1000000,
    .max_nodes = 200000,
    .max_waits = 4000,
};

/* While walking there may be so many times as much. */
#define SLACK 3

static uint64_t slice_end(const struct profile_builder *b, uint32_t slice)
{
	return b->p->since_ns + ((uint64_t)slice + 1) * b->p->slice_ns;
}

/* --- the tree --- */

/* It has no cell in the open row. */
static void close_node(struct profile_builder *b, size_t node)
{
	memset(b->open[node], 0xff, sizeof(b->open[node]));
}

static uint32_t add_node(struct profile_builder *b, uint32_t parent, uint32_t place)
{
	struct html_profile *p = b->p;

	p->nodes = xgrow(p->nodes, &b->cap_nodes, p->n_nodes + 1, sizeof(*p->nodes));
	b->open = xgrow(b->open, &b->cap_open, p->n_nodes + 1, sizeof(*b->open));
	p->nodes[p->n_nodes] = (struct profile_node){.parent = parent, .place = place};
	close_node(b, p->n_nodes);
	hash_index_add(&b->node_index, profile_node_hash(parent, place), (uint32_t)p->n_nodes);
	return (uint32_t)p->n_nodes++;
}

static uint32_t find_node(struct profile_builder *b, uint32_t parent, uint32_t place)
{
	const struct html_profile *p = b->p;

	/* What is below a stack that was put together with others belongs to it. */
	if (p->nodes[parent].place == PROFILE_OTHER)
		return parent;
	HASH_INDEX_FOR_EACH(&b->node_index, profile_node_hash(parent, place), at, id)
	{
		if (p->nodes[id].parent == parent && p->nodes[id].place == place)
			return id;
	}
	return add_node(b, parent, place);
}

static void note_places(struct profile_builder *b, const struct walk *w)
{
	struct html_profile *p = b->p;
	size_t n = walk_n_places(w) + PROFILE_N_SPECIAL;

	if (n <= p->n_places)
		return;
	p->places = xgrow(p->places, &b->cap_places, n, sizeof(*p->places));
	for (; p->n_places < n; p->n_places++)
		p->places[p->n_places] =
		    *walk_place(w, (uint32_t)(p->n_places - PROFILE_N_SPECIAL));
}

/* --- what a thread does --- */

static uint32_t find_state(struct profile_builder *b, const struct profile_state *s)
{
	struct html_profile *p = b->p;
	uint64_t mixed =
	    hash_mix(hash_mix(0, s->reason), (uint64_t)s->class << 3 | (s->is_short ? 4u : 0u) |
						 (s->is_idle ? 2u : 0u) | s->is_any);
	uint32_t hash = hash_fold(mixed);

	HASH_INDEX_FOR_EACH(&b->state_index, hash, at, id)
	{
		const struct profile_state *known = &p->states[id];

		if (known->class == s->class && known->is_idle == s->is_idle &&
		    known->is_short == s->is_short && known->is_any == s->is_any &&
		    known->reason == s->reason)
			return id;
	}
	p->states = xgrow(p->states, &b->cap_states, p->n_states + 1, sizeof(*p->states));
	p->states[p->n_states] = *s;
	hash_index_add(&b->state_index, hash, (uint32_t)p->n_states);
	return (uint32_t)p->n_states++;
}

/* The first state that stands for all reasons of this one's kind. */
static uint32_t find_state_of_kind(struct profile_builder *b, const struct trace_reason *reason,
				   struct profile_state *s)
{
	struct html_profile *p = b->p;

	s->is_any = true;
	for (uint32_t i = 0; i < p->n_states; i++) {
		const struct trace_reason *other;

		if (!p->states[i].is_any || p->states[i].is_idle != s->is_idle)
			continue;
		other = trace_get_reason(b->trace, p->states[i].reason);
		if (other && strcmp(other->kind, reason->kind) == 0)
			return i;
	}
	return find_state(b, s);
}

static uint32_t find_wait_state(struct profile_builder *b, const struct wait_kind *wait)
{
	struct profile_state s = {.class = PROFILE_WAITING};
	const struct trace_reason *reason = NULL;

	if (wait) {
		s.is_idle = wait->idle;
		reason = trace_get_reason(b->trace, wait->reason);
	}
	if (reason)
		s.reason = reason->same_as;
	if (reason && b->p->n_states >= MAX_STATES)
		return find_state_of_kind(b, reason, &s);
	return find_state(b, &s);
}

/* --- rows --- */

static void close_row(struct profile_builder *b)
{
	struct html_profile *p = b->p;
	struct profile_row *row = &p->rows[p->n_rows];

	if (!b->is_open)
		return;
	b->is_open = false;
	for (size_t i = row->first_cell; i < p->n_cells; i++)
		close_node(b, p->cells[i].node);
	row->n_cells =
	    profile_merge_cells(p->cells + row->first_cell, p->n_cells - row->first_cell);
	p->n_cells = row->first_cell + row->n_cells;
	if (row->n_cells || row->gap_ns)
		p->n_rows++;
}

static void reduce_while_walking(struct profile_builder *b)
{
	const struct profile_limits *l = b->limits;
	auto_free uint32_t *map = NULL;

	if (b->p->n_cells <= SLACK * l->max_cells && b->p->n_nodes <= SLACK * l->max_nodes)
		return;
	map = profile_reduce(b->p, l->max_cells, l->max_nodes, l->min_slices);
	for (size_t i = 0; i < b->depth; i++)
		b->stack[i] = map[b->stack[i]];
	b->wait.node = map[b->wait.node];
	hash_index_done(&b->node_index);
	for (uint32_t i = 1; i < b->p->n_nodes; i++)
		hash_index_add(&b->node_index,
			       profile_node_hash(b->p->nodes[i].parent, b->p->nodes[i].place), i);
	for (size_t i = 0; i < b->p->n_nodes; i++)
		close_node(b, i);
}

/* The row of the slice that a moment lies in becomes the open one. */
static struct profile_row *open_row(struct profile_builder *b, uint64_t time_ns)
{
	struct html_profile *p = b->p;

	if (b->is_open && time_ns < b->row_end_ns)
		return &p->rows[p->n_rows];
	close_row(b);
	reduce_while_walking(b);
	p->rows = xgrow(p->rows, &b->cap_rows, p->n_rows + 1, sizeof(*p->rows));
	p->rows[p->n_rows] = (struct profile_row){
	    .thread = (uint32_t)(p->n_threads - 1),
	    .slice = (uint32_t)((time_ns - p->since_ns) / p->slice_ns),
	    .first_cell = p->n_cells,
	};
	b->row_end_ns = slice_end(b, p->rows[p->n_rows].slice);
	b->is_open = true;
	return &p->rows[p->n_rows];
}

/* To a node's cell in the open row. */
static void add(struct profile_builder *b, uint32_t node, uint32_t state, uint64_t value)
{
	struct html_profile *p = b->p;
	size_t first = p->rows[p->n_rows].first_cell;
	uint32_t *open = &b->open[node][state < N_FIXED_STATES ? state : STATE_UNKNOWN];

	/* Other waits than the last one of a node have further cells, which are merged in the end.
	 */
	if (*open != NO_CELL && p->cells[first + *open].state == state) {
		p->cells[first + *open].value += value;
		return;
	}
	p->cells = xgrow(p->cells, &b->cap_cells, p->n_cells + 1, sizeof(*p->cells));
	p->cells[p->n_cells] = (struct profile_cell){.node = node, .state = state, .value = value};
	*open = (uint32_t)(p->n_cells++ - first);
}

/* --- calls of the walk --- */

static void end_wait(struct profile_builder *b)
{
	if (b->wait.length_ns)
		html_longest_add(&b->p->longest, &b->wait);
	b->wait.length_ns = 0;
}

/* Waits come in pieces: at the ends of blocks. */
static void note_wait(struct profile_builder *b, uint64_t start_ns, uint64_t end_ns, uint32_t state)
{
	struct longest_wait *w = &b->wait;
	uint32_t node = b->stack[b->depth - 1];

	start_ns -= b->p->since_ns;
	end_ns -= b->p->since_ns;
	if (w->length_ns && w->start_ns + w->length_ns == start_ns && w->node == node &&
	    w->state == state) {
		w->length_ns = end_ns - w->start_ns;
		return;
	}
	end_wait(b);
	*w = (struct longest_wait){.start_ns = start_ns,
				   .length_ns = end_ns - start_ns,
				   .thread = (uint32_t)(b->p->n_threads - 1),
				   .node = node,
				   .state = state};
}

static int on_thread(void *ctx, struct walk *w, const struct trace_thread *thread)
{
	struct profile_builder *b = ctx;
	struct html_profile *p = b->p;

	end_wait(b);
	close_row(b);
	b->walk = w;
	b->depth = 1;
	p->threads = xgrow(p->threads, &b->cap_threads, p->n_threads + 1, sizeof(*p->threads));
	p->threads[p->n_threads++] = *thread;
	return 0;
}

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places,
		     uint32_t n_places)
{
	struct profile_builder *b = ctx;
	bool counts = !walk_is_entering(b->walk);

	/* What happened at the very end belongs to the last slice. */
	if (counts)
		open_row(b, time_ns < b->p->until_ns ? time_ns : b->p->until_ns - 1);
	note_places(b, b->walk);
	b->depth -= pop;
	b->stack = xgrow(b->stack, &b->cap_stack, b->depth + n_places, sizeof(*b->stack));
	for (uint32_t i = 0; i < n_places; i++, b->depth++) {
		b->stack[b->depth] =
		    find_node(b, b->stack[b->depth - 1], places[i] + PROFILE_N_SPECIAL);
		if (counts)
			add(b, b->stack[b->depth], STATE_VISITS, 1);
	}
	if (counts && n_places == 0 && b->depth > 1)
		add(b, b->stack[b->depth - 1], STATE_VISITS, 1);
	return 0;
}

/* What a stretch was listed as. */
static uint32_t state_of(struct profile_builder *b, enum thread_activity activity,
			 const struct wait_kind *wait)
{
	switch (activity) {
	case ACTIVITY_WAITING:
		return find_wait_state(b, wait);
	case ACTIVITY_ON_CPU:
		return STATE_ON_CPU;
	case ACTIVITY_READY:
		return STATE_READY;
	default:
		return STATE_UNKNOWN;
	}
}

static void add_time(struct profile_builder *b, uint32_t state, const struct time_split *split)
{
	const uint32_t states[N_SPLIT_KINDS] = {
	    [SPLIT_ON_CPU] = STATE_ON_CPU,
	    [SPLIT_WAITING] = state < N_FIXED_STATES ? (uint32_t)STATE_SHORT : state,
	    [SPLIT_READY] = STATE_READY,
	};

	for (int k = 0; k < N_SPLIT_KINDS; k++) {
		if (split->ns[k])
			add(b, b->stack[b->depth - 1], states[k], split->ns[k]);
	}
}

static int on_time(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		   const struct wait_kind *wait)
{
	struct profile_builder *b = ctx;
	const struct time_split *split = walk_split(b->walk);
	uint32_t state = state_of(b, activity, wait);

	if (activity == ACTIVITY_WAITING)
		note_wait(b, start_ns, end_ns, state);
	else
		end_wait(b);
	for (uint64_t at_ns = start_ns, to_ns; at_ns < end_ns; at_ns = to_ns) {
		struct time_split part;

		open_row(b, at_ns);
		to_ns = end_ns < b->row_end_ns ? end_ns : b->row_end_ns;
		if (activity == ACTIVITY_UNKNOWN) {
			add(b, b->stack[b->depth - 1], STATE_UNKNOWN, to_ns - at_ns);
			continue;
		}
		part = time_split_part(split, at_ns - start_ns, to_ns - start_ns);
		add_time(b, state, &part);
	}
	return 0;
}

static int on_gap(void *ctx, uint64_t start_ns, uint64_t end_ns)
{
	struct profile_builder *b = ctx;

	end_wait(b);
	while (start_ns < end_ns) {
		struct profile_row *row = open_row(b, start_ns);
		uint64_t to_ns = end_ns < b->row_end_ns ? end_ns : b->row_end_ns;

		row->gap_ns += to_ns - start_ns;
		start_ns = to_ns;
	}
	return 0;
}

/* --- all of it --- */

static void builder_init(struct profile_builder *b, const struct selection *s)
{
	static const struct profile_state fixed[N_FIXED_STATES] = {
	    [STATE_VISITS] = {.class = PROFILE_VISITS},
	    [STATE_UNKNOWN] = {.class = PROFILE_UNKNOWN},
	    [STATE_ON_CPU] = {.class = PROFILE_ON_CPU},
	    [STATE_READY] = {.class = PROFILE_READY},
	    [STATE_SHORT] = {.class = PROFILE_WAITING, .is_short = true},
	};
	struct html_profile *p = b->p;
	uint64_t span_ns = s->until_ns - s->since_ns;

	p->since_ns = s->since_ns;
	p->until_ns = s->until_ns;
	p->slice_ns = span_ns / b->limits->max_slices + 1;
	html_longest_init(&p->longest, span_ns, b->limits->max_waits);
	p->places = xgrow(p->places, &b->cap_places, PROFILE_N_SPECIAL, sizeof(*p->places));
	for (; p->n_places < PROFILE_N_SPECIAL; p->n_places++)
		p->places[p->n_places] = (struct walk_place){0};
	add_node(b, 0, PROFILE_NOWHERE);
	for (int i = 0; i < N_FIXED_STATES; i++)
		find_state(b, &fixed[i]);
	b->stack = xgrow(b->stack, &b->cap_stack, 1, sizeof(*b->stack));
	b->stack[0] = 0;
	b->depth = 1;
}

static void builder_done(struct profile_builder *b)
{
	hash_index_done(&b->node_index);
	hash_index_done(&b->state_index);
	free(b->stack);
	free(b->open);
}

int html_profile_new(struct trace *t, const struct selection *s,
		     const struct profile_limits *limits, struct html_profile **ret)
{
	static const struct walk_calls calls = {
	    .on_thread = on_thread, .on_change = on_change, .on_time = on_time, .on_gap = on_gap};
	auto_release(html_profile_free) struct html_profile *p = xcalloc(1, sizeof(*p));
	struct profile_builder b = {.p = p, .trace = t, .limits = limits};
	int r;

	builder_init(&b, s);
	r = walk_trace(t, s, &calls, &b, &p->totals);
	end_wait(&b);
	close_row(&b);
	builder_done(&b);
	if (r < 0 && r != -EBADMSG)
		return r;
	/* A slice that became longer in the midst of a row has two. */
	profile_merge_rows(p);
	html_profile_reduce(p, limits->max_cells, limits->max_nodes, limits->min_slices);
	html_longest_finish(&p->longest);
	*ret = steal_ptr(p);
	return r;
}

void html_profile_free(struct html_profile *p)
{
	if (!p)
		return;
	html_longest_done(&p->longest);
	free(p->places);
	free(p->nodes);
	free(p->states);
	free(p->threads);
	free(p->rows);
	free(p->cells);
	free(p);
}
