/* SPDX-License-Identifier: BSD-3-Clause */
#include <check.h>
#include <errno.h>

#include "common/clock.h"
#include "tests/support/shim_writer.h"

static struct shim_writer w;
static struct shim_ring *ring;
static struct shim_record records[64];

static void begin(void)
{
	shim_writer_init(&w);
	ck_assert_int_eq(shim_ring_new(w.words, SHIM_WRITER_SIZE, &ring), 0);
}

static void end(void)
{
	shim_ring_close(ring);
	shim_writer_done(&w);
}

static void put(uint64_t value)
{
	shim_writer_put(&w, SHIM_LINE, 3, value, 77, 12);
}

static size_t read_some(uint64_t now_ns, size_t max, uint64_t *lost)
{
	return shim_ring_read(ring, now_ns, records, max, lost);
}

START_TEST(records_are_read_in_order)
{
	uint64_t lost;

	begin();
	ck_assert_uint_eq(read_some(1, 64, &lost), 0);
	for (uint64_t i = 1; i <= 5; i++)
		put(i);
	ck_assert(shim_ring_peek(ring, 4, records));
	ck_assert_uint_eq(records[0].value, 5);
	ck_assert(!shim_ring_peek(ring, 5, records));
	ck_assert_uint_eq(read_some(1, 3, &lost), 3);
	ck_assert_uint_eq(records[2].value, 3);
	ck_assert_uint_eq(read_some(1, 64, &lost), 2);
	ck_assert_uint_eq(records[1].value, 5);
	ck_assert_uint_eq(records[1].frame, 77);
	ck_assert_uint_eq(records[1].line, 12);
	ck_assert_uint_eq(records[1].thread, 3);
	ck_assert_uint_eq(records[1].kind, SHIM_LINE);
	ck_assert_uint_eq(lost, 0);
	end();
}
END_TEST

START_TEST(what_was_overwritten_is_counted)
{
	uint64_t lost, all = 0, last = 0;
	size_t n;

	begin();
	put(1);
	ck_assert_uint_eq(read_some(1, 64, &lost), 1);
	for (uint64_t i = 2; i <= 3 * SHIM_WRITER_SLOTS; i++)
		put(i);
	do {
		n = read_some(1, 64, &lost);
		all += n + lost;
		if (n)
			last = records[n - 1].value;
	} while (n || lost);
	ck_assert_uint_eq(all, 3 * SHIM_WRITER_SLOTS - 1);
	ck_assert_uint_eq(last, 3 * SHIM_WRITER_SLOTS);
	end();
}
END_TEST

START_TEST(what_was_written_before_us_is_not_read)
{
	for (uint64_t n = 0; n <= 2 * SHIM_WRITER_SLOTS; n += SHIM_WRITER_SLOTS / 4 - 1) {
		uint64_t lost;

		shim_writer_init(&w);
		for (uint64_t i = 0; i < n; i++)
			put(i);
		ck_assert_int_eq(shim_ring_new(w.words, SHIM_WRITER_SIZE, &ring), 0);
		ck_assert_uint_eq(read_some(1, 64, &lost), 0);
		ck_assert_uint_eq(lost, 0);
		put(4242);
		ck_assert_uint_eq(read_some(1, 64, &lost), 1);
		ck_assert_uint_eq(records[0].value, 4242);
		end();
	}
}
END_TEST

START_TEST(a_record_that_never_comes_is_given_up)
{
	uint64_t lost;

	begin();
	put(1);
	shim_writer_skip(&w);
	put(3);
	ck_assert_uint_eq(read_some(NS_PER_S, 64, &lost), 1);
	ck_assert_uint_eq(read_some(NS_PER_S, 64, &lost), 0);
	ck_assert_uint_eq(lost, 0);
	ck_assert_uint_eq(read_some(2 * NS_PER_S, 64, &lost), 1);
	ck_assert_uint_eq(lost, 1);
	ck_assert_uint_eq(records[0].value, 3);
	end();
}
END_TEST

START_TEST(a_record_that_comes_late_is_not)
{
	uint64_t lost;

	begin();
	shim_writer_skip(&w);
	put(2);
	ck_assert_uint_eq(read_some(NS_PER_S, 64, &lost), 0);
	w.number = 0;
	put(1);
	w.number += SHIM_RING_SLOT_BYTES;
	ck_assert_uint_eq(read_some(2 * NS_PER_S, 64, &lost), 2);
	ck_assert_uint_eq(lost, 0);
	end();
}
END_TEST

START_TEST(what_is_no_ring_is_refused)
{
	static const struct {
		unsigned word;
		uint64_t value;
	} wrong[] = {{0, 0},
		     {1, 2},
		     {3, 0},
		     {3, SHIM_WRITER_BYTES * UINT64_C(2)},
		     {3, SHIM_WRITER_BYTES - 32},
		     {3, UINT64_MAX},
		     {4, 40}};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		shim_writer_init(&w);
		w.words[wrong[i].word] = wrong[i].value;
		ck_assert_int_eq(shim_ring_new(w.words, SHIM_WRITER_SIZE, &ring), -EBADMSG);
		shim_writer_done(&w);
	}
	shim_writer_init(&w);
	ck_assert_int_eq(shim_ring_new(w.words, SHIM_WRITER_SIZE - 1, &ring), -EBADMSG);
	ck_assert_int_eq(shim_ring_new(w.words, 8, &ring), -EBADMSG);
	shim_writer_done(&w);
}
END_TEST

START_TEST(what_is_wanted_is_in_the_head_and_taken_back)
{
	begin();
	shim_ring_set_packages(ring, "walt,app");
	shim_ring_want(ring, SHIM_WANT_PRECISE, 1234);
	ck_assert_uint_eq(w.words[32], 1234);
	ck_assert_uint_eq(w.words[33], SHIM_WANT_PRECISE);
	ck_assert_uint_eq(w.words[34] & UINT32_MAX, 8);
	ck_assert_mem_eq((const char *)w.words + 1024, "walt,app", 8);
	ck_assert_uint_eq(shim_ring_pid(ring), 4242);
	ck_assert_uint_eq(shim_ring_state(ring), SHIM_READY);
	shim_ring_close(ring);
	ck_assert_uint_eq(w.words[32], 0);
	/* One that was never used is left as it was. */
	w.words[32] = 99;
	ck_assert_int_eq(shim_ring_new(w.words, SHIM_WRITER_SIZE, &ring), 0);
	end();
}
END_TEST

START_TEST(too_many_packages_are_cut_between_two)
{
	char names[3 * SHIM_PACKAGES_MAX];
	uint64_t len;

	begin();
	for (size_t i = 0; i < sizeof(names); i++)
		names[i] = i % 10 == 9 ? ',' : 'a';
	names[sizeof(names) - 1] = '\0';
	shim_ring_set_packages(ring, names);
	len = w.words[34] & UINT32_MAX;
	ck_assert_uint_le(len, SHIM_PACKAGES_MAX);
	ck_assert_uint_eq(len % 10, 9);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shim_ring");
	TCase *tc = tcase_create("shim_ring");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, records_are_read_in_order);
	tcase_add_test(tc, what_was_overwritten_is_counted);
	tcase_add_test(tc, what_was_written_before_us_is_not_read);
	tcase_add_test(tc, a_record_that_never_comes_is_given_up);
	tcase_add_test(tc, a_record_that_comes_late_is_not);
	tcase_add_test(tc, what_is_no_ring_is_refused);
	tcase_add_test(tc, what_is_wanted_is_in_the_head_and_taken_back);
	tcase_add_test(tc, too_many_packages_are_cut_between_two);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
