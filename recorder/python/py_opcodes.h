/* SPDX-License-Identifier: BSD-3-Clause */
/* What a reader of frames must know of each opcode; one table per minor version. */
#ifndef RECORDER_PYTHON_PY_OPCODES_H
#define RECORDER_PYTHON_PY_OPCODES_H

#include <stdbool.h>
#include <stdint.h>

enum py_op_flag {
	/*
	 * Cannot be the current instruction of a frame that has a callee: touches no reference
	 * count that can reach zero, polls nothing, allocates nothing.
	 */
	PY_OP_NO_CALLEE = 1 << 0,
	/* Can resume a generator or coroutine that leaves no frame in the data stack. */
	PY_OP_ITERATES = 1 << 1,
	/* Leaves the frame. */
	PY_OP_LEAVES = 1 << 2,
	/* Calls a function whose object stands in the operand stack where the call began. */
	PY_OP_CALLS_OPERAND = 1 << 3,
	/* The iterator that it resumes is on top of the operand stack (or one below). */
	PY_OP_RESUMES_OPERAND = 1 << 4,
	/* Stands in for another opcode (instrumentation, compiled code): may be anything. */
	PY_OP_HIDES = 1 << 5,
	/*
	 * Can push a frame of a Python function that is not among the operands: a property, a
	 * __getitem__, an __init__.
	 */
	PY_OP_INLINES = 1 << 6,
	/* The number is in use; a byte without it is not the start of an instruction. */
	PY_OP_KNOWN = 1 << 7,
};

/* Parts of `for x in function(constant)`. */
enum py_op_role {
	PY_ROLE_NONE,
	PY_ROLE_LOAD_CONST,
	PY_ROLE_LOAD_SMALL_INT,
	PY_ROLE_PRECALL,
	PY_ROLE_GET_ITER,
};

struct py_opcodes {
	uint8_t minor;
	/* Prefixes that widen the next instruction's argument; the same number twice if just one.
	 */
	uint8_t extended_arg, extended_arg_quick;
	uint8_t caches[256]; /* inline cache entries (two bytes each) behind the instruction */
	uint8_t flags[256];  /* enum py_op_flag */
	uint8_t roles[256];  /* enum py_op_role */
};

#define PY_N_OPCODE_TABLES 8

static inline bool py_op_is_prefix(const struct py_opcodes *ops, uint8_t op)
{
	return op == ops->extended_arg || op == ops->extended_arg_quick;
}

extern const struct py_opcodes py_opcodes_table[PY_N_OPCODE_TABLES];

#endif
