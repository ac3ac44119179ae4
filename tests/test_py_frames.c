/* SPDX-License-Identifier: BSD-3-Clause */
/* Stacks of 3.11 and later, laid out by hand; each test for every version. */
#include "recorder/python/py_frames.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "tests/support/py_image.h"

#define NEXT_CHUNK   UINT64_C(0x7f5000000000)
#define ENTRY	     (IMAGE_C_STACK + 64)
#define FIRST_MINOR  11
#define BEHIND_MINOR (PY_MINOR_MAX + 1)

/*
 * Reading frames looks at the clock, to tell whether it was interrupted. Here time passes only
 * while memory is read.
 */
static uint64_t now_ns = NS_PER_S;

int clock_gettime(clockid_t id, struct timespec *ret)
{
	(void)id;
	ret->tv_sec = (time_t)(now_ns / NS_PER_S);
	ret->tv_nsec = (long)(now_ns % NS_PER_S);
	return 0;
}

static void pass_time(struct py_image *im, remote_addr addr, size_t len)
{
	(void)im;
	(void)addr;
	(void)len;
	now_ns += 1600;
}

/* A thread in main(), which has called, or calls, or will call, callee(). */
struct scene {
	struct py_image im;
	struct py_codes *codes;
	struct py_stacks *stacks;
	struct py_stack *stack;
	struct py_snapshot snap;
	struct image_function main_function, callee_function;
	struct image_frame main, callee;
};

static void begin(struct scene *s, int minor)
{
	struct image_code code = {.file = "/app/app.py",
				  .name = "main",
				  .nlocalsplus = 1,
				  .stacksize = 3,
				  .first_line = 10};

	memset(s, 0, sizeof(*s));
	py_image_init(&s->im, (unsigned)minor);
	s->im.before_read = pass_time;
	s->codes = py_codes_new(&s->im.mem, &s->im.l);
	s->stacks = py_stacks_new(&s->im.mem, &s->im.l, s->codes);
	s->stack = py_stack_new(IMAGE_TSTATE);
	s->main_function = py_image_function(&s->im, 0, &code);
	code.name = "callee";
	code.first_line = 30;
	s->callee_function = py_image_function(&s->im, 0, &code);
	s->main = (struct image_frame){
	    .addr = IMAGE_CHUNK + 32,
	    .function = &s->main_function,
	    .unit = py_image_waiting(&s->im, &s->main_function, AT_CALL),
	    .waits = true,
	    .n_operands = 0,
	};
	s->callee = (struct image_frame){
	    .addr = s->main.addr + 8 * (uint64_t)s->main_function.frame_words,
	    .previous = s->main.addr,
	    .function = &s->callee_function,
	    .unit = s->callee_function.at[AT_LOAD],
	};
}

static void end(struct scene *s)
{
	free(s->snap.frames);
	py_stack_free(s->stack);
	py_stacks_free(s->stacks);
	py_codes_free(s->codes);
	py_image_done(&s->im);
}

/* Put both frames into memory; the callee is the innermost one. */
static void lay_out(struct scene *s)
{
	py_image_frame(&s->im, &s->main);
	py_image_frame(&s->im, &s->callee);
	py_image_put(&s->im, py_image_operand(&s->im, &s->main, s->main.n_operands),
		     s->callee_function.object);
	py_image_thread(&s->im, s->callee.addr,
			s->callee.addr + 8 * (uint64_t)s->callee_function.frame_words);
}

/* main() calls C, which calls callee(). */
static void call_through_c(struct scene *s)
{
	s->main.unit = s->main_function.at[AT_CALL];
	s->main.waits = s->im.l.liveness == PY_LIVE_CODE;
	if (s->im.l.frame.is_entry != LAYOUT_ABSENT) {
		s->callee.is_entry = true;
	} else {
		py_image_entry(&s->im, ENTRY, s->main.addr);
		s->callee.previous = ENTRY;
	}
}

