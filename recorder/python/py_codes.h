/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The target's code objects, read once and kept.
 *
 * A code object can be freed and its address reused by another one. So what is kept here is only
 * a claim until it has been checked again: the caller uses it for a snapshot and then, at once or
 * some time later, has py_codes_check() confirm that the object is still the one that was loaded;
 * a snapshot is proven by a load before it and a successful check after it.
 */
#ifndef RECORDER_PYTHON_PY_CODES_H
#define RECORDER_PYTHON_PY_CODES_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/python/py_code.h"
#include "recorder/python/py_layout.h"
#include "recorder/target/memory.h"

#define PY_MAX_CODE_MEMORY (5u << 20) /* then the cache starts afresh */

struct py_codes;

/* Reaching a named limit is counted here. */
struct py_codes_counters {
	uint64_t loads, checks, replaced, names_truncated, line_tables_refused, flushes;
};

struct py_codes *py_codes_new(struct memory *mem, const struct py_layout *l);
void py_codes_free(struct py_codes *codes);

/* The code object last loaded from addr, or NULL. Lent until py_codes_collect(). */
struct py_code *py_codes_find(struct py_codes *codes, remote_addr addr);

/*
 * Load the code object at addr. Returns 0, -EBADMSG when there is none, or an error of
 * memory_read(). Replaces what was known of that address.
 */
int py_codes_load(struct py_codes *codes, remote_addr addr, uint64_t now_ns, struct py_code **ret);

/*
 * Decode the lines too; a table that can't be read, or that is not that of the loaded object any
 * more, leaves all lines unknown. Always sets lines.
 */
void py_codes_load_lines(struct py_codes *codes, struct py_code *code);

/*
 * Is it still the object that was loaded? Returns 1 yes (its instructions' flags are then
 * refreshed when refresh is set), 0 no (forgotten now), or -ESRCH.
 */
int py_codes_check(struct py_codes *codes, struct py_code *code, uint64_t now_ns, bool refresh);

/* The address of the type of code objects, 0 while none has been loaded. */
remote_addr py_codes_type(const struct py_codes *codes);

/* Free what has been forgotten; no struct py_code from before may be used afterwards. */
void py_codes_collect(struct py_codes *codes);

const struct py_codes_counters *py_codes_get_counters(const struct py_codes *codes);

#endif
