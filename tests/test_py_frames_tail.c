/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only the thread state leads to. A program that does the same again as fast as it is looked
 * at is in one call when its data stack is read first, in another one when the way back from the
 * innermost frame is, and in the first again at last. Each test for every version from 3.11 on.
 */
#include "recorder/python/py_frames.h"

#include <check.h>
#include <errno.h>

#include "tests/support/frozen_clock.h"
#include "tests/support/stack_checks.h"

static struct scene s;
static struct image_function other_function;
static struct image_frame other, other_callee;
static unsigned n_other; /* reads that found the other call */

static struct image_frame frame_called_from_c(const struct image_frame *caller, remote_addr entry)
{
	bool has_mark = s.im.l.frame.is_entry != LAYOUT_ABSENT;

	return (struct image_frame){
	    .addr = caller->addr + 8 * (uint64_t)caller->function->frame_words,
	    .previous = has_mark ? caller->addr : entry,
	    .function = &s.callee_function,
	    .unit = s.callee_function.at[AT_LOAD],
	    .is_entry = has_mark,
	};
}

/* main() runs C code, which has called callee() and is alone again. */
static void be_in_main(void)
{
	scene_leave_callee(&s);
	py_image_put(&s.im, other_callee.addr + s.im.l.frame.code, 0);
}

/* other(), where main() has been, runs C code that has called callee(). */
static void be_in_other(void)
{
	py_image_frame(&s.im, &other);
	py_image_frame(&s.im, &other_callee);
	if (!other_callee.is_entry)
		py_image_entry(&s.im, other_callee.previous, other.addr);
	py_image_thread(&s.im, other_callee.addr, other_callee.addr + 256);
}

/* The first read, of the beginning of the root chunk, and the last one, of the hinge, find main. */
static void take_turns(struct py_image *im, remote_addr addr, size_t len)
{
	frozen_clock_pass(im, addr, len);
	if (addr == IMAGE_CHUNK || addr == s.main.addr) {
		be_in_main();
	} else {
		n_other += addr < IMAGE_HEAP || addr >= IMAGE_TSTATE;
		be_in_other();
	}
}

static void begin(int minor, uint32_t locals_of_other)
{
	struct image_code code = {.file = "/app/app.py",
				  .name = "other",
				  .nlocalsplus = locals_of_other,
				  .stacksize = 3,
				  .first_line = 50};

	scene_begin(&s, minor);
	s.im.before_read = frozen_clock_pass;
	n_other = 0;
	scene_call_through_c(&s);
	other_function = py_image_function(&s.im, 0, &code);
	other = s.main;
	other.function = &other_function;
	other_callee = frame_called_from_c(&other, SCENE_ENTRY + 256);
}

static void take_turns_for_long(void)
{
	be_in_main();
	ck_assert_int_eq(scene_look_often(&s), 0);
	be_in_other();
	ck_assert_int_eq(scene_look_often(&s), 0);
	ck_assert_uint_eq(s.snap.n, 2);
	check_frame(&s, 0, &other);
	check_frame(&s, 1, &other_callee);
	s.im.before_read = take_turns;
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(scene_look(&s), 0);
		check_main_alone(&s, PY_NOT_CUT);
	}
	ck_assert_uint_gt(n_other, 0);
	scene_end(&s);
}

/* Both frames are of one size: their callees lie at one place. */
START_TEST(a_callee_of_another_call_at_the_same_place_is_none)
{
	begin(_i, 1);
	take_turns_for_long();
}
END_TEST

START_TEST(a_callee_of_another_call_at_another_place_is_none)
{
	begin(_i, 3);
	take_turns_for_long();
}
END_TEST

/* The other frame leaves no room, so that its callee is in a chunk of its own. */
START_TEST(a_callee_of_another_call_in_another_chunk_is_none)
{
	uint32_t words = (IMAGE_CHUNK_BYTES - 32) / 8;

	begin(_i, words - py_layout_find((unsigned)_i)->frame_specials - 8);
	other_callee.addr = py_image_chunk(&s.im, SCENE_NEXT_CHUNK, IMAGE_CHUNK);
	take_turns_for_long();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_frames_tail");
	TCase *tc = tcase_create("py_frames_tail");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_callee_of_another_call_at_the_same_place_is_none,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_callee_of_another_call_at_another_place_is_none,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_callee_of_another_call_in_another_chunk_is_none,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
