/* SPDX-License-Identifier: BSD-3-Clause */
/* Waits too short to be listed are in the sums of each line, and sums are those of the index. */
#include "reader/block_split.h"

#include <check.h>
#include <stdlib.h>

#include "reader/trace_lines.h"
#include "reader/walk.h"
#include "tests/support/waits_trace.h"

#define N_STEPS 3000

static uint32_t seed;

static uint64_t at_us(uint64_t us)
{
	return TEST_START_NS + us * NS_PER_US;
}

static uint32_t random_below(uint32_t limit)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(seed >> 4) * limit >> 28);
}

/* Lines 1 to 8 in turn, and on each of them waits of all lengths. */
static void write_random(void)
{
	struct trace_about about = test_about;
	uint64_t now_us = 10;
	struct trace_writer *w;

	about.edges = "exact";
	ck_assert_int_eq(trace_writer_create(db_path, &about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, at_us(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "work");
	for (int i = 0; i < N_STEPS; i++) {
		int32_t line = 1 + (int32_t)random_below(8);
		uint32_t n_waits = random_below(3);

		put_stack(w, 1, at_us(now_us) + random_below(1000), 0, FRAMES({1, 20}, {2, line}),
			  2);
		for (uint32_t k = 0; k < n_waits; k++) {
			uint64_t start = at_us(now_us + 2 + random_below(300)) + random_below(1000);
			uint64_t length = 1 + random_below(random_below(20) ? 400000 : 40000000);

			put_off(w, 1, start, start + length,
				random_below(3) ? EDGE_WAITING : EDGE_READY, 0);
			now_us = (start + length - at_us(0)) / 1000 + 1;
		}
		now_us += 1 + random_below(200);
		if (random_below(200) == 0)
			trace_writer_tick(w, at_us(now_us));
	}
	ck_assert_int_eq(trace_writer_close(w, at_us(now_us + 5000), "stopped"), 0);
}

struct sums {
	const struct walk *walk;
	uint32_t stack[2];
	uint32_t depth;
	uint64_t self_ns[32];
	struct time_split split[32]; /* by line */
};

static int on_thread(void *ctx, struct walk *w, const struct trace_thread *thread)
{
	struct sums *s = ctx;

	(void)thread;
	s->walk = w;
	s->depth = 0;
	return 0;
}

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places, uint32_t n)
{
	struct sums *s = ctx;

	(void)time_ns;
	s->depth -= pop;
	for (uint32_t i = 0; i < n; i++)
		s->stack[s->depth++] = places[i];
	return 0;
}

static int on_time(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		   const struct wait_kind *wait)
{
	struct sums *s = ctx;
	const struct time_split *split = walk_split(s->walk);
	uint64_t all_ns = 0;
	int32_t line;

	(void)activity;
	(void)wait;
	for (int k = 0; k < N_SPLIT_KINDS; k++)
		all_ns += split->ns[k];
	ck_assert_uint_eq(all_ns, end_ns - start_ns);
	if (!s->depth)
		return 0;
	line = walk_place(s->walk, s->stack[s->depth - 1])->line;
	s->self_ns[line] += all_ns;
	for (int k = 0; k < N_SPLIT_KINDS; k++)
		s->split[line].ns[k] += split->ns[k];
	return 0;
}

static void add_part(struct trace *t, uint64_t since_ns, uint64_t until_ns, struct sums *ret)
{
	static const struct walk_calls calls = {
	    .on_thread = on_thread, .on_change = on_change, .on_time = on_time};
	uint16_t thread = 1;
	const struct selection s = {
	    .since_ns = since_ns, .until_ns = until_ns, .threads = &thread, .n_threads = 1};

	ck_assert_int_eq(walk_trace(t, &s, &calls, ret, NULL), 0);
}

static void assert_as_index(struct trace *t, const struct sums *s)
{
	auto_free struct trace_line *lines = NULL;
	size_t n = 0;

	ck_assert_int_eq(trace_sum_lines(t, &lines, &n), 0);
	ck_assert_uint_ge(n, 8);
	for (size_t i = 0; i < n; i++) {
		const struct trace_line *l = &lines[i];

		ck_assert_uint_eq(s->self_ns[l->line], l->self_ns);
		ck_assert_uint_eq(s->split[l->line].ns[SPLIT_WAITING], l->wait_ns);
		ck_assert_uint_eq(s->split[l->line].ns[SPLIT_READY], l->ready_ns);
	}
}

START_TEST(sums_are_those_of_the_index)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};

	seed = (uint32_t)_i + 1;
	write_random();
	t = open_trace();
	add_part(t, 0, UINT64_MAX, &sums);
	assert_as_index(t, &sums);
}
END_TEST

START_TEST(parts_add_up)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};
	uint64_t start_ns, end_ns, at_ns;

	seed = (uint32_t)_i + 100;
	write_random();
	t = open_trace();
	ck_assert_int_eq(trace_bounds(t, &start_ns, &end_ns), 0);
	while (start_ns < end_ns) {
		at_ns = start_ns + 1 + random_below(50) * NS_PER_MS + random_below(1000000);
		add_part(t, start_ns, at_ns, &sums);
		start_ns = at_ns;
	}
	assert_as_index(t, &sums);
}
END_TEST

/* What says more than there is, is left alone. */
START_TEST(an_index_that_is_wrong_breaks_nothing)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};

	seed = 7;
	write_random();
	run_sql("UPDATE lines SET wait_ns = 9000000000000 WHERE line = 3;"
		"UPDATE lines SET self_ns = 1 WHERE line = 4; DELETE FROM lines WHERE line = 5;");
	t = open_trace();
	add_part(t, 0, UINT64_MAX, &sums);
	ck_assert_uint_gt(sums.self_ns[5], 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block_split");
	TCase *tc = tcase_create("block_split");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, sums_are_those_of_the_index, 0, 5);
	tcase_add_loop_test(tc, parts_add_up, 0, 5);
	tcase_add_test(tc, an_index_that_is_wrong_breaks_nothing);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
