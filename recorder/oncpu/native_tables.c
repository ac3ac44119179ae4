/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/native_tables.h"

#include <errno.h>
#include <string.h>

#include "recorder/oncpu/dwarf_bytes.h"
#include "recorder/oncpu/native_arch.h"
#include "recorder/oncpu/native_images.h"
#include "recorder/oncpu/native_memory.h"

/* An entry of the search table: both are relative to the table's base. */
struct table_entry {
	int32_t start; /* of a function */
	int32_t fde;
};

/* The FDE of the last function that begins at or below addr. */
static int search_index(const struct native_image *image, uint64_t addr, uint64_t *ret)
{
	uint32_t low = 0, high = image->n_entries;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (addr < image->index[mid].start)
			high = mid;
		else
			low = mid + 1;
	}
	if (high == 0)
		return -ENOENT;
	*ret = image->index[high - 1].fde;
	return 0;
}

/* The same, in the target's own table. */
static int search_table(const struct native_image *image, struct native_memory *memory,
			uint64_t addr, uint64_t *ret)
{
	struct table_entry entry, best = {0};
	uint32_t low = 0, high = image->n_entries;
	bool found = false;
	int r;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		r = native_memory_read(memory, image->table + (uint64_t)mid * sizeof(entry), &entry,
				       sizeof(entry));
		if (r < 0)
			return r;
		if ((int64_t)(addr - image->table_base) < entry.start) {
			high = mid;
		} else {
			low = mid + 1;
			best = entry;
			found = true;
		}
	}
	*ret = image->table_base + (uint64_t)(int64_t)best.fde;
	return found ? 0 : -ENOENT;
}

/* Copy a record, behind its length, and say where it is. */
static int read_record(const struct native_image *image, struct native_memory *memory,
		       uint64_t addr, unsigned char *buf, size_t size, struct dwarf_bytes *ret)
{
	uint32_t len;
	int r;

	if (addr < image->low || addr >= image->high || image->high - addr < sizeof(len))
		return -EBADMSG;
	r = native_memory_read(memory, addr, &len, sizeof(len));
	if (r < 0)
		return r;
	addr += sizeof(len);
	/* 0 ends the section, and the highest ones announce a longer number. */
	if (len == 0 || len > size || len > image->high - addr)
		return -EBADMSG;
	r = native_memory_read(memory, addr, buf, len);
	if (r < 0)
		return r;
	*ret = (struct dwarf_bytes){.p = buf, .end = buf + len, .addr = addr};
	return 0;
}

/* What the CIE's augmentation string announces. */
struct augmentation {
	bool has_size;
	uint8_t pointers; /* encoding of addresses in the FDE */
};

static bool parse_augmentation(struct dwarf_bytes *b, const char *letters, struct augmentation *ret,
			       bool *ret_signal_frame)
{
	struct dwarf_bytes data = {0};
	uint64_t len;
	uint8_t encoding;

	*ret = (struct augmentation){.pointers = DWARF_POINTER_ABSOLUTE};
	if (*letters == '\0')
		return true;
	/* Without the size of what follows, what is unknown can't be skipped. */
	if (*letters != 'z' || !dwarf_read_uleb(b, &len) || !dwarf_read_part(b, len, &data))
		return false;
	ret->has_size = true;
	while (*++letters) {
		switch (*letters) {
		case 'L':
			if (!dwarf_read_u8(&data, &encoding))
				return false;
			break;
		case 'P':
			if (!dwarf_read_u8(&data, &encoding) ||
			    !dwarf_skip_pointer(&data, encoding))
				return false;
			break;
		case 'R':
			if (!dwarf_read_u8(&data, &ret->pointers))
				return false;
			break;
		case 'S':
			*ret_signal_frame = true;
			break;
		default:
			return false;
		}
	}
	return true;
}

static bool parse_cie(struct dwarf_bytes *b, struct native_cfi *ret, struct augmentation *ret_aug)
{
	uint64_t column;
	uint32_t id;
	uint8_t version, byte;
	const char *letters;

	if (!dwarf_read_u32(b, &id) || id != 0 || !dwarf_read_u8(b, &version) ||
	    (version != 1 && version != 3) || !dwarf_read_string(b, &letters) ||
	    !dwarf_read_uleb(b, &ret->code_align) || !dwarf_read_sleb(b, &ret->data_align))
		return false;
	if (version == 1) {
		if (!dwarf_read_u8(b, &byte))
			return false;
		column = byte;
	} else if (!dwarf_read_uleb(b, &column)) {
		return false;
	}
	ret->signal_frame = false;
	if (column != NATIVE_DWARF_RETURN ||
	    !parse_augmentation(b, letters, ret_aug, &ret->signal_frame))
		return false;
	ret->initial = b->p;
	ret->initial_len = (size_t)(b->end - b->p);
	return true;
}

/* What follows the pointer to the CIE. */
static bool parse_fde(struct dwarf_bytes *b, const struct augmentation *aug, struct native_cfi *ret)
{
	struct dwarf_bytes skipped;
	uint64_t size, len;

	/* A length is as wide as an address, but not relative to anything. */
	if (!dwarf_read_pointer(b, aug->pointers, &ret->start) ||
	    !dwarf_read_pointer(b, aug->pointers & DWARF_POINTER_FORMAT, &size) || size == 0 ||
	    size > INT32_MAX || size > UINT64_MAX - ret->start)
		return false;
	if (aug->has_size && (!dwarf_read_uleb(b, &len) || !dwarf_read_part(b, len, &skipped)))
		return false;
	ret->end = ret->start + size;
	ret->program = b->p;
	ret->program_len = (size_t)(b->end - b->p);
	return true;
}

int native_cfi_find(const struct native_image *image, struct native_memory *memory, uint64_t addr,
		    struct native_cfi *ret)
{
	struct augmentation aug;
	struct dwarf_bytes fde, cie;
	uint64_t at, field;
	uint32_t offset;
	int r;

	r = image->index ? search_index(image, addr, &at) : search_table(image, memory, addr, &at);
	if (r < 0)
		return r;
	r = read_record(image, memory, at, ret->fde, sizeof(ret->fde), &fde);
	if (r < 0)
		return r;
	field = fde.addr;
	/* The distance back to the CIE; 0 would make this one itself. */
	if (!dwarf_read_u32(&fde, &offset) || offset == 0)
		return -EBADMSG;
	r = read_record(image, memory, field - offset, ret->cie, sizeof(ret->cie), &cie);
	if (r < 0)
		return r;
	if (!parse_cie(&cie, ret, &aug) || !parse_fde(&fde, &aug, ret))
		return -EBADMSG;
	if (addr < ret->start || addr >= ret->end)
		return -ENOENT;
	return native_cfi_check(ret) ? 0 : -EBADMSG;
}
