/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finalizers, which run while a frame that has been left is taken down. Each test for every version
 * from 3.11 on.
 */
#include "recorder/python/py_frames.h"

#include <check.h>

#include "tests/support/frozen_clock.h"
#include "tests/support/stack_checks.h"

static struct scene s;
static struct image_function del_function;
static struct image_frame del;

static void begin(int minor)
{
	scene_begin(&s, minor);
	s.im.before_read = frozen_clock_pass;
}

/*
 * callee() has been left and its locals are being destroyed; __del__() of one of them runs above
 * it, called from C, but its caller is main() (CPython gh-99729).
 */
static void finalize(int minor)
{
	struct image_code code = {.file = "/app/app.py",
				  .name = "T.__del__",
				  .nlocalsplus = 1,
				  .stacksize = 3,
				  .first_line = 50};

	begin(minor);
	del_function = py_image_function(&s.im, 0, &code);
	s.callee.unit = s.callee_function.at[AT_RETURN];
	s.callee.waits = true;
	del = (struct image_frame){
	    .addr = s.callee.addr + 8 * (uint64_t)s.callee_function.frame_words,
	    .previous = s.main.addr,
	    .function = &del_function,
	    .unit = del_function.at[AT_LOAD],
	};
	if (s.im.l.frame.is_entry != LAYOUT_ABSENT) {
		del.is_entry = true;
	} else {
		py_image_entry(&s.im, SCENE_ENTRY, s.main.addr);
		del.previous = SCENE_ENTRY;
	}
}

/* The same, when callee() was called by C code, which main() runs. */
static void finalize_callee_of_c(int minor)
{
	finalize(minor);
	scene_call_through_c(&s);
	s.callee.waits = true;
	if (s.im.l.frame.is_entry == LAYOUT_ABSENT) {
		/* Deeper in the C stack, which grows downwards. */
		py_image_entry(&s.im, SCENE_ENTRY, SCENE_ENTRY + 256);
		py_image_entry(&s.im, SCENE_ENTRY + 256, s.main.addr);
		s.callee.previous = SCENE_ENTRY + 256;
	}
}

static void lay_out_finalizer(void)
{
	scene_lay_out(&s);
	py_image_frame(&s.im, &del);
	py_image_thread(&s.im, del.addr, del.addr + 8 * (uint64_t)del_function.frame_words);
}

/* main() and callee(), as far as that is not known to have been left. */
static void check_no_finalizer(void)
{
	ck_assert_uint_eq(s.snap.n, 2);
	check_frame(&s, 0, &s.main);
	check_frame(&s, 1, &s.callee);
}

