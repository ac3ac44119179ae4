/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose fault a wait is, in a run of invented traces that wait for each other. */
#include "reader/wait_chain.h"

#include <check.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/waits_trace.h"

#define auto_chains auto_release(wait_chains_free)

/* The folder of the run. */
static char *run_folder;

/* Put the support's trace of that name in place. */
static void use_trace(const char *name)
{
	free(folder);
	free(db_path);
	folder = xasprintf("%s/%s", run_folder, name);
	db_path = xasprintf("%s/trace.db", folder);
	mkdir(folder, 0700);
}

static void setup_run(void)
{
	setup();
	run_folder = folder;
	folder = NULL;
	free(source_path);
	source_path = xasprintf("%s/app.py", run_folder);
	write_source();
}

static void teardown_run(void)
{
	test_folder_remove(run_folder);
	free(folder);
	free(db_path);
	free(source_path);
}

static struct trace_writer *begin(const char *name)
{
	struct trace_about about = test_about;
	struct trace_writer *w;

	about.edges = "exact";
	use_trace(name);
	ck_assert_int_eq(trace_writer_create(db_path, &about, test_read_source, NULL, &w), 0);
	put_thread(w, 1, AT(0));
	put_code(w, 1, source_path, "main");
	return w;
}

static void end(struct trace_writer *w)
{
	ck_assert_int_eq(trace_writer_close(w, AT(1000), "stopped"), 0);
}

static void put_wait(struct trace_writer *w, uint16_t thread, unsigned start, unsigned stop,
		     const char *what, const char *peer, uint32_t polled)
{
	const struct wait_about about = {
	    .kind = "poll", .call = "poll", .what = what, .peer = peer, .polled = polled};

	trace_writer_wait(w, thread, AT(start), AT(start) + 1000, &about);
	put_off(w, thread, AT(start), AT(stop), EDGE_WAITING, 0);
}

/* Waits on a line for a peer from start to stop. */
static void write_waiter(const char *name, int line, unsigned start, unsigned stop,
			 const char *peer)
{
	struct trace_writer *w = begin(name);

	put_stack(w, 1, AT(0), 0, FRAMES({1, line}), 1);
	put_wait(w, 1, start, stop, "UNIX socket", peer, 1);
	put_stack(w, 1, AT(950), 0, FRAMES({1, 6}), 1);
	end(w);
}

/* Runs on line 6 up to 400, polls idly on line 2 to 600, runs on line 5, waits from 700 to 704. */
static void write_worker(const char *name)
{
	struct trace_writer *w = begin(name);

	put_stack(w, 1, AT(0), 0, FRAMES({1, 6}), 1);
	put_stack(w, 1, AT(400), 0, FRAMES({1, 2}), 1);
	put_wait(w, 1, 401, 600, "3 descriptors", NULL, 3);
	put_stack(w, 1, AT(600), 0, FRAMES({1, 5}), 1);
	put_wait(w, 1, 700, 704, "disk", NULL, 1);
	end(w);
}

struct follower {
	struct trace *trace;
	struct wait_chains *chains;
	struct chain_step steps[CHAIN_MAX_STEPS];
	size_t n;
};

/* Follow the only wait of a trace that has a peer. */
static void follow(const char *name, struct follower *f)
{
	auto_free struct trace_wait *waits = NULL;
	size_t n;

	use_trace(name);
	f->trace = open_trace();
	f->chains = wait_chains_new(f->trace);
	f->n = 0;
	ck_assert_int_eq(trace_sum_waits(f->trace, &waits, &n), 0);
	for (size_t i = 0; i < n && f->n == 0; i++)
		f->n = wait_chains_follow(f->chains, &waits[i], f->steps);
}

static void follower_done(struct follower *f)
{
	wait_chains_free(f->chains);
	trace_close(f->trace);
}

static void assert_step(const struct chain_step *s, const char *name, enum chain_state state,
			int line, unsigned ms)
{
	ck_assert_str_eq(s->name, name);
	ck_assert_int_eq(s->state, state);
	ck_assert_int_eq(s->kind.line, line);
	/* Times of waits are stored in whole microseconds. */
	ck_assert_uint_ge(s->ns + 8192, ms * NS_PER_MS);
	ck_assert_uint_le(s->ns, ms * NS_PER_MS + 8192);
	ck_assert(!s->is_partial);
}

/* --- */

