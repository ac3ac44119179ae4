/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/html_longest.h"

#include <check.h>
#include <stdlib.h>

#define SPAN_NS 1000000
#define MAX	((uint64_t)1000)

static struct html_longest l;

static void setup(void)
{
	html_longest_init(&l, SPAN_NS, MAX);
}

static void teardown(void)
{
	html_longest_done(&l);
}

static void add(uint64_t start_ns, uint64_t length_ns)
{
	html_longest_add(&l, &(struct longest_wait){.start_ns = start_ns, .length_ns = length_ns});
}

START_TEST(a_few_are_all_kept)
{
	for (uint64_t i = MAX; i-- > 0;)
		add(i * 10, i + 1);
	html_longest_finish(&l);
	ck_assert_uint_eq(l.n, MAX);
	ck_assert_uint_eq(l.dropped_ns, 0);
	for (size_t i = 0; i < l.n; i++)
		ck_assert_uint_eq(l.waits[i].start_ns, i * 10);
}
END_TEST

START_TEST(the_longest_of_many_are_kept)
{
	uint64_t last_ns = 0;

	/* All of the long ones are in the last tenth. */
	for (uint64_t i = 0; i < 100000; i++)
		add(i * 10, i < 90000 ? 10 : 1000 + i);
	html_longest_finish(&l);
	ck_assert_uint_ge(l.n, MAX / 2);
	ck_assert_uint_le(l.n, 2 * MAX);
	for (size_t i = 0, n_long = 0; i < l.n; i++) {
		ck_assert(l.waits[i].start_ns >= last_ns);
		last_ns = l.waits[i].start_ns;
		n_long += l.waits[i].length_ns > l.dropped_ns;
		if (i == l.n - 1)
			ck_assert_uint_ge(n_long, MAX / 2);
	}
}
END_TEST

START_TEST(each_part_keeps_some)
{
	for (uint64_t i = 0; i < 100000; i++)
		add(i * 10, i < 90000 ? 10 : 1000 + i);
	html_longest_finish(&l);
	for (uint64_t part = 0; part < 9; part++) {
		size_t n = 0;

		for (size_t i = 0; i < l.n; i++)
			n += l.waits[i].start_ns / (SPAN_NS / 10) == part;
		ck_assert_msg(n > 10, "part %d has %zu", (int)part, n);
	}
}
END_TEST

START_TEST(what_lies_outside_is_no_harm)
{
	for (uint64_t i = 0; i < 10 * MAX; i++)
		add(UINT64_MAX - i, 1);
	html_longest_finish(&l);
	ck_assert_uint_gt(l.n, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("html_longest");
	TCase *tc = tcase_create("longest");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_few_are_all_kept);
	tcase_add_test(tc, the_longest_of_many_are_kept);
	tcase_add_test(tc, each_part_keeps_some);
	tcase_add_test(tc, what_lies_outside_is_no_harm);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