/* As the sampler does, which goes on when a code object had to be loaded first. */
static int look(struct scene *s)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < 16; i++)
		r = py_stack_read(s->stacks, s->stack, now_ns, &s->snap);
	return r;
}

/* What is published once this stack has been seen some times. */
static int look_often(struct scene *s)
{
	int r = 0;

	for (int i = 0; r == 0 && i < 64; i++)
		r = look(s);
	return r;
}

static void check_frame(struct scene *s, uint32_t i, const struct image_frame *f)
{
	const struct py_frame *frame = &s->snap.frames[i];

	ck_assert_uint_lt(i, s->snap.n);
	ck_assert_uint_eq(frame->addr, f->addr);
	ck_assert_uint_eq(frame->code->addr, f->function->code);
	ck_assert_uint_eq(frame->unit, f->unit);
}

static void check_both(struct scene *s)
{
	ck_assert_int_eq(s->snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(s->snap.n, 2);
	check_frame(s, 0, &s->main);
	check_frame(s, 1, &s->callee);
}

static void check_main_alone(struct scene *s, enum py_cut cut)
{
	ck_assert_int_eq(s->snap.cut, cut);
	ck_assert_uint_eq(s->snap.n, 1);
	check_frame(s, 0, &s->main);
}

START_TEST(an_inlined_call_is_accepted)
{
	struct scene s;

	begin(&s, _i);
	lay_out(&s);
	ck_assert_int_eq(look(&s), 0);
	check_both(&s);
	ck_assert_str_eq(s.snap.frames[0].code->name, "main");
	ck_assert_str_eq(s.snap.frames[1].code->name, "callee");
	ck_assert_str_eq(s.snap.frames[1].code->file, "/app/app.py");
	/* Every unit is a line of its own. */
	ck_assert_int_eq(py_frame_line(s.codes, &s.snap.frames[1]), 31 + (int)s.callee.unit);
	end(&s);
}
END_TEST

START_TEST(a_method_stands_behind_an_empty_slot)
{
	struct scene s;

	begin(&s, _i);
	lay_out(&s);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), 0);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 1), s.callee_function.object);
	ck_assert_int_eq(look(&s), 0);
	check_both(&s);
	end(&s);
}
END_TEST

START_TEST(a_call_of_another_function_is_cut)
{
	struct scene s;

	begin(&s, _i);
	lay_out(&s);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), s.main_function.object);
	ck_assert_int_eq(look_often(&s), 0);
	check_main_alone(&s, PY_CUT_TORN);
	end(&s);
}
END_TEST

/* From 3.14 on the operands' end is an address, which a target may set to anything. */
START_TEST(operands_outside_the_frame_are_none)
{
	static const int64_t away[] = {-8, -16, 4, 72, 4096, INT64_MIN, INT64_MAX - 7};

	for (size_t i = 0; i < sizeof(away) / sizeof(away[0]); i++) {
		struct scene s;

		begin(&s, _i);
		lay_out(&s);
		py_image_put(&s.im, s.main.addr + s.im.l.frame.stacktop,
			     s.main.addr + (uint64_t)away[i]);
		ck_assert_int_eq(look_often(&s), 0);
		check_main_alone(&s, PY_CUT_TORN);
		end(&s);
	}
}
END_TEST

START_TEST(a_frame_that_links_elsewhere_is_cut)
{
	struct scene s;

	begin(&s, _i);
	s.callee.previous = s.main.addr + 8;
	lay_out(&s);
	ck_assert_int_eq(look_often(&s), 0);
	check_main_alone(&s, PY_CUT_TORN);
	end(&s);
}
END_TEST

/* callee() has returned; from 3.14 on that clears its code, before it sets stacktop. */
static void leave_callee(struct scene *s)
{
	s->callee.unit = s->callee_function.at[AT_RETURN];
	s->callee.waits = s->im.l.liveness == PY_LIVE_STACKTOP;
	lay_out(s);
	if (s->im.l.liveness == PY_LIVE_CODE)
		py_image_pop(&s->im, s->callee.addr);
	py_image_thread(&s->im, s->main.addr, s->callee.addr);
}

