/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/bounded_text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

#define ELLIPSIS     "\u2026"
#define ELLIPSIS_LEN (sizeof(ELLIPSIS) - 1)

struct bounded_text bounded_text_init(char *buf, size_t size)
{
	buf[0] = '\0';
	return (struct bounded_text){.buf = buf, .size = size};
}

/* Where the last character begins that starts at or before `at`. */
static size_t char_start(const char *s, size_t at)
{
	while (at > 0 && ((unsigned char)s[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* Add valid UTF-8, or as much of it as leaves room for the ellipsis. */
static void add_bytes(struct bounded_text *t, const char *s, size_t len)
{
	size_t keep;

	if (t->full || len == 0)
		return;
	if (t->len + len < t->size) {
		memcpy(t->buf + t->len, s, len);
		t->len += len;
		t->buf[t->len] = '\0';
		return;
	}
	t->full = true;
	keep = t->size - 1 - ELLIPSIS_LEN;
	if (t->len < keep) {
		size_t n = char_start(s, keep - t->len);

		memcpy(t->buf + t->len, s, n);
		t->len += n;
	} else {
		t->len = char_start(t->buf, keep);
	}
	memcpy(t->buf + t->len, ELLIPSIS, sizeof(ELLIPSIS));
	t->len += ELLIPSIS_LEN;
}

void bounded_text_add(struct bounded_text *t, const char *fmt, ...)
{
	char words[512];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(words, sizeof(words), fmt, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(words))
		n = (int)char_start(words, sizeof(words) - 2);
	add_bytes(t, words, (size_t)n);
}

/* Skip what comes before the last max bytes; the rest begins with a whole character. */
static size_t skip_to_end(const char *s, size_t len, size_t max)
{
	size_t at = len - max;

	while (at < len && ((unsigned char)s[at] & 0xc0) == 0x80)
		at++;
	return at;
}

void bounded_text_add_foreign(struct bounded_text *t, const char *s, size_t len, size_t max)
{
	if (len > max) {
		size_t skipped = skip_to_end(s, len, max);

		add_bytes(t, ELLIPSIS, ELLIPSIS_LEN);
		s += skipped;
		len -= skipped;
	}
	while (len && !t->full) {
		uint32_t c = 0;
		size_t n = text_utf8_char(s, len, &c);

		if (n == 0 || text_is_control(c)) {
			n = n ? n : 1;
			add_bytes(t, "?", 1);
		} else {
			add_bytes(t, s, n);
		}
		s += n;
		len -= n;
	}
}
