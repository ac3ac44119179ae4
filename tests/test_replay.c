/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands in, answers out: replay without a terminal, on an invented trace. */
#include "reader/replay.h"

#include <check.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/activity.h"
#include "reader/replay_batch.h"
#include "reader/trace.h"
#include "tests/support/trace_check.h"
#include "tests/support/trace_records.h"

#define STEP_NS UINT64_C(64000)
#define T(n)	(TEST_START_NS + (uint64_t)(n)*STEP_NS)

static char *folder, *source_path, *other_path;
static struct trace *trace;
static struct replay *replay;

static const char source[] = "def main():\n"	  /* 1 */
			     "    a = 1\n"	  /* 2 */
			     "    work(a)\n"	  /* 3 */
			     "    work(2)\n"	  /* 4 */
			     "    return\n"	  /* 5 */
			     "\n"		  /* 6 */
			     "def work(n):\n"	  /* 7 */
			     "    x = n\n"	  /* 8 */
			     "    return x\n"	  /* 9 */
			     "# never\x1b[31m\n"; /* 10 */

/*
 * Thread 1: main:2, main:3 > work:8, work:9, main:3, main:4 > work:8 with nothing seen of main:4
 * alone, work:9, a gap, main:5. Thread 2: main:2 all the time, from the second event on.
 */
static void write_trace(void)
{
	struct trace_writer *w = test_writer_new(folder);

	put_thread(w, 1, T(0));
	put_thread(w, 2, T(0));
	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "Worker.work");
	put_code(w, 3, other_path, "other");
	put_stack(w, 1, T(10), 0, FRAMES({1, 2}), 1);
	put_stack(w, 2, T(15), 0, FRAMES({3, 2}), 1);
	put_stack(w, 1, T(20), 0, FRAMES({1, 3}), 1);
	put_stack(w, 1, T(30), 1, FRAMES({2, 8}), 1);
	put_stack(w, 1, T(40), 1, FRAMES({2, 9}), 1);
	put_stack(w, 1, T(50), 1, NULL, 0);
	put_stack(w, 1, T(60), 0, FRAMES({1, 4}, {2, 8}), 2);
	put_stack(w, 1, T(70), 1, FRAMES({2, 9}), 1);
	put_gap(w, 1, T(80), T(100), GAP_UNREADABLE);
	put_stack(w, 1, T(110), 0, FRAMES({1, 5}), 1);
	ck_assert_int_eq(trace_writer_close(w, T(1000), "stopped"), 0);
}

static void setup(void)
{
	char why[256] = "";

	folder = test_folder_new();
	source_path = xasprintf("%s/uniquemod.py", folder);
	other_path = xasprintf("%s/other.py", folder);
	check_write_file(source_path, source);
	check_write_file(other_path, "def other():\n    pass\n");
	write_trace();
	trace = check_open(folder);
	ck_assert_msg(replay_new(trace, &replay, why, sizeof(why)) == 0, "%s", why);
}

static void teardown(void)
{
	replay_free(replay);
	trace_close(trace);
	test_folder_remove(folder);
	free(source_path);
	free(other_path);
}

/* The printed answer to a command, without its end; the caller frees. */
static char *ask(const char *command)
{
	auto_answer struct answer a = {0};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	replay_command(replay, command, &a);
	replay_batch_print(replay, &a, out);
	fclose(out);
	if (size && text[size - 1] == '\n')
		text[size - 1] = 0;
	return text;
}

static void assert_answer(const char *command, const char *expected)
{
	auto_free char *answer = ask(command);

	ck_assert_msg(strstr(answer, expected), "%s: '%s' is not in '%s'", command, expected,
		      answer);
}

static void assert_error(const char *command, const char *expected)
{
	auto_free char *answer = ask(command);

	ck_assert_msg(strncmp(answer, "error: ", 7) == 0 && strstr(answer, expected), "%s: %s",
		      command, answer);
}

/* Where we are: time in steps, line, depth, thread. */
static void assert_place(const char *command, int steps, int line, unsigned depth, unsigned thread)
{
	auto_free char *answer = ask(command);
	struct place p;

	ck_assert_int_eq(replay_place(replay, &p), 1);
	ck_assert_msg(p.time_ns == T(steps) && p.line == line && p.depth - p.frame == depth &&
			  p.thread == thread,
		      "%s: %s (%lld steps)", command, answer,
		      (long long)(p.time_ns - T(0)) / (long long)STEP_NS);
}

