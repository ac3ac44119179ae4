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

/* At random, one of work's lines 1 to 8. */
static struct record_frame on_a_line(void)
{
	return (struct record_frame){2, 1 + (int32_t)random_below(8)};
}

/* Functions stand on lines of work, each also on one that is its own or on no other. */
static struct record_frame on_a_shared_line(void)
{
	static const struct record_frame others[] = {{3, 3}, {3, 9}, {4, 5}, {5, 5}, {5, 10}};

	return random_below(2) ? on_a_line() : others[random_below(5)];
}

/* Three functions, and no line that is of one of them alone. */
static struct record_frame on_a_cycle(void)
{
	return (struct record_frame){2 + random_below(3), 1 + (int32_t)random_below(3)};
}

/* Two frames, the inner one in turn where `next` says, and there waits of all lengths. */
static void write_random(struct record_frame (*next)(void))
{
	struct trace_about about = test_about;
	uint64_t now_us = 10;
	struct trace_writer *w;

	about.edges = "exact";
	ck_assert_int_eq(trace_writer_create(db_path, &about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, at_us(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "work");
	put_code(w, 3, source_path, "work.<listcomp>");
	put_code(w, 4, source_path, "work.<lambda>");
	put_code(w, 5, source_path, "work.<genexpr>");
	for (int i = 0; i < N_STEPS; i++) {
		struct record_frame inner = next();
		uint32_t n_waits = random_below(3);

		put_stack(w, 1, at_us(now_us) + random_below(1000), 0, FRAMES({1, 20}, inner), 2);
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
	struct time_split of[8];     /* by function */
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
	const struct walk_place *place;

	(void)activity;
	(void)wait;
	for (int k = 0; k < N_SPLIT_KINDS; k++) {
		ck_assert_uint_le(split->ns[k], end_ns - start_ns);
		all_ns += split->ns[k];
	}
	ck_assert_uint_eq(all_ns, end_ns - start_ns);
	if (!s->depth)
		return 0;
	place = walk_place(s->walk, s->stack[s->depth - 1]);
	s->self_ns[place->line] += all_ns;
	for (int k = 0; k < N_SPLIT_KINDS; k++) {
		s->split[place->line].ns[k] += split->ns[k];
		s->of[place->code].ns[k] += split->ns[k];
	}
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

static void assert_lines(struct trace *t, const struct sums *s, size_t n_lines)
{
	auto_free struct trace_line *lines = NULL;
	size_t n = 0;

	ck_assert_int_eq(trace_sum_lines(t, &lines, &n), 0);
	ck_assert_uint_ge(n, n_lines);
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
	write_random(on_a_line);
	t = open_trace();
	add_part(t, 0, UINT64_MAX, &sums);
	assert_lines(t, &sums, 8);
}
END_TEST

START_TEST(parts_add_up)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};
	uint64_t start_ns, end_ns, at_ns;

	seed = (uint32_t)_i + 100;
	write_random(on_a_line);
	t = open_trace();
	ck_assert_int_eq(trace_bounds(t, &start_ns, &end_ns), 0);
	while (start_ns < end_ns) {
		at_ns = start_ns + 1 + random_below(50) * NS_PER_MS + random_below(1000000);
		add_part(t, start_ns, at_ns, &sums);
		start_ns = at_ns;
	}
	assert_lines(t, &sums, 8);
}
END_TEST

/* What says more than there is, is left alone. */
START_TEST(an_index_that_is_wrong_breaks_nothing)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};

	seed = 7;
	write_random(on_a_line);
	run_sql("UPDATE lines SET wait_ns = 9000000000000 WHERE line = 3;"
		"UPDATE lines SET self_ns = 1 WHERE line = 4; DELETE FROM lines WHERE line = 5;");
	t = open_trace();
	add_part(t, 0, UINT64_MAX, &sums);
	ck_assert_uint_gt(sums.self_ns[5], 0);
}
END_TEST

static void on_function(void *ctx, uint32_t code, const struct trace_line *sum)
{
	struct time_split *of = ctx;

	of[code].ns[SPLIT_ON_CPU] += sum->self_ns - sum->wait_ns - sum->ready_ns;
	of[code].ns[SPLIT_WAITING] += sum->wait_ns;
	of[code].ns[SPLIT_READY] += sum->ready_ns;
}

