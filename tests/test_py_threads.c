/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_threads.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/support/py_image.h"

static struct py_image im;
static remote_addr runtime;
static struct py_thread *threads;
static size_t cap;

static void begin(int minor)
{
	py_image_init(&im, (unsigned)minor);
	runtime = py_image_alloc(&im, 2048);
	threads = NULL;
	cap = 0;
}

static void end(void)
{
	free(threads);
	py_image_done(&im);
}

static int list(void)
{
	return py_threads_list(&im.mem, &im.l, runtime, &threads, &cap);
}

/* An interpreter in front of the others, as new ones are. */
static remote_addr add_interpreter(uint64_t id)
{
	remote_addr interp = py_image_alloc(&im, 8192);
	remote_addr head = runtime + im.l.runtime.interpreters_head;

	py_image_put(&im, interp + im.l.interp.next, py_image_get(&im, head));
	py_image_put(&im, interp + im.l.interp.id, id);
	if (im.l.interp.gil != LAYOUT_ABSENT)
		py_image_put(&im, interp + im.l.interp.gil, interp + 4096);
	py_image_put(&im, head, interp);
	return interp;
}

static remote_addr add_thread(remote_addr interp, uint64_t id)
{
	remote_addr tstate = py_image_alloc(&im, 400);
	remote_addr head = interp + im.l.interp.threads_head;

	py_image_put(&im, tstate + im.l.thread.next, py_image_get(&im, head));
	py_image_put(&im, tstate + im.l.thread.interp, interp);
	py_image_put(&im, tstate + im.l.thread.thread_id, 1000 + id);
	if (im.l.thread.native_thread_id != LAYOUT_ABSENT)
		py_image_put(&im, tstate + im.l.thread.native_thread_id, id);
	py_image_put(&im, head, tstate);
	return tstate;
}

START_TEST(threads_of_all_interpreters_are_listed)
{
	remote_addr main, other, first, second, third;
	uint64_t native;

	begin(_i);
	native = im.l.thread.native_thread_id != LAYOUT_ABSENT;
	main = add_interpreter(0);
	first = add_thread(main, 11);
	second = add_thread(main, 12);
	other = add_interpreter(1);
	third = add_thread(other, 13);
	ck_assert_int_eq(list(), 3);
	ck_assert_uint_eq(threads[0].tstate, third);
	ck_assert_uint_eq(threads[0].interpreter, 1);
	ck_assert_uint_eq(threads[1].tstate, second);
	ck_assert_uint_eq(threads[2].tstate, first);
	ck_assert_uint_eq(threads[2].interpreter, 0);
	ck_assert_uint_eq(threads[2].python_id, 1011);
	ck_assert_uint_eq(threads[2].native_id, native * 11);
	ck_assert_uint_eq(threads[1].gil, threads[2].gil);
	if (im.l.interp.gil != LAYOUT_ABSENT)
		ck_assert_uint_eq(threads[0].gil, other + 4096);
	else
		ck_assert_uint_eq(threads[0].gil, runtime + im.l.runtime.gil);
	end();
}
END_TEST

/* Two for the interpreter, and its GIL where it has one of its own. */
START_TEST(a_list_takes_few_reads)
{
	remote_addr interp;
	uint64_t before;

	begin(_i);
	interp = add_interpreter(7);
	add_thread(interp, 11);
	before = im.mem.n_reads;
	ck_assert_int_eq(list(), 1);
	ck_assert_uint_eq(im.mem.n_reads - before, im.l.interp.gil != LAYOUT_ABSENT ? 4 : 3);
	/* A field that is moved far away is found all the same. */
	im.l.interp.id = im.l.interp.threads_head + 512;
	py_image_put(&im, interp + im.l.interp.id, 8);
	ck_assert_int_eq(list(), 1);
	ck_assert_uint_eq(threads[0].interpreter, 8);
	ck_assert_uint_eq(threads[0].python_id, 1011);
	end();
}
END_TEST

START_TEST(an_interpreter_that_has_not_begun_has_no_threads)
{
	begin(_i);
	ck_assert_int_eq(list(), 0);
	add_interpreter(0);
	ck_assert_int_eq(list(), 0);
	end();
}
END_TEST

START_TEST(a_thread_of_another_interpreter_means_look_again)
{
	remote_addr interp, tstate;

	begin(_i);
	interp = add_interpreter(0);
	add_thread(interp, 11);
	tstate = add_thread(interp, 12);
	py_image_put(&im, tstate + im.l.thread.interp, interp + 8);
	ck_assert_int_eq(list(), -EAGAIN);
	/* Freed, and given back to the system. */
	py_image_put(&im, tstate + im.l.thread.interp, interp);
	py_image_put(&im, tstate + im.l.thread.next, 0x123456789000);
	ck_assert_int_eq(list(), -EAGAIN);
	end();
}
END_TEST

START_TEST(lists_without_end_are_left)
{
	remote_addr interp, tstate;

	begin(_i);
	interp = add_interpreter(0);
	tstate = add_thread(interp, 11);
	py_image_put(&im, tstate + im.l.thread.next, tstate);
	py_image_put(&im, interp + im.l.interp.next, interp);
	ck_assert_int_eq(list(), PY_MAX_THREADS);
	py_image_put(&im, tstate + im.l.thread.next, 0);
	ck_assert_int_eq(list(), PY_MAX_INTERPRETERS);
	end();
}
END_TEST

START_TEST(memory_that_is_gone_is_told)
{
	begin(_i);
	add_thread(add_interpreter(0), 11);
	im.gone = true;
	ck_assert_int_eq(list(), -ESRCH);
	im.gone = false;
	runtime = 0x123456789000;
	ck_assert_int_eq(list(), -EFAULT);
	end();
}
END_TEST

START_TEST(a_gil_tells_its_holder)
{
	struct py_gil gil;
	remote_addr at;

	begin(_i);
	at = py_image_alloc(&im, 208);
	py_image_put(&im, at + 8, 0x1234);
	py_image_put32(&im, at + 16, 1);
	py_image_put(&im, at + 24, 77);
	ck_assert_int_eq(py_gil_read(&im.mem, &im.l, at, &gil), 0);
	ck_assert(gil.locked);
	ck_assert_uint_eq(gil.last_holder, 0x1234);
	ck_assert_uint_eq(gil.switches, 77);
	py_image_put32(&im, at + 16, (uint32_t)-1); /* not created yet */
	ck_assert_int_eq(py_gil_read(&im.mem, &im.l, at, &gil), 0);
	ck_assert(!gil.locked);
	ck_assert_int_eq(py_gil_read(&im.mem, &im.l, 0, &gil), -EFAULT);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_threads");
	TCase *tc = tcase_create("py_threads");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, threads_of_all_interpreters_are_listed, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, an_interpreter_that_has_not_begun_has_no_threads, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_list_takes_few_reads, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_thread_of_another_interpreter_means_look_again, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, lists_without_end_are_left, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, memory_that_is_gone_is_told, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_gil_tells_its_holder, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
