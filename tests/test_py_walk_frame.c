/* SPDX-License-Identifier: BSD-3-Clause */
/* What one frame says, and which frames are its callees; each test for every version from 3.11. */
#include "recorder/python/py_walk.h"

#include <check.h>
#include <errno.h>

#include "tests/support/frozen_clock.h"
#include "tests/support/stack_checks.h"

static struct scene s;

static void begin(int minor)
{
	scene_begin(&s, minor);
	s.im.before_read = frozen_clock_pass;
}

/* --- frames that have been left, or have not begun --- */

/* main() has other code, and is at its instruction i. */
static void main_is(const enum image_op *ops, unsigned i)
{
	struct image_code code = {.file = "/app/app.py",
				  .name = "main",
				  .nlocalsplus = 1,
				  .stacksize = 3,
				  .first_traceable = 1};
	unsigned n = 0;

	do
		code.ops[n] = ops[n];
	while (ops[n++] != IMAGE_END);
	s.main_function = py_image_function(&s.im, 0, &code);
	s.main.unit = s.main_function.at[i];
	s.callee.addr = s.main.addr + 8 * (uint64_t)s.main_function.frame_words;
}

/* Is main(), marked as waiting, alive where the data stack says nothing? */
static bool main_is_alive(void)
{
	scene_lay_out(&s);
	py_image_thread(&s.im, 0, s.main.addr);
	ck_assert_int_eq(scene_look_often(&s), 0);
	return s.snap.n > 0;
}

/* To 3.12 a caller's ip is on an inline cache. */
START_TEST(a_frame_that_waits_on_a_cache_waits_for_a_call)
{
	static const enum image_op ops[] = {IMAGE_RESUME,    IMAGE_LOAD_FAST,	 IMAGE_CALL,
					    IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END};

	begin(_i);
	main_is(ops, AT_CALL);
	s.main.unit = py_image_waiting(&s.im, &s.main_function, AT_CALL);
	ck_assert(main_is_alive());
	for (unsigned i = AT_RESUME; i <= AT_RETURN; i++) {
		s.main.unit = s.main_function.at[i];
		ck_assert_msg(!main_is_alive(), "instruction %u", i);
	}
	scene_end(&s);
}
END_TEST

/* But for calls that have none. */
START_TEST(a_call_without_caches_is_waited_for)
{
	static const enum image_op in_the_middle[] = {
	    IMAGE_RESUME, IMAGE_CALL_FUNCTION_EX, IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END};
	static const enum image_op at_the_end[] = {IMAGE_RESUME, IMAGE_LOAD_FAST,
						   IMAGE_CALL_FUNCTION_EX, IMAGE_END};

	begin(_i);
	main_is(in_the_middle, 1);
	ck_assert(main_is_alive());
	main_is(at_the_end, 2);
	ck_assert(main_is_alive());
	scene_end(&s);
}
END_TEST

START_TEST(a_frame_waits_where_it_neither_begins_nor_leaves)
{
	static const enum image_op ops[] = {IMAGE_RESUME,    IMAGE_LOAD_FAST,	 IMAGE_CALL,
					    IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END};

	begin(_i);
	main_is(ops, AT_RETURN);
	ck_assert(!main_is_alive());
	/* Before its first traceable unit, and on it: that is RESUME. */
	s.main.unit = 0;
	ck_assert(!main_is_alive());
	s.main.unit = 1;
	ck_assert(!main_is_alive());
	s.main.unit = s.main_function.at[AT_CALL];
	ck_assert(main_is_alive());
	scene_end(&s);
}
END_TEST

/* --- links of inlined calls --- */

START_TEST(a_caller_that_does_not_wait_has_no_inlined_callee)
{
	begin(_i);
	s.main.waits = false;
	scene_lay_out(&s);
	py_image_thread(&s.im, s.main.addr, s.callee.addr);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	scene_end(&s);
}
END_TEST

/* 3.11: a frame that C code called has another caller, whatever is among the operands. */
START_TEST(an_entry_frame_is_no_inlined_callee)
{
	begin(_i);
	s.callee.is_entry = true;
	scene_lay_out(&s);
	py_image_thread(&s.im, s.main.addr, s.callee.addr);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	scene_end(&s);
}
END_TEST

/* A property: its function is not among the operands. */
START_TEST(an_attribute_can_call_any_function)
{
	static const enum image_op ops[] = {IMAGE_RESUME,    IMAGE_LOAD_FAST,	 IMAGE_LOAD_ATTR,
					    IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END};

	begin(_i);
	main_is(ops, 2);
	s.main.unit = py_image_waiting(&s.im, &s.main_function, 2);
	scene_lay_out(&s);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), 0x111110);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_both(&s);
	scene_end(&s);
}
END_TEST

