/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All stacks of a part of a trace as one tree, of all threads together: a node is a place (file,
 * function and line) under its caller, and holds the time in which exactly that stack was there.
 */
#ifndef READER_CALL_TREE_H
#define READER_CALL_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "reader/walk.h"

struct trace;

struct tree_node {
	uint32_t parent; /* of the outermost frames: TREE_ROOT; always a lower number */
	uint32_t frame;
	uint64_t self_ns;
	/* Parts of it, where the trace has edges: */
	uint64_t wait_ns;  /* waiting for something */
	uint64_t ready_ns; /* for a CPU */
};

/* Node 0, the empty stack. */
#define TREE_ROOT 0

/* Open to read. */
struct call_tree {
	struct tree_node *nodes;
	size_t n_nodes;
	struct walk_place *frames;
	size_t n_frames;
	struct walk_totals totals;
};

/*
 * @s    NULL: all of the trace
 * @ret  the caller frees it; also on error, with what could be read
 * Returns 0, or -EBADMSG when the trace or a block of it is damaged, or another negative errno.
 */
int call_tree_new(struct trace *t, const struct selection *s, struct call_tree **ret);
void call_tree_free(struct call_tree *tree);

/*
 * The same in bounded memory: when the tree has max_nodes (0: no limit) more than the stack it is
 * handed to on_tree and begun anew, so a stack can be in several of them; frames keep their
 * numbers. The last tree is handed over, too, and only that has the totals. Returns what on_tree
 * returned when that was not 0, otherwise as call_tree_new().
 */
int call_tree_each(struct trace *t, const struct selection *s, size_t max_nodes,
		   int (*on_tree)(void *ctx, const struct call_tree *tree), void *ctx,
		   struct walk_totals *ret);

#endif
