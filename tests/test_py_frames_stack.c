/* SPDX-License-Identifier: BSD-3-Clause */
/* The steps of a walk through a stack of 3.11 or later; each test for every version. */
#include "recorder/python/py_frames.h"

#include <check.h>
#include <errno.h>

#include "recorder/python/py_object.h"
#include "tests/support/frozen_clock.h"
#include "tests/support/stack_checks.h"

static struct scene s;

static void begin(int minor)
{
	scene_begin(&s, minor);
	s.im.before_read = frozen_clock_pass;
}

/* --- several chunks --- */

#define N_CHUNKS	    5
#define CHUNK_ADDR(i)	    (i ? SCENE_NEXT_CHUNK + (uint64_t)(i)*0x100000 : IMAGE_CHUNK)
#define LOCALS_OF_RECURSION 60 /* large frames: several reads for a chunk */

static struct image_function recursive;
static struct image_frame frames[1000];
static uint32_t n_frames;

/* recursive() calls itself until n_chunks are full; frames go on in the next when one is. */
static void recurse(uint32_t n_chunks)
{
	struct image_code code = {.file = "/app/app.py",
				  .name = "recursive",
				  .nlocalsplus = LOCALS_OF_RECURSION,
				  .stacksize = 3,
				  .first_line = 10};
	struct image_frame f;
	uint32_t bytes;

	recursive = py_image_function(&s.im, 0, &code);
	bytes = 8 * recursive.frame_words;
	n_frames = 0;
	f = (struct image_frame){.function = &recursive,
				 .unit = py_image_waiting(&s.im, &recursive, AT_CALL),
				 .waits = true};
	for (uint32_t i = 0; i < n_chunks; i++) {
		remote_addr chunk = CHUNK_ADDR(i);

		if (i)
			f.addr = py_image_chunk(&s.im, chunk, CHUNK_ADDR(i - 1));
		else
			f.addr = IMAGE_CHUNK + 32;
		for (; f.addr + bytes <= chunk + IMAGE_CHUNK_BYTES; f.addr += bytes) {
			py_image_frame(&s.im, &f);
			py_image_put(&s.im, py_image_operand(&s.im, &f, 0), recursive.object);
			frames[n_frames++] = f;
			f.previous = f.addr;
		}
	}
}

/* The innermost frame is number n - 1 now; what was above it is left behind. */
static void return_to(uint32_t n)
{
	struct image_frame *top = &frames[n - 1];

	for (uint32_t i = n; i < n_frames; i++) {
		frames[i].unit = recursive.at[AT_RETURN];
		py_image_frame(&s.im, &frames[i]);
		if (s.im.l.liveness == PY_LIVE_CODE)
			py_image_pop(&s.im, frames[i].addr);
	}
	top->waits = false;
	top->unit = recursive.at[AT_LOAD];
	py_image_frame(&s.im, top);
	py_image_thread(&s.im, top->addr, top->addr + 8 * (uint64_t)recursive.frame_words);
	n_frames = n;
}

