/* SPDX-License-Identifier: BSD-3-Clause */
/* From an instruction to a line number, through the line tables of CPython 3.8 to 3.15. */
#ifndef RECORDER_PYTHON_PY_LINES_H
#define RECORDER_PYTHON_PY_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/python/py_layout.h"

/*
 * Decode a whole table.
 * @table, @len   co_lnotab or co_linetable; any bytes are taken without harm
 * @first_line    co_firstlineno
 * @lines         filled: the line of each code unit (two bytes of code), 0 where there is none
 * @n_units       how many code units the code has
 * Where the table ends early the rest has no line (the last line to 3.9, by definition).
 */
void py_lines_decode(enum py_line_table kind, const uint8_t *table, size_t len, int32_t first_line,
		     int32_t *lines, size_t n_units);

#endif
