/* SPDX-License-Identifier: BSD-3-Clause */
/* Exports that add up stacks: the sums themselves, pprof and callgrind. */
#include "reader/stack_sums.h"

#include <errno.h>
#include <zlib.h>

#include "tests/support/waits_trace.h"

static struct selection select_all(struct trace *t)
{
	struct selection s;

	ck_assert_int_eq(
	    selection_resolve(t, &(struct selection_options){0}, &s, (char[512]){0}, 512), 0);
	return s;
}

/* A node by the lines of its stack, outermost first; 0 ends them. */
static const struct stack_node *find_node(const struct stack_sums *s, uint32_t root,
					  const int32_t *lines)
{
	uint32_t at = root;

	for (; *lines; lines++) {
		uint32_t found = 0;

		for (uint32_t i = 0; i < s->n_nodes; i++) {
			if (i != at && s->nodes[i].parent == at &&
			    s->nodes[i].place != UINT32_MAX &&
			    s->places[s->nodes[i].place].line == *lines)
				found = i;
		}
		ck_assert_msg(found, "no line %d under node %u", *lines, at);
		at = found;
	}
	return &s->nodes[at];
}

#define NODE(s, root, ...) find_node(s, root, (const int32_t[]){__VA_ARGS__, 0})

/* To the microsecond, to which waits are known. */
static void assert_about(uint64_t ns, uint64_t ms)
{
	ck_assert_uint_ge(ns + 5000, ms * NS_PER_MS);
	ck_assert_uint_le(ns, ms * NS_PER_MS + 5000);
}

static int check_threads(void *ctx, const struct stack_sums *sums)
{
	const struct stack_node *n = NODE(sums, 0, 2, 5);

	ck_assert_uint_eq(sums->n_threads, 2);
	assert_about(n->wall_ns, 600);
	assert_about(n->wait_ns, 502);
	/* The 20 ms in which it was ready are in neither. */
	assert_about(n->cpu_ns, 78);
	ck_assert_uint_eq(n->n_seen, 1);
	ck_assert_uint_eq(n->n_calls, 1);
	/* The function went on from line 5 to 6. */
	ck_assert_uint_eq(NODE(sums, 0, 2, 6)->n_calls, 0);
	assert_about(NODE(sums, 1, 6)->wall_ns, 4000);
	(*(int *)ctx)++;
	return 0;
}

static int check_joined(void *ctx, const struct stack_sums *sums)
{
	ck_assert_uint_eq(sums->n_threads, 1);
	assert_about(NODE(sums, 0, 6)->wait_ns, 2500);
	(*(int *)ctx)++;
	return 0;
}

START_TEST(each_stack_has_its_times)
{
	auto_trace struct trace *t = NULL;
	struct selection s;
	int n = 0;

	write_whole();
	t = open_trace();
	s = select_all(t);
	ck_assert_int_eq(
	    stack_sums_each(t, &s, true, STACK_SUMS_MAX_NODES, check_threads, &n, NULL), 0);
	ck_assert_int_eq(
	    stack_sums_each(t, &s, false, STACK_SUMS_MAX_NODES, check_joined, &n, NULL), 0);
	ck_assert_int_eq(n, 2);
	selection_done(&s);
}
END_TEST

/* What several trees have together, by depth and line of their frames. */
struct all_trees {
	uint64_t wall_ns[8][16];
	uint64_t n_seen, n_calls;
	int n;
};

static int add_tree(void *ctx, const struct stack_sums *sums)
{
	struct all_trees *all = ctx;

	for (uint32_t i = 0; i < sums->n_nodes; i++) {
		const struct stack_node *node = &sums->nodes[i];
		unsigned depth = 0;

		for (uint32_t at = i; sums->nodes[at].parent != at; at = sums->nodes[at].parent)
			depth++;
		ck_assert_uint_lt(depth, 8);
		all->n_seen += node->n_seen;
		all->n_calls += node->n_calls;
		if (depth)
			all->wall_ns[depth][sums->places[node->place].line] += node->wall_ns;
	}
	all->n++;
	return 0;
}

static int refuse(void *ctx, const struct stack_sums *sums)
{
	(void)sums;
	(*(int *)ctx)++;
	return -EPIPE;
}

static void write_recursion(void);

