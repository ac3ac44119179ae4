/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writing messages in the wire format of protocol buffers: as much of it as an export needs. Fields
 * are numbered as in the message's published definition; numbers that are 0 and empty texts are
 * left out, as the format has it.
 */
#ifndef COMMON_PROTOBUF_H
#define COMMON_PROTOBUF_H

#include <stddef.h>
#include <stdint.h>

/* A message that grows; all zeros is an empty one. */
struct protobuf {
	uint8_t *bytes;
	size_t len, cap;
};

void protobuf_done(struct protobuf *m);
/* Empty it, to be used again. */
void protobuf_clear(struct protobuf *m);
/* A field of type uint64, int64 (which takes ten bytes when it is negative) or bool. */
void protobuf_number(struct protobuf *m, unsigned field, uint64_t value);
/* One of type bytes or string; also when it is empty: an element of a list. */
void protobuf_bytes(struct protobuf *m, unsigned field, const void *bytes, size_t len);
/* A message in this one. */
void protobuf_message(struct protobuf *m, unsigned field, const struct protobuf *inner);
/* A list of numbers, packed. */
void protobuf_packed(struct protobuf *m, unsigned field, const uint64_t *values, size_t n);

#endif
