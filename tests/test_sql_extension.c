/* SPDX-License-Identifier: BSD-3-Clause */
/* The extension as a program that loads it sees it. */
#include <sys/stat.h>

#include "tests/support/waits_trace.h"

/* The library beside this test: BUILD/tests/test_sql_extension, BUILD/trackexec.so. */
static char *extension_path(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(n, 0);
	self[n] = 0;
	for (int i = 0; i < 2; i++)
		*strrchr(self, '/') = 0;
	return xasprintf("%s/trackexec.so", self);
}

static sqlite3 *open_with(const char *path, int flags)
{
	auto_free char *extension = extension_path();
	char *error = NULL;
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open_v2(path, &db, flags, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_enable_load_extension(db, 1), SQLITE_OK);
	ck_assert_msg(sqlite3_load_extension(db, extension, NULL, &error) == SQLITE_OK, "%s",
		      error);
	return db;
}

/*
 * Columns with "|" between, rows with a newline behind; an error is the last row, after "error: ".
 * The caller frees.
 */
static char *ask(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int code = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	ck_assert_ptr_nonnull(f);
	while (code == SQLITE_OK && (code = sqlite3_step(st)) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			const unsigned char *value = sqlite3_column_text(st, i);

			fprintf(f, "%s%s", i ? "|" : "", value ? (const char *)value : "");
		}
		putc('\n', f);
		code = SQLITE_OK;
	}
	if (code != SQLITE_DONE)
		fprintf(f, "error: %s", sqlite3_errmsg(db));
	sqlite3_finalize(st);
	fclose(f);
	return text;
}

static void assert_says(sqlite3 *db, const char *sql, const char *expected)
{
	auto_free char *text = ask(db, sql);

	ck_assert_msg(strcmp(text, expected) == 0, "%s\n%s", sql, text);
}

static void assert_fails(sqlite3 *db, const char *sql, const char *why)
{
	auto_free char *text = ask(db, sql);

	ck_assert_msg(strstr(text, "error: ") && strstr(text, why), "%s\n%s", sql, text);
}

static sqlite3 *open_whole(void)
{
	write_whole();
	return open_with(db_path, SQLITE_OPEN_READONLY);
}

START_TEST(rows_are_what_was_recorded)
{
	sqlite3 *db = open_whole();

	assert_says(db,
		    "SELECT event, depth, function, line, source, thread, provenance"
		    " FROM trackexec_events",
		    "enter|1|main|2|while poller.poll(): work()|1|observed\n"
		    "enter|2|work|5|return sock.recv(4096)|1|observed\n"
		    "enter|2|work|6|y = 2|1|observed\n"
		    "enter|1|work|6|y = 2|2|observed\n");
	assert_says(
	    db,
	    "SELECT thread, activity, reason, kind, call, idle, line, round(duration_ns / 1e6),"
	    " native LIKE 'recv+%', provenance FROM trackexec_waits"
	    " WHERE thread = 1 AND depth = 2",
	    "1|waiting|recv from 10.0.0.5:5432|read|recvfrom|0|5|200.0|1|exact\n"
	    "1|waiting|recv from 10.0.0.5:5432|read|recvfrom|0|5|300.0|1|exact\n"
	    "1|ready|waiting for a CPU|||0|5|20.0||exact\n"
	    "1|waiting||||0|5|2.0||exact\n");
	assert_says(db,
		    "SELECT line, sum(visits), sum(self_ns) = on_cpu + wait + ready FROM"
		    " (SELECT line, visits, self_ns, sum(on_cpu_ns) OVER l AS on_cpu,"
		    "  sum(wait_ns) OVER l AS wait, sum(ready_ns) OVER l AS ready"
		    "  FROM trackexec_lines WINDOW l AS (PARTITION BY line)) GROUP BY line",
		    "2|1|1\n5|1|1\n6|2|1\n");
	sqlite3_close(db);
}
END_TEST

