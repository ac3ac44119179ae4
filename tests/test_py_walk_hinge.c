/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is verified at the end of a walk: main() runs a loop over a generator, and moves, or the
 * generator changes, after they have been read. Each test for every version from 3.11 on.
 */
#include "recorder/python/py_walk.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/support/frozen_clock.h"
#include "tests/support/stack_checks.h"

static struct scene s;

/*
 * What happens before the hinge is read again at last, or the generator. With all other reads both
 * are as they were laid out, but for the instruction of the generator: that is another one in each
 * look, so that a look alone decides.
 */
static void (*before_hinge)(void), (*before_generator)(void);
static bool alternates;
static remote_addr first_local; /* of the generator */

static void lay_out(void)
{
	scene_lay_out(&s);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0),
		     py_image_generator_object(&s.im, s.callee.addr));
}

static void restore(void)
{
	py_image_frame(&s.im, &s.main);
	py_image_frame(&s.im, &s.callee);
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0),
		     py_image_generator_object(&s.im, s.callee.addr));
	py_image_put(&s.im, s.callee.addr + s.im.l.frame.size, first_local);
}

static void run_hooks(struct py_image *im, remote_addr addr, size_t len)
{
	bool is_header = len > 16 && len < PAGE_BYTES;
	static unsigned n_looks;

	frozen_clock_pass(im, addr, len);
	if (addr == s.main.addr && is_header) {
		if (alternates)
			s.callee.unit =
			    s.callee_function.at[++n_looks % 2 ? AT_LOAD : AT_LOAD_AGAIN];
		if (before_hinge)
			before_hinge();
	} else if (addr == s.callee.addr && is_header) {
		if (before_generator)
			before_generator();
	} else {
		restore();
	}
}

/* See main() in its loop, until the pages are known and the loop as one that stays. */
static void get_to_know(void)
{
	alternates = false;
	lay_out();
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(scene_look_often(&s), 0);
	check_both(&s);
	alternates = true;
}

static void begin(int minor)
{
	scene_begin(&s, minor);
	before_hinge = NULL;
	before_generator = NULL;
	first_local = 0;
	scene_iterate(&s, true);
	s.im.before_read = run_hooks;
	get_to_know();
}

static void end(void)
{
	scene_end(&s);
}

static void look_and_find(uint32_t n)
{
	ck_assert_int_eq(scene_look(&s), 0);
	ck_assert_uint_eq(s.snap.n, n);
	check_frame(&s, 0, &s.main);
	if (n == 2)
		ck_assert_uint_eq(s.snap.frames[1].addr, s.callee.addr);
	if (n == 1)
		ck_assert(s.snap.cut == PY_CUT_TORN || s.snap.cut == PY_CUT_UNSTEADY);
	else
		ck_assert_int_eq(s.snap.cut, PY_NOT_CUT);
}

START_TEST(a_hinge_that_stays_proves_its_generator)
{
	begin(_i);
	for (int i = 0; i < 20; i++)
		look_and_find(2);
	end();
}
END_TEST

/* --- the hinge moves --- */

static unsigned moves_to;

/* As it is when it runs its own code, instruction moves_to. */
static void move_hinge(void)
{
	struct image_frame now = s.main;

	now.unit = s.main_function.at[moves_to];
	now.waits = false;
	py_image_frame(&s.im, &now);
}

/* RESUME, LOAD_FAST, FOR_ITER over one unit, LOAD_FAST, RETURN_VALUE */
enum { AT_BEFORE = 1, AT_FOR_ITER = 2, AT_BODY = 3, AT_BEHIND = 4 };

/* The loop of scene_iterate() has no body. */
static void begin_with_body(int minor)
{
	struct image_code code = {.file = "/app/app.py",
				  .name = "loop",
				  .ops = {IMAGE_RESUME, IMAGE_LOAD_FAST, IMAGE_FOR_ITER,
					  IMAGE_LOAD_FAST, IMAGE_RETURN_VALUE, IMAGE_END},
				  .args = {0, 0, 1},
				  .nlocalsplus = 1,
				  .stacksize = 3};

	begin(minor);
	s.main_function = py_image_function(&s.im, 0, &code);
	s.main.unit = s.main.waits ? py_image_waiting(&s.im, &s.main_function, AT_FOR_ITER)
				   : s.main_function.at[AT_FOR_ITER];
	get_to_know();
}

START_TEST(a_hinge_in_the_body_of_its_loop_proves_its_generator)
{
	begin_with_body(_i);
	before_hinge = move_hinge;
	moves_to = AT_BODY;
	for (int i = 0; i < 20; i++)
		look_and_find(2);
	end();
}
END_TEST

START_TEST(a_hinge_that_left_its_loop_proves_nothing)
{
	begin_with_body(_i);
	before_hinge = move_hinge;
	moves_to = AT_BEHIND;
	look_and_find(1);
	moves_to = AT_BEFORE;
	look_and_find(1);
	end();
}
END_TEST

