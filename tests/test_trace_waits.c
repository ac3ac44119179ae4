/* SPDX-License-Identifier: BSD-3-Clause */
/* Waits as the reader sums them, and what threads do now; in an invented trace, also a damaged one.
 */
#include "reader/trace_waits.h"

#include <check.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "common/pack.h"
#include "reader/now.h"
#include "tests/support/waits_trace.h"

static const struct trace_wait *find_wait(const struct trace_wait *waits, size_t n, int32_t line,
					  uint64_t total_ns)
{
	for (size_t i = 0; i < n; i++) {
		if (waits[i].kind.line == line && waits[i].total_ns == total_ns)
			return &waits[i];
	}
	ck_abort_msg("no wait of %llu ns at line %d", (unsigned long long)total_ns, line);
}

START_TEST(waits_are_summed_with_their_reasons)
{
	auto_trace struct trace *t = NULL;
	auto_free struct trace_wait *waits = NULL;
	auto_free char *frames = NULL;
	const struct trace_reason *reason;
	const struct trace_wait *w;
	size_t n;

	write_whole();
	t = open_trace();
	ck_assert_int_eq(trace_has_edges(t), 1);
	ck_assert_int_eq(trace_sum_waits(t, &waits, &n), 0);
	ck_assert_uint_eq(n, 6);

	w = find_wait(waits, n, 2, 300 * NS_PER_MS);
	ck_assert_uint_eq(w->kind.idle, 1);
	ck_assert_uint_eq(w->kind.native, 0);
	reason = trace_get_reason(t, w->kind.reason);
	ck_assert_ptr_nonnull(reason);
	ck_assert_str_eq(reason->kind, "poll");
	ck_assert_str_eq(reason->call, "epoll_wait");
	ck_assert_str_eq(reason->what, "epoll: 3 descriptors");
	ck_assert_uint_eq(reason->polled, 3);

	w = find_wait(waits, n, 5, 200 * NS_PER_MS);
	ck_assert_uint_eq(w->n, 1);
	ck_assert_uint_eq(w->longest_ns, 200 * NS_PER_MS);
	ck_assert_uint_eq(w->longest_start_ns, AT(500));
	ck_assert(trace_native_is_complete(t, w->kind.native));
	ck_assert_int_eq(trace_native_frames(t, w->kind.native, &frames), 0);
	ck_assert_str_eq(frames, a_recv.native);

	w = find_wait(waits, n, 5, 300 * NS_PER_MS);
	ck_assert(!trace_native_is_complete(t, w->kind.native));
	ck_assert_uint_eq(find_wait(waits, n, 5, 20 * NS_PER_MS)->kind.state, WAIT_FOR_CPU);
	ck_assert_uint_eq(find_wait(waits, n, 5, 2 * NS_PER_MS)->kind.reason, 0);
	/* Also the one that goes on. */
	ck_assert_uint_eq(find_wait(waits, n, 6, 2500 * NS_PER_MS)->n, 1);

	ck_assert_ptr_null(trace_get_reason(t, 0));
	ck_assert_ptr_null(trace_get_reason(t, 99));
	ck_assert_int_eq(trace_native_frames(t, 99, &frames), -ENOENT);
}
END_TEST

/* As a trace has them that was gone on with. */
START_TEST(equal_reasons_and_stacks_are_one)
{
	auto_trace struct trace *t = NULL;
	auto_free struct trace_wait *waits = NULL;
	size_t n;

	write_whole();
	run_sql(
	    "INSERT INTO reasons SELECT id + 100, kind, call, what, polled, peer FROM reasons;"
	    "INSERT INTO native_stacks SELECT id + 100, complete, frames FROM native_stacks;"
	    "INSERT INTO waits SELECT block + 100, file, line, reason + 100, native + 100, state,"
	    " idle, 5, total_ns, longest_ns + 1, 77 FROM waits WHERE reason > 0 AND native > 0;"
	    "INSERT INTO waits VALUES (200, 1, 9, 55, 66, 0, 0, 1, 123, 123, 1)");
	t = open_trace();
	ck_assert_int_eq(trace_sum_waits(t, &waits, &n), 0);
	ck_assert_uint_eq(n, 7);
	ck_assert_uint_eq(find_wait(waits, n, 5, 400 * NS_PER_MS)->n, 6);
	ck_assert_uint_eq(find_wait(waits, n, 5, 400 * NS_PER_MS)->longest_start_ns, 77);
	/* What is not there is not known. */
	ck_assert_uint_eq(find_wait(waits, n, 9, 123)->kind.reason, 0);
	ck_assert_uint_eq(find_wait(waits, n, 9, 123)->kind.native, 0);
}
END_TEST

