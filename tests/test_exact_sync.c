/* SPDX-License-Identifier: BSD-3-Clause */
/* The frames of a thread that runs already, of which probes begin to tell. */
#include <check.h>
#include <string.h>

#include "common/clock.h"
#include "tests/support/exact_scene.h"
#include "tests/support/told_stacks.h"

#define LINE_BYTES ((size_t)1 << 20)
#define RING_BYTES ((size_t)4 << 20)

#define MAIN_ADDR (IMAGE_CHUNK + 32)

static struct exact_scene scene;
static struct told_stacks told;
static struct exact_function outer, inner, library;
static struct image_frame frames[2]; /* outer() has called inner() */
static void (*on_look)(void);	     /* once */

static struct exact_thread *thread(void)
{
	ck_assert_uint_eq(scene.sampler->exact->n, 1);
	return scene.sampler->exact->threads[0];
}

static void say(enum line_probe_kind kind, const struct exact_function *f, remote_addr frame,
		int32_t line)
{
	exact_scene_say(&scene, kind, f, frame, line);
}

static void take(void)
{
	exact_scene_take(&scene);
}

static void expect(const char *stack)
{
	const char *text = told_stacks_next(&told, scene.ring);

	ck_assert_msg(text != NULL, "nothing instead of '%s'", stack);
	ck_assert_str_eq(text, stack);
}

static void expect_nothing(void)
{
	ck_assert_ptr_null(told_stacks_next(&told, scene.ring));
}

/* --- memory --- */

/* Frames lie one behind the other, each waits in a call of the next one. */
static void lay_out_two(const struct exact_function *first, const struct exact_function *second)
{
	frames[0] = (struct image_frame){
	    .addr = MAIN_ADDR,
	    .function = &first->image,
	    .unit = py_image_waiting(&scene.im, &first->image, AT_CALL),
	    .waits = true,
	};
	frames[1] = (struct image_frame){
	    .addr = MAIN_ADDR + 8 * (uint64_t)first->image.frame_words,
	    .previous = MAIN_ADDR,
	    .function = &second->image,
	    .unit = second->image.at[AT_LOAD],
	};
	py_image_frame(&scene.im, &frames[0]);
	py_image_frame(&scene.im, &frames[1]);
	py_image_put(&scene.im, py_image_operand(&scene.im, &frames[0], 0), second->image.object);
	py_image_thread(&scene.im, frames[1].addr,
			frames[1].addr + 8 * (uint64_t)second->image.frame_words);
}

/* The first one goes on by itself. */
static void lay_out_one(const struct exact_function *first)
{
	lay_out_two(first, first);
	frames[0].waits = false;
	frames[0].unit = first->image.at[AT_LOAD_AGAIN];
	py_image_frame(&scene.im, &frames[0]);
	py_image_thread(&scene.im, frames[0].addr, frames[1].addr);
}

/* Something happens while the sampler looks at the stack. */
static void after_read(struct py_image *im, remote_addr addr, uint8_t *buf, size_t len)
{
	void (*happens)(void) = on_look;

	(void)im;
	(void)buf;
	if (addr + len <= IMAGE_CHUNK || addr >= IMAGE_CHUNK + IMAGE_CHUNK_BYTES)
		return;
	on_look = NULL;
	if (happens)
		happens();
}

/* Which register points to the frame is known; the thread runs nothing. */
static void train(void)
{
	const remote_addr frame = exact_scene_frame(&scene, &outer);

	take();
	for (int i = 0; i < 8; i++) {
		say(PROBE_ENTRY, &outer, frame, 10);
		say(PROBE_LINE, &outer, frame, 11);
		say(PROBE_RETURN, &outer, frame, 11);
	}
	take();
	while (told_stacks_next(&told, scene.ring))
		;
	ck_assert(thread()->is_synced);
}

static void lose_sync(void)
{
	exact_lose_sync(scene.sampler, thread(), clock_monotonic_ns());
	ck_assert(!thread()->is_synced);
}

static void setup(void)
{
	memset(&told, 0, sizeof(told));
	on_look = NULL;
	exact_scene_begin(&scene, LINE_BYTES, RING_BYTES);
	outer = exact_scene_function(&scene, "outer", 10, true);
	inner = exact_scene_function(&scene, "Class.inner", 30, true);
	library = exact_scene_function(&scene, "library", 50, false);
	scene.im.after_read = after_read;
	train();
	lose_sync();
}

