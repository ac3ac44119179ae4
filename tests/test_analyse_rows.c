/* SPDX-License-Identifier: BSD-3-Clause */
/* Functions, intervals, durations and single files, of an invented trace: exact numbers out. */
#include "reader/analyse_rows.h"

#include <check.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "reader/analyse.h"
#include "tests/support/random_trace.h"
#include "tests/support/waits_trace.h"

/* --- CSV as rows of cells --- */

#define MAX_CELLS 32

/* The cell of a column in the row whose column `key` has that value; lent until the next call. */
static const char *cell(const char *csv, const char *key, const char *value, const char *column)
{
	static char *copy;
	char *line, *rest;
	int at_key = -1, at_column = -1;

	free(copy);
	copy = xstrdup(csv);
	rest = copy;
	while ((line = strsep(&rest, "\n"))) {
		char *cells[MAX_CELLS] = {0}, *of_line = line;
		int n = 0;

		line[strcspn(line, "\r")] = 0;
		while (n < MAX_CELLS && (cells[n] = strsep(&of_line, ",")))
			n++;
		for (int i = 0; at_key < 0 && i < n; i++)
			at_column = strcmp(cells[i], column) == 0 ? i : at_column;
		for (int i = 0; at_key < 0 && i < n; i++) {
			if (strcmp(cells[i], key) == 0)
				at_key = i;
		}
		if (at_key >= 0 && at_key < n && at_column >= 0 && at_column < n &&
		    strcmp(cells[at_key], value) == 0)
			return cells[at_column];
	}
	ck_abort_msg("no row with %s %s, or no column %s, in:\n%s", key, value, column, csv);
	return "";
}

static uint64_t number(const char *csv, const char *key, const char *value, const char *column)
{
	return strtoull(cell(csv, key, value, column), NULL, 10);
}

#define MS(n) ((n)*UINT64_C(1000000))

static void assert_ms(uint64_t found, uint64_t expected_ms)
{
	uint64_t expected = MS(expected_ms);

	/* Times of events are in units of 64 ns, those of waits of 1024 ns. */
	ck_assert_msg(found + 4096 > expected && found < expected + 4096, "%llu ns is not %llu ms",
		      (unsigned long long)found, (unsigned long long)expected_ms);
}

/* --- functions --- */

START_TEST(functions_have_self_and_total_time)
{
	auto_free char *csv = NULL, *text = NULL, *json = NULL;

	write_whole();
	csv = RUN(cmd_analyse, EXIT_OK, "--by", "function", "--format", "csv");
	assert_ms(number(csv, "function", "main", "self_ns"), 450);
	assert_ms(number(csv, "function", "main", "total_ns"), 4000);
	assert_ms(number(csv, "function", "work", "self_ns"), 3550 + 4000);
	assert_ms(number(csv, "function", "work", "total_ns"), 3550 + 4000);
	/* In each thread once; that it goes on to another line is no call. */
	ck_assert_uint_eq(number(csv, "function", "work", "calls"), 2);
	ck_assert_uint_eq(number(csv, "function", "main", "calls"), 1);
	text = RUN(cmd_analyse, EXIT_OK, "-f");
	assert_has(text,
		   "      SELF   SHARE      TOTAL        RUN       WAIT        GIL      READY ");
	assert_has(text, "  work\n");
	json = RUN(cmd_analyse, EXIT_OK, "--functions", "--json", "-l1");
	assert_has(json, "\"functions\": [\n    {\n      \"function\": \"work\",\n");
	assert_has(json, "\"functions_not_shown\": 1\n");
}
END_TEST

