/* SPDX-License-Identifier: BSD-3-Clause */
/* A CPython interpreter in a target: which version, which layout, where its threads hang. */
#ifndef RECORDER_PYTHON_PY_RUNTIME_H
#define RECORDER_PYTHON_PY_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/python/py_layout.h"
#include "recorder/python/py_locate.h"
#include "recorder/target/memory.h"

struct py_runtime {
	remote_addr addr;	 /* of _PyRuntime */
	uint32_t hexversion;	 /* as sys.hexversion */
	char version[32];	 /* as "3.11.2" or "3.15.0rc1" */
	struct py_layout layout; /* this target's own copy */
};

/*
 * Find out the version and fill in the layout.
 * Returns 0; -EAGAIN when the interpreter has not been initialised far enough yet (try again
 * soon); -EOPNOTSUPP when the version or build is not supported, with what was found in `found`
 * (e.g. "CPython 3.16.0a1", "CPython 3.14.0 (free-threaded build)"); -EFAULT, -ESRCH from reading.
 */
int py_runtime_open(struct memory *mem, const struct py_location *where, struct py_runtime *ret,
		    char *found, size_t found_size);

#endif
