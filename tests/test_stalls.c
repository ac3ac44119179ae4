/* SPDX-License-Identifier: BSD-3-Clause */
/* Long turns of event loops, in invented traces. */
#include "reader/stalls.h"

#include <errno.h>
#include <locale.h>

#include "reader/analyse_stalls.h"
#include "reader/clock_map.h"
#include "reader/shell_word.h"
#include "reader/stall_table.h"
#include "reader/wait_states.h"
#include "tests/support/waits_trace.h"

#define UNIT_NS	   (UINT64_C(1) << WAIT_TIME_SHIFT)
#define STALLS_MAX 4096

struct found {
	struct stall stalls[STALLS_MAX];
	size_t n;
	struct stalls_totals totals;
};

static int take(void *ctx, const struct stall *s)
{
	struct found *f = ctx;

	ck_assert_uint_lt(f->n, STALLS_MAX);
	f->stalls[f->n++] = *s;
	return 0;
}

static int find(struct trace *t, uint64_t min_ns, uint64_t since_ns, uint64_t until_ns,
		struct found *ret)
{
	const struct stalls_wanted wanted = {
	    .min_ns = min_ns, .since_ns = since_ns, .until_ns = until_ns};

	*ret = (struct found){0};
	return stalls_find(t, &wanted, take, ret, &ret->totals);
}

static void find_all(struct trace *t, unsigned min_ms, struct found *ret)
{
	ck_assert_int_eq(find(t, min_ms * NS_PER_MS, 0, UINT64_MAX, ret), 0);
}

static void assert_near(uint64_t ns, uint64_t expected)
{
	ck_assert_msg(ns + 3 * UNIT_NS >= expected && ns <= expected + 3 * UNIT_NS, "%llu %llu",
		      (unsigned long long)ns, (unsigned long long)expected);
}

static void assert_stall(const struct stall *s, unsigned start_ms, unsigned end_ms, int32_t line,
			 enum stall_cause cause)
{
	assert_near(s->start_ns, AT(start_ms));
	assert_near(s->end_ns, AT(end_ms));
	ck_assert_int_eq(s->line, line);
	ck_assert_int_eq(s->cause, cause);
}

static struct trace_writer *begin_trace(void)
{
	struct trace_about about = test_about;
	struct trace_writer *w;

