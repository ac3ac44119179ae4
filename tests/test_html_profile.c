/* SPDX-License-Identifier: BSD-3-Clause */
/* Of invented traces: what is where, and that no time gets lost when it has to be small. */
#include "reader/html_profile.h"

#include <check.h>
#include <stdlib.h>

#include "tests/support/waits_trace.h"

static struct selection selected;

static struct html_profile *make(struct trace *t, const struct profile_limits *limits)
{
	const struct selection_options options = {0};
	struct html_profile *p = NULL;
	char why[256] = "";

	selection_done(&selected);
	ck_assert_msg(selection_resolve(t, &options, &selected, why, sizeof(why)) == 0, "%s", why);
	ck_assert_int_eq(html_profile_new(t, &selected, limits, &p), 0);
	return p;
}

/* Nanoseconds, or visits, of all cells whose node and state meet what is asked; -1: any. */
static uint64_t sum(const struct html_profile *p, int class, int32_t line)
{
	uint64_t all = 0;

	for (size_t i = 0; i < p->n_cells; i++) {
		const struct profile_cell *c = &p->cells[i];
		int is = (int)p->states[c->state].class;

		if (class >= 0 ? is != class : is == PROFILE_VISITS)
			continue;
		if (line < 0 || p->places[p->nodes[c->node].place].line == line)
			all += c->value;
	}
	return all;
}

static void assert_sound(const struct html_profile *p)
{
	size_t next_cell = 0;

	for (uint32_t i = 1; i < p->n_nodes; i++) {
		ck_assert_uint_lt(p->nodes[i].parent, i);
		ck_assert_uint_lt(p->nodes[i].place, p->n_places);
	}
	for (size_t i = 0; i < p->n_rows; i++) {
		const struct profile_row *row = &p->rows[i];

		ck_assert_uint_lt(row->slice, html_profile_n_slices(p));
		ck_assert_uint_lt(row->thread, p->n_threads);
		ck_assert_uint_eq(row->first_cell, next_cell);
		next_cell += row->n_cells;
		if (i > 0 && p->rows[i - 1].thread == row->thread)
			ck_assert_uint_gt(row->slice, p->rows[i - 1].slice);
	}
	ck_assert_uint_eq(next_cell, p->n_cells);
	for (size_t i = 0; i < p->n_cells; i++) {
		ck_assert_uint_lt(p->cells[i].node, p->n_nodes);
		ck_assert_uint_lt(p->cells[i].state, p->n_states);
	}
	ck_assert_uint_eq(sum(p, -1, -1), p->totals.observed_ns);
}

START_TEST(time_is_where_it_was_spent)
{
	auto_trace struct trace *t = (write_whole(), open_trace());
	auto_release(html_profile_free) struct html_profile *p = make(t, &profile_default_limits);

	assert_sound(p);
	ck_assert_uint_eq(p->n_threads, 2);
	/* Times of waits are known to a microsecond. */
	ck_assert_int_lt(llabs((long long)sum(p, PROFILE_READY, -1) - 20 * 1000000LL), 4000);
	ck_assert_int_lt(llabs((long long)sum(p, PROFILE_WAITING, 5) - 502 * 1000000LL), 8000);
	ck_assert_uint_eq(sum(p, PROFILE_UNKNOWN, -1), 0);
	/* Line 2, and under it line 5, then 6; the other thread: line 6. */
	ck_assert_uint_eq(sum(p, PROFILE_VISITS, 2), 1);
	ck_assert_uint_eq(sum(p, PROFILE_VISITS, 5), 1);
	ck_assert_uint_eq(sum(p, PROFILE_VISITS, 6), 2);
}
END_TEST

START_TEST(sums_are_those_of_the_index)
{
	auto_trace struct trace *t = (write_whole(), open_trace());
	auto_release(html_profile_free) struct html_profile *p = make(t, &profile_default_limits);
	auto_free struct trace_line *lines = NULL;
	size_t n = 0;

	ck_assert_int_eq(trace_sum_lines(t, &lines, &n), 0);
	ck_assert_uint_gt(n, 2);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(sum(p, -1, lines[i].line), lines[i].self_ns);
		ck_assert_uint_eq(sum(p, PROFILE_VISITS, lines[i].line), lines[i].visits);
		ck_assert_uint_eq(sum(p, PROFILE_WAITING, lines[i].line), lines[i].wait_ns);
		ck_assert_uint_eq(sum(p, PROFILE_READY, lines[i].line), lines[i].ready_ns);
	}
}
END_TEST