START_TEST(lines_tell_waiting_from_running)
{
	auto_trace struct trace *t = NULL;
	auto_free struct trace_line *lines = NULL;
	size_t n, n_found = 0;

	write_whole();
	t = open_trace();
	ck_assert_int_eq(trace_sum_lines(t, &lines, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (lines[i].line != 5)
			continue;
		n_found++;
		ck_assert_uint_eq(lines[i].wait_ns, 502 * NS_PER_MS);
		ck_assert_uint_eq(lines[i].ready_ns, 20 * NS_PER_MS);
		ck_assert_uint_ge(lines[i].self_ns, 599 * NS_PER_MS);
	}
	ck_assert_uint_eq(n_found, 1);
}
END_TEST

static int on_block(void *ctx, const struct trace_block *block)
{
	struct unpacker **unpacker = ctx;
	struct wait_list list;

	ck_assert_ptr_nonnull(block->waits);
	ck_assert_int_eq(wait_codec_decode(*unpacker, block->waits, block->waits_len, &list), 0);
	ck_assert_uint_eq(list.n_items, block->thread == 1 ? 5 : 1);
	wait_list_done(&list);
	return 0;
}

START_TEST(the_waits_of_a_block_can_be_decoded)
{
	auto_trace struct trace *t = NULL;
	struct unpacker *unpacker = unpacker_new();

	write_whole();
	t = open_trace();
	ck_assert_int_eq(trace_each_block(t, on_block, &unpacker), 0);
	unpacker_free(unpacker);
}
END_TEST

START_TEST(times_follow_the_nearest_earlier_anchor)
{
	auto_trace struct trace *t = NULL;
	int64_t ns;

	write_whole();
	run_sql("INSERT INTO anchors VALUES (3000000000, 9000000000)");
	t = open_trace();
	ck_assert_int_eq(trace_realtime(t, AT(5), &ns), 0);
	ck_assert_int_eq(ns, (int64_t)(test_about.start_realtime_ns + 5 * NS_PER_MS));
	ck_assert_int_eq(trace_realtime(t, AT(0) - 5, &ns), 0);
	ck_assert_int_eq(ns, (int64_t)test_about.start_realtime_ns - 5);
	ck_assert_int_eq(trace_realtime(t, UINT64_C(3000000007), &ns), 0);
	ck_assert_int_eq(ns, INT64_C(9000000007));
}
END_TEST

/* --- now --- */

START_TEST(now_is_what_each_thread_did_last)
{
	auto_trace struct trace *t = NULL;
	struct trace_writer *w = write_waits();
	struct now now;

	t = open_trace();
	ck_assert_int_eq(now_read(t, &now), 0);
	ck_assert_uint_eq(now.n, 2);
	ck_assert_uint_eq(now.threads[0].native_id, 1001);
	ck_assert_int_eq(now.threads[0].state, NOW_RUNNING);
	ck_assert_int_eq(now.threads[0].wait.line, 6);
	ck_assert_uint_eq(now.threads[0].since_ns, AT(1050));
	ck_assert_uint_eq(now.threads[0].lost_ns, 0);
	ck_assert_uint_eq(now.threads[1].thread, 2);
	ck_assert_int_eq(now.threads[1].state, NOW_WAITING);
	ck_assert_int_eq(now.threads[1].wait.line, 6);
	ck_assert_str_eq(trace_get_reason(t, now.threads[1].wait.reason)->what, a_recv.what);
	/* As it is stored: in whole units. */
	ck_assert_uint_le(now.threads[1].since_ns, AT(1500));
	ck_assert_uint_gt(now.threads[1].since_ns, AT(1500) - 2048);
	ck_assert_uint_eq(now.threads[1].until_ns, AT(3500));
	now_done(&now);
	ck_assert_int_eq(trace_writer_close(w, AT(4000), "stopped"), 0);
}
END_TEST

START_TEST(threads_without_followed_code_are_left_out)
{
	auto_trace struct trace *t = NULL;
	struct trace_writer *w = write_waits();
	struct now now;

	put_stack(w, 1, AT(3600), 0, NULL, 0);
	put_thread_end(w, 2, AT(3700));
	ck_assert_int_eq(trace_writer_tick(w, AT(7000)), 0);
	t = open_trace();
	ck_assert_int_eq(now_read(t, &now), 0);
	ck_assert_uint_eq(now.n, 0);
	now_done(&now);
	ck_assert_int_eq(trace_writer_close(w, AT(4000), "stopped"), 0);
}
END_TEST

START_TEST(an_ended_trace_has_no_now)
{
	auto_trace struct trace *t = NULL;
	struct now now;

	write_whole();
	t = open_trace();
	ck_assert_int_eq(now_read(t, &now), 0);
	ck_assert_uint_eq(now.n, 0);
}
END_TEST

/* The block was closed meanwhile: the wait fills the one that came then. */
START_TEST(a_long_wait_is_followed_back_to_its_start)
{
	auto_trace struct trace *t = NULL;
	struct trace_writer *w = write_waits();
	struct now now;

	for (unsigned s = 5; s <= 700; s += 5) {
		put_counters(w, AT(1000 * s), 100 + s);
		ck_assert_int_eq(trace_writer_tick(w, AT(1000 * s)), 0);
	}
	t = open_trace();
	ck_assert_int_eq(now_read(t, &now), 0);
	ck_assert_uint_eq(now.n, 2);
	ck_assert_int_eq(now.threads[1].state, NOW_WAITING);
	ck_assert_uint_eq(now.threads[1].since_ns, AT(1500));
	ck_assert_uint_eq(now.threads[1].until_ns, AT(700000));
	now_done(&now);
	ck_assert_int_eq(trace_writer_close(w, AT(700000), "stopped"), 0);
}
END_TEST

START_TEST(what_was_not_observed_of_late_is_not_known)
{
	auto_trace struct trace *t = NULL;
	auto_free char *text = NULL;
	struct trace_writer *w = write_waits();
	struct now now;

	put_gap(w, 2, AT(3600), AT(20000), GAP_UNREADABLE);
	ck_assert_int_eq(trace_writer_tick(w, AT(20001)), 0);
	t = open_trace();
	ck_assert_int_eq(now_read(t, &now), 0);
	ck_assert_uint_eq(now.n, 2);
	ck_assert_int_eq(now.threads[0].state, NOW_RUNNING);
	ck_assert_int_eq(now.threads[1].state, NOW_UNKNOWN);
	ck_assert_uint_eq(now.threads[1].lost_ns, (20000 - 3600) * NS_PER_MS);
	now_done(&now);
	text = RUN_PLAIN(cmd_info);
	assert_has(text, "thread 1002  not observed for 16.4 s, then on this line for 2.10 s\n");
	ck_assert_int_eq(trace_writer_close(w, AT(21000), "stopped"), 0);
}
END_TEST

/* --- damage --- */

START_TEST(damaged_waits_are_told)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET waits = zeroblob(20)",
	    "UPDATE blocks SET waits = 'text'",
	    "UPDATE blocks SET waits = substr(waits, 1, length(waits) - 3)",
	    "UPDATE blocks SET waits = -1",
	    "UPDATE blocks SET data = x'00'",
	};
	struct trace_writer *w = write_waits();
	auto_free char *text = NULL;

	ck_assert_int_eq(trace_writer_close(w, AT(4000), "stopped"), 0);
	run_sql("DELETE FROM meta WHERE key = 'end_ns'");
	run_sql(damage[_i]);
	text = RUN(cmd_info, EXIT_NO_TRACE, "-j");
	assert_has(text, "damaged: what could be read is shown\n");
	assert_has(text, "\"now\": [");
	if (_i < 4)
		assert_has(text, "\"state\": \"unknown\"");
}
END_TEST

