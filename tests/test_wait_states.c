/* SPDX-License-Identifier: BSD-3-Clause */
/* What threads do at a moment, and the waits that are searched for; in invented traces. */
#include "reader/wait_states.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reader/activity.h"
#include "tests/support/waits_trace.h"

#define UNIT_NS (UINT64_C(1) << WAIT_TIME_SHIFT)

static void assert_near(uint64_t ns, uint64_t expected)
{
	ck_assert_uint_ge(ns + 2 * UNIT_NS, expected);
	ck_assert_uint_le(ns, expected + 2 * UNIT_NS);
}

static void assert_state(struct trace *t, uint16_t thread, uint64_t time_ns,
			 enum thread_activity activity, const char *reason)
{
	struct thread_states states = wait_states(t);
	struct thread_state s;

	ck_assert_int_eq(states.at(states.ctx, thread, time_ns, &s), 1);
	ck_assert_msg(s.activity == activity, "%d at %llu", s.activity,
		      (unsigned long long)time_ns);
	ck_assert_str_eq(s.reason, reason);
}

static void assert_unknown(struct trace *t, uint16_t thread, uint64_t time_ns)
{
	struct thread_states states = wait_states(t);
	struct thread_state s;

	ck_assert_int_eq(states.at(states.ctx, thread, time_ns, &s), 0);
}

/* The wait that is found begins at `start_ms`, and is `ms` long; of which thread. */
static void assert_found(struct trace *t, uint16_t thread, uint64_t time_ns, enum direction way,
			 unsigned min_ms, enum idle_choice idle, unsigned start_ms, unsigned ms,
			 uint16_t whose)
{
	struct thread_states states = wait_states(t);
	struct thread_state s;
	uint16_t found = 0;

	ck_assert_int_eq(states.find_wait(states.ctx, thread, time_ns, way, min_ms * NS_PER_MS,
					  idle, &found, &s),
			 1);
	assert_near(s.start_ns, AT(start_ms));
	assert_near(s.end_ns - s.start_ns, ms * NS_PER_MS);
	ck_assert_uint_eq(found, whose);
}

static void assert_none(struct trace *t, uint16_t thread, uint64_t time_ns, enum direction way,
			unsigned min_ms, enum idle_choice idle)
{
	struct thread_states states = wait_states(t);
	struct thread_state s;
	uint16_t found;

	ck_assert_int_eq(states.find_wait(states.ctx, thread, time_ns, way, min_ms * NS_PER_MS,
					  idle, &found, &s),
			 0);
}

START_TEST(each_moment_has_its_state)
{
	auto_trace struct trace *t = NULL;
	struct thread_states states;
	struct thread_state s;

	write_whole();
	t = open_trace();
	states = wait_states(t);
	assert_state(t, 1, AT(50), ACTIVITY_ON_CPU, "");
	assert_state(t, 1, AT(200), ACTIVITY_WAITING, a_poll.what);
	assert_state(t, 1, AT(450), ACTIVITY_ON_CPU, "");
	assert_state(t, 1, AT(600), ACTIVITY_WAITING, a_recv.what);
	assert_state(t, 1, AT(705), ACTIVITY_ON_CPU, "");
	assert_state(t, 1, AT(1020), ACTIVITY_READY, "");
	assert_state(t, 1, AT(1041), ACTIVITY_WAITING, "");
	/* To the end of what is known, also when it goes on. */
	assert_state(t, 2, AT(3000), ACTIVITY_WAITING, a_recv.what);
	ck_assert_int_eq(states.at(states.ctx, 1, AT(200), &s), 1);
	ck_assert(s.is_idle);
	assert_near(s.start_ns, AT(100));
	assert_near(s.end_ns, AT(400));
	ck_assert_int_eq(states.at(states.ctx, 1, AT(600), &s), 1);
	ck_assert(!s.is_idle);
	assert_unknown(t, 1, AT(0) - 1);
	assert_unknown(t, 1, AT(9000));
	assert_unknown(t, 3, AT(200));
}
END_TEST

START_TEST(nothing_is_known_without_edges)
{
	auto_trace struct trace *t = NULL;
	struct thread_states states;
	struct thread_state s;
	uint16_t found;

	write_whole();
	run_sql("UPDATE meta SET value = 'none' WHERE key = 'edges'");
	t = open_trace();
	states = wait_states(t);
	assert_unknown(t, 1, AT(200));
	ck_assert_int_eq(states.find_wait(states.ctx, 0, AT(0), FORWARDS, 1, IDLE_TOO, &found, &s),
			 -EOPNOTSUPP);
}
END_TEST

