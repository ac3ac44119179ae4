/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshots torn in the middle: the thread goes on from one state to another one between two reads,
 * or within one. Whenever that happens, what is published is the stack, or the beginning of the
 * stack, of a state that was. Each test for every version from 3.11 on.
 */
#include "recorder/python/py_frames.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "tests/support/frozen_clock.h"
#include "tests/support/stack_checks.h"

/* Reads of a snapshot, all its looks included, and bytes of a read: more than there are. */
#define MAX_READS 300
#define MAX_BYTES 320u

/*
 * main() calls first(), or, from another instruction, second(); which one runs is the state. Both
 * frames lie at the same place.
 */
enum { CALL_FIRST = 2, CALL_SECOND = 4, BEHIND_CALLS = 5 };
enum state { IN_FIRST, IN_SECOND, IN_MAIN, N_STATES };

static struct scene s;
static struct image_function second_function;
static bool through_c;

/* Change the memory to what it is in this state. */
static void enter(enum state state)
{
	static const unsigned calls[N_STATES] = {CALL_FIRST, CALL_SECOND, BEHIND_CALLS};
	const struct image_function *callee =
	    state == IN_SECOND ? &second_function : &s.callee_function;

	s.main.function = &s.main_function;
	s.main.unit = s.main_function.at[calls[state]];
	s.main.waits = false;
	if (state != IN_MAIN && !through_c) {
		s.main.unit = py_image_waiting(&s.im, &s.main_function, calls[state]);
		s.main.waits = true;
	} else if (state != IN_MAIN) {
		s.main.waits = s.im.l.liveness == PY_LIVE_CODE;
	}
	py_image_frame(&s.im, &s.main);
	if (state == IN_MAIN) {
		if (s.im.l.liveness == PY_LIVE_CODE)
			py_image_pop(&s.im, s.callee.addr);
		else /* it was left at its end */
			py_image_put32(&s.im, s.callee.addr + s.im.l.frame.stacktop, 1);
		py_image_thread(&s.im, s.main.addr, s.callee.addr);
		return;
	}
	s.callee.function = callee;
	s.callee.unit = callee->at[AT_LOAD];
	py_image_frame(&s.im, &s.callee);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), callee->object);
	py_image_thread(&s.im, s.callee.addr, s.callee.addr + 8 * (uint64_t)callee->frame_words);
}

static void begin(int minor, bool c)
{
	struct image_code code = {.file = "/app/app.py",
				  .name = "main",
				  .ops = {IMAGE_RESUME, IMAGE_LOAD_FAST, IMAGE_CALL,
					  IMAGE_LOAD_FAST, IMAGE_CALL, IMAGE_LOAD_FAST,
					  IMAGE_RETURN_VALUE, IMAGE_END},
				  .nlocalsplus = 1,
				  .stacksize = 3,
				  .first_line = 10};

	scene_begin(&s, minor);
	s.im.before_read = frozen_clock_pass;
	s.main_function = py_image_function(&s.im, 0, &code);
	memset(code.ops, 0, sizeof(code.ops));
	code.name = "second";
	second_function = py_image_function(&s.im, 0, &code);
	through_c = c;
	if (c && s.im.l.frame.is_entry != LAYOUT_ABSENT) {
		s.callee.is_entry = true;
	} else if (c) {
		py_image_entry(&s.im, SCENE_ENTRY, s.main.addr);
		s.callee.previous = SCENE_ENTRY;
	}
}

static void end(void)
{
	scene_end(&s);
}

/* The codes alone, not who calls whom. */
static void load_all(void)
{
	const struct image_function *all[] = {&s.main_function, &s.callee_function,
					      &second_function};
	struct py_code *code;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ck_assert_int_eq(py_codes_load(s.codes, all[i]->code, 1, &code), 0);
	py_codes_collect(s.codes);
}

/* As a running program does: it is seen now in the one state, now in the other. */
static void see_all_states(void)
{
	for (int i = 0; i < 100; i++) {
		enter(i % 2 ? IN_SECOND : IN_FIRST);
		ck_assert_int_eq(scene_look(&s), 0);
		if (i % 10 == 0) {
			enter(IN_MAIN);
			ck_assert_int_eq(scene_look(&s), 0);
			ck_assert_uint_eq(s.snap.n, 1);
		}
	}
	ck_assert_uint_eq(s.snap.n, 2);
}

static bool main_is_at(unsigned call)
{
	uint32_t unit = s.snap.frames[0].unit;

	return unit >= s.main_function.at[call] && unit < s.main_function.at[call + 1];
}

static void check_is_possible(int r)
{
	ck_assert(r == 0 || r == -EAGAIN);
	if (r == 0)
		ck_assert_uint_ge(s.snap.n, 1);
	ck_assert_uint_le(s.snap.n, 2);
	if (s.snap.n >= 1)
		ck_assert_uint_eq(s.snap.frames[0].code->addr, s.main_function.code);
	if (s.snap.n < 2)
		return;
	if (s.snap.frames[1].code->addr == second_function.code)
		ck_assert(main_is_at(CALL_SECOND));
	else
		ck_assert(main_is_at(CALL_FIRST));
	ck_assert_uint_eq(s.snap.frames[1].unit, s.callee_function.at[AT_LOAD]);
}

