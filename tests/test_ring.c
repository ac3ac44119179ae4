/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/ring.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#define RING_BYTES 65536
/* The largest record there may be. */
#define LARGE (RING_BYTES / 4)

static struct ring *ring;

static void setup(void)
{
	ring = ring_new(RING_BYTES);
}

static void teardown(void)
{
	ring_free(ring);
}

/* A record whose time is its number and whose content follows from it. */
static int append(uint64_t number, size_t size)
{
	struct record_header *h = ring_append(ring, RECORD_STACK, size);

	if (!h)
		return 0;
	h->thread = 1;
	h->time_ns = number;
	memset(h + 1, (int)(number & 0xff), size - sizeof(*h));
	return 1;
}

static void assert_next(uint64_t number, size_t size)
{
	const struct record_header *h = ring_peek(ring);
	const unsigned char *content;
	size_t n_wrong = 0;

	ck_assert_ptr_nonnull(h);
	ck_assert_uint_eq(h->time_ns, number);
	ck_assert_uint_eq(h->kind, RECORD_STACK);
	ck_assert_uint_eq(h->size, (size + 7) & ~(size_t)7);
	content = (const unsigned char *)(h + 1);
	/* Not an assertion per byte: those are slow. */
	for (size_t i = 0; i < size - sizeof(*h); i++)
		n_wrong += content[i] != (number & 0xff);
	ck_assert_uint_eq(n_wrong, 0);
	ring_consume(ring);
}

START_TEST(records_come_out_as_they_went_in)
{
	ck_assert_ptr_null(ring_peek(ring));
	ck_assert(append(1, 16) && append(2, 100) && append(3, LARGE));
	ring_publish(ring);
	assert_next(1, 16);
	assert_next(2, 100);
	assert_next(3, LARGE);
	ck_assert_ptr_null(ring_peek(ring));
}
END_TEST

START_TEST(what_is_not_published_is_not_seen)
{
	ck_assert(append(1, 64));
	ck_assert_ptr_null(ring_peek(ring));
	ring_publish(ring);
	ck_assert(append(2, 64));
	assert_next(1, 64);
	ck_assert_ptr_null(ring_peek(ring));
}
END_TEST

START_TEST(rewinding_takes_back_what_is_not_published)
{
	size_t room;

	ck_assert(append(1, 64));
	ring_publish(ring);
	room = ring_room(ring);
	ck_assert(append(2, 64) && append(3, LARGE));
	ring_rewind(ring);
	ck_assert_uint_eq(ring_room(ring), room);
	ck_assert(append(4, 64));
	ring_publish(ring);
	assert_next(1, 64);
	assert_next(4, 64);
	ck_assert_ptr_null(ring_peek(ring));
}
END_TEST

/* Of what lies in the ring's memory: how many bytes a consumer that keeps up has seen. */
START_TEST(a_consumer_that_keeps_up_sees_a_small_part_of_the_memory)
{
	const char *lowest = NULL, *highest = NULL;

	for (uint64_t n = 0; n < 10000; n++) {
		const char *record;

		ck_assert(append(n, 64));
		ring_publish(ring);
		record = (const char *)ring_peek(ring);
		if (!lowest || record < lowest)
			lowest = record;
		if (!highest || record > highest)
			highest = record;
		assert_next(n, 64);
	}
	ck_assert_int_le(highest - lowest, RING_BYTES / 16);
}
END_TEST

START_TEST(a_ring_begun_anew_holds_large_records_and_can_be_rewound)
{
	for (uint64_t n = 0; n < 1000; n++) {
		ck_assert(append(n, 5000));
		ring_publish(ring);
		assert_next(n, 5000);
		ck_assert(append(n, LARGE));
		ring_rewind(ring);
		ck_assert(append(n, LARGE) && append(n + 1, LARGE));
		ring_publish(ring);
		assert_next(n, LARGE);
		assert_next(n + 1, LARGE);
		ck_assert_ptr_null(ring_peek(ring));
	}
}
END_TEST

