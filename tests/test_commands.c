/* SPDX-License-Identifier: BSD-3-Clause */
/* The reading subcommands: a small trace in, exact text out. */
#include "cli/command.h"

#include <check.h>
#include <getopt.h>
#include <locale.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "tests/support/trace_records.h"

#define STEP_NS UINT64_C(64000)
#define T(n)	(TEST_START_NS + (uint64_t)(n)*STEP_NS)

static char *folder, *source_path;

/* main:2 for 1 ms, work:5 under it for 3 s, then main:3 for 1 s; a second thread. */
static void setup(void)
{
	struct trace_writer *w;
	FILE *f;

	folder = test_folder_new();
	source_path = xasprintf("%s/a;b.py", folder);
	f = fopen(source_path, "we");
	ck_assert_ptr_nonnull(f);
	fputs("def main():\n\tx = work()  # \u00e9\n    return x\n\n    pass\n", f);
	fclose(f);
	w = test_writer_new(folder);
	put_thread(w, 1, T(0));
	put_thread(w, 2, T(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "Work;er.work\n");
	/* The same function, made again. */
	put_code(w, 3, source_path, "main");
	put_stack(w, 1, T(0), 0, FRAMES({1, 2}), 1);
	put_stack(w, 1, T(0) + 1024000, 1, FRAMES({2, 5}), 1);
	put_stack(w, 1, T(0) + 1024000 + UINT64_C(3000000000), 0, FRAMES({3, 3}), 1);
	put_stack(w, 1, T(0) + 1024000 + UINT64_C(4000000000), 0, NULL, 0);
	put_stack(w, 2, T(0), 0, FRAMES({1, 3}), 1);
	put_stack(w, 2, T(100), 0, FRAMES({1, 0}), 1);
	put_stack(w, 2, T(0) + UINT64_C(2000000000), 0, NULL, 0);
	put_counters(w, T(1), 20000);
	put_gap(w, 2, TEST_START_NS + UINT64_C(4000000000), TEST_START_NS + UINT64_C(4500000000),
		GAP_UNREADABLE);
	ck_assert_int_eq(trace_writer_close(w, TEST_START_NS + UINT64_C(5000000000), "stopped"), 0);
	unsetenv("COLUMNS");
}

static void teardown(void)
{
	unlink(source_path);
	free(source_path);
	test_folder_remove(folder);
}

/* Run a subcommand; returns what it prints, the caller frees. */
static char *run(const struct command *cmd, int expected_status, const char *option,
		 const char *value)
{
	char *argv[5];
	int argc = 0, saved = dup(STDOUT_FILENO);
	FILE *out = tmpfile();
	char *text = NULL;
	size_t size = 0;

	argv[argc++] = xstrdup(cmd->name);
	if (option)
		argv[argc++] = xstrdup(option);
	if (value)
		argv[argc++] = xstrdup(value);
	argv[argc++] = xstrdup(folder);
	argv[argc] = NULL;
	ck_assert_ptr_nonnull(out);
	fflush(stdout);
	dup2(fileno(out), STDOUT_FILENO);
	/* getopt() is to start anew. */
	optind = 0;
	ck_assert_int_eq(cmd->run(argc, argv), expected_status);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	rewind(out);
	if (getdelim(&text, &size, 0, out) < 0) {
		free(text);
		text = xstrdup("");
	}
	fclose(out);
	return text;
}

static void assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "'%s' is not in:\n%s", part, text);
}