/* Waits of less than a millisecond are known for the lines only: 1052 us become 52 us shorter. */
START_TEST(short_waits_go_to_the_functions_of_their_lines)
{
	auto_free char *lines = NULL, *functions = NULL;

	write_whole();
	run_sql("UPDATE lines SET wait_ns = wait_ns + 40000000 WHERE line = 5;"
		"DROP TABLE functions");
	lines = RUN(cmd_analyse, EXIT_OK, "--format", "csv");
	functions = RUN(cmd_analyse, EXIT_OK, "--format", "csv", "-f");
	assert_ms(number(lines, "line", "5", "wait_ns"), 542);
	assert_ms(number(functions, "function", "work", "wait_ns"), 542 + 2500);
	assert_ms(number(functions, "function", "main", "wait_ns"), 300);
	assert_ms(number(functions, "function", "work", "ready_ns"), 20);
}
END_TEST

START_TEST(waits_for_the_gil_have_a_column)
{
	auto_free char *csv = NULL, *functions = NULL, *text = NULL, *narrow = NULL;

	write_whole();
	run_sql("UPDATE reasons SET kind = 'gil' WHERE kind = 'read'");
	/* In the index of functions they are as they were found. */
	run_sql("DROP TABLE functions");
	csv = RUN(cmd_analyse, EXIT_OK, "--format", "csv", "--sort-column", "gil");
	assert_ms(number(csv, "line", "5", "gil_ns"), 500);
	assert_ms(number(csv, "line", "6", "gil_ns"), 2500);
	ck_assert_uint_eq(number(csv, "line", "2", "gil_ns"), 0);
	functions = RUN(cmd_analyse, EXIT_OK, "--format", "csv", "-f");
	assert_ms(number(functions, "function", "work", "gil_ns"), 3000);
	text = RUN_PLAIN(cmd_analyse);
	assert_has(text, "    502 ms     500 ms    20.0 ms ");
	setenv("COLUMNS", "80", 1);
	narrow = RUN_PLAIN(cmd_analyse);
	assert_has(narrow, " WAIT GIL READY ");
	/* Together 100. */
	assert_has(narrow, " 13%  84% 83%    3% ");
}
END_TEST

/* --- a part of it --- */

START_TEST(an_interval_cuts_lines_and_waits)
{
	auto_free char *csv = NULL, *one = NULL, *text = NULL;

	write_whole();
	csv =
	    RUN(cmd_analyse, EXIT_OK, "--since", "+600ms", "--until", "+200ms", "--format", "csv");
	assert_ms(number(csv, "line", "5", "self_ns"), 200);
	assert_ms(number(csv, "line", "5", "wait_ns"), 190);
	ck_assert_uint_eq(number(csv, "line", "5", "visits"), 0);
	assert_ms(number(csv, "line", "6", "self_ns"), 200);
	one = RUN(cmd_analyse, EXIT_OK, "--since", "+600ms", "--until", "+200ms", "--thread", "1",
		  "-f");
	assert_has(one, "200 ms observed in all");
	assert_has(one,
		   "Only 200 ms from 2025-11-23 01:00:00.600000 to 2025-11-23 01:00:00.800000, "
		   "thread 1\n");
	assert_has(one, "    200 ms 100.0 %     200 ms    10.0 ms     190 ms ");
	text = RUN(cmd_analyse, EXIT_OK, "--since", "+600ms", "--until", "+200ms", "--waits");
	assert_has(text, "190 ms      2   100 ms  2025-11-23 01:00:00.600  ");
	assert_lacks(text, "epoll");
}
END_TEST

START_TEST(intervals_add_up_to_the_whole)
{
	auto_free char *whole = NULL, *first = NULL, *second = NULL;
	static const char *const columns[] = {"self_ns", "total_ns", "on_cpu_ns",
					      "wait_ns", "ready_ns", "gil_ns"};

	write_whole();
	run_sql("UPDATE reasons SET kind = 'gil' WHERE kind = 'read'");
	whole = RUN(cmd_analyse, EXIT_OK, "--format", "csv");
	first = RUN(cmd_analyse, EXIT_OK, "--until", "+650ms", "--format", "csv");
	second = RUN(cmd_analyse, EXIT_OK, "--since", "+650ms", "--format", "csv");
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		uint64_t parts = number(first, "line", "5", columns[i]) +
				 number(second, "line", "5", columns[i]);

		assert_ms(parts, number(whole, "line", "5", columns[i]) / MS(1));
	}
}
END_TEST

