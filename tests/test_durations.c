/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/durations.h"

#include <check.h>
#include <stdlib.h>

static void assert_near(uint64_t found, uint64_t expected)
{
	uint64_t off = found > expected ? found - expected : expected - found;

	ck_assert_msg(off * 100 <= expected * 2, "%llu is not near to %llu",
		      (unsigned long long)found, (unsigned long long)expected);
}

START_TEST(nothing_has_no_percentiles)
{
	const struct durations d = {0};

	ck_assert_uint_eq(durations_percentile(&d, 50), 0);
	ck_assert_uint_eq(durations_percentile(&d, 100), 0);
}
END_TEST

START_TEST(percentiles_are_near_at_any_size)
{
	static const uint64_t scales[] = {1, 1000, 1000000, UINT64_C(50000000000)};
	struct durations d = {0};

	for (uint64_t i = 1; i <= 1000; i++)
		durations_add(&d, i, i * scales[_i]);
	assert_near(durations_percentile(&d, 50), 500 * scales[_i]);
	assert_near(durations_percentile(&d, 95), 950 * scales[_i]);
	assert_near(durations_percentile(&d, 99), 990 * scales[_i]);
	ck_assert_uint_eq(d.n, 1000);
	durations_done(&d);
}
END_TEST

START_TEST(small_ones_are_exact)
{
	struct durations d = {0};

	for (uint64_t i = 0; i < 32; i++)
		durations_add(&d, i, i);
	ck_assert_uint_eq(durations_percentile(&d, 50), 15);
	ck_assert_uint_eq(durations_percentile(&d, 100), 31);
	durations_done(&d);
}
END_TEST

START_TEST(the_longest_is_exact_and_the_first_of_its_length)
{
	struct durations d = {0};

	durations_add(&d, 10, 1234567);
	durations_add(&d, 20, 7654321);
	durations_add(&d, 30, 7654321);
	durations_add(&d, 40, 1);
	ck_assert_uint_eq(d.longest_ns, 7654321);
	ck_assert_uint_eq(d.longest_start_ns, 20);
	ck_assert_uint_le(durations_percentile(&d, 99), d.longest_ns);
	durations_done(&d);
}
END_TEST

START_TEST(any_number_fits)
{
	struct durations d = {0};

	durations_add(&d, 0, 0);
	durations_add(&d, 0, UINT64_MAX);
	ck_assert_uint_eq(durations_percentile(&d, 50), 0);
	assert_near(durations_percentile(&d, 99) / 4, UINT64_MAX / 4);
	ck_assert_uint_eq(d.longest_ns, UINT64_MAX);
	durations_done(&d);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("durations");
	TCase *tc = tcase_create("durations");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, nothing_has_no_percentiles);
	tcase_add_loop_test(tc, percentiles_are_near_at_any_size, 0, 4);
	tcase_add_test(tc, small_ones_are_exact);
	tcase_add_test(tc, the_longest_is_exact_and_the_first_of_its_length);
	tcase_add_test(tc, any_number_fits);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
