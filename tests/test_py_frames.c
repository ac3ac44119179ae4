/* SPDX-License-Identifier: BSD-3-Clause */
/* Stacks of 3.11 and later, laid out by hand; each test for every version. */
#include "recorder/python/py_frames.h"

#include <check.h>
#include <errno.h>

#include "tests/support/frozen_clock.h"
#include "tests/support/stack_checks.h"

static void begin(struct scene *s, int minor)
{
	scene_begin(s, minor);
	s->im.before_read = frozen_clock_pass;
}

START_TEST(an_inlined_call_is_accepted)
{
	struct scene s;

	begin(&s, _i);
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look(&s), 0);
	check_both(&s);
	ck_assert_str_eq(s.snap.frames[0].code->name, "main");
	ck_assert_str_eq(s.snap.frames[1].code->name, "callee");
	ck_assert_str_eq(s.snap.frames[1].code->file, "/app/app.py");
	/* Every unit is a line of its own. */
	ck_assert_int_eq(py_frame_line(s.codes, &s.snap.frames[1]), 31 + (int)s.callee.unit);
	scene_end(&s);
}
END_TEST

START_TEST(a_method_stands_behind_an_empty_slot)
{
	struct scene s;

	begin(&s, _i);
	scene_lay_out(&s);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), 0);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 1), s.callee_function.object);
	ck_assert_int_eq(scene_look(&s), 0);
	check_both(&s);
	scene_end(&s);
}
END_TEST

START_TEST(a_call_of_another_function_is_cut)
{
	struct scene s;

	begin(&s, _i);
	scene_lay_out(&s);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), s.main_function.object);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_main_alone(&s, PY_CUT_TORN);
	scene_end(&s);
}
END_TEST

/* From 3.14 on the operands' end is an address, which a target may set to anything. */
START_TEST(operands_outside_the_frame_are_none)
{
	static const int64_t away[] = {-8, -16, 4, 72, 4096, INT64_MIN, INT64_MAX - 7};

	for (size_t i = 0; i < sizeof(away) / sizeof(away[0]); i++) {
		struct scene s;

		begin(&s, _i);
		scene_lay_out(&s);
		py_image_put(&s.im, s.main.addr + s.im.l.frame.stacktop,
			     s.main.addr + (uint64_t)away[i]);
		ck_assert_int_eq(scene_look_often(&s), 0);
		check_main_alone(&s, PY_CUT_TORN);
		scene_end(&s);
	}
}
END_TEST

START_TEST(a_frame_that_links_elsewhere_is_cut)
{
	struct scene s;

	begin(&s, _i);
	s.callee.previous = s.main.addr + 8;
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_main_alone(&s, PY_CUT_TORN);
	scene_end(&s);
}
END_TEST

