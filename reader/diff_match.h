/* SPDX-License-Identifier: BSD-3-Clause */
/* Which function and which line of one trace is which of another. */
#ifndef READER_DIFF_MATCH_H
#define READER_DIFF_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader/trace_diff.h"

struct diff_match;

struct diff_match *diff_match_make(const struct diff_side *old_side,
				   const struct diff_side *new_side);
void diff_match_free(struct diff_match *m);
/* The old function that is this new one, and the other way round; PROFILE_NONE when none is. */
uint32_t diff_match_old(const struct diff_match *m, uint32_t new_function);
uint32_t diff_match_new(const struct diff_match *m, uint32_t old_function);
/*
 * Whether a function of one side, new or old, is surely not in the other one: the text of its file
 * there is known, and defines none of its name.
 */
bool diff_match_is_absent(const struct diff_match *m, bool is_new, uint32_t function);

/* The lines of a function that is in both. */
struct diff_lines {
	bool are_known; /* by their texts; otherwise by their distance from the function's first */
	int32_t old_first, new_first;
	size_t old_n, new_n;
	int32_t *matches; /* of each old line, by distance: the new one's, or -1 */
};

void diff_lines_init(struct diff_lines *l, const struct diff_side *old_side, uint32_t old_function,
		     const struct diff_side *new_side, uint32_t new_function);
void diff_lines_done(struct diff_lines *l);
/* The number of the new line that is this old one, and the other way round; 0 when none is. */
int32_t diff_lines_new(const struct diff_lines *l, int32_t old_line);
int32_t diff_lines_old(const struct diff_lines *l, int32_t new_line);

#endif
