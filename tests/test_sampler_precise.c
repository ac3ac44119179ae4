/* SPDX-License-Identifier: BSD-3-Clause */
/* What a shim tells of its sections becomes records; in an invented process. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/oncpu/edge_events.h"
#include "recorder/sampler_private.h"
#include "tests/support/py_image.h"
#include "tests/support/shim_writer.h"
#include "tests/support/trace_records.h"

#define RING_BYTES ((size_t)1 << 20)
#define THREAD	   7u
#define IDENT	   0x7777u
#define NATIVE	   99u

static struct py_image im;
static struct py_runtime py;
static struct ring *ring;
static struct sampler *s;
static struct shim_writer w;
static struct image_function outer, inner;
static uint64_t start_ns;

static const struct sampler_config config = {.follow = FOLLOW_ALL, .stat_fd = -1};
static const struct image_code about_outer = {
    .file = "/app/app.py", .name = "outer", .nlocalsplus = 2, .stacksize = 3, .first_line = 10};
static const struct image_code about_inner = {
    .file = "/app/app.py", .name = "inner", .nlocalsplus = 2, .stacksize = 3, .first_line = 20};

static void begin(void)
{
	struct shim_ring *shim;

	py_image_init(&im, 11);
	py.layout = im.l;
	ring = ring_new(RING_BYTES);
	s = sampler_new(&im.mem, &py, ring, &config, 1, 1);
	outer = py_image_function(&im, 0, &about_outer);
	inner = py_image_function(&im, 0, &about_inner);
	shim_writer_init(&w);
	ck_assert_int_eq(shim_ring_new(w.words, SHIM_WRITER_SIZE, &shim), 0);
	sampler_offer_shim(s, shim);
	start_ns = clock_monotonic_ns() - NS_PER_S;
	s->batch_start_ns = start_ns;
	/* The invented process has no list of threads. */
	s->listed_ns = UINT64_MAX / 2;
	sampler_precise_poll(s, clock_monotonic_ns());
}

static void end(void)
{
	sampler_free(s);
	ring_free(ring);
	shim_writer_done(&w);
	py_image_done(&im);
}

static void put(enum shim_kind kind, uint64_t value, uint64_t frame, uint32_t line)
{
	shim_writer_put(&w, kind, THREAD, value, frame, line);
}

static void poll_ring(void)
{
	sampler_precise_poll(s, clock_monotonic_ns());
}

/* On outer's frame 500, at line 12. */
static void enter(uint64_t at_ns)
{
	put(SHIM_THREAD, IDENT, NATIVE, 0);
	put(SHIM_FRAME, outer.code, 500, 12);
	put(SHIM_ENTER, start_ns + at_ns, 500, 1);
}

static void line(uint64_t at_ns, uint64_t frame, uint32_t number)
{
	put(SHIM_LINE, start_ns + at_ns, frame, number);
}

/* The next record of this kind that was published, lent until the next call; NULL: none. */
static const void *next(enum record_kind kind)
{
	static uint64_t copy[4096];
	const struct record_header *h;

	while ((h = ring_peek(ring))) {
		bool is_it = h->kind == kind;

		ck_assert_uint_le(h->size, sizeof(copy));
		memcpy(copy, h, h->size);
		ring_consume(ring);
		if (is_it)
			return copy;
	}
	return NULL;
}

static void check_stack(uint64_t at_ns, uint32_t keep, uint32_t n, int32_t last_line)
{
	const struct record_stack *r = next(RECORD_STACK);

	ck_assert_ptr_nonnull(r);
	ck_assert_uint_eq(r->h.time_ns, start_ns + at_ns);
	ck_assert_uint_eq(r->provenance, PROVENANCE_PRECISE);
	ck_assert_uint_eq(r->keep, keep);
	ck_assert_uint_eq(r->n_frames, n);
	if (n)
		ck_assert_int_eq(r->frames[n - 1].line, last_line);
}