START_TEST(rows_say_how_they_are_known)
{
	struct trace_writer *w = test_writer_new(folder);
	sqlite3 *db;

	put_thread(w, 1, AT(0));
	put_code(w, 1, source_path, "main");
	put_stack(w, 1, AT(0), 0, FRAMES({1, 2}), 1);
	put_told(w, 1, AT(10), PROVENANCE_EXACT | TOLD_FIRST, 0, FRAMES({1, 3}), 1);
	put_told(w, 1, AT(20), PROVENANCE_EXACT, 0, FRAMES({1, 3}), 1);
	put_told(w, 1, AT(30), PROVENANCE_PRECISE | TOLD_FIRST, 0, FRAMES({1, 4}), 1);
	ck_assert_int_eq(trace_writer_close(w, AT(40), "stopped"), 0);
	db = open_with(db_path, SQLITE_OPEN_READONLY);
	assert_says(db, "SELECT event, line, provenance FROM trackexec_events",
		    "enter|2|observed\nenter|3|exact\nenter|3|exact\nenter|4|precise\n");
	assert_says(db,
		    "SELECT line, round(duration_ns / 1e6), provenance FROM trackexec_stacks"
		    " WHERE depth",
		    "2|10.0|observed\n3|10.0|exact\n3|10.0|exact\n4|10.0|precise\n");
	assert_says(db, "SELECT line, visits, provenance FROM trackexec_lines",
		    "2|1|mixed\n3|2|mixed\n4|1|mixed\n");
	sqlite3_close(db);
	/* A trace of an earlier program. */
	run_sql("ALTER TABLE blocks DROP COLUMN provenance; DELETE FROM counters");
	db = open_with(db_path, SQLITE_OPEN_READONLY);
	assert_says(db, "SELECT DISTINCT provenance FROM trackexec_events", "observed\n");
	assert_says(db, "SELECT DISTINCT provenance FROM trackexec_lines", "observed\n");
	sqlite3_close(db);
}
END_TEST

START_TEST(sums_are_those_of_the_line_index)
{
	sqlite3 *db = open_whole();

	assert_says(db,
		    "SELECT file, line, sum(self_ns) FROM lines GROUP BY 1, 2 HAVING sum(self_ns)"
		    " EXCEPT SELECT f.id, s.line, sum(s.duration_ns) FROM trackexec_stacks AS s"
		    " JOIN files AS f ON f.path = s.file WHERE depth > 0 GROUP BY 1, 2",
		    "");
	assert_says(db, "SELECT count(*) = (SELECT sum(visits) FROM lines) FROM trackexec_events",
		    "1\n");
	sqlite3_close(db);
}
END_TEST

static char *with_sign(const char *condition, char sign)
{
	char *text = xstrdup(condition);

	for (char *c = text; *c; c++) {
		if (*c == '@')
			*c = sign;
	}
	return text;
}

/* What narrows the reading does not change what is found. */
START_TEST(bounds_change_nothing)
{
	static const char *const tables[] = {"trackexec_events", "trackexec_stacks",
					     "trackexec_waits", "trackexec_lines"};
	/* At @ comes a "+" where SQLite has to check by itself, otherwise a blank. */
	static const char *const conditions[] = {
	    "@time_ns >= 1500000000",
	    "@time_ns > 1500000000 AND @time_ns <= 2040000000",
	    "@time_ns BETWEEN 1449999999 AND 1.05e9",
	    "@time_ns < 1450000000.5",
	    "@time_ns = 1450000000",
	    "@time_ns = 1000000000",
	    "@thread = 2",
	    "@thread IN (2, 1, 1) AND @time_ns > -5",
	    "@thread = 1 AND @thread = 2",
	    "@thread = 3",
	    "@thread = NULL",
	    "@time_ns < 'text'",
	    "@time_ns > 'text'",
	    "@time_ns > 1e300",
	    "@time_ns < -1",
	};
	sqlite3 *db = open_whole();

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (size_t j = 0; j < sizeof(conditions) / sizeof(conditions[0]); j++) {
			auto_free char *plain = with_sign(conditions[j], ' ');
			auto_free char *checked = with_sign(conditions[j], '+');
			auto_free char *a = xasprintf("SELECT * FROM %s WHERE %s"
						      " ORDER BY thread, time_ns, rowid",
						      tables[i], plain);
			auto_free char *b = xasprintf("SELECT * FROM %s WHERE %s"
						      " ORDER BY +thread, time_ns, rowid",
						      tables[i], checked);
			auto_free char *expected = ask(db, b);

			assert_says(db, a, expected);
		}
	}
	sqlite3_close(db);
}
END_TEST

