/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/look.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "tests/support/task_checks.h"

#define PATIENCE_NS (20 * NS_PER_S)
#define LONG_NS	    (60 * NS_PER_S)
#define SHORT_NS    (20 * NS_PER_MS)

/* What the looks of a test have come to; outlives them all. */
struct tally {
	int n_done, n_late, n_returned;
	int last_result;
	atomic_int n_discarded;
	int pipe[2]; /* looks block on it until it has a byte for each */
	struct look_pool *free_in_done;
};

struct job {
	struct tally *tally;
	bool blocks;
	int result;
};

static int run(void *arg)
{
	struct job *job = arg;
	char c;

	if (job->blocks && read(job->tally->pipe[0], &c, 1) != 1)
		return -EIO;
	return job->result;
}

static void done(void *arg, int result)
{
	struct tally *t = ((struct job *)arg)->tally;

	t->n_done++;
	t->n_late += result == -ETIMEDOUT;
	t->last_result = result;
	if (t->free_in_done)
		look_pool_free(t->free_in_done);
}

static void returned(void *arg)
{
	((struct job *)arg)->tally->n_returned++;
}

static void discard(void *arg)
{
	struct job *job = arg;

	atomic_fetch_add(&job->tally->n_discarded, 1);
	free(job);
}

static const struct look_ops ops = {
    .run = run, .done = done, .returned = returned, .discard = discard};

static void tally_init(struct tally *t)
{
	*t = (struct tally){0};
	ck_assert_int_eq(pipe(t->pipe), 0);
}

static void tally_done(struct tally *t)
{
	close(t->pipe[0]);
	close(t->pipe[1]);
}

static int submit(struct look_pool *pool, struct tally *t, bool blocks, int result,
		  uint64_t within_ns)
{
	struct job *job = xcalloc(1, sizeof(*job));
	int r;

	job->tally = t;
	job->blocks = blocks;
	job->result = result;
	r = look_submit(pool, &ops, job, clock_monotonic_ns() + within_ns);
	if (r < 0)
		free(job);
	return r;
}

static void unblock(const struct tally *t)
{
	ck_assert_int_eq(write(t->pipe[1], "x", 1), 1);
}

/* Collect until *count is at least n. */
static void collect_until(struct look_pool *pool, const int *count, int n)
{
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;

	while (*count < n && clock_monotonic_ns() < end_ns) {
		struct pollfd p = {.fd = look_pool_fd(pool), .events = POLLIN};

		if (poll(&p, 1, 1000) > 0)
			look_pool_collect(pool);
	}
	ck_assert_int_eq(*count, n);
}

START_TEST(a_look_is_told_of_once)
{
	struct look_pool *pool = look_pool_new(2);
	struct tally t;

	tally_init(&t);
	ck_assert_ptr_nonnull(pool);
	ck_assert_int_eq(submit(pool, &t, false, 42, LONG_NS), 0);
	collect_until(pool, &t.n_done, 1);
	ck_assert_int_eq(t.last_result, 42);
	ck_assert_int_eq(atomic_load(&t.n_discarded), 1);
	look_pool_collect(pool);
	ck_assert_int_eq(t.n_done, 1);
	ck_assert_int_eq(t.n_returned, 0);
	look_pool_free(pool);
	tally_done(&t);
}
END_TEST

START_TEST(an_idle_thread_takes_the_next_look)
{
	int n_threads = count_threads();
	struct look_pool *pool = look_pool_new(8);
	struct tally t;

	tally_init(&t);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(submit(pool, &t, false, i, LONG_NS), 0);
		collect_until(pool, &t.n_done, i + 1);
		ck_assert_int_eq(t.last_result, i);
		/* One may still be on its way to being idle. */
		ck_assert_int_le(count_entries("/proc/self/task"), n_threads + 2);
	}
	look_pool_free(pool);
	wait_for_threads(n_threads);
	tally_done(&t);
}
END_TEST

START_TEST(a_late_look_is_told_of_once_and_released_when_it_returns)
{
	struct look_pool *pool = look_pool_new(2);
	struct tally t;

	tally_init(&t);
	ck_assert_int_eq(submit(pool, &t, true, 1, SHORT_NS), 0);
	collect_until(pool, &t.n_late, 1);
	ck_assert_uint_eq(look_pool_stuck(pool), 1);
	ck_assert_int_eq(atomic_load(&t.n_discarded), 0);
	/* Others go on. */
	ck_assert_int_eq(submit(pool, &t, false, 7, LONG_NS), 0);
	collect_until(pool, &t.n_done, 2);
	ck_assert_int_eq(t.last_result, 7);
	unblock(&t);
	collect_until(pool, &t.n_returned, 1);
	ck_assert_int_eq(t.n_done, 2);
	ck_assert_int_eq(t.n_late, 1);
	ck_assert_int_eq(atomic_load(&t.n_discarded), 2);
	ck_assert_uint_eq(look_pool_stuck(pool), 0);
	look_pool_free(pool);
	tally_done(&t);
}
END_TEST