START_TEST(each_line_of_a_section_is_told)
{
	begin();
	enter(10);
	line(20, 500, 13);
	put(SHIM_CALL, inner.code, 600, 0);
	line(30, 600, 21);
	line(40, 600, 22);
	put(SHIM_RETURN, start_ns + 50, 600, 0);
	line(60, 500, 14);
	put(SHIM_LEAVE, start_ns + 70, 0, 0);
	poll_ring();
	check_stack(20, 0, 1, 13);
	check_stack(30, 1, 1, 21);
	check_stack(40, 1, 1, 22);
	check_stack(50, 1, 0, 0);
	check_stack(60, 0, 1, 14);
	ck_assert_ptr_null(next(RECORD_STACK));
	ck_assert_uint_eq(s->counters.sections, 1);
	ck_assert_uint_eq(s->counters.section_records, 10);
	ck_assert_int_eq(s->tracks[0]->told_by, PROVENANCE_OBSERVED);
	end();
}
END_TEST

START_TEST(a_section_on_a_known_stack_begins_with_its_line)
{
	begin();
	enter(10);
	line(20, 500, 13);
	put(SHIM_LEAVE, start_ns + 30, 0, 0);
	line(40, 500, 13);
	poll_ring();
	check_stack(20, 0, 1, 13);
	check_stack(40, 0, 1, 13);
	ck_assert_uint_eq(s->counters.sections, 2);
	ck_assert_int_eq(s->tracks[0]->told_by, PROVENANCE_PRECISE);
	/* Of a frame that is not the one that was told. */
	put(SHIM_LEAVE, start_ns + 50, 0, 0);
	line(60, 700, 13);
	poll_ring();
	ck_assert_ptr_null(next(RECORD_STACK));
	end();
}
END_TEST

START_TEST(what_an_exception_leaves_goes_with_the_next_line)
{
	begin();
	enter(10);
	line(20, 500, 13);
	put(SHIM_CALL, inner.code, 600, 0);
	line(30, 600, 21);
	line(40, 500, 15);
	poll_ring();
	check_stack(20, 0, 1, 13);
	check_stack(30, 1, 1, 21);
	check_stack(40, 0, 1, 15);
	end();
}
END_TEST

START_TEST(a_section_without_a_line_is_where_it_began)
{
	begin();
	enter(10);
	put(SHIM_LEAVE, start_ns + 20, 0, 0);
	poll_ring();
	check_stack(10, 0, 1, 12);
	ck_assert_ptr_null(next(RECORD_STACK));
	end();
}
END_TEST

START_TEST(records_that_are_missing_are_a_gap)
{
	const struct record_gap *gap;

	begin();
	enter(10);
	line(20, 500, 13);
	poll_ring();
	for (unsigned i = 0; i < 2 * SHIM_WRITER_SLOTS; i++)
		line(30 + i, 500, 13);
	poll_ring();
	sampler_end_batch(s, clock_monotonic_ns());
	gap = next(RECORD_GAP);
	ck_assert_ptr_nonnull(gap);
	ck_assert_uint_eq(gap->reason, GAP_SECTION_OVERRUN);
	ck_assert_uint_eq(gap->h.thread, s->tracks[0]->number);
	ck_assert_uint_gt(gap->lost, 0);
	ck_assert_uint_eq(gap->lost, s->counters.section_lost);
	/* Until the stack is told again. */
	ck_assert_ptr_null(next(RECORD_STACK));
	ck_assert_int_eq(s->tracks[0]->told_by, PROVENANCE_OBSERVED);
	end();
}
END_TEST

