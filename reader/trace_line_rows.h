/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The line index of one thread, block by block, in the order of time. A part of reader/trace.h,
 * with its conventions.
 */
#ifndef READER_TRACE_LINE_ROWS_H
#define READER_TRACE_LINE_ROWS_H

#include <stdint.h>

#include "common/cleanup.h"
#include "reader/trace.h"
#include "reader/trace_seek.h"

struct trace_line_rows;

/* Of the blocks that begin from since_ns on and before until_ns. Returns 0 or a negative errno. */
int trace_line_rows_new(struct trace *t, uint16_t thread, uint64_t since_ns, uint64_t until_ns,
			struct trace_line_rows **ret);
void trace_line_rows_free(struct trace_line_rows *rows);
DEFINE_CLEANUP(struct trace_line_rows *, trace_line_rows_free)

/* Returns 1, 0 at the end, or a negative errno. */
int trace_line_rows_next(struct trace_line_rows *rows, struct block_row *ret_block,
			 struct trace_line *ret);

#endif
