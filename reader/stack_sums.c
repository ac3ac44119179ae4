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

/* A program goes between few stacks at a time: the changes that came last, by their hash. */
#define RECENT_BITS 12
#define N_RECENT    (1u << RECENT_BITS)

struct recent {
	uint64_t block; /* in which it was seen; 0: it is none */
	const uint32_t *places;
	uint32_t pop, n_places;
	uint32_t from, to; /* nodes */
	uint32_t n_calls;  /* so many of the frames that come are new calls */
	uint64_t n;	   /* so often; not yet in the nodes */
};

struct adder {
	struct stack_sums sums;
	size_t max_nodes;
	int (*on_sums)(void *ctx, const struct stack_sums *sums);
	void *ctx;
	size_t cap_nodes, cap_places;
	struct hash_index nodes;
	struct recent recent[N_RECENT];
	bool by_thread;
	struct walk *walk;
	uint32_t top; /* the node of the stack */
	size_t depth; /* of it, without the root */
};

/* Places are kept beyond the walk. */
static void copy_places(struct adder *a)
{
	struct stack_sums *s = &a->sums;
	size_t n = walk_n_places(a->walk);

	s->places = xgrow(s->places, &a->cap_places, n, sizeof(*s->places));
	for (; s->n_places < n; s->n_places++)
		s->places[s->n_places] = *walk_place(a->walk, (uint32_t)s->n_places);
}

static uint32_t add_node(struct adder *a, uint32_t parent, uint32_t place)
{
	struct stack_sums *s = &a->sums;

	if (place != NO_PLACE && place >= s->n_places)
		copy_places(a);
	s->nodes = xgrow(s->nodes, &a->cap_nodes, s->n_nodes + 1, sizeof(*s->nodes));
	s->nodes[s->n_nodes] = (struct stack_node){.parent = parent, .place = place};
	return (uint32_t)s->n_nodes++;
}

static uint32_t find_node(struct adder *a, uint32_t parent, uint32_t place)
{
	uint32_t hash = hash_fold(hash_mix(parent, place)), added;

	HASH_INDEX_FOR_EACH(&a->nodes, hash, at, id)
	{
		if (a->sums.nodes[id].parent == parent && a->sums.nodes[id].place == place)
			return id;
	}
	added = add_node(a, parent, place);
	hash_index_add(&a->nodes, hash, added);
	return added;
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
	a->top = a->by_thread ? (uint32_t)find_thread(a, thread->id) : 0;
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

static void flush(struct adder *a, struct recent *r)
{
	struct stack_node *nodes = a->sums.nodes;

	if (!r->n)
		return;
	nodes[r->to].n_seen += r->n;
	for (uint32_t i = r->n_calls, node = r->to; i; i--, node = nodes[node].parent)
		nodes[node].n_calls += r->n;
	r->n = 0;
}

static void flush_all(struct adder *a)
{
	for (size_t i = 0; i < N_RECENT; i++)
		flush(a, &a->recent[i]);
	memset(a->recent, 0, sizeof(a->recent));
}

/* Tell the tree, and begin another one with the stack as it is. */
static int begin_anew(struct adder *a)
{
	auto_free uint32_t *places = xreallocarray(NULL, a->depth + 1, sizeof(*places));
	int r;

	flush_all(a);
	r = a->on_sums(a->ctx, &a->sums);
	for (size_t i = a->depth; i-- > 0; a->top = a->sums.nodes[a->top].parent)
		places[i] = a->sums.nodes[a->top].place;
	hash_index_done(&a->nodes);
	a->nodes = (struct hash_index){0};
	a->sums.n_nodes = 0;
	add_roots(a);
	/* The root is the same one. */
	for (size_t i = 0; i < a->depth; i++)
		a->top = find_node(a, a->top, places[i]);
	return r;
}

/* Where a change leads to; in place of another one. */
static void follow(struct adder *a, uint32_t pop, const uint32_t *places, uint32_t n_places,
		   struct recent *ret)
{
	uint32_t replaced = NO_PLACE, node = a->top;

	flush(a, ret);
	for (uint32_t i = 0; i < pop; i++) {
		replaced = a->sums.nodes[node].place;
		node = a->sums.nodes[node].parent;
	}
	for (uint32_t i = 0; i < n_places; i++)
		node = find_node(a, node, places[i]);
	*ret = (struct recent){
	    .block = walk_block_number(a->walk),
	    .places = places,
	    .pop = pop,
	    .n_places = n_places,
	    .from = a->top,
	    .to = node,
	    .n_calls = n_places,
	};
	if (n_places && replaced != NO_PLACE && is_step(a, replaced, places[0]))
		ret->n_calls--;
}

static struct recent *find_recent(struct adder *a, uint32_t pop, const uint32_t *places)
{
	uint32_t address = (uint32_t)((uintptr_t)places / sizeof(*places)) + pop;

	return &a->recent[(a->top * 0x9e3779b1u ^ address * 0x85ebca6bu) >> (32 - RECENT_BITS)];
}

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places,
		     uint32_t n_places)
{
	struct adder *a = ctx;
	struct recent *recent;
	int r = 0;

	(void)time_ns;
	if (a->sums.n_nodes >= a->max_nodes && a->sums.n_nodes / 4 >= a->depth)
		r = begin_anew(a);
	if (r != 0)
		return r;
	recent = find_recent(a, pop, places);
	if (recent->block != walk_block_number(a->walk) || recent->from != a->top ||
	    recent->places != places || recent->pop != pop || recent->n_places != n_places)
		follow(a, pop, places, n_places, recent);
	recent->n += !walk_is_entering(a->walk);
	a->depth = a->depth - pop + n_places;
	a->top = recent->to;
	return 0;
}

static int on_time(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		   const struct wait_kind *wait)
{
	struct adder *a = ctx;
	const struct time_split *split = walk_split(a->walk);
	struct stack_node *node = &a->sums.nodes[a->top];

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

	flush_all(&a);
	if (r == 0 || r == -EBADMSG)
		r_sums = on_sums(ctx, &a.sums);
	hash_index_done(&a.nodes);
	free(a.sums.nodes);
	free(a.sums.places);
	free(a.sums.threads);
	if (r_sums < 0)
		return r_sums;
	return r < 0 ? r : r_threads;
}