START_TEST(waits_are_whole_though_slices_are_short)
{
	auto_trace struct trace *t = (write_whole(), open_trace());
	auto_release(html_profile_free) struct html_profile *p = make(t, &profile_default_limits);
	uint64_t longest_ns = 0;

	/* 100, 500, 710, 1040 and 1500 ms. */
	ck_assert_uint_eq(p->longest.n, 5);
	for (size_t i = 0; i < p->longest.n; i++) {
		const struct longest_wait *w = &p->longest.waits[i];

		ck_assert_int_eq((int)p->states[w->state].class, PROFILE_WAITING);
		if (w->length_ns > longest_ns)
			longest_ns = w->length_ns;
	}
	ck_assert_uint_gt(longest_ns, 2400 * NS_PER_MS);
}
END_TEST

START_TEST(longer_slices_lose_nothing)
{
	static const struct profile_limits limits = {
	    .max_slices = 1000, .min_slices = 4, .max_cells = 40, .max_nodes = 100, .max_waits = 9};
	auto_trace struct trace *t = (write_whole(), open_trace());
	auto_release(html_profile_free) struct html_profile *p = make(t, &limits);

	assert_sound(p);
	ck_assert_uint_le(p->n_cells, 40);
	ck_assert_uint_lt(html_profile_n_slices(p), 40);
	ck_assert_uint_eq(p->other_ns, 0);
	ck_assert_uint_eq(sum(p, PROFILE_VISITS, 6), 2);
}
END_TEST

/* Many stacks, each one for a while; every tenth for longer. */
#define N_STACKS    500
#define RARE_MS	    1
#define FREQUENT_MS 10

static void write_many(void)
{
	struct trace_writer *w;
	uint64_t ms = 0;

	ck_assert_int_eq(trace_writer_create(db_path, &test_about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, AT(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "work");
	for (int32_t i = 1; i <= N_STACKS; i++) {
		put_stack(w, 1, AT(ms), 0, FRAMES({1, i}, {2, 1000 + i}), 2);
		ms += i % 10 ? RARE_MS : FREQUENT_MS;
	}
	ck_assert_int_eq(trace_writer_close(w, AT(ms), "stopped"), 0);
}

START_TEST(rare_stacks_are_put_together)
{
	static const struct profile_limits limits = {.max_slices = 50,
						     .min_slices = 50,
						     .max_cells = 4000,
						     .max_nodes = 300,
						     .max_waits = 9};
	auto_release(html_profile_free) struct html_profile *p = NULL;
	auto_trace struct trace *t = (write_many(), open_trace());
	size_t n_other = 0;

	p = make(t, &limits);
	assert_sound(p);
	ck_assert_uint_le(p->n_nodes, 300);
	for (size_t i = 0; i < p->n_nodes; i++)
		n_other += p->nodes[i].place == PROFILE_OTHER;
	ck_assert_uint_gt(n_other, 0);
	ck_assert_uint_gt(p->other_ns, 0);
	ck_assert_uint_gt(p->other_below_ns, RARE_MS * NS_PER_MS);
	/* What took longer has its name. */
	ck_assert_uint_eq(sum(p, -1, 1010), FREQUENT_MS * NS_PER_MS);
	ck_assert_uint_eq(sum(p, -1, 1011), 0);
}
END_TEST

START_TEST(stacks_are_put_together_while_walking)
{
	static const struct profile_limits limits = {
	    .max_slices = 50, .min_slices = 50, .max_cells = 100, .max_nodes = 60, .max_waits = 9};
	auto_release(html_profile_free) struct html_profile *p = NULL;
	auto_trace struct trace *t = (write_many(), open_trace());
	auto_free struct trace_line *lines = NULL;
	uint64_t visits = 0;
	size_t n = 0;

	p = make(t, &limits);
	assert_sound(p);
	ck_assert_uint_le(p->n_nodes, 60);
	ck_assert_int_eq(trace_sum_lines(t, &lines, &n), 0);
	for (size_t i = 0; i < n; i++)
		visits += lines[i].visits;
	/* Counts, too, only lose their names. */
	ck_assert_uint_eq(sum(p, PROFILE_VISITS, -1), visits);
}
END_TEST

START_TEST(a_profile_becomes_as_small_as_it_must)
{
	auto_trace struct trace *t = (write_whole(), open_trace());
	auto_release(html_profile_free) struct html_profile *p = make(t, &profile_default_limits);

	html_profile_reduce(p, 1, 1, 1);
	assert_sound(p);
	ck_assert_uint_eq(html_profile_n_slices(p), 1);
}
END_TEST

static void done(void)
{
	selection_done(&selected);
	selected = (struct selection){0};
	teardown();
}

int main(void)
{
	Suite *suite = suite_create("html_profile");
	TCase *tc = tcase_create("profile");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, done);
	tcase_add_test(tc, time_is_where_it_was_spent);
	tcase_add_test(tc, sums_are_those_of_the_index);
	tcase_add_test(tc, waits_are_whole_though_slices_are_short);
	tcase_add_test(tc, longer_slices_lose_nothing);
	tcase_add_test(tc, rare_stacks_are_put_together);
	tcase_add_test(tc, stacks_are_put_together_while_walking);
	tcase_add_test(tc, a_profile_becomes_as_small_as_it_must);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