START_TEST(a_call_cuts_rows_to_an_interval)
{
	sqlite3 *db = open_whole();

	assert_says(db,
		    "SELECT thread, sum(duration_ns) FROM trackexec_stacks(NULL, '+0.6s', '+0.2s')"
		    " GROUP BY 1",
		    "1|200000000\n2|200000000\n");
	assert_says(db,
		    "SELECT min(time_ns), max(end_ns) FROM trackexec_waits(NULL, '+0.6s', '+0.2s')",
		    "1600000000|1800000000\n");
	assert_says(db, "SELECT count(*) FROM trackexec_events(NULL, '+0.4s', '+0.6s')", "1\n");
	assert_fails(db, "SELECT * FROM trackexec_stacks(NULL, 'one day')", "one day");
	assert_fails(db, "SELECT * FROM trackexec_stacks(NULL, '+9h')", "nothing of that time");
	sqlite3_close(db);
}
END_TEST

START_TEST(any_database_can_ask)
{
	sqlite3 *db = open_with(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	auto_free char *sql = xasprintf(
	    "SELECT count(*) FROM trackexec_events('%s'), trackexec_lines('%s')", folder, db_path);
	auto_free char *joined = xasprintf(
	    "SELECT count(*) FROM (SELECT '%s' AS trace) AS t, trackexec_events(t.trace)", folder);

	write_whole();
	assert_fails(db, "SELECT * FROM trackexec_events", "which trace?");
	assert_fails(db, "SELECT * FROM trackexec_events('/nonexistent')", "No such file");
	assert_fails(db, "SELECT * FROM trackexec_events('/')", "trace.db");
	assert_says(db, joined, "4\n");
	/* Two are read at once, and once more. */
	for (int i = 0; i < 2; i++) {
		auto_free char *text = ask(db, sql);

		ck_assert_int_gt(atoi(text), 4);
	}
	sqlite3_close(db);
}
END_TEST

START_TEST(views_can_not_have_the_tables)
{
	sqlite3 *db;

	write_whole();
	run_sql("CREATE VIEW innocent AS SELECT * FROM trackexec_events('/etc/passwd')");
	db = open_with(db_path, SQLITE_OPEN_READONLY);
	assert_fails(db, "SELECT * FROM innocent", "unsafe use");
	sqlite3_close(db);
}
END_TEST

START_TEST(damage_is_an_error_that_tells_where)
{
	sqlite3 *db;

	write_whole();
	run_sql("UPDATE blocks SET data = zeroblob(length(data)) WHERE thread = 2");
	db = open_with(db_path, SQLITE_OPEN_READONLY);
	assert_fails(db, "SELECT count(*) FROM trackexec_stacks", "damaged: block ");
	assert_fails(db, "SELECT count(*) FROM trackexec_events", "of thread 2 from time_ns ");
	assert_fails(db, "SELECT count(*) FROM trackexec_waits", "damaged: block ");
	assert_says(db, "SELECT count(*) FROM trackexec_events WHERE thread = 1", "3\n");
	assert_says(db, "SELECT count(*) > 3 FROM trackexec_lines", "1\n");
	sqlite3_close(db);
}
END_TEST

START_TEST(a_trace_that_was_cut_off_is_damaged)
{
	auto_free char *sql = xasprintf("SELECT count(*) FROM trackexec_stacks('%s')", folder);
	sqlite3 *db = open_with(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	struct stat st;

	write_whole();
	ck_assert_int_eq(stat(db_path, &st), 0);
	ck_assert_int_eq(truncate(db_path, st.st_size - 8192), 0);
	assert_fails(db, sql, "damaged");
	ck_assert_int_eq(truncate(db_path, 100), 0);
	assert_fails(db, sql, folder);
	sqlite3_close(db);
}
END_TEST

START_TEST(rows_that_make_no_sense_do_no_harm)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET data = 'text', first_ns = 'x', last_ns = -1",
	    "UPDATE OR REPLACE lines SET self_ns = 'x', visits = -1, file = -1, line = 1e300",
	    "UPDATE code SET file = 99, qualname = x'ff00'",
	    "UPDATE files SET path = 1.5, source = x'00', state = 99",
	    "UPDATE meta SET value = x'ff00ff'",
	    "UPDATE threads SET id = id + 70000",
	    "UPDATE threads SET first_ns = 'x'",
	    "UPDATE reasons SET what = x'00ff', kind = 7",
	    "UPDATE native_stacks SET frames = x'00'",
	    "DELETE FROM anchors",
	    "DELETE FROM code",
	    "DELETE FROM reasons",
	    "DROP TABLE reasons",
	    "DROP TABLE threads",
	    "DROP TABLE lines",
	    "DROP INDEX blocks_by_time",
	};
	static const char *const tables[] = {"events", "stacks", "waits", "lines"};
	sqlite3 *db;

	write_whole();
	run_sql(damage[_i]);
	db = open_with(db_path, SQLITE_OPEN_READONLY);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		auto_free char *sql = xasprintf("SELECT * FROM trackexec_%s", tables[i]);
		auto_free char *text = ask(db, sql);

		ck_assert_ptr_nonnull(text);
	}
	sqlite3_close(db);
}
END_TEST