START_TEST(many_stacks_are_several_trees)
{
	auto_trace struct trace *t = NULL;
	struct all_trees one = {0}, several = {0};
	struct selection s;
	int n = 0;

	write_recursion();
	t = open_trace();
	s = select_all(t);
	ck_assert_int_eq(stack_sums_each(t, &s, true, STACK_SUMS_MAX_NODES, add_tree, &one, NULL),
			 0);
	ck_assert_int_eq(one.n, 1);
	ck_assert_int_eq(stack_sums_each(t, &s, true, 1, add_tree, &several, NULL), 0);
	ck_assert_int_gt(several.n, 1);
	several.n = one.n;
	ck_assert_mem_eq(&several, &one, sizeof(one));
	ck_assert_int_eq(stack_sums_each(t, &s, true, 1, refuse, &n, NULL), -EPIPE);
	ck_assert_int_eq(n, 1);
	selection_done(&s);
}
END_TEST

/* Line 3 of fact() calls fact() again; line 2 returns. */
static void write_recursion(void)
{
	struct trace_writer *w = test_writer_new(folder);

	put_thread(w, 1, AT(0));
	put_code(w, 1, "/app/f.py", "main");
	put_code(w, 2, "/app/f.py", "fact");
	put_stack(w, 1, AT(0), 0, FRAMES({1, 10}), 1);
	put_stack(w, 1, AT(10), 1, FRAMES({2, 3}), 1);
	put_stack(w, 1, AT(20), 2, FRAMES({2, 3}), 1);
	put_stack(w, 1, AT(30), 3, FRAMES({2, 2}), 1);
	put_stack(w, 1, AT(70), 3, FRAMES({0}), 0);
	put_stack(w, 1, AT(80), 1, FRAMES({0}), 0);
	ck_assert_int_eq(trace_writer_close(w, AT(100), "stopped"), 0);
}

START_TEST(callgrind_counts_recursion_once)
{
	auto_free char *text = NULL;
	const char *from;

	write_recursion();
	text = RUN(cmd_export, EXIT_OK, "--format", "callgrind");
	from = strstr(text, "positions:");
	ck_assert_ptr_nonnull(from);
	ck_assert_str_eq(from, "positions: line\n"
			       "events: Wall\n"
			       "summary: 100000000\n"
			       "\n"
			       "fl=/app/f.py\n"
			       "fn=(1) main\n"
			       "10 30000000\n"
			       "cfi=/app/f.py\n"
			       "cfn=(2) fact\n"
			       "calls=1 1\n"
			       "10 70000000\n"
			       "\n"
			       "fl=/app/f.py\n"
			       "fn=(2)\n"
			       "2 40000000\n"
			       "3 30000000\n"
			       "cfi=/app/f.py\n"
			       "cfn=(2)\n"
			       /* The outer call of line 3 has the inner one in it. */
			       "calls=2 1\n"
			       "3 60000000\n");
}
END_TEST

START_TEST(callgrind_has_cpu_and_waits_where_they_are_known)
{
	auto_free char *text = NULL;

	write_whole();
	text = RUN(cmd_export, EXIT_OK, "--format", "callgrind", "--thread", "1");
	assert_has(text, "events: Wall Cpu Wait\n");
	assert_has(text, "summary: 4000000000 ");
}
END_TEST

START_TEST(names_do_not_break_callgrind)
{
	static const char file[] = "(1) a\n\xff.py", name[] = "(2)\nfn=x";
	struct trace_writer *w = test_writer_new(folder);
	auto_free char *text = NULL;

	put_thread(w, 1, AT(0));
	put_code_bytes(w, 1, file, sizeof(file) - 1, name, sizeof(name) - 1);
	put_stack(w, 1, AT(0), 0, FRAMES({1, 10}), 1);
	ck_assert_int_eq(trace_writer_close(w, AT(100), "stopped"), 0);
	text = RUN(cmd_export, EXIT_OK, "--format", "callgrind");
	assert_has(text, "fl=\\x281) a\\x0a\\xff.py\n");
	assert_has(text, "fn=(1) \\x282)\\x0afn=x\n");
}
END_TEST