/* What needs a walk has the same numbers as what the index alone tells. */
START_TEST(a_walk_agrees_with_the_index)
{
	static const char *const columns[] = {"visits",	   "self_ns", "total_ns",
					      "on_cpu_ns", "wait_ns", "ready_ns"};
	static const char *const lines[] = {"2", "5", "6"};
	auto_free char *index = NULL, *walked = NULL;

	write_whole();
	index = RUN(cmd_analyse, EXIT_OK, "--format", "csv");
	walked = RUN(cmd_analyse, EXIT_OK, "--format", "csv", "--function", "*");
	for (size_t l = 0; l < 3; l++) {
		for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
			uint64_t a = number(index, "line", lines[l], columns[c]);
			uint64_t b = number(walked, "line", lines[l], columns[c]);

			/* Waits are in units of 1024 ns. */
			if (c == 0)
				ck_assert_uint_eq(a, b);
			ck_assert_msg(a < b + 5000 && b < a + 5000, "%s of line %s: %llu, %llu",
				      columns[c], lines[l], (unsigned long long)a,
				      (unsigned long long)b);
		}
	}
}
END_TEST

/* What the table says by function. */
static char *by_function(const char *option, const char *value, const char *more, const char *v)
{
	if (more)
		return RUN(cmd_analyse, EXIT_OK, "-f", "--format", "csv", option, value, more, v);
	if (option)
		return RUN(cmd_analyse, EXIT_OK, "-f", "--format", "csv", option, value);
	return RUN(cmd_analyse, EXIT_OK, "-f", "--format", "csv");
}

static const char *const functions_of[][4] = {
    {NULL},
    {"--thread", "1"},
    {"--function", "work"},
    {"--file", "app.py", "--thread", "2"},
    {"--since", "+600ms", "--until", "+200ms"},
    {"--since", "+100ms", "--until", "+3s"},
    {"--since", "+650ms"},
};

#define N_QUESTIONS (sizeof(functions_of) / sizeof(functions_of[0]))

/* All questions, as the trace is after each of these statements. */
static void assert_same_functions(const char *const *sql, size_t n_sql)
{
	char *expected[N_QUESTIONS];

	for (size_t q = 0; q < N_QUESTIONS; q++) {
		const char *const *o = functions_of[q];

		expected[q] = by_function(o[0], o[1], o[2], o[3]);
	}
	for (size_t s = 0; s < n_sql; s++) {
		run_sql(sql[s]);
		for (size_t q = 0; q < N_QUESTIONS; q++) {
			const char *const *o = functions_of[q];
			auto_free char *found = by_function(o[0], o[1], o[2], o[3]);

			ck_assert_str_eq(found, expected[q]);
		}
	}
	for (size_t q = 0; q < N_QUESTIONS; q++)
		free(expected[q]);
}

START_TEST(the_index_of_functions_agrees_with_a_walk)
{
	static const char *const sql[] = {
	    /* A trace of an earlier program that was gone on with has it of some blocks. */
	    "INSERT INTO meta SELECT 'functions_from_block', max(id) FROM blocks;"
	    "DELETE FROM functions WHERE block < (SELECT max(id) FROM blocks)",
	    "UPDATE meta SET value = value + 1 WHERE key = 'functions_from_block';"
	    "DELETE FROM functions",
	    "DROP TABLE functions",
	};

	write_whole();
	assert_same_functions(sql, sizeof(sql) / sizeof(sql[0]));
}
END_TEST

START_TEST(the_index_of_functions_agrees_with_a_walk_over_many_blocks)
{
	static const char *const sql[] = {"DROP TABLE functions"};

	write_at_random(false);
	assert_same_functions(sql, 1);
}
END_TEST

