/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/budget.h"

#include <check.h>
#include <math.h>
#include <string.h>

#define WINDOW_NS UINT64_C(500000000)
#define N_MAX	  40
#define PERCENT	  5.0
#define BUDGET_NS (PERCENT / 100 * 1e9) /* per second */
/* Windows until everything has settled. */
#define SETTLED 40

/* A made-up machine: what each target costs, and who is busy. */
static struct budget_target targets[N_MAX];
static double look_ns[N_MAX];
static bool is_busy[N_MAX];
static size_t n_targets;
static double spent_ns; /* in the last seconds, as told */

static void setup(void)
{
	memset(targets, 0, sizeof(targets));
	n_targets = 0;
	spent_ns = 0;
}

static void add(double asked_hz, double cost_ns, bool busy)
{
	targets[n_targets] = (struct budget_target){
	    .rate_asked_hz = asked_hz,
	    .rate_hz = asked_hz,
	};
	look_ns[n_targets] = cost_ns;
	is_busy[n_targets++] = busy;
}

/* One window; returns CPU used, ns per second. */
static double pass_window(double own_ns_per_s)
{
	double used = own_ns_per_s;

	for (size_t i = 0; i < n_targets; i++) {
		struct budget_target *t = &targets[i];

		t->is_resting = !is_busy[i];
		/* One that rests is looked at 100 times a second, or a quarter as often as it may.
		 */
		t->reached_hz = t->is_resting ? fmin(100, t->rate_hz / 4) : t->rate_hz;
		t->cpu_ns = (uint64_t)(t->reached_hz * look_ns[i] * WINDOW_NS / 1e9);
		used += t->reached_hz * look_ns[i];
	}
	budget_share(targets, n_targets, WINDOW_NS, (uint64_t)(own_ns_per_s * WINDOW_NS / 1e9),
		     (uint64_t)spent_ns, PERCENT);
	return used;
}

static double settle(double own_ns_per_s)
{
	double used = 0;

	for (int i = 0; i < SETTLED; i++)
		used = pass_window(own_ns_per_s);
	return used;
}

START_TEST(what_fits_gets_what_it_asks)
{
	add(1000, 20000, true);
	add(500, 20000, false);
	settle(0);
	ck_assert_double_eq_tol(targets[0].rate_hz, 1000, 0.01);
	ck_assert_double_eq_tol(targets[1].rate_hz, 500, 0.01);
}
END_TEST

START_TEST(the_budget_holds)
{
	for (int i = 0; i < 32; i++)
		add(5000, 10000 + 1000 * i, i % 2 == 0);
	ck_assert_double_le(settle(2e6), BUDGET_NS);
	/* And is used. */
	ck_assert_double_ge(settle(2e6), BUDGET_NS / 2);
}
END_TEST

START_TEST(busy_targets_get_the_same_part)
{
	add(0, 5000, true);
	add(5000, 40000, true);
	add(100, 10000, true);
	settle(0);
	/* The third wants 1 ms per second only; the others share the rest. */
	ck_assert_double_eq_tol(targets[2].rate_hz, 100, 0.01);
	ck_assert_double_eq_tol(targets[0].rate_hz * 5000, targets[1].rate_hz * 40000, 1e5);
	ck_assert_double_ge(targets[0].rate_hz * 5000, 15e6);
}
END_TEST

START_TEST(many_that_wake_up_at_once_do_not_break_it)
{
	double sum = 0;

	for (int i = 0; i < 32; i++)
		add(5000, 20000, false);
	settle(0);
	for (int i = 0; i < 32; i++)
		is_busy[i] = true;
	/* Ten seconds from then on. */
	for (int i = 0; i < 20; i++)
		sum += pass_window(0);
	ck_assert_double_le(sum / 20, BUDGET_NS);
}
END_TEST

START_TEST(a_daemon_that_is_busy_itself_leaves_some)
{
	add(5000, 20000, true);
	settle(10 * BUDGET_NS);
	ck_assert_double_ge(targets[0].rate_hz, BUDGET_MIN_HZ);
	ck_assert_double_eq_tol(targets[0].rate_hz, BUDGET_NS / 4 / 20000, 10);
}
END_TEST