START_TEST(a_place_is_one_line)
{
	auto_free char *answer = ask("place");
	auto_free char *expected =
	    xasprintf("2025-11-23T01:00:00.000640000+01:00 %s:2 main depth=1 thread=1 "
		      "provenance=observed start-of-trace sampled",
		      source_path);

	ck_assert_str_eq(answer, expected);
}
END_TEST

START_TEST(steps_take_all_threads_in_time_order)
{
	assert_place("place", 10, 2, 1, 1);
	assert_place("s", 15, 2, 1, 2);
	assert_place("s", 20, 3, 1, 1);
	assert_place("S", 15, 2, 1, 2);
	assert_place("3s", 40, 9, 2, 1);
	assert_place("s 2", 60, 8, 2, 1);
	assert_place("rs", 50, 3, 1, 1);
}
END_TEST

START_TEST(next_steps_over_calls_and_back)
{
	assert_place("n", 20, 3, 1, 1);
	assert_place("n", 50, 3, 1, 1);
	/* work is called in the same event in which main goes on. */
	assert_place("n", 110, 5, 1, 1);
	assert_place("N", 50, 3, 1, 1);
	assert_place("rn", 20, 3, 1, 1);
	assert_place("j start", 10, 2, 1, 1);
	assert_place("2n", 50, 3, 1, 1);
	assert_place("2N", 10, 2, 1, 1);
	assert_error("N", "this is the start");
}
END_TEST

START_TEST(functions_are_left_both_ways)
{
	assert_place("3s", 30, 8, 2, 1);
	assert_place("finish", 50, 3, 1, 1);
	assert_place("s", 60, 8, 2, 1);
	assert_place("O", 50, 3, 1, 1);
	assert_place("s", 60, 8, 2, 1);
	assert_place("o", 110, 5, 1, 1);
}
END_TEST

START_TEST(breakpoints_are_reached_both_ways)
{
	assert_answer("b 8", "breakpoint=1 (breakpoint 1 at ");
	assert_place("c", 30, 8, 2, 1);
	assert_place("c", 60, 8, 2, 1);
	assert_answer("c", "end-of-trace sampled (no breakpoint was reached)");
	assert_error("c", "this is the end");
	assert_place("C", 60, 8, 2, 1);
	assert_place("C", 30, 8, 2, 1);
	assert_answer("C", "start-of-trace");
	assert_place("2c", 60, 8, 2, 1);
}
END_TEST

START_TEST(a_caller_s_line_can_be_a_breakpoint)
{
	free(ask("b uniquemod.py:4"));
	/* It came together with the call, so its frame is the one to look at. */
	assert_place("c", 60, 4, 1, 1);
	assert_answer("place", "depth=1 thread=1 provenance=observed sampled frame=1");
	assert_place("n", 110, 5, 1, 1);
}
END_TEST

START_TEST(functions_can_be_breakpoints)
{
	assert_answer("b work", "breakpoint 1 at work");
	assert_place("c", 30, 8, 2, 1);
	assert_place("c", 60, 8, 2, 1);
	assert_place("C", 30, 8, 2, 1);
	assert_answer("delete 1", "breakpoint 1 deleted");
	assert_answer("b uniquemod.py:Worker.work", "breakpoint 2");
	assert_place("c", 60, 8, 2, 1);
	assert_error("b nothing", "no function 'nothing'");
	assert_error("b other.py:work", "no function 'work'");
}
END_TEST

START_TEST(breakpoints_are_managed)
{
	assert_answer("b", "breakpoint 1 at ");
	assert_answer("b", "breakpoint 1 deleted");
	assert_answer("B", "no breakpoints");
	assert_answer("b 3 thread 2", "breakpoint 2 at");
	assert_answer("b other.py:2", "breakpoint 3 at");
	assert_answer("breakpoints", "uniquemod.py:3 thread 2\nbreakpoint 3 at");
	/* Not of thread 2. */
	assert_place("c", 15, 2, 1, 2);
	assert_error("d", "which breakpoint");
	assert_error("d 9", "no breakpoint 9");
	assert_error("d x", "no breakpoint's number");
	assert_answer("d all", "2 breakpoints deleted");
	assert_error("b 3 thread 7", "no thread 7");
	assert_error("b 3 thread x", "thread which");
}
END_TEST

