/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/python_syntax.h"

#include <stdbool.h>
#include <string.h>

static const char *const keywords[] = {
    "False",  "None",	  "True",   "and", "as",    "assert", "async",	"await",    "break", "case",
    "class",  "continue", "def",    "del", "elif",  "else",   "except", "finally",  "for",   "from",
    "global", "if",	  "import", "in",  "is",    "lambda", "match",	"nonlocal", "not",   "or",
    "pass",   "raise",	  "return", "try", "while", "with",   "yield",
};

struct painter {
	const char *line;
	size_t len;
	uint8_t *ret;
};

static void paint(const struct painter *p, size_t from, size_t to, enum syntax what)
{
	if (p->ret)
		memset(p->ret + from, (int)what, to - from);
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_keyword(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (strlen(keywords[i]) == len && memcmp(keywords[i], word, len) == 0)
			return true;
	}
	return false;
}

static bool is_word(const char *word, size_t len, const char *other)
{
	return strlen(other) == len && memcmp(word, other, len) == 0;
}

static bool is_string_prefix(const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!strchr("rRbBuUfFtT", word[i]))
			return false;
	}
	return len <= 2;
}

static bool has_three(const struct painter *p, size_t at, char quote)
{
	return at + 2 < p->len && p->line[at] == quote && p->line[at + 1] == quote &&
	       p->line[at + 2] == quote;
}

/* Where a string with triple quotes ends, or the line. */
static size_t end_of_long(const struct painter *p, size_t at, char quote, enum syntax_state *state)
{
	for (; at < p->len; at++) {
		if (p->line[at] == '\\' && at + 1 < p->len) {
			at++;
		} else if (has_three(p, at, quote)) {
			*state = SYNTAX_CODE;
			return at + 3;
		}
	}
	*state = quote == '"' ? SYNTAX_IN_DOUBLE : SYNTAX_IN_SINGLE;
	return at;
}

static size_t end_of_short(const struct painter *p, size_t at, char quote)
{
	for (at++; at < p->len; at++) {
		if (p->line[at] == '\\' && at + 1 < p->len)
			at++;
		else if (p->line[at] == quote)
			return at + 1;
	}
	return at;
}

static size_t put_string(const struct painter *p, size_t at, enum syntax_state *state)
{
	char quote = p->line[at];
	size_t end = has_three(p, at, quote) ? end_of_long(p, at + 3, quote, state)
					     : end_of_short(p, at, quote);

	paint(p, at, end, SYNTAX_STRING);
	return end;
}

/* A word; r"", b"" and the like belong to their string. */
static size_t put_word(const struct painter *p, size_t at, bool *after_def)
{
	size_t end = at;
	enum syntax what = SYNTAX_PLAIN;

	while (end < p->len && (is_letter(p->line[end]) || is_digit(p->line[end])))
		end++;
	if (end < p->len && (p->line[end] == '"' || p->line[end] == '\'') &&
	    is_string_prefix(p->line + at, end - at))
		what = SYNTAX_STRING;
	else if (*after_def)
		what = SYNTAX_NAME;
	else if (is_keyword(p->line + at, end - at))
		what = SYNTAX_KEYWORD;
	*after_def =
	    is_word(p->line + at, end - at, "def") || is_word(p->line + at, end - at, "class");
	paint(p, at, end, what);
	return end;
}

static size_t put_number(const struct painter *p, size_t at)
{
	size_t end = at;

	while (end < p->len &&
	       (is_letter(p->line[end]) || is_digit(p->line[end]) || p->line[end] == '.'))
		end++;
	paint(p, at, end, SYNTAX_NUMBER);
	return end;
}

enum syntax_state python_syntax(const char *line, size_t len, enum syntax_state state, uint8_t *ret)
{
	struct painter p = {.line = line, .len = len, .ret = ret};
	bool after_def = false, is_start = true;
	size_t at = 0;

	paint(&p, 0, len, SYNTAX_PLAIN);
	if (state != SYNTAX_CODE) {
		at = end_of_long(&p, 0, state == SYNTAX_IN_DOUBLE ? '"' : '\'', &state);
		paint(&p, 0, at, SYNTAX_STRING);
	}
	while (at < len) {
		char c = line[at];

		if (c == '#') {
			paint(&p, at, len, SYNTAX_COMMENT);
			break;
		}
		if (c == '@' && is_start) {
			paint(&p, at, len, SYNTAX_DECORATOR);
			break;
		}
		if (c == '"' || c == '\'')
			at = put_string(&p, at, &state);
		else if (is_letter(c))
			at = put_word(&p, at, &after_def);
		else if (is_digit(c))
			at = put_number(&p, at);
		else
			at++;
		is_start = is_start && (c == ' ' || c == '\t');
	}
	return state;
}
