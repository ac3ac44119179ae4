/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lines of some functions, by the line index, which does not know functions. A block's tables
 * say which functions are on which of its lines; what each has of a line that several are on is in
 * an index of its own. Where a trace does not have that, a block's events have to be gone through.
 */
#ifndef READER_FUNCTION_LINES_H
#define READER_FUNCTION_LINES_H

#include <stdint.h>

struct analysis;
struct line_sums;

/*
 * Add what the index has of a block for the lines of functions that the filter lets pass.
 * Returns 1; or, with nothing added, 0 when the index can't tell, or a negative errno.
 */
int function_lines_add(const struct analysis *a, int64_t block, struct line_sums *sums);

#endif
