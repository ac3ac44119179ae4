/* SPDX-License-Identifier: BSD-3-Clause */
/* Traces that lose their oldest blocks, and traces that are kept from growing. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/trace_writer.h"
#include "tests/support/trace_check.h"
#include "tests/support/trace_records.h"

#define T(ms)	  (TEST_START_NS + (uint64_t)(ms)*NS_PER_MS)
#define MAX_TICKS 10000

static char *folder;
static struct trace_writer *writer;
static uint64_t now_ns;
static unsigned seed;

static void setup(void)
{
	folder = test_folder_new();
	writer = test_writer_new(folder);
	now_ns = TEST_START_NS;
	seed = 1;
	put_thread(writer, 1, now_ns);
	put_thread(writer, 2, now_ns);
	put_code(writer, 1, "/app/a.py", "main");
	put_code(writer, 2, "/app/a.py", "work");
	/* The second thread waits all the time. */
	put_stack(writer, 2, now_ns, 0, FRAMES({1, 10}), 1);
}

static void teardown(void)
{
	test_folder_remove(folder);
}

/* Some seconds of noise, which does not compress: about 25 kB a second. */
static void record(unsigned seconds)
{
	uint64_t end_ns = now_ns + seconds * NS_PER_S;

	for (unsigned n = 0; now_ns < end_ns; n++) {
		seed = seed * 1664525u + 1013904223u;
		now_ns += 64 + seed % 500000;
		ck_assert_int_eq(
		    put_stack(writer, 1, now_ns, 0, FRAMES({1, (int32_t)(seed >> 24) + 1}), 1), 0);
		if (n % 100 == 0) {
			put_counters(writer, now_ns, n);
			ck_assert_int_eq(trace_writer_tick(writer, now_ns), 0);
		}
	}
}

static uint64_t size_now(void)
{
	auto_free char *db = xasprintf("%s/trace.db", folder);
	auto_free char *wal = xasprintf("%s/trace.db-wal", folder);
	uint64_t size = 0;
	struct stat st;

	if (stat(db, &st) == 0)
		size += (uint64_t)st.st_size;
	if (stat(wal, &st) == 0)
		size += (uint64_t)st.st_size;
	return size;
}

static struct trace_writer_totals totals_now(void)
{
	struct trace_writer_totals totals;

	trace_writer_totals(writer, &totals);
	return totals;
}

/* Tick until the trim is done; time stands still. */
static void finish_trim(void)
{
	unsigned n = 0;

	for (; totals_now().is_trimming; n++) {
		ck_assert_uint_lt(n, MAX_TICKS);
		ck_assert_int_eq(trace_writer_tick(writer, now_ns), 0);
	}
	ck_assert_uint_eq(totals_now().trim_bytes, 0);
}

static int64_t number(const char *sql)
{
	return check_number(folder, sql);
}

/* The database as such. */
static int64_t database_bytes(void)
{
	return number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
}

static int64_t free_pages(void)
{
	return number("SELECT freelist_count FROM pragma_freelist_count");
}

static void close_writer(void)
{
	ck_assert_int_eq(trace_writer_close(writer, now_ns, "stopped"), 0);
	check_integrity(folder);
}

