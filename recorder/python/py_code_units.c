/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_code_units.h"

#include <string.h>

#include "common/xalloc.h"
#include "recorder/python/py_code.h"

/* Caches are found by walking from the start with each opcode's count. */
void py_code_classify_units(const struct py_opcodes *ops, const uint8_t *bytes, uint8_t *units,
			    size_t n_units)
{
	for (size_t i = 0; i < n_units;) {
		uint8_t op = bytes[i * 2];
		uint8_t flags = ops->flags[op];
		size_t n_caches = ops->caches[op];

		if (!(flags & PY_OP_KNOWN))
			flags = PY_OP_ITERATES | PY_OP_HIDES;
		if (flags & PY_OP_HIDES && units[i] && !(units[i] & PY_UNIT_IS_CACHE)) {
			/*
			 * Instrumentation has replaced the opcode since; how many caches follow is
			 * what it was. What the unit may do is no longer known.
			 */
			while (i + 1 + n_caches < n_units &&
			       units[i + 1 + n_caches] & PY_UNIT_IS_CACHE)
				n_caches++;
		}
		units[i++] = flags & (uint8_t)~PY_OP_KNOWN;
		/* An inline cache acts as what it belongs to: an ip on it means a call from there.
		 */
		for (; n_caches && i < n_units; n_caches--, i++)
			units[i] = (flags & (uint8_t)~PY_OP_KNOWN) | PY_UNIT_IS_CACHE;
	}
}

const struct py_loop *py_code_find_loop(const struct py_code *code, uint32_t unit)
{
	uint32_t low = 0, high = code->n_loops;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (code->loops[middle].start < unit)
			low = middle + 1;
		else
			high = middle;
	}
	return low < code->n_loops && code->loops[low].start == unit ? &code->loops[low] : NULL;
}

uint32_t py_code_loop_end(const struct py_code *code, uint32_t unit)
{
	const struct py_loop *loop = py_code_find_loop(code, unit);

	return loop ? loop->end : unit + 1;
}

/* The last instructions before a loop, newest first. */
struct recent {
	uint8_t op[4];
	uint32_t arg[4];
};

/* constant, [PRECALL,] CALL with one argument, GET_ITER */
static void find_argument(struct memory *mem, const struct py_layout *l, const struct py_code *code,
			  const struct recent *recent, struct py_loop *loop)
{
	const struct py_opcodes *ops = l->opcodes;
	remote_addr consts;
	int i = 2;

	if (ops->roles[recent->op[0]] != PY_ROLE_GET_ITER ||
	    !(ops->flags[recent->op[1]] & PY_OP_CALLS_OPERAND) || recent->arg[1] != 1)
		return;
	if (ops->roles[recent->op[i]] == PY_ROLE_PRECALL)
		i++;
	loop->is_small_int = ops->roles[recent->op[i]] == PY_ROLE_LOAD_SMALL_INT;
	if (loop->is_small_int) {
		loop->argument = recent->arg[i];
		loop->has_argument = true;
	} else if (ops->roles[recent->op[i]] == PY_ROLE_LOAD_CONST) {
		memcpy(&consts, code->identity + l->code.consts, sizeof(consts));
		loop->has_argument =
		    memory_read_u64(mem, consts + l->tuple_items + 8 * (uint64_t)recent->arg[i],
				    &loop->argument) == 0;
	}
}

/* FOR_ITER and its like jump forward, over their caches, when the iterator is exhausted. */
void py_code_find_loops(struct memory *mem, const struct py_layout *l, struct py_code *code,
			const uint8_t *bytes)
{
	const struct py_opcodes *ops = l->opcodes;
	struct recent recent = {{0}, {0}};
	uint32_t arg = 0;
	size_t cap = 0;

	for (uint32_t i = 0; i < code->n_units; i++) {
		uint8_t flags = code->units[i], op = bytes[2 * (size_t)i];

		if (flags & PY_UNIT_IS_CACHE)
			continue;
		arg |= bytes[2 * (size_t)i + 1];
		if (py_op_is_prefix(ops, op)) {
			arg <<= 8;
			continue;
		}
		if (flags & PY_OP_RESUMES_OPERAND) {
			uint64_t end =
			    i + 1u + ops->caches[op] + (uint64_t)arg * l->instruction_unit / 2;
			struct py_loop loop = {
			    .start = i, .end = end < code->n_units ? (uint32_t)end : code->n_units};

			find_argument(mem, l, code, &recent, &loop);
			code->loops =
			    xgrow(code->loops, &cap, code->n_loops + 1u, sizeof(code->loops[0]));
			code->loops[code->n_loops++] = loop;
		}
		memmove(recent.op + 1, recent.op, sizeof(recent.op) - sizeof(recent.op[0]));
		memmove(recent.arg + 1, recent.arg, sizeof(recent.arg) - sizeof(recent.arg[0]));
		recent.op[0] = op;
		recent.arg[0] = arg;
		arg = 0;
	}
}