static void change_operand(void)
{
	py_image_put(&s.im, py_image_operand(&s.im, &s.main, 0), 0x111110);
}

START_TEST(a_hinge_with_another_generator_proves_nothing)
{
	begin(_i);
	before_hinge = change_operand;
	for (int i = 0; i < 5; i++)
		look_and_find(1);
	end();
}
END_TEST

static void change_hinge_previous(void)
{
	py_image_put(&s.im, s.main.addr + s.im.l.frame.previous, s.main.addr + 8);
}

static void change_hinge_code(void)
{
	struct image_frame now = s.main;

	now.function = &s.callee_function;
	now.unit = s.main.unit;
	py_image_frame(&s.im, &now);
}

START_TEST(a_hinge_that_is_another_call_proves_nothing)
{
	begin(_i);
	before_hinge = change_hinge_previous;
	look_and_find(1);
	before_hinge = change_hinge_code;
	look_and_find(1);
	end();
}
END_TEST

static void unmap_hinge(void)
{
	py_image_put(&s.im, s.main.addr + s.im.l.frame.code, 0);
}

START_TEST(a_hinge_that_is_no_frame_any_more_proves_nothing)
{
	begin(_i);
	before_hinge = unmap_hinge;
	look_and_find(1);
	end();
}
END_TEST

static void be_late(void)
{
	frozen_now_ns += NS_PER_MS;
}

START_TEST(a_hinge_that_is_looked_at_too_late_proves_nothing)
{
	begin(_i);
	before_hinge = be_late;
	look_and_find(1);
	before_hinge = NULL;
	get_to_know();
	look_and_find(2);
	end();
}
END_TEST

START_TEST(a_target_that_ends_meanwhile_is_told)
{
	begin(_i);
	s.im.gone = true;
	ck_assert_int_eq(scene_look(&s), -ESRCH);
	end();
}
END_TEST

/* --- the generator changes --- */

static void change_generator_code(void)
{
	py_image_put(&s.im, s.callee.addr + s.im.l.frame.code, s.main_function.code);
}

static void change_generator_local(void)
{
	py_image_put(&s.im, s.callee.addr + s.im.l.frame.size, 0x222220);
}

START_TEST(another_generator_in_its_place_is_noticed)
{
	begin(_i);
	before_generator = change_generator_code;
	look_and_find(1);
	before_generator = change_generator_local;
	look_and_find(1);
	before_generator = NULL;
	get_to_know();
	look_and_find(2);
	end();
}
END_TEST

/* --- loops that are over too fast --- */

START_TEST(a_loop_that_mostly_moves_is_not_steady)
{
	begin_with_body(_i);
	before_hinge = move_hinge;
	moves_to = AT_BEHIND;
	for (int i = 0; i < 100; i++)
		look_and_find(1);
	/* It stays for once, which proves nothing any more. */
	before_hinge = NULL;
	look_and_find(1);
	ck_assert_int_eq(s.snap.cut, PY_CUT_UNSTEADY);
	ck_assert_uint_eq(s.snap.n_seen, 2);
	end();
}
END_TEST

/* It can be told by looks that all show the same. */
START_TEST(a_loop_that_is_not_steady_is_found_unchanged)
{
	begin_with_body(_i);
	before_hinge = move_hinge;
	moves_to = AT_BEHIND;
	for (int i = 0; i < 100; i++)
		look_and_find(1);
	before_hinge = NULL;
	alternates = false;
	ck_assert_int_eq(scene_look(&s), 0);
	check_both(&s);
	end();
}
END_TEST

/* --- a loop that calls with a constant --- */

#define CONSTANT 0x555550

/* for x in callee(CONSTANT): … */
static void begin_with_constant(int minor)
{
	static const enum image_op with_precall[] = {
	    IMAGE_RESUME,   IMAGE_LOAD_FAST, IMAGE_LOAD_CONST, IMAGE_PRECALL,	   IMAGE_CALL,
	    IMAGE_GET_ITER, IMAGE_FOR_ITER,  IMAGE_LOAD_FAST,  IMAGE_RETURN_VALUE, IMAGE_END};
	const remote_addr constant = CONSTANT;
	struct image_code code = {
	    .file = "/app/app.py", .name = "loop", .nlocalsplus = 1, .stacksize = 3};
	unsigned n = 0, loop;

	begin(minor);
	code.consts = py_image_tuple(&s.im, &constant, 1);
	for (unsigned i = 0; with_precall[i] != IMAGE_END; i++) {
		if (with_precall[i] == IMAGE_PRECALL && minor != 11)
			continue;
		if (with_precall[i] == IMAGE_CALL || with_precall[i] == IMAGE_FOR_ITER)
			code.args[n] = 1;
		code.ops[n++] = with_precall[i];
	}
	code.ops[n] = IMAGE_END;
	loop = n - 3;
	s.main_function = py_image_function(&s.im, 0, &code);
	s.main.unit = s.main.waits ? py_image_waiting(&s.im, &s.main_function, loop)
				   : s.main_function.at[loop];
	moves_to = loop + 2; /* behind it */
	first_local = CONSTANT;
	get_to_know();
}

