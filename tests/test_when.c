/* SPDX-License-Identifier: BSD-3-Clause */
/* Points in time as people write them; the clock that they are read by. */
#include "reader/when.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "reader/clock_map.h"
#include "reader/trace_seek.h"

/* 2025-11-23 00:00:00 UTC. */
#define MIDNIGHT INT64_C(1763856000)
#define S	 NS_PER_S
#define HOUR	 (3600 * S)
#define DAY	 (86400 * S)
/* The trace: from 2025-11-23 01:00:00 +0100 on, for two days, at 1000 s of the monotonic clock. */
#define START (1000 * S)
#define END   (START + 2 * DAY)
#define HERE  (START + 10 * HOUR) /* 11:00 there */

static struct trace_anchor anchors[] = {
    {1000 * NS_PER_S, MIDNIGHT *(int64_t)NS_PER_S},
    /* A minute later, the clock went a little slower. */
    {1060 * NS_PER_S, MIDNIGHT *(int64_t)NS_PER_S + INT64_C(59999999000)},
};
static struct clock_map clock_map = {.anchors = anchors, .n_anchors = 1, .utc_offset_s = 3600};
static const struct when_context context = {
    .clock = &clock_map, .start_ns = START, .end_ns = END, .here_ns = HERE};

struct row {
	const char *text;
	uint64_t ns; /* since START */
};

static const struct row good[] = {
    {"start", 0},
    {"end", END - START},
    {"now", END - START},
    {" Start ", 0},
    {"50%", 86400 * S},
    {"0%", 0},
    {"100%", END - START},
    {"12.5%", 21600 * S},
    {"+2s", 36002 * S},
    {"+0.003s", 36000 * S + 3000000},
    {"-3m", 36000 * S - 180 * S},
    {"+1h", 39600 * S},
    {"+1d", (36000 + 86400) * S},
    {"- 500 ms", 36000 * S - 500000000},
    {"+0s", 36000 * S},
    {"12:00:16.552353", 39616 * S + 552353000},
    {"12:00:16,55", 39616 * S + 550000000},
    {"12:00", 39600 * S},
    {"9:05", 8 * HOUR + 300 * S},
    /* On the day of here; but 00:30 was then before the trace began. */
    {"00:30:00", 23 * HOUR + 1800 * S},
    {"2025-11-24", 23 * HOUR},
    {"2025-11-24 12:00", 35 * HOUR},
    {"2025-11-24T12:00:00.5", 35 * HOUR + 500000000},
    {"2025-11-24T12:00:00Z", 36 * HOUR},
    {"2025-11-24T12:00:00.000000001+01:00", 35 * HOUR + 1},
    {"2025-11-24 12:00:00 +0300", 33 * HOUR},
    {"2025-11-24 12:00:00 UTC", 36 * HOUR},
    {"12:00:00Z", 12 * HOUR},
    {"Nov 24 12:00:16", 35 * HOUR + 16 * S},
    {"Nov 24 12:00:16.250000 host walt[12]: it froze", 35 * HOUR + 16250000000},
    {"nov  4", (uint64_t)(-INT64_C(19) * 86400 - 3600) * S},
    {"Mon 2025-11-24 12:00:16 CET", 35 * HOUR + 16 * S},
    {"@Nov 24 12:00:16 host x: y", 35 * HOUR + 16 * S},
    {"2025-11-24T12:00:16+0100 host walt[12]: it froze", 35 * HOUR + 16 * S},
    {"2025-11-24 12:00:16,123 INFO it froze", 35 * HOUR + 16123000000},
    {"12:00:16.5 node.stdout -> hello", 39616 * S + 500000000},
    {"@1763856010.5", 10 * S + 500000000},
    {"1763856010.5 host x: y", 10 * S + 500000000},
    {"[ 1012.5]", 12 * S + 500000000},
};

START_TEST(what_people_write_is_understood)
{
	const struct row *row = &good[_i];
	uint64_t ns = 0;
	char why[256] = "";

	ck_assert_msg(when_parse(row->text, &context, &ns, why, sizeof(why)) == 0, "'%s': %s",
		      row->text, why);
	/* What lies before the machine's start is that. */
	if (row->ns > UINT64_MAX / 2)
		ck_assert_uint_eq(ns, 0);
	else
		ck_assert_msg(ns == START + row->ns, "'%s' is %lld ns after the start", row->text,
			      (long long)(ns - START));
}
END_TEST