static void teardown(void)
{
	exact_scene_end(&scene);
}

START_TEST(the_stack_is_that_of_a_look)
{
	lay_out_two(&outer, &inner);
	take();
	ck_assert(thread()->is_synced);
	ck_assert_uint_eq(thread()->n, 2);
	expect_nothing(); /* that it has changed is told, not that it is there */
	say(PROBE_LINE, &inner, frames[1].addr, 33);
	say(PROBE_RETURN, &inner, frames[1].addr, 33);
	say(PROBE_LINE, &outer, frames[0].addr, 18);
	take();
	expect("outer:16 Class.inner:33");
	ck_assert_uint_eq(told.is_first, 1);
	expect("outer:16");
	ck_assert_uint_eq(told.is_first, 0);
	expect("outer:18");
	expect_nothing();
}
END_TEST

START_TEST(a_thread_that_runs_nothing)
{
	const remote_addr frame = exact_scene_frame(&scene, &inner);

	py_image_thread(&scene.im, 0, MAIN_ADDR);
	take();
	ck_assert(thread()->is_synced);
	ck_assert_uint_eq(thread()->n, 0);
	say(PROBE_ENTRY, &inner, frame, 30);
	say(PROBE_LINE, &inner, frame, 31);
	take();
	expect("Class.inner:31");
}
END_TEST

START_TEST(frames_that_are_not_followed_are_known_as_well)
{
	lay_out_two(&library, &inner);
	take();
	ck_assert_uint_eq(thread()->n, 2);
	say(PROBE_LINE, &inner, frames[1].addr, 33);
	say(PROBE_RETURN, &inner, frames[1].addr, 33);
	say(PROBE_LINE, &library, frames[0].addr, 52);
	take();
	expect("Class.inner:33");
	expect("");
	expect_nothing();
}
END_TEST

/* --- while the look is on its way --- */

static void inner_returns(void)
{
	say(PROBE_RETURN, &inner, frames[1].addr, 33);
}

START_TEST(a_frame_that_returned_meanwhile_is_left_out)
{
	lay_out_two(&outer, &inner);
	on_look = inner_returns;
	take();
	ck_assert(thread()->is_synced);
	ck_assert_uint_eq(thread()->n, 1);
	say(PROBE_LINE, &outer, frames[0].addr, 18);
	take();
	expect("outer:18");
}
END_TEST

static void library_comes_and_goes(void)
{
	const remote_addr addr = frames[1].addr + 800;

	say(PROBE_ENTRY, &library, addr, 50);
	say(PROBE_RETURN, &library, addr, 51);
}

START_TEST(a_call_that_is_over_changes_nothing)
{
	lay_out_two(&outer, &inner);
	on_look = library_comes_and_goes;
	take();
	ck_assert(thread()->is_synced);
	ck_assert_uint_eq(thread()->n, 2);
}
END_TEST

static void outer_calls_inner(void)
{
	say(PROBE_ENTRY, &inner, frames[1].addr, 30);
}

START_TEST(a_call_that_goes_on_takes_another_look)
{
	lay_out_one(&outer);
	on_look = outer_calls_inner;
	take();
	ck_assert(!thread()->is_synced);
	lay_out_two(&outer, &inner);
	take();
	ck_assert(thread()->is_synced);
	ck_assert_uint_eq(thread()->n, 2);
	say(PROBE_LINE, &inner, frames[1].addr, 31);
	take();
	expect("outer:16 Class.inner:31");
}
END_TEST

static void outer_goes_on(void)
{
	say(PROBE_LINE, &outer, frames[0].addr, 19);
	say(PROBE_LINE, &outer, frames[0].addr, 20);
	say(PROBE_ENTRY, &inner, frames[1].addr, 30);
	say(PROBE_RETURN, &inner, frames[1].addr, 31);
}

/* The line that was told last is younger than the one that the look has seen. */
START_TEST(lines_that_were_told_meanwhile)
{
	lay_out_two(&outer, &inner);
	on_look = outer_goes_on;
	take();
	ck_assert(thread()->is_synced);
	ck_assert_uint_eq(thread()->n, 1);
	ck_assert_int_eq(thread()->frames[0].line, 20);
	say(PROBE_ENTRY, &inner, frames[1].addr, 30);
	say(PROBE_LINE, &inner, frames[1].addr, 31);
	take();
	expect("outer:20 Class.inner:31");
}
END_TEST