START_TEST(what_a_call_left_behind_is_not_published)
{
	struct scene s;

	begin(&s, _i);
	s.main.unit = s.main_function.at[AT_LOAD_AGAIN];
	s.main.waits = false;
	leave_callee(&s);
	ck_assert_int_eq(look(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	end(&s);
}
END_TEST

START_TEST(a_call_of_c_code_does_not_revive_a_frame)
{
	struct scene s;

	begin(&s, _i);
	call_through_c(&s);
	leave_callee(&s);
	ck_assert_int_eq(look_often(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	end(&s);
}
END_TEST

START_TEST(a_call_through_c_is_accepted)
{
	struct scene s;

	begin(&s, _i);
	call_through_c(&s);
	lay_out(&s);
	ck_assert_int_eq(look(&s), 0);
	check_both(&s);
	end(&s);
}
END_TEST

START_TEST(an_entry_frame_of_another_caller_is_cut)
{
	struct scene s;

	begin(&s, _i);
	call_through_c(&s);
	if (s.im.l.frame.is_entry != LAYOUT_ABSENT)
		s.callee.previous = s.main.addr + 8;
	else
		py_image_put(&s.im, ENTRY + s.im.l.frame.previous, s.main.addr + 8);
	lay_out(&s);
	ck_assert_int_eq(look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	end(&s);
}
END_TEST

START_TEST(a_frame_that_has_not_begun_is_skipped)
{
	struct scene s;

	begin(&s, _i);
	py_image_put32(&s.im, s.callee_function.code + s.im.l.code.first_traceable, 2);
	s.callee.unit = s.im.l.ip_points_before ? IMAGE_BEFORE_START : 0;
	lay_out(&s);
	ck_assert_int_eq(look_often(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	end(&s);
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
	lay_out(&s);
	py_image_frame(&s.im, &shim);
	ck_assert_int_eq(look(&s), 0);
	check_both(&s);
	/* __init__ has returned: its frame is left behind, and the shim looks at the result. */
	shim.waits = s.im.l.liveness == PY_LIVE_STACKTOP;
	shim.unit = function.at[1];
	py_image_frame(&s.im, &shim);
	py_image_thread(&s.im, shim.addr, s.callee.addr);
	ck_assert_int_eq(look_often(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	end(&s);
}
END_TEST

/* main() is a loop over a generator, whose frame is in its own object. */
static void iterate(struct scene *s, bool executing)
{
	struct image_code code = {
	    .file = "/app/app.py",
	    .name = "main",
	    .ops = {IMAGE_RESUME, IMAGE_LOAD_FAST, IMAGE_FOR_ITER, IMAGE_RETURN_VALUE, IMAGE_END},
	    .nlocalsplus = 1,
	    .stacksize = 3,
	    .first_line = 10};
	bool inlined = executing && s->im.l.frame.is_entry == LAYOUT_ABSENT;

	s->main_function = py_image_function(&s->im, 0, &code);
	s->main.unit =
	    inlined ? py_image_waiting(&s->im, &s->main_function, 2) : s->main_function.at[2];
	s->main.waits = inlined;
	s->main.n_operands = 1;
	s->callee.addr = py_image_generator(&s->im, executing);
	s->callee.owner = IMAGE_OWNED_BY_GENERATOR;
	s->callee.is_entry = s->im.l.frame.is_entry != LAYOUT_ABSENT;
	lay_out(s);
	py_image_put(&s->im, py_image_operand(&s->im, &s->main, 0),
		     py_image_generator_object(&s->im, s->callee.addr));
}

START_TEST(a_generator_that_runs_is_found)
{
	struct scene s;

	begin(&s, _i);
	iterate(&s, true);
	ck_assert_int_eq(look_often(&s), 0);
	check_both(&s);
	end(&s);
}
END_TEST

START_TEST(a_generator_that_is_suspended_is_not_published)
{
	struct scene s;

	begin(&s, _i);
	iterate(&s, true);
	ck_assert_int_eq(look_often(&s), 0);
	check_both(&s);
	/* The pages are known now, and the generator yields. */
	iterate(&s, false);
	s.main.waits = s.im.l.liveness == PY_LIVE_CODE;
	py_image_frame(&s.im, &s.main);
	py_image_thread(&s.im, s.main.addr,
			s.main.addr + 8 * (uint64_t)s.main_function.frame_words);
	ck_assert_int_eq(look_often(&s), 0);
	check_main_alone(&s, PY_NOT_CUT);
	end(&s);
}
END_TEST

START_TEST(a_call_may_go_on_in_the_next_chunk)
{
	struct scene s;

	begin(&s, _i);
	s.callee.addr = py_image_chunk(&s.im, NEXT_CHUNK, IMAGE_CHUNK);
	lay_out(&s);
	ck_assert_int_eq(look_often(&s), 0);
	check_both(&s);
	end(&s);
}
END_TEST

START_TEST(a_chunk_that_is_gone_cuts_the_stack)
{
	struct scene s;

	begin(&s, _i);
	lay_out(&s);
	ck_assert_int_eq(look(&s), 0);
	/* The call is now in a chunk of which the thread state speaks, and which is not there. */
	py_image_pop(&s.im, s.callee.addr);
	s.callee.addr = py_image_chunk(&s.im, NEXT_CHUNK, IMAGE_CHUNK);
	lay_out(&s);
	py_image_unmap(&s.im, NEXT_CHUNK);
	ck_assert_int_eq(look_often(&s), 0);
	check_main_alone(&s, PY_CUT_TORN);
	end(&s);
}
END_TEST

START_TEST(a_thread_without_a_data_stack_runs_nothing)
{
	struct scene s;

	begin(&s, _i);
	py_image_put(&s.im, IMAGE_TSTATE + s.im.l.thread.datastack_chunk, 0);
	ck_assert_int_eq(look(&s), 0);
	ck_assert_uint_eq(s.snap.n, 0);
	end(&s);
}
END_TEST

START_TEST(a_thread_state_that_is_gone_cannot_be_read)
{
	struct scene s;

	begin(&s, _i);
	lay_out(&s);
	ck_assert_int_eq(look(&s), 0);
	py_image_unmap(&s.im, IMAGE_CHUNK);
	py_image_unmap(&s.im, IMAGE_TSTATE);
	ck_assert_int_eq(look(&s), -EFAULT);
	s.im.gone = true;
	ck_assert_int_eq(look(&s), -ESRCH);
	end(&s);
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
	ck_assert_int_eq(look_often(&s), 0);
	ck_assert_int_eq(s.snap.cut, PY_CUT_DEPTH);
	ck_assert_uint_eq(s.snap.n, PY_MAX_FRAMES);
	check_frame(&s, 0, &s.main);
	end(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_frames");
	TCase *tc = tcase_create("py_frames");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, an_inlined_call_is_accepted, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_method_stands_behind_an_empty_slot, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_of_another_function_is_cut, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, operands_outside_the_frame_are_none, 14, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_frame_that_links_elsewhere_is_cut, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, what_a_call_left_behind_is_not_published, FIRST_MINOR,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_of_c_code_does_not_revive_a_frame, FIRST_MINOR,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_through_c_is_accepted, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, an_entry_frame_of_another_caller_is_cut, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_frame_that_has_not_begun_is_skipped, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, the_shim_of_a_class_call_is_skipped, 13, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_generator_that_runs_is_found, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_generator_that_is_suspended_is_not_published, FIRST_MINOR,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_call_may_go_on_in_the_next_chunk, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_chunk_that_is_gone_cuts_the_stack, FIRST_MINOR, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_thread_without_a_data_stack_runs_nothing, FIRST_MINOR,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_thread_state_that_is_gone_cannot_be_read, FIRST_MINOR,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, a_very_deep_stack_keeps_its_outermost_frames, FIRST_MINOR,
			    BEHIND_MINOR);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
