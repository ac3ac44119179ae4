/* SPDX-License-Identifier: BSD-3-Clause */
/* What the subcommands show of waits, of an invented trace: exact text out. */
#include "reader/analyse.h"

#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/waits_trace.h"

START_TEST(info_counts_waits)
{
	auto_free char *text = NULL, *json = NULL;

	write_whole();
	text = RUN_PLAIN(cmd_info);
	json = RUN(cmd_info, EXIT_OK, "--json");
	assert_has(text, "Edges        exact\n"
			 "Waits        5, 3.30 s in all; of these idle 1, 300 ms\n"
			 "             with a reason 4, with a complete native stack 2\n"
			 "             and for a CPU 1, 20.0 ms in all\n");
	assert_lacks(text, "Now ");
	assert_has(json, "\"edges\": \"exact\",\n"
			 "  \"waits\": 5,\n"
			 "  \"waits_ns\": 3302000000,\n"
			 "  \"waits_idle\": 1,\n"
			 "  \"waits_idle_ns\": 300000000,\n"
			 "  \"waits_with_reason\": 4,\n"
			 "  \"waits_with_complete_stack\": 2,\n"
			 "  \"waits_for_cpu\": 1,\n"
			 "  \"waits_for_cpu_ns\": 20000000,\n"
			 "  \"now\": []\n");
}
END_TEST

START_TEST(info_shows_now)
{
	struct trace_writer *w = write_waits();
	auto_free char *text = RUN_PLAIN(cmd_info), *json = RUN(cmd_info, EXIT_OK, "-j");
	auto_free char *now =
	    xasprintf("Now          thread 1001  running, on this line for 2.45 s\n"
		      "               %s:6 in work: y = 2\n"
		      "             thread 1002  waiting for 2.00 s: "
		      "recv from 10.0.0.5:5432\n"
		      "               %s:6 in work: y = 2\n",
		      source_path, source_path);

	assert_has(text, now);
	assert_has(json, "\"thread\": 2,\n"
			 "      \"native_id\": 1002,\n"
			 "      \"state\": \"waiting\",\n"
			 "      \"since\": 1763856001.49999");
	assert_has(json, "\"line\": 6,\n"
			 "      \"function\": \"work\",\n"
			 "      \"reason\": \"recv from 10.0.0.5:5432\",\n"
			 "      \"peer\": null,\n"
			 "      \"idle\": false,\n"
			 "      \"wait_ns\": 200000");
	assert_has(json, "\"state\": \"running\"");
	assert_has(json, "\"reason\": null,\n      \"peer\": null,\n      \"idle\": false,\n      "
			 "\"wait_ns\": null\n");
	ck_assert_int_eq(trace_writer_close(w, AT(4000), "stopped"), 0);
}
END_TEST

START_TEST(lines_show_the_parts_of_their_time)
{
	auto_free char *text = NULL, *json = NULL;

	write_whole();
	text = RUN_PLAIN(cmd_analyse);
	json = RUN(cmd_analyse, EXIT_OK, "--json", "-l", "2");
	assert_has(text, "FILE  CUMULATED   SHARE        RUN       WAIT        GIL      READY "
			 "   AVERAGE    TIMES SEEN  LOCATION");
	assert_has(text, "   1     600 ms   7.5 %    78.0 ms     502 ms       0 ns    20.0 ms "
			 "    600 ms             1  /");
	assert_has(json, "\"line\": 6,\n"
			 "      \"source\": \"y = 2\",\n"
			 "      \"visits\": 2,\n");
	assert_has(json, "\"wait_ns\": 2500000000,\n      \"ready_ns\": 0,\n      \"gil_ns\": 0\n");
	assert_has(json, "\"lines_not_shown\": 1\n");
}
END_TEST

/* The line of its first row. */
static void assert_first(const char *text, const char *line)
{
	const char *row = strstr(text, "SOURCE\n");

	ck_assert_msg(row, "%s", text);
	row = strstr(row, "app.py:");
	ck_assert_msg(row && strncmp(row + strlen("app.py:"), line, strlen(line)) == 0, "%s", text);
}

START_TEST(lines_can_be_sorted)
{
	static const struct {
		const char *column, *first_line;
	} cases[] = {
	    {"cumulated-runtime", "6"}, {"average-runtime", "6"},
	    {"frequency", "6"},		{"on-cpu", "6"},
	    {"waiting", "6"},		{"ready", "5"},
	};
	auto_free char *text = NULL;

	write_whole();
	text = RUN(cmd_analyse, EXIT_OK, "--sort-column", cases[_i].column);
	assert_first(text, cases[_i].first_line);
}
END_TEST