START_TEST(waits_are_found_both_ways)
{
	auto_trace struct trace *t = NULL;

	write_whole();
	t = open_trace();
	assert_found(t, 1, AT(0), FORWARDS, 1, IDLE_NOT, 500, 200, 1);
	assert_found(t, 1, AT(0), FORWARDS, 1, IDLE_TOO, 100, 300, 1);
	assert_found(t, 1, AT(0), FORWARDS, 300, IDLE_NOT, 710, 300, 1);
	assert_found(t, 1, AT(600), FORWARDS, 1, IDLE_NOT, 710, 300, 1);
	assert_found(t, 1, AT(800), FORWARDS, 1, IDLE_NOT, 1010, 20, 1);
	assert_none(t, 1, AT(1050), FORWARDS, 1, IDLE_TOO);
	assert_none(t, 1, AT(0), FORWARDS, 301, IDLE_TOO);
	assert_found(t, 0, AT(1050), FORWARDS, 1, IDLE_NOT, 1500, 2500, 2);
	assert_found(t, 0, AT(5000), BACKWARDS, 100, IDLE_NOT, 1500, 2500, 2);
	assert_found(t, 0, AT(1400), BACKWARDS, 100, IDLE_NOT, 710, 300, 1);
	assert_found(t, 1, AT(710), BACKWARDS, 100, IDLE_NOT, 500, 200, 1);
	assert_found(t, 1, AT(500), BACKWARDS, 100, IDLE_TOO, 100, 300, 1);
	assert_found(t, 1, AT(2000), BACKWARDS, 1, IDLE_ONLY, 100, 300, 1);
	assert_none(t, 1, AT(500), BACKWARDS, 1, IDLE_NOT);
	assert_none(t, 1, AT(100), BACKWARDS, 1, IDLE_TOO);
}
END_TEST

/* What was found lies beyond where the search began: repeated, it goes through all. */
START_TEST(a_search_from_what_was_found_goes_on)
{
	auto_trace struct trace *t = NULL;
	struct thread_states states;
	struct thread_state s = {.start_ns = AT(0)};
	uint16_t found;
	unsigned n = 0, back = 0;

	write_whole();
	t = open_trace();
	states = wait_states(t);
	while (states.find_wait(states.ctx, 0, s.start_ns, FORWARDS, 1, IDLE_TOO, &found, &s) == 1)
		n++;
	ck_assert_uint_eq(n, 6);
	while (states.find_wait(states.ctx, 0, s.start_ns, BACKWARDS, 1, IDLE_TOO, &found, &s) == 1)
		back++;
	ck_assert_uint_eq(back, 5);
	assert_near(s.start_ns, AT(100));
}
END_TEST

#define LONG_S 30000

/* Thread 2 waits from 1.5 s on for LONG_S, through many blocks; then it runs, and waits again. */
static void write_long(void)
{
	struct trace_writer *w = write_waits();

	for (unsigned s = 5; s <= LONG_S; s += 50) {
		put_counters(w, AT(1000 * s), 100 + s);
		ck_assert_int_eq(trace_writer_tick(w, AT(1000 * s)), 0);
	}
	put_off(w, 2, AT(1500), AT(1000 * LONG_S), EDGE_WAITING, 0);
	put_stack(w, 2, AT(1000 * LONG_S + 10), 0, FRAMES({2, 5}), 1);
	put_off(w, 2, AT(1000 * LONG_S + 100), AT(1000 * LONG_S + 150), EDGE_WAITING, 0);
	put_stack(w, 2, AT(1000 * LONG_S + 200), 0, FRAMES({2, 6}), 1);
	ck_assert_int_eq(trace_writer_close(w, AT(1000 * LONG_S + 500), "stopped"), 0);
}

