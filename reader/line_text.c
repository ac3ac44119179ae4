/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/line_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/trace.h"

char *line_location(struct trace *t, uint32_t file, int32_t line, enum text_charset charset)
{
	const struct trace_file *f = trace_get_file(t, file);
	auto_free char *path = f ? text_escape(f->path, f->path_len, "", charset) : xstrdup("?");

	if (line == 0)
		return xasprintf("%s:?", path);
	return xasprintf("%s:%" PRId32, path, line);
}

char *line_source(struct trace *t, uint32_t file, int32_t line, enum text_charset charset)
{
	auto_free char *text = NULL;
	const char *at, *end;
	size_t len;

	if (line <= 0 || trace_file_source(t, file, &text, &len) < 0)
		return NULL;
	for (at = text; line > 1; line--) {
		at = memchr(at, '\n', len - (size_t)(at - text));
		if (!at)
			return NULL;
		at++;
	}
	end = memchr(at, '\n', len - (size_t)(at - text));
	if (!end)
		end = text + len;
	while (at < end && strchr(" \t\f", *at))
		at++;
	while (end > at && strchr(" \t\r\f", end[-1]))
		end--;
	return text_plain(at, (size_t)(end - at), charset);
}

char *line_source_cell(struct trace *t, uint32_t file, int32_t line, enum text_charset charset)
{
	const struct trace_file *f = trace_get_file(t, file);
	char *source = line_source(t, file, line, charset);
	char *marked;

	if (!source)
		return xstrdup(line == 0 ? "(line unknown)" : "(no source)");
	if (!f || f->state != FILE_CHANGED)
		return source;
	marked = xasprintf("%s  (file changed since)", source);
	free(source);
	return marked;
}

void print_padded(const char *text, size_t width, int to_the_right)
{
	size_t pad = text_width(text) < width ? width - text_width(text) : 0;

	printf("%*s%s%*s", to_the_right ? (int)pad : 0, "", text, to_the_right ? 0 : (int)pad, "");
}
