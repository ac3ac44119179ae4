/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/target/thread_list.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 16
#define VISITS_MAX  32

static struct {
	pthread_t thread;
	uint32_t tid;
} threads[THREADS_MAX];
static unsigned n_threads;
static pthread_barrier_t started;
static pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER; /* held: they stay */

static uint32_t visited[VISITS_MAX];
static unsigned n_visited;

static void *stay(void *arg)
{
	*(uint32_t *)arg = (uint32_t)syscall(SYS_gettid);
	pthread_barrier_wait(&started);
	pthread_mutex_lock(&running);
	pthread_mutex_unlock(&running);
	return NULL;
}

static void start_thread(void)
{
	unsigned i = n_threads++;

	ck_assert_uint_lt(i, THREADS_MAX);
	pthread_barrier_init(&started, NULL, 2);
	ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, stay, &threads[i].tid), 0);
	pthread_barrier_wait(&started);
	pthread_barrier_destroy(&started);
}

static void setup(void)
{
	n_threads = n_visited = 0;
	pthread_mutex_lock(&running);
}

static void teardown(void)
{
	pthread_mutex_unlock(&running);
	while (n_threads)
		pthread_join(threads[--n_threads].thread, NULL);
}

static bool is_visited(uint32_t tid)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_visited; i++)
		n += visited[i] == tid;
	ck_assert_uint_le(n, 1);
	return n == 1;
}

/* arg: how many threads to start meanwhile, one at each visit. */
static int note(void *arg, int task_fd, uint32_t tid)
{
	unsigned *n_to_start = arg;

	ck_assert_int_ge(task_fd, 0);
	ck_assert_uint_lt(n_visited, VISITS_MAX);
	visited[n_visited++] = tid;
	if (*n_to_start) {
		--*n_to_start;
		start_thread();
	}
	return 0;
}

static int visit_own(int (*visit)(void *, int, uint32_t), void *arg)
{
	auto_identity struct identity id = IDENTITY_NONE;

	ck_assert_int_eq(identity_open(getpid(), &id), 0);
	return thread_list_visit(&id, visit, arg);
}

START_TEST(each_thread_is_visited_once)
{
	unsigned n_to_start = 0;

	for (unsigned i = 0; i < 5; i++)
		start_thread();
	ck_assert_int_eq(visit_own(note, &n_to_start), 0);
	ck_assert(is_visited((uint32_t)getpid()));
	for (unsigned i = 0; i < n_threads; i++)
		ck_assert(is_visited(threads[i].tid));
}
END_TEST

START_TEST(threads_that_are_started_meanwhile_are_visited_too)
{
	unsigned n_to_start = 5;

	ck_assert_int_eq(visit_own(note, &n_to_start), 0);
	ck_assert_uint_eq(n_threads, 5);
	for (unsigned i = 0; i < n_threads; i++)
		ck_assert(is_visited(threads[i].tid));
}
END_TEST

/* Starts one at each visit, without an end. */
static int multiply(void *arg, int task_fd, uint32_t tid)
{
	unsigned *n = arg;

	(void)task_fd;
	(void)tid;
	++*n;
	if (n_threads < THREADS_MAX)
		start_thread();
	return 0;
}

START_TEST(it_comes_to_an_end)
{
	unsigned n = 0;

	ck_assert_int_eq(visit_own(multiply, &n), 0);
	ck_assert_uint_gt(n, 1);
}
END_TEST

static int refuse(void *arg, int task_fd, uint32_t tid)
{
	unsigned *n = arg;

	(void)task_fd;
	(void)tid;
	++*n;
	return -E2BIG;
}

START_TEST(what_a_visit_returns_ends_it)
{
	unsigned n = 0;

	start_thread();
	ck_assert_int_eq(visit_own(refuse, &n), -E2BIG);
	ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(a_process_that_has_ended)
{
	auto_identity struct identity id = IDENTITY_NONE;
	unsigned n_to_start = 0;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(identity_open(pid, &id), 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(thread_list_visit(&id, note, &n_to_start), -ESRCH);
	ck_assert_uint_eq(n_visited, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("thread_list");
	TCase *tc = tcase_create("thread_list");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_thread_is_visited_once);
	tcase_add_test(tc, threads_that_are_started_meanwhile_are_visited_too);
	tcase_add_test(tc, it_comes_to_an_end);
	tcase_add_test(tc, what_a_visit_returns_ends_it);
	tcase_add_test(tc, a_process_that_has_ended);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
