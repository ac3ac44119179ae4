/* SPDX-License-Identifier: BSD-3-Clause */
/* What trace_open.c and trace.c share. */
#ifndef READER_TRACE_PRIVATE_H
#define READER_TRACE_PRIVATE_H

#include <sqlite3.h>

#include "reader/trace.h"

struct unpacker;

struct trace {
	sqlite3 *db;
	char *path;
	struct unpacker *unpacker;
	/* Both by id, loaded at their first use. */
	struct trace_file *files;
	size_t n_files, cap_files;
	struct trace_code *codes;
	size_t n_codes, cap_codes;
	int files_loaded, codes_loaded; /* bool */
	int is_damaged;			/* bool: seen when opening */
};

void trace_free(struct trace *t);
/* An SQLite result as a negative errno, or 0. */
int trace_error(const struct trace *t, int code);

#endif
