/* SPDX-License-Identifier: BSD-3-Clause */
/* What probes tell of a thread, and what is told of that: as sys.settrace() would. */
#include <check.h>
#include <string.h>

#include "tests/support/exact_scene.h"
#include "tests/support/told_stacks.h"

#define LINE_BYTES ((size_t)1 << 20)
#define RING_BYTES ((size_t)4 << 20)

static struct exact_scene scene;
static struct told_stacks told;
static struct exact_function run, callee, library;
static remote_addr run_frame, callee_frame, library_frame;

static uint64_t enter(const struct exact_function *f, remote_addr frame, int32_t line)
{
	return exact_scene_say(&scene, PROBE_ENTRY, f, frame, line);
}

static uint64_t at(const struct exact_function *f, remote_addr frame, int32_t line)
{
	return exact_scene_say(&scene, PROBE_LINE, f, frame, line);
}

static uint64_t leave(const struct exact_function *f, remote_addr frame, int32_t line)
{
	return exact_scene_say(&scene, PROBE_RETURN, f, frame, line);
}

static void expect(const char *stack)
{
	const char *text = told_stacks_next(&told, scene.ring);

	ck_assert_msg(text != NULL, "nothing instead of '%s'", stack);
	ck_assert_str_eq(text, stack);
}

static void expect_at(const char *stack, uint64_t time_ns)
{
	expect(stack);
	ck_assert_uint_eq(told.time_ns, time_ns);
}

static void expect_no_more(void)
{
	ck_assert_ptr_null(told_stacks_next(&told, scene.ring));
}

static struct exact_thread *thread(void)
{
	ck_assert_uint_ge(scene.sampler->exact->n, 1);
	return scene.sampler->exact->threads[0];
}

static uint64_t n_resyncs(void)
{
	return sampler_get_exact_progress(scene.sampler)->resyncs;
}

/* Until it is known which register points to the frame, at each probe. */
static void train(void)
{
	for (int i = 0; i < 8; i++) {
		enter(&run, run_frame, 10);
		at(&run, run_frame, 11);
		leave(&run, run_frame, 11);
	}
	exact_scene_take(&scene);
	while (told_stacks_next(&told, scene.ring))
		;
	ck_assert(thread()->is_synced);
	ck_assert_uint_eq(thread()->n, 0);
}

static void setup(void)
{
	memset(&told, 0, sizeof(told));
	exact_scene_begin(&scene, LINE_BYTES, RING_BYTES);
	run = exact_scene_function(&scene, "run", 10, true);
	callee = exact_scene_function(&scene, "Class.callee", 30, true);
	library = exact_scene_function(&scene, "library", 50, false);
	run_frame = exact_scene_frame(&scene, &run);
	callee_frame = exact_scene_frame(&scene, &callee);
	library_frame = exact_scene_frame(&scene, &library);
	exact_scene_take(&scene);
	train();
}

static void teardown(void)
{
	exact_scene_end(&scene);
}

START_TEST(lines_calls_and_returns)
{
	uint64_t times[8];

	enter(&run, run_frame, 10);
	times[0] = at(&run, run_frame, 11);
	times[1] = at(&run, run_frame, 12);
	enter(&callee, callee_frame, 30);
	times[2] = at(&callee, callee_frame, 31);
	times[3] = at(&callee, callee_frame, 32);
	times[4] = leave(&callee, callee_frame, 32);
	times[5] = at(&run, run_frame, 12); /* again */
	times[6] = leave(&run, run_frame, 12);
	exact_scene_take(&scene);
	expect_at("run:11", times[0]);
	ck_assert_uint_eq(told.provenance, PROVENANCE_EXACT);
	expect_at("run:12", times[1]);
	expect_at("run:12 Class.callee:31", times[2]);
	expect_at("run:12 Class.callee:32", times[3]);
	expect_at("run:12", times[4]);
	expect_at("run:12", times[5]);
	expect_at("", times[6]);
	expect_no_more();
	ck_assert_uint_eq(n_resyncs(), 0);
}
END_TEST

