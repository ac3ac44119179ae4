/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The name of a trace becomes the name of its folder, and may come from the title of a process,
 * which any user can choose: the rules for it, the same ones wherever such a name is met.
 */
#ifndef RECORDER_TRACE_NAME_H
#define RECORDER_TRACE_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* In bytes, without the NUL. */
#define TRACE_NAME_MAX 64

/*
 * What is wrong with a name: one part of a path, valid UTF-8 without control characters, not
 * hidden, not to be taken for an option, no blanks at its ends, 1 to TRACE_NAME_MAX bytes.
 * @name  len bytes, any
 * Returns NULL when nothing is, or a static text that completes "the name …".
 */
const char *trace_name_find_fault(const char *name, size_t len);

static inline bool trace_name_is_valid(const char *name, size_t len)
{
	return !trace_name_find_fault(name, len);
}

#endif