/* Then it does not matter that the loop goes on. */
START_TEST(the_constant_of_a_loop_proves_its_generator)
{
	begin_with_constant(_i);
	before_hinge = move_hinge;
	for (int i = 0; i < 100; i++)
		look_and_find(2);
	end();
}
END_TEST

START_TEST(a_generator_of_another_constant_is_cut)
{
	begin_with_constant(_i);
	first_local = CONSTANT + 16;
	look_and_find(1);
	ck_assert_int_eq(s.snap.cut, PY_CUT_TORN);
	end();
}
END_TEST

START_TEST(a_generator_that_changes_after_its_constant_is_cut)
{
	begin_with_constant(_i);
	before_generator = change_generator_local;
	look_and_find(1);
	ck_assert_int_eq(s.snap.cut, PY_CUT_TORN);
	end();
}
END_TEST

/* The generator calls inner(), whose frame is in the data stack: not in the generator's page. */
static void call_inner(struct image_frame *inner)
{
	s.callee.unit = py_image_waiting(&s.im, &s.callee_function, AT_CALL);
	s.callee.waits = true;
	*inner = (struct image_frame){
	    .addr = s.main.addr + 8 * (uint64_t)s.main_function.frame_words,
	    .previous = s.callee.addr,
	    .function = &s.callee_function,
	    .unit = s.callee_function.at[AT_LOAD],
	};
	alternates = false;
	lay_out();
	py_image_frame(&s.im, inner);
	py_image_put(&s.im, py_image_operand(&s.im, &s.callee, 0), s.callee_function.object);
	py_image_thread(&s.im, inner->addr, inner->addr + 256);
}

START_TEST(what_a_steady_generator_calls_is_above_it)
{
	struct image_frame inner;

	begin_with_constant(_i);
	call_inner(&inner);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_int_eq(s.snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(s.snap.n, 3);
	check_frame(&s, 2, &inner);
	end();
}
END_TEST

static struct image_frame inner_now;

/* The loop goes on meanwhile, and inner() is elsewhere in each look. */
static void move_all(void)
{
	static unsigned n;

	inner_now.unit = s.callee_function.at[++n % 2 ? AT_LOAD : AT_LOAD_AGAIN];
	py_image_frame(&s.im, &inner_now);
	move_hinge();
}

START_TEST(what_a_proven_generator_calls_is_above_it_while_the_loop_goes_on)
{
	begin_with_constant(_i);
	call_inner(&inner_now);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 3);
	before_hinge = move_all;
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(scene_look(&s), 0);
	}
	/* The constant proves the generator, and that is still there. */
	ck_assert_int_eq(s.snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(s.snap.n, 3);
	check_frame(&s, 1, &s.callee);
	end();
}
END_TEST

/* --- callees of C code that wait, to 3.13 --- */

START_TEST(a_callee_that_waits_is_there_if_the_data_stack_reaches_it)
{
	scene_begin(&s, _i);
	s.im.before_read = frozen_clock_pass;
	scene_call_through_c(&s);
	s.callee.unit = py_image_waiting(&s.im, &s.callee_function, AT_CALL);
	s.callee.waits = true;
	scene_lay_out(&s);
	/* What it calls has not been pushed wholly yet. */
	py_image_thread(&s.im, s.callee.addr, s.callee.addr + 8);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 2);
	check_frame(&s, 1, &s.callee);
	/* It has been popped. */
	py_image_thread(&s.im, s.main.addr, s.callee.addr);
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 1);
	check_frame(&s, 0, &s.main);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_walk_hinge");
	TCase *tc = tcase_create("py_walk_hinge");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, a_hinge_that_stays_proves_its_generator, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_hinge_in_the_body_of_its_loop_proves_its_generator,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_hinge_that_left_its_loop_proves_nothing, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_hinge_with_another_generator_proves_nothing, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_hinge_that_is_another_call_proves_nothing, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_hinge_that_is_no_frame_any_more_proves_nothing, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_hinge_that_is_looked_at_too_late_proves_nothing,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_target_that_ends_meanwhile_is_told, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, another_generator_in_its_place_is_noticed, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_loop_that_mostly_moves_is_not_steady, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_loop_that_is_not_steady_is_found_unchanged, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, the_constant_of_a_loop_proves_its_generator, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_generator_of_another_constant_is_cut, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_generator_that_changes_after_its_constant_is_cut,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, what_a_steady_generator_calls_is_above_it, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, what_a_proven_generator_calls_is_above_it_while_the_loop_goes_on,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_callee_that_waits_is_there_if_the_data_stack_reaches_it,
			    SCENE_FIRST_MINOR, 14);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