START_TEST(a_chain_is_followed_to_the_line_that_ran)
{
	struct follower f;
	auto_free char *text = NULL, *json = NULL;

	write_waiter("a", 5, 100, 340, "b");
	write_waiter("b", 2, 110, 330, "c");
	write_worker("c");
	follow("a", &f);
	ck_assert_uint_eq(f.n, 2);
	assert_step(&f.steps[0], "b", CHAIN_WAITING, 2, 220);
	ck_assert_uint_eq(f.steps[0].start_ns, AT(100));
	ck_assert_uint_eq(f.steps[0].end_ns, AT(340));
	assert_step(&f.steps[1], "c", CHAIN_RUNNING, 6, 220);
	follower_done(&f);

	text = RUN(cmd_analyse, EXIT_OK, "--waits");
	assert_has(text, "\n          b: 220 ms of 240 ms in ");
	assert_has(text, "app.py:2 waiting for c: UNIX socket\n          c: 220 ms of 220 ms in ");
	assert_has(text, "app.py:6 running: y = 2\n");
	json = RUN(cmd_analyse, EXIT_OK, "--waits", "--json");
	assert_has(json, "\"chain\": [\n        {\n          \"trace\": \"b\",\n"
			 "          \"state\": \"waiting\",\n");
	assert_has(json, "\"peer\": \"c\",\n          \"ns\": 2");
	assert_has(json, "          \"trace\": \"c\",\n          \"state\": \"running\",\n");
	assert_has(json, "\"source\": \"y = 2\",\n          \"kind\": null,\n");
}
END_TEST

START_TEST(only_the_time_of_the_wait_counts)
{
	struct follower f;

	/* 100 ms of line 6, 199 idle, of line 5 100 and then 50, 4 of a wait. */
	write_waiter("a", 5, 300, 754, "c");
	write_worker("c");
	follow("a", &f);
	ck_assert_uint_eq(f.n, 1);
	assert_step(&f.steps[0], "c", CHAIN_RUNNING, 5, 150);
	/* With what the loop's line took beside its wait. */
	ck_assert_uint_ge(f.steps[0].idle_ns, 199 * NS_PER_MS);
	ck_assert_uint_le(f.steps[0].idle_ns, 201 * NS_PER_MS);
	follower_done(&f);
}
END_TEST

START_TEST(a_peer_that_had_nothing_to_do_is_idle)
{
	auto_free char *text = NULL;
	struct follower f;

	write_waiter("a", 5, 450, 550, "c");
	write_worker("c");
	follow("a", &f);
	ck_assert_uint_eq(f.n, 1);
	assert_step(&f.steps[0], "c", CHAIN_IDLE, 2, 100);
	follower_done(&f);
	text = RUN(cmd_analyse, EXIT_OK, "--waits");
	assert_has(text, "app.py:2 idle, waiting: 3 descriptors\n");
}
END_TEST

/* Blocks are closed meanwhile, so it lies in several of them. */
START_TEST(a_long_wait_is_one)
{
	const struct wait_about about = {.kind = "poll", .call = "poll", .what = "x", .peer = "c"};
	struct trace_writer *w = begin("b");
	struct trace_summary summary;
	struct follower f;

	put_stack(w, 1, AT(0), 0, FRAMES({1, 5}), 1);
	trace_writer_wait(w, 1, AT(200), AT(201), &about);
	put_off(w, 1, AT(200), AT(300), EDGE_WAITING, 1);
	for (unsigned s = 5; s < 2000; s += 5) {
		put_counters(w, AT(1000 * s), 100 + s);
		ck_assert_int_eq(trace_writer_tick(w, AT(1000 * s)), 0);
	}
	put_off(w, 1, AT(200), AT(1998000), EDGE_WAITING, 0);
	ck_assert_int_eq(trace_writer_close(w, AT(2000000), "stopped"), 0);
	w = begin("a");
	put_stack(w, 1, AT(0), 0, FRAMES({1, 6}), 1);
	put_wait(w, 1, 100, 1999000, "UNIX socket", "b", 1);
	ck_assert_int_eq(trace_writer_close(w, AT(2000000), "stopped"), 0);
	follow("a", &f);
	ck_assert_uint_eq(f.n, 2);
	ck_assert_int_eq(trace_summarise(f.steps[0].trace, &summary), 0);
	ck_assert_uint_gt(summary.n_blocks, 1);
	assert_step(&f.steps[0], "b", CHAIN_WAITING, 5, 1997800);
	ck_assert_uint_ge(f.steps[1].start_ns + 2048, AT(200));
	ck_assert_uint_le(f.steps[1].start_ns, AT(200));
	ck_assert_uint_ge(f.steps[1].end_ns + 2048, AT(1998000));
	ck_assert_uint_le(f.steps[1].end_ns, AT(1998000) + 2048);
	follower_done(&f);
}
END_TEST

