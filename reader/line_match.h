/* SPDX-License-Identifier: BSD-3-Clause */
/* Which line of a function was which one in an earlier version of it, as diff(1) finds out. */
#ifndef READER_LINE_MATCH_H
#define READER_LINE_MATCH_H

#include <stddef.h>
#include <stdint.h>

#include "reader/source_text.h"

/* Of a longer function the rest is matched by its distance from where the two begin to differ. */
#define LINE_MATCH_MAX 2000

/*
 * The last line of a function's definition, by its indentation.
 * @first  its first one
 * @seen   one that is known to belong to it
 */
int32_t function_last_line(const struct source_text *s, int32_t first, int32_t seen);

/*
 * @ret  room for old_n lines: for each the number of the new one among new_n, or -1
 * Lines are the same when their texts are, but for blanks around them. Where as many lines were
 * taken out as others were put in between two that stayed, each became the one in its place.
 */
void line_match(const struct source_text *old_text, int32_t old_first, size_t old_n,
		const struct source_text *new_text, int32_t new_first, size_t new_n, int32_t *ret);

#endif
