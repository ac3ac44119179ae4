/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/span_cursor.h"

#include <errno.h>

#include "reader/selection.h"
#include "reader/walk.h"
#include "tests/support/waits_trace.h"

#define AUTO_CURSOR auto_release(span_cursor_free) struct span_cursor

static struct span_cursor *cursor_at(struct block_cache *cache, uint16_t thread, uint64_t since_ns,
				     uint64_t until_ns)
{
	return span_cursor_new(cache, &(struct span_cursor_options){.thread = thread,
								    .since_ns = since_ns,
								    .until_ns = until_ns,
								    .has_edges = true});
}

/* All of them as a text: "activity start end depth line;" in milliseconds. */
static char *describe(struct span_cursor *c, int expected)
{
	static const char letters[] = "?cwr";
	const struct span *s;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int r;

	ck_assert_ptr_nonnull(f);
	while ((r = span_cursor_next(c, &s)) == 1) {
		ck_assert_uint_lt(s->start_ns, s->end_ns);
		fprintf(f, "%c %d %d %u %d;", s->is_gap ? '-' : letters[s->activity],
			(int)((s->start_ns + NS_PER_MS / 2 - TEST_START_NS) / NS_PER_MS),
			(int)((s->end_ns + NS_PER_MS / 2 - TEST_START_NS) / NS_PER_MS), s->depth,
			s->depth ? s->stack[s->depth - 1].line : 0);
	}
	ck_assert_int_eq(r, expected);
	/* The end stays the end. */
	ck_assert_int_eq(span_cursor_next(c, &s), 0);
	fclose(f);
	return text;
}

START_TEST(a_thread_is_told_stretch_by_stretch)
{
	auto_trace struct trace *t = NULL;
	auto_block_cache struct block_cache *cache = NULL;
	AUTO_CURSOR *one = NULL, *two = NULL;
	auto_free char *first = NULL, *second = NULL;

	write_whole();
	t = open_trace();
	cache = block_cache_new(t);
	one = cursor_at(cache, 1, 0, UINT64_MAX);
	two = cursor_at(cache, 2, 0, UINT64_MAX);
	first = describe(one, 0);
	second = describe(two, 0);
	ck_assert_str_eq(first, "c 0 100 1 2;w 100 400 1 2;c 400 450 1 2;c 450 500 2 5;"
				"w 500 700 2 5;c 700 710 2 5;w 710 1010 2 5;r 1010 1030 2 5;"
				"c 1030 1040 2 5;w 1040 1042 2 5;c 1042 1050 2 5;"
				"c 1050 4000 2 6;");
	/* Over blocks, of which there are several by then. */
	ck_assert_str_eq(second, "c 0 1500 1 6;w 1500 4000 1 6;");
}
END_TEST

START_TEST(the_reason_comes_with_a_wait)
{
	auto_trace struct trace *t = NULL;
	auto_block_cache struct block_cache *cache = NULL;
	AUTO_CURSOR *c = NULL;
	const struct span *s;

	write_whole();
	t = open_trace();
	cache = block_cache_new(t);
	c = span_cursor_new(cache, &(struct span_cursor_options){.thread = 1,
								 .since_ns = AT(450),
								 .until_ns = AT(1035),
								 .only_waits = true,
								 .has_edges = true});
	ck_assert_int_eq(span_cursor_next(c, &s), 1);
	ck_assert_str_eq(trace_get_reason(t, s->wait.reason)->what, a_recv.what);
	ck_assert_int_eq(s->wait.line, 5);
	ck_assert_int_eq(span_cursor_next(c, &s), 1);
	ck_assert_int_eq(span_cursor_next(c, &s), 1);
	ck_assert_int_eq(s->activity, ACTIVITY_READY);
	ck_assert_int_eq(span_cursor_next(c, &s), 0);
}
END_TEST

START_TEST(an_interval_has_whole_stretches)
{
	auto_trace struct trace *t = NULL;
	auto_block_cache struct block_cache *cache = NULL;
	AUTO_CURSOR *c = NULL, *late = NULL;
	auto_free char *text = NULL, *rest = NULL;

	write_whole();
	t = open_trace();
	cache = block_cache_new(t);
	c = cursor_at(cache, 1, AT(600), AT(1032));
	text = describe(c, 0);
	ck_assert_ptr_nonnull(strstr(text, "w 500 700 2 5;c 700 710"));
	ck_assert_ptr_null(strstr(text, "w 100"));
	ck_assert_str_eq(strrchr(text, 'c'), "c 1030 1040 2 5;");
	late = cursor_at(cache, 1, AT(5000), UINT64_MAX);
	rest = describe(late, 0);
	ck_assert_str_eq(rest, "");
}
END_TEST

/* What a walk tells, as spans would. */
struct told {
	FILE *f;
	uint32_t depth;
};

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places,
		     uint32_t n_places)
{
	struct told *w = ctx;

	(void)time_ns;
	(void)places;
	w->depth += n_places - pop;
	return 0;
}

static int on_time(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		   const struct wait_kind *wait)
{
	struct told *w = ctx;

	fprintf(w->f, "%d %ju %ju %u %u;", activity, (uintmax_t)start_ns, (uintmax_t)end_ns,
		w->depth, wait ? wait->reason : 0);
	return 0;
}

static int on_gap(void *ctx, uint64_t start_ns, uint64_t end_ns)
{
	struct told *w = ctx;

	fprintf(w->f, "gap %ju %ju;", (uintmax_t)start_ns, (uintmax_t)end_ns);
	return 0;
}

