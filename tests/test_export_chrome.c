/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/export_text.h"

static const struct selection_options everything = {0};

START_TEST(slices_are_calls_and_waits)
{
	auto_free char *text = NULL;

	write_whole();
	text = export_text(&export_chrome, &everything, 0);
	ck_assert_str_eq(
	    text, "{\"displayTimeUnit\":\"ns\",\n"
		  "\"traceEvents\":[\n"
		  "{\"ph\":\"M\",\"pid\":42,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":"
		  "\"a test\"}},\n"
		  "{\"ph\":\"M\",\"pid\":42,\"tid\":1001,\"name\":\"thread_name\",\"args\":{"
		  "\"name\":\"thread 1\"}},\n"
		  "{\"ph\":\"B\",\"pid\":42,\"tid\":1001,\"ts\":0.000,\"cat\":\"python\",\"name\":"
		  "\"main\",\"args\":{\"file\":\"APP\",\"line\":2}},\n"
		  "{\"ph\":\"B\",\"pid\":42,\"tid\":1001,\"ts\":99999.744,\"cat\":\"wait\","
		  "\"name\":\"epoll: 3 descriptors\",\"args\":{\"idle\":true}},\n"
		  "{\"ph\":\"E\",\"pid\":42,\"tid\":1001,\"ts\":400000.000},\n"
		  "{\"ph\":\"B\",\"pid\":42,\"tid\":1001,\"ts\":450000.000,\"cat\":\"python\","
		  "\"name\":\"work\",\"args\":{\"file\":\"APP\",\"line\":5}},\n"
		  "{\"ph\":\"B\",\"pid\":42,\"tid\":1001,\"ts\":499999.744,\"cat\":\"wait\","
		  "\"name\":\"recv from 10.0.0.5:5432\",\"args\":{\"idle\":false}},\n"
		  "{\"ph\":\"E\",\"pid\":42,\"tid\":1001,\"ts\":699999.232},\n"
		  "{\"ph\":\"B\",\"pid\":42,\"tid\":1001,\"ts\":709999.616,\"cat\":\"wait\","
		  "\"name\":\"recv from 10.0.0.5:5432\",\"args\":{\"idle\":false}},\n"
		  "{\"ph\":\"E\",\"pid\":42,\"tid\":1001,\"ts\":1009999.872},\n"
		  "{\"ph\":\"B\",\"pid\":42,\"tid\":1001,\"ts\":1009999.872,\"cat\":\"ready\","
		  "\"name\":\"waiting for a CPU\",\"args\":{\"idle\":false}},\n"
		  "{\"ph\":\"E\",\"pid\":42,\"tid\":1001,\"ts\":1029999.616},\n"
		  "{\"ph\":\"B\",\"pid\":42,\"tid\":1001,\"ts\":1040000.000,\"cat\":\"wait\","
		  "\"name\":\"not known\",\"args\":{\"idle\":false}},\n"
		  "{\"ph\":\"E\",\"pid\":42,\"tid\":1001,\"ts\":1041999.872},\n"
		  "{\"ph\":\"E\",\"pid\":42,\"tid\":1001,\"ts\":4000000.000},\n"
		  "{\"ph\":\"E\",\"pid\":42,\"tid\":1001,\"ts\":4000000.000},\n"
		  "{\"ph\":\"M\",\"pid\":42,\"tid\":1002,\"name\":\"thread_name\",\"args\":{"
		  "\"name\":\"thread 2\"}},\n"
		  "{\"ph\":\"B\",\"pid\":42,\"tid\":1002,\"ts\":0.000,\"cat\":\"python\",\"name\":"
		  "\"work\",\"args\":{\"file\":\"APP\",\"line\":6}},\n"
		  "{\"ph\":\"B\",\"pid\":42,\"tid\":1002,\"ts\":1499999.232,\"cat\":\"wait\","
		  "\"name\":\"recv from 10.0.0.5:5432\",\"args\":{\"idle\":false}},\n"
		  "{\"ph\":\"E\",\"pid\":42,\"tid\":1002,\"ts\":4000000.000},\n"
		  "{\"ph\":\"E\",\"pid\":42,\"tid\":1002,\"ts\":4000000.000}\n"
		  "],\n"
		  "\"otherData\":{\"exporter\":\"trackexec " TRACKEXEC_VERSION "\",\n"
		  "\"start_monotonic_ns\":\"1000000000\",\n"
		  "\"start\":\"2025-11-23T01:00:00.000000000+01:00\",\n"
		  "\"command\":\"python3 -c \\\"a\\\\b\\\"\",\n"
		  "\"host\":\"somewhere\"}}\n");
}
END_TEST

START_TEST(odd_names_are_still_json)
{
	auto_free char *text = NULL;

	write_odd_names();
	text = export_text(&export_chrome, &everything, 0);
	assert_json(text);
}
END_TEST

/* Which lines it goes through does not show, but what it calls does. */
START_TEST(a_call_goes_on_over_its_lines)
{
	struct trace_writer *w = test_writer_new(folder);
	auto_free char *text = NULL;
	unsigned n_begins = 0, n_ends = 0;

	put_thread(w, 1, AT(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "work");
	put_stack(w, 1, AT(0), 0, FRAMES({1, 2}), 1);
	put_stack(w, 1, AT(10), 0, FRAMES({1, 3}), 1);
	put_stack(w, 1, AT(20), 0, FRAMES({1, 4}, {2, 5}), 2);
	put_stack(w, 1, AT(30), 0, FRAMES({1, 5}, {2, 5}), 2);
	put_stack(w, 1, AT(40), 0, FRAMES({2, 6}), 1);
	ck_assert_int_eq(trace_writer_close(w, AT(50), "stopped"), 0);
	text = export_text(&export_chrome, &everything, 0);
	for (const char *at = text; (at = strstr(at, "\"ph\":\"B\"")); at++)
		n_begins++;
	for (const char *at = text; (at = strstr(at, "\"ph\":\"E\"")); at++)
		n_ends++;
	/* main, work in two of its lines, and work alone. */
	ck_assert_uint_eq(n_begins, 4);
	ck_assert_uint_eq(n_ends, 4);
}
END_TEST

START_TEST(a_gap_is_a_slice)
{
	auto_free char *text = NULL;

	write_whole();
	run_sql("DELETE FROM blocks WHERE thread = 2");
	text = export_text(&export_chrome, &everything, 0);
	assert_has(text, "\"ts\":0.000,\"cat\":\"gap\",\"name\":\"not observed\"}");
}
END_TEST

START_TEST(a_full_disk_ends_it)
{
	write_whole();
	assert_stops_when_full(&export_chrome);
}
END_TEST

EXPORT_TESTS_MAIN("export_chrome", slices_are_calls_and_waits, odd_names_are_still_json,
		  a_call_goes_on_over_its_lines, a_gap_is_a_slice, a_full_disk_ends_it)