	about.edges = "exact";
	ck_assert_int_eq(trace_writer_create(db_path, &about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, AT(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "work");
	put_stack(w, 1, AT(0), 0, FRAMES({1, 2}), 1);
	return w;
}

static void end_trace(struct trace_writer *w, unsigned ms)
{
	put_counters(w, AT(ms), 100);
	ck_assert_int_eq(trace_writer_close(w, AT(ms), "stopped"), 0);
}

static void put_idle(struct trace_writer *w, unsigned start_ms, unsigned end_ms)
{
	trace_writer_wait(w, 1, AT(start_ms), AT(start_ms), &a_poll);
	put_off(w, 1, AT(start_ms), AT(end_ms), EDGE_WAITING, 0);
}

static void put_line(struct trace_writer *w, unsigned ms, int32_t line)
{
	put_stack(w, 1, AT(ms), 1, FRAMES({2, line}), 1);
}

static void put_loop(struct trace_writer *w, unsigned ms)
{
	put_stack(w, 1, AT(ms), 1, NULL, 0);
}

/*
 * Idle, then turns: 200 to 500 waits on line 5; 600 to 900 computes on line 6; 1000 to 1300 is
 * ready on line 5; 1400 to 1410 is short; the last one from 1500 on is not over at 2000.
 */
static void write_turns(void)
{
	struct trace_writer *w = begin_trace();

	put_idle(w, 100, 200);
	put_line(w, 210, 5);
	trace_writer_wait(w, 1, AT(220), AT(221), &a_recv);
	put_off(w, 1, AT(220), AT(480), EDGE_WAITING, 0);
	put_line(w, 485, 6);
	put_loop(w, 499);
	put_idle(w, 500, 600);
	put_line(w, 610, 6);
	put_loop(w, 890);
	put_idle(w, 900, 1000);
	put_line(w, 1010, 5);
	put_off(w, 1, AT(1020), AT(1250), EDGE_READY, 0);
	put_loop(w, 1260);
	put_idle(w, 1300, 1400);
	put_idle(w, 1410, 1500);
	put_line(w, 1501, 6);
	end_trace(w, 2000);
}

START_TEST(each_turn_has_its_line_and_cause)
{
	auto_trace struct trace *t = NULL;
	struct found f;

	write_turns();
	t = open_trace();
	find_all(t, 100, &f);
	ck_assert_uint_eq(f.n, 4);
	ck_assert_uint_eq(f.totals.n_loops, 1);
	assert_stall(&f.stalls[0], 200, 500, 5, STALL_WAITING);
	ck_assert_str_eq(trace_get_reason(t, f.stalls[0].reason)->what, a_recv.what);
	assert_near(f.stalls[0].line_ns, 275 * NS_PER_MS);
	assert_near(f.stalls[0].at_ns, AT(210));
	assert_stall(&f.stalls[1], 600, 900, 6, STALL_ON_CPU);
	assert_stall(&f.stalls[2], 1000, 1300, 5, STALL_READY);
	ck_assert(!f.stalls[2].is_unfinished);
	assert_stall(&f.stalls[3], 1500, 2000, 6, STALL_ON_CPU);
	ck_assert(f.stalls[3].is_unfinished);
	find_all(t, 9, &f);
	ck_assert_uint_eq(f.n, 5);
	find_all(t, 301, &f);
	ck_assert_uint_eq(f.n, 1);
}
END_TEST

START_TEST(only_turns_that_begin_in_the_interval)
{
	auto_trace struct trace *t = NULL;
	struct found f;

	write_turns();
	t = open_trace();
	ck_assert_int_eq(find(t, NS_PER_MS, AT(590), AT(1200), &f), 0);
	ck_assert_uint_eq(f.n, 2);
	assert_stall(&f.stalls[0], 600, 900, 6, STALL_ON_CPU);
	assert_stall(&f.stalls[1], 1000, 1300, 5, STALL_READY);
	ck_assert_int_eq(find(t, NS_PER_MS, AT(5000), UINT64_MAX, &f), 0);
	ck_assert_uint_eq(f.n, 0);
	ck_assert_int_eq(find(t, NS_PER_MS, 0, 1, &f), 0);
	ck_assert_uint_eq(f.n, 0);
}
END_TEST

/* A turn from 200 ms to 9.8 s: line 6 runs, but 1 s on line 5; blocks end on the way. */
static void write_long_turn(bool with_gap)
{
	struct trace_writer *w = begin_trace();

	put_idle(w, 100, 200);
	put_line(w, 210, 6);
	for (unsigned ms = 1000; ms < 9000; ms += 200) {
		put_line(w, ms, ms == 4000 ? 5 : 6);
		put_line(w, ms + 1, ms >= 4000 && ms < 5000 ? 5 : 6);
		ck_assert_int_eq(trace_writer_tick(w, AT(ms + 2)), 0);
		if (with_gap && ms == 3000) {
			put_gap(w, 1, AT(3010), AT(3020), GAP_UNREADABLE);
			put_stack(w, 1, AT(3020), 0, FRAMES({1, 2}, {2, 6}), 2);
		}
	}
	put_loop(w, 9790);
	put_idle(w, 9800, 9900);
	end_trace(w, 9950);
}

START_TEST(whole_blocks_are_summed_up_by_their_index)
{
	auto_trace struct trace *t = NULL;
	struct found f;

	write_long_turn(false);
	/* Where a block is not one of the two at the ends, its events are not needed. */
	run_sql("UPDATE blocks SET data = zeroblob(8) WHERE"
		" first_ns > (SELECT min(first_ns) FROM blocks)"
		" AND last_ns < (SELECT max(last_ns) FROM blocks)");
	t = open_trace();
	find_all(t, 100, &f);
	ck_assert_uint_eq(f.n, 1);
	assert_stall(&f.stalls[0], 200, 9800, 6, STALL_ON_CPU);
	assert_near(f.stalls[0].at_ns, AT(210));
	ck_assert_uint_gt(f.stalls[0].line_ns, 8000 * NS_PER_MS);
	ck_assert_uint_lt(f.stalls[0].line_ns, 9000 * NS_PER_MS);
}
END_TEST

START_TEST(a_gap_ends_a_turn)
{
	auto_trace struct trace *t = NULL;
	struct found f;

	write_long_turn(true);
	t = open_trace();
	find_all(t, 100, &f);
	ck_assert_uint_eq(f.n, 1);
	ck_assert(f.stalls[0].is_unfinished);
	assert_near(f.stalls[0].start_ns, AT(200));
	ck_assert_uint_le(f.stalls[0].end_ns, AT(3011));
	ck_assert_uint_ge(f.stalls[0].end_ns, AT(3000));
}
END_TEST

/* Turns and idle waits of random lengths, blocks and a gap now and then. */
static void write_random(unsigned seed)
{
	static const unsigned lengths[] = {1, 2, 3, 5, 8, 20, 50, 300, 1500};
	struct trace_writer *w = begin_trace();
	unsigned ms = 10;

	srand(seed);
	while (ms < 60000) {
		unsigned idle = lengths[(unsigned)rand() % 9], turn = lengths[(unsigned)rand() % 9];

		put_idle(w, ms, ms + idle);
		ms += idle;
		if (turn > 4) {
			put_line(w, ms + 1, 5);
			put_loop(w, ms + turn - 1);
		}
		ms += turn;
		if (rand() % 4 == 0)
			ck_assert_int_eq(trace_writer_tick(w, AT(ms)), 0);
		if (rand() % 100 == 0) {
			put_gap(w, 1, AT(ms), AT(ms + 5), GAP_UNREADABLE);
			ms += 5;
			put_stack(w, 1, AT(ms), 0, FRAMES({1, 2}), 1);
			ms += 2;
		}
	}
	end_trace(w, ms + 10);
}

/* By replay's search, which decodes all. */
static size_t find_slowly(struct trace *t, uint64_t min_ns, struct thread_turn *ret)
{
	struct thread_states states = wait_states(t);
	struct thread_turn turn = {0};
	size_t n = 0;

	while (states.find_turn(states.ctx, 0, turn.start_ns, FORWARDS, min_ns, (struct cancel){0},
				&turn) == 1) {
		ck_assert_uint_lt(n, STALLS_MAX);
		ret[n++] = turn;
	}
	return n;
}

START_TEST(nothing_is_skipped_that_counts)
{
	static struct thread_turn turns[STALLS_MAX];
	static const unsigned min_ms[] = {1, 4, 19, 51, 300, 1500};
	auto_trace struct trace *t = NULL;
	static struct found f;

	write_random((unsigned)_i);
	t = open_trace();
	for (size_t m = 0; m < sizeof(min_ms) / sizeof(min_ms[0]); m++) {
		size_t n = find_slowly(t, min_ms[m] * NS_PER_MS, turns), finished = 0;

		find_all(t, min_ms[m], &f);
		for (size_t i = 0; i < f.n; i++) {
			if (f.stalls[i].is_unfinished)
				continue;
			ck_assert_uint_lt(finished, n);
			ck_assert_uint_eq(f.stalls[i].start_ns, turns[finished].start_ns);
			ck_assert_uint_eq(f.stalls[i].end_ns, turns[finished].end_ns);
			finished++;
		}
		ck_assert_uint_eq(finished, n);
	}
}
END_TEST

START_TEST(threads_without_a_loop_have_none)
{
	auto_trace struct trace *t = NULL;
	struct found f;

	write_turns();
	run_sql("UPDATE waits SET idle = 0 WHERE state = 1 OR idle = 1");
	t = open_trace();
	find_all(t, 1, &f);
	ck_assert_uint_eq(f.n, 0);
	ck_assert_uint_eq(f.totals.n_loops, 0);
}
END_TEST

START_TEST(nothing_is_known_without_edges)
{
	auto_trace struct trace *t = NULL;
	struct found f;

	write_turns();
	run_sql("UPDATE meta SET value = 'none' WHERE key = 'edges'");
	t = open_trace();
	ck_assert_int_eq(find(t, 1, 0, UINT64_MAX, &f), -EOPNOTSUPP);
}
END_TEST

START_TEST(damage_is_told_and_does_no_harm)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET waits = zeroblob(20)",
	    "UPDATE blocks SET waits = NULL",
	    "UPDATE blocks SET data = zeroblob(20)",
	    "UPDATE blocks SET data = 'x', waits = 5",
	    "UPDATE blocks SET last_ns = 9223372036854775807",
	    "UPDATE blocks SET first_ns = 0",
	    "UPDATE waits SET total_ns = -1",
	    "UPDATE waits SET total_ns = 9223372036854775807, n = 9223372036854775807",
	    "UPDATE lines SET self_ns = 9223372036854775807",
	    "UPDATE waits SET file = -7, line = 'x', reason = 99",
	    "DELETE FROM code",
	    "DELETE FROM lines; DELETE FROM reasons",
	};
	auto_trace struct trace *t = NULL;
	struct found f;
	int r;

