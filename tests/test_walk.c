/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/walk.h"

#include <errno.h>

#include "tests/support/waits_trace.h"
#include "tests/support/walk_log.h"

static const struct selection_options everything = {0};

static char *walk_text(const struct selection_options *options, int expected,
		       struct walk_totals *totals)
{
	auto_trace struct trace *t = open_trace();

	return walk_as_text(t, options, expected, totals);
}

START_TEST(a_walk_tells_stacks_and_waits)
{
	struct walk_totals totals;
	auto_free char *text = NULL;

	write_whole();
	text = walk_text(&everything, 0, &totals);
	ck_assert_str_eq(text, "thread 1\n"
			       "0 -0 main:2\n"
			       "0 to 100000 cpu\n"
			       "100000 to 400000 wait epoll: 3 descriptors\n"
			       "400000 to 450000 cpu\n"
			       "450000 -0 work:5\n"
			       "450000 to 500000 cpu\n"
			       "500000 to 699999 wait recv from 10.0.0.5:5432\n"
			       "699999 to 710000 cpu\n"
			       "710000 to 1010000 wait recv from 10.0.0.5:5432\n"
			       "1010000 to 1030000 ready\n"
			       "1030000 to 1040000 cpu\n"
			       "1040000 to 1042000 wait\n"
			       "1042000 to 1050000 cpu\n"
			       "1050000 -1 work:6\n"
			       "1050000 to 4000000 cpu\n"
			       "4000000 -2\n"
			       "thread 2\n"
			       "0 -0 work:6\n"
			       "0 to 1499999 cpu\n"
			       "1499999 to 4000000 wait recv from 10.0.0.5:5432\n"
			       "4000000 -1\n");
}
END_TEST

START_TEST(an_interval_begins_with_the_stack_of_then)
{
	static const struct selection_options options = {
	    .since = "+600ms", .until = "+100ms", .thread = "1"};
	struct walk_totals totals;
	auto_free char *text = NULL;

	write_whole();
	text = walk_text(&options, 0, &totals);
	ck_assert_str_eq(text, "thread 1\n"
			       "600000 -0 main:2 work:5\n"
			       "600000 to 699999 wait recv from 10.0.0.5:5432\n"
			       "699999 to 700000 cpu\n"
			       "700000 -2\n");
}
END_TEST

