/* SPDX-License-Identifier: BSD-3-Clause */
/* What a shim tells of its sections becomes records; in an invented process. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "recorder/sampler_private.h"
#include "tests/support/py_image.h"
#include "tests/support/shim_writer.h"

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
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