START_TEST(what_a_call_left_behind_is_not_published)
{
	struct scene s;

	begin(&s, _i);
	s.main.unit = s.main_function.at[AT_LOAD_AGAIN];
	s.main.waits = false;
	scene_leave_callee(&s);
	ck_assert_int_eq(scene_look(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	scene_end(&s);
}
END_TEST

START_TEST(a_call_of_c_code_does_not_revive_a_frame)
{
	struct scene s;

	begin(&s, _i);
	scene_call_through_c(&s);
	scene_leave_callee(&s);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	scene_end(&s);
}
END_TEST

START_TEST(a_call_through_c_is_accepted)
{
	struct scene s;

	begin(&s, _i);
	scene_call_through_c(&s);
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look(&s), 0);
	check_both(&s);
	scene_end(&s);
}
END_TEST

START_TEST(an_entry_frame_of_another_caller_is_cut)
{
	struct scene s;

	begin(&s, _i);
	scene_call_through_c(&s);
	if (s.im.l.frame.is_entry != LAYOUT_ABSENT)
		s.callee.previous = s.main.addr + 8;
	else
		py_image_put(&s.im, SCENE_ENTRY + s.im.l.frame.previous, s.main.addr + 8);
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	scene_end(&s);
}
END_TEST

START_TEST(a_frame_that_has_not_begun_is_skipped)
{
	struct scene s;

	begin(&s, _i);
	py_image_put32(&s.im, s.callee_function.code + s.im.l.code.first_traceable, 2);
	s.callee.unit = s.im.l.ip_points_before ? IMAGE_BEFORE_START : 0;
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	scene_end(&s);
}
END_TEST

/* A class call puts a frame of the interpreter's own between caller and __init__. */
START_TEST(the_shim_of_a_class_call_is_skipped)
{
	struct image_code code = {
	    .file = "__init__",
	    .name = "__init__",
	    .ops = {IMAGE_EXIT_INIT_CHECK, IMAGE_RETURN_VALUE, IMAGE_RESUME, IMAGE_END},
	    .stacksize = 2,
	    .first_traceable = 4};
	struct image_function function;
	struct image_frame shim;
	struct scene s;

	begin(&s, _i);
	function = py_image_function(&s.im, 0, &code);
	shim = (struct image_frame){.addr = s.callee.addr,
				    .previous = s.main.addr,
				    .function = &function,
				    .waits = true,
				    .n_operands = 1};
	s.callee.addr += 8 * (uint64_t)function.frame_words;
	s.callee.previous = shim.addr;
	scene_lay_out(&s);
	py_image_frame(&s.im, &shim);
	ck_assert_int_eq(scene_look(&s), 0);
	check_both(&s);
	/* __init__ has returned: its frame is left behind, and the shim looks at the result. */
	shim.waits = s.im.l.liveness == PY_LIVE_STACKTOP;
	shim.unit = function.at[1];
	py_image_frame(&s.im, &shim);
	py_image_thread(&s.im, shim.addr, s.callee.addr);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	scene_end(&s);
}
END_TEST

START_TEST(a_generator_that_runs_is_found)
{
	struct scene s;

	begin(&s, _i);
	scene_iterate(&s, true);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_both(&s);
	scene_end(&s);
}
END_TEST

START_TEST(a_generator_that_is_suspended_is_not_published)
{
	struct scene s;

	begin(&s, _i);
	scene_iterate(&s, true);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_both(&s);
	/* The pages are known now, and the generator yields. */
	scene_iterate(&s, false);
	s.main.waits = s.im.l.liveness == PY_LIVE_CODE;
	py_image_frame(&s.im, &s.main);
	py_image_thread(&s.im, s.main.addr,
			s.main.addr + 8 * (uint64_t)s.main_function.frame_words);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	scene_end(&s);
}
END_TEST

/* The callee is in a chunk of its own. main() leaves so many words of the root chunk. */
static void call_in_next_chunk(struct scene *s, uint32_t words_left)
{
	struct image_code code = {.file = "/app/app.py", .name = "main", .stacksize = 3};

	code.nlocalsplus = (IMAGE_CHUNK_BYTES - 32) / 8 - words_left - s->im.l.frame_specials - 3;
	s->main_function = py_image_function(&s->im, 0, &code);
	s->callee.addr = py_image_chunk(&s->im, SCENE_NEXT_CHUNK, IMAGE_CHUNK);
	scene_lay_out(s);
}

START_TEST(a_call_may_go_on_in_the_next_chunk)
{
	struct scene s;

	begin(&s, _i);
	call_in_next_chunk(&s, s.callee_function.frame_words);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_both(&s);
	scene_end(&s);
}
END_TEST

START_TEST(a_call_that_has_room_does_not_go_on_in_the_next_chunk)
{
	struct scene s;

	begin(&s, _i);
	call_in_next_chunk(&s, s.callee_function.frame_words + 1);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_main_alone(&s, s.im.l.liveness == PY_LIVE_CODE ? PY_NOT_CUT : PY_CUT_TORN);
	scene_end(&s);
}
END_TEST

START_TEST(a_chunk_that_is_gone_cuts_the_stack)
{
	struct scene s;

	begin(&s, _i);
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look(&s), 0);
	/* The call is now in a chunk of which the thread state speaks, and which is not there. */
	py_image_pop(&s.im, s.callee.addr);
	s.callee.addr = py_image_chunk(&s.im, SCENE_NEXT_CHUNK, IMAGE_CHUNK);
	scene_lay_out(&s);
	py_image_unmap(&s.im, SCENE_NEXT_CHUNK);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_main_alone(&s, PY_CUT_TORN);
	scene_end(&s);
}
END_TEST

START_TEST(a_thread_without_a_data_stack_runs_nothing)
{
	struct scene s;

	begin(&s, _i);
	py_image_put(&s.im, IMAGE_TSTATE + s.im.l.thread.datastack_chunk, 0);
	ck_assert_int_eq(scene_look(&s), 0);
	ck_assert_uint_eq(s.snap.n, 0);
	scene_end(&s);
}
END_TEST

START_TEST(a_thread_state_that_is_gone_cannot_be_read)
{
	struct scene s;

	begin(&s, _i);
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look(&s), 0);
	py_image_unmap(&s.im, IMAGE_CHUNK);
	py_image_unmap(&s.im, IMAGE_TSTATE);
	ck_assert_int_eq(scene_look(&s), -EFAULT);
	s.im.gone = true;
	ck_assert_int_eq(scene_look(&s), -ESRCH);
	scene_end(&s);
}
END_TEST