static void check_all_frames(void)
{
	ck_assert_int_eq(s.snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(s.snap.n, n_frames);
	for (uint32_t i = 0; i < n_frames; i++)
		check_frame(&s, i, &frames[i]);
}

START_TEST(a_stack_goes_on_over_several_chunks)
{
	begin(_i);
	recurse(N_CHUNKS);
	ck_assert_uint_gt(n_frames, 100);
	return_to(n_frames);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_all_frames();
	ck_assert_uint_gt(py_stacks_get_counters(s.stacks)->multi_chunk, 0);
	scene_end(&s);
}
END_TEST

START_TEST(a_stack_shrinks_by_chunks)
{
	begin(_i);
	recurse(N_CHUNKS);
	return_to(n_frames);
	ck_assert_int_eq(scene_look_often(&s), 0);
	for (uint32_t n = n_frames - 1; n > 0; n = n > 7 ? n - 7 : 0) {
		uint32_t chunks = 1;

		return_to(n);
		while (frames[n - 1].addr - CHUNK_ADDR(chunks - 1) >= IMAGE_CHUNK_BYTES)
			chunks++;
		py_image_put(&s.im, IMAGE_TSTATE + s.im.l.thread.datastack_chunk,
			     CHUNK_ADDR(chunks - 1));
		for (uint32_t i = s.im.n_regions; i-- > 0;) {
			for (uint32_t k = chunks; k < N_CHUNKS; k++) {
				if (s.im.regions[i].start == CHUNK_ADDR(k)) {
					py_image_unmap(&s.im, CHUNK_ADDR(k));
					break;
				}
			}
		}
		ck_assert_int_eq(scene_look(&s), 0);
		check_all_frames();
	}
	scene_end(&s);
}
END_TEST

START_TEST(a_chunk_at_a_new_address_is_found)
{
	remote_addr chunk;

	begin(_i);
	recurse(2);
	return_to(n_frames);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_all_frames();
	/* It is unmapped, and the next one lies elsewhere. */
	py_image_unmap(&s.im, CHUNK_ADDR(1));
	chunk = CHUNK_ADDR(3);
	frames[n_frames - 1].addr = py_image_chunk(&s.im, chunk, IMAGE_CHUNK);
	while (frames[n_frames - 2].addr - CHUNK_ADDR(1) < IMAGE_CHUNK_BYTES) {
		frames[n_frames - 2] = frames[n_frames - 1];
		n_frames--;
	}
	frames[n_frames - 1].previous = frames[n_frames - 2].addr;
	return_to(n_frames);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_all_frames();
	scene_end(&s);
}
END_TEST

/* Only what is in the root chunk is certain, and to 3.13 only if something above still runs. */
static void check_root_chunk_alone(void)
{
	for (uint32_t i = 0; i < s.snap.n; i++)
		check_frame(&s, i, &frames[i]);
	ck_assert_uint_ge(frames[s.snap.n].addr, s.snap.n ? CHUNK_ADDR(1) : 0);
}

START_TEST(a_chunk_that_does_not_link_back_is_read_again)
{
	begin(_i);
	recurse(3);
	return_to(n_frames);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_all_frames();
	py_image_put(&s.im, CHUNK_ADDR(1), CHUNK_ADDR(4)); /* previous */
	ck_assert_int_eq(scene_look(&s), 0);
	ck_assert_int_eq(s.snap.cut, PY_CUT_TORN);
	ck_assert_uint_gt(s.snap.n, 1);
	check_root_chunk_alone();
	py_image_put(&s.im, CHUNK_ADDR(1), IMAGE_CHUNK);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_all_frames();
	/* Its size is another one. */
	py_image_put(&s.im, CHUNK_ADDR(2) + 8, UINT64_MAX);
	ck_assert_int_eq(scene_look(&s), -EAGAIN);
	ck_assert(s.snap.n > 1 || s.im.l.liveness == PY_LIVE_STACKTOP);
	check_root_chunk_alone();
	py_image_put(&s.im, CHUNK_ADDR(2) + 8, IMAGE_CHUNK_BYTES);
	ck_assert_int_eq(scene_look_often(&s), 0);
	check_all_frames();
	scene_end(&s);
}
END_TEST

START_TEST(a_ring_of_chunks_is_left)
{
	begin(_i);
	scene_lay_out(&s);
	py_image_put(&s.im, IMAGE_CHUNK, IMAGE_CHUNK); /* previous */
	ck_assert_int_eq(scene_look(&s), -EFAULT);
	py_image_put(&s.im, IMAGE_CHUNK, 0);
	ck_assert_int_eq(scene_look(&s), 0);
	check_both(&s);
	scene_end(&s);
}
END_TEST

START_TEST(a_chunk_of_no_possible_size_is_none)
{
	static const uint64_t sizes[] = {0, 16, (8u << 20) + 1, UINT64_MAX};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		begin(_i);
		scene_lay_out(&s);
		py_image_put(&s.im, IMAGE_CHUNK + 8, sizes[i]);
		ck_assert_int_eq(scene_look(&s), -EAGAIN);
		ck_assert_uint_eq(s.snap.n, 0);
		scene_end(&s);
	}
}
END_TEST

