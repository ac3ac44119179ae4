/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/trace_check.h"
#include "tests/support/whole_sums.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	abort();
}

struct trace *check_open(const char *folder)
{
	struct trace *t = NULL;
	char why[512] = "";

	if (trace_open(folder, &t, why, sizeof(why)) < 0)
		fail(folder, why);
	return t;
}

struct trace_summary check_summary(struct trace *t)
{
	struct trace_summary s;

	if (trace_summarise(t, &s) < 0)
		fail(trace_path(t), "no summary");
	return s;
}

struct trace_gaps check_gaps(struct trace *t, enum gap_reason reason)
{
	struct trace_gaps all[N_GAP_REASONS];

	if (trace_sum_gaps(t, all) < 0)
		fail(trace_path(t), "no gaps");
	return all[reason];
}

/* A text or a number as text; the caller frees. */
static char *query(const char *folder, const char *sql)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	char *text;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		fail(path, sqlite3_errmsg(db));
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW)
		fail(sql, sqlite3_errmsg(db));
	text = xasprintf("%s", sqlite3_column_type(st, 0) == SQLITE_NULL
				   ? "0"
				   : (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	sqlite3_close(db);
	return text;
}

int64_t check_number(const char *folder, const char *sql)
{
	auto_free char *text = query(folder, sql);

	return strtoll(text, NULL, 10);
}

static void check_none(const char *folder, const char *sql)
{
	auto_free char *all = xasprintf("SELECT count(*) FROM (%s)", sql);

	if (check_number(folder, all) != 0)
		fail(folder, sql);
}

static void check_rows(const char *folder)
{
	auto_free char *ok = query(folder, "PRAGMA integrity_check");

	if (strcmp(ok, "ok") != 0)
		fail(folder, ok);
	check_none(folder, "SELECT * FROM pragma_foreign_key_check");
	check_none(folder, "SELECT a.id FROM blocks a JOIN blocks b"
			   " ON a.thread = b.thread AND a.id <> b.id"
			   " AND a.first_ns <= b.first_ns AND a.last_ns > b.first_ns");
	check_none(folder, "SELECT id FROM blocks WHERE last_ns < first_ns");
	check_none(folder, "SELECT id FROM gaps WHERE end_ns < start_ns");
}

void check_integrity(const char *folder)
{
	struct trace *t = check_open(folder);
	struct whole_sums sums;
	struct trace_line *lines = NULL;
	uint64_t in_index = 0;
	size_t n = 0;

	check_rows(folder);
	if (whole_sums_read(t, &sums) < 0)
		fail(folder, "a block cannot be decoded");
	if (trace_sum_lines(t, &lines, &n) < 0)
		fail(folder, "no lines");
	for (size_t i = 0; i < n; i++) {
		in_index += lines[i].self_ns;
		if (!trace_get_file(t, lines[i].file))
			fail(folder, "a line of no file");
	}
	if (sums.in_frames_ns != in_index)
		fail(folder, "blocks and line index differ");
	free(lines);
	trace_close(t);
}

void check_write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		fail(path, "cannot be written");
}
