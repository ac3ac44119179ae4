/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/export_text.h"

static const struct selection_options everything = {0};

START_TEST(each_stack_has_its_time)
{
	auto_free char *text = NULL;

	write_whole();
	text = export_text(&export_collapsed, &everything, 0);
	ck_assert_str_eq(text, "APP:main:2 450000\n"
			       "APP:main:2;APP:work:5 600000\n"
			       "APP:main:2;APP:work:6 2950000\n"
			       "APP:work:6 4000000\n");
}
END_TEST

START_TEST(odd_names_break_no_line)
{
	auto_free char *text = NULL;

	write_odd_names();
	text = export_text(&export_collapsed, &everything, 0);
	ck_assert_str_eq(text, "/a\\x3b\"\\\\\\x0a\\xff.py:f\\xc3\\x00<script>\\x1b[0m:2 10000\n"
			       "/a\\x3b\"\\\\\\x0a\\xff.py:f\\xc3\\x00<script>\\x1b[0m:2;/"
			       "a\\x3b\"\\\\\\x0a\\xff.py:f\\xc3\\x00<script>\\x1b[0m:0;/"
			       "a\\x3b\"\\\\\\x0a\\xff.py:f\\xc3\\x00<script>\\x1b[0m:2 10000\n");
}
END_TEST

START_TEST(an_interval_has_only_its_time)
{
	static const struct selection_options options = {
	    .since = "+400ms", .until = "+100ms", .thread = "1"};
	auto_free char *text = NULL;

	write_whole();
	text = export_text(&export_collapsed, &options, 0);
	ck_assert_str_eq(text, "APP:main:2 50000\nAPP:main:2;APP:work:5 50000\n");
}
END_TEST

START_TEST(a_full_disk_ends_it)
{
	write_whole();
	assert_stops_when_full(&export_collapsed);
}
END_TEST

EXPORT_TESTS_MAIN("export_collapsed", each_stack_has_its_time, odd_names_break_no_line,
		  an_interval_has_only_its_time, a_full_disk_ends_it)