START_TEST(without_edges_running_is_not_claimed)
{
	struct follower f;

	write_waiter("a", 5, 100, 300, "c");
	write_worker("c");
	run_sql("UPDATE meta SET value = 'none' WHERE key = 'edges'");
	follow("a", &f);
	assert_step(&f.steps[0], "c", CHAIN_ON_LINE, 6, 200);
	follower_done(&f);
}
END_TEST

START_TEST(a_parked_worker_is_not_blamed)
{
	struct trace_writer *w;
	struct follower f;

	write_waiter("a", 5, 100, 300, "c");
	w = begin("c");
	put_thread(w, 2, AT(0));
	put_stack(w, 1, AT(0), 0, FRAMES({1, 5}), 1);
	put_stack(w, 2, AT(0), 0, FRAMES({1, 2}), 1);
	put_wait(w, 2, 10, 900, "lock", NULL, 1);
	put_wait(w, 1, 130, 280, "disk", NULL, 1);
	end(w);
	follow("a", &f);
	assert_step(&f.steps[0], "c", CHAIN_WAITING, 5, 150);
	follower_done(&f);
}
END_TEST

START_TEST(those_that_wait_for_each_other_end_the_chain)
{
	auto_free char *text = NULL;
	struct follower f;

	write_waiter("a", 5, 100, 300, "b");
	write_waiter("b", 2, 110, 290, "a");
	follow("a", &f);
	ck_assert_uint_eq(f.n, 2);
	ck_assert_int_eq(f.steps[0].state, CHAIN_WAITING);
	ck_assert_int_eq(f.steps[1].state, CHAIN_REPEATED);
	ck_assert_str_eq(f.steps[1].name, "a");
	follower_done(&f);
	text = RUN(cmd_analyse, EXIT_OK, "--waits");
	assert_has(text, "          a: this trace was there before: they wait for each other\n");
}
END_TEST

START_TEST(a_circle_that_is_not_ones_own_ends_the_chain)
{
	struct follower f;

	write_waiter("a", 5, 100, 300, "b");
	write_waiter("b", 2, 110, 290, "c");
	write_waiter("c", 2, 120, 280, "b");
	follow("a", &f);
	ck_assert_uint_eq(f.n, 3);
	ck_assert_int_eq(f.steps[2].state, CHAIN_REPEATED);
	follower_done(&f);
}
END_TEST

START_TEST(a_chain_is_not_endless)
{
	struct follower f;

	for (unsigned i = 0; i < CHAIN_MAX_STEPS + 2; i++) {
		char name[] = {(char)('a' + i), 0}, next[] = {(char)('b' + i), 0};

		write_waiter(name, 5, 100 + i, 300, next);
	}
	follow("a", &f);
	ck_assert_uint_eq(f.n, CHAIN_MAX_STEPS);
	ck_assert_int_eq(f.steps[f.n - 1].state, CHAIN_WAITING);
	follower_done(&f);
}
END_TEST

/* --- what cannot be followed --- */

static const struct {
	const char *peer;
	int error;
} no_traces[] = {
    {"..", -EINVAL},	 {".", -EINVAL},	  {"/etc", -EINVAL},   {"../other", -EINVAL},
    {"a/../c", -EINVAL}, {"-c", -EINVAL},	  {"nobody", -ENOENT}, {"empty", -ENOENT},
    {"link", -ENOTDIR},	 {"linked-db", -EBADMSG}, {"text", -EBADMSG},
};

static void write_text(const char *path)
{
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	for (int i = 0; i < 1000; i++)
		fputs("no database ", f);
	fclose(f);
}

START_TEST(what_is_no_trace_of_the_run_is_not_opened)
{
	auto_free char *link = xasprintf("%s/link", run_folder), *text = NULL;
	auto_free char *linked_db = xasprintf("%s/linked-db/trace.db", run_folder);
	struct follower f;

	write_worker("c");
	use_trace("empty");
	use_trace("linked-db");
	ck_assert_int_eq(symlink("c", link), 0);
	ck_assert_int_eq(symlink("../c/trace.db", linked_db), 0);
	use_trace("text");
	write_text(db_path);
	write_waiter("a", 5, 100, 300, no_traces[_i].peer);
	follow("a", &f);
	ck_assert_uint_eq(f.n, 1);
	ck_assert_int_eq(f.steps[0].state, CHAIN_NO_TRACE);
	ck_assert_int_eq(f.steps[0].error, no_traces[_i].error);
	ck_assert_ptr_null(f.steps[0].trace);
	follower_done(&f);
	text = RUN(cmd_analyse, EXIT_OK, "--waits");
	assert_has(text, no_traces[_i].error == -EINVAL	  ? ": not the name of a trace\n"
			 : no_traces[_i].error == -ENOENT ? ": no such trace beside this one\n"
							  : ": its trace ");
	assert_lacks(text, "running: ");
}
END_TEST