START_TEST(the_oldest_blocks_go)
{
	int64_t before, events, deleted;
	struct trace_trimmed trimmed;
	struct trace *t;

	put_gap(writer, 1, T(1), T(2), GAP_CODE_REPLACED);
	record(60);
	put_gap(writer, 1, now_ns, now_ns + NS_PER_MS, GAP_CODE_REPLACED);
	record(1);
	before = database_bytes();
	events = number("SELECT sum(n_events) FROM blocks");
	trace_writer_trim(writer, 300000);
	finish_trim();
	ck_assert_int_le(database_bytes(), before - 300000);
	ck_assert_int_ge(database_bytes(), before - 400000);
	ck_assert_int_eq(free_pages(), 0);

	t = check_open(folder);
	ck_assert_int_eq(trace_get_trimmed(t, &trimmed), 0);
	trace_close(t);
	ck_assert_uint_ge(trimmed.n_blocks, 2);
	ck_assert_uint_ge(trimmed.bytes, 300000);
	ck_assert_uint_gt(trimmed.until_ns, T(1000));
	deleted = events - number("SELECT sum(n_events) FROM blocks");
	ck_assert_int_eq(deleted, (int64_t)trimmed.n_events);
	/* Of the busy thread all is there from then on, and nothing before. */
	ck_assert_int_eq(number("SELECT min(first_ns) FROM blocks WHERE thread = 1"),
			 (int64_t)trimmed.until_ns);
	ck_assert_int_eq(number("SELECT count(*) FROM lines WHERE block NOT IN"
				" (SELECT id FROM blocks)"),
			 0);
	ck_assert_int_eq(number("SELECT count(*) FROM functions WHERE block NOT IN"
				" (SELECT id FROM blocks)"),
			 0);
	ck_assert_int_eq(number("SELECT count(*) FROM shared_lines WHERE block NOT IN"
				" (SELECT id FROM blocks)"),
			 0);
	ck_assert_int_eq(number("SELECT sum(self_ns) FROM functions"),
			 number("SELECT sum(self_ns) FROM lines"));
	ck_assert_int_eq(number("SELECT count(*) FROM gaps"), 1);
	/* The open block of the one that waits is as old, and stays. */
	ck_assert_int_eq(number("SELECT min(first_ns) FROM blocks WHERE thread = 2"),
			 (int64_t)TEST_START_NS);
	record(5);
	close_writer();
}
END_TEST

START_TEST(a_second_trim_goes_on_from_the_first)
{
	int64_t n, until;

	record(60);
	trace_writer_trim(writer, 100000);
	finish_trim();
	n = number("SELECT value FROM counters WHERE name = 'trimmed_blocks'");
	until = number("SELECT value FROM meta WHERE key = 'trimmed_until_ns'");
	record(10);
	trace_writer_trim(writer, 60000);
	trace_writer_trim(writer, 60000);
	ck_assert_uint_eq(totals_now().trim_bytes, 120000);
	finish_trim();
	ck_assert_int_gt(number("SELECT value FROM counters WHERE name = 'trimmed_blocks'"), n);
	ck_assert_int_gt(number("SELECT value FROM meta WHERE key = 'trimmed_until_ns'"), until);
	close_writer();
}
END_TEST

START_TEST(what_is_open_stays)
{
	record(20);
	trace_writer_trim(writer, UINT64_C(1) << 40);
	finish_trim();
	ck_assert_int_eq(number("SELECT count(*) FROM blocks"), 2);
	record(5);
	close_writer();
	ck_assert_int_gt(number("SELECT count(*) FROM blocks"), 2);
}
END_TEST

START_TEST(an_empty_trace_has_nothing_to_lose)
{
	trace_writer_trim(writer, 1000);
	finish_trim();
	ck_assert_int_eq(number("SELECT count(*) FROM meta WHERE key LIKE 'trimmed%'"), 0);
	close_writer();
}
END_TEST

START_TEST(recording_goes_on_meanwhile)
{
	uint64_t transitions;

	record(60);
	trace_writer_trim(writer, 500000);
	/* A step needs a tick: all that time events come. */
	record(60);
	finish_trim();
	transitions = totals_now().transitions;
	close_writer();
	ck_assert_int_eq(number("SELECT sum(n_events) FROM blocks") +
			     number("SELECT value FROM counters WHERE name = 'trimmed_events'"),
			 (int64_t)transitions);
}
END_TEST

START_TEST(a_reader_sees_the_trace_as_it_was)
{
	struct trace *held;
	struct trace_summary before;
	struct trace_line *lines;
	size_t n_lines;

	record(40);
	held = check_open(folder);
	before = check_summary(held);
	trace_writer_trim(writer, 300000);
	finish_trim();
	record(10);
	ck_assert_uint_eq(check_summary(held).n_blocks, before.n_blocks);
	ck_assert_uint_eq(check_summary(held).observed_ns, before.observed_ns);
	ck_assert_int_eq(trace_sum_lines(held, &lines, &n_lines), 0);
	free(lines);
	check_integrity(folder);
	close_writer();
	trace_close(held);
	check_integrity(folder);
}
END_TEST