START_TEST(lines_that_never_ran_are_refused)
{
	assert_error("b 10", "line 10 of ");
	assert_error("b 10", "never ran");
	assert_error("b 7000", "never ran");
	assert_error("b nofile.py:3", "no file of this trace is called 'nofile.py'");
	assert_answer("B", "no breakpoints");
}
END_TEST

START_TEST(jumps_select_the_last_that_began)
{
	assert_place("j 01:00:00.001", 15, 2, 1, 2);
	assert_answer("place", " into_ns=40000");
	assert_place("j +0.5ms", 20, 3, 1, 1);
	assert_place("j -0.3ms", 15, 2, 1, 2);
	assert_place("j 2024-01-27", 10, 2, 1, 1);
	assert_answer("j 2024-01-27", "(the trace begins after that)");
	assert_answer("j +1h", "(the trace ends before that)");
	assert_place("j end", 110, 5, 1, 1);
	assert_place("j 4.5%", 40, 9, 2, 1);
	assert_place("j2025-11-23T01:00:00.00192", 30, 8, 2, 1);
	assert_error("j", "to which time");
	assert_error("j yesterday", "not a time");
}
END_TEST

/* Again and again the same distance: time goes on though the position does not. */
START_TEST(relative_jumps_add_up)
{
	assert_place("thread 2", 15, 2, 1, 2);
	for (int i = 1; i <= 20; i++) {
		struct place p;

		assert_place("j +64us", 15, 2, 1, 2);
		ck_assert_int_eq(replay_place(replay, &p), 1);
		ck_assert_uint_eq(p.at_ns, T(15 + i));
	}
}
END_TEST

START_TEST(gaps_are_told_and_found)
{
	assert_place("j 01:00:00.0046", 70, 9, 2, 1);
	assert_answer("place", " gap-follows ");
	assert_place("s", 100, 9, 2, 1);
	assert_answer("place", " after-gap ");
	free(ask("j start"));
	assert_answer("gap", "(gap of 1.28 ms (unreadable))");
	assert_error("gap", "no later gap");
	free(ask("j end"));
	assert_place("rgap", 70, 9, 2, 1);
}
END_TEST

START_TEST(one_thread_can_be_followed)
{
	assert_answer("threads", "> thread=1 native=1001 ");
	assert_answer("thread 2", "(follows thread 2)");
	assert_answer("place", " start-of-trace end-of-trace ");
	assert_error("thread 9", "no thread 9");
	assert_answer("t all", "(follows all threads)");
	assert_place("s", 20, 3, 1, 1);
	assert_place("t 1", 20, 3, 1, 1);
	assert_place("S", 10, 2, 1, 1);
}
END_TEST

START_TEST(the_stack_is_shown_and_walked)
{
	auto_free char *expected = NULL;
	auto_free char *answer = NULL;

	free(ask("3s"));
	expected = xasprintf(">#0   %s:8 Worker.work\n #1   %s:3 main", source_path, source_path);
	answer = ask("bt");
	ck_assert_str_eq(answer, expected);
	assert_error("down", "innermost");
	assert_place("up", 30, 3, 1, 1);
	assert_error("up", "outermost");
	assert_answer("bt", " #0   ");
	assert_place("]", 30, 8, 2, 1);
}
END_TEST

START_TEST(source_is_listed)
{
	auto_free char *listed = NULL;

	free(ask("b 3"));
	listed = ask("list 2,4");
	ck_assert_str_eq(listed, " >     2      a = 1\nb      3      work(a)\n"
				 "       4      work(2)");
	/* The terminal is not touched. */
	assert_answer("list 10,10", "# never?[31m");
	assert_answer("list 10,20", "    10  ");
	assert_error("list 20,30", "the file has 10 lines");
	assert_error("list x", "which lines");
	free(ask("j start"));
	assert_answer("l", "     1  def main():");
	assert_answer("l", "     8      x = n");
}
END_TEST

