/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/selection.h"

#include <errno.h>

#include "tests/support/waits_trace.h"

static struct trace *the_trace;

static void open_whole(void)
{
	setup();
	write_whole();
	the_trace = open_trace();
}

static void close_whole(void)
{
	trace_close(the_trace);
	teardown();
}

static void change_trace(const char *sql)
{
	trace_close(the_trace);
	run_sql(sql);
	the_trace = open_trace();
}

static struct selection select_ok(struct selection_options options)
{
	struct selection s;
	char why[256];

	ck_assert_msg(selection_resolve(the_trace, &options, &s, why, sizeof(why)) == 0, "%s", why);
	return s;
}

START_TEST(without_options_it_is_all)
{
	struct selection s = select_ok((struct selection_options){0});

	ck_assert(s.is_whole);
	ck_assert_uint_eq(s.since_ns, AT(0));
	ck_assert_uint_eq(s.until_ns, AT(4000));
	ck_assert_uint_eq(s.n_threads, 2);
	ck_assert(selection_has(&s, 1) && selection_has(&s, 2) && !selection_has(&s, 3));
	selection_done(&s);
	ck_assert_ptr_null(s.threads);
}
END_TEST

START_TEST(until_counts_from_since)
{
	struct selection s =
	    select_ok((struct selection_options){.since = "+600ms", .until = "+100ms"});

	ck_assert(!s.is_whole);
	ck_assert_uint_eq(s.since_ns, AT(600));
	ck_assert_uint_eq(s.until_ns, AT(700));
	selection_done(&s);
}
END_TEST

START_TEST(what_is_beyond_the_trace_is_cut)
{
	struct selection s = select_ok((struct selection_options){.since = "-1h", .until = "+2h"});

	ck_assert_uint_eq(s.since_ns, AT(0));
	ck_assert_uint_eq(s.until_ns, AT(4000));
	ck_assert(s.is_whole);
	selection_done(&s);
}
END_TEST

START_TEST(threads_are_taken_once_and_in_order)
{
	struct selection s = select_ok((struct selection_options){.thread = "2,1,2"});

	ck_assert_uint_eq(s.n_threads, 2);
	ck_assert_uint_eq(s.threads[0], 1);
	ck_assert_uint_eq(s.threads[1], 2);
	ck_assert(s.is_whole);
	selection_done(&s);
	s = select_ok((struct selection_options){.thread = "2"});
	ck_assert(!s.is_whole && !selection_has(&s, 1) && selection_has(&s, 2));
	selection_done(&s);
}
END_TEST

static const struct {
	struct selection_options options;
	const char *why;
} bad[] = {
    {{.since = "noon"}, "--since 'noon': not a time"},
    {{.until = ""}, "--until '': to which time?"},
    {{.since = "+2s", .until = "+1s", .thread = "x"}, "no thread 'x'"},
    {{.since = "50%", .until = "10%"}, "--until is not after --since"},
    {{.since = "+1h"}, "the trace has nothing of that time: it is from 2025-"},
    {{.until = "-1s"}, "the trace has nothing of that time"},
    {{.thread = "3"}, "there is no thread '3'; there are, by number (and id): 1 (1001), 2 (1002)"},
    {{.thread = ""}, "there is no thread ''"},
    {{.thread = "1,"}, "there is no thread ''"},
    {{.thread = "1;2\n"}, "there is no thread '1;2\\x0a'"},
};

START_TEST(what_is_wrong_is_told)
{
	struct selection s;
	char why[256] = "";

	ck_assert_int_eq(selection_resolve(the_trace, &bad[_i].options, &s, why, sizeof(why)),
			 -EINVAL);
	ck_assert_msg(strstr(why, bad[_i].why), "'%s' is not in: %s", bad[_i].why, why);
	ck_assert_ptr_null(s.threads);
}
END_TEST

START_TEST(an_interval_that_nobody_saw_is_told)
{
	static const struct selection_options options = {.until = "+100ms"};
	struct selection s;
	char why[256];

	change_trace("DELETE FROM blocks WHERE id <= 2;"
		     "UPDATE blocks SET first_ns = first_ns + 1000000000,"
		     " last_ns = last_ns + 2000000000");
	ck_assert_int_eq(selection_resolve(the_trace, &options, &s, why, sizeof(why)), -EINVAL);
	assert_has(why, "nothing was observed");
	change_trace("INSERT INTO meta VALUES ('trimmed_until_ns', 2000000000)");
	ck_assert_int_eq(selection_resolve(the_trace, &options, &s, why, sizeof(why)), -EINVAL);
	assert_has(why, "deleted to save space");
}
END_TEST

START_TEST(a_trace_without_bounds_is_its_blocks)
{
	struct selection s;

	change_trace("DELETE FROM meta WHERE key IN ('start_monotonic_ns', 'end_ns')");
	s = select_ok((struct selection_options){0});
	ck_assert_uint_eq(s.since_ns, AT(0));
	ck_assert_uint_gt(s.until_ns, AT(1500));
	selection_done(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("selection");
	TCase *tc = tcase_create("selection");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, open_whole, close_whole);
	tcase_add_test(tc, without_options_it_is_all);
	tcase_add_test(tc, until_counts_from_since);
	tcase_add_test(tc, what_is_beyond_the_trace_is_cut);
	tcase_add_test(tc, threads_are_taken_once_and_in_order);
	tcase_add_loop_test(tc, what_is_wrong_is_told, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, an_interval_that_nobody_saw_is_told);
	tcase_add_test(tc, a_trace_without_bounds_is_its_blocks);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
