/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/pace.h"

#include <check.h>

#define ROUNDS 1000000

/* A clock of our own, and a sampler whose rounds take so long. */
static struct pace pace;
static uint64_t now_ns, took_ns;
static struct pace_pause pause_seen;

static const struct pace_round quiet = {.is_quiet = true}, busy = {0};
static const struct pace_round keep_away = {.needs_keep_away = true};

/* Any time will do; one that is not a multiple of anything. */
static void begin(double rate_hz, bool slows_when_idle)
{
	now_ns = UINT64_C(123456789012347);
	took_ns = 5 * NS_PER_US;
	pace_init(&pace, rate_hz, slows_when_idle, now_ns);
}

/* One round and the sleep after it, in which late_ns more than asked for go by. */
static bool go_on(const struct pace_round *seen, uint64_t late_ns)
{
	now_ns += took_ns;
	pace_end_round(&pace, seen, now_ns);
	if (now_ns < pace.due_ns)
		now_ns = pace.due_ns;
	now_ns += late_ns;
	return pace_begin_round(&pace, now_ns, &pause_seen);
}

/* Each assertion is a system call: one for all. */
static void run_late(const struct pace_round *seen, uint64_t n, uint64_t late_ns)
{
	uint64_t n_paused = 0;

	while (n--)
		n_paused += go_on(seen, late_ns);
	ck_assert_uint_eq(n_paused, 0);
}

static void run(const struct pace_round *seen, uint64_t n)
{
	run_late(seen, n, 50);
}

static void back_off(void)
{
	uint64_t start_ns = now_ns;

	while (pace.interval_ns < PACE_IDLE_MAX_NS) {
		ck_assert(!go_on(&quiet, 50));
		ck_assert_uint_lt(now_ns - start_ns, NS_PER_S);
	}
}

static const double rates[] = {0.5, 30, 997, 3000, 5000, 7777.7, 20000, 66666.6};

START_TEST(rates_are_kept)
{
	double rate = rates[_i], reached;
	uint64_t start_ns, n_paused = 0;

	begin(rate, false);
	start_ns = now_ns;
	for (uint64_t i = 0; i < ROUNDS; i++) {
		/* Sleeps are never exact, and some are quite late. */
		uint64_t late_ns = i * 7919 % 3000 + (i % 1000 == 0 ? 2 * NS_PER_MS : 0);

		n_paused += go_on(&busy, late_ns);
	}
	ck_assert_uint_eq(n_paused, 0);
	reached = ROUNDS * 1e9 / (double)(now_ns - start_ns);
	ck_assert_double_gt(reached, rate * 0.999);
	ck_assert_double_lt(reached, rate * 1.001);
}
END_TEST

START_TEST(fractions_of_nanoseconds_do_not_add_up)
{
	uint64_t start_ns;
	double expected;

	begin(30000, false); /* 33,333.3 ns */
	start_ns = now_ns;
	run(&busy, ROUNDS);
	expected = ROUNDS * 1e9 / 30000;
	ck_assert_double_gt((double)(now_ns - start_ns), expected - 1000);
	ck_assert_double_lt((double)(now_ns - start_ns), expected + 1000);
}
END_TEST

START_TEST(lost_rounds_are_made_up_for)
{
	uint64_t start_ns;

	begin(5000, false);
	start_ns = now_ns;
	run(&busy, 100);
	/* 40 rounds: short enough to be made up for, and not a pause. */
	ck_assert(!go_on(&busy, 8 * NS_PER_MS));
	run(&busy, 99);
	ck_assert_uint_le(now_ns - start_ns, 40 * NS_PER_MS + 100);
}
END_TEST

START_TEST(a_pause_is_told_once_and_from_when_to_when)
{
	uint64_t due_ns, resumed_ns;

	begin(5000, false);
	run(&busy, 10);
	due_ns = pace.due_ns + 200 * NS_PER_US;
	ck_assert(go_on(&busy, 15 * NS_PER_MS));
	ck_assert_uint_eq(pause_seen.start_ns, due_ns);
	ck_assert_uint_eq(pause_seen.end_ns, now_ns);
	ck_assert_uint_eq(pause_seen.n_missed, 75);
	/* The rounds that make up for it are later than that, but nothing was paused again. */
	resumed_ns = now_ns;
	run_late(&busy, 70, 0);
	ck_assert_uint_lt(now_ns - resumed_ns, 140 * took_ns);
}
END_TEST

