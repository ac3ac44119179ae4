/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many operands a frame of CPython 3.8 to 3.13 has on its value stack at each instruction.
 * A frame that calls C code does not say (f_stacktop is NULL, f_stackdepth or stacktop -1), but
 * the compiler made it a constant of each instruction. With it, the function being called, or the
 * iterator being resumed, can be found in the memory of the caller's frame: the proof that a
 * callee belongs to that call. Slots above may hold what an earlier call left behind.
 */
#ifndef RECORDER_PYTHON_PY_DEPTH_H
#define RECORDER_PYTHON_PY_DEPTH_H

#include <stddef.h>
#include <stdint.h>

enum py_depth_special {
	PY_DEPTH_LINEAR,
	PY_DEPTH_UNPACK_EX,	/* + low byte + second byte of the argument */
	PY_DEPTH_MAKE_FUNCTION, /* - one for each of the argument's low four bits */
	PY_DEPTH_FORMAT_VALUE,	/* -1 when bit 2 is set */
	PY_DEPTH_BIT_0,		/* -1 when bit 0 is set (CALL_FUNCTION_EX) */
	PY_DEPTH_IF_3,		/* -1 when it is 3 (BUILD_SLICE) */
	PY_DEPTH_PLUS_BIT_0,	/* +1 when bit 0 is set (LOAD_GLOBAL, LOAD_ATTR with a NULL) */
};

#define PY_DEPTH_JUMPS_RELATIVE 1
#define PY_DEPTH_JUMPS_ABSOLUTE 2
#define PY_DEPTH_JUMPS_BACKWARD 8 /* with RELATIVE */
#define PY_DEPTH_ENDS		4 /* the next instruction is not reached from this one */

struct py_depth_op {
	uint8_t known;
	int8_t effect;	    /* on the depth, for argument 0, not jumping */
	int8_t per_arg;	    /* times the argument */
	int8_t jump_effect; /* jumping, argument 0 */
	uint8_t special;    /* enum py_depth_special */
	uint8_t flow;	    /* PY_DEPTH_JUMPS_…, PY_DEPTH_ENDS */
};

struct py_depth_table {
	uint8_t minor;
	uint8_t jump_unit; /* bytes that a jump's argument counts */
	struct py_depth_op ops[256];
};

#define PY_DEPTH_MINOR_MIN 8
#define PY_N_DEPTH_TABLES  6
extern const struct py_depth_table py_depth_tables[PY_N_DEPTH_TABLES];

struct py_opcodes;

/*
 * Follows the code from its start; what only exceptions lead to stays unknown from 3.11 on.
 * @code   n_units instructions of two bytes
 * @depth  filled: depth before each, -1 where it is not known (not reached, or above 126)
 */
void py_depth_compute(const struct py_opcodes *ops, const uint8_t *code, size_t n_units,
		      int8_t *depth);

#endif
