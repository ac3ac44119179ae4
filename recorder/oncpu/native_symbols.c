/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/native_symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/xalloc.h"
#include "recorder/oncpu/xz_unpack.h"

/* Functions that begin inside another one, as labels in assembly do, are passed by up to here. */
#define MAX_NESTED 16
/* A larger file is not checked against a CRC: that takes a second per GB. */
#define MAX_LINKED_BYTES (UINT64_C(1) << 30)

struct symbol {
	uint64_t value;
	uint32_t size; /* 0: not known */
	uint32_t name; /* offset in names */
	bool global;
};

struct native_symbols {
	struct symbol *items; /* by value, each value once when it is loaded */
	size_t n, cap;
	char *names;
	size_t names_len, names_cap;
};

static bool add_function(void *ctx, const struct elf_function *function)
{
	struct native_symbols *s = ctx;
	size_t len = strnlen(function->name, NATIVE_MAX_SYMBOL_LENGTH);

	if (s->n == NATIVE_MAX_SYMBOLS || s->names_len + len + 1 > NATIVE_MAX_SYMBOL_BYTES)
		return false;
	s->names = xgrow(s->names, &s->names_cap, s->names_len + len + 1, 1);
	memcpy(s->names + s->names_len, function->name, len);
	s->names[s->names_len + len] = '\0';
	s->items = xgrow(s->items, &s->cap, s->n + 1, sizeof(*s->items));
	s->items[s->n++] = (struct symbol){
	    .value = function->value,
	    .size = function->size > UINT32_MAX ? UINT32_MAX : (uint32_t)function->size,
	    .name = (uint32_t)s->names_len,
	    .global = function->global,
	};
	s->names_len += len + 1;
	return true;
}

/*
 * Of several names for one function the plainest comes first: with a known size, without leading
 * underscores (read rather than __read), for others to use, short.
 */
static int compare_symbols(const void *a_, const void *b_, void *names_)
{
	const struct symbol *a = a_, *b = b_;
	const char *a_name = (const char *)names_ + a->name;
	const char *b_name = (const char *)names_ + b->name;
	size_t a_plain = strspn(a_name, "_"), b_plain = strspn(b_name, "_");
	size_t a_len = strlen(a_name), b_len = strlen(b_name);

	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	if (!a->size != !b->size)
		return a->size ? -1 : 1;
	if (a_plain != b_plain)
		return a_plain < b_plain ? -1 : 1;
	if (a->global != b->global)
		return a->global ? -1 : 1;
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return strcmp(a_name, b_name);
}

static void sort_symbols(struct native_symbols *s)
{
	size_t n = 0;

	if (s->n == 0)
		return;
	qsort_r(s->items, s->n, sizeof(*s->items), compare_symbols, s->names);
	for (size_t i = 1; i < s->n; i++)
		if (s->items[i].value != s->items[n].value)
			s->items[++n] = s->items[i];
	s->n = n + 1;
	s->cap = s->n;
	s->items = xreallocarray(s->items, s->cap, sizeof(*s->items));
}

static bool has_other_id(struct elf_image *image, const struct elf_build_id *wanted)
{
	struct elf_build_id id;

	return wanted->len > 0 && elf_image_build_id(image, &id) &&
	       (id.len != wanted->len || memcmp(id.bytes, wanted->bytes, id.len) != 0);
}

/* The symbols that distributions leave in a stripped file, beside the dynamic ones. */
static void add_debugdata(struct native_symbols *s, struct elf_image *image)
{
	auto_free unsigned char *bytes = NULL;
	auto_elf_image struct elf_image *small = NULL; /* released before its bytes */
	const void *packed;
	size_t packed_len, len;

	if (elf_image_read_section(image, ".gnu_debugdata", NATIVE_MAX_DEBUGDATA, &packed,
				   &packed_len) == 0 &&
	    xz_unpack(packed, packed_len, NATIVE_MAX_DEBUGDATA, &bytes, &len) == 0 &&
	    elf_image_open_bytes(bytes, len, &small) == 0)
		elf_image_each_function(small, ELF_TABLE_FULL, add_function, s);
}

/* Returns whether there are symbols of all functions in it. */
static bool add_image(struct native_symbols *s, struct elf_image *image)
{
	elf_image_each_function(image, ELF_TABLE_DYNAMIC, add_function, s);
	return elf_image_each_function(image, ELF_TABLE_FULL, add_function, s) == 0;
}

