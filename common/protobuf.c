/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/protobuf.h"

#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"

/* The kinds of fields that are written here, the low three bits of a tag. */
enum wire_type { WIRE_VARINT = 0, WIRE_LENGTH = 2 };

/* A varint has seven bits a byte. */
#define VARINT_MAX 10

void protobuf_done(struct protobuf *m)
{
	free(m->bytes);
	*m = (struct protobuf){0};
}

void protobuf_clear(struct protobuf *m)
{
	m->len = 0;
}

static size_t varint_len(uint64_t value)
{
	size_t n = 1;

	for (; value >= 0x80; value >>= 7)
		n++;
	return n;
}

static void put_varint(struct protobuf *m, uint64_t value)
{
	m->bytes = xgrow(m->bytes, &m->cap, m->len + VARINT_MAX, 1);
	for (; value >= 0x80; value >>= 7)
		m->bytes[m->len++] = (uint8_t)(value | 0x80);
	m->bytes[m->len++] = (uint8_t)value;
}

static void put_tag(struct protobuf *m, unsigned field, enum wire_type type)
{
	put_varint(m, (uint64_t)field << 3 | type);
}

void protobuf_number(struct protobuf *m, unsigned field, uint64_t value)
{
	if (value == 0)
		return;
	put_tag(m, field, WIRE_VARINT);
	put_varint(m, value);
}

void protobuf_bytes(struct protobuf *m, unsigned field, const void *bytes, size_t len)
{
	put_tag(m, field, WIRE_LENGTH);
	put_varint(m, len);
	m->bytes = xgrow(m->bytes, &m->cap, m->len + len, 1);
	if (len)
		memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

void protobuf_message(struct protobuf *m, unsigned field, const struct protobuf *inner)
{
	protobuf_bytes(m, field, inner->bytes, inner->len);
}

void protobuf_packed(struct protobuf *m, unsigned field, const uint64_t *values, size_t n)
{
	size_t len = 0;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		len += varint_len(values[i]);
	put_tag(m, field, WIRE_LENGTH);
	put_varint(m, len);
	for (size_t i = 0; i < n; i++)
		put_varint(m, values[i]);
}