	write_long_turn(false);
	run_sql(damage[_i]);
	t = open_trace();
	r = find(t, NS_PER_MS, 0, UINT64_MAX, &f);
	ck_assert(r == 0 || r == -EBADMSG);
	if (_i == 0 || _i == 2 || _i == 3) {
		ck_assert_int_eq(r, -EBADMSG);
		ck_assert_uint_gt(f.totals.n_lost_blocks, 0);
	}
}
END_TEST

START_TEST(groups_are_by_line_and_its_text)
{
	auto_trace struct trace *t = NULL;
	struct stall_table table = {0};
	struct clock_map clock;
	struct stall_trace here = {.path = "/x y", .n_threads = 2};
	struct stall s = {.thread = 1, .file = 1, .line = 5, .start_ns = AT(0), .end_ns = AT(100)};

	write_turns();
	t = open_trace();
	ck_assert_int_eq(clock_map_init(&clock, t), 0);
	here.trace = t;
	here.clock = &clock;
	stall_table_add(&table, &here, &s);
	s.end_ns = AT(300);
	s.at_ns = AT(0);
	stall_table_add(&table, &here, &s);
	stall_table_end_trace(&table);
	s.end_ns = AT(200);
	stall_table_add(&table, &here, &s);
	s.line = 6;
	stall_table_add(&table, &here, &s);
	stall_table_sort(&table);
	ck_assert_uint_eq(table.n_groups, 2);
	ck_assert_uint_eq(table.n, 4);
	ck_assert_uint_eq(table.groups[0].n, 3);
	ck_assert_int_eq(table.groups[0].line, 5);
	ck_assert_str_eq(table.groups[0].source, "return sock.recv(4096)");
	ck_assert_uint_eq(table.groups[0].total_ns, 600 * NS_PER_MS);
	ck_assert_uint_eq(table.groups[0].worst.end_ns, AT(300));
	ck_assert_uint_eq(table.worst_ns, 300 * NS_PER_MS);
	clock_map_done(&clock);
	stall_table_done(&table);
}
END_TEST