START_TEST(a_ring_begun_anew_has_all_its_room_and_calls_nobody)
{
	struct pollfd p = {.fd = ring_fd(ring), .events = POLLIN};
	uint64_t n = 0;

	ck_assert(append(0, 5000));
	ring_publish(ring);
	assert_next(0, 5000);
	ring_sleep(ring);
	ck_assert(append(0, 24));
	ring_publish(ring);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ring_wake_up(ring);
	for (n = 1; append(n, 24); n++)
		ck_assert_uint_eq(ring_room(ring), RING_BYTES - 24 * (n + 1));
	ck_assert_uint_eq(n, RING_BYTES / 24);
	ring_publish(ring);
	for (uint64_t i = 0; i < n; i++)
		assert_next(i, 24);
	/* Begun anew for a record that is taken back: there is nothing, and that is the end. */
	ck_assert(append(n, 24));
	ring_rewind(ring);
	ring_finish(ring);
	ck_assert(ring_is_finished(ring));
	ck_assert_ptr_null(ring_peek(ring));
}
END_TEST

START_TEST(rewinding_over_the_ring_s_end_works)
{
	/* 48 bytes are left at the end: the next record starts at the beginning. */
	for (int i = 0; i < 3; i++)
		ck_assert(append(1, LARGE));
	ck_assert(append(1, LARGE - 48));
	ring_publish(ring);
	for (int i = 0; i < 3; i++)
		assert_next(1, LARGE);
	/* It is not empty, or it would begin anew. */
	ck_assert(append(2, 64));
	ring_rewind(ring);
	ck_assert(append(3, 40) && append(4, 64));
	ring_publish(ring);
	assert_next(1, LARGE - 48);
	assert_next(3, 40);
	assert_next(4, 64);
	ck_assert_ptr_null(ring_peek(ring));
}
END_TEST

START_TEST(a_full_ring_takes_nothing_and_loses_nothing)
{
	uint64_t n = 0;

	while (append(n, 24))
		n++;
	ck_assert_uint_eq(n, RING_BYTES / 24);
	ck_assert_uint_lt(ring_room(ring), 24);
	ring_publish(ring);
	for (uint64_t i = 0; i < n; i++)
		assert_next(i, 24);
	ck_assert_uint_eq(ring_room(ring), RING_BYTES);
	ck_assert(append(n, 24));
}
END_TEST

START_TEST(the_end_is_seen_after_the_last_record)
{
	ck_assert(append(1, 16));
	ring_publish(ring);
	ck_assert(!ring_is_finished(ring));
	ring_finish(ring);
	ck_assert(!ring_is_finished(ring));
	assert_next(1, 16);
	ck_assert(ring_is_finished(ring));
}
END_TEST

