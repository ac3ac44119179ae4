/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/text.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "common/xalloc.h"

size_t text_utf8_char(const char *s, size_t len, uint32_t *ret)
{
	/* The least code point that needs so many bytes: shorter ones are not valid. */
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;
	size_t n;

	if (len == 0)
		return 0;
	if (p[0] < 0x80) {
		n = 1;
		c = p[0];
	} else if (p[0] >= 0xf0 && p[0] < 0xf8) {
		n = 4;
		c = p[0] & 0x07;
	} else if (p[0] >= 0xe0 && p[0] < 0xf0) {
		n = 3;
		c = p[0] & 0x0f;
	} else if (p[0] >= 0xc0 && p[0] < 0xe0) {
		n = 2;
		c = p[0] & 0x1f;
	} else {
		return 0;
	}
	if (len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	if (ret)
		*ret = c;
	return n;
}

int text_is_utf8(const char *s, size_t len)
{
	while (len) {
		size_t n = text_utf8_char(s, len, NULL);

		if (!n)
			return 0;
		s += n;
		len -= n;
	}
	return 1;
}

enum text_charset text_locale_charset(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? TEXT_UTF8 : TEXT_ASCII;
}

int text_is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200e && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* The longest escape is \UNNNNNNNN; a byte becomes at most \xNN. */
#define ESCAPE_PER_BYTE 4

static char *put_bytes_escaped(char *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out += sprintf(out, "\\x%02x", (unsigned char)s[i]);
	return out;
}

char *text_escape(const char *s, size_t len, const char *special, enum text_charset charset)
{
	char *escaped = xmalloc(len * ESCAPE_PER_BYTE + 1), *out = escaped;

	for (size_t n; len; s += n, len -= n) {
		uint32_t c = 0;

		n = text_utf8_char(s, len, &c);
		if (n == 0) {
			n = 1;
			out = put_bytes_escaped(out, s, n);
		} else if (text_is_control(c) || (c < 0x80 && strchr(special, (int)c))) {
			out = put_bytes_escaped(out, s, n);
		} else if (c == '\\') {
			*out++ = '\\';
			*out++ = '\\';
		} else if (c >= 0x80 && charset == TEXT_ASCII) {
			out += sprintf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
		} else {
			memcpy(out, s, n);
			out += n;
		}
	}
	*out = 0;
	return escaped;
}

char *text_plain(const char *s, size_t len, enum text_charset charset)
{
	char *plain = xmalloc(len + 1), *out = plain;

	for (size_t n; len; s += n, len -= n) {
		uint32_t c = 0;

		n = text_utf8_char(s, len, &c);
		if (c == '\t') {
			*out++ = ' ';
		} else if (n == 0 || text_is_control(c) || (c >= 0x80 && charset == TEXT_ASCII)) {
			*out++ = '?';
			n = n ? n : 1;
		} else {
			memcpy(out, s, n);
			out += n;
		}
	}
	*out = 0;
	return plain;
}

static size_t char_width(uint32_t c)
{
	int width = wcwidth((wchar_t)c);

	/* -1 where the C library does not know the character. */
	return width < 0 ? 1 : (size_t)width;
}

size_t text_width(const char *s)
{
	size_t width = 0, len = strlen(s);

	for (size_t n; len; s += n, len -= n) {
		uint32_t c = 0;

		n = text_utf8_char(s, len, &c);
		width += n ? char_width(c) : 1;
		n = n ? n : 1;
	}
	return width;
}

static const char *ellipsis(enum text_charset charset)
{
	return charset == TEXT_UTF8 ? "\u2026" : "...";
}

/* Bytes of the longest start of s that takes at most width columns. */
static size_t fitting_start(const char *s, size_t width)
{
	size_t len = strlen(s), at = 0;

	while (at < len) {
		uint32_t c = 0;
		size_t n = text_utf8_char(s + at, len - at, &c), w = n ? char_width(c) : 1;

		if (w > width)
			break;
		width -= w;
		at += n ? n : 1;
	}
	return at;
}

char *text_cut_right(const char *s, size_t width, enum text_charset charset)
{
	const char *dots = ellipsis(charset);
	size_t dots_width = text_width(dots);

	if (text_width(s) <= width)
		return xstrdup(s);
	if (width <= dots_width)
		return xstrndup(s, fitting_start(s, width));
	return xasprintf("%.*s%s", (int)fitting_start(s, width - dots_width), s, dots);
}

char *text_cut_left(const char *s, size_t width, enum text_charset charset)
{
	const char *dots = ellipsis(charset);
	size_t dots_width = text_width(dots), total = text_width(s);

	if (total <= width)
		return xstrdup(s);
	if (width <= dots_width)
		dots = "";
	else
		width -= dots_width;
	while (*s && total > width) {
		uint32_t c = 0;
		size_t n = text_utf8_char(s, strlen(s), &c);

		total -= n ? char_width(c) : 1;
		s += n ? n : 1;
	}
	return xasprintf("%s%s", dots, s);
}