static void tell_spans(struct trace *t, const struct selection *s, FILE *f)
{
	auto_block_cache struct block_cache *cache = block_cache_new(t);
	auto_free struct trace_thread *threads = NULL;
	const struct span *span;
	size_t n;

	ck_assert_int_eq(trace_threads(t, &threads, &n), 0);
	for (size_t i = 0; i < n; i++) {
		const struct span_cursor_options options = {
		    .thread = threads[i].id,
		    .until_ns = UINT64_MAX,
		    .life_start_ns =
			threads[i].first_ns > s->since_ns ? threads[i].first_ns : s->since_ns,
		    .life_end_ns = threads[i].last_ns ? threads[i].last_ns : s->until_ns,
		    .has_edges = true,
		};
		AUTO_CURSOR *c = span_cursor_new(cache, &options);

		while (span_cursor_next(c, &span) == 1) {
			const struct trace_reason *reason = trace_get_reason(t, span->wait.reason);

			if (span->is_gap)
				fprintf(f, "gap %ju %ju;", (uintmax_t)span->start_ns,
					(uintmax_t)span->end_ns);
			else
				fprintf(f, "%d %ju %ju %u %u;", span->activity,
					(uintmax_t)span->start_ns, (uintmax_t)span->end_ns,
					span->depth, reason ? reason->same_as : 0);
		}
	}
}

/* Threads that were seen late, or not to their end, or never; and one with a gap. */
static const char *const lives[] = {
    "UPDATE threads SET last_ns = NULL",
    "UPDATE threads SET first_ns = first_ns - 500000000",
    "UPDATE threads SET last_ns = 4800000000",
    "DELETE FROM blocks WHERE thread = 2 AND id = (SELECT min(id) FROM blocks WHERE thread = 2)",
    "DELETE FROM blocks WHERE thread = 1",
    "UPDATE blocks SET last_ns = last_ns - 100000000 WHERE thread = 1",
};

START_TEST(it_is_what_a_walk_tells)
{
	static const struct walk_calls calls = {
	    .on_change = on_change, .on_time = on_time, .on_gap = on_gap};
	auto_trace struct trace *t = NULL;
	auto_free char *walked = NULL, *asked = NULL;
	size_t len;
	struct told w = {.f = open_memstream(&walked, &len)};
	struct selection s;
	FILE *f;

	write_whole();
	run_sql(lives[_i]);
	t = open_trace();
	ck_assert_int_eq(
	    selection_resolve(t, &(struct selection_options){0}, &s, (char[512]){0}, 512), 0);
	ck_assert_int_eq(walk_trace(t, &s, &calls, &w, NULL), 0);
	fclose(w.f);
	f = open_memstream(&asked, &len);
	tell_spans(t, &s, f);
	fclose(f);
	ck_assert_str_eq(asked, walked);
	selection_done(&s);
}
END_TEST

START_TEST(damage_is_told_after_what_was_before_it)
{
	auto_trace struct trace *t = NULL;
	auto_block_cache struct block_cache *cache = NULL;
	AUTO_CURSOR *c = NULL, *before = NULL;
	auto_free char *text = NULL, *intact = NULL;

	write_whole();
	run_sql("UPDATE blocks SET data = zeroblob(length(data)) WHERE id ="
		" (SELECT max(id) FROM blocks WHERE thread = 1)");
	t = open_trace();
	cache = block_cache_new(t);
	c = cursor_at(cache, 1, 0, UINT64_MAX);
	text = describe(c, -EBADMSG);
	ck_assert_int_eq(span_cursor_block(c)->thread, 1);
	before = cursor_at(cache, 1, 0, span_cursor_block(c)->first_ns);
	intact = describe(before, 0);
	ck_assert_str_eq(intact, text);
}
END_TEST

START_TEST(rows_that_make_no_sense_do_no_harm)
{
	static const char *const damage[] = {
	    "UPDATE blocks SET first_ns = 0",
	    "UPDATE blocks SET last_ns = 9223372036854775807",
	    "UPDATE blocks SET last_ns = first_ns",
	    "UPDATE blocks SET first_ns = -5",
	    "UPDATE blocks SET waits = x'00ff'",
	    "UPDATE blocks SET data = waits",
	    "UPDATE blocks SET data = 17",
	    "UPDATE blocks SET first_ns = 1.5e300, last_ns = 'z'",
	    "UPDATE blocks SET last_ns = last_ns + 5000000000",
	    "UPDATE blocks SET thread = 1",
	};
	auto_trace struct trace *t = NULL;
	auto_block_cache struct block_cache *cache = NULL;
	const struct span *s;

	write_whole();
	run_sql(damage[_i]);
	t = open_trace();
	cache = block_cache_new(t);
	for (uint16_t thread = 0; thread <= 3; thread++) {
		AUTO_CURSOR *c = cursor_at(cache, thread, thread ? AT(300) : 0, UINT64_MAX);
		uint64_t last_ns = 0;

		while (span_cursor_next(c, &s) == 1) {
			ck_assert_uint_ge(s->start_ns, last_ns);
			ck_assert_uint_gt(s->end_ns, s->start_ns);
			last_ns = s->end_ns;
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("span_cursor");
	TCase *tc = tcase_create("span_cursor");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_thread_is_told_stretch_by_stretch);
	tcase_add_test(tc, the_reason_comes_with_a_wait);
	tcase_add_test(tc, an_interval_has_whole_stretches);
	tcase_add_loop_test(tc, it_is_what_a_walk_tells, 0, sizeof(lives) / sizeof(lives[0]));
	tcase_add_test(tc, damage_is_told_after_what_was_before_it);
	tcase_add_loop_test(tc, rows_that_make_no_sense_do_no_harm, 0, 10);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