START_TEST(a_wait_in_many_blocks_is_one)
{
	auto_trace struct trace *t = NULL;
	struct thread_states states;
	struct thread_state s, first;
	struct block_row row;
	unsigned n_blocks = 0;

	write_long();
	t = open_trace();
	states = wait_states(t);
	for (int r = trace_block_end(t, 2, FORWARDS, &row); r == 1;
	     r = trace_block_beside(t, &row, FORWARDS, &row))
		n_blocks++;
	ck_assert_uint_gt(n_blocks, 12);
	ck_assert_int_eq(states.at(states.ctx, 2, AT(1501), &first), 1);
	for (unsigned at_s = 2; at_s < LONG_S; at_s += 77) {
		ck_assert_int_eq(states.at(states.ctx, 2, AT(1000 * at_s), &s), 1);
		ck_assert_int_eq(s.activity, ACTIVITY_WAITING);
		ck_assert_str_eq(s.reason, a_recv.what);
		ck_assert_uint_eq(s.start_ns, first.start_ns);
		ck_assert_uint_eq(s.end_ns, first.end_ns);
	}
	assert_near(first.start_ns, AT(1500));
	assert_near(first.end_ns, AT(1000 * LONG_S));
	assert_state(t, 2, AT(1000 * LONG_S + 50), ACTIVITY_ON_CPU, "");
	/* From before, in the midst and after. */
	assert_found(t, 2, AT(0), FORWARDS, 1000 * (LONG_S - 10), IDLE_NOT, 1500,
		     1000 * LONG_S - 1500, 2);
	assert_found(t, 0, AT(700000), FORWARDS, 1, IDLE_NOT, 1000 * LONG_S + 100, 50, 2);
	assert_found(t, 2, AT(700000), BACKWARDS, 1, IDLE_NOT, 1500, 1000 * LONG_S - 1500, 2);
	assert_found(t, 2, AT(1000 * LONG_S + 400), BACKWARDS, 51, IDLE_NOT, 1500,
		     1000 * LONG_S - 1500, 2);
	assert_none(t, 2, first.start_ns, BACKWARDS, 1, IDLE_TOO);
	assert_none(t, 2, AT(700000), FORWARDS, 51, IDLE_TOO);
}
END_TEST

static void assert_turn(struct trace *t, uint64_t time_ns, enum direction way, unsigned min_ms,
			unsigned start_ms, unsigned ms)
{
	struct thread_states states = wait_states(t);
	struct thread_turn turn;
	int r = states.find_turn(states.ctx, 0, time_ns, way, min_ms * NS_PER_MS,
				 (struct cancel){0}, &turn);

	ck_assert_int_eq(r, ms > 0);
	if (ms == 0)
		return;
	assert_near(turn.start_ns, AT(start_ms));
	assert_near(turn.end_ns - turn.start_ns, ms * NS_PER_MS);
	ck_assert_uint_eq(turn.thread, 1);
}

