/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/native_names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "recorder/oncpu/native_images.h"
#include "recorder/oncpu/native_memory.h"

/* The kernel's has two pages. */
#define VDSO_MAX_BYTES (64u << 10)

/* A file, by what a mapping tells of it and by its build-id; all zeros: the vDSO. */
struct file_key {
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	struct elf_build_id build_id;
};

struct named_file {
	struct file_key key;
	struct native_symbols *symbols;
};

struct native_names {
	native_open_fn open;
	void *ctx;
	struct named_file *files;
	size_t n, cap;
	size_t bytes; /* of all symbols */
};

struct native_names *native_names_new(native_open_fn open, void *ctx)
{
	struct native_names *names = xcalloc(1, sizeof(*names));

	names->open = open;
	names->ctx = ctx;
	return names;
}

void native_names_free(struct native_names *names)
{
	if (!names)
		return;
	for (size_t i = 0; i < names->n; i++)
		native_symbols_free(names->files[i].symbols);
	free(names->files);
	free(names);
}

static struct file_key key_of(const struct native_image *image)
{
	const struct mapping *map = image->mapping;
	struct file_key key = {0};

	if (map) {
		key.inode = map->inode;
		key.dev_major = map->dev_major;
		key.dev_minor = map->dev_minor;
		key.build_id.len = image->build_id.len;
		memcpy(key.build_id.bytes, image->build_id.bytes, image->build_id.len);
	}
	return key;
}

static bool is_same_inode(const struct file_key *a, const struct file_key *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

static bool is_same_key(const struct file_key *a, const struct file_key *b)
{
	return is_same_inode(a, b) && a->build_id.len == b->build_id.len &&
	       memcmp(a->build_id.bytes, b->build_id.bytes, a->build_id.len) == 0;
}

/* It has no file: its symbols are in the target's memory with all else. */
static struct native_symbols *load_vdso(const struct native_image *image,
					struct native_memory *memory)
{
	uint64_t len = image->end - image->start;
	auto_free unsigned char *bytes = NULL;

	if (len > VDSO_MAX_BYTES)
		len = VDSO_MAX_BYTES;
	bytes = xcalloc(1, len);
	/* What could not be read is not ELF: no symbols. */
	if (native_memory_read(memory, image->start, bytes, len) < 0)
		bytes[0] = 0;
	return native_symbols_from_bytes(bytes, len);
}

static struct native_symbols *load_symbols(struct native_names *names,
					   const struct native_image *image,
					   struct native_memory *memory)
{
	if (names->bytes >= NATIVE_MAX_NAMES_BYTES)
		return native_symbols_from_bytes(NULL, 0);
	if (!image->mapping)
		return load_vdso(image, memory);
	return native_symbols_load(image->mapping, &image->build_id, names->open, names->ctx);
}

const struct native_symbols *native_names_get(struct native_names *names,
					      const struct native_image *image,
					      struct native_memory *memory)
{
	struct file_key key = key_of(image);
	struct native_symbols *symbols;

	for (size_t i = 0; i < names->n; i++)
		if (is_same_key(&names->files[i].key, &key))
			return names->files[i].symbols;
	symbols = load_symbols(names, image, memory);
	names->bytes += native_symbols_bytes(symbols);
	names->files = xgrow(names->files, &names->cap, names->n + 1, sizeof(*names->files));
	names->files[names->n++] = (struct named_file){.key = key, .symbols = symbols};
	return symbols;
}

int native_names_find_section(struct native_names *names, const struct native_image *image,
			      const char *name, uint64_t *ret_addr, uint64_t *ret_size)
{
	const struct native_file wanted = {.kind = NATIVE_FILE_IMAGE, .mapping = image->mapping};
	auto_close int fd = -1;
	auto_elf_image struct elf_image *elf = NULL; /* released before its descriptor */
	int r;

	if (!image->mapping)
		return -ENOENT;
	fd = names->open(names->ctx, &wanted);
	if (fd < 0)
		return fd;
	r = elf_image_open(fd, &elf);
	if (r < 0)
		return r;
	r = elf_image_find_section(elf, name, ret_addr, ret_size);
	if (r < 0)
		return r;
	*ret_addr += image->bias;
	return 0;
}

static bool is_among(const struct file_key *key, const struct native_images *images)
{
	for (size_t i = 0; i < images->n; i++) {
		struct file_key other = key_of(&images->items[i]);

		if (is_same_inode(&other, key))
			return true;
	}
	return false;
}

void native_names_prune(struct native_names *names, const struct native_images *images)
{
	size_t n = 0;

	for (size_t i = 0; i < names->n; i++) {
		struct named_file *file = &names->files[i];

		if (is_among(&file->key, images)) {
			names->files[n++] = *file;
			continue;
		}
		names->bytes -= native_symbols_bytes(file->symbols);
		native_symbols_free(file->symbols);
	}
	names->n = n;
}