static const char *const bad[] = {
    "",
    "x",
    "12",
    "25:00",
    "12:60",
    "12:00:",
    "12:00:00.",
    "12:00:00x",
    "12:00 and so on",
    "2025-13-01",
    "2025-02-29",
    "2025-11-24 noon",
    "1969-01-01",
    "9999-01-01",
    "101%",
    "%",
    "5%%",
    "+",
    "+x",
    "+5 parsecs",
    "--5s",
    "@",
    "@99999999999999999999",
    "[",
    "Nov",
    "Nov 32",
    "Mon",
    "2025-11-24T12:00:00+25:00",
    "\xff\xfe",
};

START_TEST(what_is_no_time_is_refused)
{
	uint64_t ns = 4711;
	char why[256] = "";

	ck_assert_msg(when_parse(bad[_i], &context, &ns, why, sizeof(why)) == -EINVAL, "'%s'",
		      bad[_i]);
	ck_assert_uint_eq(ns, 4711);
	ck_assert_msg(strstr(why, "12:00"), "%s", why);
}
END_TEST

START_TEST(times_are_printed_so_that_they_can_be_read)
{
	const uint64_t times[] = {START, START + 1, HERE + 123456789, END};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		char text[CLOCK_TEXT_SIZE], why[256];
		uint64_t ns;

		clock_map_format_exact(&clock_map, times[i], text);
		ck_assert_int_eq(when_parse(text, &context, &ns, why, sizeof(why)), 0);
		ck_assert_uint_eq(ns, times[i]);
	}
}
END_TEST

START_TEST(formats_are_those_of_the_recording_machine)
{
	char text[CLOCK_TEXT_SIZE];

	clock_map_format_exact(&clock_map, START + 12345, text);
	ck_assert_str_eq(text, "2025-11-23T01:00:00.000012345+01:00");
	clock_map_format(&clock_map, START + 12345, text);
	ck_assert_str_eq(text, "2025-11-23 01:00:00.000012");
}
END_TEST

START_TEST(the_nearest_earlier_anchor_counts)
{
	const struct clock_map two = {.anchors = anchors, .n_anchors = 2};
	int64_t start = MIDNIGHT * (int64_t)S;

	ck_assert_int_eq(clock_map_real(&two, START - S), start - (int64_t)S);
	ck_assert_int_eq(clock_map_real(&two, START + 59 * S), start + 59 * (int64_t)S);
	ck_assert_int_eq(clock_map_real(&two, START + 61 * S), start + 61 * (int64_t)S - 1000);
	ck_assert_uint_eq(clock_map_monotonic(&two, start - (int64_t)S), START - S);
	ck_assert_uint_eq(clock_map_monotonic(&two, start + 61 * (int64_t)S),
			  START + 61 * S + 1000);
}
END_TEST

START_TEST(a_clock_that_was_set_keeps_its_moments)
{
	int64_t start = MIDNIGHT * (int64_t)S, hour = 3600 * (int64_t)S;
	struct trace_anchor set[] = {
	    {START, start},
	    {START + 60 * S, start + hour},		/* an hour forwards */
	    {START + 120 * S, start + 60 * (int64_t)S}, /* and back */
	};
	const struct clock_map map = {.anchors = set, .n_anchors = 3};

	/* A time that it jumped over; one that it showed twice; one after all that. */
	ck_assert_uint_eq(clock_map_monotonic(&map, start + hour / 2 - 1),
			  START + 120 * S + 1740 * S - 1);
	ck_assert_uint_eq(clock_map_monotonic(&map, start + hour + 1), START + 60 * S + 1);
	ck_assert_uint_eq(clock_map_monotonic(&map, start + 30 * (int64_t)S), START + 30 * S);
	set[2].realtime_ns = start + 2 * hour;
	ck_assert_uint_eq(clock_map_monotonic(&map, start + hour / 2), START + 60 * S);
	ck_assert_uint_eq(clock_map_monotonic(&map, start + hour + hour / 2), START + 120 * S);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("when");
	TCase *tc = tcase_create("when");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, what_people_write_is_understood, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(tc, what_is_no_time_is_refused, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, times_are_printed_so_that_they_can_be_read);
	tcase_add_test(tc, formats_are_those_of_the_recording_machine);
	tcase_add_test(tc, the_nearest_earlier_anchor_counts);
	tcase_add_test(tc, a_clock_that_was_set_keeps_its_moments);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