/* Many blocks, a wait over several of them, and time that nobody saw. */
static void write_blocks(const char *edges)
{
	struct trace_about about = test_about;
	struct trace_writer *w;

	about.edges = edges;
	ck_assert_int_eq(trace_writer_create(db_path, &about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, AT(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "work");
	put_code(w, 3, source_path, "work");
	put_stack(w, 1, AT(0), 0, FRAMES({1, 2}), 1);
	put_stack(w, 1, AT(10), 1, FRAMES({2, 5}), 1);
	trace_writer_tick(w, AT(10));
	put_off(w, 1, AT(100), AT(60000), EDGE_WAITING, 1);
	trace_writer_tick(w, AT(60000));
	put_off(w, 1, AT(100), AT(150000), EDGE_WAITING, 0);
	trace_writer_tick(w, AT(150000));
	/* The same function, made again. */
	put_stack(w, 1, AT(150010), 1, FRAMES({3, 5}), 1);
	put_gap(w, 1, AT(150020), AT(150030), GAP_RING_FULL);
	put_stack(w, 1, AT(150030), 0, FRAMES({1, 2}, {3, 5}), 2);
	put_thread_end(w, 1, AT(150040));
	ck_assert_int_eq(trace_writer_close(w, AT(151000), "stopped"), 0);
}

START_TEST(blocks_are_joined_and_gaps_told)
{
	struct walk_totals totals;
	auto_free char *text = NULL;

	write_blocks("exact");
	text = walk_text(&everything, 0, &totals);
	ck_assert_str_eq(text, "thread 1\n"
			       "0 -0 main:2\n"
			       "0 to 10000 cpu\n"
			       "10000 -0 work:5\n"
			       "10000 to 100000 cpu\n"
			       "100000 to 150000000 wait\n"
			       "150000000 to 150010000 cpu\n"
			       "150010000 -1 work:5\n"
			       "150010000 to 150020000 cpu\n"
			       "150020000 -2\n"
			       "150020000 to 150030000 gap\n"
			       "150030000 -0 main:2 work:5\n"
			       "150030000 -2 main:2 work:5\n"
			       "150030000 to 150040000 cpu\n"
			       "150040000 -2\n");
}
END_TEST

START_TEST(without_edges_it_is_not_known_what_threads_did)
{
	auto_free char *text = NULL;

	write_blocks("none");
	text = walk_text(&everything, 0, NULL);
	assert_has(text, " time\n");
	assert_lacks(text, "cpu");
	assert_lacks(text, "wait");
}
END_TEST

START_TEST(a_damaged_block_is_a_gap)
{
	struct walk_totals totals;
	auto_free char *text = NULL;

	write_blocks("exact");
	run_sql("UPDATE blocks SET data = zeroblob(20) WHERE id = (SELECT max(id) FROM blocks)");
	text = walk_text(&everything, -EBADMSG, &totals);
	ck_assert_uint_eq(totals.n_lost_blocks, 1);
	ck_assert_uint_ge(totals.n_lost_events, 1);
	ck_assert_str_eq(text, "thread 1\n"
			       "0 -0 main:2\n"
			       "0 to 10000 cpu\n"
			       "10000 -0 work:5\n"
			       "10000 to 100000 cpu\n"
			       "100000 to 150000000 wait\n"
			       "150000000 to 150010000 cpu\n"
			       "150010000 -1 work:5\n"
			       "150010000 to 150020000 cpu\n"
			       "150020000 -2\n"
			       "150020000 to 150040000 gap\n");
}
END_TEST

START_TEST(damaged_waits_cost_only_themselves)
{
	struct walk_totals totals, whole;
	auto_free char *text = NULL;

	write_whole();
	free(walk_text(&everything, 0, &whole));
	run_sql("UPDATE blocks SET waits = x'00'");
	text = walk_text(&everything, -EBADMSG, &totals);
	ck_assert_uint_eq(totals.n_events, whole.n_events);
	ck_assert_uint_eq(totals.observed_ns, whole.observed_ns);
	ck_assert_uint_eq(totals.n_lost_blocks, 0);
	assert_lacks(text, "wait");
	assert_lacks(text, "cpu");
}
END_TEST

START_TEST(blocks_that_overlap_are_told_once)
{
	struct walk_totals totals;

	write_blocks("exact");
	run_sql("UPDATE blocks SET first_ns = first_ns - 1000000000 WHERE id ="
		" (SELECT max(id) FROM blocks)");
	free(walk_text(&everything, 0, &totals));
	ck_assert_uint_le(totals.observed_ns, AT(151000) - AT(0));
}
END_TEST

static int refuse(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places, uint32_t n)
{
	unsigned *n_calls = ctx;

	(void)time_ns;
	(void)pop;
	(void)places;
	(void)n;
	++*n_calls;
	return -ENOSPC;
}

START_TEST(a_call_can_end_the_walk)
{
	static const struct walk_calls calls = {.on_change = refuse};
	auto_trace struct trace *t = NULL;
	struct selection s;
	unsigned n_calls = 0;
	char why[256];

	write_whole();
	t = open_trace();
	ck_assert_int_eq(selection_resolve(t, &everything, &s, why, sizeof(why)), 0);
	ck_assert_int_eq(walk_trace(t, &s, &calls, &n_calls, NULL), -ENOSPC);
	ck_assert_uint_eq(n_calls, 1);
	selection_done(&s);
}
END_TEST

START_TEST(time_observed_is_that_of_the_blocks)
{
	struct trace_summary summary;
	struct walk_totals totals;
	auto_trace struct trace *t = NULL;

	write_blocks("exact");
	t = open_trace();
	ck_assert_int_eq(trace_summarise(t, &summary), 0);
	free(walk_as_text(t, &everything, 0, &totals));
	ck_assert_uint_eq(totals.observed_ns, summary.observed_ns);
	ck_assert_uint_eq(totals.n_events, summary.n_events);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("walk");
	TCase *tc = tcase_create("walk");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_walk_tells_stacks_and_waits);
	tcase_add_test(tc, an_interval_begins_with_the_stack_of_then);
	tcase_add_test(tc, blocks_are_joined_and_gaps_told);
	tcase_add_test(tc, without_edges_it_is_not_known_what_threads_did);
	tcase_add_test(tc, a_damaged_block_is_a_gap);
	tcase_add_test(tc, damaged_waits_cost_only_themselves);
	tcase_add_test(tc, blocks_that_overlap_are_told_once);
	tcase_add_test(tc, a_call_can_end_the_walk);
	tcase_add_test(tc, time_observed_is_that_of_the_blocks);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