static bool is_called(void)
{
	struct pollfd p = {.fd = ring_fd(ring), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

START_TEST(a_consumer_that_sleeps_is_called_when_there_is_much)
{
	ring_sleep(ring);
	ck_assert(append(0, 64));
	ring_publish(ring);
	ck_assert(!is_called());
	for (uint64_t n = 1; n < RING_BYTES / 8 / 64; n++)
		ck_assert(append(n, 64));
	ck_assert(!is_called());
	ring_publish(ring);
	ck_assert(is_called());
	ring_wake_up(ring);
	ck_assert(!is_called());
}
END_TEST

START_TEST(nobody_is_called_who_does_not_sleep)
{
	for (uint64_t n = 0; n < RING_BYTES / 8 / 64; n++)
		ck_assert(append(n, 64));
	ring_publish(ring);
	ring_call(ring);
	ck_assert(!is_called());
	/* But it does not fall asleep either. */
	ring_sleep(ring);
	ck_assert(is_called());
	ring_wake_up(ring);
	ck_assert(!is_called());
}
END_TEST

START_TEST(the_producer_can_call_for_little)
{
	ring_sleep(ring);
	ck_assert(append(0, 64));
	ring_publish(ring);
	ring_call(ring);
	ck_assert(is_called());
	ring_wake_up(ring);
	ring_call(ring);
	ck_assert(!is_called());
}
END_TEST

/* The ring goes round hundreds of times; sanitizers, which are slow, see a mistake sooner. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define N_RECORDS 60000
#else
#define N_RECORDS 300000
#endif

static size_t size_of(uint64_t number)
{
	return 16 + number * 2654435761u % 700;
}

static void *produce(void *unused)
{
	uint64_t number = 0;

	(void)unused;
	while (number < N_RECORDS) {
		if (!append(number, size_of(number))) {
			ring_publish(ring);
			sched_yield();
			continue;
		}
		if (number % 7 == 3) {
			/* As the sampler does when a snapshot turned out to be unproven. */
			ring_publish(ring);
			if (append(UINT64_MAX, 200))
				ring_rewind(ring);
		}
		number++;
	}
	ring_publish(ring);
	ring_finish(ring);
	return NULL;
}

START_TEST(two_threads_agree_on_every_byte)
{
	pthread_t producer;
	uint64_t number = 0;

	ck_assert_int_eq(pthread_create(&producer, NULL, produce, NULL), 0);
	while (!ring_is_finished(ring)) {
		if (!ring_peek(ring)) {
			sched_yield();
			continue;
		}
		assert_next(number, size_of(number));
		number++;
	}
	pthread_join(producer, NULL);
	ck_assert_uint_eq(number, N_RECORDS);
}
END_TEST

static void *produce_and_call(void *unused)
{
	produce(unused);
	ring_call(ring);
	return NULL;
}

/* It sleeps as long as there is little, and no call is lost: else it would sleep for good. */
START_TEST(two_threads_and_no_call_is_lost)
{
	struct pollfd p = {.fd = ring_fd(ring), .events = POLLIN};
	pthread_t producer;
	uint64_t number = 0;

	ck_assert_int_eq(pthread_create(&producer, NULL, produce_and_call, NULL), 0);
	while (!ring_is_finished(ring)) {
		if (ring_peek(ring)) {
			assert_next(number, size_of(number));
			number++;
			continue;
		}
		ring_sleep(ring);
		/* A call for the end comes only to one who sleeps. */
		if (!ring_is_finished(ring) && !ring_peek(ring))
			ck_assert_int_eq(poll(&p, 1, 60000), 1);
		ring_wake_up(ring);
	}
	pthread_join(producer, NULL);
	ck_assert_uint_eq(number, N_RECORDS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring");
	TCase *tc = tcase_create("ring");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, records_come_out_as_they_went_in);
	tcase_add_test(tc, what_is_not_published_is_not_seen);
	tcase_add_test(tc, rewinding_takes_back_what_is_not_published);
	tcase_add_test(tc, rewinding_over_the_ring_s_end_works);
	tcase_add_test(tc, a_consumer_that_keeps_up_sees_a_small_part_of_the_memory);
	tcase_add_test(tc, a_ring_begun_anew_holds_large_records_and_can_be_rewound);
	tcase_add_test(tc, a_ring_begun_anew_has_all_its_room_and_calls_nobody);
	tcase_add_test(tc, a_full_ring_takes_nothing_and_loses_nothing);
	tcase_add_test(tc, the_end_is_seen_after_the_last_record);
	tcase_add_test(tc, two_threads_agree_on_every_byte);
	tcase_add_test(tc, a_consumer_that_sleeps_is_called_when_there_is_much);
	tcase_add_test(tc, nobody_is_called_who_does_not_sleep);
	tcase_add_test(tc, the_producer_can_call_for_little);
	tcase_add_test(tc, two_threads_and_no_call_is_lost);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