START_TEST(other_files_are_shown)
{
	assert_answer("f", "uniquemod.py stored");
	free(ask("f other.py"));
	assert_answer("list", "     1  def other():");
	assert_answer("b 2", "other.py:2");
	assert_error("b", "which line");
	/* Any movement comes back. */
	assert_place("c", 15, 2, 1, 2);
	assert_error("f none.py", "no file of this trace");
	free(ask("n"));
	assert_answer("list 1,1", "def ");
}
END_TEST

START_TEST(files_are_named_by_their_end)
{
	auto_free char *slash = xasprintf("f /%s", strrchr(source_path, '/') + 1);

	assert_answer(slash, "provenance");
	assert_error("f mod.py", "no file");
	assert_error("f /", "no file");
}
END_TEST

START_TEST(source_is_searched)
{
	assert_answer("/WORK", "error: not in this file");
	assert_answer("/work", "     3      work(a)");
	assert_answer(">", "     4      work(2)");
	assert_answer(">", "     7  def work(n):");
	assert_answer(">", "     3      work(a)");
	assert_answer("<", "     7  def work(n):");
	assert_answer("?main", "     1  def main():");
	assert_answer(">", "     1  def main():");
}
END_TEST

START_TEST(calls_of_a_function_are_found)
{
	assert_place("v work", 30, 8, 2, 1);
	assert_place("v", 60, 8, 2, 1);
	assert_error("v", "no call of work after here");
	assert_place("V", 30, 8, 2, 1);
	assert_error("v nothing", "no function");
}
END_TEST

START_TEST(until_runs_to_a_later_line)
{
	assert_place("2s", 20, 3, 1, 1);
	assert_place("u", 110, 5, 1, 1);
	assert_place("U 9", 70, 9, 2, 1);
	assert_place("ru 8", 60, 8, 2, 1);
	assert_place("j start", 10, 2, 1, 1);
	assert_place("until uniquemod.py:9", 40, 9, 2, 1);
	assert_error("until 10", "never ran");
}
END_TEST

START_TEST(bookmarks_lead_back)
{
	free(ask("j 01:00:00.0026"));
	assert_answer("m here", "(bookmark here)");
	free(ask("m"));
	free(ask("j start"));
	assert_place("' here", 40, 9, 2, 1);
	assert_answer("marks", "bookmark here at 2025-11-23T01:00:00.002600000+01:00 thread 1\n"
			       "bookmark 2 at ");
	assert_error("go nowhere", "no bookmark is called nowhere");
}
END_TEST

START_TEST(the_state_can_be_pasted)
{
	auto_free char *expected = xasprintf(
	    "trackexec replay %s --at 2025-11-23T01:00:00.001280000+01:00 --thread 1", folder);

	free(ask("2s"));
	free(ask("thread 1"));
	assert_answer("=", expected);
}
END_TEST

START_TEST(an_empty_line_repeats)
{
	free(ask("s"));
	assert_place("", 20, 3, 1, 1);
	free(ask("2s"));
	assert_place("", 60, 8, 2, 1);
	free(ask("b"));
	assert_place("", 60, 8, 2, 1);
}
END_TEST

START_TEST(commands_are_understood)
{
	assert_error("x", "unknown command 'x'");
	assert_error("nxt", "did you mean next");
	assert_error("n x", "takes no more words");
	assert_error("n 0", "takes no more words");
	assert_error("12:00", "unknown command ':'");
	assert_error("\x1b[0m", "unknown command");
	assert_place("ste", 15, 2, 1, 2);
	assert_place("reverse-step", 10, 2, 1, 1);
	assert_place("reverse-next", 10, 2, 1, 1);
	assert_place("  s  ", 15, 2, 1, 2);
}
END_TEST

START_TEST(waits_are_not_known_by_themselves)
{
	struct place p;

	assert_error("wait 1s", "does not say when threads wait");
	assert_error("rwait", "does not say when threads wait");
	assert_error("turn 1s", "does not say when threads wait");
	assert_error("turn x", "how long");
	ck_assert_int_eq(replay_place(replay, &p), 1);
	ck_assert_int_eq(p.state.activity, ACTIVITY_UNKNOWN);
}
END_TEST