START_TEST(a_rate_falls_at_once_and_rises_step_by_step)
{
	double rate;

	add(5000, 10000, true);
	settle(0);
	rate = targets[0].rate_hz;
	look_ns[0] = 1e6;
	settle(0);
	ck_assert_double_le(targets[0].rate_hz, rate / 50);
	rate = targets[0].rate_hz;
	look_ns[0] = 1000;
	pass_window(0);
	ck_assert_double_le(targets[0].rate_hz, 2 * rate + 0.01);
	settle(0);
	ck_assert_double_eq_tol(targets[0].rate_hz, 5000, 0.01);
}
END_TEST

START_TEST(the_first_rate_is_a_part_of_the_budget)
{
	ck_assert_double_eq_tol(budget_first_rate(100, 1, PERCENT), 100, 0.01);
	/* So that all fit in, though the looks be as cold as they can be. */
	ck_assert_double_le(budget_first_rate(5000, 4, PERCENT), BUDGET_NS / 4 / 100000);
	ck_assert_double_ge(budget_first_rate(0, 4, PERCENT), BUDGET_NS / 10 / 100000);
	ck_assert_double_eq_tol(budget_first_rate(5000, 100000, PERCENT), BUDGET_MIN_HZ, 0.01);
}
END_TEST

START_TEST(what_a_look_costs_is_learned_at_rest_too)
{
	add(5000, 170000, false);
	settle(0);
	ck_assert_double_eq_tol(targets[0].cost_ns, 170000, 1000);
	/* Those that rest are held to the budget, and what wakes up begins within it. */
	ck_assert_double_le(targets[0].rate_hz * 170000, BUDGET_NS);
}
END_TEST

START_TEST(many_at_rest_are_held_to_the_budget)
{
	for (int i = 0; i < 16; i++)
		add(5000, 150000, false);
	ck_assert_double_le(settle(5e6), BUDGET_NS);
}
END_TEST

START_TEST(what_was_spent_beyond_is_saved)
{
	double before;

	add(5000, 40000, true);
	settle(0);
	before = targets[0].rate_hz;
	/* As many seconds' budget as make the span too dear if it went on like this. */
	spent_ns = BUDGET_NS * BUDGET_SPAN_S - BUDGET_NS;
	pass_window(0);
	ck_assert_double_le(targets[0].rate_hz, before / 2);
	/* A part is always left to look. */
	spent_ns = 3 * BUDGET_NS * BUDGET_SPAN_S;
	pass_window(0);
	ck_assert_double_eq_tol(targets[0].rate_hz, BUDGET_NS / 4 / 40000, 10);
	spent_ns = BUDGET_NS * (BUDGET_SPAN_S - 1) * 0.5;
	settle(0);
	ck_assert_double_eq_tol(targets[0].rate_hz, before, 1);
}
END_TEST

START_TEST(nobody_is_fine)
{
	budget_share(targets, 0, WINDOW_NS, 1, 1, PERCENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("budget");
	TCase *tc = tcase_create("budget");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, what_fits_gets_what_it_asks);
	tcase_add_test(tc, the_budget_holds);
	tcase_add_test(tc, busy_targets_get_the_same_part);
	tcase_add_test(tc, many_that_wake_up_at_once_do_not_break_it);
	tcase_add_test(tc, a_daemon_that_is_busy_itself_leaves_some);
	tcase_add_test(tc, a_rate_falls_at_once_and_rises_step_by_step);
	tcase_add_test(tc, the_first_rate_is_a_part_of_the_budget);
	tcase_add_test(tc, what_a_look_costs_is_learned_at_rest_too);
	tcase_add_test(tc, many_at_rest_are_held_to_the_budget);
	tcase_add_test(tc, what_was_spent_beyond_is_saved);
	tcase_add_test(tc, nobody_is_fine);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