START_TEST(collapsed_stacks_are_exact)
{
	auto_free char *text = run(&cmd_export, EXIT_OK, "-fcollapsed", NULL);
	auto_free char *path = xasprintf("%s/a\\x3bb.py", folder);
	auto_free char *expected = xasprintf("%s:main:2 1024\n"
					     "%s:main:2;%s:Work\\x3ber.work\\x0a:5 3000000\n"
					     "%s:main:3 1006400\n"
					     "%s:main:0 1993600\n",
					     path, path, path, path, path);

	ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(collapsed_stacks_go_to_a_file)
{
	auto_free char *file = xasprintf("%s/out", folder);
	auto_free char *output = xasprintf("--output=%s", file);
	auto_free char *text = run(&cmd_export, EXIT_OK, "-fcollapsed", output);
	auto_fclose FILE *f = fopen(file, "re");

	ck_assert_str_eq(text, "");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(getc(f), '/');
}
END_TEST

START_TEST(an_output_that_cannot_be_written_is_told)
{
	free(run(&cmd_export, EXIT_FAILED, "-fcollapsed", "--output=/nonexistent/x"));
	free(run(&cmd_export, EXIT_FAILED, "-fcollapsed", "--output=/dev/full"));
}
END_TEST

START_TEST(the_hottest_lines_come_first)
{
	auto_free char *text = run(&cmd_analyse, EXIT_OK, NULL, NULL);
	const char *first, *second, *third;

	assert_has(text, "a test, PID 42, Python 3.11.2");
	assert_has(text, "5.00 s recorded, 2 threads");
	assert_has(text, "0.01 % dropped; 1 gap, 500 ms not observed");
	first = strstr(text, "a;b.py:5  pass\n");
	second = strstr(text, "a;b.py:?  (line unknown)\n");
	third = strstr(text, "a;b.py:3  return x\n");
	ck_assert_msg(first && second && third && first < second && second < third, "%s", text);
	/* 3 s of the 9.5 s that the two threads were observed. */
	assert_has(text, "   1     3.00 s  31.6 %     3.00 s             1  /");
	assert_has(text, "a;b.py:2  x = work()  # \u00e9\n");
}
END_TEST

START_TEST(the_number_of_lines_can_be_limited)
{
	auto_free char *text = run(&cmd_analyse, EXIT_OK, "--num-items", "1");

	assert_has(text, "a;b.py:5");
	ck_assert_ptr_null(strstr(text, "a;b.py:3"));
	assert_has(text, "(3 more lines: --num-items)\n");
	free(run(&cmd_analyse, EXIT_USAGE, "--num-items", "none"));
}
END_TEST

START_TEST(a_table_fits_its_terminal)
{
	static const char *const widths[] = {"80", "100", "40"};
	static const size_t most[] = {80, 100, 80};
	auto_free char *text = NULL;
	char *line, *rest = NULL;

	setenv("COLUMNS", widths[_i], 1);
	setlocale(LC_CTYPE, "C");
	text = run(&cmd_analyse, EXIT_OK, NULL, NULL);
	for (line = strtok_r(strstr(text, "FILE"), "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		ck_assert_msg(strlen(line) <= most[_i], "%zu: %s", strlen(line), line);
		for (const char *c = line; *c; c++)
			ck_assert_int_lt((unsigned char)*c, 0x80);
	}
}
END_TEST

START_TEST(info_says_all_for_people)
{
	auto_free char *text = run(&cmd_info, EXIT_OK, NULL, NULL);

	assert_has(text, "Process      a test, PID 42, on somewhere\n");
	assert_has(text, "Command      python3 -c \"a\\\\b\"\n");
	assert_has(text, "Interpreter  Python 3.11.2 (/usr/bin/python3)\n");
	assert_has(text, "Followed     walt\n");
	assert_has(text, "Started      2025-11-23 01:00:00 +0100 (CET)\n");
	assert_has(text, "Span         5.00 s; stopped\n");
	assert_has(text, "Threads      2: 1 (TID ");
	assert_has(text, ", 2 (TID ");
	assert_has(text, "Rate         5,000/s asked, 4,000/s reached\n");
	assert_has(text, "Snapshots    20,000\n");
	assert_has(text, "Cut          3 (0.01 %): depth 3\n");
	assert_has(text, "Dropped      2 (0.01 %): torn 1, code 1\n");
	assert_has(text, "Transitions  7 in ");
	assert_has(text, "Gaps         1, 500 ms in all, 7 transitions known to be lost: "
			 "unreadable 1 (500 ms)\n");
}
END_TEST

START_TEST(info_says_all_for_programs)
{
	static const char *const members[] = {
	    "\"pid\": 42,",
	    "\"name\": \"a test\"",
	    "\"command\": \"python3 -c \\\"a\\\\b\\\"\"",
	    "\"python\": \"3.11.2\"",
	    "\"threads\": 2,",
	    "\"thread_list\": [\n    {\n      \"thread\": 1,\n      \"native_id\": ",
	    "\"first_s\": 0.",
	    "\"last_s\": null",
	    "\"duration_s\": 5.000000,",
	    "\"snapshots\": 20000,",
	    "\"snapshots_per_s\": 4000.000,",
	    "\"rate_asked_hz\": 5000.000,",
	    "\"cut\": 3,",
	    "\"dropped\": 2,",
	    "\"transitions\": 7,",
	    "\"blocks\": ",
	    "\"bytes\": ",
	    "\"gaps\": 1,",
	};
	auto_free char *text = run(&cmd_info, EXIT_OK, "--json", NULL);

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		assert_has(text, members[i]);
	ck_assert_int_eq(text[0], '{');
	ck_assert_str_eq(text + strlen(text) - 3, "\n}\n");
}
END_TEST

static void run_sql(const char *sql)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

START_TEST(gaps_that_overlap_count_once)
{
	auto_free char *text = NULL;

	/* By another 250 ms at its end, and one within it. */
	run_sql("INSERT INTO gaps (thread, start_ns, end_ns, reason, lost)"
		" SELECT 1, start_ns + 250000000, end_ns + 250000000, reason, 0 FROM gaps"
		" UNION SELECT 2, start_ns + 1, end_ns - 1, reason, 0 FROM gaps");
	text = run(&cmd_info, EXIT_OK, NULL, NULL);
	assert_has(text, "Gaps         3, 750 ms in all, 7 transitions");
}
END_TEST

START_TEST(a_trace_without_an_end_is_told)
{
	auto_free char *ended = run(&cmd_info, EXIT_OK, "--json", NULL);
	auto_free char *text = NULL;
	auto_free char *json = NULL;

	assert_has(ended, "\"ended\": true,");
	run_sql("DELETE FROM meta WHERE key IN ('end_ns', 'end_reason')");
	text = run(&cmd_info, EXIT_OK, NULL, NULL);
	json = run(&cmd_info, EXIT_OK, "--json", NULL);
	assert_has(text, "; not ended: still being recorded, or the recorder died (last written 2");
	assert_has(json, "\"ended\": false,");
	assert_has(json, "\"end_reason\": null");
	assert_has(json, "\"last_written_unix_s\": 1");
}
END_TEST

START_TEST(what_was_deleted_is_told)
{
	auto_free char *whole = run(&cmd_info, EXIT_OK, NULL, NULL);
	auto_free char *text = NULL;
	auto_free char *json = NULL;
	auto_free char *table = NULL;

	ck_assert_ptr_null(strstr(whole, "Deleted"));
	run_sql("INSERT INTO meta VALUES ('trimmed_until_ns', 3000000000);"
		"INSERT INTO counters VALUES ('trimmed_blocks', 3), ('trimmed_events', 1234),"
		" ('trimmed_bytes', 5000)");
	text = run(&cmd_info, EXIT_OK, NULL, NULL);
	json = run(&cmd_info, EXIT_OK, "--json", NULL);
	table = run(&cmd_analyse, EXIT_OK, NULL, NULL);
	assert_has(text, "Deleted      the first 2.00 s are not complete: 1,234 transitions in 3 "
			 "blocks (");
	assert_has(json, "\"complete_from_s\": 2.000000,");
	assert_has(json, "\"trimmed_blocks\": 3,");
	assert_has(json, "\"trimmed_transitions\": 1234,");
	assert_has(json, "\"trimmed_bytes\": 5000,");
	assert_has(table, "Of the first 2.00 s most or all was deleted to save space.\n");
}
END_TEST

START_TEST(wrong_options_are_usage_errors)
{
	free(run(&cmd_info, EXIT_USAGE, "--nonsense", NULL));
	free(run(&cmd_info, EXIT_USAGE, "one", "two"));
	free(run(&cmd_export, EXIT_USAGE, NULL, NULL));
	free(run(&cmd_export, EXIT_USAGE, "--format", "nonsense"));
}
END_TEST

START_TEST(no_trace_has_its_own_status)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);

	unlink(path);
	free(run(&cmd_info, EXIT_NO_TRACE, NULL, NULL));
	free(run(&cmd_analyse, EXIT_NO_TRACE, NULL, NULL));
	free(run(&cmd_export, EXIT_NO_TRACE, "-fcollapsed", NULL));
}
END_TEST

