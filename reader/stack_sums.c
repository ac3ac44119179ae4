/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/stack_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "reader/trace.h"

/* The place of a root. */
#define NO_PLACE UINT32_MAX

struct adder {
	struct stack_sums sums;
	size_t max_nodes;
	int (*on_sums)(void *ctx, const struct stack_sums *sums);
	void *ctx;
	size_t cap_nodes, cap_places;
	struct hash_index nodes;
	bool by_thread;
	struct walk *walk;
	uint32_t *stack; /* nodes, the root first */
	size_t cap_stack;
	size_t depth; /* without the root */
};

static uint32_t add_node(struct adder *a, uint32_t parent, uint32_t place)
{
	struct stack_sums *s = &a->sums;

	s->nodes = xgrow(s->nodes, &a->cap_nodes, s->n_nodes + 1, sizeof(*s->nodes));
	s->nodes[s->n_nodes] = (struct stack_node){.parent = parent, .place = place};
	return (uint32_t)s->n_nodes++;
}

static uint32_t find_node(struct adder *a, uint32_t parent, uint32_t place)
{
	uint32_t hash = hash_fold(hash_mix(parent, place));
	uint32_t new_id;

	HASH_INDEX_FOR_EACH(&a->nodes, hash, at, id)
	{
		if (a->sums.nodes[id].parent == parent && a->sums.nodes[id].place == place)
			return id;
	}
	new_id = add_node(a, parent, place);
	hash_index_add(&a->nodes, hash, new_id);
	return new_id;
}

/* Places are kept beyond the walk. */
static void copy_places(struct adder *a)
{
	struct stack_sums *s = &a->sums;
	size_t n = walk_n_places(a->walk);

	s->places = xgrow(s->places, &a->cap_places, n, sizeof(*s->places));
	for (; s->n_places < n; s->n_places++)
		s->places[s->n_places] = *walk_place(a->walk, (uint32_t)s->n_places);
}

static size_t find_thread(const struct adder *a, uint16_t id)
{
	for (size_t i = 0; i < a->sums.n_threads; i++) {
		if (a->sums.threads[i].id == id)
			return i;
	}
	return 0;
}

static int on_thread(void *ctx, struct walk *w, const struct trace_thread *thread)
{
	struct adder *a = ctx;

	a->walk = w;
	a->depth = 0;
	a->stack[0] = a->by_thread ? (uint32_t)find_thread(a, thread->id) : 0;
	return 0;
}

/* The frame that is replaced is one of the same function, which went on to another line. */
static bool is_step(const struct adder *a, uint32_t replaced, uint32_t place)
{
	const struct walk_place *old = &a->sums.places[replaced];
	const struct walk_place *new = &a->sums.places[place];

	return old->file == new->file && old->code == new->code;
}

static void add_roots(struct adder *a)
{
	for (uint32_t i = 0; i < a->sums.n_threads; i++)
		add_node(a, i, NO_PLACE);
}

/* Tell the tree, and begin another one with the stack as it is. */
static int begin_anew(struct adder *a)
{
	auto_free uint32_t *places = xreallocarray(NULL, a->depth + 1, sizeof(*places));
	int r = a->on_sums(a->ctx, &a->sums);

	for (size_t i = 1; i <= a->depth; i++)
		places[i] = a->sums.nodes[a->stack[i]].place;
	hash_index_done(&a->nodes);
	a->nodes = (struct hash_index){0};
	a->sums.n_nodes = 0;
	add_roots(a);
	for (size_t i = 1; i <= a->depth; i++)
		a->stack[i] = find_node(a, a->stack[i - 1], places[i]);
	return r;
}

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places,
		     uint32_t n_places)
{
	struct adder *a = ctx;
	uint32_t replaced = NO_PLACE;
	int r = 0;

	(void)time_ns;
	if (a->sums.n_nodes >= a->max_nodes && a->sums.n_nodes / 4 >= a->depth)
		r = begin_anew(a);
	if (r != 0)
		return r;
	copy_places(a);
	a->depth -= pop < a->depth ? pop : a->depth;
	if (pop)
		replaced = a->sums.nodes[a->stack[a->depth + 1]].place;
	a->stack = xgrow(a->stack, &a->cap_stack, a->depth + n_places + 1, sizeof(*a->stack));
	for (uint32_t i = 0; i < n_places; i++) {
		uint32_t node = find_node(a, a->stack[a->depth], places[i]);

		a->stack[++a->depth] = node;
		if (i > 0 || replaced == NO_PLACE || !is_step(a, replaced, places[i]))
			a->sums.nodes[node].n_calls++;
	}
	a->sums.nodes[a->stack[a->depth]].n_seen++;
	return 0;
}

static int on_time(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		   const struct wait_kind *wait)
{
	struct adder *a = ctx;
	const struct time_split *split = walk_split(a->walk);
	struct stack_node *node = &a->sums.nodes[a->stack[a->depth]];

	(void)activity;
	(void)wait;
	node->wall_ns += end_ns - start_ns;
	node->cpu_ns += split->ns[SPLIT_ON_CPU];
	node->wait_ns += split->ns[SPLIT_WAITING];
	node->ready_ns += split->ns[SPLIT_READY];
	return 0;
}

static int load_threads(struct adder *a, struct trace *t)
{
	struct stack_sums *s = &a->sums;
	int r = trace_threads(t, &s->threads, &s->n_threads);

	if (!a->by_thread || s->n_threads == 0)
		s->n_threads = 1;
	add_roots(a);
	a->stack = xgrow(a->stack, &a->cap_stack, 1, sizeof(*a->stack));
	a->stack[0] = 0;
	return r;
}

int stack_sums_each(struct trace *t, const struct selection *s, bool by_thread, size_t max_nodes,
		    int (*on_sums)(void *ctx, const struct stack_sums *sums), void *ctx,
		    struct walk_totals *totals)
{
	static const struct walk_calls calls = {
	    .on_thread = on_thread, .on_change = on_change, .on_time = on_time};
	struct adder a = {
	    .by_thread = by_thread, .max_nodes = max_nodes, .on_sums = on_sums, .ctx = ctx};
	int r_threads = load_threads(&a, t), r = walk_trace(t, s, &calls, &a, totals), r_sums = 0;

	if (r == 0 || r == -EBADMSG)
		r_sums = on_sums(ctx, &a.sums);
	hash_index_done(&a.nodes);
	free(a.stack);
	free(a.sums.nodes);
	free(a.sums.places);
	free(a.sums.threads);
	if (r_sums < 0)
		return r_sums;
	return r < 0 ? r : r_threads;
}
