/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table here has one entry and is followed by the CIE and the FDE that it leads to, written
 * anew: the pointers in the target's own are relative to where they stand. The instructions, which
 * have none, are copied.
 */
#include "recorder/oncpu/native_sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash_index.h"
#include "common/xalloc.h"
#include "recorder/oncpu/native_arch.h"
#include "recorder/oncpu/native_images.h"
#include "recorder/oncpu/native_memory.h"
#include "recorder/oncpu/native_tables.h"

#define MAX_SITES	8192
#define MAX_TABLE_BYTES (4u << 20)
/* Of a table, besides the instructions. */
#define MAX_FRAMING_BYTES 96

struct native_sites {
	struct native_site *items;
	size_t n, cap;
	struct hash_index index;
	unsigned char *tables;
	size_t tables_len, tables_cap;
	struct native_cfi cfi; /* being read */
};

struct native_sites *native_sites_new(void)
{
	return xcalloc(1, sizeof(struct native_sites));
}

void native_sites_free(struct native_sites *s)
{
	if (!s)
		return;
	hash_index_done(&s->index);
	free(s->items);
	free(s->tables);
	free(s);
}

void native_sites_clear(struct native_sites *s)
{
	hash_index_done(&s->index);
	s->n = 0;
	s->tables_len = 0;
}

bool native_sites_are_full(const struct native_sites *s)
{
	return s->n >= MAX_SITES || s->tables_len >= MAX_TABLE_BYTES;
}

static void put_bytes(struct native_sites *s, const void *bytes, size_t len)
{
	memcpy(s->tables + s->tables_len, bytes, len);
	s->tables_len += len;
}

static void put_u8(struct native_sites *s, uint8_t value)
{
	put_bytes(s, &value, sizeof(value));
}

static void put_u32(struct native_sites *s, uint32_t value)
{
	put_bytes(s, &value, sizeof(value));
}

static void put_u64(struct native_sites *s, uint64_t value)
{
	put_bytes(s, &value, sizeof(value));
}

static void put_uleb(struct native_sites *s, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		put_u8(s, (uint8_t)(value | 0x80));
	put_u8(s, (uint8_t)value);
}

static void put_sleb(struct native_sites *s, int64_t value)
{
	for (; value < -64 || value > 63; value >>= 7)
		put_u8(s, (uint8_t)((value & 0x7f) | 0x80));
	put_u8(s, (uint8_t)(value & 0x7f));
}

/* Begin a record; its length is known when it is whole. */
static size_t begin_record(struct native_sites *s)
{
	put_u32(s, 0);
	return s->tables_len;
}

static void end_record(struct native_sites *s, size_t start)
{
	uint32_t len = (uint32_t)(s->tables_len - start);

	memcpy(s->tables + start - sizeof(len), &len, sizeof(len));
}

static void put_cie(struct native_sites *s, const struct native_cfi *cfi)
{
	const char *letters = cfi->signal_frame ? "zRS" : "zR";
	size_t start = begin_record(s);

	put_u32(s, 0);
	put_u8(s, 1);
	put_bytes(s, letters, strlen(letters) + 1);
	put_uleb(s, cfi->code_align);
	put_sleb(s, cfi->data_align);
	put_u8(s, NATIVE_DWARF_RETURN);
	put_uleb(s, 1); /* bytes for the letters */
	put_u8(s, 0);	/* addresses are absolute and whole */
	put_bytes(s, cfi->initial, cfi->initial_len);
	end_record(s, start);
}

static void put_fde(struct native_sites *s, const struct native_cfi *cfi, size_t cie)
{
	size_t start = begin_record(s);

	put_u32(s, (uint32_t)(start - cie));
	put_u64(s, cfi->start);
	put_u64(s, cfi->end - cfi->start);
	put_uleb(s, 0);
	put_bytes(s, cfi->program, cfi->program_len);
	end_record(s, start);
}

/* Returns the table's address. */
static uint64_t put_table(struct native_sites *s, const struct native_cfi *cfi)
{
	size_t table = s->tables_len;
	size_t need = table + cfi->initial_len + cfi->program_len + MAX_FRAMING_BYTES;
	uint32_t fde;
	size_t cie;

	s->tables = xgrow(s->tables, &s->tables_cap, need, 1);
	put_u64(s, 0);
	cie = s->tables_len;
	put_cie(s, cfi);
	/* The entry: the function begins at the start of what is asked for, its FDE is there. */
	fde = (uint32_t)(s->tables_len - table);
	memcpy(s->tables + table + 4, &fde, sizeof(fde));
	put_fde(s, cfi, cie);
	/* Whole words, and one more: a signal frame is looked for a mark behind its FDE's start. */
	do
		put_u8(s, 0);
	while (s->tables_len % 8 != 0);
	put_u64(s, 0);
	return NATIVE_SITES_BASE + table;
}

int native_sites_read(const struct native_sites *s, uint64_t addr, uint64_t *ret)
{
	uint64_t at = addr - NATIVE_SITES_BASE;

	if (addr < NATIVE_SITES_BASE || s->tables_len < sizeof(*ret) ||
	    at > s->tables_len - sizeof(*ret))
		return -EFAULT;
	memcpy(ret, s->tables + at, sizeof(*ret));
	return 0;
}

/* Returns what native_cfi_find() does, and -ENOENT too when there is no table at all. */
static int read_cfi(struct native_sites *s, struct native_image *image,
		    struct native_memory *memory, uint64_t code)
{
	int r;

	r = native_image_load(image, memory);
	if (r < 0)
		return r;
	if (image->state != NATIVE_IMAGE_READY)
		return -ENOENT;
	return native_cfi_find(image, memory, code, &s->cfi);
}

/* Whether trying again may give another answer. */
static bool is_passing(int error)
{
	return error == -EFAULT || error == -ESRCH || error == -ELOOP;
}

static uint32_t hash_site(uint64_t ip, bool after_call)
{
	return hash_fold(hash_mix(after_call, ip));
}

static int add_site(struct native_sites *s, const struct native_images *images,
		    struct native_memory *memory, uint64_t ip, bool after_call)
{
	uint64_t code = native_site_code(ip, after_call);
	struct native_site site = {.ip = ip, .after_call = after_call};

	site.image = native_images_find(images, code);
	site.error = site.image ? read_cfi(s, site.image, memory, code) : -ENOENT;
	if (is_passing(site.error))
		return site.error;
	if (site.error == 0) {
		site.start = s->cfi.start;
		site.end = s->cfi.end;
		site.signal_frame = s->cfi.signal_frame;
		site.table = put_table(s, &s->cfi);
	}
	s->items = xgrow(s->items, &s->cap, s->n + 1, sizeof(*s->items));
	s->items[s->n] = site;
	hash_index_add(&s->index, hash_site(ip, after_call), (uint32_t)s->n);
	s->n++;
	return 0;
}

int native_sites_get(struct native_sites *s, const struct native_images *images,
		     struct native_memory *memory, uint64_t ip, bool after_call,
		     const struct native_site **ret)
{
	int r;

	HASH_INDEX_FOR_EACH(&s->index, hash_site(ip, after_call), at, id)
	{
		if (s->items[id].ip == ip && s->items[id].after_call == after_call) {
			*ret = &s->items[id];
			return 0;
		}
	}
	r = add_site(s, images, memory, ip, after_call);
	if (r < 0)
		return r;
	*ret = &s->items[s->n - 1];
	return 0;
}