START_TEST(the_table_as_text_and_json)
{
	auto_free char *text = NULL, *json = NULL, *none = NULL, *expected = NULL;

	write_turns();
	text = RUN(cmd_analyse, EXIT_OK, "--stalls=290ms", "--num-items", "2");
	json = RUN(cmd_analyse, EXIT_OK, "--stalls=290ms", "-j");
	none = RUN(cmd_analyse, EXIT_OK, "--stalls=1h");
	assert_has(text, "4 turns of an event loop took longer than 290 ms, 1.40 s in all; the "
			 "longest 500 ms\n"
			 "1 of them went on when observation ended, and took so long at least\n"
			 "\n"
			 "COUNT   TOTAL   WORST  BEGAN                    LOCATION\n"
			 "    2  800 ms  500 ms  ");
	expected = xasprintf("%s:6\n"
			     "       on CPU: y = 2\n"
			     "       trackexec replay --at ",
			     source_path);
	assert_has(text, expected);
	assert_has(json, "\"turns\": 4,\n  \"unfinished\": 1,\n");
	assert_has(json, "\"reason\": \"recv from 10.0.0.5:5432\"");
	ck_assert_str_eq(none, "no turn took longer than 1 h 00 min\n");
}
END_TEST

START_TEST(paths_are_safe_to_paste)
{
	static const struct {
		const char *path, *word;
	} cases[] = {
	    {"/var/log/walt/trackexec/latest/server-main",
	     "/var/log/walt/trackexec/latest/server-main"},
	    {"-rf", "./-rf"},
	    {"", "''"},
	    {"a b;c", "'a b;c'"},
	    {"it's", "'it'\\''s'"},
	    {"$HOME`x`\"", "'$HOME`x`\"'"},
	    {"~", "'~'"},
	    {"a\nb\x1b[", "$'a\\x0ab\\x1b['"},
	    {"\xc3\xa9'\\", "$'\\xc3\\xa9\\'\\\\'"},
	};
	auto_free char *word = shell_path(cases[_i].path);

	ck_assert_str_eq(word, cases[_i].word);
}
END_TEST

