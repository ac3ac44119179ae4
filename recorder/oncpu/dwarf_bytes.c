/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/dwarf_bytes.h"

#include <string.h>

#define RELATIVE_MASK 0x70
#define RELATIVE_PC   0x10
#define INDIRECT      0x80
#define OMITTED	      0xff

bool dwarf_read_part(struct dwarf_bytes *b, uint64_t len, struct dwarf_bytes *ret)
{
	if (len > (uint64_t)(b->end - b->p))
		return false;
	*ret = (struct dwarf_bytes){.p = b->p, .end = b->p + len, .addr = b->addr};
	b->p += len;
	b->addr += len;
	return true;
}

static bool read_bytes(struct dwarf_bytes *b, void *buf, size_t len)
{
	struct dwarf_bytes part;

	if (!dwarf_read_part(b, len, &part))
		return false;
	memcpy(buf, part.p, len);
	return true;
}

bool dwarf_read_u8(struct dwarf_bytes *b, uint8_t *ret)
{
	return read_bytes(b, ret, sizeof(*ret));
}

bool dwarf_read_u32(struct dwarf_bytes *b, uint32_t *ret)
{
	return read_bytes(b, ret, sizeof(*ret));
}

/* Seven bits in each byte, the lowest first; all but the last byte have the top bit set. */
static bool read_leb(struct dwarf_bytes *b, uint64_t *ret, unsigned *ret_bits, uint8_t *ret_last)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (shift > 63 || !dwarf_read_u8(b, &byte))
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	*ret = value;
	*ret_bits = shift;
	*ret_last = byte;
	return true;
}

bool dwarf_read_uleb(struct dwarf_bytes *b, uint64_t *ret)
{
	unsigned bits;
	uint8_t last;

	return read_leb(b, ret, &bits, &last);
}

bool dwarf_read_sleb(struct dwarf_bytes *b, int64_t *ret)
{
	uint64_t value;
	unsigned bits;
	uint8_t last;

	if (!read_leb(b, &value, &bits, &last))
		return false;
	if (bits < 64 && last & 0x40)
		value |= UINT64_MAX << bits;
	*ret = (int64_t)value;
	return true;
}

bool dwarf_read_string(struct dwarf_bytes *b, const char **ret)
{
	const unsigned char *nul = memchr(b->p, '\0', (size_t)(b->end - b->p));
	struct dwarf_bytes part;

	if (!nul)
		return false;
	*ret = (const char *)b->p;
	return dwarf_read_part(b, (uint64_t)(nul + 1 - b->p), &part);
}

/* As it is written, without what it is relative to. */
static bool read_raw_pointer(struct dwarf_bytes *b, uint8_t encoding, uint64_t *ret)
{
	int64_t s64;
	int32_t s32;
	int16_t s16;
	uint32_t u32;
	uint16_t u16;

	switch (encoding & DWARF_POINTER_FORMAT) {
	case 0x00: /* of the machine's width */
	case 0x04:
	case 0x0c:
		return read_bytes(b, ret, sizeof(*ret));
	case 0x01:
		return dwarf_read_uleb(b, ret);
	case 0x09:
		if (!dwarf_read_sleb(b, &s64))
			return false;
		*ret = (uint64_t)s64;
		return true;
	case 0x02:
		if (!read_bytes(b, &u16, sizeof(u16)))
			return false;
		*ret = u16;
		return true;
	case 0x03:
		if (!read_bytes(b, &u32, sizeof(u32)))
			return false;
		*ret = u32;
		return true;
	case 0x0a:
		if (!read_bytes(b, &s16, sizeof(s16)))
			return false;
		*ret = (uint64_t)s16;
		return true;
	case 0x0b:
		if (!read_bytes(b, &s32, sizeof(s32)))
			return false;
		*ret = (uint64_t)s32;
		return true;
	default:
		return false;
	}
}

bool dwarf_read_pointer(struct dwarf_bytes *b, uint8_t encoding, uint64_t *ret)
{
	uint64_t base = b->addr;

	if (encoding & INDIRECT || encoding == OMITTED || !read_raw_pointer(b, encoding, ret))
		return false;
	switch (encoding & RELATIVE_MASK) {
	case 0:
		return true;
	case RELATIVE_PC:
		*ret += base;
		return true;
	default:
		return false;
	}
}

bool dwarf_skip_pointer(struct dwarf_bytes *b, uint8_t encoding)
{
	uint64_t ignored;

	return encoding == OMITTED || read_raw_pointer(b, encoding, &ignored);
}