START_TEST(who_knows_each_line_anyway_tells_alone)
{
	begin();
	enter(10);
	line(20, 500, 13);
	poll_ring();
	check_stack(20, 0, 1, 13);
	sampler_told_begin(s, s->tracks[0], PROVENANCE_EXACT, start_ns + 25);
	line(30, 500, 14);
	put(SHIM_LEAVE, start_ns + 40, 0, 0);
	line(50, 500, 13);
	poll_ring();
	ck_assert_ptr_null(next(RECORD_STACK));
	ck_assert_int_eq(s->tracks[0]->told_by, PROVENANCE_EXACT);
	/* Once that is over. */
	sampler_told_end(s, s->tracks[0], start_ns + 60);
	line(70, 500, 13);
	poll_ring();
	check_stack(70, 0, 1, 13);
	end();
}
END_TEST

START_TEST(a_look_at_a_thread_that_told_more_does_not_count)
{
	struct track other = {.id = {.python_id = 1}};

	begin();
	enter(10);
	line(20, 500, 13);
	put(SHIM_LEAVE, start_ns + 30, 0, 0);
	poll_ring();
	ck_assert(!sampler_precise_has_told(s, s->tracks[0]));
	line(40, 500, 13);
	ck_assert(sampler_precise_has_told(s, s->tracks[0]));
	ck_assert(!sampler_precise_has_told(s, &other));
	end();
}
END_TEST

START_TEST(garbage_does_no_harm)
{
	begin();
	srandom(1);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t value = random() % 3	? (uint64_t)random()
				 : random() % 2 ? outer.code
						: inner.code;

		shim_writer_put(&w, (enum shim_kind)(random() % 13), (uint32_t)random() % 4, value,
				(uint64_t)random() % 5, (uint32_t)random() % 40);
		if (i % 100 == 0)
			poll_ring();
		while (ring_peek(ring))
			ring_consume(ring);
	}
	for (size_t i = 0; i < SHIM_WRITER_SIZE / 8; i++)
		w.words[i] = (uint64_t)random() << 32 ^ (uint64_t)random();
	poll_ring();
	end();
}
END_TEST

/* What the ring holds goes to the trace, which takes all of it. */
static void write_records(struct trace_writer *writer)
{
	const struct record_header *h;

	while ((h = ring_peek(ring))) {
		ck_assert_msg(trace_writer_put(writer, h) == 0,
			      "record of kind %u for thread %u is not taken", h->kind, h->thread);
		ring_consume(ring);
	}
}

/* Records that make sense by themselves, in an order that does not: more gets through. */
static void put_garbage(unsigned i)
{
	static const uint64_t times[] = {0, 1, UINT64_MAX, UINT64_MAX / 2};
	enum shim_kind kind = (enum shim_kind)(random() % 14);
	uint64_t code = random() % 8 ? random() % 2 ? outer.code : inner.code : (uint64_t)random();
	uint64_t value =
	    random() % 16 ? start_ns + i + (uint64_t)random() % 3000 : times[random() % 4];
	uint32_t thread = (uint32_t)random() % 6;
	uint64_t frame = (uint64_t)random() % 4;
	uint32_t at = random() % 50 ? (uint32_t)random() % 6 : (uint32_t)random() << 1;

	if (kind == SHIM_FRAME || kind == SHIM_CALL)
		value = code;
	else if (kind == SHIM_THREAD)
		value = IDENT + (uint64_t)random() % 3;
	shim_writer_put(&w, kind, thread, value, frame, at);
}

static void end_thread(size_t i)
{
	struct track *t = s->tracks[i];

	sampler_emit_end(s, t, clock_monotonic_ns());
	s->tracks[i] = s->tracks[--s->n_tracks];
	sampler_free_track(s, t);
}