START_TEST(min_may_stand_behind)
{
	static const struct {
		const char *equals, *next;
		int taken;
		uint64_t ms;
	} cases[] = {
	    {NULL, NULL, 0, 100},     {NULL, "/tmp", 0, 100}, {NULL, "250ms", 1, 250},
	    {"2s", "250ms", 0, 2000}, {NULL, "0.5", 1, 500},  {"x", NULL, -EINVAL, 0},
	    {NULL, "0", -EINVAL, 0},  {"", NULL, -EINVAL, 0}, {NULL, "trace-1s", 0, 100},
	};
	uint64_t ns;

	ck_assert_int_eq(stalls_parse_min(cases[_i].equals, cases[_i].next, &ns), cases[_i].taken);
	if (cases[_i].taken >= 0)
		ck_assert_uint_eq(ns, cases[_i].ms * NS_PER_MS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stalls");
	TCase *tc = tcase_create("stalls");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_turn_has_its_line_and_cause);
	tcase_add_test(tc, only_turns_that_begin_in_the_interval);
	tcase_add_test(tc, whole_blocks_are_summed_up_by_their_index);
	tcase_add_test(tc, a_gap_ends_a_turn);
	tcase_add_loop_test(tc, nothing_is_skipped_that_counts, 0, 8);
	tcase_add_test(tc, threads_without_a_loop_have_none);
	tcase_add_test(tc, nothing_is_known_without_edges);
	tcase_add_loop_test(tc, damage_is_told_and_does_no_harm, 0, 12);
	tcase_add_test(tc, groups_are_by_line_and_its_text);
	tcase_add_test(tc, the_table_as_text_and_json);
	tcase_add_loop_test(tc, paths_are_safe_to_paste, 0, 9);
	tcase_add_loop_test(tc, min_may_stand_behind, 0, 9);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
