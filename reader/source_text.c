/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/source_text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/xalloc.h"

void source_text_init(struct source_text *s, char *text, size_t len)
{
	size_t cap = 0, n = 0;

	*s = (struct source_text){.text = text, .len = len};
	for (size_t at = 0; at < len && n < INT32_MAX - 1;) {
		const char *end = memchr(text + at, '\n', len - at);

		s->starts = xgrow(s->starts, &cap, n + 2, sizeof(*s->starts));
		s->starts[n++] = at;
		at = end ? (size_t)(end - text) + 1 : len;
	}
	s->starts = xgrow(s->starts, &cap, n + 1, sizeof(*s->starts));
	s->starts[n] = len;
	s->n_lines = (int32_t)n;
}

void source_text_done(struct source_text *s)
{
	free(s->text);
	free(s->starts);
	*s = (struct source_text){0};
}

const char *source_text_line(const struct source_text *s, int32_t line, size_t *ret_len)
{
	size_t start, end;

	if (!s->text || line < 1 || line > s->n_lines)
		return NULL;
	start = s->starts[line - 1];
	end = s->starts[line];
	while (end > start && (s->text[end - 1] == '\n' || s->text[end - 1] == '\r'))
		end--;
	*ret_len = end - start;
	return s->text + start;
}

static bool contains(const char *line, size_t len, const char *what, size_t what_len, bool any_case)
{
	for (size_t i = 0; i + what_len <= len; i++) {
		if (any_case ? strncasecmp(line + i, what, what_len) == 0
			     : memcmp(line + i, what, what_len) == 0)
			return true;
	}
	return false;
}

int32_t source_text_find(const struct source_text *s, const char *what, int32_t from, int direction)
{
	size_t what_len = strlen(what), len;
	bool any_case = true;
	int32_t line = from;

	for (const char *c = what; *c; c++)
		any_case = any_case && !isupper((unsigned char)*c);
	for (int32_t i = 0; i < s->n_lines; i++) {
		const char *text;

		line += direction;
		if (line > s->n_lines)
			line = 1;
		else if (line < 1)
			line = s->n_lines;
		text = source_text_line(s, line, &len);
		if (text && contains(text, len, what, what_len, any_case))
			return line;
	}
	return 0;
}
