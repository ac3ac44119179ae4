/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each unit (two bytes: an instruction, or an inline cache of one) of a code object is, which
 * of them begin loops over iterators, and what they call.
 */
#ifndef RECORDER_PYTHON_PY_CODE_UNITS_H
#define RECORDER_PYTHON_PY_CODE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/python/py_layout.h"
#include "recorder/python/py_opcodes.h"
#include "recorder/target/memory.h"

/* Flags of a code unit: those of enum py_op_flag of its instruction, and instead of KNOWN: */
#define PY_UNIT_IS_CACHE (1 << 7) /* an inline cache entry, not an instruction */
/* To 3.10, where nothing is inlined: a call with positional arguments and no others. */
#define PY_UNIT_CALLS_PLAINLY PY_OP_INLINES
/* To 3.10, where there are no caches: can call a function of any name, not just a dunder method. */
#define PY_UNIT_CALLS_ANYTHING PY_UNIT_IS_CACHE

struct py_code;

/* A loop over an iterator: the instruction that resumes it, and the first one behind the loop. */
struct py_loop {
	uint32_t start, end; /* code units */
	/*
	 * `for x in function(constant)`: the constant, which tells this loop's generator from
	 * another one in recycled memory. Its address, or, when small_int is set, its value.
	 */
	remote_addr argument;
	bool has_argument, is_small_int;
};

/*
 * What each unit is.
 * @bytes  the instructions, two bytes a unit
 * @units  their flags; as they were before, when the instructions are read again, else zeros
 */
void py_code_classify_units(const struct py_opcodes *ops, const uint8_t *bytes, uint8_t *units,
			    size_t n_units);

/* Fill in code->loops and n_loops. The units have been classified. Reads constants from mem. */
void py_code_find_loops(struct memory *mem, const struct py_layout *l, struct py_code *code,
			const uint8_t *bytes);

/* To 3.10: fill in code->called and keeps_first_local. Units and depths are known. */
void py_code_find_called(struct py_code *code, const uint8_t *bytes, const struct py_opcodes *ops);

/* The loop that begins with this unit, or NULL. */
const struct py_loop *py_code_find_loop(const struct py_code *code, uint32_t unit);

/* Where the loop that begins with this unit ends; the unit behind it when it begins none. */
uint32_t py_code_loop_end(const struct py_code *code, uint32_t unit);

#endif