/* Then functions that share a line differ in what they waited on it, which a walk has to find. */
START_TEST(a_walk_tells_functions_on_one_line_apart)
{
	static const char *const names[] = {"main", "f", "work"};
	static const char *const columns[] = {"calls",	   "self_ns", "total_ns",
					      "on_cpu_ns", "wait_ns", "ready_ns"};
	static const char *const intervals[][2] = {{"+0s", "+1000s"}, {"+100ms", "+3s"}};

	write_at_random(true);
	for (size_t i = 0; i < 2; i++) {
		const char *from = intervals[i][0], *to = intervals[i][1];
		auto_free char *index = RUN(cmd_analyse, EXIT_OK, "-f", "--format", "csv", "--file",
					    "app.py", "--since", from, "--until", to);
		auto_free char *walked =
		    RUN(cmd_analyse, EXIT_OK, "-f", "--format", "csv", "--file", "app.py",
			"--since", from, "--until", to, "--percentiles");

		for (size_t n = 0; n < 3; n++) {
			for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++)
				ck_assert_uint_eq(number(index, "function", names[n], columns[c]),
						  number(walked, "function", names[n], columns[c]));
		}
	}
}
END_TEST

START_TEST(the_index_of_functions_is_what_is_read)
{
	auto_free char *found = NULL;

	write_whole();
	run_sql("UPDATE functions SET calls = calls + 40; UPDATE blocks SET data = x'00'");
	found = by_function(NULL, NULL, NULL, NULL);
	ck_assert_uint_eq(number(found, "function", "work", "calls") % 40, 2);
	ck_assert_uint_ge(number(found, "function", "work", "calls"), 42);
}
END_TEST

START_TEST(files_and_functions_can_be_picked)
{
	auto_free char *by_end = NULL, *pattern = NULL, *function = NULL, *mistyped = NULL;
	auto_free char *nothing = NULL, *mistyped_function = NULL, *waits = NULL;

	write_whole();
	by_end = RUN(cmd_analyse, EXIT_OK, "--file", "app.py");
	assert_has(by_end, "app.py:5");
	pattern = RUN(cmd_analyse, EXIT_OK, "--file", "a*.p?");
	assert_has(pattern, "app.py:5");
	function = RUN(cmd_analyse, EXIT_OK, "--function", "main");
	assert_has(function, "app.py:2");
	assert_lacks(function, "app.py:5");
	assert_has(function, "94.4 %");
	assert_has(function, "(all else)\n");
	mistyped = RUN(cmd_analyse, EXIT_USAGE, "--file", "ap.py");
	assert_has(mistyped, "analyse: --file: no file 'ap.py' is in this trace; did you mean '");
	assert_has(mistyped, source_path);
	nothing = RUN(cmd_analyse, EXIT_USAGE, "--file", "models.py");
	assert_has(nothing, "no file 'models.py' is in this trace, nor one that looks like it\n");
	mistyped_function = RUN(cmd_analyse, EXIT_USAGE, "--function", "Work.mian");
	assert_has(mistyped_function, "no function 'Work.mian' is in this trace; did you mean "
				      "'main'?\n");
	waits = RUN(cmd_analyse, EXIT_OK, "--waits", "--file", "app.py");
	assert_has(waits, "5 waits, ");
}
END_TEST

/* --- durations --- */

START_TEST(visits_have_percentiles)
{
	auto_free char *csv = NULL, *text = NULL, *json = NULL, *calls = NULL;
	uint64_t p50;

	write_whole();
	csv = RUN(cmd_analyse, EXIT_OK, "--percentiles", "--format", "csv");
	ck_assert_uint_eq(number(csv, "line", "5", "count"), 1);
	assert_ms(number(csv, "line", "5", "max_ns"), 600);
	ck_assert_str_eq(cell(csv, "line", "5", "max_unix_s"), "1763856000.450000");
	/* One in each thread. */
	ck_assert_uint_eq(number(csv, "line", "6", "count"), 2);
	assert_ms(number(csv, "line", "6", "max_ns"), 4000);
	p50 = number(csv, "line", "6", "p50_ns");
	ck_assert_uint_gt(p50, MS(2950) / 100 * 98);
	ck_assert_uint_lt(p50, MS(2950) / 100 * 102);
	text = RUN(cmd_analyse, EXIT_OK, "-p", "--sort-column", "p50");
	assert_has(text, " VISITS      P50      P95      P99      MAX               MAX BEGAN  ");
	assert_has(text, "  600 ms 2025-11-23 01:00:00.450  ");
	json = RUN(cmd_analyse, EXIT_OK, "-p", "--json", "--sort-column", "max", "-l1");
	assert_has(json, "\"durations\": {\n        \"count\": 2,\n        \"p50_ns\": ");
	/* The call of work goes on when it goes on to another line. */
	calls = RUN(cmd_analyse, EXIT_OK, "-f", "-p", "--format", "csv");
	ck_assert_uint_eq(number(calls, "function", "work", "count"), 2);
	assert_ms(number(calls, "function", "work", "max_ns"), 4000);
}
END_TEST