/* Opcodes whose callee is an operand; the same numbers in 3.8, 3.9 and 3.10. */
#define OP_YIELD_FROM	    72
#define OP_FOR_ITER	    93
#define OP_STORE_ATTR	    95
#define OP_DELETE_ATTR	    96
#define OP_LOAD_ATTR	    106
#define OP_IMPORT_NAME	    108
#define OP_STORE_FAST	    125
#define OP_DELETE_FAST	    126
#define OP_CALL_FUNCTION    131
#define OP_CALL_FUNCTION_KW 141
#define OP_CALL_FUNCTION_EX 142
#define OP_LOAD_METHOD	    160
#define OP_CALL_METHOD	    161

/* Attributes may be properties; everything else that is no call goes to dunder methods. */
static bool calls_anything(uint8_t op, uint8_t flags)
{
	return flags & (PY_OP_CALLS_OPERAND | PY_OP_ITERATES) || op == OP_STORE_ATTR ||
	       op == OP_DELETE_ATTR || op == OP_LOAD_ATTR || op == OP_IMPORT_NAME ||
	       op == OP_LOAD_METHOD;
}

/* How far below the top of the operand stack the callee or iterator is; 0: there is none. */
static uint32_t operand_distance(uint8_t op, uint32_t arg)
{
	switch (op) {
	case OP_FOR_ITER:
		return 1;
	case OP_YIELD_FROM:
		return 2;
	case OP_CALL_FUNCTION:
		return arg + 1;
	case OP_CALL_METHOD: /* a method, or NULL below what is called */
	case OP_CALL_FUNCTION_KW:
		return arg + 2;
	case OP_CALL_FUNCTION_EX:
		return 2 + (arg & 1);
	default:
		return 0;
	}
}

/*
 * To 3.10 a frame's f_lasti stays on the first prefix of a widened instruction, so prefixes get
 * the flags and the operand of what they widen.
 */
void py_code_find_called(struct py_code *code, const uint8_t *bytes, const struct py_opcodes *ops)
{
	uint32_t arg = 0, start = 0;

	code->called = xmalloc(code->n_units);
	memset(code->called, -1, code->n_units);
	code->keeps_first_local = true;
	for (uint32_t i = 0; i < code->n_units; i++) {
		uint32_t distance;

		arg |= bytes[2 * (size_t)i + 1];
		if (py_op_is_prefix(ops, bytes[2 * (size_t)i])) {
			arg <<= 8;
			continue;
		}
		if ((bytes[2 * (size_t)i] == OP_STORE_FAST ||
		     bytes[2 * (size_t)i] == OP_DELETE_FAST) &&
		    arg == 0)
			code->keeps_first_local = false;
		distance = operand_distance(bytes[2 * (size_t)i], arg);
		for (uint32_t k = i + 1; k-- > start;) {
			code->units[k] = (uint8_t)(code->units[i] & ~PY_UNIT_CALLS_PLAINLY);
			if (bytes[2 * (size_t)i] == OP_CALL_METHOD ||
			    (bytes[2 * (size_t)i] == OP_CALL_FUNCTION && arg > 0))
				code->units[k] |= PY_UNIT_CALLS_PLAINLY;
			if (calls_anything(bytes[2 * (size_t)i], code->units[i]))
				code->units[k] |= PY_UNIT_CALLS_ANYTHING;
			if (distance && code->depth[i] >= 0 && distance <= (uint32_t)code->depth[i])
				code->called[k] = (int8_t)((uint32_t)code->depth[i] - distance);
		}
		arg = 0;
		start = i + 1;
	}
}
