/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes in place of a program that a target has mapped. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "recorder/python/py_locate.h"
#include "recorder/target/mappings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int open_image(void *ctx, const struct mapping *mapping)
{
	(void)mapping;
	return dup(*(int *)ctx);
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
	close(fd);
	return 0;
}