/* Unpacked; the caller frees. */
static uint8_t *read_pprof(const char *const *more, size_t *ret_len)
{
	auto_free char *path = xasprintf("%s/out.pb.gz", folder);
	auto_free char *said = NULL;
	const char *options[6] = {"--format", "pprof", "-o", path};
	uint8_t *bytes = xmalloc(1 << 20);
	gzFile f;
	int n;

	for (int i = 0; more[i]; i++)
		options[4 + i] = more[i];
	said = run(&cmd_export, EXIT_OK, options);
	ck_assert_str_eq(said, "");
	f = gzopen(path, "rb");
	ck_assert_ptr_nonnull(f);
	/* Otherwise it was never compressed. */
	n = gzread(f, bytes, 1 << 20);
	ck_assert_int_eq(gzdirect(f), 0);
	ck_assert_int_eq(gzclose(f), Z_OK);
	ck_assert_int_gt(n, 0);
	*ret_len = (size_t)n;
	return bytes;
}

/* What of the fields of the profile are there; fails when it is not whole. */
static void count_fields(const uint8_t *bytes, size_t len, size_t counts[static 16])
{
	for (size_t at = 0; at < len;) {
		unsigned field = bytes[at] >> 3, type = bytes[at] & 7;
		uint64_t value = 0;

		at++;
		ck_assert_uint_lt(field, 16);
		for (unsigned shift = 0;; shift += 7) {
			ck_assert(at < len && shift < 64);
			value |= (uint64_t)(bytes[at] & 0x7f) << shift;
			if (!(bytes[at++] & 0x80))
				break;
		}
		counts[field]++;
		ck_assert(type == 0 || type == 2);
		if (type == 2)
			at += value;
		ck_assert_uint_le(at, len);
	}
}

START_TEST(a_profile_has_its_parts)
{
	size_t len, counts[16] = {0};
	auto_free uint8_t *bytes = NULL;

	write_whole();
	bytes = read_pprof((const char *const[]){NULL}, &len);
	count_fields(bytes, len, counts);
	/* Types, stacks with time, lines, functions; then times, the period and the default. */
	ck_assert_uint_eq(counts[1], 3);
	ck_assert_uint_eq(counts[2], 4);
	ck_assert_uint_eq(counts[4], 3);
	ck_assert_uint_eq(counts[5], 2);
	ck_assert_uint_gt(counts[6], 10);
	for (int i = 9; i <= 12; i++)
		ck_assert_uint_eq(counts[i], 1);
	ck_assert_uint_eq(counts[14], 1);
	ck_assert_uint_eq(counts[3], 0);
}
END_TEST

START_TEST(a_profile_without_edges_has_no_cpu_time)
{
	size_t len, counts[16] = {0};
	auto_free uint8_t *bytes = NULL;

	write_recursion();
	bytes = read_pprof((const char *const[]){NULL}, &len);
	count_fields(bytes, len, counts);
	ck_assert_uint_eq(counts[1], 2);
}
END_TEST

START_TEST(damage_costs_only_itself)
{
	static const char *const formats[] = {"pprof", "callgrind"};
	auto_free char *path = xasprintf("%s/out", folder);
	auto_free char *said = NULL;

	write_whole();
	run_sql("UPDATE blocks SET data = zeroblob(length(data)) WHERE id = 1");
	said = RUN(cmd_export, EXIT_NO_TRACE, "--format", formats[_i], "-o", path);
	assert_has(said, "damaged");
	ck_assert_int_eq(access(path, R_OK), 0);
}
END_TEST

START_TEST(an_empty_trace_is_an_empty_export)
{
	struct trace_writer *w = test_writer_new(folder);
	auto_free char *text = NULL;

	ck_assert_int_eq(trace_writer_close(w, AT(100), "stopped"), 0);
	text = RUN(cmd_export, EXIT_OK, "--format", "callgrind");
	assert_has(text, "summary: 0\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("export_stacks");
	TCase *tc = tcase_create("export_stacks");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_stack_has_its_times);
	tcase_add_test(tc, many_stacks_are_several_trees);
	tcase_add_test(tc, callgrind_counts_recursion_once);
	tcase_add_test(tc, callgrind_has_cpu_and_waits_where_they_are_known);
	tcase_add_test(tc, names_do_not_break_callgrind);
	tcase_add_test(tc, a_profile_has_its_parts);
	tcase_add_test(tc, a_profile_without_edges_has_no_cpu_time);
	tcase_add_loop_test(tc, damage_costs_only_itself, 0, 2);
	tcase_add_test(tc, an_empty_trace_is_an_empty_export);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