START_TEST(a_line_that_runs_again_is_another_visit)
{
	struct trace_writer *w = test_writer_new(folder);
	auto_free char *index = NULL, *csv = NULL, *calls = NULL;

	put_thread(w, 1, AT(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "work");
	put_told(w, 1, AT(0), PROVENANCE_EXACT | TOLD_FIRST, 0, FRAMES({1, 2}, {2, 5}), 2);
	for (uint64_t i = 1; i <= 4; i++)
		put_told(w, 1, AT(10 * i), PROVENANCE_EXACT, 1, FRAMES({2, 5}), 1);
	put_told(w, 1, AT(60), PROVENANCE_EXACT, 1, NULL, 0);
	ck_assert_int_eq(trace_writer_close(w, AT(100), "stopped"), 0);
	index = RUN(cmd_analyse, EXIT_OK, "--format", "csv");
	ck_assert_uint_eq(number(index, "line", "5", "visits"), 5);
	assert_ms(number(index, "line", "5", "self_ns"), 60);
	assert_ms(number(index, "line", "5", "total_ns"), 60);
	/* The longest from the last time that it began on. */
	csv = RUN(cmd_analyse, EXIT_OK, "--percentiles", "--format", "csv");
	ck_assert_uint_eq(number(csv, "line", "5", "count"), 5);
	assert_ms(number(csv, "line", "5", "max_ns"), 20);
	/* All in one call. */
	calls = RUN(cmd_analyse, EXIT_OK, "-f", "-p", "--format", "csv");
	ck_assert_uint_eq(number(calls, "function", "work", "count"), 1);
	assert_ms(number(calls, "function", "work", "max_ns"), 60);
}
END_TEST

/* --- a file --- */

START_TEST(a_file_is_shown_whole)
{
	auto_free char *text = NULL, *csv = NULL, *none = NULL, *gone = NULL;

	write_whole();
	text = RUN(cmd_analyse, EXIT_OK, "--file-id", "1");
	assert_has(text, "app.py\n\n");
	assert_has(text, "   1  def main():\n");
	assert_has(text, "   3\n");
	assert_has(text,
		   "    600 ms   7.5 %    78.0 ms     502 ms       0 ns    20.0 ms     600 ms "
		   "            1     5      return sock.recv(4096)\n");
	csv = RUN(cmd_analyse, EXIT_OK, "--file-id", "1", "--format", "csv");
	ck_assert_str_eq(cell(csv, "line", "4", "source"), "def work():");
	ck_assert_uint_eq(number(csv, "line", "4", "self_ns"), 0);
	none = RUN(cmd_analyse, EXIT_USAGE, "--file-id", "7");
	assert_has(none, "there is no file 7 in this trace; the numbers, to 1, are in");
	run_sql("UPDATE files SET source = NULL");
	gone = RUN(cmd_analyse, EXIT_FAILED, "--file-id", "1");
	assert_has(gone, "the trace does not have the text of ");
}
END_TEST

/* --- what is shown --- */

START_TEST(shares_add_up_and_gaps_are_told_apart)
{
	auto_free char *text = NULL, *json = NULL;

	write_whole();
	run_sql("DELETE FROM lines WHERE block IN (SELECT id FROM blocks WHERE thread = 2);"
		"DELETE FROM blocks WHERE thread = 2;"
		"UPDATE lines SET self_ns = self_ns - 100000000 WHERE line = 2");
	text = RUN(cmd_analyse, EXIT_OK, "-l", "1");
	assert_has(text, "    2.95 s  73.8 %");
	assert_has(text, "    950 ms  23.7 % ");
	assert_has(text, "(2 more lines: --num-items)\n");
	assert_has(text, "    100 ms   2.5 % ");
	assert_has(text, "(not in followed code)\n");
	assert_has(text, "    4.00 s         ");
	assert_has(text, "(not observed: gaps)\n");
	assert_has(text, "no gaps, 4.00 s not observed\n");
	json = RUN(cmd_analyse, EXIT_OK, "--json");
	assert_has(json, "\"unobserved_ns\": 4000000000,\n");
}
END_TEST

START_TEST(rounded_parts_are_the_whole)
{
	const uint64_t thirds[] = {1, 1, 1}, mixed[] = {0, 997, 2, 1}, none[] = {0, 0};
	unsigned ret[4];

	analysis_round(thirds, 3, 1000, ret);
	ck_assert_uint_eq(ret[0] + ret[1] + ret[2], 1000);
	ck_assert(ret[0] == 334 && ret[1] == 333 && ret[2] == 333);
	analysis_round(mixed, 4, 100, ret);
	ck_assert(ret[0] == 0 && ret[1] == 100 && ret[2] == 0 && ret[3] == 0);
	analysis_round(none, 2, 100, ret);
	ck_assert(ret[0] == 0 && ret[1] == 0);
}
END_TEST

START_TEST(colours_are_for_those_who_want_them)
{
	auto_free char *plain = NULL, *coloured = NULL, *json = NULL;

	write_whole();
	setenv("TERM", "xterm", 1);
	plain = RUN_PLAIN(cmd_analyse);
	assert_lacks(plain, "\x1b");
	coloured = RUN(cmd_analyse, EXIT_OK, "--color", "always");
	assert_has(coloured, "\x1b[1mFILE");
	assert_has(coloured, "\x1b[1;31m 86.9 %\x1b[m");
	json = RUN(cmd_analyse, EXIT_OK, "--color", "always", "--json");
	assert_lacks(json, "\x1b");
}
END_TEST

START_TEST(what_does_not_fit_together_is_a_usage_error)
{
	static const char *const cases[][4] = {
	    {"--waits", "-f"},
	    {"--waits", "--percentiles"},
	    {"--waits", "--function", "f"},
	    {"--file-id", "1", "--waits"},
	    {"--file-id", "1", "-f"},
	    {"--file-id", "1", "--file=app.py"},
	    {"--by", "wait"},
	    {"--format", "xml"},
	    {"--color", "blue"},
	    {"--sort-column", "p50"},
	    {"--file-id", "0"},
	    {"--num-items", "0"},
	};
	auto_free char *text = NULL;

	write_whole();
	text = run(&cmd_analyse, EXIT_USAGE, cases[_i]);
	assert_has(text, "analyse: ");
	assert_has(text, "analyse --help`");
}
END_TEST

START_TEST(every_table_fits_its_terminal)
{
	static const char *const widths[] = {"80", "100", "120", "140", "200"};
	static const char *const cases[][4] = {
	    {"-f"}, {"-p"}, {"-f", "-p"}, {"--file-id", "1"}, {"-s", "total"}, {"-l1", "-p"}};
	size_t most = (size_t)atoi(widths[_i]);

	write_whole();
	setenv("COLUMNS", widths[_i], 1);
	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		auto_free char *text = run(&cmd_analyse, EXIT_OK, cases[n]);
		char *line, *rest = NULL;

		/* The table is behind a blank line. */
		for (line = strtok_r(strstr(text, "\n\n"), "\n", &rest); line;
		     line = strtok_r(NULL, "\n", &rest))
			ck_assert_msg(text_width(line) <= most || line[0] == '/', "%zu: %s",
				      text_width(line), line);
	}
}
END_TEST