START_TEST(after_a_long_pause_the_grid_begins_anew)
{
	uint64_t resumed_ns;

	begin(5000, false);
	run(&busy, 10);
	ck_assert(go_on(&busy, 3 * NS_PER_S));
	ck_assert_uint_eq(pause_seen.n_missed, 15000);
	resumed_ns = now_ns;
	run(&busy, 100);
	ck_assert_uint_ge(now_ns - resumed_ns, 20 * NS_PER_MS);
}
END_TEST

START_TEST(being_late_by_less_than_some_rounds_is_no_pause)
{
	begin(50, false);
	run(&busy, 10);
	ck_assert(!go_on(&busy, 79 * NS_PER_MS));
	ck_assert(go_on(&busy, 81 * NS_PER_MS));
	ck_assert_uint_eq(pause_seen.n_missed, 4);
}
END_TEST

START_TEST(rounds_longer_than_the_interval_do_not_pile_up)
{
	uint64_t start_ns;

	begin(100000, false);
	took_ns = 25 * NS_PER_US;
	start_ns = now_ns;
	run_late(&busy, 10000, 0);
	ck_assert_uint_eq(now_ns - start_ns, 10000 * took_ns);
	/* What was not done is not to be done once there is time. */
	ck_assert_uint_le(now_ns - pace.due_ns, PACE_CATCH_UP_NS);
}
END_TEST

START_TEST(as_fast_as_it_goes_nothing_is_waited_for)
{
	uint64_t start_ns;

	begin(0, false);
	start_ns = now_ns;
	run_late(&quiet, ROUNDS, 0);
	ck_assert_uint_eq(now_ns - start_ns, ROUNDS * took_ns);
	took_ns = 11 * NS_PER_MS;
	ck_assert(go_on(&busy, 0));
	ck_assert_uint_eq(pause_seen.start_ns, now_ns - took_ns);
	ck_assert_uint_eq(pause_seen.n_missed, 0);
	took_ns = 9 * NS_PER_MS;
	ck_assert(!go_on(&busy, 0));
}
END_TEST

START_TEST(a_target_that_needs_it_is_left_alone_for_longer_than_it_was_looked_at)
{
	uint64_t start_ns;

	begin(0, false);
	start_ns = now_ns;
	run(&keep_away, 100);
	ck_assert_uint_ge(now_ns - start_ns, 400 * took_ns);
	/* A round that was paused took no longer than others. */
	took_ns = NS_PER_S;
	start_ns = now_ns;
	ck_assert(go_on(&keep_away, 0));
	ck_assert_uint_eq(now_ns - start_ns, took_ns);
}
END_TEST

START_TEST(what_is_quiet_is_looked_at_less_often_step_by_step)
{
	uint64_t start_ns, interval_ns;

	begin(5000, true);
	start_ns = now_ns;
	run(&quiet, 90); /* 18 ms */
	ck_assert(!pace_is_backed_off(&pace));
	while (pace.interval_ns < PACE_IDLE_MAX_NS) {
		interval_ns = pace.interval_ns;
		run(&quiet, 1);
		ck_assert_uint_le(pace.interval_ns, 2 * interval_ns);
	}
	ck_assert(pace_is_backed_off(&pace));
	ck_assert_uint_ge(now_ns - start_ns, PACE_QUIET_NS);
	ck_assert_uint_le(now_ns - start_ns, 100 * NS_PER_MS);
	start_ns = now_ns;
	run(&quiet, 1000);
	ck_assert_uint_ge(now_ns - start_ns, 1000 * PACE_IDLE_MAX_NS - 100);
	ck_assert_uint_le(now_ns - start_ns, 1000 * PACE_IDLE_MAX_NS + 100);
}
END_TEST

START_TEST(the_first_change_brings_the_rate_back)
{
	uint64_t start_ns;

	begin(5000, true);
	back_off();
	start_ns = now_ns;
	run(&busy, 1);
	ck_assert(!pace_is_backed_off(&pace));
	ck_assert_uint_le(now_ns - start_ns, 200 * NS_PER_US + 100);
	run(&quiet, 90);
	ck_assert(!pace_is_backed_off(&pace));
	ck_assert_uint_le(now_ns - start_ns, 18200 * NS_PER_US + 100);
}
END_TEST

START_TEST(what_moves_now_and_then_is_not_slowed_down)
{
	begin(5000, true);
	for (int i = 0; i < 1000; i++) {
		run(&quiet, 95);
		run(&busy, 1);
		ck_assert(!pace_is_backed_off(&pace));
	}
}
END_TEST

