/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/export_text.h"

static const struct selection_options everything = {0};

START_TEST(frames_open_and_close)
{
	auto_free char *text = NULL;

	write_whole();
	text = export_text(&export_speedscope, &everything, 0);
	ck_assert_str_eq(text,
			 "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
			 "\"exporter\":\"trackexec " TRACKEXEC_VERSION "\",\n"
			 "\"name\":\"a test\",\n"
			 "\"profiles\":[\n"
			 "{\"type\":\"evented\",\"name\":\"thread 1 "
			 "(1001)\",\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":"
			 "4000000000,\"events\":[\n"
			 "{\"type\":\"O\",\"frame\":0,\"at\":0},\n"
			 "{\"type\":\"O\",\"frame\":1,\"at\":450000000},\n"
			 "{\"type\":\"C\",\"frame\":1,\"at\":1050000000},\n"
			 "{\"type\":\"O\",\"frame\":2,\"at\":1050000000},\n"
			 "{\"type\":\"C\",\"frame\":2,\"at\":4000000000},\n"
			 "{\"type\":\"C\",\"frame\":0,\"at\":4000000000}\n"
			 "]},\n"
			 "{\"type\":\"evented\",\"name\":\"thread 2 "
			 "(1002)\",\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":"
			 "4000000000,\"events\":[\n"
			 "{\"type\":\"O\",\"frame\":2,\"at\":0},\n"
			 "{\"type\":\"C\",\"frame\":2,\"at\":4000000000}\n"
			 "]}\n"
			 "],\n"
			 "\"shared\":{\"frames\":[\n"
			 "{\"name\":\"main\",\"file\":\"APP\",\"line\":2},\n"
			 "{\"name\":\"work\",\"file\":\"APP\",\"line\":5},\n"
			 "{\"name\":\"work\",\"file\":\"APP\",\"line\":6}\n"
			 "]}}\n");
}
END_TEST

START_TEST(odd_names_are_still_json)
{
	auto_free char *text = NULL;

	write_odd_names();
	text = export_text(&export_speedscope, &everything, 0);
	assert_json(text);
}
END_TEST

START_TEST(times_count_from_the_interval)
{
	static const struct selection_options options = {
	    .since = "+600ms", .until = "+100ms", .thread = "1"};
	auto_free char *text = NULL;

	write_whole();
	text = export_text(&export_speedscope, &options, 0);
	assert_has(text, "\"startValue\":0,\"endValue\":100000000,");
	assert_has(text, "{\"type\":\"O\",\"frame\":0,\"at\":0}");
	assert_has(text, "{\"type\":\"C\",\"frame\":0,\"at\":100000000}\n]}");
}
END_TEST

START_TEST(a_full_disk_ends_it)
{
	write_whole();
	assert_stops_when_full(&export_speedscope);
}
END_TEST

EXPORT_TESTS_MAIN("export_speedscope", frames_open_and_close, odd_names_are_still_json,
		  times_count_from_the_interval, a_full_disk_ends_it)
