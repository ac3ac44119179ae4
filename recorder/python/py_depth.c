/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_depth.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/python/py_opcodes.h"

#define MAX_DEPTH 126

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
	case PY_DEPTH_PLUS_BIT_0:
		return (int)(arg & 1);
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

static void follow(struct walk *w, const struct py_opcodes *ops, const uint8_t *code, size_t unit)
{
	const struct py_depth_table *t = &py_depth_tables[ops->minor - PY_DEPTH_MINOR_MIN];
	int64_t depth = w->depth[unit], by_arg;
	const struct py_depth_op *op;
	uint32_t arg = 0;
	uint64_t next, jump;

	/* Prefixes change nothing; they are walked together with what they widen. */
	while (py_op_is_prefix(ops, code[2 * unit]) && unit + 1 < w->n_units) {
		arg = (arg | code[2 * unit + 1]) << 8;
		unit++;
		if (w->depth[unit] < 0)
			w->depth[unit] = (int8_t)depth;
	}
	op = &t->ops[code[2 * unit]];
	arg |= code[2 * unit + 1];
	if (!op->known || arg > 0xffffff) /* no such code is compiled; keeps the sums small */
		return;
	by_arg = (int64_t)op->per_arg * arg + special_effect(op->special, arg);
	next = unit + 1 + ops->caches[code[2 * unit]];
	jump = (uint64_t)arg * t->jump_unit / 2;
	if (op->flow & PY_DEPTH_JUMPS_BACKWARD)
		reach(w, next - jump, depth + op->jump_effect);
	else if (op->flow & PY_DEPTH_JUMPS_RELATIVE)
		reach(w, next + jump, depth + op->jump_effect);
	else if (op->flow & PY_DEPTH_JUMPS_ABSOLUTE)
		reach(w, jump, depth + op->jump_effect);
	if (!(op->flow & PY_DEPTH_ENDS))
		reach(w, next, depth + op->effect + by_arg);
}

void py_depth_compute(const struct py_opcodes *ops, const uint8_t *code, size_t n_units,
		      int8_t *depth)
{
	auto_free uint32_t *todo = xmalloc(n_units * sizeof(*todo));
	struct walk w = {.depth = depth, .n_units = n_units, .todo = todo};

	memset(depth, -1, n_units);
	if (ops->minor < PY_DEPTH_MINOR_MIN || ops->minor >= PY_DEPTH_MINOR_MIN + PY_N_DEPTH_TABLES)
		return;
	reach(&w, 0, 0);
	while (w.n_todo)
		follow(&w, ops, code, w.todo[--w.n_todo]);
}
