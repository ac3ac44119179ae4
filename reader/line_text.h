/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of source as tables and sentences show them. All returned texts are the caller's to free.
 */
#ifndef READER_LINE_TEXT_H
#define READER_LINE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/text.h"

struct trace;

/* "/app/models.py:120"; "?" for a file or a line that is not known. */
char *line_location(struct trace *t, uint32_t file, int32_t line, enum text_charset charset);

/* The line's text, without what is before and after it. NULL when there is none. */
char *line_source(struct trace *t, uint32_t file, int32_t line, enum text_charset charset);
/* The same for a table: with a remark when the file has changed, or in its place. */
char *line_source_cell(struct trace *t, uint32_t file, int32_t line, enum text_charset charset);

/* On standard output, padded to a width in columns, which printf() would count in bytes. */
void print_padded(const char *text, size_t width, int to_the_right);

#endif