START_TEST(help_fits_a_terminal)
{
	static const struct command *const commands[] = {&cmd_info, &cmd_analyse, &cmd_export,
							 &cmd_replay};
	auto_free char *text = run(commands[_i], EXIT_OK, "--help", NULL);
	char *line, *rest = NULL;

	assert_has(text, "Usage: trackexec ");
	assert_has(text, "Examples:\n");
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		ck_assert_msg(strlen(line) <= 80, "%s", line);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("commands");
	TCase *tc = tcase_create("commands");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, collapsed_stacks_are_exact);
	tcase_add_test(tc, collapsed_stacks_go_to_a_file);
	tcase_add_test(tc, an_output_that_cannot_be_written_is_told);
	tcase_add_test(tc, the_hottest_lines_come_first);
	tcase_add_test(tc, the_number_of_lines_can_be_limited);
	tcase_add_loop_test(tc, a_table_fits_its_terminal, 0, 3);
	tcase_add_test(tc, info_says_all_for_people);
	tcase_add_test(tc, info_says_all_for_programs);
	tcase_add_test(tc, gaps_that_overlap_count_once);
	tcase_add_test(tc, a_trace_without_an_end_is_told);
	tcase_add_test(tc, what_was_deleted_is_told);
	tcase_add_test(tc, wrong_options_are_usage_errors);
	tcase_add_test(tc, no_trace_has_its_own_status);
	tcase_add_loop_test(tc, help_fits_a_terminal, 0, 4);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
