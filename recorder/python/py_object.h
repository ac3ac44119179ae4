/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading CPython's basic objects: str, bytes, and what finding the version needs of dict and int.
 */
#ifndef RECORDER_PYTHON_PY_OBJECT_H
#define RECORDER_PYTHON_PY_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/python/py_layout.h"
#include "recorder/target/memory.h"

/* ob_type and ob_size of a PyObject in a release build with a GIL. */
#define PY_OB_TYPE 8
#define PY_OB_SIZE 16

/*
 * Read a str as UTF-8 (surrogates become U+FFFD, NUL stays) into buf, NUL-terminated, cut at
 * size - 1 bytes on a character boundary.
 * @truncated  set to true when it was cut; may be NULL
 * Returns its length in bytes, -EBADMSG when that is no str, or an error of memory_read().
 */
int py_object_read_str(struct memory *mem, const struct py_layout *l, remote_addr str, char *buf,
		       size_t size, bool *truncated);

/*
 * Read a bytes object of at most max bytes. Returns 0 with *ret malloc()ed (the caller's),
 * -EBADMSG when the size is out of bounds (*ret_len then tells it), or an error of memory_read().
 */
int py_object_read_bytes(struct memory *mem, const struct py_layout *l, remote_addr bytes,
			 size_t max, uint8_t **ret, size_t *ret_len);

/*
 * The value of key in a dict of str keys, a borrowed address. Returns 0, -ENOENT, -EBADMSG, or an
 * error of memory_read(). To 3.10 only (later versions tell their version otherwise).
 */
int py_object_dict_get(struct memory *mem, const struct py_layout *l, remote_addr dict,
		       const char *key, remote_addr *ret);

/* A non-negative int below 2^60; to 3.11 only. */
int py_object_read_int(struct memory *mem, remote_addr obj, uint64_t *ret);

#endif
