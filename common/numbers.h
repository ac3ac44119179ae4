/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The numbers that the streams of a block are made of: unsigned, 1 to 9 bytes each. What reads them
 * trusts nothing: -EBADMSG at the end of the stream, or beyond a limit.
 */
#ifndef COMMON_NUMBERS_H
#define COMMON_NUMBERS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "common/xalloc.h"

/* Below NUMBER_LONG one byte; otherwise NUMBER_LONG - 1 plus the count of bytes that follow. */
#define NUMBER_LONG 248
#define NUMBER_MAX  9 /* bytes */

struct bytes {
	uint8_t *data;
	size_t len;
	size_t cap;
};

static inline void put_number(struct bytes *b, uint64_t value)
{
	uint8_t n = 0;

	if (b->len + NUMBER_MAX > b->cap)
		b->data = xgrow(b->data, &b->cap, b->len + NUMBER_MAX, 1);
	if (value < NUMBER_LONG) {
		b->data[b->len++] = (uint8_t)value;
		return;
	}
	for (; value; value >>= 8)
		b->data[b->len + ++n] = (uint8_t)value;
	b->data[b->len] = (uint8_t)(NUMBER_LONG - 1 + n);
	b->len += 1u + n;
}

/* What is left of a stream. */
struct input {
	const uint8_t *at;
	const uint8_t *end;
};

static inline int get_number(struct input *in, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned n;

	if (in->at == in->end)
		return -EBADMSG;
	if (*in->at < NUMBER_LONG) {
		*ret = *in->at++;
		return 0;
	}
	n = *in->at++ - (NUMBER_LONG - 1u);
	if ((size_t)(in->end - in->at) < n)
		return -EBADMSG;
	for (unsigned i = 0; i < n; i++)
		value |= (uint64_t)in->at[i] << (8 * i);
	in->at += n;
	*ret = value;
	return 0;
}

/* A number that must be below limit. */
static inline int get_below(struct input *in, uint64_t limit, uint32_t *ret)
{
	uint64_t value;

	if (get_number(in, &value) < 0 || value >= limit)
		return -EBADMSG;
	*ret = (uint32_t)value;
	return 0;
}

#endif