static void assert_functions(struct trace *t, const struct sums *s)
{
	struct time_split of[8] = {0};

	ck_assert_int_eq(trace_each_function(t, INT64_MIN, INT64_MAX, on_function, of), 0);
	for (size_t i = 0; i < 8; i++) {
		for (int k = 0; k < N_SPLIT_KINDS; k++)
			ck_assert_uint_eq(s->of[i].ns[k], of[i].ns[k]);
	}
}

START_TEST(functions_that_share_lines_are_told_apart)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};

	seed = (uint32_t)_i + 200;
	write_random(on_a_shared_line);
	t = open_trace();
	add_part(t, 0, UINT64_MAX, &sums);
	assert_lines(t, &sums, 10);
	assert_functions(t, &sums);
}
END_TEST

START_TEST(parts_of_shared_lines_add_up)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};
	uint64_t start_ns, end_ns, at_ns;

	seed = (uint32_t)_i + 300;
	write_random(on_a_shared_line);
	t = open_trace();
	ck_assert_int_eq(trace_bounds(t, &start_ns, &end_ns), 0);
	for (; start_ns < end_ns; start_ns = at_ns) {
		at_ns = start_ns + 1 + random_below(50) * NS_PER_MS + random_below(1000000);
		add_part(t, start_ns, at_ns, &sums);
	}
	assert_lines(t, &sums, 10);
	assert_functions(t, &sums);
}
END_TEST

/* Nothing tells which of them had what on which line, but in sum it is right. */
START_TEST(a_cycle_has_the_right_sums)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};

	seed = (uint32_t)_i + 400;
	write_random(on_a_cycle);
	t = open_trace();
	add_part(t, 0, UINT64_MAX, &sums);
	assert_lines(t, &sums, 3);
	assert_functions(t, &sums);
}
END_TEST

static const char *const wrong_functions[] = {
    "UPDATE functions SET wait_ns = 0, ready_ns = 1 WHERE code = 2",
    "UPDATE functions SET wait_ns = 9000000000000000000, ready_ns = -1 WHERE code = 3",
    "UPDATE functions SET wait_ns = -1, ready_ns = -1",
    "UPDATE functions SET code = code + 100",
    "DELETE FROM functions WHERE code = 3",
    "DELETE FROM functions",
    "DROP TABLE functions",
};

START_TEST(functions_that_contradict_lines_leave_these_exact)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};

	seed = 8;
	write_random(on_a_shared_line);
	run_sql(wrong_functions[_i]);
	t = open_trace();
	add_part(t, 0, UINT64_MAX, &sums);
	assert_lines(t, &sums, 10);
}
END_TEST

START_TEST(lines_that_contradict_functions_break_nothing)
{
	auto_trace struct trace *t = NULL;
	struct sums sums = {0};

	seed = 9;
	write_random(on_a_shared_line);
	run_sql("UPDATE lines SET wait_ns = self_ns, ready_ns = 0 WHERE line = 3;"
		"UPDATE lines SET self_ns = self_ns + 512 WHERE line = 5;"
		"DELETE FROM lines WHERE line = 9; UPDATE lines SET ready_ns = -5 WHERE line = 4");
	t = open_trace();
	add_part(t, 0, UINT64_MAX, &sums);
	ck_assert_uint_eq(sums.split[3].ns[SPLIT_ON_CPU], 0);
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
	tcase_add_loop_test(tc, functions_that_share_lines_are_told_apart, 0, 5);
	tcase_add_loop_test(tc, parts_of_shared_lines_add_up, 0, 5);
	tcase_add_loop_test(tc, a_cycle_has_the_right_sums, 0, 5);
	tcase_add_loop_test(tc, functions_that_contradict_lines_leave_these_exact, 0,
			    sizeof(wrong_functions) / sizeof(wrong_functions[0]));
	tcase_add_test(tc, lines_that_contradict_functions_break_nothing);
	tcase_add_test(tc, an_index_that_is_wrong_breaks_nothing);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
