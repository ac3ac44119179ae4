/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files trace_store*.c share: the connection and its prepared statements. */
#ifndef RECORDER_TRACE_STORE_PRIVATE_H
#define RECORDER_TRACE_STORE_PRIVATE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "recorder/trace_store.h"

/* The SQL of each is in trace_store_open.c. */
enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	SET_META,
	ADD_ANCHOR,
	ADD_FILE,
	SET_FILE_STATE,
	ADD_CODE,
	FIND_CODE,
	SET_THREAD,
	ADD_BLOCK,
	CHANGE_BLOCK,
	EXTEND_BLOCK,
	SET_LINE,
	SET_FUNCTION,
	SET_SHARED,
	SET_WAITS,
	ADD_WAIT_TOTALS,
	DELETE_WAIT_TOTALS,
	ADD_REASON,
	ADD_NATIVE,
	ADD_GAP,
	SET_COUNTER,
	PAGE_SIZE,
	COUNT_FREE_PAGES,
	NEXT_BLOCK,
	DELETE_LINES,
	DELETE_FUNCTIONS,
	DELETE_SHARED,
	DELETE_BLOCK,
	DELETE_GAPS,
	RAISE_META,
	RAISE_COUNTER,
	N_STATEMENTS,
};

struct trace_about;

struct trace_store {
	sqlite3 *db;
	sqlite3_stmt *statements[N_STATEMENTS];
	char *path;
	char *wal_path;
	/* Until trace_store_start(): a column, tables. */
	bool lacks_provenance, lacks_functions, lacks_shared;
	uint64_t now_ns;	  /* 0: not said yet */
	uint64_t checkpointed_ns; /* at first: as if, so that one is due soon */
};

/* For sqlite3_open_v2(): opens paths as they are. NULL: SQLite has no file system at all. */
const char *trace_store_vfs(void);
/* An SQLite result as a negative errno, or 0. */
int trace_store_error(sqlite3 *db, int code);
int trace_store_exec(struct trace_store *s, const char *sql);
/* All that is known from the start. */
int trace_store_about(struct trace_store *s, const struct trace_about *about);
/* Run a statement whose parameters are bound. */
int trace_store_run(struct trace_store *s, enum statement which);
/*
 * Step a statement that gives one row, which the caller resets afterwards.
 * Returns 1 with a row, 0 without, or a negative errno.
 */
int trace_store_row(struct trace_store *s, enum statement which);
/* Text that is not valid UTF-8 becomes a blob of the same bytes. */
void trace_store_bind_text(sqlite3_stmt *st, int at, const char *text, size_t len);

/* Binding can only fail for lack of memory or by our own mistake; the step then says so. */
static inline void trace_store_bind_int(sqlite3_stmt *st, int at, uint64_t value)
{
	sqlite3_bind_int64(st, at, (sqlite3_int64)value);
}

#endif