static int state_at(void *ctx, uint16_t thread, uint64_t time_ns, struct thread_state *ret)
{
	ck_assert_ptr_eq(ctx, folder);
	*ret = (struct thread_state){.activity = time_ns >= T(40) && time_ns < T(50) && thread == 1
						     ? ACTIVITY_WAITING
						     : ACTIVITY_ON_CPU,
				     .start_ns = T(40),
				     .end_ns = T(50),
				     .reason = "read"};
	return 1;
}

static int wait_after(void *ctx, uint16_t thread, uint64_t time_ns, enum direction way,
		      uint64_t min_ns, enum idle_choice idle, uint16_t *ret_thread,
		      struct thread_state *ret)
{
	(void)thread;
	if (idle != IDLE_NOT)
		return 0;
	if (min_ns > 10 * STEP_NS || (way == FORWARDS ? time_ns >= T(40) : time_ns <= T(40)))
		return 0;
	*ret_thread = 1;
	state_at(ctx, 1, T(40), ret);
	return 1;
}

START_TEST(who_knows_waits_can_tell_them)
{
	const struct thread_states states = {
	    .ctx = folder, .at = state_at, .find_wait = wait_after};

	replay_set_thread_states(replay, &states);
	assert_answer("place", " on-cpu ");
	assert_place("wait 100us", 40, 9, 2, 1);
	assert_answer("place", " waiting ");
	assert_answer("place", " wait_ns=640000 reason=read");
	assert_error("wait", "no such wait after here");
	free(ask("j end"));
	assert_place("rwait", 40, 9, 2, 1);
	assert_error("wait 1s", "no such wait");
	assert_error("wait x", "how long");
	assert_error("wait 1ms x", "how long");
	assert_error("wait 100us idle", "no such wait");
}
END_TEST

static size_t n_completed(const char *line, const char *expected)
{
	char **all = NULL;
	size_t n = replay_complete(replay, line, &all), found = 0;

	for (size_t i = 0; i < n; i++) {
		found += strcmp(all[i], expected) == 0;
		free(all[i]);
	}
	free(all);
	ck_assert_msg(found == 1, "'%s': '%s' found %zu times of %zu", line, expected, found, n);
	return n;
}

START_TEST(words_are_completed)
{
	ck_assert_uint_eq(n_completed("f uni", "f uniquemod.py"), 1);
	ck_assert_uint_eq(n_completed("f /oth", "f /other.py"), 1);
	ck_assert_uint_eq(n_completed("b Work", "b Worker.work"), 1);
	ck_assert_uint_eq(n_completed("v ma", "v main"), 1);
	ck_assert_uint_eq(n_completed("contin", "continue"), 1);
	free(ask("m here"));
	ck_assert_uint_eq(n_completed("go h", "go here"), 1);
}
END_TEST

START_TEST(activity_shows_what_is_where)
{
	struct activity a[10];

	ck_assert_int_eq(activity_read(trace, 0, T(0), T(1000), a, 10), 0);
	ck_assert_uint_gt(a[0].level, 0);
	ck_assert(a[9].is_known);
	ck_assert_uint_lt(a[9].level, a[0].level);
	ck_assert_int_eq(activity_read(trace, 1, T(80), T(100), a, 1), 0);
	ck_assert(a[0].has_gap && !a[0].is_known);
	ck_assert_int_eq(activity_read(trace, 2, T(80), T(100), a, 1), 0);
	ck_assert(!a[0].has_gap && a[0].is_known);
	ck_assert_int_eq(activity_read(trace, 0, T(5), T(5), a, 10), 0);
}
END_TEST

static char *run_batch(const char *commands, bool as_json, bool expected)
{
	auto_free char *copy = xstrdup(commands);
	auto_fclose FILE *in = fmemopen(copy, strlen(copy), "r");
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_int_eq(replay_batch(replay, in, out, as_json), expected);
	fclose(out);
	return text;
}

START_TEST(a_batch_tells_whether_all_succeeded)
{
	auto_free char *good = run_batch("# a comment\n\ns\ns\n", false, true);
	auto_free char *bad = run_batch("x\ns", false, false);
	auto_free char *left = run_batch("s\nq\nx\n", false, true);

	ck_assert_ptr_nonnull(strchr(good, '\n'));
	ck_assert_ptr_eq(strchr(strchr(good, '\n') + 1, '\n') + 1, good + strlen(good));
	ck_assert_int_eq(strncmp(bad, "error: unknown", 14), 0);
	ck_assert_ptr_nonnull(strstr(bad, "\n2025-"));
	ck_assert_ptr_eq(strchr(left, '\n') + 1, left + strlen(left));
}
END_TEST

