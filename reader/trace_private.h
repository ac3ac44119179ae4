/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files trace*.c share. */
#ifndef READER_TRACE_PRIVATE_H
#define READER_TRACE_PRIVATE_H

#include <sqlite3.h>

#include "common/cleanup.h"
#include "reader/trace.h"

struct trace_wait_texts;
struct unpacker;

/* The queries of trace_seek.c, prepared at their first use. */
#define TRACE_N_SEEKS 20

struct trace {
	sqlite3 *db;
	char *path;
	struct unpacker *unpacker;
	/* Both by id, loaded at their first use. */
	struct trace_file *files;
	size_t n_files, cap_files;
	struct trace_code *codes;
	size_t n_codes, cap_codes;
	int files_loaded, codes_loaded;	     /* bool */
	int is_damaged;			     /* bool: seen when opening */
	struct trace_wait_texts *wait_texts; /* NULL: not loaded yet */
	int data_version;		     /* as of the last refresh, 0: none yet */
	sqlite3_stmt *seeks[TRACE_N_SEEKS];
	sqlite3_stmt *block_lines, *block_gil, *block_shared; /* of trace_lines.c, likewise */
	sqlite3_blob *block_data;			      /* NULL, or that of some block */
	int provenance_known, has_provenance;		      /* bool: looked up at its first use */
};

void trace_free(struct trace *t);
/* Reasons and native stacks are loaded anew at their next use. */
void trace_forget_waits(struct trace *t);
/* Files and code objects are loaded anew at their next use. */
void trace_forget_names(struct trace *t);
/* An SQLite result as a negative errno, or 0. */
int trace_error(const struct trace *t, int code);
int trace_prepare(struct trace *t, const char *sql, sqlite3_stmt **ret);
/* Returns 1 with a row, 0 at the end, or a negative errno. */
int trace_next_row(struct trace *t, sqlite3_stmt *st);

static inline uint64_t trace_column_u64(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize)
#define auto_stmt auto_release(sqlite3_finalize)

#endif
