/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A trace whose events are not all known in the same way, and in which a line runs again and again:
 * what is written, and what each reader makes of it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/activity.h"
#include "reader/cursor.h"
#include "reader/export.h"
#include "reader/replay.h"
#include "reader/replay_batch.h"
#include "reader/selection.h"
#include "reader/span_cursor.h"
#include "reader/trace_profile.h"
#include "tests/support/trace_check.h"
#include "tests/support/trace_records.h"
#include "tests/support/walk_log.h"

#define STEP_NS UINT64_C(64000)
#define T(n)	(TEST_START_NS + (uint64_t)(n)*STEP_NS)
#define FIRST	TOLD_FIRST

static char *folder;
static struct trace *trace;

/* main is code 1, work code 2. */
static const struct event {
	int step;
	unsigned provenance; /* with TOLD_FIRST */
	uint32_t keep, n;
	struct record_frame frames[2];
	int32_t line; /* on top afterwards */
	bool is_sampled;
} events[] = {
    {10, PROVENANCE_OBSERVED, 0, 1, {{1, 2}}, 2, true},
    {20, PROVENANCE_EXACT | FIRST, 0, 2, {{1, 3}, {2, 8}}, 8, false},
    {30, PROVENANCE_EXACT, 1, 1, {{2, 9}}, 9, false},
    {40, PROVENANCE_EXACT, 1, 1, {{2, 9}}, 9, false},
    {50, PROVENANCE_EXACT, 1, 1, {{2, 9}}, 9, false},
    {60, PROVENANCE_EXACT, 1, 0, {{0, 0}}, 3, true}, /* then looks again */
    {70, PROVENANCE_OBSERVED, 0, 1, {{1, 4}}, 4, true},
    {80, PROVENANCE_EXACT | FIRST, 0, 1, {{1, 5}}, 5, true}, /* another stretch follows */
    {85, PROVENANCE_EXACT | FIRST, 0, 1, {{1, 5}}, 5, true}, /* others know what follows */
    {90, PROVENANCE_PRECISE | FIRST, 0, 1, {{1, 6}}, 6, false},
    {95, PROVENANCE_PRECISE, 0, 1, {{1, 6}}, 6, false},
};

#define N_EVENTS (sizeof(events) / sizeof(events[0]))
#define END_STEP 100

static struct trace_writer *begin_trace(void)
{
	struct trace_writer *w = test_writer_new(folder);

	put_thread(w, 1, T(0));
	put_code(w, 1, "/app/a.py", "main");
	put_code(w, 2, "/app/a.py", "work");
	return w;
}

static void put_events(struct trace_writer *w, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct event *e = &events[i];

		ck_assert_int_eq(
		    put_told(w, 1, T(e->step), e->provenance, e->keep, e->frames, e->n), 0);
	}
}

static void end_trace(struct trace_writer *w)
{
	ck_assert_int_eq(trace_writer_close(w, T(END_STEP), "stopped"), 0);
	trace = check_open(folder);
}

static void setup(void)
{
	folder = test_folder_new();
	trace = NULL;
}

static void teardown(void)
{
	trace_close(trace);
	test_folder_remove(folder);
}

static void write_all(void)
{
	struct trace_writer *w = begin_trace();

	put_events(w, 0, N_EVENTS);
	end_trace(w);
}

/* In two blocks, the second one beginning in the midst of an exact stretch. */
static void write_two_blocks(void)
{
	struct trace_writer *w = begin_trace();

	put_events(w, 0, 4);
	/* An empty gap ends the block and hides nothing. */
	put_gap(w, 1, T(events[3].step), T(events[3].step), GAP_RECORDER_PAUSED);
	put_events(w, 4, N_EVENTS);
	end_trace(w);
}

static void write_as(int i)
{
	if (i == 0)
		write_all();
	else
		write_two_blocks();
}

static unsigned provenance_of(size_t i)
{
	return events[i].provenance & ~TOLD_FIRST;
}

START_TEST(it_is_stored_and_counted)
{
	write_all();
	check_integrity(folder);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM blocks"
					      " WHERE hex(provenance) = '00010505000105010501"
					      "0302'"),
			 1);
	ck_assert_int_eq(
	    check_number(folder, "SELECT value FROM counters WHERE name = 'events.observed'"), 2);
	ck_assert_int_eq(
	    check_number(folder, "SELECT value FROM counters WHERE name = 'events.exact'"), 7);
	ck_assert_int_eq(
	    check_number(folder, "SELECT value FROM counters WHERE name = 'events.precise'"), 2);
}
END_TEST