/* --- nothing is certain --- */

START_TEST(an_outermost_frame_that_is_none_is_no_stack)
{
	begin(_i);
	scene_lay_out(&s);
	/* Its code is none. */
	py_image_put(&s.im, s.main.addr + s.im.l.frame.code, IMAGE_HEAP);
	ck_assert_int_eq(scene_look(&s), -EAGAIN);
	ck_assert_uint_eq(s.snap.n, 0);
	/* Its instruction is not in its code. */
	s.main.unit = s.main_function.n_units;
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look(&s), -EAGAIN);
	ck_assert_uint_eq(s.snap.n, 0);
	scene_end(&s);
}
END_TEST

/* To 3.13: one that seems to have been left runs nothing only if the data stack ends there. */
START_TEST(an_outermost_frame_that_seems_to_have_been_left_is_no_stack)
{
	begin(_i);
	s.main.unit = s.main_function.at[AT_RETURN];
	scene_lay_out(&s);
	ck_assert_int_eq(scene_look(&s), -EAGAIN);
	ck_assert_uint_eq(s.snap.n, 0);
	/* In another chunk it goes on, too. */
	py_image_thread(&s.im, 0, CHUNK_ADDR(1));
	ck_assert_int_eq(scene_look(&s), -EAGAIN);
	py_image_thread(&s.im, 0, s.main.addr);
	ck_assert_int_eq(scene_look(&s), 0);
	ck_assert_uint_eq(s.snap.n, 0);
	ck_assert_int_eq(s.snap.cut, PY_NOT_CUT);
	scene_end(&s);
}
END_TEST

/* The thread state leads to a frame from which no way goes back to the outermost one. */
START_TEST(a_way_back_that_is_lost_is_no_stack)
{
	begin(_i);
	s.callee.previous = 0x123456789000;
	scene_lay_out(&s);
	py_image_put(&s.im, s.main.addr + s.im.l.frame.code, 0);
	ck_assert_int_eq(scene_look(&s), -EAGAIN);
	ck_assert_uint_eq(s.snap.n, 0);
	/* Or in a ring. */
	s.callee.previous = s.callee.addr;
	scene_lay_out(&s);
	py_image_put(&s.im, s.main.addr + s.im.l.frame.code, 0);
	ck_assert_int_eq(scene_look(&s), -EAGAIN);
	ck_assert_uint_eq(s.snap.n, 0);
	scene_end(&s);
}
END_TEST

START_TEST(new_code_of_the_outermost_frame_is_no_stack_while_none_is_loaded)
{
	begin(_i);
	scene_lay_out(&s);
	py_stacks_set_loading(s.stacks, false);
	ck_assert_int_eq(scene_look(&s), -EAGAIN);
	ck_assert_uint_eq(s.snap.n, 0);
	py_stacks_set_loading(s.stacks, true);
	ck_assert_int_eq(scene_look(&s), 0);
	check_both(&s);
	scene_end(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_frames_stack");
	TCase *tc = tcase_create("py_frames_stack");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_stack_goes_on_over_several_chunks, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_stack_shrinks_by_chunks, SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_chunk_at_a_new_address_is_found, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_chunk_that_does_not_link_back_is_read_again, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_ring_of_chunks_is_left, SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_chunk_of_no_possible_size_is_none, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, an_outermost_frame_that_is_none_is_no_stack, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, a_way_back_that_is_lost_is_no_stack, SCENE_FIRST_MINOR,
			    SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, new_code_of_the_outermost_frame_is_no_stack_while_none_is_loaded,
			    SCENE_FIRST_MINOR, SCENE_BEHIND_MINOR);
	tcase_add_loop_test(tc, an_outermost_frame_that_seems_to_have_been_left_is_no_stack,
			    SCENE_FIRST_MINOR, 14);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