START_TEST(few_rounds_are_no_proof_of_silence)
{
	begin(200, true); /* 5 ms: 20 ms are over after 4 */
	run(&quiet, PACE_QUIET_ROUNDS - 1);
	ck_assert(!pace_is_backed_off(&pace));
	run(&quiet, 2);
	ck_assert(pace_is_backed_off(&pace));
}
END_TEST

START_TEST(rounds_that_make_up_for_a_pause_are_no_proof_of_silence)
{
	begin(5000, true);
	run(&busy, 10);
	go_on(&busy, 19 * NS_PER_MS);
	for (int i = 0; i < 90; i++)
		go_on(&quiet, 0);
	ck_assert(!pace_is_backed_off(&pace));
}
END_TEST

START_TEST(only_when_asked_to)
{
	begin(5000, false);
	run(&quiet, 10000);
	ck_assert(!pace_is_backed_off(&pace));
}
END_TEST

/* Before the interval is over as planned; later than that, by the delay that is asked for. */
START_TEST(after_a_rest_a_round_comes_with_its_delay)
{
	begin(1000, true);
	run(&busy, 3);
	pace_rest_over(&pace, pace.started_ns + NS_PER_MS / 4, 500);
	ck_assert_uint_eq(pace.due_ns, pace.started_ns + NS_PER_MS);
	pace_rest_over(&pace, pace.started_ns + 5 * NS_PER_MS, 500);
	ck_assert_uint_eq(pace.due_ns, pace.started_ns + 5 * NS_PER_MS + 500);
}
END_TEST

/* A low rate was given because looks are dear: what waits is looked at still less often. */
START_TEST(low_rates_back_off_by_a_factor)
{
	begin(100, true);
	run(&quiet, 1000);
	ck_assert_uint_eq(pace.interval_ns, (uint64_t)PACE_IDLE_FACTOR * 10 * NS_PER_MS);
	/* A higher rate holds for what is backed off, too. */
	pace_set_rate(&pace, 1000, now_ns);
	ck_assert_uint_eq(pace.interval_ns, PACE_IDLE_MAX_NS);
	begin(10, true);
	run(&quiet, 1000);
	ck_assert_uint_eq(pace.interval_ns, PACE_REST_MAX_NS);
	run(&busy, 1);
	ck_assert_uint_eq(pace.interval_ns, 100 * NS_PER_MS);
	begin(2, true);
	run(&quiet, 1000);
	ck_assert_uint_eq(pace.interval_ns, 500 * NS_PER_MS);
	ck_assert(!pace_is_backed_off(&pace));
}
END_TEST

START_TEST(as_fast_as_it_goes_backs_off_too)
{
	uint64_t start_ns;

	begin(0, true);
	back_off();
	start_ns = now_ns;
	run(&quiet, 10);
	ck_assert_uint_ge(now_ns - start_ns, 10 * PACE_IDLE_MAX_NS - 100);
	start_ns = now_ns;
	run_late(&busy, 100, 0);
	ck_assert_uint_eq(now_ns - start_ns, 100 * took_ns);
}
END_TEST

START_TEST(another_rate_is_kept_from_the_next_round_on)
{
	uint64_t start_ns;

	begin(5000, false);
	run(&busy, 1000);
	pace_end_round(&pace, &busy, now_ns += took_ns);
	pace_set_rate(&pace, 50, now_ns);
	ck_assert_double_eq(pace.rate_hz, 50);
	ck_assert_uint_eq(pace.due_ns, pace.started_ns + 20 * NS_PER_MS);
	/* From slow to fast in the middle of the wait: it is over, and nothing was missed. */
	now_ns += 15 * NS_PER_MS;
	pace_set_rate(&pace, 5000, now_ns);
	ck_assert_uint_eq(pace.due_ns, now_ns);
	ck_assert(!pace_begin_round(&pace, now_ns, &pause_seen));
	start_ns = now_ns;
	run(&busy, 1000);
	ck_assert_uint_ge(now_ns - start_ns, 200 * NS_PER_MS);
	ck_assert_uint_le(now_ns - start_ns, 200 * NS_PER_MS + 100);
	/* And to as fast as it goes and back. */
	pace_set_rate(&pace, 0, now_ns);
	start_ns = now_ns;
	run_late(&busy, 100, 0);
	ck_assert_uint_eq(now_ns - start_ns, 100 * took_ns);
	pace_set_rate(&pace, 1000, now_ns);
	run(&busy, 1);
	start_ns = now_ns;
	run(&busy, 100);
	ck_assert_uint_ge(now_ns - start_ns, 100 * NS_PER_MS - 100);
}
END_TEST

