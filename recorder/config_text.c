/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inih asks for one line after the other, and tells of an assignment before it asks for the next.
 * So what it tells is of the line it was given last: Debian's build of it passes no line numbers
 * to its handler, and does not report more than the first wrong line.
 *
 * It would also cut long lines and section names without a word, and take an indented assignment
 * for more of the one above. So it never gets to see such: it is given assignments, and what may
 * be one, without the blanks before; the rest is dealt with here, and is an empty line to it.
 */
#include "recorder/config_text.h"

#include <ini.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define BLANKS		" \t\r\n\v\f"

struct line_source {
	const char *at, *end;
	unsigned line;	 /* the number of the line given last, from 1 */
	bool unanswered; /* it looked like an assignment, and inih said nothing yet */
	const struct config_text_ops *ops;
	void *ctx;
};

static bool is_blank(char c)
{
	return c && strchr(BLANKS, c);
}

static void complain(struct line_source *s, const char *reason)
{
	s->ops->on_wrong_line(s->ctx, s->line, reason);
}

/* Cut off the next line; blanks at its ends do not count. */
static const char *next_line(struct line_source *s, size_t *ret_len)
{
	const char *newline = memchr(s->at, '\n', (size_t)(s->end - s->at));
	const char *start = s->at, *end = newline ? newline : s->end;

	s->at = newline ? newline + 1 : s->end;
	s->line++;
	while (start < end && is_blank(*start))
		start++;
	while (end > start && is_blank(end[-1]))
		end--;
	*ret_len = (size_t)(end - start);
	return start;
}

/* A tab is a blank like any other one. */
static bool is_clean(const char *text, size_t len)
{
	for (size_t n; len; text += n, len -= n) {
		uint32_t c = 0;

		n = text_utf8_char(text, len, &c);
		if (n == 0 || (text_is_control(c) && c != '\t'))
			return false;
	}
	return true;
}

/* [Section] */
static void read_section(struct line_source *s, const char *line, size_t len)
{
	char name[CONFIG_LINE_MAX + 1];
	size_t start = 1, end = len - 1;

	if (len < 2 || line[len - 1] != ']') {
		complain(s, "a section ends with ], and nothing follows on its line");
		s->ops->on_section(s->ctx, s->line, NULL);
		return;
	}
	while (start < end && is_blank(line[start]))
		start++;
	while (end > start && is_blank(line[end - 1]))
		end--;
	memcpy(name, line + start, end - start);
	name[end - start] = '\0';
	s->ops->on_section(s->ctx, s->line, name);
}

/* Whether inih shall see this line: it may be an assignment. */
static bool judge_line(struct line_source *s, const char *line, size_t len)
{
	if (memchr(line, '\0', len)) {
		complain(s, "there is a NUL byte in it: this is not a text file");
		return false;
	}
	if (len == 0 || *line == '#' || *line == ';')
		return false;
	if (len > CONFIG_LINE_MAX) {
		char reason[128];

		snprintf(reason, sizeof(reason),
			 "longer than %d bytes: a list can go on in another line with the same key",
			 CONFIG_LINE_MAX);
		complain(s, reason);
		return false;
	}
	if (!is_clean(line, len)) {
		complain(s, "not valid UTF-8, or a control character in it");
		return false;
	}
	if (*line == '[') {
		read_section(s, line, len);
		return false;
	}
	return true;
}

static void end_line(struct line_source *s)
{
	if (s->unanswered)
		complain(s, "neither [Section] nor Key=value, nor a comment, which begins with #");
	s->unanswered = false;
}

/* As fgets(), for inih. */
static char *give_line(char *buf, int size, void *ctx)
{
	struct line_source *s = ctx;
	const char *line;
	size_t len;

	end_line(s);
	if (s->at == s->end)
		return NULL;
	line = next_line(s, &len);
	*buf = '\0';
	if (!judge_line(s, line, len))
		return buf;
	/* A build of inih with an even smaller limit: better said than cut. */
	if (len >= (size_t)size) {
		complain(s, "too long");
		return buf;
	}
	memcpy(buf, line, len);
	buf[len] = '\0';
	s->unanswered = true;
	return buf;
}

static int take_assignment(void *ctx, const char *section, const char *key, const char *value)
{
	struct line_source *s = ctx;

	(void)section;
	s->unanswered = false;
	if (*key)
		s->ops->on_assignment(s->ctx, s->line, key, value);
	else
		complain(s, "no key before the =: write Key=value");
	return 1;
}

void config_text_parse(const char *text, size_t len, const struct config_text_ops *ops, void *ctx)
{
	struct line_source s = {.at = text, .end = text + len, .ops = ops, .ctx = ctx};

	if (len >= strlen(BYTE_ORDER_MARK) &&
	    memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		s.at += strlen(BYTE_ORDER_MARK);
	/*
	 * Its result is where the first wrong line is: all have been told already. A build that
	 * stops there is sent on.
	 */
	do
		ini_parse_stream(give_line, &s, take_assignment, &s);
	while (s.at != s.end);
	end_line(&s);
}
