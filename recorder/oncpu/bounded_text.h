/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A text of limited length, put together from words of ours and names that others chose. What does
 * not fit is left out, an ellipsis in its place; the result is valid UTF-8 without control
 * characters, and the same for the same input.
 */
#ifndef RECORDER_ONCPU_BOUNDED_TEXT_H
#define RECORDER_ONCPU_BOUNDED_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct bounded_text {
	char *buf; /* the caller's; always NUL-terminated */
	size_t size, len;
	bool full;
};

/* @size  at least 8 */
struct bounded_text bounded_text_init(char *buf, size_t size);

/* Words of ours, or what is safe already. */
void bounded_text_add(struct bounded_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * What others wrote: what is no UTF-8 or controls a terminal becomes '?'. Of one longer than max
 * bytes the end is kept, which says most of a path.
 */
void bounded_text_add_foreign(struct bounded_text *t, const char *s, size_t len, size_t max);

#endif