static void more_than_is_noted(void)
{
	for (uint64_t i = 0; i <= EXACT_MET_MAX; i++) {
		say(PROBE_ENTRY, &library, frames[1].addr + 800 + 8 * i, 50);
		say(PROBE_RETURN, &library, frames[1].addr + 800 + 8 * i, 51);
	}
}

START_TEST(too_much_happened_meanwhile)
{
	lay_out_two(&outer, &inner);
	on_look = more_than_is_noted;
	take();
	ck_assert(!thread()->is_synced);
	ck_assert(thread()->is_met_full);
	expect_nothing();
	/* The next time it may be less. */
	take();
	ck_assert(thread()->is_synced);
}
END_TEST

static void something_is_lost(void)
{
	ck_assert(line_writer_lost(&scene.writer, 7, ++scene.last_ns));
}

START_TEST(some_of_it_was_lost_meanwhile)
{
	lay_out_two(&outer, &inner);
	on_look = something_is_lost;
	take();
	ck_assert(!thread()->is_synced);
	take();
	ck_assert(thread()->is_synced);
	ck_assert_uint_eq(thread()->n, 2);
}
END_TEST

/* A program can say that anything happens. */
START_TEST(calls_without_an_end)
{
	struct line_event e = {.kind = PROBE_ENTRY};

	for (uint64_t i = 0; i < EXACT_FRAMES_MAX + 10; i++)
		exact_sync_note(thread(), &e, 8 * (i + 1));
	ck_assert_uint_le(thread()->n, EXACT_FRAMES_MAX);
	ck_assert(thread()->is_met_full);
	lay_out_two(&outer, &inner);
	take();
	ck_assert(thread()->is_synced);
	ck_assert_uint_eq(thread()->n, 2);
}
END_TEST

/* --- looks that fail --- */

START_TEST(a_stack_that_is_not_whole)
{
	/* inner() is not what outer() calls. */
	lay_out_two(&outer, &inner);
	py_image_put(&scene.im, py_image_operand(&scene.im, &frames[0], 0), outer.image.object);
	take();
	ck_assert(!thread()->is_synced);
	say(PROBE_LINE, &inner, frames[1].addr, 33);
	take();
	ck_assert(!thread()->is_synced);
	expect_nothing();
	lay_out_two(&outer, &inner);
	take();
	ck_assert(thread()->is_synced);
}
END_TEST

START_TEST(memory_that_cannot_be_read)
{
	lay_out_two(&outer, &inner);
	scene.im.gone = true;
	take();
	ck_assert(!thread()->is_synced);
	scene.im.gone = false;
	take();
	ck_assert(thread()->is_synced);
}
END_TEST

START_TEST(when_exact_mode_ends_looks_tell_again)
{
	lay_out_two(&outer, &inner);
	take();
	ck_assert_int_eq((int)scene.track->told_by, PROVENANCE_EXACT);
	sampler_set_exact(scene.sampler, NULL);
	take();
	ck_assert_ptr_null(scene.sampler->exact);
	ck_assert_int_eq((int)scene.track->told_by, PROVENANCE_OBSERVED);
	ck_assert(!sampler_get_exact_progress(scene.sampler)->is_on);

	/* And once more. */
	exact_scene_offer(&scene);
	take();
	ck_assert(thread()->is_synced);
	ck_assert(sampler_get_exact_progress(scene.sampler)->is_on);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exact_sync");
	TCase *tc = tcase_create("exact_sync");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_stack_is_that_of_a_look);
	tcase_add_test(tc, a_thread_that_runs_nothing);
	tcase_add_test(tc, frames_that_are_not_followed_are_known_as_well);
	tcase_add_test(tc, a_frame_that_returned_meanwhile_is_left_out);
	tcase_add_test(tc, a_call_that_is_over_changes_nothing);
	tcase_add_test(tc, a_call_that_goes_on_takes_another_look);
	tcase_add_test(tc, lines_that_were_told_meanwhile);
	tcase_add_test(tc, too_much_happened_meanwhile);
	tcase_add_test(tc, some_of_it_was_lost_meanwhile);
	tcase_add_test(tc, calls_without_an_end);
	tcase_add_test(tc, a_stack_that_is_not_whole);
	tcase_add_test(tc, memory_that_cannot_be_read);
	tcase_add_test(tc, when_exact_mode_ends_looks_tell_again);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
