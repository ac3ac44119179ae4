/* SPDX-License-Identifier: BSD-3-Clause */
/* Any memory in place of a str, a bytes object, a dict and an int, for every layout. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "recorder/python/py_object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

/* The input lies at address 0, so that small numbers in it are addresses of itself. */
static int read_input(void *ctx, remote_addr addr, void *buf, size_t len)
{
	const struct input *in = ctx;

	if (addr > in->size || in->size - addr < len)
		return -EFAULT;
	memcpy(buf, in->data + addr, len);
	return 0;
}

static void read_str(struct memory *mem, const struct py_layout *l, remote_addr at, size_t room)
{
	char buf[64];
	bool truncated;
	int n = py_object_read_str(mem, l, at, buf, room, &truncated);

	if (n >= 0 && ((size_t)n >= room || buf[n] != '\0' || !text_is_utf8(buf, (size_t)n)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct memory mem;

	memory_init_image(&mem, read_input, &in);
	for (unsigned minor = PY_MINOR_MIN; minor <= PY_MINOR_MAX; minor++) {
		const struct py_layout *l = py_layout_find(minor);
		uint8_t *bytes;
		size_t len;
		remote_addr found;
		uint64_t value;

		read_str(&mem, l, 0, 64);
		read_str(&mem, l, 8, 1 + size % 8);
		if (py_object_read_bytes(&mem, l, 0, 4096, &bytes, &len) == 0) {
			if (len > 4096)
				abort();
			free(bytes);
		}
		if (minor <= 10)
			py_object_dict_get(&mem, l, 0, "hexversion", &found);
		py_object_read_int(&mem, 0, &value);
	}
	memory_done(&mem);
	return 0;
}
