/* SPDX-License-Identifier: BSD-3-Clause */
/* What is written is checked by reading it back. */
#include "recorder/trace_writer.h"

#include <check.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "recorder/oncpu/edge_events.h"
#include "tests/support/trace_check.h"
#include "tests/support/trace_records.h"
#include "tests/support/whole_sums.h"

/* Times in steps of 64 us, which no block rounds. */
#define STEP_NS UINT64_C(64000)
#define T(n)	(TEST_START_NS + (uint64_t)(n)*STEP_NS)
#define SECOND	UINT64_C(15625) /* steps */

static char *folder;
static struct trace_writer *writer;
static struct trace *trace;

static void setup(void)
{
	folder = test_folder_new();
	writer = test_writer_new(folder);
}

static void teardown(void)
{
	trace_close(trace);
	trace = NULL;
	test_folder_remove(folder);
}

static void open_trace(void)
{
	char why[512] = "";

	trace_close(trace);
	ck_assert_msg(trace_open(folder, &trace, why, sizeof(why)) == 0, "%s", why);
}

static uint64_t query_number(const char *sql)
{
	auto_free char *path = NULL;
	sqlite3_stmt *statement;
	uint64_t number = 0;
	sqlite3 *db;

	ck_assert_int_gt(asprintf(&path, "%s/trace.db", folder), 0);
	ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	if (sqlite3_step(statement) == SQLITE_ROW)
		number = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

static void close_and_open(uint64_t end_ns)
{
	ck_assert_int_eq(trace_writer_close(writer, end_ns, "stopped"), 0);
	open_trace();
}

/* One thread and two functions of one file. */
static void begin(void)
{
	ck_assert_int_eq(put_thread(writer, 1, T(0)), 0);
	ck_assert_int_eq(put_code(writer, 1, "/app/a.py", "main"), 0);
	ck_assert_int_eq(put_code(writer, 2, "/app/a.py", "work"), 0);
}

static struct trace_line line_totals(int32_t number)
{
	struct trace_line *lines, found = {0};
	size_t n;

	ck_assert_int_eq(trace_sum_lines(trace, &lines, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (lines[i].file == 1 && lines[i].line == number)
			found = lines[i];
	}
	free(lines);
	return found;
}

static void assert_line(int32_t number, uint64_t visits, uint64_t self, uint64_t total)
{
	struct trace_line l = line_totals(number);

	ck_assert_msg(l.visits == visits && l.self_ns == self * STEP_NS &&
			  l.total_ns == total * STEP_NS,
		      "line %d: seen %llu times, %llu ns of its own, %llu ns in all", number,
		      (unsigned long long)l.visits, (unsigned long long)l.self_ns,
		      (unsigned long long)l.total_ns);
}

static struct trace_summary summary(void)
{
	struct trace_summary s;

	ck_assert_int_eq(trace_summarise(trace, &s), 0);
	return s;
}

static struct trace_gaps gaps(enum gap_reason reason)
{
	struct trace_gaps all[N_GAP_REASONS];

	ck_assert_int_eq(trace_sum_gaps(trace, all), 0);
	return all[reason];
}

/* The blocks, decoded, say the same as the line index. */
static void assert_blocks_agree_with_index(void)
{
	struct whole_sums sums;
	struct trace_line *lines;
	uint64_t in_index = 0;
	size_t n;

	ck_assert_int_eq(whole_sums_read(trace, &sums), 0);
	ck_assert_int_eq(trace_sum_lines(trace, &lines, &n), 0);
	for (size_t i = 0; i < n; i++)
		in_index += lines[i].self_ns;
	ck_assert_uint_eq(sums.in_frames_ns, in_index);
	free(lines);
}

START_TEST(each_line_gets_its_time)
{
	begin();
	/* main:10 for 5, calls work:20 for 3, work:21 for 2, back in main:10 for 1, main:11 for 4
	 */
	put_stack(writer, 1, T(10), 0, FRAMES({1, 10}), 1);
	put_stack(writer, 1, T(15), 1, FRAMES({2, 20}), 1);
	put_stack(writer, 1, T(18), 1, FRAMES({2, 21}), 1);
	put_stack(writer, 1, T(20), 1, NULL, 0);
	put_stack(writer, 1, T(21), 0, FRAMES({1, 11}), 1);
	close_and_open(T(25));
	assert_line(10, 2, 6, 11);
	assert_line(20, 1, 3, 3);
	assert_line(21, 1, 2, 2);
	assert_line(11, 1, 4, 4);
	ck_assert_uint_eq(summary().n_events, 5);
	ck_assert_uint_eq(summary().observed_ns, 25 * STEP_NS);
	assert_blocks_agree_with_index();
}
END_TEST

/* A return to a line is a visit, but the line is not entered by it. */
START_TEST(entries_are_visits_without_returns)
{
	begin();
	put_stack(writer, 1, T(10), 0, FRAMES({1, 10}), 1);
	for (unsigned i = 0; i < 5; i++) {
		put_stack(writer, 1, T(20 + 2 * i), 1, FRAMES({2, 20}), 1);
		put_stack(writer, 1, T(21 + 2 * i), 1, NULL, 0);
	}
	close_and_open(T(40));
	assert_line(10, 6, 25, 30);
	ck_assert_int_eq(check_number(folder, "SELECT entries FROM lines WHERE line = 10"), 1);
	ck_assert_int_eq(check_number(folder, "SELECT entries FROM lines WHERE line = 20"), 5);
}
END_TEST

START_TEST(a_recursive_line_counts_once)
{
	begin();
	put_stack(writer, 1, T(0), 0, FRAMES({1, 10}, {2, 20}, {2, 20}, {2, 20}), 4);
	put_stack(writer, 1, T(10), 2, FRAMES({2, 21}), 1);
	put_stack(writer, 1, T(12), 2, FRAMES({2, 20}), 1);
	put_stack(writer, 1, T(15), 0, NULL, 0);
	close_and_open(T(100));
	assert_line(20, 4, 13, 15);
	assert_line(21, 1, 2, 2);
	assert_line(10, 1, 0, 15);
}
END_TEST

START_TEST(code_objects_on_one_line_are_one_line)
{
	begin();
	put_code(writer, 3, "/app/a.py", "main.<locals>.<lambda>");
	put_stack(writer, 1, T(0), 0, FRAMES({1, 10}, {3, 10}), 2);
	close_and_open(T(8));
	assert_line(10, 2, 8, 8);
}
END_TEST

START_TEST(time_in_a_gap_belongs_to_no_line)
{
	begin();
	put_stack(writer, 1, T(10), 0, FRAMES({1, 10}), 1);
	put_gap(writer, 0, T(20), T(1000), GAP_RECORDER_PAUSED);
	put_stack(writer, 1, T(1005), 0, FRAMES({1, 11}), 1);
	close_and_open(T(1010));
	assert_line(10, 1, 15, 15);
	assert_line(11, 1, 5, 5);
	ck_assert_uint_eq(summary().observed_ns, 30 * STEP_NS);
	ck_assert_uint_eq(gaps(GAP_RECORDER_PAUSED).n, 1);
	ck_assert_uint_eq(gaps(GAP_RECORDER_PAUSED).ns, 980 * STEP_NS);
	ck_assert_uint_eq(gaps(GAP_RECORDER_PAUSED).lost, 7);
}
END_TEST

START_TEST(a_gap_of_one_thread_leaves_the_others)
{
	begin();
	put_thread(writer, 2, T(0));
	put_stack(writer, 1, T(0), 0, FRAMES({1, 10}), 1);
	put_stack(writer, 2, T(0), 0, FRAMES({2, 20}), 1);
	put_gap(writer, 1, T(20), T(70), GAP_CODE_REPLACED);
	close_and_open(T(100));
	assert_line(10, 1, 50, 50);
	assert_line(20, 1, 100, 100);
}
END_TEST

START_TEST(nothing_is_claimed_beyond_the_last_record)
{
	begin();
	put_stack(writer, 1, T(10), 0, FRAMES({1, 10}), 1);
	/* The sampler is stopped; the writer is not, and the gap is told only afterwards. */
	ck_assert_int_eq(trace_writer_tick(writer, T(5 * SECOND)), 0);
	put_gap(writer, 0, T(12), T(6 * SECOND), GAP_RECORDER_PAUSED);
	close_and_open(T(6 * SECOND));
	assert_line(10, 1, 2, 2);
}
END_TEST

START_TEST(a_record_from_before_a_block_s_start_is_moved_there)
{
	begin();
	put_stack(writer, 1, T(10), 0, FRAMES({1, 10}), 1);
	put_counters(writer, T(70 * SECOND), 1);
	trace_writer_tick(writer, T(70 * SECOND));
	put_stack(writer, 1, T(70 * SECOND - 3), 0, FRAMES({1, 11}), 1);
	close_and_open(T(70 * SECOND + 5));
	assert_line(10, 1, 70 * SECOND - 10, 70 * SECOND - 10);
	assert_line(11, 1, 5, 5);
	assert_blocks_agree_with_index();
}
END_TEST

START_TEST(what_is_known_is_stored_every_second)
{
	begin();
	put_thread(writer, 2, T(0));
	for (unsigned i = 0; i < 5 * SECOND; i += 100) {
		put_stack(writer, 1, T(i), 0, FRAMES({1, (int32_t)i}), 1);
		trace_writer_tick(writer, T(i));
	}
	/* While it is still being written. */
	open_trace();
	ck_assert_uint_gt(summary().n_events, 4 * SECOND / 100 - 5);
	ck_assert_uint_gt(summary().observed_ns, (4 + 3) * SECOND * STEP_NS - NS_PER_S / 4);
	assert_blocks_agree_with_index();
	close_and_open(T(5 * SECOND));
	/* One of each thread, which grew. */
	ck_assert_uint_eq(summary().n_blocks, 2);
	ck_assert_uint_eq(summary().observed_ns, 10 * SECOND * STEP_NS);
	assert_blocks_agree_with_index();
}
END_TEST

START_TEST(blocks_get_neither_old_nor_large)
{
	static const struct {
		unsigned seconds, step; /* between two events */
		unsigned min, max;	/* blocks */
	} cases[] = {{300, 1000, 5, 6}, {20, 1, 21, 24}};

	begin();
	for (unsigned i = 0; i < cases[_i].seconds * SECOND; i += cases[_i].step) {
		put_stack(writer, 1, T(i), 0, FRAMES({1, (int32_t)(i / cases[_i].step % 5)}), 1);
		trace_writer_tick(writer, T(i));
	}
	close_and_open(T(cases[_i].seconds * SECOND));
	ck_assert_uint_ge(summary().n_blocks, cases[_i].min);
	ck_assert_uint_le(summary().n_blocks, cases[_i].max);
	ck_assert_uint_eq(summary().observed_ns, cases[_i].seconds * SECOND * STEP_NS);
	assert_blocks_agree_with_index();
}
END_TEST

/* At low rates much comes at once: then it has waited long enough. */
static uint64_t size_of(const char *suffix)
{
	auto_free char *path = xasprintf("%s/trace.db%s", folder, suffix);
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Whoever reads meanwhile keeps what he sees, and the files grow only until he has gone. */
START_TEST(what_waits_in_the_wal_is_bounded)
{
	uint64_t wal, now = 0;

	begin();
	put_stack(writer, 1, T(1), 0, FRAMES({1, 10}), 1);
	trace_writer_tick(writer, T(SECOND));
	/* Little is left there to wait. */
	ck_assert_uint_lt(size_of("-wal"), 64u << 10);
	open_trace();
	for (unsigned reader = 0; reader < 2; reader++) {
		for (uint64_t i = 0; i < 600; i++, now += SECOND) {
			for (uint64_t k = 1; k < 200; k++)
				put_stack(writer, 1, T(SECOND + now + k), 0,
					  FRAMES({1, (int32_t)(i * 200 + k)}), 1);
			ck_assert_int_eq(trace_writer_tick(writer, T(2 * SECOND + now)), 0);
		}
		trace_close(trace);
		trace = NULL;
	}
	wal = size_of("-wal");
	ck_assert_uint_gt(size_of(""), 1u << 20);
	ck_assert_uint_lt(wal, 1200u << 10);
	close_and_open(T(3 * SECOND + now));
	ck_assert_uint_eq(summary().n_events, 1 + 2 * 600 * 199);
	assert_blocks_agree_with_index();
}
END_TEST

START_TEST(what_comes_late_is_stored_with_the_next_tick)
{
	begin();
	put_stack(writer, 1, T(10), 0, FRAMES({1, 10}), 1);
	for (unsigned i = 0; i <= 16; i++)
		ck_assert_int_eq(trace_writer_tick(writer, T(i * SECOND / 10)), 0);
	put_stack(writer, 1, T(16 * SECOND / 10), 0, FRAMES({1, 11}), 1);
	ck_assert_int_eq(trace_writer_tick(writer, T(17 * SECOND / 10)), 0);
	open_trace();
	ck_assert_uint_eq(summary().n_events, 2);
	ck_assert_uint_eq(summary().last_ns, T(16 * SECOND / 10));
	/* What follows soon is not. */
	put_stack(writer, 1, T(18 * SECOND / 10), 0, FRAMES({1, 12}), 1);
	ck_assert_int_eq(trace_writer_tick(writer, T(24 * SECOND / 10)), 0);
	open_trace();
	ck_assert_uint_eq(summary().n_events, 2);
	ck_assert_int_eq(trace_writer_tick(writer, T(26 * SECOND / 10)), 0);
	open_trace();
	ck_assert_uint_eq(summary().n_events, 3);
	close_and_open(T(3 * SECOND));
}
END_TEST

/* A thread hangs soon after something was stored: that is told without waiting for another turn. */
START_TEST(a_hang_is_stored_while_it_lasts)
{
	struct record_off off = {
	    .h = {.size = sizeof(off),
		  .kind = RECORD_OFF,
		  .thread = 1,
		  .time_ns = T(11 * SECOND / 10 + 40)},
	    .start_ns = T(11 * SECOND / 10),
	    .state = EDGE_WAITING,
	    .is_open = 1,
	};

	const struct wait_about about = {.kind = "sleep", .call = "nanosleep", .what = "sleep 9 s"};
	const char *reasons = "SELECT count(*) FROM waits WHERE reason > 0";

	begin();
	put_stack(writer, 1, T(SECOND), 0, FRAMES({1, 10}), 1);
	ck_assert_int_eq(trace_writer_tick(writer, T(SECOND)), 0);
	put_stack(writer, 1, T(SECOND + 1), 0, FRAMES({1, 11}), 1);
	ck_assert_int_eq(trace_writer_put(writer, &off.h), 0);
	/* Half a second after it has begun. */
	ck_assert_uint_eq(trace_writer_due_ns(writer), off.start_ns + NS_PER_S / 2);
	ck_assert_int_eq(trace_writer_tick(writer, T(17 * SECOND / 10)), 0);
	open_trace();
	ck_assert_uint_eq(summary().n_events, 2);
	ck_assert_uint_eq(query_number("SELECT count(*) FROM blocks WHERE waits IS NOT NULL"), 1);
	ck_assert_uint_eq(query_number(reasons), 0);
	/* The reason was found soon, but that it waited so long is not known before this. */
	ck_assert_uint_le(trace_writer_due_ns(writer), T(18 * SECOND / 10));
	trace_writer_wait(writer, 1, off.start_ns, T(11 * SECOND / 10 + 50), &about);
	put_counters(writer, T(17 * SECOND / 10), 1);
	ck_assert_uint_le(trace_writer_due_ns(writer), T(18 * SECOND / 10));
	ck_assert_int_eq(trace_writer_tick(writer, T(18 * SECOND / 10)), 0);
	ck_assert_uint_eq(query_number(reasons), 1);
	/* Once. */
	ck_assert_int_eq(put_thread(writer, 2, T(19 * SECOND / 10)), 0);
	ck_assert_uint_gt(trace_writer_due_ns(writer), T(2 * SECOND));
	close_and_open(T(3 * SECOND));
}
END_TEST

START_TEST(a_gap_told_late_makes_a_stored_block_shorter)
{
	begin();
	put_thread(writer, 2, T(0));
	put_stack(writer, 1, T(10), 0, FRAMES({1, 10}), 1);
	put_counters(writer, T(2 * SECOND), 1);
	ck_assert_int_eq(trace_writer_tick(writer, T(2 * SECOND)), 0);
	open_trace();
	assert_line(10, 1, 2 * SECOND - 10, 2 * SECOND - 10);
	put_gap(writer, 1, T(SECOND), T(3 * SECOND), GAP_CODE_REPLACED);
	close_and_open(T(3 * SECOND));
	assert_line(10, 1, SECOND - 10, SECOND - 10);
	assert_blocks_agree_with_index();
}
END_TEST

START_TEST(a_full_block_is_stored_at_once)
{
	uint64_t n = 2 * (uint64_t)BLOCK_MAX_EVENTS + 10;

	begin();
	for (uint64_t i = 0; i < n; i++)
		put_stack(writer, 1, T(0) + i * 64, 0, FRAMES({1, 10 + (int32_t)(i % 7)}), 1);
	open_trace();
	ck_assert_uint_eq(summary().n_blocks, 2);
	close_and_open(T(0) + 64 * n);
	ck_assert_uint_eq(summary().n_blocks, 3);
	ck_assert_uint_eq(summary().n_events, n);
	assert_blocks_agree_with_index();
}
END_TEST

START_TEST(a_thread_that_does_nothing_costs_few_blocks)
{
	begin();
	put_stack(writer, 1, T(0), 0, FRAMES({1, 10}), 1);
	for (unsigned s = 1; s <= 600; s++) {
		put_counters(writer, T(s * SECOND), s);
		trace_writer_tick(writer, T(s * SECOND));
	}
	close_and_open(T(600 * SECOND));
	ck_assert_uint_le(summary().n_blocks, 2);
	assert_line(10, 1, 600 * SECOND, 600 * SECOND);
}
END_TEST

START_TEST(threads_end)
{
	begin();
	put_stack(writer, 1, T(0), 0, FRAMES({1, 10}), 1);
	put_thread_end(writer, 1, T(10));
	ck_assert_int_eq(put_stack(writer, 1, T(11), 0, NULL, 0), -EINVAL);
	put_thread(writer, 2, T(20));
	trace_writer_tick(writer, T(2 * SECOND));
	put_stack(writer, 2, T(2 * SECOND), 0, FRAMES({1, 11}), 1);
	close_and_open(T(2 * SECOND + 5));
	assert_line(10, 1, 10, 10);
	assert_line(11, 1, 5, 5);
	ck_assert_uint_eq(summary().n_threads, 2);
}
END_TEST

START_TEST(a_change_to_the_same_is_none)
{
	begin();
	put_stack(writer, 1, T(0), 0, FRAMES({1, 10}), 1);
	put_stack(writer, 1, T(5), 1, NULL, 0);
	close_and_open(T(10));
	assert_line(10, 1, 10, 10);
	ck_assert_uint_eq(summary().n_events, 1);
}
END_TEST

START_TEST(records_that_make_no_sense_are_refused)
{
	struct record_header unknown = {.size = sizeof(unknown), .kind = 99};

	begin();
	ck_assert_int_eq(trace_writer_put(writer, &unknown), -EINVAL);
	ck_assert_int_eq(put_thread(writer, 1, T(1)), -EINVAL);
	ck_assert_int_eq(put_thread(writer, 0, T(1)), -EINVAL);
	ck_assert_int_eq(put_stack(writer, 2, T(1), 0, NULL, 0), -EINVAL);
	ck_assert_int_eq(put_stack(writer, 1, T(1), 1, NULL, 0), -EINVAL);
	ck_assert_int_eq(put_stack(writer, 1, T(1), 0, FRAMES({3, 1}), 1), -EINVAL);
	ck_assert_int_eq(put_stack(writer, 1, T(1), 0, FRAMES({0, 1}), 1), -EINVAL);
	ck_assert_int_eq(put_code(writer, 7, "a", "b"), -EINVAL);
	ck_assert_int_eq(put_thread_end(writer, 3, T(1)), -EINVAL);
	close_and_open(T(10));
	ck_assert_uint_eq(summary().n_events, 0);
}
END_TEST

START_TEST(what_is_recorded_is_described)
{
	auto_free char *command = NULL;
	auto_free char *reason = NULL;
	uint64_t start, end, n;
	int64_t pid;
	double rate;

	begin();
	put_counters(writer, T(9), 1234);
	close_and_open(T(10));
	ck_assert_int_eq(trace_meta_text(trace, META_COMMAND, &command), 0);
	ck_assert_str_eq(command, test_about.command);
	ck_assert_int_eq(trace_meta_text(trace, META_END_REASON, &reason), 0);
	ck_assert_str_eq(reason, "stopped");
	ck_assert_int_eq(trace_meta_int(trace, META_PID, &pid), 0);
	ck_assert_int_eq(pid, 42);
	ck_assert_int_eq(trace_meta_real(trace, META_RATE, &rate), 0);
	ck_assert_double_eq(rate, 5000);
	ck_assert_int_eq(trace_meta_int(trace, "nonsense", &pid), -ENOENT);
	ck_assert_int_eq(trace_span(trace, &start, &end), 0);
	ck_assert_uint_eq(start, T(0));
	ck_assert_uint_eq(end, T(10));
	ck_assert_int_eq(trace_counter(trace, COUNTER_SNAPSHOTS, &n), 0);
	ck_assert_uint_eq(n, 1234);
	ck_assert_int_eq(trace_counter(trace, COUNTER_CUT "depth", &n), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(trace_counter(trace, COUNTER_DROPPED "code", &n), 0);
	ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(any_bytes_make_a_name)
{
	static const char file[] = "/app/\xff\n;\0.py", name[] = "f\x01\xc3\xa9";
	const struct trace_file *f;
	const struct trace_code *c;

	put_thread(writer, 1, T(0));
	put_code_bytes(writer, 1, file, sizeof(file) - 1, name, sizeof(name) - 1);
	put_code_bytes(writer, 2, "", 0, "", 0);
	put_stack(writer, 1, T(0), 0, FRAMES({1, INT32_MAX}, {2, 0}), 2);
	close_and_open(T(1));
	c = trace_get_code(trace, 1);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->name_len, sizeof(name) - 1);
	ck_assert_mem_eq(c->name, name, sizeof(name));
	f = trace_get_file(trace, c->file);
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(f->path_len, sizeof(file) - 1);
	ck_assert_mem_eq(f->path, file, sizeof(file));
	ck_assert_uint_eq(f->state, FILE_MISSING);
	ck_assert_uint_eq(trace_get_code(trace, 2)->name_len, 0);
	ck_assert_ptr_null(trace_get_code(trace, 3));
	assert_line(INT32_MAX, 1, 0, 1);
}
END_TEST

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

START_TEST(a_source_is_kept_as_it_was_first_seen)
{
	auto_free char *kept = xasprintf("%s/kept.py", folder);
	auto_free char *changing = xasprintf("%s/changing.py", folder);
	auto_free char *text = NULL;
	size_t len;

	write_file(kept, "same = 1\n");
	write_file(changing, "before = 1\n");
	put_thread(writer, 1, T(0));
	put_code(writer, 1, kept, "f");
	put_code(writer, 2, changing, "f");
	put_code(writer, 3, "<string>", "f");
	ck_assert_int_eq(trace_writer_tick(writer, T(1)), 0);
	write_file(changing, "after = 1\n");
	ck_assert_int_eq(trace_writer_anchor(writer, T(2), 5), 0);
	write_file(changing, "before = 1\n");
	close_and_open(T(3));
	ck_assert_uint_eq(trace_get_file(trace, 1)->state, FILE_STORED);
	ck_assert_uint_eq(trace_get_file(trace, 2)->state, FILE_CHANGED);
	ck_assert_uint_eq(trace_get_file(trace, 3)->state, FILE_MISSING);
	ck_assert_int_eq(trace_file_source(trace, 2, &text, &len), 0);
	ck_assert_str_eq(text, "before = 1\n");
	ck_assert_int_eq(trace_file_source(trace, 3, &text, &len), -ENOENT);
	unlink(kept);
	unlink(changing);
}
END_TEST

START_TEST(one_plain_file_is_left)
{
	auto_free char *wal = xasprintf("%s/trace.db-wal", folder);
	auto_free char *shm = xasprintf("%s/trace.db-shm", folder);

	begin();
	ck_assert_int_eq(access(wal, F_OK), 0);
	close_and_open(T(1));
	ck_assert_int_eq(access(wal, F_OK), -1);
	ck_assert_int_eq(access(shm, F_OK), -1);
}
END_TEST

START_TEST(a_reader_does_not_keep_the_writer_from_its_end)
{
	begin();
	put_stack(writer, 1, T(0), 0, FRAMES({1, 10}), 1);
	ck_assert_int_eq(trace_writer_tick(writer, T(1)), 0);
	open_trace();
	ck_assert_int_eq(trace_writer_close(writer, T(10), "stopped"), 0);
	open_trace();
	assert_line(10, 1, 10, 10);
}
END_TEST

START_TEST(what_exists_is_not_overwritten)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	struct trace_writer *other = NULL;

	ck_assert_int_eq(trace_writer_create(path, &test_about, NULL, NULL, &other), -EEXIST);
	ck_assert_int_eq(
	    trace_writer_create("/nonexistent/trace.db", &test_about, NULL, NULL, &other), -ENOENT);
	ck_assert_ptr_null(other);
	begin();
	close_and_open(T(1));
}
END_TEST

START_TEST(totals_count_what_is_open_too)
{
	struct trace_writer_totals totals;

	begin();
	put_stack(writer, 1, T(0), 0, FRAMES({1, 10}), 1);
	trace_writer_totals(writer, &totals);
	ck_assert_uint_eq(totals.transitions, 1);
	ck_assert_uint_eq(totals.blocks, 0);
	ck_assert_uint_gt(totals.bytes, 4096);
	close_and_open(T(1));
}
END_TEST

START_TEST(totals_count_blocks_that_are_not_written_yet)
{
	struct trace_writer_totals totals;

	begin();
	put_stack(writer, 1, T(0), 0, FRAMES({1, 10}), 1);
	put_stack(writer, 1, T(1), 0, FRAMES({1, 11}), 1);
	/* A gap ends the block; it is written later, with others. */
	put_gap(writer, 1, T(2), T(3), GAP_CODE_REPLACED);
	put_stack(writer, 1, T(4), 0, FRAMES({1, 12}), 1);
	trace_writer_totals(writer, &totals);
	ck_assert_uint_eq(totals.transitions, 3);
	ck_assert_uint_eq(totals.blocks, 0);
	close_and_open(T(5));
}
END_TEST

/* Fill what is left of the file system with one file. */
static void fill_disk(const char *path)
{
	static const char zeros[4096];
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	setbuf(f, NULL);
	while (fwrite(zeros, 1, sizeof(zeros), f) == sizeof(zeros))
		;
	fclose(f);
}

/* Events that don't compress, in steps of up to 1 ms; returns where time has got to. */
static uint64_t put_noise(struct trace_writer *w, uint64_t now_ns, unsigned n, int *ret_error)
{
	static unsigned seed = 1;

	*ret_error = 0;
	for (unsigned i = 0; i < n; i++) {
		int r;

		seed = seed * 1664525u + 1013904223u;
		now_ns += 64 + seed % 1000000;
		r = put_stack(w, 1, now_ns, 0, FRAMES({1, (int32_t)(seed >> 24)}), 1);
		if (r == 0)
			r = trace_writer_tick(w, now_ns);
		if (r < 0)
			*ret_error = r;
	}
	return now_ns;
}

START_TEST(a_full_disk_makes_a_gap_and_a_readable_trace)
{
	auto_free char *disk = xasprintf("%s/disk", folder);
	auto_free char *ballast = xasprintf("%s/disk/ballast", folder);
	uint64_t now_ns = T(0), full_ns, n_stored;
	char why[512];
	int error;

	begin();
	ck_assert_int_eq(trace_writer_close(writer, T(0), "not used"), 0);
	ck_assert_int_eq(mkdir(disk, 0700), 0);
	if (mount("tmpfs", disk, "tmpfs", 0, "size=2m") < 0) {
		fprintf(stderr, "skipped: a full disk (mounting one needs root): %s\n",
			strerror(errno));
		rmdir(disk);
		return;
	}
	writer = test_writer_new(disk);
	begin();
	now_ns = put_noise(writer, now_ns, 20000, &error);
	ck_assert_int_eq(error, 0);

	full_ns = now_ns;
	fill_disk(ballast);
	put_code(writer, 3, "/app/b.py", "seen_while_full");
	now_ns = put_noise(writer, now_ns, 100000, &error);
	ck_assert_int_eq(error, -ENOSPC);
	ck_assert_int_eq(trace_open(disk, &trace, why, sizeof(why)), 0);
	n_stored = summary().n_events;
	ck_assert_uint_gt(n_stored, 15000);
	trace_close(trace);
	trace = NULL;

	unlink(ballast);
	now_ns = put_noise(writer, now_ns, 20000, &error);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(trace_writer_close(writer, now_ns, "stopped"), 0);
	ck_assert_int_eq(trace_open(disk, &trace, why, sizeof(why)), 0);
	ck_assert_uint_eq(gaps(GAP_DISK_FULL).n, 1);
	ck_assert_uint_gt(gaps(GAP_DISK_FULL).ns, 10 * NS_PER_S);
	ck_assert_uint_eq(gaps(GAP_DISK_FULL).lost + summary().n_events, 140000);
	ck_assert_uint_eq(gaps(GAP_DISK_FULL).ns + summary().observed_ns, now_ns - T(0));
	ck_assert_uint_gt(now_ns, full_ns);
	ck_assert_ptr_nonnull(trace_get_code(trace, 3));
	assert_blocks_agree_with_index();
	trace_close(trace);
	trace = NULL;
	umount(disk);
	rmdir(disk);
}
END_TEST

START_TEST(a_disk_that_is_full_from_the_start_is_told)
{
	auto_free char *disk = xasprintf("%s/disk", folder);
	auto_free char *ballast = xasprintf("%s/disk/ballast", folder);
	auto_free char *path = xasprintf("%s/disk/trace.db", folder);
	struct trace_writer *w = NULL;

	begin();
	ck_assert_int_eq(trace_writer_close(writer, T(0), "not used"), 0);
	ck_assert_int_eq(mkdir(disk, 0700), 0);
	if (mount("tmpfs", disk, "tmpfs", 0, "size=1m") == 0) {
		fill_disk(ballast);
		ck_assert_int_eq(trace_writer_create(path, &test_about, NULL, NULL, &w), -ENOSPC);
		ck_assert_int_eq(access(path, F_OK), -1);
		umount(disk);
	} else {
		fprintf(stderr, "skipped: a full disk (mounting one needs root): %s\n",
			strerror(errno));
	}
	rmdir(disk);
}
END_TEST

/* Why it waits can be known before anything of it comes, and it may never wake up again. */
START_TEST(a_wait_of_a_new_thread_that_ends_with_it_has_its_reason)
{
	const struct wait_about about = {.kind = "sleep", .call = "nanosleep", .what = "sleep 1 s"};
	struct record_off off = {
	    .h = {.size = sizeof(off), .kind = RECORD_OFF, .thread = 1, .time_ns = T(SECOND)},
	    .start_ns = T(2),
	    .state = EDGE_WAITING,
	    .is_open = 1,
	};

	trace_writer_wait(writer, 1, T(2), T(3), &about);
	begin();
	ck_assert_int_eq(put_stack(writer, 1, T(1), 0, FRAMES({1, 10}), 1), 0);
	ck_assert_int_eq(trace_writer_put(writer, &off.h), 0);
	ck_assert_int_eq(put_thread_end(writer, 1, T(2 * SECOND)), 0);
	close_and_open(T(3 * SECOND));
	ck_assert_uint_eq(query_number("SELECT total_ns FROM waits JOIN reasons ON "
				       "reasons.id = reason WHERE kind = 'sleep' AND line = 10"),
			  (2 * SECOND - 2) * STEP_NS);
}
END_TEST

#define PLACE 77

static void put_wait(uint64_t start, uint64_t end, uint64_t place)
{
	struct record_off off = {
	    .h = {.size = sizeof(off), .kind = RECORD_OFF, .thread = 1, .time_ns = T(end)},
	    .start_ns = T(start),
	    .known_place = place,
	    .state = EDGE_WAITING,
	};

	ck_assert_int_eq(trace_writer_put(writer, &off.h), 0);
}

/* After a sleep, a thread waits for the GIL at the same place. */
START_TEST(a_wait_that_is_not_repeated_is_not_taken_for_the_next_one)
{
	const struct wait_about sleep = {.place = PLACE,
					 .sleep_ns = 400 * STEP_NS,
					 .kind = "sleep",
					 .call = "",
					 .what = "sleep"};
	const struct wait_about gil = {.place = PLACE, .kind = "gil", .call = "", .what = "GIL"};

	begin();
	ck_assert_int_eq(put_stack(writer, 1, T(1), 0, FRAMES({1, 10}), 1), 0);
	trace_writer_wait(writer, 1, T(10), T(12), &sleep);
	put_wait(10, 410, 0);
	trace_writer_wait(writer, 1, T(411), T(412), &gil);
	put_wait(411, 511, 0);
	put_wait(600, 1000, PLACE);
	close_and_open(T(SECOND));
	ck_assert_uint_eq(query_number("SELECT total_ns FROM waits JOIN reasons ON "
				       "reasons.id = reason WHERE kind = 'gil'"),
			  100 * STEP_NS);
	ck_assert_uint_eq(query_number("SELECT total_ns FROM waits JOIN reasons ON "
				       "reasons.id = reason WHERE kind = 'sleep'"),
			  800 * STEP_NS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_writer");
	TCase *tc = tcase_create("trace_writer");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_line_gets_its_time);
	tcase_add_test(tc, a_wait_of_a_new_thread_that_ends_with_it_has_its_reason);
	tcase_add_test(tc, a_wait_that_is_not_repeated_is_not_taken_for_the_next_one);
	tcase_add_test(tc, entries_are_visits_without_returns);
	tcase_add_test(tc, a_recursive_line_counts_once);
	tcase_add_test(tc, code_objects_on_one_line_are_one_line);
	tcase_add_test(tc, time_in_a_gap_belongs_to_no_line);
	tcase_add_test(tc, a_gap_of_one_thread_leaves_the_others);
	tcase_add_test(tc, nothing_is_claimed_beyond_the_last_record);
	tcase_add_test(tc, a_record_from_before_a_block_s_start_is_moved_there);
	tcase_add_test(tc, what_is_known_is_stored_every_second);
	tcase_add_loop_test(tc, blocks_get_neither_old_nor_large, 0, 2);
	tcase_add_test(tc, what_waits_in_the_wal_is_bounded);
	tcase_add_test(tc, what_comes_late_is_stored_with_the_next_tick);
	tcase_add_test(tc, a_hang_is_stored_while_it_lasts);
	tcase_add_test(tc, a_gap_told_late_makes_a_stored_block_shorter);
	tcase_add_test(tc, a_full_block_is_stored_at_once);
	tcase_add_test(tc, a_thread_that_does_nothing_costs_few_blocks);
	tcase_add_test(tc, threads_end);
	tcase_add_test(tc, a_change_to_the_same_is_none);
	tcase_add_test(tc, records_that_make_no_sense_are_refused);
	tcase_add_test(tc, what_is_recorded_is_described);
	tcase_add_test(tc, any_bytes_make_a_name);
	tcase_add_test(tc, a_source_is_kept_as_it_was_first_seen);
	tcase_add_test(tc, one_plain_file_is_left);
	tcase_add_test(tc, a_reader_does_not_keep_the_writer_from_its_end);
	tcase_add_test(tc, what_exists_is_not_overwritten);
	tcase_add_test(tc, totals_count_what_is_open_too);
	tcase_add_test(tc, totals_count_blocks_that_are_not_written_yet);
	tcase_add_test(tc, a_full_disk_makes_a_gap_and_a_readable_trace);
	tcase_add_test(tc, a_disk_that_is_full_from_the_start_is_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
