/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/shell_word.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define PLAIN	LETTERS "0123456789_@%+=:,./-"

static bool is_printable(const char *s)
{
	for (; *s; s++) {
		if (*s < ' ' || *s > '~')
			return false;
	}
	return true;
}

/* Each byte becomes four at most. */
static char *quote(const char *s, bool with_escapes)
{
	char *word = xmalloc(4 * strlen(s) + sizeof("$''")), *out = word;

	out += sprintf(out, with_escapes ? "$'" : "'");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (with_escapes && (c < ' ' || c > '~'))
			out += sprintf(out, "\\x%02x", c);
		else if (with_escapes && (c == '\'' || c == '\\'))
			out += sprintf(out, "\\%c", c);
		else if (c == '\'')
			out += sprintf(out, "'\\''");
		else
			*out++ = *s;
	}
	memcpy(out, "'", 2);
	return word;
}

char *shell_path(const char *path)
{
	char *whole = xasprintf("%s%s", *path == '-' ? "./" : "", path), *word = NULL;

	if (*whole && whole[strspn(whole, PLAIN)] == '\0')
		return whole;
	word = quote(whole, !is_printable(whole));
	free(whole);
	return word;
}
