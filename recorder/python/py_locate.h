/* SPDX-License-Identifier: BSD-3-Clause */
/* Where in a target's address space the interpreter is, from its mappings and ELF files. */
#ifndef RECORDER_PYTHON_PY_LOCATE_H
#define RECORDER_PYTHON_PY_LOCATE_H

#include <limits.h>
#include <stdint.h>

#include "recorder/target/memory.h"

struct mappings;
struct mapping;

struct py_location {
	remote_addr runtime;	/* of _PyRuntime */
	uint64_t runtime_size;	/* size of that symbol or of section .PyRuntime */
	remote_addr py_version; /* of Py_Version, 0 when there is none (before 3.11) */
	char path[PATH_MAX];	/* of the ELF file that holds it, as the target sees it */
};

/*
 * Open the ELF file behind a mapping. Returns a descriptor (the caller's) or a negative errno.
 * Asked only for executable mappings that may hold an interpreter.
 */
typedef int (*open_image_fn)(void *ctx, const struct mapping *mapping);

/*
 * Returns 0, or -EOPNOTSUPP when there is no CPython 3.8+ in it; what was found instead is
 * then put into found (e.g. "PyPy (libpypy3.9-c.so)", "CPython 2.7 (libpython2.7.so.1.0)",
 * "no Python interpreter (/usr/bin/sleep)").
 */
int py_locate(const struct mappings *maps, open_image_fn open_image, void *ctx,
	      struct py_location *ret, char *found, size_t found_size);

#endif