START_TEST(what_is_observed_takes_no_room)
{
	struct trace_writer *w = begin_trace();
	uint64_t counts[N_PROVENANCES];

	put_events(w, 0, 1);
	end_trace(w);
	ck_assert_int_eq(check_number(folder, "SELECT count(*) FROM blocks"
					      " WHERE provenance IS NULL"),
			 1);
	ck_assert_int_eq(
	    check_number(folder, "SELECT count(*) FROM counters WHERE name LIKE 'events%'"), 0);
	ck_assert_int_eq(trace_count_provenances(trace, counts), 0);
	for (unsigned i = 0; i < N_PROVENANCES; i++)
		ck_assert_uint_eq(counts[i], 0);
}
END_TEST

START_TEST(an_unknown_one_is_refused)
{
	struct trace_writer *w = begin_trace();

	ck_assert_int_lt(put_told(w, 1, T(1), N_PROVENANCES, 0, FRAMES({1, 1}), 1), 0);
	end_trace(w);
}
END_TEST

START_TEST(a_line_that_runs_again_is_visited_again)
{
	struct trace_line *lines;
	size_t n, found = 0;

	write_as(_i);
	ck_assert_int_eq(trace_sum_lines(trace, &lines, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (lines[i].line == 9) {
			ck_assert_uint_eq(lines[i].visits, 3);
			ck_assert_uint_eq(lines[i].self_ns, 30 * STEP_NS);
			ck_assert_uint_eq(lines[i].total_ns, 30 * STEP_NS);
			found++;
		} else if (lines[i].line == 6) {
			ck_assert_uint_eq(lines[i].visits, 2);
			ck_assert_uint_eq(lines[i].self_ns, 10 * STEP_NS);
			found++;
		}
	}
	free(lines);
	ck_assert_uint_eq(found, 2);
	ck_assert_int_eq(check_number(folder, "SELECT sum(entries) FROM lines WHERE line = 9"), 3);
}
END_TEST

static void assert_at(struct cursor *c, size_t i)
{
	struct cursor_frame *stack;
	const struct spot *spot = cursor_spot(c);
	unsigned provenance;
	bool is_sampled;

	ck_assert_uint_eq(spot->time_ns, T(events[i].step));
	ck_assert_int_eq(cursor_stack(c, &stack), 0);
	ck_assert_int_eq(stack[spot->depth - 1].line, events[i].line);
	free(stack);
	ck_assert_int_eq(cursor_provenance(c, &provenance, &is_sampled), 0);
	ck_assert_uint_eq(provenance, provenance_of(i));
	ck_assert_msg(is_sampled == events[i].is_sampled, "event %zu", i);
}

START_TEST(a_cursor_steps_through_all_of_them_both_ways)
{
	struct cursor *c;

	write_as(_i);
	c = cursor_new(trace);
	ck_assert_int_eq(cursor_end(c, BACKWARDS), 1);
	for (size_t i = 0; i < N_EVENTS; i++) {
		assert_at(c, i);
		ck_assert_int_eq(cursor_step(c, FORWARDS), i + 1 < N_EVENTS);
	}
	for (size_t i = N_EVENTS; i-- > 0;) {
		assert_at(c, i);
		ck_assert_int_eq(cursor_step(c, BACKWARDS), i > 0);
	}
	cursor_free(c);
}
END_TEST

START_TEST(a_line_is_stopped_at_each_time_that_it_runs)
{
	uint32_t file = 1;
	struct stop stop = {.files = &file, .n_files = 1, .line = 9};
	struct cursor *c;
	struct hit hit;

	write_as(_i);
	c = cursor_new(trace);
	ck_assert_int_eq(cursor_end(c, BACKWARDS), 1);
	for (size_t i = 2; i <= 4; i++) {
		ck_assert_int_eq(cursor_run(c, FORWARDS, &stop, 1, &hit), 1);
		assert_at(c, i);
	}
	ck_assert_int_eq(cursor_run(c, FORWARDS, &stop, 1, &hit), 0);
	ck_assert_int_eq(cursor_run(c, BACKWARDS, &stop, 1, &hit), 1);
	assert_at(c, 3);
	/* It is one call all the time. */
	ck_assert_int_eq(cursor_leave(c, FORWARDS, 2), 1);
	assert_at(c, 5);
	ck_assert_int_eq(cursor_step(c, BACKWARDS), 1);
	ck_assert_int_eq(cursor_leave(c, BACKWARDS, 2), 1);
	assert_at(c, 0);
	cursor_free(c);
}
END_TEST

START_TEST(stretches_are_told_one_by_one)
{
	struct block_cache *cache;
	struct span_cursor *spans;
	const struct span *s;

	write_as(_i);
	cache = block_cache_new(trace);
	spans = span_cursor_new(cache, &(struct span_cursor_options){
					   .thread = 1, .since_ns = T(10), .until_ns = UINT64_MAX});
	for (size_t i = 0; i < N_EVENTS; i++) {
		do
			ck_assert_int_eq(span_cursor_next(spans, &s), 1);
		while (s->start_ns < T(10));
		ck_assert_uint_eq(s->start_ns, T(events[i].step));
		ck_assert_uint_eq(s->end_ns, T(i + 1 < N_EVENTS ? events[i + 1].step : END_STEP));
		ck_assert_uint_eq(s->provenance, provenance_of(i));
	}
	ck_assert_int_eq(span_cursor_next(spans, &s), 0);
	span_cursor_free(spans);
	/* From within a stretch on: what was there then is known as it is. */
	spans = span_cursor_new(cache, &(struct span_cursor_options){
					   .thread = 1, .since_ns = T(45), .until_ns = UINT64_MAX});
	ck_assert_int_eq(span_cursor_next(spans, &s), 1);
	ck_assert_uint_eq(s->provenance, PROVENANCE_EXACT);
	span_cursor_free(spans);
	block_cache_free(cache);
}
END_TEST

START_TEST(a_walk_tells_each_of_them)
{
	static const struct selection_options everything = {0};
	struct walk_totals totals;
	auto_free char *text = NULL;

	write_as(_i);
	text = walk_as_text(trace, &everything, 0, &totals);
	ck_assert_uint_eq(totals.n_events, N_EVENTS);
	ck_assert_ptr_nonnull(strstr(text, "1920 -1 work:9\n"
					   "1920 to 2560 time\n"
					   "2560 -1 work:9\n"
					   "2560 to 3200 time\n"
					   "3200 -1 work:9\n"
					   "3200 to 3840 time\n"
					   "3840 -1\n"));
}
END_TEST

static char *export(const struct export_format *format)
{
	static const struct selection_options everything = {0};
	struct selection s;
	struct walk_totals totals;
	char *text = NULL, why[256];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(selection_resolve(trace, &everything, &s, why, sizeof(why)), 0);
	ck_assert_int_eq(format->write(trace, &s, out, &totals), 0);
	fclose(out);
	selection_done(&s);
	return text;
}

static unsigned occurrences(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

START_TEST(exports_have_them)
{
	auto_free char *jsonl = NULL, *chrome = NULL, *speedscope = NULL;

	write_as(_i);
	jsonl = export(&export_jsonl);
	ck_assert_uint_eq(occurrences(jsonl, "\"provenance\":\"observed\"}"), 2);
	ck_assert_uint_eq(occurrences(jsonl, "\"provenance\":\"exact\"}"), 7);
	ck_assert_uint_eq(occurrences(jsonl, "\"provenance\":\"precise\"}"), 2);
	ck_assert_uint_eq(occurrences(jsonl, "\"line\":9,\"function\":\"work\"}]"), 3);
	/* A call is one slice, whichever of its lines run. */
	chrome = export(&export_chrome);
	ck_assert_uint_eq(occurrences(chrome, "\"name\":\"work\""), 1);
	ck_assert_uint_eq(occurrences(chrome, "\"ph\":\"B\""), occurrences(chrome, "\"ph\":\"E\""));
	speedscope = export(&export_speedscope);
	ck_assert_uint_eq(occurrences(speedscope, "\"type\":\"O\""),
			  occurrences(speedscope, "\"type\":\"C\""));
}
END_TEST

START_TEST(what_was_told_was_not_missed)
{
	struct trace_writer *w = begin_trace();
	struct profile *profile;
	bool is_found = false;

	put_events(w, 0, N_EVENTS);
	/* Looks so rarely that all would have come too soon after one another. */
	put_counters(w, T(END_STEP), 2);
	end_trace(w);
	ck_assert_int_eq(profile_new(trace, &profile), 0);
	for (size_t i = 0; i < profile->n_lines; i++) {
		const struct profile_line *l = &profile->lines[i];

		if (l->line != 9)
			continue;
		ck_assert_uint_eq(l->sums.n, 3);
		ck_assert_uint_eq(l->sums.n_unsure, 0);
		is_found = true;
	}
	ck_assert(is_found);
	profile_free(profile);
}
END_TEST

static char *ask(struct replay *r, const char *command)
{
	auto_answer struct answer a = {0};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	replay_command(r, command, &a);
	replay_batch_print(r, &a, out);
	fclose(out);
	return text;
}

START_TEST(replay_says_how_it_knows)
{
	struct replay *r;
	char why[256];

	write_as(_i);
	ck_assert_int_eq(replay_new(trace, &r, why, sizeof(why)), 0);
	for (size_t i = 0; i < N_EVENTS; i++) {
		auto_free char *answer = ask(r, i ? "step" : "place");
		auto_free char *expected =
		    xasprintf(" provenance=%s", provenance_name(provenance_of(i)));

		ck_assert_msg(strstr(answer, expected), "%zu: %s", i, answer);
		ck_assert_msg((strstr(answer, " sampled") != NULL) == events[i].is_sampled,
			      "%zu: %s", i, answer);
	}
	replay_free(r);
}
END_TEST

START_TEST(a_gap_ends_a_stretch)
{
	struct trace_writer *w = begin_trace();
	unsigned provenance;
	struct cursor *c;
	bool is_sampled;

	put_events(w, 0, 3);
	put_gap(w, 1, T(31), T(39), GAP_RING_FULL);
	put_told(w, 1, T(40), PROVENANCE_EXACT | FIRST, 0, FRAMES({1, 3}, {2, 9}), 2);
	put_told(w, 1, T(50), PROVENANCE_EXACT, 1, FRAMES({2, 9}), 1);
	end_trace(w);
	c = cursor_new(trace);
	ck_assert_int_eq(cursor_jump(c, T(30)), 1);
	ck_assert_int_eq(cursor_provenance(c, &provenance, &is_sampled), 0);
	ck_assert_uint_eq(provenance, PROVENANCE_EXACT);
	ck_assert(!is_sampled); /* that there is a gap is told by that */
	ck_assert_int_eq(cursor_step(c, FORWARDS), 1);
	/* What the stack was when the gap ended is not known as well as that. */
	ck_assert_uint_eq(cursor_spot(c)->time_ns, T(39));
	ck_assert_int_eq(cursor_provenance(c, &provenance, &is_sampled), 0);
	ck_assert_uint_eq(provenance, PROVENANCE_OBSERVED);
	ck_assert(is_sampled);
	cursor_free(c);
}
END_TEST

START_TEST(what_comes_late_keeps_its_time)
{
	const uint64_t second = UINT64_C(1000000000);
	struct trace_writer *w = begin_trace();
	uint64_t now_ns = T(0);

	put_told(w, 1, now_ns, PROVENANCE_EXACT | FIRST, 0, FRAMES({1, 1}), 1);
	for (unsigned k = 0; k < 5; k++) {
		/* The block is full enough to be closed with each tick. */
		for (unsigned i = 0; i < 5000; i++)
			put_told(w, 1, now_ns += STEP_NS, PROVENANCE_EXACT, 0,
				 FRAMES({1, (int32_t)(i % 7)}), 1);
		/* Of another thread's doings one knows sooner. */
		put_counters(w, now_ns + second / 2, k);
		ck_assert_int_eq(trace_writer_tick(w, now_ns + second / 2), 0);
		ck_assert_int_eq(trace_writer_tick(w, now_ns + 3 * second / 2), 0);
	}
	ck_assert_int_eq(trace_writer_close(w, now_ns + second, "stopped"), 0);
	trace = check_open(folder);
	check_integrity(folder);
	ck_assert_int_gt(check_number(folder, "SELECT count(*) FROM blocks"), 3);
	/* All lines took a step each, but the last one: none was told at another time. */
	ck_assert_int_eq(check_number(folder, "SELECT sum(self_ns) FROM lines"),
			 (int64_t)(25000 * STEP_NS + second));
	ck_assert_int_eq(check_number(folder, "SELECT max(self_ns) < 4000 * 64000 FROM lines"
					      " WHERE block < (SELECT max(id) FROM blocks)"),
			 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("provenance");
	TCase *tc = tcase_create("provenance");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, it_is_stored_and_counted);
	tcase_add_test(tc, what_is_observed_takes_no_room);
	tcase_add_test(tc, an_unknown_one_is_refused);
	tcase_add_loop_test(tc, a_line_that_runs_again_is_visited_again, 0, 2);
	tcase_add_loop_test(tc, a_cursor_steps_through_all_of_them_both_ways, 0, 2);
	tcase_add_loop_test(tc, a_line_is_stopped_at_each_time_that_it_runs, 0, 2);
	tcase_add_loop_test(tc, stretches_are_told_one_by_one, 0, 2);
	tcase_add_loop_test(tc, a_walk_tells_each_of_them, 0, 2);
	tcase_add_loop_test(tc, exports_have_them, 0, 2);
	tcase_add_test(tc, what_was_told_was_not_missed);
	tcase_add_loop_test(tc, replay_says_how_it_knows, 0, 2);
	tcase_add_test(tc, a_gap_ends_a_stretch);
	tcase_add_test(tc, what_comes_late_keeps_its_time);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