START_TEST(a_trace_that_is_being_written_can_be_asked)
{
	struct trace_writer *w = write_waits();
	sqlite3 *db = open_with(db_path, SQLITE_OPEN_READONLY);

	assert_says(db, "SELECT count(*) FROM trackexec_events", "4\n");
	put_stack(w, 1, AT(5100), 1, FRAMES({2, 5}), 1);
	ck_assert_int_eq(trace_writer_tick(w, AT(8000)), 0);
	/* A query begins anew. */
	assert_says(db, "SELECT count(*) FROM trackexec_events", "5\n");
	/* Nothing is held on to: the end leaves one file. */
	sqlite3_close(db);
	ck_assert_int_eq(trace_writer_close(w, AT(9000), "stopped"), 0);
}
END_TEST

START_TEST(an_empty_trace_has_no_rows)
{
	sqlite3 *db;

	ck_assert_int_eq(trace_writer_close(test_writer_new(folder), AT(10), "stopped"), 0);
	db = open_with(db_path, SQLITE_OPEN_READONLY);
	assert_says(db, "SELECT * FROM trackexec_stacks", "");
	assert_says(db, "SELECT * FROM trackexec_lines", "");
	sqlite3_close(db);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sql_extension");
	TCase *tc = tcase_create("sql_extension");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, rows_are_what_was_recorded);
	tcase_add_test(tc, rows_say_how_they_are_known);
	tcase_add_test(tc, sums_are_those_of_the_line_index);
	tcase_add_test(tc, bounds_change_nothing);
	tcase_add_test(tc, a_call_cuts_rows_to_an_interval);
	tcase_add_test(tc, any_database_can_ask);
	tcase_add_test(tc, views_can_not_have_the_tables);
	tcase_add_test(tc, damage_is_an_error_that_tells_where);
	tcase_add_test(tc, a_trace_that_was_cut_off_is_damaged);
	tcase_add_loop_test(tc, rows_that_make_no_sense_do_no_harm, 0, 16);
	tcase_add_test(tc, a_trace_that_is_being_written_can_be_asked);
	tcase_add_test(tc, an_empty_trace_has_no_rows);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
