/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was selected of a trace, added up by stack: a tree whose nodes are frames under their
 * callers, each with what was seen of exactly that stack. Where there are too many distinct stacks
 * for one tree there are several, whose sums count together; so it takes some 20 MiB at most,
 * however long the trace.
 */
#ifndef READER_STACK_SUMS_H
#define READER_STACK_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader/walk.h"

struct stack_node {
	uint32_t parent; /* a lower number; of a root: itself */
	uint32_t place;	 /* UINT32_MAX: a root, the empty stack */
	uint64_t wall_ns;
	/* Parts of it, where the trace has edges. */
	uint64_t cpu_ns;
	uint64_t wait_ns;
	uint64_t ready_ns;
	uint64_t n_seen;  /* how often the stack came to be just that */
	uint64_t n_calls; /* how often the frame came new; not when it only went on to this line */
};

/* A tree of more nodes, and of four times as many as the stack has frames, is the last but one. */
#define STACK_SUMS_MAX_NODES (1u << 18)

/* Open to read. */
struct stack_sums {
	struct stack_node *nodes;
	size_t n_nodes;
	struct walk_place *places; /* those of the trees before are still the same */
	size_t n_places;
	struct trace_thread *threads; /* with a tree each; node i is the root of thread i */
	size_t n_threads;	      /* 1 when all have one tree; then only node 0 is a root */
};

/*
 * @by_thread  a tree for each thread, otherwise one for all
 * @max_nodes  STACK_SUMS_MAX_NODES
 * @on_sums    for each tree, at least once, also after an error of reading; what is not 0 ends it
 *             and is returned
 * @totals     of the walk, also on error; may be NULL
 * Returns as walk_trace() does.
 */
int stack_sums_each(struct trace *t, const struct selection *s, bool by_thread, size_t max_nodes,
		    int (*on_sums)(void *ctx, const struct stack_sums *sums), void *ctx,
		    struct walk_totals *totals);

#endif