/* --- between two reads --- */

static unsigned n_reads, change_at, change_every;
static enum state next_state, other_state;

static void change_between(struct py_image *im, remote_addr addr, size_t len)
{
	frozen_clock_pass(im, addr, len);
	n_reads++;
	if (n_reads == change_at ||
	    (n_reads > change_at && change_every && (n_reads - change_at) % change_every == 0)) {
		enum state now = next_state;

		next_state = other_state;
		other_state = now;
		enter(now);
	}
}

/* Change from one state to the other with the n-th read of a snapshot, for each n; then again. */
static void change_at_each_read(enum state from, enum state to)
{
	for (change_every = 0; change_every < 4; change_every++) {
		for (change_at = 1; change_at < MAX_READS; change_at++) {
			int r;

			enter(from);
			next_state = to;
			other_state = from;
			n_reads = 0;
			s.im.before_read = change_between;
			r = py_stack_read(s.stacks, s.stack, frozen_now_ns, &s.snap);
			s.im.before_read = frozen_clock_pass;
			check_is_possible(r);
			if (n_reads < change_at)
				break; /* no read is left in which it could have changed */
		}
		ck_assert_uint_gt(change_at, 1);
		ck_assert_uint_lt(change_at, MAX_READS);
	}
}

static void change_between_all_states(int minor, bool c, bool is_known)
{
	for (enum state from = 0; from < N_STATES; from++) {
		for (enum state to = 0; to < N_STATES; to++) {
			if (from == to)
				continue;
			begin(minor, c);
			if (is_known)
				see_all_states();
			change_at_each_read(from, to);
			end();
		}
	}
}

START_TEST(a_call_that_is_over_between_two_reads)
{
	change_between_all_states(_i, false, true);
}
END_TEST

START_TEST(a_call_through_c_that_is_over_between_two_reads)
{
	change_between_all_states(_i, true, true);
}
END_TEST

START_TEST(a_call_that_is_over_when_it_is_first_seen)
{
	change_between_all_states(_i, false, false);
	change_between_all_states(_i, true, false);
}
END_TEST

/* --- within a read --- */

static unsigned bytes_before_change, torn_len;
static bool descending;
static enum state torn_with;

/*
 * Bytes up to there were copied before the change, the others after it; or, descending, the other
 * way round. Nothing says that a copy goes upwards.
 */
static void change_within(struct py_image *im, remote_addr addr, uint8_t *buf, size_t len)
{
	uint8_t copy[MAX_BYTES];
	size_t k = bytes_before_change < len ? bytes_before_change : len;

	if (++n_reads != change_at)
		return;
	if (len > sizeof(copy))
		len = sizeof(copy); /* what lies behind is not used */
	if (k > len)
		k = len;
	torn_len = (unsigned)len;
	memcpy(copy, buf, len);
	enter(torn_with);
	memcpy(buf, py_image_at(im, addr, (uint32_t)len), len);
	if (descending)
		memcpy(buf + k, copy + k, len - k);
	else
		memcpy(buf, copy, k);
}

/* Returns how many reads the snapshot took. */
static unsigned tear_one_read(enum state from, enum state to)
{
	int r;

	enter(from);
	torn_with = to;
	n_reads = 0;
	s.im.after_read = change_within;
	r = py_stack_read(s.stacks, s.stack, frozen_now_ns, &s.snap);
	s.im.after_read = NULL;
	check_is_possible(r);
	return n_reads;
}

static void tear_each_read(bool is_known, enum state from, enum state to)
{
	unsigned n = UINT_MAX;

	for (change_at = 1; change_at <= n; change_at++) {
		ck_assert_uint_lt(change_at, MAX_READS);
		n = 0;
		torn_len = 0;
		for (bytes_before_change = 0; bytes_before_change <= torn_len;
		     bytes_before_change += 8) {
			unsigned now;

			/* Loaded anew, they are other ones, of which nothing is known yet. */
			if (!is_known)
				load_all();
			now = tear_one_read(from, to);
			n = now > n ? now : n;
		}
	}
}

static void tear_all_states(int minor, bool c, bool is_known)
{
	for (enum state from = 0; from < N_STATES; from++) {
		for (enum state to = 0; to < N_STATES; to++) {
			for (int i = 0; i < 2 && from != to; i++) {
				descending = i;
				begin(minor, c);
				load_all();
				if (is_known)
					see_all_states();
				tear_each_read(is_known, from, to);
				end();
			}
		}
	}
}

START_TEST(a_call_that_is_over_within_a_read)
{
	tear_all_states(_i, false, true);
}
END_TEST

START_TEST(a_call_through_c_that_is_over_within_a_read)
{
	tear_all_states(_i, true, true);
}
END_TEST

START_TEST(a_call_that_is_over_within_the_first_read)
{
	tear_all_states(_i, false, false);
	tear_all_states(_i, true, false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_frames_torn");
	TCase *tc = tcase_create("py_frames_torn");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_call_that_is_over_between_two_reads, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_through_c_that_is_over_between_two_reads, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_that_is_over_when_it_is_first_seen, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_that_is_over_within_a_read, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_through_c_that_is_over_within_a_read, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_that_is_over_within_the_first_read, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
