/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "recorder/python/py_object.h"

#define HEX_MAJOR(h) ((h) >> 24 & 0xff)
#define HEX_MINOR(h) ((h) >> 16 & 0xff)

/* "3.15.0rc1" from 0x030f00c1 (PY_VERSION_HEX, Include/patchlevel.h). */
static void format_version(uint32_t hex, char *buf, size_t size)
{
	unsigned level = hex >> 4 & 0xf;
	int n = snprintf(buf, size, "%u.%u.%u", HEX_MAJOR(hex), HEX_MINOR(hex), hex >> 8 & 0xff);

	if (n > 0 && (size_t)n < size && level != 0xf)
		snprintf(buf + n, size - (size_t)n, "%s%u",
			 level == 0xa	? "a"
			 : level == 0xb ? "b"
					: "rc",
			 hex & 0xf);
}

/* To 3.10 the exact version is known to sys only: sys.hexversion of the main interpreter. */
static int read_sys_hexversion(struct memory *mem, const struct py_layout *l, remote_addr runtime,
			       uint32_t *ret)
{
	remote_addr interp, sysdict, value;
	uint64_t hex;
	int r;

	r = memory_read_u64(mem, runtime + l->runtime.interpreters_head, &interp);
	if (r < 0)
		return r;
	if (!interp)
		return -EAGAIN;
	r = memory_read_u64(mem, interp + l->interp.sysdict, &sysdict);
	if (r < 0)
		return r;
	if (!sysdict)
		return -EAGAIN;
	r = py_object_dict_get(mem, l, sysdict, "hexversion", &value);
	/* While the interpreter starts, the dict grows and moves under our eyes. */
	if (r == -ENOENT || r == -EBADMSG || r == -EFAULT)
		return -EAGAIN;
	if (r < 0)
		return r;
	r = py_object_read_int(mem, value, &hex);
	if (r < 0)
		return r;
	*ret = (uint32_t)hex;
	return 0;
}

static int read_version(struct memory *mem, const struct py_location *where, uint32_t *ret,
			const struct py_layout **ret_layout, char *found, size_t found_size)
{
	char version[32];
	unsigned minor;
	int r;

	if (where->py_version) {
		r = memory_read_u32(mem, where->py_version, ret);
		if (r < 0)
			return r;
		*ret_layout = HEX_MAJOR(*ret) == 3 ? py_layout_find(HEX_MINOR(*ret)) : NULL;
		if (!*ret_layout) {
			format_version(*ret, version, sizeof(version));
			snprintf(found, found_size, "CPython %s", version);
			return -EOPNOTSUPP;
		}
		return 0;
	}
	minor = py_layout_minor_from_runtime_size(where->runtime_size);
	*ret_layout = minor ? py_layout_find(minor) : NULL;
	if (!*ret_layout) {
		snprintf(found, found_size,
			 "a CPython before 3.11 whose runtime state has %llu bytes, not those of "
			 "3.8, 3.9 or 3.10",
			 (unsigned long long)where->runtime_size);
		return -EOPNOTSUPP;
	}
	r = read_sys_hexversion(mem, *ret_layout, where->runtime, ret);
	if (r < 0)
		return r;
	if (HEX_MAJOR(*ret) != 3 || HEX_MINOR(*ret) != minor) {
		format_version(*ret, version, sizeof(version));
		snprintf(found, found_size, "CPython %s with the runtime state of 3.%u", version,
			 minor);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* Whether a main interpreter with a thread exists already. */
static int is_initialised(struct memory *mem, const struct py_layout *l, remote_addr runtime)
{
	remote_addr interp, thread;
	int r;

	r = memory_read_u64(mem, runtime + l->runtime.interpreters_head, &interp);
	if (r < 0)
		return r;
	if (!interp)
		return -EAGAIN;
	r = memory_read_u64(mem, interp + l->interp.threads_head, &thread);
	if (r < 0)
		return r == -EFAULT ? -EAGAIN : r;
	return thread ? 0 : -EAGAIN;
}

int py_runtime_open(struct memory *mem, const struct py_location *where, struct py_runtime *ret,
		    char *found, size_t found_size)
{
	struct py_runtime py = {.addr = where->runtime};
	const struct py_layout *row;
	int r;

	r = read_version(mem, where, &py.hexversion, &row, found, found_size);
	if (r < 0)
		return r;
	py.layout = *row;
	format_version(py.hexversion, py.version, sizeof(py.version));
	if (row->minor >= 13) {
		uint8_t head[PY_DEBUG_OFFSETS_MAX];

		r = memory_read(mem, where->runtime, head, sizeof(head));
		if (r < 0)
			return r;
		r = py_layout_apply_debug_offsets(&py.layout, py.hexversion, head, sizeof(head));
		if (r == -EOPNOTSUPP)
			snprintf(found, found_size, "CPython %s (free-threaded build)", py.version);
		else if (r == -EBADMSG) {
			snprintf(found, found_size,
				 "CPython %s with debug offsets that make no sense", py.version);
			return -EOPNOTSUPP;
		}
		if (r < 0)
			return r;
	}
	r = is_initialised(mem, &py.layout, where->runtime);
	if (r < 0)
		return r;
	*ret = py;
	return 0;
}
