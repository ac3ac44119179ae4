/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/wait_places.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#define S UINT64_C(1000000000)

static struct wait_places *places;

static void set_up(void)
{
	places = wait_places_new();
}

static void tear_down(void)
{
	wait_places_free(places);
}

static bool is_known(uint64_t place, uint64_t now_ns)
{
	uint64_t sleep_ns;

	return wait_places_is_known(places, place, now_ns, &sleep_ns);
}

START_TEST(the_same_twice_is_known_for_a_while)
{
	uint64_t sleep_ns;

	ck_assert(!is_known(77, S));
	wait_places_learn(places, 77, 5, 42, S);
	ck_assert(!is_known(77, S));
	wait_places_learn(places, 77, 5, 42, 2 * S);
	ck_assert(wait_places_is_known(places, 77, 3 * S, &sleep_ns));
	ck_assert_uint_eq(sleep_ns, 42);
	ck_assert(!is_known(78, 3 * S));
	ck_assert(!is_known(77, 60 * S));
}
END_TEST

START_TEST(another_answer_is_asked_again)
{
	wait_places_learn(places, 77, 5, 0, S);
	wait_places_learn(places, 77, 5, 0, S);
	wait_places_learn(places, 77, 6, 0, S);
	ck_assert(!is_known(77, S));
	wait_places_learn(places, 77, 6, 0, S);
	ck_assert(is_known(77, S));
}
END_TEST

START_TEST(a_place_with_the_same_index_takes_over)
{
	wait_places_learn(places, 77, 5, 0, S);
	wait_places_learn(places, 77, 5, 0, S);
	wait_places_learn(places, 77 + WAIT_PLACES, 5, 0, S);
	ck_assert(!is_known(77, S));
	ck_assert(!is_known(77 + WAIT_PLACES, S));
}
END_TEST

static void *learn_many(void *unused)
{
	(void)unused;
	for (uint64_t i = 1; i <= 100000; i++) {
		wait_places_learn(places, 1 + i % 2 * WAIT_PLACES, 5, 0, S);
		wait_places_learn(places, 1 + i % 2 * WAIT_PLACES, 5, 0, S);
	}
	return NULL;
}

/* Neither is ever anything but one of those that were learnt. */
START_TEST(two_threads)
{
	pthread_t thread;
	uint64_t n = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, learn_many, NULL), 0);
	for (int i = 0; i < 100000; i++) {
		n += is_known(1, S) + is_known(1 + WAIT_PLACES, S);
		ck_assert(!is_known(1 + 2 * WAIT_PLACES, S));
	}
	pthread_join(thread, NULL);
	ck_assert(is_known(1, S));
	ck_assert_uint_le(n, 200000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_places");
	TCase *tc = tcase_create("wait_places");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_same_twice_is_known_for_a_while);
	tcase_add_test(tc, another_answer_is_asked_again);
	tcase_add_test(tc, a_place_with_the_same_index_takes_over);
	tcase_add_test(tc, two_threads);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
