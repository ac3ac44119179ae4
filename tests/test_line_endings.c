/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/line_endings.h"

#include <check.h>
#include <pthread.h>

#include "tests/support/own_probe.h"

#define N_EVENTS 3

/* Fewer where probes are not possible: then what is added is nothing. */
static void open_some(struct line_events **ret)
{
	struct line_request request = own_probe_request();

	for (int i = 0; i < N_EVENTS; i++) {
		ret[i] = NULL;
		if (own_probe_open(&request, &ret[i]) < 0)
			fprintf(stderr, "skipped: no probes here\n");
	}
}

START_TEST(all_have_ended_when_it_has_waited)
{
	struct line_endings *e = line_endings_new();
	struct line_events *events[N_EVENTS];

	open_some(events);
	for (int i = 0; i < N_EVENTS; i++)
		line_endings_add(e, events[i]);
	line_endings_wait(e);
	ck_assert_uint_eq(own_probe_semaphore(), 0);
	line_endings_unref(e);
}
END_TEST

START_TEST(nothing_to_wait_for)
{
	struct line_endings *e = line_endings_new();

	line_endings_wait(e);
	line_endings_add(e, NULL);
	line_endings_wait(e);
	line_endings_unref(e);
	line_endings_unref(NULL);
	ck_assert_ptr_null(line_endings_ref(NULL));
}
END_TEST

START_TEST(without_it_they_end_at_once)
{
	struct line_events *events[N_EVENTS];

	open_some(events);
	for (int i = 0; i < N_EVENTS; i++)
		line_endings_add(NULL, events[i]);
	ck_assert_uint_eq(own_probe_semaphore(), 0);
}
END_TEST

static void *add_late(void *arg)
{
	struct line_events *events[N_EVENTS];

	open_some(events);
	for (int i = 0; i < N_EVENTS; i++)
		line_endings_add(arg, events[i]);
	line_endings_unref(arg);
	return NULL;
}

/* The owner is gone: who has a reference still can add. */
START_TEST(from_another_thread_that_comes_late)
{
	struct line_endings *e = line_endings_new(), *kept = line_endings_ref(e);
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, add_late, line_endings_ref(e)), 0);
	line_endings_wait(e);
	line_endings_unref(e);
	pthread_join(thread, NULL);
	line_endings_wait(kept);
	ck_assert_uint_eq(own_probe_semaphore(), 0);
	line_endings_unref(kept);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("line_endings");
	TCase *tc = tcase_create("line_endings");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, all_have_ended_when_it_has_waited);
	tcase_add_test(tc, nothing_to_wait_for);
	tcase_add_test(tc, without_it_they_end_at_once);
	tcase_add_test(tc, from_another_thread_that_comes_late);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
