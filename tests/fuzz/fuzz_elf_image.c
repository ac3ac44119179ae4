/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes in place of a program that a target has mapped. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "recorder/oncpu/native_symbols.h"
#include "recorder/python/py_locate.h"
#include "recorder/target/mappings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int open_image(void *ctx, const struct mapping *mapping)
{
	(void)mapping;
	return dup(*(int *)ctx);
}

/* The same bytes in place of its debug file. */
static int open_file(void *ctx, const struct native_file *file)
{
	(void)file;
	return dup(*(int *)ctx);
}

static void load_symbols(const struct mapping *map, int fd)
{
	const struct elf_build_id none = {0};
	struct native_symbols *symbols = native_symbols_load(map, &none, open_file, &fd);
	uint64_t offset;

	native_symbols_find(symbols, map->start, map->start, &offset);
	native_symbols_free(symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/usr/bin/python3";
	struct mapping map = {
	    .start = 0x401000,
	    .end = 0x402000,
	    .offset = 0x1000,
	    .inode = 1,
	    .executable = true,
	    .path = path,
	};
	struct mappings maps = {.items = &map, .n = 1};
	int fd = memfd_create("elf", MFD_CLOEXEC);
	struct py_location where;
	char found[64];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	py_locate(&maps, open_image, &fd, &where, found, sizeof(found));
	load_symbols(&map, fd);
	close(fd);
	return 0;
}