START_TEST(rows_that_make_no_sense_do_no_harm)
{
	static const char *const damage[] = {
	    ("UPDATE OR REPLACE waits SET reason = -1, native = 'x', state = 99, idle = 7,"
	     " n = -1, total_ns = 'many', longest_ns = 1e300, longest_start_ns = -5"),
	    "UPDATE OR REPLACE waits SET file = -1, line = 1e300, reason = 5000000000",
	    "UPDATE reasons SET kind = x'ff00', call = 1.5, what = x'1b5b32', polled = 'x'",
	    "UPDATE reasons SET what = '', call = ''",
	    "UPDATE native_stacks SET complete = 'yes', frames = x'0a0a1b00ff'",
	    "UPDATE lines SET wait_ns = -1, ready_ns = 'x'",
	    "UPDATE meta SET value = x'00ff' WHERE key = 'edges'",
	    "DELETE FROM anchors",
	    "DROP TABLE reasons; DROP TABLE native_stacks",
	    "UPDATE threads SET native_id = -1, last_ns = NULL",
	    "UPDATE blocks SET first_ns = 9000000000000000000",
	};
	static const char *const modes[] = {"-j", "-l9"};

	write_whole();
	run_sql("DELETE FROM meta WHERE key = 'end_ns'");
	run_sql(damage[_i]);
	for (size_t i = 0; i < 2; i++) {
		auto_trace struct trace *t = open_trace();
		auto_free char *waits =
		    RUN(cmd_analyse, EXIT_OK, "--waits", "--native", "--idle", modes[i]);
		auto_free char *lines = RUN(cmd_analyse, EXIT_OK, modes[i]);
		struct now now;

		ck_assert_ptr_null(strchr(waits, '\033'));
		assert_has(lines, i ? "app.py" : "\"lines\"");
		now_read(t, &now);
		now_done(&now);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_waits");
	TCase *tc = tcase_create("trace_waits");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, waits_are_summed_with_their_reasons);
	tcase_add_test(tc, equal_reasons_and_stacks_are_one);
	tcase_add_test(tc, lines_tell_waiting_from_running);
	tcase_add_test(tc, the_waits_of_a_block_can_be_decoded);
	tcase_add_test(tc, times_follow_the_nearest_earlier_anchor);
	tcase_add_test(tc, now_is_what_each_thread_did_last);
	tcase_add_test(tc, threads_without_followed_code_are_left_out);
	tcase_add_test(tc, an_ended_trace_has_no_now);
	tcase_add_test(tc, a_long_wait_is_followed_back_to_its_start);
	tcase_add_test(tc, what_was_not_observed_of_late_is_not_known);
	tcase_add_loop_test(tc, damaged_waits_are_told, 0, 5);
	tcase_add_loop_test(tc, rows_that_make_no_sense_do_no_harm, 0, 11);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