/* As .gnu_debuglink says; two that are the same by their build-id need not be read whole. */
static bool has_crc(int fd, uint32_t wanted)
{
	auto_free unsigned char *buf = xmalloc(1u << 16);
	uint32_t crc = 0;
	struct stat st;
	off_t at = 0;
	ssize_t n;

	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size > MAX_LINKED_BYTES)
		return false;
	while ((uint64_t)at < MAX_LINKED_BYTES && (n = pread(fd, buf, 1u << 16, at)) > 0) {
		crc = xz_crc32(buf, (size_t)n, crc);
		at += n;
	}
	return at == st.st_size && crc == wanted;
}

/* Takes over fd, or an error. Returns whether symbols of all functions came from it. */
static bool add_debug_file(struct native_symbols *s, int fd_, const struct elf_build_id *id,
			   const uint32_t *crc)
{
	auto_close int fd = fd_;
	auto_elf_image struct elf_image *image = NULL;

	if (fd < 0 || elf_image_open(fd, &image) < 0 || has_other_id(image, id))
		return false;
	if (crc && !has_crc(fd, *crc))
		return false;
	return elf_image_each_function(image, ELF_TABLE_FULL, add_function, s) == 0;
}

static void add_debug_files(struct native_symbols *s, struct elf_image *image,
			    struct native_file wanted, native_open_fn open, void *ctx)
{
	char name[256];
	uint32_t crc;

	wanted.kind = NATIVE_FILE_BUILD_ID;
	if (wanted.build_id->len > 0 &&
	    add_debug_file(s, open(ctx, &wanted), wanted.build_id, NULL))
		return;
	wanted.kind = NATIVE_FILE_LINK;
	if (elf_image_debug_link(image, name, sizeof(name), &crc) == 0) {
		wanted.link = name;
		if (add_debug_file(s, open(ctx, &wanted), wanted.build_id, &crc))
			return;
	}
	add_debugdata(s, image);
}

struct native_symbols *native_symbols_load(const struct mapping *mapping,
					   const struct elf_build_id *build_id, native_open_fn open,
					   void *ctx)
{
	struct native_symbols *s = xcalloc(1, sizeof(*s));
	struct native_file wanted = {.kind = NATIVE_FILE_IMAGE, .mapping = mapping};
	auto_close int fd = open(ctx, &wanted);
	auto_elf_image struct elf_image *image = NULL;
	struct elf_build_id id = *build_id;

	if (fd < 0 || elf_image_open(fd, &image) < 0 || has_other_id(image, &id))
		return s;
	if (id.len == 0 && !elf_image_build_id(image, &id))
		id.len = 0;
	wanted.build_id = &id;
	if (!add_image(s, image))
		add_debug_files(s, image, wanted, open, ctx);
	sort_symbols(s);
	return s;
}

struct native_symbols *native_symbols_from_bytes(void *bytes, size_t len)
{
	struct native_symbols *s = xcalloc(1, sizeof(*s));
	auto_elf_image struct elf_image *image = NULL;

	if (elf_image_open_bytes(bytes, len, &image) == 0) {
		add_image(s, image);
		sort_symbols(s);
	}
	return s;
}

void native_symbols_free(struct native_symbols *s)
{
	if (!s)
		return;
	free(s->items);
	free(s->names);
	free(s);
}

size_t native_symbols_count(const struct native_symbols *s)
{
	return s->n;
}

size_t native_symbols_bytes(const struct native_symbols *s)
{
	return s->cap * sizeof(*s->items) + s->names_cap;
}

/* The number of symbols at or below addr. */
static size_t count_up_to(const struct native_symbols *s, uint64_t addr)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->items[mid].value <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const char *native_symbols_find(const struct native_symbols *s, uint64_t addr, uint64_t start,
				uint64_t *ret_offset)
{
	size_t n = count_up_to(s, addr);

	for (size_t i = 0; i < n && i < MAX_NESTED; i++) {
		const struct symbol *symbol = &s->items[n - 1 - i];
		bool covers = symbol->size ? addr - symbol->value < symbol->size
					   : i == 0 && symbol->value >= start;

		if (!covers)
			continue;
		*ret_offset = addr - symbol->value;
		return s->names + symbol->name;
	}
	return NULL;
}
