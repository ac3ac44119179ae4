/* SPDX-License-Identifier: BSD-3-Clause */
/* What differs between two traces though the program is the same. */
#include "reader/diff_noise.h"

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

START_TEST(more_rows_ask_for_more_errors)
{
	/* erfc(z / sqrt(2)) is the chance of z standard errors. */
	ck_assert_double_eq_tol(diff_noise_errors(0), 4, 1e-2);
	ck_assert_double_eq_tol(diff_noise_errors(100), 4, 1e-2);
	ck_assert_double_eq_tol(500 * erfc(diff_noise_errors(500) / sqrt(2)), 0.01, 1e-4);
	ck_assert_double_gt(diff_noise_errors(100000), diff_noise_errors(1000));
	ck_assert_double_le(diff_noise_errors(SIZE_MAX), 9);
}
END_TEST

START_TEST(the_others_tell_how_fast_the_machine_was)
{
	struct diff_shift shifts[] = {
	    {.function = 1, .log_factor = 0.5, .weight = 8},
	    {.function = 2, .log_factor = 0.1, .weight = 1},
	    {.function = 3, .log_factor = -0.2, .weight = 1},
	    {.function = 4, .log_factor = 0.2, .weight = 3},
	};

	diff_noise_sort(shifts, 4);
	ck_assert_double_eq_tol(diff_noise_common(shifts, 4, PROFILE_NONE), 0.5, 1e-9);
	ck_assert_double_eq_tol(diff_noise_common(shifts, 4, 1), 0.2, 1e-9);
	/* One other says nothing. */
	ck_assert_double_eq_tol(diff_noise_common(shifts, 2, shifts[0].function), 0, 1e-9);
	ck_assert_double_eq_tol(diff_noise_common(NULL, 0, 1), 0, 1e-9);
}
END_TEST

static double least(double old_starved, double new_starved, const struct diff_item *item)
{
	struct profile o = {.starved = old_starved}, n = {.starved = new_starved};
	struct diff_side old_side = {.profile = &o}, new_side = {.profile = &n};

	return exp(diff_noise_least(&old_side, &new_side, item));
}

START_TEST(a_busy_machine_asks_for_more)
{
	struct diff_item calls = {.basis = DIFF_BY_CALLS}, waits = {.basis = DIFF_BY_WAITS};

	calls.old_running = calls.new_running = 1;
	ck_assert_double_eq_tol(least(0, 0, &calls), 1.25, 1e-9);
	ck_assert_double_eq_tol(least(0.4, 0.4, &calls), 1.25 / 0.84, 1e-9);
	ck_assert_double_eq_tol(least(0.4, 0.1, &calls), 1.25 / 0.84 * 1.6, 1e-9);
	ck_assert_double_eq_tol(least(0.4, 0.1, &waits), 1.25 / 0.6, 1e-9);
	ck_assert_double_le(least(1, 1, &waits), 12.6);
	calls.old_running = 0;
	ck_assert_double_eq_tol(least(0.4, 0.1, &calls), 1.25 / 0.6, 1e-9);
	calls.new_outside = 0.5;
	ck_assert_double_eq_tol(least(0, 0, &calls), 1.25 * 1.5, 1e-9);
	calls = (struct diff_item){.basis = DIFF_BY_CALLS, .intervals = 5};
	ck_assert_double_eq_tol(least(0, 0, &calls), 1.25 * 1.1, 1e-9);
	calls.intervals = 0.1;
	ck_assert_double_eq_tol(least(0, 0, &calls), 1.25 * 1.9, 1e-9);
	calls.intervals = 10;
	ck_assert_double_eq_tol(least(0, 0, &calls), 1.25, 1e-9);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("diff_noise");
	TCase *tc = tcase_create("diff_noise");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, more_rows_ask_for_more_errors);
	tcase_add_test(tc, the_others_tell_how_fast_the_machine_was);
	tcase_add_test(tc, a_busy_machine_asks_for_more);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