/* --- bad traces --- */

START_TEST(a_damaged_block_is_told_and_the_rest_shown)
{
	auto_free char *functions = NULL, *part = NULL;

	write_whole();
	run_sql("UPDATE blocks SET data = x'00' WHERE thread = 1");
	functions = RUN(cmd_analyse, EXIT_NO_TRACE, "-f", "--percentiles");
	assert_has(functions, "  work\n");
	assert_has(functions, "damaged: what could be read is shown\n");
	part = RUN(cmd_analyse, EXIT_NO_TRACE, "--since", "+600ms", "--until", "+100ms");
	assert_has(part, "app.py:6");
	/* The indexes are whole. */
	free(RUN_PLAIN(cmd_analyse));
	free(RUN(cmd_analyse, EXIT_OK, "-f"));
}
END_TEST

START_TEST(where_it_began_need_not_be_known)
{
	auto_free char *lines = NULL, *waits = NULL, *part = NULL;

	write_whole();
	run_sql("DELETE FROM meta WHERE key = 'start_monotonic_ns'");
	lines = RUN(cmd_analyse, EXIT_NO_TRACE, "-l9");
	assert_has(lines, "app.py:5");
	assert_has(lines, "damaged: what could be read is shown\n");
	waits = RUN(cmd_analyse, EXIT_NO_TRACE, "--waits");
	assert_has(waits, "recv from 10.0.0.5:5432");
	part = RUN(cmd_analyse, EXIT_NO_TRACE, "--since", "+2s");
	assert_has(part, "app.py:6");
	assert_lacks(part, "app.py:5");
}
END_TEST