START_TEST(an_unknown_column_is_a_usage_error)
{
	auto_free char *lines = NULL, *waits = NULL;

	write_whole();
	lines = RUN(cmd_analyse, EXIT_USAGE, "--sort-column", "longest");
	assert_has(lines, "no column 'longest' to sort by; there are: cumulated-runtime, ");
	waits = RUN(cmd_analyse, EXIT_USAGE, "--waits", "--sort-column", "ready");
	assert_has(waits, "there are: total, longest, count\n");
	free(RUN(cmd_analyse, EXIT_USAGE, "--native"));
	free(RUN(cmd_analyse, EXIT_USAGE, "--idle"));
}
END_TEST

START_TEST(without_edges_nothing_is_made_up)
{
	auto_free char *lines = NULL, *waits = NULL, *sorted = NULL, *info = NULL, *json = NULL;

	write_whole();
	run_sql("UPDATE meta SET value = 'none' WHERE key = 'edges'; DELETE FROM waits;"
		"UPDATE lines SET wait_ns = 0, ready_ns = 0");
	lines = RUN_PLAIN(cmd_analyse);
	assert_has(lines, "Not known: when threads were on a CPU; so there is no RUN, WAIT, "
			  "GIL and READY.\n");
	assert_has(lines, "FILE  CUMULATED   SHARE    AVERAGE    TIMES SEEN  LOCATION");
	waits = RUN(cmd_analyse, EXIT_OK, "--waits");
	assert_has(waits, "Not known: when threads were on a CPU; so no waits are known.\n");
	sorted = RUN(cmd_analyse, EXIT_FAILED, "--sort-column", "waiting");
	assert_has(sorted, "so it cannot be sorted by waiting\n");
	info = RUN_PLAIN(cmd_info);
	assert_has(info, "Edges        none: ");
	assert_lacks(info, "Waits ");
	json = RUN(cmd_analyse, EXIT_OK, "--json");
	assert_has(json, "\"edges\": false,");
	assert_has(json, "\"wait_ns\": null,");
}
END_TEST

START_TEST(the_costliest_waits_come_first)
{
	auto_free char *text = NULL;

	write_whole();
	text = RUN(cmd_analyse, EXIT_OK, "--waits");
	assert_has(text, "5 waits, 3.02 s in all, of a millisecond or more each\n"
			 "1 idle wait, 300 ms in all, not listed here (--idle)\n"
			 "\n"
			 "  TOTAL  COUNT  LONGEST  BEGAN                    LOCATION");
	assert_has(text, "\n 2.50 s      1   2.50 s  2025-11-23 01:00:01.500  /");
	assert_has(text, "app.py:6  recv from 10.0.0.5:5432  y = 2\n");
	/* Both native stacks together, the longest is the second. */
	assert_has(text, "\n 500 ms      2   300 ms  2025-11-23 01:00:00.710  /");
	assert_has(text, "app.py:5  recv from 10.0.0.5:5432  return sock.recv(4096)\n");
	assert_has(text, "\n20.0 ms      1  20.0 ms  2025-11-23 01:00:01.010  /");
	assert_has(text, "app.py:5  waiting for a CPU        return");
	assert_has(text, "\n2.00 ms      1  2.00 ms  2025-11-23 01:00:01.040  /");
	assert_has(text, "app.py:5  not known                return");
	assert_lacks(text, "epoll");
	assert_lacks(text, "libc.so.6");
}
END_TEST

START_TEST(who_is_at_the_other_end_is_told)
{
	auto_free char *text = NULL, *json = NULL;

	write_whole();
	run_sql("UPDATE reasons SET peer = 'server-db' WHERE kind = 'read'");
	text = RUN(cmd_analyse, EXIT_OK, "--waits");
	json = RUN(cmd_analyse, EXIT_OK, "--waits", "--json");
	assert_has(text, "  recv from 10.0.0.5:5432 (server-db)  y = 2\n");
	assert_has(json, "\"peer\": \"server-db\",\n");
}
END_TEST

START_TEST(idle_ones_are_shown_when_asked_for)
{
	auto_free char *text = NULL, *counted = NULL, *first = NULL;

	write_whole();
	text = RUN(cmd_analyse, EXIT_OK, "--waits", "--idle", "--sort-column=longest");
	assert_has(text, "6 waits, 3.32 s in all");
	assert_lacks(text, "not listed here");
	assert_has(text, "app.py:2  idle: epoll: 3 descriptors  while poller.poll(): work()\n");
	counted = RUN(cmd_analyse, EXIT_OK, "--waits", "--sort-column", "count");
	assert_first(counted, "5  recv");
	first = RUN(cmd_analyse, EXIT_OK, "--waits", "--num-items", "1");
	assert_has(first, "y = 2\n... and 3 more kinds of waits (--num-items)\n");
}
END_TEST

