/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/export_text.h"

static const struct selection_options everything = {0};

START_TEST(each_event_has_its_line)
{
	auto_free char *text = NULL;

	write_whole();
	text = export_text(&export_jsonl, &everything, 0);
	ck_assert_str_eq(
	    text,
	    "{\"time\":1000000000,\"wall\":\"2025-11-23T01:00:00.000000000+01:00\",\"thread\":1,"
	    "\"native_id\":1001,\"python_id\":2001}\n"
	    "{\"time\":1000000000,\"wall\":\"2025-11-23T01:00:00.000000000+01:00\",\"thread\":1,"
	    "\"pop\":0,\"push\":[{\"file\":\"APP\",\"line\":2,\"function\":\"main\"}],"
	    "\"provenance\":\"observed\"}\n"
	    "{\"time\":1099999744,\"wall\":\"2025-11-23T01:00:00.099999744+01:00\",\"thread\":1,"
	    "\"wait\":\"epoll: 3 "
	    "descriptors\",\"state\":\"waiting\",\"idle\":true,\"duration\":300000256}\n"
	    "{\"time\":1450000000,\"wall\":\"2025-11-23T01:00:00.450000000+01:00\",\"thread\":1,"
	    "\"pop\":0,\"push\":[{\"file\":\"APP\",\"line\":5,\"function\":\"work\"}],"
	    "\"provenance\":\"observed\"}\n"
	    "{\"time\":1499999744,\"wall\":\"2025-11-23T01:00:00.499999744+01:00\",\"thread\":1,"
	    "\"wait\":\"recv from "
	    "10.0.0.5:5432\",\"state\":\"waiting\",\"idle\":false,\"duration\":199999488}\n"
	    "{\"time\":1709999616,\"wall\":\"2025-11-23T01:00:00.709999616+01:00\",\"thread\":1,"
	    "\"wait\":\"recv from "
	    "10.0.0.5:5432\",\"state\":\"waiting\",\"idle\":false,\"duration\":300000256}\n"
	    "{\"time\":2009999872,\"wall\":\"2025-11-23T01:00:01.009999872+01:00\",\"thread\":1,"
	    "\"wait\":\"waiting for a "
	    "CPU\",\"state\":\"ready\",\"idle\":false,\"duration\":19999744}\n"
	    "{\"time\":2040000000,\"wall\":\"2025-11-23T01:00:01.040000000+01:00\",\"thread\":1,"
	    "\"wait\":\"not known\",\"state\":\"waiting\",\"idle\":false,\"duration\":1999872}\n"
	    "{\"time\":2050000000,\"wall\":\"2025-11-23T01:00:01.050000000+01:00\",\"thread\":1,"
	    "\"pop\":1,\"push\":[{\"file\":\"APP\",\"line\":6,\"function\":\"work\"}],"
	    "\"provenance\":\"observed\"}\n"
	    "{\"time\":5000000000,\"wall\":\"2025-11-23T01:00:04.000000000+01:00\",\"thread\":1,"
	    "\"pop\":2,\"push\":[]}\n"
	    "{\"time\":5000000000,\"wall\":\"2025-11-23T01:00:04.000000000+01:00\",\"thread\":1,"
	    "\"end\":true}\n"
	    "{\"time\":1000000000,\"wall\":\"2025-11-23T01:00:00.000000000+01:00\",\"thread\":2,"
	    "\"native_id\":1002,\"python_id\":2002}\n"
	    "{\"time\":1000000000,\"wall\":\"2025-11-23T01:00:00.000000000+01:00\",\"thread\":2,"
	    "\"pop\":0,\"push\":[{\"file\":\"APP\",\"line\":6,\"function\":\"work\"}],"
	    "\"provenance\":\"observed\"}\n"
	    "{\"time\":2499999232,\"wall\":\"2025-11-23T01:00:01.499999232+01:00\",\"thread\":2,"
	    "\"wait\":\"recv from "
	    "10.0.0.5:5432\",\"state\":\"waiting\",\"idle\":false,\"duration\":2500000768}\n"
	    "{\"time\":5000000000,\"wall\":\"2025-11-23T01:00:04.000000000+01:00\",\"thread\":2,"
	    "\"pop\":1,\"push\":[]}\n"
	    "{\"time\":5000000000,\"wall\":\"2025-11-23T01:00:04.000000000+01:00\",\"thread\":2,"
	    "\"end\":true}\n");
}
END_TEST

START_TEST(odd_names_are_still_json)
{
	auto_free char *text = NULL;
	char *line, *rest = NULL;
	unsigned n = 0;

	write_odd_names();
	text = export_text(&export_jsonl, &everything, 0);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), n++)
		assert_json(line);
	ck_assert_uint_eq(n, 5);
}
END_TEST

START_TEST(a_gap_has_its_reason)
{
	struct trace_writer *w = test_writer_new(folder);
	auto_free char *text = NULL;

	put_thread(w, 1, AT(0));
	put_stack(w, 1, AT(0), 0, FRAMES({0, 0}), 0);
	put_gap(w, 1, AT(10), AT(30), GAP_RING_FULL);
	put_stack(w, 1, AT(30), 0, FRAMES({0, 0}), 0);
	ck_assert_int_eq(trace_writer_close(w, AT(40), "stopped"), 0);
	text = export_text(&export_jsonl, &everything, 0);
	assert_has(text, "\"gap\":\"ring-full\",\"duration\":20000000}");
}
END_TEST

START_TEST(a_full_disk_ends_it)
{
	write_whole();
	assert_stops_when_full(&export_jsonl);
}
END_TEST

EXPORT_TESTS_MAIN("export_jsonl", each_event_has_its_line, odd_names_are_still_json,
		  a_gap_has_its_reason, a_full_disk_ends_it)