START_TEST(rates_that_change_all_the_time_are_kept_on_the_whole)
{
	double rounds = 0;
	uint64_t start_ns;

	begin(1000, false);
	start_ns = now_ns;
	for (int i = 0; i < 1000; i++) {
		double rate = 500 + i * 7 % 1000;
		uint64_t changed_ns = now_ns;

		pace_set_rate(&pace, rate, now_ns);
		run(&busy, 100);
		rounds += (double)(now_ns - changed_ns) * rate / 1e9;
	}
	ck_assert_uint_gt(now_ns, start_ns);
	ck_assert_double_gt(rounds, 100000 * 0.98);
	ck_assert_double_lt(rounds, 100000 * 1.02);
}
END_TEST

START_TEST(another_rate_does_not_wake_what_is_idle)
{
	uint64_t start_ns;

	begin(5000, true);
	back_off();
	for (int i = 0; i < 100; i++) {
		start_ns = now_ns;
		pace_set_rate(&pace, 1000 + i, now_ns);
		run(&quiet, 1);
		ck_assert_uint_ge(now_ns - start_ns, PACE_IDLE_MAX_NS - 100);
	}
	ck_assert(pace_is_backed_off(&pace));
	/* Once it moves, it is looked at as was asked for last. */
	run(&busy, 1);
	ck_assert_uint_eq(pace.interval_ns, pace.asked_ns);
	ck_assert_uint_eq(pace.asked_ns, (uint64_t)(1e9 / 1099));
	/* A rate below that of what is idle is a rate like any other. */
	back_off();
	pace_set_rate(&pace, 10, now_ns);
	ck_assert_uint_eq(pace.interval_ns, 100 * NS_PER_MS);
	ck_assert(!pace_is_backed_off(&pace));
}
END_TEST

START_TEST(rates_without_sense_do_no_harm)
{
	begin(1e-300, true);
	ck_assert_uint_ge(pace.interval_ns, 3600 * NS_PER_S);
	run(&quiet, 3);
	begin(1e300, true);
	ck_assert_uint_eq(pace.interval_ns, 0);
	run_late(&busy, 100, 0);
	begin(1e9, false); /* each nanosecond */
	run_late(&busy, ROUNDS, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pace");
	TCase *tc = tcase_create("pace");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, rates_are_kept, 0, (int)(sizeof(rates) / sizeof(rates[0])));
	tcase_add_test(tc, fractions_of_nanoseconds_do_not_add_up);
	tcase_add_test(tc, lost_rounds_are_made_up_for);
	tcase_add_test(tc, a_pause_is_told_once_and_from_when_to_when);
	tcase_add_test(tc, after_a_long_pause_the_grid_begins_anew);
	tcase_add_test(tc, being_late_by_less_than_some_rounds_is_no_pause);
	tcase_add_test(tc, rounds_longer_than_the_interval_do_not_pile_up);
	tcase_add_test(tc, as_fast_as_it_goes_nothing_is_waited_for);
	tcase_add_test(tc, a_target_that_needs_it_is_left_alone_for_longer_than_it_was_looked_at);
	tcase_add_test(tc, what_is_quiet_is_looked_at_less_often_step_by_step);
	tcase_add_test(tc, the_first_change_brings_the_rate_back);
	tcase_add_test(tc, what_moves_now_and_then_is_not_slowed_down);
	tcase_add_test(tc, few_rounds_are_no_proof_of_silence);
	tcase_add_test(tc, rounds_that_make_up_for_a_pause_are_no_proof_of_silence);
	tcase_add_test(tc, only_when_asked_to);
	tcase_add_test(tc, low_rates_back_off_by_a_factor);
	tcase_add_test(tc, after_a_rest_a_round_comes_with_its_delay);
	tcase_add_test(tc, as_fast_as_it_goes_backs_off_too);
	tcase_add_test(tc, another_rate_is_kept_from_the_next_round_on);
	tcase_add_test(tc, rates_that_change_all_the_time_are_kept_on_the_whole);
	tcase_add_test(tc, another_rate_does_not_wake_what_is_idle);
	tcase_add_test(tc, rates_without_sense_do_no_harm);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