START_TEST(native_stacks_tell_waits_apart)
{
	auto_free char *text = NULL;

	write_whole();
	text = RUN(cmd_analyse, EXIT_OK, "--waits", "--native");
	assert_has(text, "\n 300 ms      1   300 ms  ");
	assert_has(text, "return sock.recv(4096)\n"
			 "          recv+0x10 (libc.so.6)\n"
			 "          ... (no unwind table)\n"
			 " 200 ms      1   200 ms  ");
	assert_has(text, "return sock.recv(4096)\n"
			 "          recv+0x10 (libc.so.6)\n"
			 "          PQconsumeInput+0x20 (libpq.so.5)\n"
			 "          _start+0x21 (python3)\n");
	assert_has(text, "          (native stack not known)\n");
}
END_TEST

START_TEST(waits_are_told_to_programs)
{
	auto_free char *text = NULL;

	write_whole();
	text = RUN(cmd_analyse, EXIT_OK, "--waits", "--json", "--native", "-l2");
	assert_has(text, "\"line\": 5,\n"
			 "      \"source\": \"return sock.recv(4096)\",\n"
			 "      \"state\": \"waiting\",\n"
			 "      \"idle\": false,\n"
			 "      \"kind\": \"read\",\n"
			 "      \"call\": \"recvfrom\",\n"
			 "      \"reason\": \"recv from 10.0.0.5:5432\",\n"
			 "      \"peer\": null,\n"
			 "      \"polled\": 1,\n"
			 "      \"count\": 1,\n"
			 "      \"total_ns\": 300000000,\n"
			 "      \"longest_ns\": 300000000,\n"
			 "      \"longest_unix_s\": 1763856000.710000,\n"
			 "      \"native\": [\n"
			 "        \"recv+0x10 (libc.so.6)\",\n"
			 "        \"... (no unwind table)\"\n"
			 "      ],\n"
			 "      \"native_complete\": false,\n"
			 "      \"chain\": []\n");
	assert_has(text, "\"waits_not_shown\": 3,\n"
			 "  \"idle_not_shown\": 1,\n"
			 "  \"idle_not_shown_ns\": 300000000\n");
}
END_TEST

START_TEST(tables_fit_their_terminal)
{
	static const char *const widths[] = {"80", "100", "120", "140", "200"};
	static const char *const options[] = {"-l20", "--waits", "--native"};
	size_t most = (size_t)atoi(widths[_i]);

	write_whole();
	setenv("COLUMNS", widths[_i], 1);
	for (int n = 1; n <= 3; n++) {
		auto_free char *text =
		    run(&cmd_analyse, EXIT_OK,
			(const char *const[]){options[0], n > 1 ? options[1] : NULL,
					      n > 2 ? options[2] : NULL, NULL});
		char *line, *rest = NULL;

		assert_has(text, "app.py:5");
		/* The table is behind a blank line. */
		for (line = strtok_r(strstr(text, "\n\n"), "\n", &rest); line;
		     line = strtok_r(NULL, "\n", &rest))
			ck_assert_msg(text_width(line) <= most, "%zu: %s", text_width(line), line);
	}
}
END_TEST

START_TEST(without_its_table_waits_are_damaged)
{
	auto_free char *text = NULL;

	write_whole();
	run_sql("DROP TABLE waits");
	text = RUN(cmd_analyse, EXIT_NO_TRACE, "--waits");
	assert_has(text, "damaged: what could be read is shown\n");
	free(RUN(cmd_info, EXIT_NO_TRACE, "-j"));
	/* How much of it was for the GIL is in there. */
	free(RUN(cmd_analyse, EXIT_NO_TRACE, "-l1"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("analyse");
	TCase *tc = tcase_create("analyse");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, info_counts_waits);
	tcase_add_test(tc, info_shows_now);
	tcase_add_test(tc, lines_show_the_parts_of_their_time);
	tcase_add_loop_test(tc, lines_can_be_sorted, 0, 6);
	tcase_add_test(tc, an_unknown_column_is_a_usage_error);
	tcase_add_test(tc, without_edges_nothing_is_made_up);
	tcase_add_test(tc, the_costliest_waits_come_first);
	tcase_add_test(tc, who_is_at_the_other_end_is_told);
	tcase_add_test(tc, idle_ones_are_shown_when_asked_for);
	tcase_add_test(tc, native_stacks_tell_waits_apart);
	tcase_add_test(tc, waits_are_told_to_programs);
	tcase_add_loop_test(tc, tables_fit_their_terminal, 0, 5);
	tcase_add_test(tc, without_its_table_waits_are_damaged);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