START_TEST(without_a_peer_there_is_no_chain)
{
	struct follower f;

	write_waiter("a", 5, 100, 300, "");
	follow("a", &f);
	ck_assert_uint_eq(f.n, 0);
	follower_done(&f);
}
END_TEST

START_TEST(a_trace_of_another_boot_or_machine_is_told)
{
	static const char *const changes[] = {
	    "UPDATE anchors SET realtime_ns = realtime_ns + 60000000000",
	    "UPDATE meta SET value = 'elsewhere' WHERE key = 'host'",
	};
	struct follower f;

	write_waiter("a", 5, 100, 300, "c");
	write_worker("c");
	run_sql(changes[_i]);
	follow("a", &f);
	ck_assert_uint_eq(f.n, 1);
	ck_assert_int_eq(f.steps[0].state, CHAIN_FOREIGN);
	follower_done(&f);
}
END_TEST

START_TEST(damage_in_a_peer_is_told)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET waits = zeroblob(20)",
	    "UPDATE blocks SET data = x'00'",
	    "UPDATE blocks SET data = zeroblob(0)",
	    "DROP TABLE threads",
	};
	struct follower f;

	write_waiter("a", 5, 100, 300, "c");
	write_worker("c");
	run_sql(damage[_i]);
	follow("a", &f);
	ck_assert_uint_eq(f.n, 1);
	ck_assert_int_eq(f.steps[0].state, CHAIN_NOTHING);
	ck_assert(f.steps[0].is_partial);
	follower_done(&f);
}
END_TEST

START_TEST(rows_that_make_no_sense_do_no_harm)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET first_ns = -1",
	    "UPDATE blocks SET last_ns = 9223372036854775807",
	    "UPDATE blocks SET first_ns = last_ns + 1",
	    "UPDATE waits SET longest_ns = -1, longest_start_ns = 9223372036854775807",
	    "UPDATE threads SET id = 70000, first_ns = 'x', last_ns = -1",
	    "DELETE FROM anchors; DELETE FROM code; DELETE FROM files",
	    "UPDATE reasons SET peer = x'1b5b32ff'",
	};
	auto_free char *a = NULL, *b = NULL;

	write_waiter("a", 5, 100, 300, "b");
	run_sql(damage[_i]);
	write_waiter("b", 2, 110, 290, "a");
	run_sql(damage[_i]);
	b = RUN(cmd_analyse, EXIT_OK, "--waits");
	use_trace("a");
	a = RUN(cmd_analyse, EXIT_OK, "--waits", "--json");
	ck_assert_ptr_null(strchr(b, '\033'));
	assert_has(a, "\"chain\": [");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_chain");
	TCase *tc = tcase_create("wait_chain");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup_run, teardown_run);
	tcase_add_test(tc, a_chain_is_followed_to_the_line_that_ran);
	tcase_add_test(tc, only_the_time_of_the_wait_counts);
	tcase_add_test(tc, a_peer_that_had_nothing_to_do_is_idle);
	tcase_add_test(tc, a_long_wait_is_one);
	tcase_add_test(tc, without_edges_running_is_not_claimed);
	tcase_add_test(tc, a_parked_worker_is_not_blamed);
	tcase_add_test(tc, those_that_wait_for_each_other_end_the_chain);
	tcase_add_test(tc, a_circle_that_is_not_ones_own_ends_the_chain);
	tcase_add_test(tc, a_chain_is_not_endless);
	tcase_add_loop_test(tc, what_is_no_trace_of_the_run_is_not_opened, 0,
			    sizeof(no_traces) / sizeof(no_traces[0]));
	tcase_add_test(tc, without_a_peer_there_is_no_chain);
	tcase_add_loop_test(tc, a_trace_of_another_boot_or_machine_is_told, 0, 2);
	tcase_add_loop_test(tc, damage_in_a_peer_is_told, 0, 4);
	tcase_add_loop_test(tc, rows_that_make_no_sense_do_no_harm, 0, 7);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
