/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/call_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "reader/trace.h"

/* Of the root. */
#define NO_FRAME UINT32_MAX

/* A program goes between few stacks at a time: these are found without the index of all. */
#define N_RECENT 1024

struct edge {
	uint32_t parent;
	uint32_t frame;
	uint32_t child; /* TREE_ROOT: none */
};

struct builder {
	struct call_tree *tree;
	struct walk *walk;
	size_t cap_nodes, cap_frames;
	struct hash_index node_index;
	struct edge recent[N_RECENT]; /* those that were looked for last, by their hash */
	uint32_t *stack;	      /* nodes, the root first */
	size_t depth, cap_stack;
	size_t max_nodes; /* 0: no limit */
	int (*on_tree)(void *ctx, const struct call_tree *tree);
	void *ctx;
};

/* They outlive the walk. */
static void copy_frames(struct builder *b)
{
	struct call_tree *tree = b->tree;
	size_t n = walk_n_places(b->walk);

	tree->frames = xgrow(tree->frames, &b->cap_frames, n, sizeof(*tree->frames));
	for (; tree->n_frames < n; tree->n_frames++)
		tree->frames[tree->n_frames] = *walk_place(b->walk, (uint32_t)tree->n_frames);
}

static uint32_t add_node(struct builder *b, uint32_t parent, uint32_t frame)
{
	struct call_tree *tree = b->tree;
	uint32_t id = (uint32_t)tree->n_nodes;

	tree->nodes = xgrow(tree->nodes, &b->cap_nodes, tree->n_nodes + 1, sizeof(*tree->nodes));
	tree->nodes[id] = (struct tree_node){.parent = parent, .frame = frame};
	tree->n_nodes++;
	if (frame != NO_FRAME && frame >= tree->n_frames)
		copy_frames(b);
	return id;
}

static uint32_t search_node(struct builder *b, uint32_t parent, uint32_t frame)
{
	const struct call_tree *tree = b->tree;
	uint32_t hash = hash_fold(hash_mix(parent, frame)), added;

	HASH_INDEX_FOR_EACH(&b->node_index, hash, at, id)
	{
		if (tree->nodes[id].parent == parent && tree->nodes[id].frame == frame)
			return id;
	}
	added = add_node(b, parent, frame);
	hash_index_add(&b->node_index, hash, added);
	return added;
}

static uint32_t find_node(struct builder *b, uint32_t parent, uint32_t frame)
{
	struct edge *edge = &b->recent[(parent * 31 + frame) % N_RECENT];

	if (edge->child == TREE_ROOT || edge->parent != parent || edge->frame != frame)
		*edge = (struct edge){parent, frame, search_node(b, parent, frame)};
	return edge->child;
}

static void push(struct builder *b, const uint32_t *frames, uint32_t n)
{
	if (b->depth + n + 1 > b->cap_stack)
		b->stack = xgrow(b->stack, &b->cap_stack, b->depth + n + 1, sizeof(*b->stack));
	b->stack[0] = TREE_ROOT;
	for (uint32_t i = 0; i < n; i++, b->depth++)
		b->stack[b->depth + 1] = find_node(b, b->stack[b->depth], frames[i]);
}

/* Hand the tree over, and begin anew with the stack as it is. */
static int hand_over(struct builder *b)
{
	auto_free uint32_t *frames = xreallocarray(NULL, b->depth + 1, sizeof(*frames));
	uint32_t depth = (uint32_t)b->depth;
	int r;

	for (uint32_t i = 0; i < depth; i++)
		frames[i] = b->tree->nodes[b->stack[i + 1]].frame;
	r = b->on_tree(b->ctx, b->tree);
	if (r != 0)
		return r;
	hash_index_done(&b->node_index);
	b->node_index = (struct hash_index){0};
	memset(b->recent, 0, sizeof(b->recent));
	b->tree->n_nodes = 0;
	add_node(b, NO_FRAME, NO_FRAME); /* the root */
	b->depth = 0;
	push(b, frames, depth);
	return 0;
}

static int on_thread(void *ctx, struct walk *w, const struct trace_thread *thread)
{
	struct builder *b = ctx;

	(void)thread;
	b->walk = w;
	b->depth = 0;
	push(b, NULL, 0);
	return 0;
}

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places, uint32_t n)
{
	struct builder *b = ctx;

	(void)time_ns;
	b->depth -= pop;
	push(b, places, n);
	/* The stack is in the next tree, too. */
	if (b->max_nodes == 0 || b->tree->n_nodes - b->depth <= b->max_nodes)
		return 0;
	return hand_over(b);
}

static int on_time(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		   const struct wait_kind *wait)
{
	struct builder *b = ctx;
	struct tree_node *node = &b->tree->nodes[b->stack[b->depth]];

	(void)wait;
	node->self_ns += end_ns - start_ns;
	if (activity == ACTIVITY_WAITING)
		node->wait_ns += end_ns - start_ns;
	else if (activity == ACTIVITY_READY)
		node->ready_ns += end_ns - start_ns;
	return 0;
}

static int build(struct builder *b, struct trace *t, const struct selection *s)
{
	static const struct walk_calls calls = {
	    .on_thread = on_thread, .on_change = on_change, .on_time = on_time};
	static const struct selection_options everything = {0};
	struct selection all;
	char why[1];
	int r;

	add_node(b, NO_FRAME, NO_FRAME); /* the root */
	if (s)
		return walk_trace(t, s, &calls, b, &b->tree->totals);
	r = selection_resolve(t, &everything, &all, why, sizeof(why));
	if (r < 0)
		return r;
	r = walk_trace(t, &all, &calls, b, &b->tree->totals);
	selection_done(&all);
	return r;
}

static void builder_done(struct builder *b)
{
	hash_index_done(&b->node_index);
	free(b->stack);
}

int call_tree_new(struct trace *t, const struct selection *s, struct call_tree **ret)
{
	struct builder b = {
	    .tree = xcalloc(1, sizeof(*b.tree)),
	};
	int r = build(&b, t, s);

	builder_done(&b);
	*ret = b.tree;
	return r;
}

int call_tree_each(struct trace *t, const struct selection *s, size_t max_nodes,
		   int (*on_tree)(void *ctx, const struct call_tree *tree), void *ctx,
		   struct walk_totals *ret)
{
	struct builder b = {.tree = xcalloc(1, sizeof(*b.tree)),
			    .max_nodes = max_nodes,
			    .on_tree = on_tree,
			    .ctx = ctx};
	int r = build(&b, t, s), r_tree = 0;

	/* Damage leaves something to tell of. */
	if (r == 0 || r == -EBADMSG)
		r_tree = on_tree(ctx, b.tree);
	if (ret)
		*ret = b.tree->totals;
	builder_done(&b);
	call_tree_free(b.tree);
	return r_tree != 0 ? r_tree : r;
}

void call_tree_free(struct call_tree *tree)
{
	if (!tree)
		return;
	free(tree->nodes);
	free(tree->frames);
	free(tree);
}
