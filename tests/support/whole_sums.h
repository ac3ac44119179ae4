/* SPDX-License-Identifier: BSD-3-Clause */
/* All stacks of a trace, decoded and added up. */
#ifndef TESTS_SUPPORT_WHOLE_SUMS_H
#define TESTS_SUPPORT_WHOLE_SUMS_H

#include "reader/selection.h"
#include "reader/stack_sums.h"

struct whole_sums {
	size_t n_nodes;
	uint64_t in_frames_ns; /* without the empty stack */
	struct walk_totals totals;
};

static inline int whole_sums_add(void *ctx, const struct stack_sums *sums)
{
	struct whole_sums *ret = ctx;

	ret->n_nodes += sums->n_nodes;
	for (size_t i = 1; i < sums->n_nodes; i++)
		ret->in_frames_ns += sums->nodes[i].wall_ns;
	return 0;
}

/* As walk_trace(). */
static inline int whole_sums_read(struct trace *t, struct whole_sums *ret)
{
	static const struct selection_options everything = {0};
	struct selection s;
	char why[1];
	int r = selection_resolve(t, &everything, &s, why, sizeof(why));

	*ret = (struct whole_sums){0};
	if (r < 0)
		return r;
	r = stack_sums_each(t, &s, false, STACK_SUMS_MAX_NODES, whole_sums_add, ret, &ret->totals);
	selection_done(&s);
	return r;
}

#endif
