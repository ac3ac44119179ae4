/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Movements in invented traces, against a list of all positions that is made by decoding
 * everything.
 */
#include "reader/cursor.h"

#include <check.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/pack.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "tests/support/trace_check.h"
#include "tests/support/trace_records.h"

#define STEP_NS	    UINT64_C(64000)
#define N_THREADS   3
#define N_RECORDS   4000
#define DEPTH_MAX   12
#define N_CODES	    6
#define N_MOVEMENTS 300
/* Memory errors don't depend on the numbers, and a sanitizer takes its time. */
#ifdef __SANITIZE_ADDRESS__
#define N_SEEDS 1
#else
#define N_SEEDS 4
#endif

static char *folder;
static struct trace *trace;
static struct cursor *cursor;
static unsigned seed;

static unsigned random_below(unsigned limit)
{
	seed = seed * 1664525u + 1013904223u;
	return (unsigned)(((uint64_t)seed * limit) >> 32);
}

/* --- an invented trace --- */

struct script {
	struct record_frame stack[DEPTH_MAX];
	uint32_t depth;
};

static void random_change(struct trace_writer *w, uint16_t thread, struct script *s, uint64_t now)
{
	/* Mostly small changes, as programs make them. */
	uint32_t keep = random_below(3) && s->depth ? s->depth - 1 : random_below(s->depth + 1);
	uint32_t n = random_below(DEPTH_MAX - keep < 4 ? DEPTH_MAX - keep : 4);

	/* A line that runs again. */
	if (s->depth && random_below(6) == 0) {
		put_told(w, thread, now, PROVENANCE_EXACT, s->depth - 1, &s->stack[s->depth - 1],
			 1);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		s->stack[keep + i] = (struct record_frame){
		    .code = 1 + random_below(N_CODES),
		    .line = (int32_t)random_below(40),
		};
	s->depth = keep + n;
	put_stack(w, thread, now, keep, s->stack + keep, n);
}

static void write_random(void)
{
	struct trace_writer *w = test_writer_new(folder);
	struct script scripts[N_THREADS + 1] = {0};
	uint64_t now = TEST_START_NS;

	put_thread(w, 1, now);
	put_thread(w, 2, now);
	for (uint32_t i = 1; i <= N_CODES; i++) {
		auto_free char *name = xasprintf("f%u", i % 4);

		put_code(w, i, i % 2 ? "/app/a.py" : "/app/b.py", name);
	}
	for (unsigned i = 0; i < N_RECORDS; i++) {
		uint16_t thread = (uint16_t)(1 + random_below(i < N_RECORDS / 2 ? 2 : N_THREADS));

		now += random_below(3) * STEP_NS;
		if (i == N_RECORDS / 2)
			put_thread(w, 3, now);
		random_change(w, thread, &scripts[thread], now);
		if (random_below(200) == 0) {
			uint64_t end = now + random_below(50) * STEP_NS;

			put_gap(w, (uint16_t)random_below(3), now, end, GAP_RECORDER_PAUSED);
			now = end;
		}
		if (random_below(300) == 0) {
			now += UINT64_C(1000000000) * (random_below(2) ? 70 : 700);
			put_counters(w, now, i);
			trace_writer_tick(w, now);
		}
	}
	ck_assert_int_eq(trace_writer_close(w, now + 5 * STEP_NS, "stopped"), 0);
}

/* --- all positions, the slow way --- */

struct position {
	uint64_t time_ns;
	uint16_t thread;
	uint32_t depth;
	struct cursor_frame stack[DEPTH_MAX + 4];
	uint32_t kept; /* frames that were there before; depth: nothing was pushed */
	uint32_t same; /* code in the place of the first that was pushed; 0: none */
	bool is_start;
};

static struct position *positions;
static size_t n_positions, cap_positions;

struct raw_block {
	int64_t id;
	uint16_t thread;
	uint64_t first_ns, last_ns;
	void *data;
	size_t len;
};

static struct raw_block *raws;
static size_t n_raws, cap_raws;

static int keep_raw(void *ctx, const struct trace_block *b)
{
	struct raw_block *raw;

	(void)ctx;
	raws = xgrow(raws, &cap_raws, n_raws + 1, sizeof(*raws));
	raw = &raws[n_raws++];
	*raw = (struct raw_block){.id = b->id,
				  .thread = b->thread,
				  .first_ns = b->first_ns,
				  .last_ns = b->last_ns,
				  .data = xmalloc(b->data_len),
				  .len = b->data_len};
	memcpy(raw->data, b->data, b->data_len);
	return 0;
}

static int compare_raws(const void *a, const void *b)
{
	const struct raw_block *x = a, *y = b;

	if (x->thread != y->thread)
		return x->thread < y->thread ? -1 : 1;
	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

static struct position *add_position(const struct raw_block *raw, uint64_t time_ns,
				     const struct cursor_frame *stack, uint32_t depth)
{
	struct position *p;

	positions = xgrow(positions, &cap_positions, n_positions + 1, sizeof(*positions));
	p = &positions[n_positions++];
	*p = (struct position){
	    .time_ns = time_ns, .thread = raw->thread, .depth = depth, .kept = depth};
	ck_assert_uint_le(depth, DEPTH_MAX + 4);
	memcpy(p->stack, stack, depth * sizeof(*stack));
	return p;
}

static void add_block(const struct raw_block *raw, const struct raw_block *before)
{
	struct unpacker *unpacker = unpacker_new();
	struct block_decoder *d = NULL;
	struct cursor_frame stack[DEPTH_MAX + 4];
	const struct block_line *lines;
	struct block_event e;
	bool starts = !before || before->last_ns < raw->first_ns, is_first = true;
	uint32_t depth, n_lines;
	const uint32_t *start;

	ck_assert_int_eq(block_decoder_new(unpacker, raw->data, raw->len, &d), 0);
	lines = block_decoder_lines(d, &n_lines);
	start = block_decoder_stack(d, &depth);
	for (uint32_t i = 0; i < depth; i++)
		stack[i] = (struct cursor_frame){lines[start[i]].code, lines[start[i]].line};
	if (!before && depth == 0)
		starts = false;
	if (starts)
		add_position(raw, raw->first_ns, stack, depth)->is_start = true;
	while (block_decoder_next(d, &e) == 1) {
		struct position *p;
		uint32_t kept = depth - e.pop, same = e.pop ? stack[kept].code : 0;

		/* What lasts no time is no position. */
		if (is_first && starts && e.offset_ns == 0)
			n_positions--;
		is_first = false;
		for (uint32_t i = 0; i < e.n_pushed; i++)
			stack[kept + i] =
			    (struct cursor_frame){lines[e.pushed[i]].code, lines[e.pushed[i]].line};
		depth = kept + e.n_pushed;
		p = add_position(raw, raw->first_ns + e.offset_ns, stack, depth);
		p->kept = kept;
		p->same = same;
	}
	block_decoder_free(d);
	unpacker_free(unpacker);
}

static int compare_positions(const void *a, const void *b)
{
	const struct position *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	if (x->thread != y->thread)
		return x->thread < y->thread ? -1 : 1;
	return 0;
}

/* Stable, as qsort() is not: positions of one thread at one time keep their order. */
static void sort_positions(void)
{
	for (size_t i = 1; i < n_positions; i++) {
		struct position p = positions[i];
		size_t j = i;

		for (; j > 0 && compare_positions(&positions[j - 1], &p) > 0; j--)
			positions[j] = positions[j - 1];
		positions[j] = p;
	}
}

static void list_positions(uint16_t only)
{
	n_positions = 0;
	for (size_t i = 0; i < n_raws; i++) {
		const struct raw_block *before =
		    i && raws[i - 1].thread == raws[i].thread ? &raws[i - 1] : NULL;

		if (!only || raws[i].thread == only)
			add_block(&raws[i], before);
	}
	sort_positions();
}

static void setup(void)
{
	folder = test_folder_new();
}

static void close_all(void)
{
	cursor_free(cursor);
	trace_close(trace);
	cursor = NULL;
	trace = NULL;
	for (size_t i = 0; i < n_raws; i++)
		free(raws[i].data);
	n_raws = 0;
}

static void teardown(void)
{
	close_all();
	test_folder_remove(folder);
}

/* Written once for all tests that only read. */
static char *prepared[N_SEEDS];

static void prepare(void)
{
	for (unsigned i = 0; i < N_SEEDS; i++) {
		prepared[i] = folder = test_folder_new();
		seed = 4711u + i;
		write_random();
	}
}

static void remove_prepared(void)
{
	for (unsigned i = 0; i < N_SEEDS; i++)
		test_folder_remove(prepared[i]);
}

static void open_all(void)
{
	trace = check_open(folder);
	ck_assert_int_eq(trace_each_block(trace, keep_raw, NULL), 0);
	qsort(raws, n_raws, sizeof(*raws), compare_raws);
	cursor = cursor_new(trace);
}

static void open_random(int number)
{
	folder = prepared[number];
	seed = 815u + (unsigned)number;
	open_all();
	ck_assert_uint_gt(n_raws, 20);
}

/* --- comparing --- */

static void assert_at(size_t i)
{
	const struct position *p = &positions[i];
	auto_free struct cursor_frame *stack = NULL;
	const struct spot *s;

	ck_assert(cursor_has_spot(cursor));
	s = cursor_spot(cursor);
	ck_assert_msg(s->time_ns == p->time_ns && s->row.thread == p->thread &&
			  s->depth == p->depth && (s->event == -1) == p->is_start,
		      "position %zu: at %llu in thread %u, depth %u, event %lld; expected %llu in "
		      "thread %u, depth %u",
		      i, (unsigned long long)s->time_ns, s->row.thread, s->depth,
		      (long long)s->event, (unsigned long long)p->time_ns, p->thread, p->depth);
	ck_assert_int_eq(cursor_stack(cursor, &stack), 0);
	ck_assert(p->depth == 0 || !memcmp(stack, p->stack, p->depth * sizeof(*stack)));
}

static size_t position_at(uint64_t time_ns)
{
	size_t i = 0;

	while (i + 1 < n_positions && positions[i + 1].time_ns <= time_ns)
		i++;
	return i;
}

/* To a position that is the only one at its time, as a jump can't tell others apart. */
static size_t go_to_any(void)
{
	size_t i;

	do
		i = random_below((unsigned)n_positions);
	while (i + 1 < n_positions && positions[i + 1].time_ns == positions[i].time_ns);
	ck_assert_int_eq(cursor_jump(cursor, positions[i].time_ns), 1);
	assert_at(i);
	return i;
}

static void follow(int number)
{
	uint16_t thread = (uint16_t)(number % (N_THREADS + 1));

	list_positions(thread);
	ck_assert_int_eq(cursor_follow(cursor, thread), 1);
}

/* Each test runs with several traces, following all threads or one. */
#define N_RUNS (N_SEEDS * (N_THREADS + 1))
#define BEGIN                                      \
	do {                                       \
		open_random(_i / (N_THREADS + 1)); \
		follow(_i);                        \
	} while (0)

START_TEST(all_positions_are_stepped_through_both_ways)
{
	BEGIN;
	ck_assert_int_eq(cursor_end(cursor, BACKWARDS), 1);
	for (size_t i = 0; i < n_positions; i++) {
		assert_at(i);
		ck_assert_int_eq(cursor_can_step(cursor, FORWARDS), i + 1 < n_positions);
		ck_assert_int_eq(cursor_step(cursor, FORWARDS), i + 1 < n_positions);
	}
	for (size_t i = n_positions; i-- > 0;) {
		assert_at(i);
		ck_assert_int_eq(cursor_can_step(cursor, BACKWARDS), i > 0);
		ck_assert_int_eq(cursor_step(cursor, BACKWARDS), i > 0);
	}
	assert_at(0);
	ck_assert_int_eq(cursor_end(cursor, FORWARDS), 1);
	assert_at(n_positions - 1);
}
END_TEST

START_TEST(a_jump_selects_the_last_that_began)
{
	uint64_t start, span;

	BEGIN;
	start = positions[0].time_ns;
	span = positions[n_positions - 1].time_ns - start;
	for (int n = 0; n < N_MOVEMENTS; n++) {
		uint64_t time_ns = start + (uint64_t)random_below(1u << 30) * (span >> 20) / 1024;

		ck_assert_int_eq(cursor_jump(cursor, time_ns), 1);
		assert_at(position_at(time_ns));
		ck_assert_uint_eq(cursor_time(cursor), time_ns);
	}
	for (size_t i = 0; i < n_positions; i += 7) {
		ck_assert_int_eq(cursor_jump(cursor, positions[i].time_ns), 1);
		assert_at(position_at(positions[i].time_ns));
		ck_assert_int_eq(cursor_jump(cursor, positions[i].time_ns - 1), 1);
		assert_at(position_at(positions[i].time_ns - 1));
	}
	ck_assert_int_eq(cursor_jump(cursor, 0), 1);
	assert_at(0);
	ck_assert_int_eq(cursor_jump(cursor, UINT64_MAX), 1);
	assert_at(n_positions - 1);
}
END_TEST

START_TEST(steps_after_a_jump_go_on_from_there)
{
	BEGIN;
	for (int n = 0; n < N_MOVEMENTS; n++) {
		size_t i = go_to_any();

		for (int k = 0; k < 20; k++) {
			enum direction way = random_below(2) ? FORWARDS : BACKWARDS;
			bool can = way == FORWARDS ? i + 1 < n_positions : i > 0;

			ck_assert_int_eq(cursor_step(cursor, way), can);
			if (can)
				i += (size_t)way;
			assert_at(i);
		}
	}
}
END_TEST

/* The nearest position beyond i in its thread at most so deep. */
static size_t find_depth(size_t i, enum direction way, uint32_t max_depth)
{
	for (size_t j = i + (size_t)way; j < n_positions; j += (size_t)way) {
		if (positions[j].thread == positions[i].thread && positions[j].depth <= max_depth)
			return j;
	}
	return SIZE_MAX;
}

START_TEST(next_stays_at_a_depth_or_above)
{
	BEGIN;
	for (int n = 0; n < N_MOVEMENTS; n++) {
		size_t i = go_to_any(), expected;
		enum direction way = random_below(2) ? FORWARDS : BACKWARDS;
		uint32_t depth = random_below(positions[i].depth + 1);

		expected = find_depth(i, way, depth);
		ck_assert_int_eq(cursor_next(cursor, way, depth), expected != SIZE_MAX);
		assert_at(expected != SIZE_MAX ? expected : i);
		/* All threads go on from there. */
		if (expected != SIZE_MAX && expected + 1 < n_positions) {
			ck_assert_int_eq(cursor_step(cursor, FORWARDS), 1);
			assert_at(expected + 1);
		}
	}
}
END_TEST

static bool is_line_entered(const struct position *p, uint32_t file, int32_t line)
{
	for (uint32_t k = p->kept; !p->is_start && k < p->depth; k++) {
		if (p->stack[k].line == line &&
		    trace_get_code(trace, p->stack[k].code)->file == file)
			return true;
	}
	return false;
}

static bool is_called(const struct position *p, const uint32_t *codes, size_t n)
{
	for (uint32_t k = p->kept; !p->is_start && k < p->depth; k++) {
		for (size_t c = 0; c < n; c++) {
			bool goes_on = false;

			for (size_t o = 0; o < n; o++)
				goes_on = goes_on || (k == p->kept && p->same == codes[o]);
			if (p->stack[k].code == codes[c] && !goes_on)
				return true;
		}
	}
	return false;
}

static void assert_run(size_t i, enum direction way, const struct stop *stop)
{
	size_t expected = SIZE_MAX;
	struct hit hit = {0};

	for (size_t j = i + (size_t)way; j < n_positions && expected == SIZE_MAX;
	     j += (size_t)way) {
		if (stop->thread && positions[j].thread != stop->thread)
			continue;
		if (stop->line ? is_line_entered(&positions[j], stop->files[0], stop->line)
			       : is_called(&positions[j], stop->codes, stop->n_codes))
			expected = j;
	}
	ck_assert_int_eq(cursor_run(cursor, way, stop, 1, &hit), expected != SIZE_MAX);
	assert_at(expected != SIZE_MAX ? expected : i);
	if (expected == SIZE_MAX)
		return;
	ck_assert_uint_eq(hit.stop, 0);
	ck_assert_uint_lt(hit.frame, positions[expected].depth);
	if (stop->line)
		ck_assert_int_eq(positions[expected].stack[hit.frame].line, stop->line);
}

START_TEST(running_stops_where_a_line_is_entered)
{
	BEGIN;
	for (int n = 0; n < N_MOVEMENTS; n++) {
		uint32_t file = 1 + random_below(2);
		struct stop stop = {
		    .files = &file,
		    .n_files = 1,
		    .line = 1 + (int32_t)random_below(39),
		    .thread = (uint16_t)random_below(N_THREADS + 1),
		};

		assert_run(go_to_any(), random_below(2) ? FORWARDS : BACKWARDS, &stop);
	}
}
END_TEST

START_TEST(running_stops_where_a_function_is_called)
{
	int32_t lines[40];

	BEGIN;
	for (int32_t i = 0; i < 40; i++)
		lines[i] = i;
	for (int n = 0; n < N_MOVEMENTS; n++) {
		uint32_t files[] = {1, 2}, codes[] = {1 + random_below(2), 5};
		struct stop stop = {
		    .files = files,
		    .n_files = 2,
		    .codes = codes,
		    .n_codes = 2,
		    .lines = lines,
		    .n_lines = 40,
		};

		assert_run(go_to_any(), random_below(2) ? FORWARDS : BACKWARDS, &stop);
	}
}
END_TEST

/* The frame that makes the stack so deep at i, in the positions beyond. */
static size_t find_leaving(size_t i, enum direction way, uint32_t depth)
{
	uint32_t code = positions[i].stack[depth - 1].code;
	size_t j = i, before;

	if (way == FORWARDS) {
		while ((j = find_depth(j, FORWARDS, UINT32_MAX)) != SIZE_MAX) {
			const struct position *p = &positions[j];

			if (!p->is_start && p->kept >= depth)
				continue;
			if (p->depth < depth || p->stack[depth - 1].code != code ||
			    (!p->is_start && p->kept < depth - 1))
				break;
		}
		return j;
	}
	for (; (before = find_depth(j, BACKWARDS, UINT32_MAX)) != SIZE_MAX; j = before) {
		const struct position *p = &positions[j];

		if (p->is_start ? positions[before].depth < depth
				: p->kept < depth && !(p->kept == depth - 1 && p->same == code))
			return before;
	}
	return SIZE_MAX;
}

START_TEST(calls_are_left_both_ways)
{
	BEGIN;
	for (int n = 0; n < N_MOVEMENTS; n++) {
		size_t i = go_to_any(), expected;
		enum direction way = random_below(2) ? FORWARDS : BACKWARDS;
		uint32_t depth;

		if (!positions[i].depth)
			continue;
		depth = 1 + random_below(positions[i].depth);
		expected = find_leaving(i, way, depth);
		ck_assert_int_eq(cursor_leave(cursor, way, depth), expected != SIZE_MAX);
		assert_at(expected != SIZE_MAX ? expected : i);
	}
}
END_TEST

START_TEST(endings_and_gaps_are_told)
{
	BEGIN;
	ck_assert_int_eq(cursor_end(cursor, BACKWARDS), 1);
	for (size_t i = 0; i < n_positions; i++) {
		size_t next = find_depth(i, FORWARDS, UINT32_MAX);
		enum ending ending;
		uint64_t until_ns;

		ck_assert_int_eq(cursor_ending(cursor, &until_ns, &ending), 0);
		if (next == SIZE_MAX) {
			ck_assert_int_eq(ending, ENDING_UNKNOWN);
		} else if (ending == ENDING_EVENT) {
			ck_assert_uint_eq(until_ns, positions[next].time_ns);
		} else {
			ck_assert_int_eq(ending, ENDING_GAP);
			ck_assert_uint_lt(until_ns, positions[next].time_ns);
		}
		ck_assert_int_eq(cursor_is_damaged(cursor), 0);
		if (positions[i].is_start && i > 0)
			ck_assert_int_eq(cursor_is_after_gap(cursor),
					 find_depth(i, BACKWARDS, UINT32_MAX) != SIZE_MAX);
		cursor_step(cursor, FORWARDS);
	}
}
END_TEST

/* --- traces that are still written, damaged, or empty --- */

START_TEST(news_are_seen_after_a_refresh)
{
	struct trace_writer *w = test_writer_new(folder);
	uint64_t now = TEST_START_NS;

	put_thread(w, 1, now);
	put_code(w, 1, "/app/a.py", "main");
	for (int i = 1; i <= 10; i++)
		put_stack(w, 1, now += STEP_NS, 0, FRAMES({1, i}), 1);
	ck_assert_int_eq(trace_writer_tick(w, now + UINT64_C(2000000000)), 0);
	trace = check_open(folder);
	cursor = cursor_new(trace);
	ck_assert_int_eq(cursor_end(cursor, FORWARDS), 1);
	ck_assert_int_eq(cursor_step(cursor, FORWARDS), 0);

	for (int i = 11; i <= 20; i++)
		put_stack(w, 1, now += STEP_NS, 0, FRAMES({1, i}), 1);
	put_thread(w, 2, now += STEP_NS);
	put_stack(w, 2, now += STEP_NS, 0, FRAMES({1, 99}), 1);
	ck_assert_int_eq(trace_writer_tick(w, now + UINT64_C(4000000000)), 0);
	ck_assert_int_eq(cursor_step(cursor, FORWARDS), 0);
	trace_release(trace);
	ck_assert_int_eq(trace_refresh(trace), 0);
	ck_assert_int_eq(cursor_refresh(cursor), 0);
	ck_assert_uint_eq(cursor_spot(cursor)->time_ns, TEST_START_NS + 10 * STEP_NS);
	for (int i = 11; i <= 21; i++)
		ck_assert_int_eq(cursor_step(cursor, FORWARDS), 1);
	ck_assert_uint_eq(cursor_spot(cursor)->row.thread, 2);
	ck_assert_int_eq(trace_writer_close(w, now + STEP_NS, "stopped"), 0);
}
END_TEST

START_TEST(a_reader_that_lets_go_lets_the_files_shrink)
{
	struct trace_writer *w = test_writer_new(folder);
	uint64_t now = TEST_START_NS;

	put_thread(w, 1, now);
	put_code(w, 1, "/app/a.py", "main");
	put_stack(w, 1, now += STEP_NS, 0, FRAMES({1, 1}), 1);
	ck_assert_int_eq(trace_writer_tick(w, now + UINT64_C(2000000000)), 0);
	trace = check_open(folder);
	cursor = cursor_new(trace);
	ck_assert_int_eq(cursor_end(cursor, FORWARDS), 1);
	trace_release(trace);
	put_stack(w, 1, now += STEP_NS, 0, FRAMES({1, 2}), 1);
	/* One plain file is left only when nobody reads. */
	ck_assert_int_eq(trace_writer_close(w, now, "stopped"), 0);
	ck_assert_int_eq(trace_refresh(trace), 0);
	ck_assert_int_eq(cursor_refresh(cursor), 0);
	ck_assert_int_eq(cursor_step(cursor, FORWARDS), 1);
}
END_TEST

static void run_sql(const char *sql)
{
	auto_free char *path = xasprintf("%s/trace.db", folder);
	sqlite3 *db = NULL;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

START_TEST(a_damaged_block_is_stepped_over)
{
	bool seen = false;
	size_t n = 0;

	seed = 5;
	write_random();
	run_sql(
	    "UPDATE blocks SET data = zeroblob(length(data)) WHERE id % 5 = 0 AND n_events > 5");
	trace = check_open(folder);
	cursor = cursor_new(trace);
	ck_assert_int_eq(cursor_end(cursor, BACKWARDS), 1);
	do {
		seen = seen || cursor_is_damaged(cursor);
		n++;
	} while (cursor_step(cursor, FORWARDS) == 1);
	ck_assert(seen);
	ck_assert_uint_gt(n, N_RECORDS / 4);
	for (; n > 1; n--)
		ck_assert_int_eq(cursor_step(cursor, BACKWARDS), 1);
	ck_assert_int_eq(cursor_step(cursor, BACKWARDS), 0);
}
END_TEST

START_TEST(rows_that_make_no_sense_end_every_search)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET first_ns = 'x' WHERE id % 3 = 0",
	    "UPDATE blocks SET first_ns = -first_ns, last_ns = -last_ns WHERE id % 2 = 0",
	    "UPDATE blocks SET last_ns = first_ns - 1 WHERE id % 2 = 0",
	    "UPDATE blocks SET first_ns = 5.5, last_ns = 5.7",
	    "UPDATE blocks SET first_ns = 1, last_ns = 1e300",
	    "UPDATE blocks SET first_ns = 1000000000, last_ns = 1000000000",
	    "UPDATE blocks SET lowest_depth = 'x'",
	    "UPDATE blocks SET lowest_depth = -1, n_events = -1",
	    "UPDATE blocks SET thread = 1",
	    "UPDATE OR REPLACE lines SET block = 1e10, line = 'x' WHERE line = 7",
	    "UPDATE threads SET id = -id",
	    "DELETE FROM blocks",
	};
	uint32_t file = 1;
	struct stop stop = {.files = &file, .n_files = 1, .line = 7};
	struct hit hit;

	seed = 8;
	write_random();
	run_sql(damage[_i]);
	trace = check_open(folder);
	cursor = cursor_new(trace);
	cursor_end(cursor, BACKWARDS);
	for (int i = 0; i < 3 * N_RECORDS && cursor_step(cursor, FORWARDS) == 1; i++)
		;
	for (int i = 0; i < 3 * N_RECORDS && cursor_step(cursor, BACKWARDS) == 1; i++)
		;
	for (int i = 0; i < N_RECORDS && cursor_next(cursor, FORWARDS, 1) == 1; i++)
		;
	for (int i = 0; i < N_RECORDS && cursor_run(cursor, BACKWARDS, &stop, 1, &hit) == 1; i++)
		;
	cursor_jump(cursor, TEST_START_NS + 1000 * STEP_NS);
	for (int i = 0; i < N_RECORDS && cursor_run(cursor, FORWARDS, &stop, 1, &hit) == 1; i++)
		;
}
END_TEST

START_TEST(an_empty_trace_has_no_position)
{
	struct trace_writer *w = test_writer_new(folder);
	struct hit hit;

	ck_assert_int_eq(trace_writer_close(w, TEST_START_NS, "stopped"), 0);
	trace = check_open(folder);
	cursor = cursor_new(trace);
	ck_assert_int_eq(cursor_end(cursor, BACKWARDS), 0);
	ck_assert_int_eq(cursor_jump(cursor, TEST_START_NS), 0);
	ck_assert_int_eq(cursor_step(cursor, FORWARDS), 0);
	ck_assert_int_eq(cursor_next(cursor, BACKWARDS, 1), 0);
	ck_assert_int_eq(cursor_run(cursor, FORWARDS, NULL, 0, &hit), 0);
	ck_assert(!cursor_has_spot(cursor));
}
END_TEST

static bool at_once(void *ctx)
{
	(void)ctx;
	return true;
}

START_TEST(a_search_can_be_cancelled)
{
	uint32_t file = 1;
	struct stop stop = {.files = &file, .n_files = 1, .line = 4000};
	struct hit hit;

	open_random(0);
	cursor_set_cancel(cursor, (struct cancel){.is_asked = at_once});
	ck_assert_int_eq(cursor_end(cursor, BACKWARDS), 1);
	ck_assert_int_eq(cursor_run(cursor, FORWARDS, &stop, 1, &hit), -EINTR);
	ck_assert_int_eq(cursor_step(cursor, FORWARDS), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cursor");
	TCase *tc = tcase_create("cursor"), *prepared_tc = tcase_create("prepared");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(prepared_tc, 60);
	tcase_add_unchecked_fixture(prepared_tc, prepare, remove_prepared);
	tcase_add_checked_fixture(prepared_tc, NULL, close_all);
	tcase_add_loop_test(prepared_tc, all_positions_are_stepped_through_both_ways, 0, N_RUNS);
	tcase_add_loop_test(prepared_tc, a_jump_selects_the_last_that_began, 0, N_RUNS);
	tcase_add_loop_test(prepared_tc, steps_after_a_jump_go_on_from_there, 0, N_RUNS);
	tcase_add_loop_test(prepared_tc, next_stays_at_a_depth_or_above, 0, N_RUNS);
	tcase_add_loop_test(prepared_tc, running_stops_where_a_line_is_entered, 0, N_RUNS);
	tcase_add_loop_test(prepared_tc, running_stops_where_a_function_is_called, 0, N_RUNS);
	tcase_add_loop_test(prepared_tc, calls_are_left_both_ways, 0, N_RUNS);
	tcase_add_loop_test(prepared_tc, endings_and_gaps_are_told, 0, N_RUNS);
	tcase_add_test(prepared_tc, a_search_can_be_cancelled);
	suite_add_tcase(suite, prepared_tc);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, news_are_seen_after_a_refresh);
	tcase_add_test(tc, a_reader_that_lets_go_lets_the_files_shrink);
	tcase_add_test(tc, a_damaged_block_is_stepped_over);
	tcase_add_loop_test(tc, rows_that_make_no_sense_end_every_search, 0, 12);
	tcase_add_test(tc, an_empty_trace_has_no_position);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