START_TEST(a_batch_prints_json_lines)
{
	static const char *const members[] = {
	    "{\"time\": \"2025-11-23T01:00:00.000960000+01:00\", \"file\": \"",
	    "\"line\": 2, ",
	    "\"function\": \"other\", ",
	    "\"depth\": 1, \"thread\": 2, ",
	    "\"provenance\": \"observed\"",
	    "\"flags\": [\"sampled\"]",
	    "\"monotonic_ns\": 1000960000",
	    "\"state\": {\"activity\": null",
	    "}\n{\"frames\": [{\"frame\": 0",
	    "}]}\n{\"file\": \"",
	    "\"is_current\": true",
	    "}\n{\"error\": \"unknown command 'x'",
	    "}\n{\"threads\": [{\"thread\": 1",
	};
	auto_free char *text = run_batch("s\nbt\nlist\nx\nthreads\n", true, false);

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		ck_assert_msg(strstr(text, members[i]), "'%s' is not in %s", members[i], text);
}
END_TEST

START_TEST(the_table_has_no_name_or_key_twice)
{
	for (size_t i = 0; i < n_replay_commands; i++) {
		const struct replay_command *c = &replay_commands[i];
		auto_free char *names = xstrdup(c->names && c->help ? c->names : "");
		char *rest = NULL;

		ck_assert(!c->help || c->run || c->action != SCREEN_NONE);
		for (char *name = strtok_r(names, " ", &rest); name;
		     name = strtok_r(NULL, " ", &rest)) {
			for (size_t j = i + 1; j < n_replay_commands; j++) {
				auto_free char *padded = xasprintf(
				    " %s ",
				    replay_commands[j].names ? replay_commands[j].names : "");
				auto_free char *wanted = xasprintf(" %s ", name);

				ck_assert_msg(!replay_commands[j].help || !strstr(padded, wanted),
					      "%s", name);
			}
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("replay");
	TCase *tc = tcase_create("replay");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_place_is_one_line);
	tcase_add_test(tc, steps_take_all_threads_in_time_order);
	tcase_add_test(tc, next_steps_over_calls_and_back);
	tcase_add_test(tc, functions_are_left_both_ways);
	tcase_add_test(tc, breakpoints_are_reached_both_ways);
	tcase_add_test(tc, a_caller_s_line_can_be_a_breakpoint);
	tcase_add_test(tc, functions_can_be_breakpoints);
	tcase_add_test(tc, breakpoints_are_managed);
	tcase_add_test(tc, lines_that_never_ran_are_refused);
	tcase_add_test(tc, jumps_select_the_last_that_began);
	tcase_add_test(tc, relative_jumps_add_up);
	tcase_add_test(tc, gaps_are_told_and_found);
	tcase_add_test(tc, one_thread_can_be_followed);
	tcase_add_test(tc, the_stack_is_shown_and_walked);
	tcase_add_test(tc, source_is_listed);
	tcase_add_test(tc, other_files_are_shown);
	tcase_add_test(tc, files_are_named_by_their_end);
	tcase_add_test(tc, source_is_searched);
	tcase_add_test(tc, calls_of_a_function_are_found);
	tcase_add_test(tc, until_runs_to_a_later_line);
	tcase_add_test(tc, bookmarks_lead_back);
	tcase_add_test(tc, the_state_can_be_pasted);
	tcase_add_test(tc, an_empty_line_repeats);
	tcase_add_test(tc, commands_are_understood);
	tcase_add_test(tc, waits_are_not_known_by_themselves);
	tcase_add_test(tc, who_knows_waits_can_tell_them);
	tcase_add_test(tc, words_are_completed);
	tcase_add_test(tc, activity_shows_what_is_where);
	tcase_add_test(tc, a_batch_tells_whether_all_succeeded);
	tcase_add_test(tc, a_batch_prints_json_lines);
	tcase_add_test(tc, the_table_has_no_name_or_key_twice);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
