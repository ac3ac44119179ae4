/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sums over the indexes of lines and of functions, of the whole trace or of some of its blocks. A
 * part of reader/trace.h, with its conventions.
 */
#ifndef READER_TRACE_LINES_H
#define READER_TRACE_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "common/hash_index.h"
#include "reader/trace.h"

/* The kind of the waits for an interpreter's lock, as in trace_reason. */
#define TRACE_KIND_GIL "gil"

struct block_line;

/* The lines summed up so far, each once; all zeros: none. */
struct line_sums {
	struct trace_line *lines; /* in no order */
	size_t n, cap;
	struct hash_index index;
};

/* That of a line, added with zeros when it is new. Lent until another one is added. */
struct trace_line *line_sums_get(struct line_sums *sums, uint32_t file, int32_t line);
/* The same, but NULL when there is none. */
struct trace_line *line_sums_find(const struct line_sums *sums, uint32_t file, int32_t line);
/* Add what one took to another. */
void trace_line_add(struct trace_line *to, const struct trace_line *l);
/* The lines alone, malloc()ed, the caller's. The sums are empty then. */
struct trace_line *line_sums_steal(struct line_sums *sums, size_t *ret_n);
void line_sums_done(struct line_sums *sums);

/* Add what the index has of the whole trace. Also on error, as far as read. */
int trace_add_lines(struct trace *t, struct line_sums *sums);
/* The same of the blocks with these ids, the last one among them. */
int trace_add_block_lines(struct trace *t, int64_t first, int64_t last, struct line_sums *sums);
/*
 * The lines that a block's events are on, by code object. Reads no more of it than it must. The
 * caller frees.
 */
int trace_block_lines(struct trace *t, int64_t id, struct block_line **ret, uint32_t *ret_n);

/*
 * From which block on the trace has an index of functions: INT64_MIN when it is there for all of
 * them, INT64_MAX for none. A trace of an earlier program that was gone on with has it of a part.
 */
int trace_functions_from(struct trace *t, int64_t *ret_block);
/*
 * Call on_function for each function of each of the blocks with these ids, the last one among them.
 * @code  any code object of the function
 * @sum   its file and line are not set; its visits are calls
 */
int trace_each_function(struct trace *t, int64_t first, int64_t last,
			void (*on_function)(void *ctx, uint32_t code, const struct trace_line *sum),
			void *ctx);
/*
 * Call on_part for what each of several functions took on a line that they share in a block. A
 * trace of an earlier program has no such rows, as has one that was gone on with of some blocks.
 * @code  any code object of the function
 */
int trace_each_shared(struct trace *t, int64_t block,
		      void (*on_part)(void *ctx, uint32_t code, const struct trace_line *sum),
		      void *ctx);

#endif
