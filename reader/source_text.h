/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of a source file, by lines. */
#ifndef READER_SOURCE_TEXT_H
#define READER_SOURCE_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct source_text {
	char *text; /* a NUL byte behind it */
	size_t len;
	size_t *starts; /* of each line, and one more for the end */
	int32_t n_lines;
};

/* @text  malloc()ed, taken */
void source_text_init(struct source_text *s, char *text, size_t len);
void source_text_done(struct source_text *s);
/* A line, counted from 1, without its end; NULL when there is none. */
const char *source_text_line(const struct source_text *s, int32_t line, size_t *ret_len);
/*
 * The next line after `from` (direction 1) or before it (-1) that contains a text, going on at the
 * other end. Upper and lower case are the same when the text has no upper case. Returns 0 when
 * there is none.
 */
int32_t source_text_find(const struct source_text *s, const char *what, int32_t from,
			 int direction);

#endif
