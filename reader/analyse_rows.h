/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The numbers behind the tables of lines and functions. They are sums over the indexes of these,
 * and only blocks that an interval covers in part, or that have no index of functions, are decoded;
 * the lines of one function, and durations, need a walk over all that is selected.
 */
#ifndef READER_ANALYSE_ROWS_H
#define READER_ANALYSE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/hash_index.h"
#include "reader/durations.h"
#include "reader/trace_lines.h"

struct analysis;
struct walk_range;

struct analysis_row {
	/*
	 * Of a function: its file and first line, what its frames took together, total_ns while at
	 * least one of them was there, and for visits the calls that were seen.
	 */
	struct trace_line sum;
	uint32_t code; /* a code object of the function; 0: not known, or a row of a line */
	/* Of visits, or of calls; only when asked for. */
	struct durations durations;
};

struct analysis_rows {
	struct analysis_row *rows;
	size_t n, cap;
	struct hash_index index; /* empty once all is added */
	/* Of all threads that were asked for, in the interval: */
	uint64_t observed_ns;
	uint64_t unobserved_ns; /* they were there, but nothing is known of them */
};

/*
 * What was asked for, with all rows that the filter lets pass, in no order.
 * Also on error, as far as read: -EBADMSG when something is damaged.
 */
int analysis_sum(const struct analysis *a, struct analysis_rows *ret);
void analysis_rows_done(struct analysis_rows *r);

/* That of a line or function, added with zeros when it is new. Lent until another one is added. */
struct analysis_row *analysis_rows_get(struct analysis_rows *r, uint32_t file, int32_t line,
				       uint32_t code);

/* --- walking --- */

struct row_walk {
	const struct analysis *a;
	bool by_function;
	bool with_durations;
	bool is_filtered; /* by the filter's functions and files */
};

/*
 * Add what a walk finds. The same errors.
 * @range  NULL: all that is selected
 */
int analysis_walk(const struct row_walk *what, const struct walk_range *range,
		  struct analysis_rows *ret);

#endif