/* Looks at threads whose sections are not open, and waits of all, come in between. */
static void look_somewhere(void)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct track *t;
	struct py_code *code;

	if (!s->n_tracks)
		return;
	t = s->tracks[(size_t)random() % s->n_tracks];
	if (random() % 4 == 0)
		sampler_emit_off(s, t, now_ns - (uint64_t)random() % 1000, now_ns, EDGE_WAITING,
				 random() % 2);
	if (t->told_by != PROVENANCE_OBSERVED)
		return;
	s->snap.n = 0;
	s->snap.frames = xgrow(s->snap.frames, &s->snap.cap, 4, sizeof(s->snap.frames[0]));
	for (uint32_t n = (uint32_t)random() % 4; s->snap.n < n; s->snap.n++) {
		if (py_codes_load(s->codes, random() % 2 ? outer.code : inner.code, now_ns, &code) <
		    0)
			break;
		/* Unused for long, so that a batch is taken back when it is another one. */
		code->loaded_ns = 0;
		s->snap.frames[s->snap.n] = (struct py_frame){.code = code};
	}
	sampler_emit(s, t, now_ns, now_ns, false);
	if (random() % 100 == 0)
		end_thread((size_t)random() % s->n_tracks);
	/* Another function lies there. */
	if (random() % 20 == 0)
		py_image_put32(&im, inner.code + im.l.code.first_line, (uint32_t)random() % 100);
}

START_TEST(garbage_ends_no_trace)
{
	char *folder = test_folder_new();
	struct trace_writer *writer = test_writer_new(folder);

	begin();
	srandom((unsigned)_i + 1);
	ring_free(ring);
	/* One that is full now and then. */
	s->ring = ring = ring_new((size_t)1 << 19);
	for (unsigned i = 0; i < 300000; i++) {
		put_garbage(i);
		if (random() % 200 == 0)
			poll_ring();
		if (random() % 3 == 0)
			look_somewhere();
		if (random() % 30000 == 0)
			write_records(writer);
		if (random() % 1000 == 0)
			sampler_end_batch(s, clock_monotonic_ns());
	}
	poll_ring();
	write_records(writer);
	/* Otherwise it would show nothing. */
	ck_assert_uint_gt(s->counters.sections, 100);
	ck_assert_uint_gt(s->counters.dropped[DROP_RING_FULL], 0);
	ck_assert_uint_gt(s->young_doublings, 0);
	ck_assert_int_eq(trace_writer_close(writer, clock_monotonic_ns(), "over"), 0);
	end();
	test_folder_remove(folder);
}
END_TEST

START_TEST(a_trace_has_no_number_for_more_threads)
{
	char *folder = test_folder_new();
	struct trace_writer *writer = test_writer_new(folder);

	begin();
	s->next_thread = s->batch_next_thread = 64900;
	/* First they are only known, and get their numbers when they tell something. */
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t n = i % 1000;

		shim_writer_put(&w, SHIM_THREAD, n + 1, IDENT + n, NATIVE + n, 0);
		shim_writer_put(&w, SHIM_FRAME, n + 1, outer.code, 500, 12);
		shim_writer_put(&w, SHIM_ENTER, n + 1, clock_monotonic_ns(), 500, 1);
		if (i >= 1000)
			shim_writer_put(&w, SHIM_LINE, n + 1, clock_monotonic_ns(), 500, 13);
		if (i % 100 == 99)
			poll_ring();
	}
	ck_assert_uint_gt(s->next_thread, 64900);
	ck_assert_int_eq(trace_writer_close(writer, clock_monotonic_ns(), "over"), 0);
	end();
	test_folder_remove(folder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sampler_precise");
	TCase *tc = tcase_create("sampler_precise");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, each_line_of_a_section_is_told);
	tcase_add_test(tc, a_section_on_a_known_stack_begins_with_its_line);
	tcase_add_test(tc, what_an_exception_leaves_goes_with_the_next_line);
	tcase_add_test(tc, a_section_without_a_line_is_where_it_began);
	tcase_add_test(tc, records_that_are_missing_are_a_gap);
	tcase_add_test(tc, who_knows_each_line_anyway_tells_alone);
	tcase_add_test(tc, a_look_at_a_thread_that_told_more_does_not_count);
	tcase_add_test(tc, garbage_does_no_harm);
	tcase_add_loop_test(tc, garbage_ends_no_trace, 0, 4);
	tcase_add_test(tc, a_trace_has_no_number_for_more_threads);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