START_TEST(what_is_not_followed_is_not_told_but_counts)
{
	enter(&library, library_frame, 50);
	at(&library, library_frame, 51);
	enter(&run, run_frame, 10);
	at(&run, run_frame, 11);
	/* It calls back. */
	enter(&library, library_frame + 8, 50);
	enter(&callee, callee_frame, 30);
	at(&callee, callee_frame, 31);
	leave(&callee, callee_frame, 31);
	leave(&library, library_frame + 8, 51);
	at(&run, run_frame, 12);
	leave(&run, run_frame, 12);
	leave(&library, library_frame, 52);
	exact_scene_take(&scene);
	expect("run:11");
	expect("run:11 Class.callee:31");
	expect("run:11");
	expect("run:12");
	expect("");
	expect_no_more();
	ck_assert_uint_eq(thread()->n, 0);
}
END_TEST

START_TEST(recursion)
{
	remote_addr frames[5];

	for (unsigned i = 0; i < 5; i++) {
		frames[i] = exact_scene_frame(&scene, &run);
		enter(&run, frames[i], 10);
		at(&run, frames[i], 11);
	}
	for (unsigned i = 5; i-- > 0;)
		leave(&run, frames[i], 11);
	exact_scene_take(&scene);
	expect("run:11");
	expect("run:11 run:11");
	expect("run:11 run:11 run:11");
	expect("run:11 run:11 run:11 run:11");
	expect("run:11 run:11 run:11 run:11 run:11");
	expect("run:11 run:11 run:11 run:11");
	expect("run:11 run:11 run:11");
	expect("run:11 run:11");
	expect("run:11");
	expect("");
	expect_no_more();
}
END_TEST

/* --- first lines --- */

/* A lambda: its line is that of its definition, and no probe tells it. */
START_TEST(a_first_line_that_is_not_told)
{
	static const uint8_t one_line[] = {0xd0, 0, 0, 0xd0, 0, 0, 0xd0, 0, 0, 0xd0, 0, 0};
	struct exact_function lambda =
	    exact_scene_function(&scene, "f.<locals>.<lambda>", 20, true);
	remote_addr frame = exact_scene_frame(&scene, &lambda);
	uint64_t entered_ns, left_ns;

	py_image_put(&scene.im, lambda.image.code + scene.im.l.code.linetable,
		     py_image_bytes(&scene.im, one_line, sizeof(one_line)));
	entered_ns = enter(&lambda, frame, 20);
	left_ns = leave(&lambda, frame, 20);
	exact_scene_take(&scene);
	expect_at("f.<locals>.<lambda>:20", entered_ns);
	expect_at("", left_ns);
	expect_no_more();

	/* It calls before anything else is told of it. */
	entered_ns = enter(&lambda, frame, 20);
	enter(&run, run_frame, 10);
	at(&run, run_frame, 11);
	leave(&run, run_frame, 11);
	leave(&lambda, frame, 20);
	exact_scene_take(&scene);
	expect_at("f.<locals>.<lambda>:20", entered_ns);
	expect("f.<locals>.<lambda>:20 run:11");
	expect("f.<locals>.<lambda>:20");
	expect("");
	expect_no_more();

	/* A further line of it is told: the first one was before that. */
	entered_ns = enter(&lambda, frame, 20);
	at(&lambda, frame, 21);
	leave(&lambda, frame, 21);
	exact_scene_take(&scene);
	expect_at("f.<locals>.<lambda>:20", entered_ns);
	expect("f.<locals>.<lambda>:21");
	expect("");
	expect_no_more();
}
END_TEST

/* A generator into which an exception is thrown before it begins. */
START_TEST(a_function_that_is_left_before_its_first_line)
{
	uint64_t left_ns;

	enter(&callee, callee_frame, 30);
	at(&callee, callee_frame, 31);
	enter(&run, run_frame, 10);
	left_ns = leave(&run, run_frame, 10);
	exact_scene_take(&scene);
	expect("Class.callee:31");
	expect_at("Class.callee:31", left_ns);
	expect_no_more();
}
END_TEST

START_TEST(a_module_begins_with_its_first_line)
{
	uint64_t begin;

	enter(&run, run_frame, 10);
	at(&run, run_frame, 11);
	enter(&callee, callee_frame, 0);
	begin = at(&callee, callee_frame, 32);
	leave(&callee, callee_frame, 32);
	exact_scene_take(&scene);
	expect("run:11");
	expect_at("run:11 Class.callee:32", begin);
	expect("run:11");
	expect_no_more();
}
END_TEST