START_TEST(stuck_threads_are_bounded)
{
	struct look_pool *pool = look_pool_new(3);
	struct tally t;

	tally_init(&t);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(submit(pool, &t, true, i, SHORT_NS), 0);
	ck_assert_int_eq(submit(pool, &t, false, 9, LONG_NS), -EBUSY);
	collect_until(pool, &t.n_late, 3);
	ck_assert_int_eq(submit(pool, &t, false, 9, LONG_NS), -EBUSY);
	unblock(&t);
	collect_until(pool, &t.n_returned, 1);
	/* Its thread becomes idle a moment after it was told of. */
	for (uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	     submit(pool, &t, false, 9, LONG_NS) < 0;)
		ck_assert(clock_monotonic_ns() < end_ns);
	collect_until(pool, &t.n_done, 4);
	ck_assert_int_eq(t.last_result, 9);
	unblock(&t);
	unblock(&t);
	collect_until(pool, &t.n_returned, 3);
	look_pool_free(pool);
	tally_done(&t);
}
END_TEST

START_TEST(a_pool_is_freed_while_looks_are_stuck)
{
	int n_threads = count_threads();
	struct look_pool *pool = look_pool_new(4);
	uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct tally t;

	tally_init(&t);
	/* One late, one under way, one returned and not told of. */
	ck_assert_int_eq(submit(pool, &t, true, 1, SHORT_NS), 0);
	collect_until(pool, &t.n_late, 1);
	ck_assert_int_eq(submit(pool, &t, true, 2, LONG_NS), 0);
	ck_assert_int_eq(submit(pool, &t, false, 3, LONG_NS), 0);
	look_pool_free(pool);
	unblock(&t);
	unblock(&t);
	while (atomic_load(&t.n_discarded) < 3 && clock_monotonic_ns() < end_ns)
		poll(NULL, 0, 1);
	ck_assert_int_eq(atomic_load(&t.n_discarded), 3);
	ck_assert_int_eq(t.n_done, 1);
	ck_assert_int_eq(t.n_returned, 0);
	wait_for_threads(n_threads);
	tally_done(&t);
}
END_TEST

START_TEST(a_pool_may_be_freed_by_who_is_told)
{
	struct tally t;

	for (int late = 0; late < 2; late++) {
		struct look_pool *pool = look_pool_new(4);
		uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;

		tally_init(&t);
		t.free_in_done = pool;
		ck_assert_int_eq(submit(pool, &t, late, 1, late ? SHORT_NS : LONG_NS), 0);
		collect_until(pool, &t.n_done, 1);
		ck_assert_int_eq(t.n_late, late);
		unblock(&t);
		while (atomic_load(&t.n_discarded) < 1 && clock_monotonic_ns() < end_ns)
			poll(NULL, 0, 1);
		ck_assert_int_eq(atomic_load(&t.n_discarded), 1);
		tally_done(&t);
	}
	look_pool_free(NULL);
}
END_TEST

START_TEST(looks_that_return_just_in_time_are_told_of_once)
{
	struct look_pool *pool = look_pool_new(4);
	struct tally t;

	tally_init(&t);
	for (int i = 0; i < 300; i++) {
		ck_assert_int_eq(submit(pool, &t, true, 1, (uint64_t)i * 2000), 0);
		unblock(&t);
		collect_until(pool, &t.n_done, i + 1);
		if (t.last_result == -ETIMEDOUT)
			collect_until(pool, &t.n_returned, t.n_late);
	}
	ck_assert_int_eq(t.n_done, 300);
	ck_assert_int_eq(atomic_load(&t.n_discarded), 300);
	look_pool_free(pool);
	tally_done(&t);
}
END_TEST

START_TEST(idle_threads_end)
{
	int n_threads = count_threads();
	struct look_pool *pool = look_pool_new(8);
	struct tally t;

	tally_init(&t);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(submit(pool, &t, true, 1, LONG_NS), 0);
	ck_assert_int_eq(count_entries("/proc/self/task"), n_threads + 4);
	for (int i = 0; i < 4; i++)
		unblock(&t);
	collect_until(pool, &t.n_done, 4);
	wait_for_threads(n_threads);
	/* And the pool still works. */
	ck_assert_int_eq(submit(pool, &t, false, 5, LONG_NS), 0);
	collect_until(pool, &t.n_done, 5);
	look_pool_free(pool);
	tally_done(&t);
}
END_TEST

START_TEST(nothing_is_left_behind)
{
	int n_threads = count_threads(), n_fds = count_entries("/proc/self/fd");

	for (int i = 0; i < 200; i++) {
		struct look_pool *pool = look_pool_new(4);
		struct tally t;

		tally_init(&t);
		ck_assert_int_eq(submit(pool, &t, false, 1, LONG_NS), 0);
		collect_until(pool, &t.n_done, 1);
		look_pool_free(pool);
		tally_done(&t);
	}
	wait_for_threads(n_threads);
	ck_assert_int_eq(count_entries("/proc/self/fd"), n_fds);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("look");
	TCase *tc = tcase_create("look");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_look_is_told_of_once);
	tcase_add_test(tc, an_idle_thread_takes_the_next_look);
	tcase_add_test(tc, a_late_look_is_told_of_once_and_released_when_it_returns);
	tcase_add_test(tc, stuck_threads_are_bounded);
	tcase_add_test(tc, a_pool_is_freed_while_looks_are_stuck);
	tcase_add_test(tc, a_pool_may_be_freed_by_who_is_told);
	tcase_add_test(tc, looks_that_return_just_in_time_are_told_of_once);
	tcase_add_test(tc, idle_threads_end);
	tcase_add_test(tc, nothing_is_left_behind);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
