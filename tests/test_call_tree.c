/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/call_tree.h"

#include <errno.h>

#include "tests/support/waits_trace.h"

DEFINE_CLEANUP(struct call_tree *, call_tree_free)
#define auto_tree auto_release(call_tree_free)

/* The node of lines, outermost first, which 0 ends; NULL when there is none. */
static const struct tree_node *find_node(const struct call_tree *tree, const int32_t *lines)
{
	uint32_t at = TREE_ROOT;

	for (; *lines; lines++) {
		uint32_t i = at + 1;

		while (i < tree->n_nodes && (tree->nodes[i].parent != at ||
					     tree->frames[tree->nodes[i].frame].line != *lines))
			i++;
		if (i >= tree->n_nodes)
			return NULL;
		at = i;
	}
	return &tree->nodes[at];
}

#define NODE(tree, ...) find_node(tree, (const int32_t[]){__VA_ARGS__, 0})

START_TEST(stacks_have_their_time_by_what_was_done)
{
	auto_trace struct trace *t = NULL;
	auto_tree struct call_tree *tree = NULL;
	const struct tree_node *node;

	write_whole();
	t = open_trace();
	ck_assert_int_eq(call_tree_new(t, NULL, &tree), 0);
	ck_assert_uint_eq(tree->n_nodes, 5);
	node = NODE(tree, 2, 5);
	ck_assert_uint_eq(node->self_ns, 600 * NS_PER_MS);
	/* Waits are stored to about a microsecond. */
	ck_assert_uint_lt(node->wait_ns - 501 * NS_PER_MS, 2 * NS_PER_MS);
	ck_assert_uint_lt(node->ready_ns - 19 * NS_PER_MS, 2 * NS_PER_MS);
	ck_assert_uint_eq(NODE(tree, 2, 6)->wait_ns, 0);
	ck_assert_uint_eq(NODE(tree, 6)->self_ns, 4000 * NS_PER_MS);
	ck_assert_uint_eq(tree->nodes[TREE_ROOT].self_ns, 0);
}
END_TEST

START_TEST(a_selection_has_only_its_part)
{
	static const struct selection_options options = {.since = "+450ms", .thread = "1"};
	auto_trace struct trace *t = NULL;
	auto_tree struct call_tree *tree = NULL;
	struct selection s;
	char why[256];

	write_whole();
	t = open_trace();
	ck_assert_int_eq(selection_resolve(t, &options, &s, why, sizeof(why)), 0);
	ck_assert_int_eq(call_tree_new(t, &s, &tree), 0);
	selection_done(&s);
	ck_assert_uint_eq(NODE(tree, 2)->self_ns, 0);
	ck_assert_uint_eq(NODE(tree, 2, 5)->self_ns, 600 * NS_PER_MS);
	ck_assert_ptr_null(NODE(tree, 6));
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
	unsigned n_trees;
	size_t largest;
};

static int add_tree(void *ctx, const struct call_tree *tree)
{
	struct sums *sums = ctx;

	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		unsigned depth = 0;

		for (uint32_t at = i; at != TREE_ROOT; at = tree->nodes[at].parent)
			depth++;
		sums->by_depth[depth] += tree->nodes[i].self_ns;
	}
	sums->n_trees++;
	if (tree->n_nodes > sums->largest)
		sums->largest = tree->n_nodes;
	return 0;
}

START_TEST(in_parts_it_has_the_same_time)
{
	auto_trace struct trace *t = NULL;
	struct sums whole = {.n_trees = 0}, parts = {.n_trees = 0};
	struct walk_totals totals;

	write_deep();
	t = open_trace();
	ck_assert_int_eq(call_tree_each(t, NULL, 0, add_tree, &whole, NULL), 0);
	ck_assert_uint_eq(whole.n_trees, 1);
	ck_assert_int_eq(call_tree_each(t, NULL, 5, add_tree, &parts, &totals), 0);
	ck_assert_uint_gt(parts.n_trees, 1);
	ck_assert_uint_eq(totals.observed_ns, NS_PER_MS * 2 * DEPTHS);
	ck_assert_mem_eq(parts.by_depth, whole.by_depth, sizeof(parts.by_depth));
	ck_assert_uint_eq(whole.by_depth[DEPTHS / 2], 2 * NS_PER_MS);
}
END_TEST

static int refuse(void *ctx, const struct call_tree *tree)
{
	(void)ctx;
	(void)tree;
	return -ENOSPC;
}

START_TEST(who_takes_trees_can_end_it)
{
	auto_trace struct trace *t = NULL;

	write_deep();
	t = open_trace();
	ck_assert_int_eq(call_tree_each(t, NULL, 5, refuse, NULL, NULL), -ENOSPC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("call_tree");
	TCase *tc = tcase_create("call_tree");
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