START_TEST(a_generator_that_goes_on)
{
	uint64_t entered_ns;

	enter(&run, run_frame, 10);
	at(&run, run_frame, 11);
	/* Where it stopped: that it goes on there is told by its entry alone. */
	entered_ns = enter(&callee, callee_frame, 33);
	at(&callee, callee_frame, 34);
	leave(&callee, callee_frame, 34);
	exact_scene_take(&scene);
	expect("run:11");
	expect_at("run:11 Class.callee:33", entered_ns);
	expect("run:11 Class.callee:34");
	expect("run:11");
	expect_no_more();
}
END_TEST

START_TEST(a_line_that_is_told_twice_after_an_await)
{
	struct exact_function coro = exact_scene_function(&scene, "coro", 70, true);
	remote_addr frame = exact_scene_frame(&scene, &coro);

	/* SEND in unit 2, which is line 72. */
	*py_image_at(&scene.im, coro.image.code + scene.im.l.code.code_adaptive + 4, 1) = 123;
	enter(&coro, frame, 72);
	at(&coro, frame, 72); /* once more */
	at(&coro, frame, 72); /* again indeed */
	at(&coro, frame, 73);
	leave(&coro, frame, 73);
	exact_scene_take(&scene);
	expect("coro:72");
	expect("coro:72");
	expect("coro:73");
	expect("");
	expect_no_more();
}
END_TEST

/* --- what does not fit --- */

START_TEST(frames_that_are_gone_though_it_was_not_told)
{
	enter(&run, run_frame, 10);
	at(&run, run_frame, 11);
	enter(&library, library_frame, 50);
	enter(&callee, callee_frame, 30);
	at(&callee, callee_frame, 31);
	at(&run, run_frame, 12);
	exact_scene_take(&scene);
	expect("run:11");
	expect("run:11 Class.callee:31");
	expect("run:11");
	expect("run:12");
	expect_no_more();
	ck_assert_uint_eq(thread()->n, 1);
	ck_assert_uint_eq(n_resyncs(), 0);
}
END_TEST

START_TEST(a_frame_that_is_not_known)
{
	enter(&run, run_frame, 10);
	at(&run, run_frame, 11);
	at(&callee, callee_frame, 31);
	at(&callee, callee_frame, 32);
	exact_scene_take(&scene);
	expect("run:11");
	expect_no_more(); /* what is not certain is not told */
	ck_assert_uint_eq(n_resyncs(), 1);
	ck_assert(!thread()->is_told);
}
END_TEST

START_TEST(a_return_that_was_not_entered)
{
	leave(&run, run_frame, 11);
	exact_scene_take(&scene);
	expect_no_more();
	ck_assert_uint_eq(n_resyncs(), 1);
}
END_TEST

/* A look came first, and what it has seen is told once more. */
START_TEST(a_frame_that_is_there_is_not_entered)
{
	enter(&run, run_frame, 10);
	at(&run, run_frame, 11);
	enter(&run, run_frame, 10);
	at(&run, run_frame, 12);
	exact_scene_take(&scene);
	expect("run:11");
	expect("run:12");
	expect_no_more();
	ck_assert_uint_eq(thread()->n, 1);
}
END_TEST

START_TEST(names_that_cannot_be_read)
{
	struct exact_function lost = run;

	lost.name_at = 0x1000;
	enter(&callee, callee_frame, 30);
	at(&callee, callee_frame, 31);
	enter(&lost, run_frame, 10);
	exact_scene_take(&scene);
	expect("Class.callee:31");
	expect_no_more();
	ck_assert_uint_eq(thread()->n, 0);
	ck_assert(!thread()->is_told);
}
END_TEST

START_TEST(stacks_without_an_end)
{
	/* Not followed: nothing is told, but each is there. */
	for (uint64_t i = 0; i < EXACT_FRAMES_MAX + 5; i++) {
		enter(&library, library_frame + 8 + 8 * i, 50);
		if (i % 1000 == 0)
			exact_scene_take(&scene);
		ck_assert_uint_le(thread()->n, EXACT_FRAMES_MAX);
	}
	exact_scene_take(&scene);
	ck_assert_uint_lt(thread()->n, 100);
	expect_no_more();
}
END_TEST

