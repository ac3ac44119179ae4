/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers as DWARF writes them, from a copy of bytes of a target. Each function takes its number
 * from the front and returns true, or returns false when that is not whole or makes no sense.
 */
#ifndef RECORDER_ONCPU_DWARF_BYTES_H
#define RECORDER_ONCPU_DWARF_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dwarf_bytes {
	const unsigned char *p;
	const unsigned char *end;
	uint64_t addr; /* of *p in the target */
};

/* Encodings of addresses (LSB 5.0, 10.5.1): how they are written, and relative to what. */
#define DWARF_POINTER_ABSOLUTE 0x00
#define DWARF_POINTER_FORMAT   0x0f

bool dwarf_read_u8(struct dwarf_bytes *b, uint8_t *ret);
bool dwarf_read_u32(struct dwarf_bytes *b, uint32_t *ret);
/* Of at most 64 bits. */
bool dwarf_read_uleb(struct dwarf_bytes *b, uint64_t *ret);
bool dwarf_read_sleb(struct dwarf_bytes *b, int64_t *ret);
/* Lent as long as the bytes. */
bool dwarf_read_string(struct dwarf_bytes *b, const char **ret);
/* The next len bytes. */
bool dwarf_read_part(struct dwarf_bytes *b, uint64_t len, struct dwarf_bytes *ret);
/* An address, absolute or relative to where it stands. */
bool dwarf_read_pointer(struct dwarf_bytes *b, uint8_t encoding, uint64_t *ret);
/* Any address, of whatever meaning. */
bool dwarf_skip_pointer(struct dwarf_bytes *b, uint8_t encoding);

#endif