START_TEST(a_trace_at_its_limit_stays_there)
{
	const uint64_t limit = 1400000;
	uint64_t most = 0;

	for (unsigned i = 0; i < 60; i++) {
		struct trace_writer_totals totals;

		record(2);
		totals = totals_now();
		if (totals.bytes > limit && !totals.is_trimming)
			trace_writer_trim(writer, limit / 10);
		if ((uint64_t)database_bytes() > most)
			most = (uint64_t)database_bytes();
	}
	/* The -wal has up to a MiB of its own. */
	ck_assert_uint_lt(most, limit);
	ck_assert_uint_lt(size_now(), limit + (UINT64_C(2) << 20));
	ck_assert_int_gt(number("SELECT value FROM counters WHERE name = 'trimmed_bytes'"),
			 (int64_t)limit / 2);
	close_writer();
}
END_TEST

START_TEST(a_resumed_trace_can_be_trimmed)
{
	struct trace_about about = test_about;
	auto_free char *path = xasprintf("%s/trace.db", folder);
	int64_t until;

	record(40);
	trace_writer_trim(writer, 100000);
	finish_trim();
	close_writer();
	until = number("SELECT value FROM meta WHERE key = 'trimmed_until_ns'");
	about.start_monotonic_ns = now_ns + NS_PER_S;
	ck_assert_int_eq(trace_writer_resume(path, &about, NULL, NULL, &writer), 0);
	trace_writer_trim(writer, 100000);
	finish_trim();
	ck_assert_int_gt(number("SELECT value FROM meta WHERE key = 'trimmed_until_ns'"), until);
	now_ns += 2 * NS_PER_S;
	close_writer();
}
END_TEST

START_TEST(growth_is_held_back)
{
	uint64_t size, paused_ns, resumed_ns;
	struct trace_gaps gaps;
	struct trace_writer_totals totals;
	struct trace *t;

	record(10);
	size = size_now();
	paused_ns = now_ns;
	trace_writer_pause_growth(writer, 1);
	record(40);
	put_code(writer, 3, "/app/b.py", "late");
	ck_assert_int_eq(trace_writer_anchor(writer, now_ns, 1), 0);
	record(40);
	ck_assert_uint_eq(size_now(), size);
	resumed_ns = now_ns;
	trace_writer_pause_growth(writer, 0);
	record(10);
	totals = totals_now();
	t = check_open(folder);
	gaps = check_gaps(t, GAP_DISK_FULL);
	ck_assert_uint_eq(gaps.n, 1);
	/* What is open when it ends is not lost; what was not stored yet when it began may be. */
	ck_assert_uint_gt(gaps.ns, resumed_ns - paused_ns - 10 * NS_PER_S);
	ck_assert_uint_le(gaps.ns, resumed_ns - paused_ns + NS_PER_S);
	ck_assert_ptr_nonnull(trace_get_code(t, 3));
	trace_close(t);
	close_writer();
	t = check_open(folder);
	ck_assert_uint_eq(check_summary(t).n_events, totals.transitions);
	ck_assert_uint_eq(check_summary(t).observed_ns + gaps.ns, 2 * (now_ns - TEST_START_NS));
	trace_close(t);
}
END_TEST

START_TEST(a_trace_held_back_at_its_end_tells_so)
{
	struct trace *t;
	uint64_t size;

	record(10);
	size = (uint64_t)database_bytes();
	trace_writer_pause_growth(writer, 1);
	record(100);
	close_writer();
	t = check_open(folder);
	ck_assert_uint_ge(check_gaps(t, GAP_DISK_FULL).n, 1);
	ck_assert_uint_gt(check_gaps(t, GAP_DISK_FULL).lost, 1000);
	ck_assert_int_eq(trace_has_ended(t), 1);
	trace_close(t);
	ck_assert_uint_le((uint64_t)database_bytes(), size + 4096);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_trim");
	TCase *tc = tcase_create("trace_trim");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_oldest_blocks_go);
	tcase_add_test(tc, a_second_trim_goes_on_from_the_first);
	tcase_add_test(tc, what_is_open_stays);
	tcase_add_test(tc, an_empty_trace_has_nothing_to_lose);
	tcase_add_test(tc, recording_goes_on_meanwhile);
	tcase_add_test(tc, a_reader_sees_the_trace_as_it_was);
	tcase_add_test(tc, a_trace_at_its_limit_stays_there);
	tcase_add_test(tc, a_resumed_trace_can_be_trimmed);
	tcase_add_test(tc, growth_is_held_back);
	tcase_add_test(tc, a_trace_held_back_at_its_end_tells_so);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