/* What instrumentation has replaced may be a call. */
START_TEST(an_instrumented_instruction_can_call_any_function)
{
	static const enum image_op ops[] = {
	    IMAGE_RESUME,    IMAGE_LOAD_FAST,	 IMAGE_INSTRUMENTED_CALL,
	    IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END};

	begin(_i);
	main_is(ops, 2);
	s.main.unit = py_image_waiting(&s.im, &s.main_function, 2);
	scene_lay_out(&s);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), 0x111110);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_both(&s);
	scene_end(&s);
}
END_TEST

START_TEST(a_comparison_calls_nothing_inline)
{
	static const enum image_op ops[] = {IMAGE_RESUME,    IMAGE_LOAD_FAST,	 IMAGE_COMPARE_OP,
					    IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END};

	begin(_i);
	main_is(ops, 2);
	s.main.unit = py_image_waiting(&s.im, &s.main_function, 2);
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	scene_end(&s);
}
END_TEST

/* From 3.14 on references carry tag bits. */
START_TEST(tags_of_references_do_not_count)
{
	begin(_i);
	scene_lay_out(&s);
	py_image_put(&s.im, s.callee.addr + s.im.l.frame.function, s.callee_function.object | 1);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), s.callee_function.object | 3);
	py_image_put(&s.im, s.callee.addr + s.im.l.frame.code, s.callee_function.code | 1);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_both(&s);
	scene_end(&s);
}
END_TEST

START_TEST(the_operands_of_a_waiting_call_are_looked_at_and_no_others)
{
	begin(_i);
	scene_lay_out(&s);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), 0x111110);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 2), s.callee_function.object);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	scene_end(&s);
}
END_TEST

/* An attribute of main() is being looked up, and above it lies what an earlier call left. */
START_TEST(an_attribute_that_calls_nothing_has_no_callee)
{
	static const enum image_op ops[] = {IMAGE_RESUME,    IMAGE_LOAD_FAST,	 IMAGE_LOAD_ATTR,
					    IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END};

	begin(_i);
	main_is(ops, 2);
	s.main.waits = false;
	scene_lay_out(&s);
	py_image_thread(&s.im, s.main.addr, s.callee.addr);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	scene_end(&s);
}
END_TEST

/* C code has pushed its frame, on RESUME, which is marked as one that waits till it runs. */
START_TEST(a_callee_of_c_code_that_has_not_begun_is_not_there)
{
	static const enum image_op ops[] = {IMAGE_RESUME,    IMAGE_LOAD_FAST,	 IMAGE_CALL,
					    IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END};

	begin(_i);
	main_is(ops, AT_CALL);
	s.callee_function = s.main_function;
	scene_call_through_c(&s);
	s.callee.waits = true;
	s.callee.unit = 1; /* its first traceable one */
	scene_lay_out(&s);
	py_image_thread(&s.im, s.main.addr, s.callee.addr + 256);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	scene_end(&s);
}
END_TEST

/* It lies where it is looked for, so the thread state need not be asked. */
START_TEST(a_callee_of_c_code_is_found_in_its_place)
{
	begin(_i);
	scene_call_through_c(&s);
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_both(&s);
	ck_assert_uint_eq(py_stacks_get_counters(s.stacks)->tail_walks, 0);
	scene_end(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_walk_frame");
	TCase *tc = tcase_create("py_walk_frame");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, a_frame_that_waits_on_a_cache_waits_for_a_call, 11, 13);
	tcase_add_loop_test(tc, a_call_without_caches_is_waited_for, 11, 13);
	tcase_add_loop_test(tc, a_frame_waits_where_it_neither_begins_nor_leaves, 13, 14);
	tcase_add_loop_test(tc, a_caller_that_does_not_wait_has_no_inlined_callee,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, an_entry_frame_is_no_inlined_callee, 11, 12);
	tcase_add_loop_test(tc, an_attribute_can_call_any_function, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, an_instrumented_instruction_can_call_any_function, 12,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_comparison_calls_nothing_inline, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, tags_of_references_do_not_count, 14, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, the_operands_of_a_waiting_call_are_looked_at_and_no_others,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, an_attribute_that_calls_nothing_has_no_callee, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_callee_of_c_code_that_has_not_begun_is_not_there, 13, 14);
	tcase_add_loop_test(tc, a_callee_of_c_code_is_found_in_its_place, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