START_TEST(an_interval_without_anything_is_an_error)
{
	auto_free char *text = NULL;

	write_whole();
	text = RUN(cmd_analyse, EXIT_USAGE, "--since", "+1h");
	assert_has(text, "analyse: ");
	free(RUN(cmd_analyse, EXIT_USAGE, "--thread", "9"));
	free(RUN(cmd_analyse, EXIT_USAGE, "--since", "yesterday-ish"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("analyse_rows");
	TCase *tc = tcase_create("analyse_rows");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, functions_have_self_and_total_time);
	tcase_add_test(tc, short_waits_go_to_the_functions_of_their_lines);
	tcase_add_test(tc, waits_for_the_gil_have_a_column);
	tcase_add_test(tc, an_interval_cuts_lines_and_waits);
	tcase_add_test(tc, intervals_add_up_to_the_whole);
	tcase_add_test(tc, a_walk_agrees_with_the_index);
	tcase_add_test(tc, the_index_of_functions_agrees_with_a_walk);
	tcase_add_test(tc, the_index_of_functions_agrees_with_a_walk_over_many_blocks);
	tcase_add_test(tc, a_walk_tells_functions_on_one_line_apart);
	tcase_add_test(tc, the_index_of_functions_is_what_is_read);
	tcase_add_test(tc, files_and_functions_can_be_picked);
	tcase_add_test(tc, visits_have_percentiles);
	tcase_add_test(tc, a_line_that_runs_again_is_another_visit);
	tcase_add_test(tc, a_file_is_shown_whole);
	tcase_add_test(tc, shares_add_up_and_gaps_are_told_apart);
	tcase_add_test(tc, rounded_parts_are_the_whole);
	tcase_add_test(tc, colours_are_for_those_who_want_them);
	tcase_add_loop_test(tc, what_does_not_fit_together_is_a_usage_error, 0, 12);
	tcase_add_loop_test(tc, every_table_fits_its_terminal, 0, 5);
	tcase_add_test(tc, a_damaged_block_is_told_and_the_rest_shown);
	tcase_add_test(tc, where_it_began_need_not_be_known);
	tcase_add_test(tc, an_interval_without_anything_is_an_error);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