/* Polls for 80 ms of each 100, from 100 to 600, and from 1000 on; up to 2 s, in several blocks. */
static void write_loop(void)
{
	struct trace_about about = test_about;
	struct trace_writer *w;

	about.edges = "exact";
	ck_assert_int_eq(trace_writer_create(db_path, &about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, AT(0));
	put_code(w, 1, source_path, "main");
	put_stack(w, 1, AT(0), 0, FRAMES({1, 2}), 1);
	for (unsigned ms = 100; ms < 2000; ms += 100) {
		if (ms >= 600 && ms < 1000)
			continue;
		trace_writer_wait(w, 1, AT(ms), AT(ms + 1), &a_poll);
		put_off(w, 1, AT(ms), AT(ms + 80), EDGE_WAITING, 0);
		/* The stack, when it is seen anew, begins a block. */
		if (ms == 1500)
			put_gap(w, 1, AT(ms + 85), AT(ms + 90), GAP_UNREADABLE);
		put_stack(w, 1, AT(ms + 95), 0, FRAMES({1, ms == 1500 ? 3 : 2}), 1);
	}
	put_counters(w, AT(2000), 100);
	ck_assert_int_eq(trace_writer_close(w, AT(2000), "stopped"), 0);
}

static bool is_asked(void *ctx)
{
	(void)ctx;
	return true;
}

START_TEST(turns_lie_between_idle_waits)
{
	auto_trace struct trace *t = NULL;
	struct thread_states states;
	struct thread_turn turn;

	write_loop();
	t = open_trace();
	assert_turn(t, AT(0), FORWARDS, 1, 180, 20);
	assert_turn(t, AT(181), FORWARDS, 1, 280, 20);
	assert_turn(t, AT(0), FORWARDS, 100, 580, 420);
	assert_turn(t, AT(590), FORWARDS, 100, 0, 0);
	assert_turn(t, AT(5000), BACKWARDS, 1, 1880, 20);
	assert_turn(t, AT(5000), BACKWARDS, 100, 580, 420);
	/* In the midst of it. */
	assert_turn(t, AT(700), BACKWARDS, 100, 580, 420);
	assert_turn(t, AT(579), BACKWARDS, 1, 480, 20);
	assert_turn(t, AT(579), BACKWARDS, 100, 0, 0);
	/* What is after the last wait may not be over, and a gap is no part of a turn. */
	assert_turn(t, AT(1890), FORWARDS, 1, 0, 0);
	assert_turn(t, AT(1490), FORWARDS, 1, 1680, 20);
	states = wait_states(t);
	ck_assert_int_eq(states.find_turn(states.ctx, 0, AT(1000), FORWARDS, NS_PER_S,
					  (struct cancel){.is_asked = is_asked}, &turn),
			 -EINTR);
}
END_TEST

START_TEST(activity_tells_waiting_from_running)
{
	auto_trace struct trace *t = NULL;
	struct activity a[4];

	write_whole();
	t = open_trace();
	/* Thread 1 waits for a fifth of its time, thread 2 for most of it. */
	ck_assert_int_eq(activity_read(t, 1, AT(0), AT(4000), a, 4), 0);
	ck_assert(a[0].is_known && !a[0].waits);
	ck_assert_int_eq(activity_read(t, 2, AT(0), AT(4000), a, 4), 0);
	ck_assert(a[0].is_known && a[0].waits && a[3].waits);
	ck_assert_int_eq(activity_read(t, 0, AT(0), AT(4000), a, 4), 0);
	ck_assert(a[0].is_known && !a[0].waits);
}
END_TEST

START_TEST(damage_does_no_harm)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET waits = zeroblob(20)",
	    "UPDATE blocks SET waits = 'text' WHERE id % 2",
	    "UPDATE blocks SET waits = (SELECT waits FROM blocks WHERE waits NOTNULL LIMIT 9, 1)",
	    "UPDATE blocks SET waits = (SELECT waits FROM blocks WHERE thread = 2 LIMIT 3, 1)",
	    "UPDATE waits SET longest_start_ns = -5, longest_ns = 1 << 62",
	    "UPDATE waits SET longest_start_ns = 1 << 62, n = 0",
	    "UPDATE waits SET longest_start_ns = 'x', longest_ns = 'many'",
	    "UPDATE waits SET longest_start_ns = 0, n = 0, total_ns = 1",
	    "UPDATE blocks SET first_ns = 1000000000, last_ns = 9000000000000",
	    "UPDATE blocks SET first_ns = (1 << 62) + id, last_ns = (1 << 62) + id + 1",
	    "UPDATE blocks SET last_ns = 9223372036854775807",
	    "DELETE FROM blocks WHERE id % 3 = 0",
	    "DELETE FROM reasons",
	};
	auto_trace struct trace *t = NULL;
	struct thread_states states;
	struct thread_state s;
	uint16_t found;

	write_long();
	run_sql(damage[_i]);
	t = open_trace();
	states = wait_states(t);
	for (enum direction way = BACKWARDS; way <= FORWARDS; way += 2) {
		uint64_t time_ns = way == FORWARDS ? 0 : UINT64_MAX;
		int r, n = 0;

		while ((r = states.find_wait(states.ctx, 0, time_ns, way, 1, IDLE_TOO, &found,
					     &s)) == 1) {
			ck_assert(way == FORWARDS ? s.start_ns > time_ns : s.start_ns < time_ns);
			ck_assert_uint_ge(s.end_ns, s.start_ns);
			time_ns = s.start_ns;
			ck_assert_int_lt(n++, 10000);
		}
		ck_assert(r == 0 || r == -EBADMSG);
	}
	for (unsigned at_s = 0; at_s < LONG_S; at_s += 100)
		ck_assert_int_ge(states.at(states.ctx, 2, AT(1000 * at_s), &s), -EBADMSG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_states");
	TCase *tc = tcase_create("wait_states");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_moment_has_its_state);
	tcase_add_test(tc, nothing_is_known_without_edges);
	tcase_add_test(tc, waits_are_found_both_ways);
	tcase_add_test(tc, a_search_from_what_was_found_goes_on);
	tcase_add_test(tc, a_wait_in_many_blocks_is_one);
	tcase_add_test(tc, turns_lie_between_idle_waits);
	tcase_add_test(tc, activity_tells_waiting_from_running);
	tcase_add_loop_test(tc, damage_does_no_harm, 0, 13);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