START_TEST(a_thread_that_was_not_known)
{
	struct line_write what;

	exact_scene_fill(&scene, &what, PROBE_ENTRY, &run, run_frame, 10);
	what.tid = 77;
	what.time_ns = ++scene.last_ns;
	ck_assert(line_writer_sample(&scene.writer, &what));
	exact_scene_fill(&scene, &what, PROBE_LINE, &run, run_frame, 11);
	what.tid = 77;
	what.time_ns = ++scene.last_ns;
	ck_assert(line_writer_sample(&scene.writer, &what));
	exact_scene_take(&scene);
	expect_at("run:11", what.time_ns);
	ck_assert_uint_ne(told.thread, scene.track->number);
	ck_assert_uint_eq(scene.sampler->exact->n, 2);
}
END_TEST

/* One that was started while the events were opened has them twice. */
START_TEST(what_comes_twice_counts_once)
{
	struct line_write what;

	enter(&run, run_frame, 10);
	for (int32_t line = 11; line < 15; line++) {
		exact_scene_fill(&scene, &what, PROBE_LINE, &run, run_frame, line);
		what.time_ns = ++scene.last_ns;
		ck_assert(line_writer_sample(&scene.writer, &what));
		what.event += 1000;
		ck_assert(line_writer_sample(&scene.writer, &what));
	}
	exact_scene_take(&scene);
	expect("run:11");
	expect("run:12");
	expect("run:13");
	expect("run:14");
	expect_no_more();
}
END_TEST

START_TEST(records_of_no_probe_are_left_out)
{
	struct line_write what;

	enter(&run, run_frame, 10);
	exact_scene_fill(&scene, &what, PROBE_LINE, &run, run_frame, 99);
	what.ip = 0x9999;
	what.time_ns = ++scene.last_ns;
	ck_assert(line_writer_sample(&scene.writer, &what));
	at(&run, run_frame, 11);
	exact_scene_take(&scene);
	expect("run:11");
	expect_no_more();
}
END_TEST

START_TEST(what_was_lost_is_a_gap)
{
	enter(&run, run_frame, 10);
	at(&run, run_frame, 11);
	ck_assert(line_writer_lost(&scene.writer, 33, ++scene.last_ns));
	/* Of this nobody knows in which frame it was called. */
	at(&callee, callee_frame, 31);
	exact_scene_take(&scene);
	expect("run:11");
	expect_no_more();
	ck_assert_uint_eq(told.n_gaps[GAP_LINES_LOST], 1);
	ck_assert_uint_eq(told.n_lost, 33);
	ck_assert_uint_eq(sampler_get_exact_progress(scene.sampler)->lost, 33);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exact_frames");
	TCase *tc = tcase_create("exact_frames");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lines_calls_and_returns);
	tcase_add_test(tc, what_is_not_followed_is_not_told_but_counts);
	tcase_add_test(tc, recursion);
	tcase_add_test(tc, a_first_line_that_is_not_told);
	tcase_add_test(tc, a_function_that_is_left_before_its_first_line);
	tcase_add_test(tc, a_module_begins_with_its_first_line);
	tcase_add_test(tc, a_generator_that_goes_on);
	tcase_add_test(tc, a_line_that_is_told_twice_after_an_await);
	tcase_add_test(tc, frames_that_are_gone_though_it_was_not_told);
	tcase_add_test(tc, a_frame_that_is_not_known);
	tcase_add_test(tc, a_return_that_was_not_entered);
	tcase_add_test(tc, a_frame_that_is_there_is_not_entered);
	tcase_add_test(tc, names_that_cannot_be_read);
	tcase_add_test(tc, stacks_without_an_end);
	tcase_add_test(tc, a_thread_that_was_not_known);
	tcase_add_test(tc, what_comes_twice_counts_once);
	tcase_add_test(tc, records_of_no_probe_are_left_out);
	tcase_add_test(tc, what_was_lost_is_a_gap);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
