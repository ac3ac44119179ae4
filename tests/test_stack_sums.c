/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/stack_sums.h"

#include <errno.h>

#include "tests/support/waits_trace.h"

/* The node of lines, outermost first, which 0 ends; NULL when there is none. */
static const struct stack_node *find_node(const struct stack_sums *sums, const int32_t *lines)
{
	uint32_t at = 0;

	for (; *lines; lines++) {
		uint32_t i = at + 1;

		while (i < sums->n_nodes && (sums->nodes[i].parent != at ||
					     sums->places[sums->nodes[i].place].line != *lines))
			i++;
		if (i >= sums->n_nodes)
			return NULL;
		at = i;
	}
	return &sums->nodes[at];
}

#define NODE(sums, ...) find_node(sums, (const int32_t[]){__VA_ARGS__, 0})

static int sum(const struct selection_options *options, size_t max_nodes,
	       int (*on_sums)(void *ctx, const struct stack_sums *sums), void *ctx,
	       struct walk_totals *totals)
{
	auto_trace struct trace *t = open_trace();
	struct selection s;
	char why[256];
	int r;

	ck_assert_int_eq(selection_resolve(t, options, &s, why, sizeof(why)), 0);
	r = stack_sums_each(t, &s, false, max_nodes, on_sums, ctx, totals);
	selection_done(&s);
	return r;
}

static const struct selection_options everything = {0};

static int check_whole(void *ctx, const struct stack_sums *sums)
{
	const struct stack_node *node = NODE(sums, 2, 5);

	(void)ctx;
	ck_assert_uint_eq(sums->n_nodes, 5);
	ck_assert_uint_eq(node->wall_ns, 600 * NS_PER_MS);
	ck_assert_uint_lt(node->wait_ns - 501 * NS_PER_MS, 2 * NS_PER_MS);
	ck_assert_uint_lt(node->ready_ns - 19 * NS_PER_MS, 2 * NS_PER_MS);
	ck_assert_uint_eq(NODE(sums, 2, 6)->wait_ns, 0);
	ck_assert_uint_eq(NODE(sums, 6)->wall_ns, 4000 * NS_PER_MS);
	ck_assert_uint_eq(sums->nodes[0].wall_ns, 0);
	return 0;
}

START_TEST(stacks_have_their_time_by_what_was_done)
{
	write_whole();
	ck_assert_int_eq(sum(&everything, STACK_SUMS_MAX_NODES, check_whole, NULL, NULL), 0);
}
END_TEST

static int check_part(void *ctx, const struct stack_sums *sums)
{
	(void)ctx;
	ck_assert_uint_eq(NODE(sums, 2)->wall_ns, 0);
	ck_assert_uint_eq(NODE(sums, 2, 5)->wall_ns, 600 * NS_PER_MS);
	ck_assert_ptr_null(NODE(sums, 6));
	return 0;
}

START_TEST(a_selection_has_only_its_part)
{
	static const struct selection_options options = {.since = "+450ms", .thread = "1"};

	write_whole();
	ck_assert_int_eq(sum(&options, STACK_SUMS_MAX_NODES, check_part, NULL, NULL), 0);
}
END_TEST

/* Recursion of growing depth: each depth is a stack of its own. */
#define DEPTHS 300

static void write_deep(void)
{
	struct trace_writer *w = test_writer_new(folder);

	put_thread(w, 1, AT(0));
	put_code(w, 1, source_path, "main");
	for (uint32_t i = 0; i < DEPTHS; i++)
		put_stack(w, 1, AT(i), i, FRAMES({1, 2}), 1);
	for (uint32_t i = 0; i < DEPTHS; i++)
		put_stack(w, 1, AT(DEPTHS + i), DEPTHS - 1 - i, NULL, 0);
	ck_assert_int_eq(trace_writer_close(w, AT(2 * DEPTHS), "stopped"), 0);
}

struct sums {
	uint64_t by_depth[DEPTHS + 1];
	uint64_t n_calls;
	unsigned n_trees;
	size_t largest;
};

static int add_sums(void *ctx, const struct stack_sums *added)
{
	struct sums *sums = ctx;

	for (uint32_t i = 0; i < added->n_nodes; i++) {
		unsigned depth = 0;

		for (uint32_t at = i; at != 0; at = added->nodes[at].parent)
			depth++;
		sums->by_depth[depth] += added->nodes[i].wall_ns;
		sums->n_calls += added->nodes[i].n_calls;
	}
	sums->n_trees++;
	if (added->n_nodes > sums->largest)
		sums->largest = added->n_nodes;
	return 0;
}

START_TEST(in_parts_it_has_the_same_time)
{
	struct sums whole = {.n_trees = 0}, parts = {.n_trees = 0};
	struct walk_totals totals;

	write_deep();
	ck_assert_int_eq(sum(&everything, STACK_SUMS_MAX_NODES, add_sums, &whole, NULL), 0);
	ck_assert_uint_eq(whole.n_trees, 1);
	/* A tree has four times as many nodes as the stack has frames. */
	ck_assert_int_eq(sum(&everything, 5, add_sums, &parts, &totals), 0);
	ck_assert_uint_gt(parts.n_trees, 1);
	ck_assert_uint_eq(totals.observed_ns, NS_PER_MS * 2 * DEPTHS);
	ck_assert_mem_eq(parts.by_depth, whole.by_depth, sizeof(parts.by_depth));
	ck_assert_uint_eq(whole.by_depth[DEPTHS / 2], 2 * NS_PER_MS);
	ck_assert_uint_eq(parts.n_calls, whole.n_calls);
	ck_assert_uint_eq(whole.n_calls, DEPTHS);
}
END_TEST

static int refuse(void *ctx, const struct stack_sums *sums)
{
	(void)ctx;
	(void)sums;
	return -ENOSPC;
}

START_TEST(who_takes_trees_can_end_it)
{
	write_deep();
	ck_assert_int_eq(sum(&everything, 5, refuse, NULL, NULL), -ENOSPC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stack_sums");
	TCase *tc = tcase_create("stack_sums");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, stacks_have_their_time_by_what_was_done);
	tcase_add_test(tc, a_selection_has_only_its_part);
	tcase_add_test(tc, in_parts_it_has_the_same_time);
	tcase_add_test(tc, who_takes_trees_can_end_it);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
