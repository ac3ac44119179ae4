/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_depth.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

#define MAX_DEPTH 126
#define EXTENDED_ARG 144 /* the same number in 3.8, 3.9 and 3.10 */

static int special_effect(uint8_t special, uint32_t arg)
{
	switch (special) {
	case PY_DEPTH_UNPACK_EX:
		return (int)((arg & 0xff) + (arg >> 8 & 0xff));
	case PY_DEPTH_MAKE_FUNCTION:
		return -__builtin_popcount(arg & 15);
	case PY_DEPTH_FORMAT_VALUE:
		return -(int)(arg >> 2 & 1);
	case PY_DEPTH_BIT_0:
		return -(int)(arg & 1);
	case PY_DEPTH_IF_3:
		return -(arg == 3);
	default:
		return 0;
	}
}

struct walk {
	int8_t *depth;
	size_t n_units;
	uint32_t *todo; /* units whose depth is known and whose successors are not done */
	size_t n_todo;
};

/* Each unit is put on the list at most once, when its depth becomes known. */
static void reach(struct walk *w, uint64_t unit, int64_t depth)
{
	if (unit >= w->n_units || w->depth[unit] >= 0 || depth < 0 || depth > MAX_DEPTH)
		return;
	w->depth[unit] = (int8_t)depth;
	w->todo[w->n_todo++] = (uint32_t)unit;
}

static void follow(struct walk *w, const struct py_depth_table *t, const uint8_t *code, size_t unit)
{
	int64_t depth = w->depth[unit];
	const struct py_depth_op *op;
	uint32_t arg = 0;
	int64_t by_arg;
	uint64_t target;

	/* Prefixes change nothing; they are walked together with what they widen. */
	while (code[2 * unit] == EXTENDED_ARG && unit + 1 < w->n_units) {
		arg = (arg | code[2 * unit + 1]) << 8;
		unit++;
		if (w->depth[unit] < 0)
			w->depth[unit] = (int8_t)depth;
	}
	op = &t->ops[code[2 * unit]];
	arg |= code[2 * unit + 1];
	if (arg > 0xffffff) /* no such code is compiled; keeps the sums small */
		return;
	by_arg = (int64_t)op->per_arg * arg + special_effect(op->special, arg);
	if (op->flow & PY_DEPTH_JUMPS_RELATIVE) {
		target = unit + 1 + (uint64_t)arg * t->jump_unit / 2;
		reach(w, target, depth + op->jump_effect);
	} else if (op->flow & PY_DEPTH_JUMPS_ABSOLUTE) {
		target = (uint64_t)arg * t->jump_unit / 2;
		reach(w, target, depth + op->jump_effect);
	}
	if (!(op->flow & PY_DEPTH_ENDS))
		reach(w, unit + 1, depth + op->effect + by_arg);
}

void py_depth_compute(unsigned minor, const uint8_t *code, size_t n_units, int8_t *depth)
{
	const struct py_depth_table *t = &py_depth_tables[minor - 8];
	auto_free uint32_t *todo = xmalloc(n_units * sizeof(*todo));
	struct walk w = {.depth = depth, .n_units = n_units, .todo = todo};

	memset(depth, -1, n_units);
	reach(&w, 0, 0);
	while (w.n_todo)
		follow(&w, t, code, w.todo[--w.n_todo]);
}