/* main() calls itself, more often than is followed, in one large chunk. */
START_TEST(a_very_deep_stack_keeps_its_outermost_frames)
{
	const uint32_t chunk_bytes = 4u << 20;
	struct scene s;
	uint32_t n = 0;

	begin(&s, _i);
	py_image_unmap(&s.im, IMAGE_CHUNK);
	py_image_map(&s.im, IMAGE_CHUNK, chunk_bytes);
	py_image_put(&s.im, IMAGE_CHUNK + 8, chunk_bytes);
	s.callee = s.main;
	for (n = 0; n < PY_MAX_FRAMES + 10; n++) {
		py_image_frame(&s.im, &s.callee);
		py_image_put(&s.im, py_image_operand(&s.im, &s.callee, 0), s.main_function.object);
		s.callee.previous = s.callee.addr;
		s.callee.addr += 8 * (uint64_t)s.main_function.frame_words;
	}
	s.callee.unit = s.main_function.at[AT_LOAD];
	s.callee.waits = false;
	py_image_frame(&s.im, &s.callee);
	py_image_thread(&s.im, s.callee.addr, s.callee.addr + 256);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_int_eq(s.snap.cut, PY_CUT_DEPTH);
	ck_assert_uint_eq(s.snap.n, PY_MAX_FRAMES);
	check_frame(&s, 0, &s.main);
	scene_end(&s);
}
END_TEST

/* Both codes are known, but not yet that main() calls callee(). */
static void begin_with_known_code(struct scene *s, int minor)
{
	struct py_code *code;

	begin(s, minor);
	ck_assert_int_eq(py_codes_load(s->codes, s->main_function.code, 1, &code), 0);
	ck_assert_int_eq(py_codes_load(s->codes, s->callee_function.code, 1, &code), 0);
	scene_lay_out(s);
}

static remote_addr new_code, callee_addr;
static unsigned n_chunk_reads;

/* When the stack is looked at again, another function is called, whose code is not known. */
static void call_new_code(struct py_image *im, remote_addr addr, size_t len)
{
	frozen_clock_pass(im, addr, len);
	if (addr == IMAGE_CHUNK && len > 16 && ++n_chunk_reads == 2)
		py_image_put(im, callee_addr + im->l.frame.code, new_code);
}

START_TEST(what_a_second_look_could_not_confirm_is_not_certain)
{
	struct image_code code = {.file = "/app/app.py", .name = "new", .stacksize = 3};
	struct scene s;

	begin_with_known_code(&s, _i);
	new_code = py_image_function(&s.im, 0, &code).code;
	callee_addr = s.callee.addr;
	n_chunk_reads = 0;
	s.im.before_read = call_new_code;
	ck_assert_int_eq(py_stack_read(s.stacks, s.stack, 1, &s.snap), -EAGAIN);
	ck_assert_uint_eq(n_chunk_reads, 2);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	scene_end(&s);
}
END_TEST

/* callee() calls a function whose code is not known; that main() calls it was not seen before. */
START_TEST(a_link_that_is_doubted_is_not_certain_below_new_code)
{
	struct image_code code = {.file = "/app/app.py", .name = "new", .stacksize = 3};
	struct image_function function;
	struct image_frame inner;
	struct scene s;

	begin_with_known_code(&s, _i);
	function = py_image_function(&s.im, 0, &code);
	inner = (struct image_frame){.addr = s.callee.addr +
					     8 * (uint64_t)s.callee_function.frame_words,
				     .previous = s.callee.addr,
				     .function = &function,
				     .unit = function.at[AT_LOAD]};
	s.callee.unit = py_image_waiting(&s.im, &s.callee_function, AT_CALL);
	s.callee.waits = true;
	scene_lay_out(&s);
	py_image_frame(&s.im, &inner);
	py_image_put(&s.im, py_image_operand(&s.im, &s.callee, 0), function.object);
	py_image_thread(&s.im, inner.addr, inner.addr + 8 * (uint64_t)function.frame_words);
	ck_assert_int_eq(py_stack_read(s.stacks, s.stack, 1, &s.snap), -EAGAIN);
	ck_assert_uint_le(s.snap.n, 1);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 3);
	scene_end(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_frames");
	TCase *tc = tcase_create("py_frames");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, an_inlined_call_is_accepted, SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_method_stands_behind_an_empty_slot, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_of_another_function_is_cut, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, operands_outside_the_frame_are_none, 14, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_frame_that_links_elsewhere_is_cut, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, what_a_call_left_behind_is_not_published, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_of_c_code_does_not_revive_a_frame, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_through_c_is_accepted, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, an_entry_frame_of_another_caller_is_cut, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_frame_that_has_not_begun_is_skipped, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, the_shim_of_a_class_call_is_skipped, 13, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_generator_that_runs_is_found, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_generator_that_is_suspended_is_not_published, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_may_go_on_in_the_next_chunk, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_that_has_room_does_not_go_on_in_the_next_chunk,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_chunk_that_is_gone_cuts_the_stack, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_thread_without_a_data_stack_runs_nothing, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_thread_state_that_is_gone_cannot_be_read, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_very_deep_stack_keeps_its_outermost_frames, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, what_a_second_look_could_not_confirm_is_not_certain,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_link_that_is_doubted_is_not_certain_below_new_code,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