START_TEST(a_finalizer_is_called_by_the_frame_below)
{
	finalize(_i);
	lay_out_finalizer();
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_int_eq(s.snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(s.snap.n, 2);
	check_frame(&s, 0, &s.main);
	check_frame(&s, 1, &del);
	scene_end(&s);
}
END_TEST

START_TEST(a_finalizer_below_c_code_is_called_by_the_frame_below)
{
	finalize_callee_of_c(_i);
	lay_out_finalizer();
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_int_eq(s.snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(s.snap.n, 2);
	check_frame(&s, 0, &s.main);
	check_frame(&s, 1, &del);
	/* It is found in the first read. */
	ck_assert_uint_eq(py_stacks_get_counters(s.stacks)->tail_walks, 0);
	scene_end(&s);
}
END_TEST

/* What lies above callee() was left long ago, or runs for another caller. */
START_TEST(no_finalizer_below_c_code_is_left_behind)
{
	finalize_callee_of_c(_i);
	del.waits = true;
	del.unit = del_function.at[AT_RETURN];
	lay_out_finalizer();
	if (s.im.l.liveness == PY_LIVE_CODE) {
		py_image_pop(&s.im, s.callee.addr);
		py_image_pop(&s.im, del.addr);
	}
	py_image_thread(&s.im, s.main.addr, s.callee.addr);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	scene_end(&s);
}
END_TEST

START_TEST(a_finalizer_below_c_code_of_another_caller_is_none)
{
	finalize_callee_of_c(_i);
	if (s.im.l.frame.is_entry != LAYOUT_ABSENT)
		del.previous = s.callee.addr;
	else
		py_image_entry(&s.im, SCENE_ENTRY, s.main.addr);
	lay_out_finalizer();
	ck_assert_int_eq(scene_look_often(&s), 0);
	for (uint32_t i = 0; i < s.snap.n; i++)
		ck_assert_uint_ne(s.snap.frames[i].addr, del.addr);
	scene_end(&s);
}
END_TEST

/* del() waits in an inlined call. */
static void call_from_finalizer(void)
{
	struct image_frame inner;

	del.unit = py_image_waiting(&s.im, &del_function, AT_CALL);
	del.waits = true;
	lay_out_finalizer();
	inner = (struct image_frame){
	    .addr = del.addr + 8 * (uint64_t)del_function.frame_words,
	    .previous = del.addr,
	    .function = &s.callee_function,
	    .unit = s.callee_function.at[AT_LOAD],
	};
	py_image_put(&s.im, py_image_operand(&s.im, &del, 0), s.callee_function.object);
	py_image_frame(&s.im, &inner);
	py_image_thread(&s.im, inner.addr, inner.addr + 256);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_int_eq(s.snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(s.snap.n, 3);
	check_frame(&s, 0, &s.main);
	check_frame(&s, 1, &del);
	check_frame(&s, 2, &inner);
	scene_end(&s);
}

START_TEST(a_finalizer_that_waits_has_its_callee)
{
	finalize(_i);
	call_from_finalizer();
}
END_TEST

START_TEST(a_finalizer_below_c_code_that_waits_has_its_callee)
{
	finalize_callee_of_c(_i);
	call_from_finalizer();
}
END_TEST

START_TEST(what_a_finalizer_calls_is_above_it)
{
	struct image_frame inner;

	finalize(_i);
	del.unit = py_image_waiting(&s.im, &del_function, AT_CALL);
	del.waits = s.im.l.liveness == PY_LIVE_CODE;
	if (!del.waits)
		del.unit = del_function.at[AT_CALL];
	lay_out_finalizer();
	inner = (struct image_frame){
	    .addr = del.addr + 8 * (uint64_t)del_function.frame_words,
	    .previous = del.addr,
	    .function = &s.callee_function,
	    .unit = s.callee_function.at[AT_LOAD],
	};
	if (s.im.l.frame.is_entry != LAYOUT_ABSENT) {
		inner.is_entry = true;
	} else {
		py_image_entry(&s.im, SCENE_ENTRY + 256, del.addr);
		inner.previous = SCENE_ENTRY + 256;
	}
	py_image_frame(&s.im, &inner);
	py_image_thread(&s.im, inner.addr, inner.addr + 256);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_int_eq(s.snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(s.snap.n, 3);
	check_frame(&s, 0, &s.main);
	check_frame(&s, 1, &del);
	check_frame(&s, 2, &inner);
	scene_end(&s);
}
END_TEST

START_TEST(a_frame_that_has_not_been_left_has_no_finalizer)
{
	finalize(_i);
	/* At its load, which neither calls nor leaves. */
	s.callee.unit = s.callee_function.at[AT_LOAD];
	lay_out_finalizer();
	ck_assert_int_eq(scene_look_often(&s), 0);
	for (uint32_t i = 0; i < s.snap.n; i++)
		ck_assert_uint_ne(s.snap.frames[i].addr, del.addr);
	scene_end(&s);
}
END_TEST

START_TEST(a_finalizer_of_another_caller_is_none)
{
	finalize(_i);
	if (s.im.l.frame.is_entry != LAYOUT_ABSENT)
		del.previous = s.callee.addr;
	else
		py_image_entry(&s.im, SCENE_ENTRY, s.main.addr + 8);
	lay_out_finalizer();
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_no_finalizer();
	scene_end(&s);
}
END_TEST

START_TEST(a_finalizer_that_was_left_is_none)
{
	finalize(_i);
	if (s.im.l.liveness == PY_LIVE_STACKTOP) {
		del.waits = true;
		del.unit = del_function.at[AT_RETURN];
	}
	lay_out_finalizer();
	if (s.im.l.liveness == PY_LIVE_CODE)
		py_image_pop(&s.im, del.addr);
	py_image_thread(&s.im, s.main.addr, del.addr);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_no_finalizer();
	scene_end(&s);
}
END_TEST

/* The outermost frame has no caller that a finalizer could have. */
START_TEST(an_outermost_frame_that_was_left_has_no_finalizer)
{
	finalize(_i);
	s.main.unit = s.main_function.at[AT_RETURN];
	s.callee.previous = del.previous;
	s.callee.is_entry = del.is_entry;
	s.callee.unit = s.callee_function.at[AT_LOAD];
	s.callee.waits = false;
	scene_lay_out(&s);
	if (s.im.l.liveness == PY_LIVE_STACKTOP)
		py_image_thread(&s.im, 0, s.main.addr);
	ck_assert_int_eq(scene_look_often(&s), 0);
	/* To 3.13 it is not even known to have run. */
	ck_assert_uint_eq(s.snap.n, s.im.l.liveness == PY_LIVE_CODE);
	scene_end(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_frames_finalizer");
	TCase *tc = tcase_create("py_frames_finalizer");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, a_finalizer_is_called_by_the_frame_below, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_finalizer_below_c_code_is_called_by_the_frame_below,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, no_finalizer_below_c_code_is_left_behind, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_finalizer_below_c_code_of_another_caller_is_none,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_finalizer_that_waits_has_its_callee, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_finalizer_below_c_code_that_waits_has_its_callee,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, what_a_finalizer_calls_is_above_it, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_frame_that_has_not_been_left_has_no_finalizer, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_finalizer_of_another_caller_is_none, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_finalizer_that_was_left_is_none, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, an_outermost_frame_that_was_left_has_no_finalizer,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
