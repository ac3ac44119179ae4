/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/wait_queue.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#define MANY 20000

static bool is_readable(const struct wait_queue *q)
{
	struct pollfd p = {.fd = wait_queue_fd(q), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

START_TEST(notices_come_in_order)
{
	struct wait_queue *q = wait_queue_new();
	struct wait_notice n;

	ck_assert_ptr_nonnull(q);
	ck_assert(!is_readable(q));
	for (uint16_t i = 1; i <= 3; i++)
		wait_queue_put(q, &(struct wait_notice){.since_ns = 100u + i, .thread = i});
	ck_assert(is_readable(q));
	wait_queue_begin(q);
	ck_assert(!is_readable(q));
	for (uint16_t i = 1; i <= 3; i++) {
		ck_assert(wait_queue_take(q, &n));
		ck_assert_uint_eq(n.thread, i);
		ck_assert_uint_eq(n.since_ns, 100u + i);
	}
	ck_assert(!wait_queue_take(q, &n));
	wait_queue_free(q);
}
END_TEST

/* What does not fit is lost, what was there before is not. */
START_TEST(a_full_queue_takes_no_more)
{
	struct wait_queue *q = wait_queue_new();
	struct wait_notice n;
	unsigned taken = 0, put = 0;

	for (uint32_t i = 0; i < MANY; i++)
		put += wait_queue_put(q, &(struct wait_notice){.tid = i});
	while (wait_queue_take(q, &n))
		ck_assert_uint_eq(n.tid, taken++);
	ck_assert_uint_eq(taken, put);
	ck_assert_uint_ge(taken, 16);
	ck_assert_uint_lt(taken, MANY);
	wait_queue_put(q, &(struct wait_notice){.tid = 4711});
	ck_assert(wait_queue_take(q, &n));
	ck_assert_uint_eq(n.tid, 4711);
	wait_queue_free(q);
}
END_TEST

START_TEST(waking_needs_no_notice)
{
	struct wait_queue *q = wait_queue_new();
	struct wait_notice n;

	wait_queue_wake(q);
	ck_assert(is_readable(q));
	wait_queue_begin(q);
	ck_assert(!wait_queue_take(q, &n));
	wait_queue_free(q);
}
END_TEST

static void *put_many(void *arg)
{
	for (uint32_t i = 1; i <= MANY; i++)
		wait_queue_put(arg, &(struct wait_notice){.tid = i, .since_ns = i});
	return NULL;
}

/* From another thread they come whole, and none twice. */
START_TEST(two_threads)
{
	struct wait_queue *q = wait_queue_new();
	struct wait_notice n;
	uint32_t last = 0;
	pthread_t thread;
	bool is_over = false;

	ck_assert_int_eq(pthread_create(&thread, NULL, put_many, q), 0);
	while (!is_over) {
		struct pollfd p = {.fd = wait_queue_fd(q), .events = POLLIN};

		/* Nothing for so long: the other one has ended. */
		is_over = poll(&p, 1, 500) == 0;
		wait_queue_begin(q);
		while (wait_queue_take(q, &n)) {
			ck_assert_uint_gt(n.tid, last);
			ck_assert_uint_eq(n.since_ns, n.tid);
			last = n.tid;
		}
	}
	ck_assert_uint_gt(last, 0);
	pthread_join(thread, NULL);
	wait_queue_free(q);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_queue");
	TCase *tc = tcase_create("wait_queue");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, notices_come_in_order);
	tcase_add_test(tc, a_full_queue_takes_no_more);
	tcase_add_test(tc, waking_needs_no_notice);
	tcase_add_test(tc, two_threads);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
