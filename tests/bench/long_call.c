/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * long_call FOLDER BLOCKS: write a trace in which a call lasts for so many blocks. The first and
 * the last are written by the real writer, those between are copies of the one in the middle at
 * later times. For measuring how replay steps over the call.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "tests/support/trace_records.h"

#define SECOND_NS UINT64_C(1000000000)
/* Between two blocks: an open block is closed after about a minute. */
#define BLOCK_NS (70 * SECOND_NS)
#define MIDDLE	 2
#define LAST	 3

static uint64_t end_block(struct trace_writer *w, uint64_t now)
{
	now += BLOCK_NS;
	put_counters(w, now, 1);
	trace_writer_tick(w, now);
	return now;
}

static void write_three(const char *folder)
{
	struct trace_writer *w = test_writer_new(folder);
	uint64_t now = TEST_START_NS;

	put_thread(w, 1, now);
	put_code(w, 1, "/srv/app/long.py", "main");
	put_code(w, 2, "/srv/app/long.py", "work");
	put_stack(w, 1, now, 0, FRAMES({1, 1}), 1);
	put_stack(w, 1, now + SECOND_NS, 0, FRAMES({1, 2}, {2, 10}), 2);
	now = end_block(w, now);
	for (int32_t i = 0; i < 20; i++)
		put_stack(w, 1, now + (uint64_t)i * SECOND_NS, 1, FRAMES({2, 11 + i}), 1);
	now = end_block(w, now);
	put_stack(w, 1, now, 0, FRAMES({1, 3}), 1);
	if (trace_writer_close(w, now + SECOND_NS, "all written") < 0)
		exit(1);
}

static int run_sql(sqlite3 *db, const char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &error) == SQLITE_OK)
		return 0;
	fprintf(stderr, "long_call: %s: %s\n", sql, error);
	return 1;
}

static int copy_middle(const char *folder, unsigned long n)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	unsigned long long shift = n * BLOCK_NS;
	/* Ids follow time: the last block gets a new one. */
	auto_free char *sql = xasprintf(
	    "BEGIN;"
	    "CREATE TEMP TABLE last AS SELECT * FROM blocks WHERE id = %d;"
	    "DELETE FROM blocks WHERE id = %d;"
	    "UPDATE lines SET block = %lu WHERE block = %d;"
	    "INSERT INTO blocks (thread, first_ns, last_ns, lowest_depth, n_events, data)"
	    " WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < %lu)"
	    " SELECT thread, first_ns + n * %llu, last_ns + n * %llu, lowest_depth, n_events, data"
	    " FROM i, blocks WHERE id = %d;"
	    "INSERT INTO blocks (id, thread, first_ns, last_ns, lowest_depth, n_events, data, "
	    "waits)"
	    " SELECT %lu, thread, first_ns + %llu, last_ns + %llu, lowest_depth,"
	    " n_events, data, waits FROM last;"
	    "UPDATE meta SET value = value + %llu WHERE key = 'end_ns';"
	    "COMMIT",
	    LAST, LAST, LAST + n, LAST, n, (unsigned long long)BLOCK_NS,
	    (unsigned long long)BLOCK_NS, MIDDLE, LAST + n, shift, shift, shift);
	sqlite3 *db = NULL;
	int failed;

	if (sqlite3_open(path, &db) != SQLITE_OK)
		return 1;
	failed = run_sql(db, sql);
	sqlite3_close(db);
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t n;

	if (argc != 3 || parse_count(argv[2], 100000000, &n) < 0) {
		fprintf(stderr, "usage: long_call FOLDER BLOCKS\n");
		return 2;
	}
	mkdir(argv[1], 0777);
	write_three(argv[1]);
	return copy_middle(argv[1], (unsigned long)n);
}
