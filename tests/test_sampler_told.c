/* SPDX-License-Identifier: BSD-3-Clause */
/* What others tell a sampler of a thread, beside its own looks; in an invented process. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "recorder/oncpu/edge_events.h"
#include "recorder/sampler_private.h"
#include "tests/support/py_image.h"

#define RING_BYTES ((size_t)1 << 20)
#define NO_FRAMES  NULL, 0

static struct py_image im;
static struct py_runtime py;
static struct ring *ring;
static struct sampler *s;
static struct track *told, *looked;
static struct image_function function;
static struct py_code *code;
static uint64_t start_ns;

static const struct sampler_config config = {.follow = FOLLOW_ALL, .stat_fd = -1};
static const struct image_code about = {
    .file = "/app/app.py", .name = "run", .nlocalsplus = 2, .stacksize = 3, .first_line = 10};

static struct track *add_track(remote_addr tstate)
{
	struct track *t = calloc(1, sizeof(*t));

	ck_assert_ptr_nonnull(t);
	t->id.tstate = tstate;
	t->stack = py_stack_new(tstate);
	s->tracks = realloc(s->tracks, (s->n_tracks + 1) * sizeof(s->tracks[0]));
	ck_assert_ptr_nonnull(s->tracks);
	s->tracks[s->n_tracks++] = t;
	return t;
}

static void begin(void)
{
	py_image_init(&im, 11);
	py.layout = im.l;
	ring = ring_new(RING_BYTES);
	s = sampler_new(&im.mem, &py, ring, &config, 1, 1);
	s->batch_length_ns = NS_PER_MS;
	function = py_image_function(&im, 0, &about);
	/* Old, so that only the end of the batch shows whether it is still there. */
	ck_assert_int_eq(py_codes_load(s->codes, function.code, 0, &code), 0);
	start_ns = clock_monotonic_ns() - NS_PER_S;
	s->batch_start_ns = start_ns;
	told = add_track(1000);
	looked = add_track(2000);
}

static void end(void)
{
	sampler_free(s);
	ring_free(ring);
	py_image_done(&im);
}

/* A look at the thread shows the function before its first instruction: at line 10. */
static void look(struct track *t, uint64_t time_ns)
{
	static struct py_frame frame;

	frame = (struct py_frame){.code = code, .unit = PY_UNIT_BEFORE_START};
	if (s->snap.cap == 0) {
		s->snap.cap = 1;
		s->snap.frames = calloc(1, sizeof(frame));
		ck_assert_ptr_nonnull(s->snap.frames);
	}
	s->snap.frames[0] = frame;
	s->snap.n = 1;
	sampler_emit(s, t, time_ns, time_ns, false);
}

static void make_unprovable(void)
{
	struct image_code other = about;

	other.name = "other";
	py_image_function(&im, function.code, &other);
}

static uint32_t tell_code(const char *name)
{
	return sampler_told_code(s, "/app/app.py", 11, name, strlen(name), 1, start_ns);
}

static bool tell(uint64_t time_ns, uint32_t keep, const struct record_frame *frames, uint32_t n)
{
	return sampler_told_stack(s, told, time_ns, keep, frames, n);
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

static unsigned count(enum record_kind kind)
{
	unsigned n = 0;

	while (next(kind))
		n++;
	return n;
}

#define FRAMES(...) ((const struct record_frame[]){__VA_ARGS__})

START_TEST(what_is_told_is_published_as_it_was_told)
{
	const struct record_thread *thread;
	const struct record_code *c;
	const struct record_stack *r;
	uint32_t id;

	begin();
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns);
	id = tell_code("work");
	ck_assert_uint_eq(id, 1);
	ck_assert(tell(start_ns + 10, 0, FRAMES({1, 5}, {1, 6}), 2));
	ck_assert(tell(start_ns + 20, 1, FRAMES({1, 7}), 1));
	ck_assert(tell(start_ns + 30, 1, NO_FRAMES));

	c = next(RECORD_CODE);
	ck_assert_uint_eq(c->id, 1);
	ck_assert_uint_eq(c->file_len, 11);
	ck_assert_int_eq(memcmp(c->text, "/app/app.pywork", 15), 0);
	thread = next(RECORD_THREAD);
	ck_assert_uint_eq(thread->h.thread, told->number);
	r = next(RECORD_STACK);
	ck_assert_uint_eq(r->h.thread, told->number);
	ck_assert_uint_eq(r->h.time_ns, start_ns + 10);
	ck_assert_uint_eq(r->keep, 0);
	ck_assert_uint_eq(r->n_frames, 2);
	ck_assert_int_eq(r->frames[1].line, 6);
	ck_assert_uint_eq(r->provenance, PROVENANCE_EXACT);
	ck_assert_uint_eq(r->is_first, 1);
	r = next(RECORD_STACK);
	ck_assert_uint_eq(r->keep, 1);
	ck_assert_int_eq(r->frames[0].line, 7);
	ck_assert_uint_eq(r->is_first, 0);
	r = next(RECORD_STACK);
	ck_assert_uint_eq(r->keep, 1);
	ck_assert_uint_eq(r->n_frames, 0);
	ck_assert_ptr_null(next(RECORD_STACK));
	end();
}
END_TEST

START_TEST(a_line_that_runs_again_is_told_again)
{
	const struct record_stack *r;

	begin();
	sampler_told_begin(s, told, PROVENANCE_PRECISE, start_ns);
	tell_code("work");
	ck_assert(tell(start_ns + 1, 0, FRAMES({1, 5}, {1, 6}), 2));
	ck_assert(tell(start_ns + 2, 1, FRAMES({1, 6}), 1));
	/* Said in another way. */
	ck_assert(tell(start_ns + 3, 2, NO_FRAMES));
	next(RECORD_STACK);
	for (unsigned i = 2; i <= 3; i++) {
		r = next(RECORD_STACK);
		ck_assert_uint_eq(r->h.time_ns, start_ns + i);
		ck_assert_uint_eq(r->keep, 1);
		ck_assert_uint_eq(r->n_frames, 1);
		ck_assert_int_eq(r->frames[0].line, 6);
		ck_assert_uint_eq(r->provenance, PROVENANCE_PRECISE);
	}
	ck_assert_uint_eq(told->n_last, 2);
	end();
}
END_TEST

START_TEST(times_never_decrease)
{
	const struct record_stack *r;
	uint64_t last_ns = 0;

	begin();
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns + 100);
	tell_code("work");
	ck_assert(tell(start_ns + 50, 0, FRAMES({1, 1}), 1)); /* before it began */
	ck_assert(tell(start_ns + 120, 0, FRAMES({1, 2}), 1));
	ck_assert(tell(start_ns + 110, 0, FRAMES({1, 3}), 1));
	while ((r = next(RECORD_STACK))) {
		ck_assert_uint_ge(r->h.time_ns, start_ns + 100);
		ck_assert_uint_ge(r->h.time_ns, last_ns);
		last_ns = r->h.time_ns;
	}
	ck_assert_uint_eq(last_ns, start_ns + 120);
	end();
}
END_TEST

START_TEST(nothing_is_told_of_the_future)
{
	const struct record_header *h;

	begin();
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns);
	sampler_told_code(s, "f", 1, "f", 1, 1, UINT64_MAX);
	ck_assert(tell(UINT64_MAX, 0, FRAMES({1, 1}), 1));
	ck_assert(sampler_emit_off(s, told, start_ns + 20, start_ns + 30, EDGE_WAITING, false));
	sampler_told_until(s, told, UINT64_MAX);
	while ((h = ring_peek(ring))) {
		ck_assert_uint_le(h->time_ns, clock_monotonic_ns());
		ring_consume(ring);
	}
	/* Nor of what was before the recording. */
	s->begun_ns = clock_monotonic_ns();
	ck_assert(tell(0, 0, FRAMES({1, 1}), 1));
	ck_assert_uint_ge(ring_peek(ring)->time_ns, s->begun_ns);
	end();
}
END_TEST

START_TEST(nothing_that_was_told_is_taken_back)
{
	const struct record_gap *gap;
	uint32_t id;

	begin();
	look(looked, start_ns + 1);
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns + 2);
	look(looked, start_ns + 3);
	s->snap.n = 0;
	sampler_emit(s, looked, start_ns + 4, start_ns + 4, false);
	id = tell_code("work");
	ck_assert(tell(start_ns + 5, 0, FRAMES({id, 1}), 1));
	/* The looks so far have been proven, and published. */
	ck_assert_uint_eq(s->n_used, 0);
	ck_assert_uint_eq(count(RECORD_STACK), 3);

	/* Looks after that can't be. */
	look(looked, start_ns + 6);
	make_unprovable();
	ck_assert(tell(start_ns + 7, 0, FRAMES({id, 2}), 1));
	gap = next(RECORD_GAP);
	ck_assert_uint_eq(gap->reason, GAP_CODE_REPLACED);
	/* Of the other thread alone: nothing is lost of this one. */
	ck_assert_uint_eq(gap->h.thread, looked->number);
	ck_assert_uint_eq(((const struct record_stack *)next(RECORD_STACK))->h.time_ns,
			  start_ns + 7);
	ck_assert_ptr_null(next(RECORD_STACK));
	ck_assert_uint_eq(told->n_last, 1);
	ck_assert_uint_eq(looked->n_last, 0);
	end();
}
END_TEST

START_TEST(ids_stay_what_they_are)
{
	const struct record_code *c;
	uint32_t first, second;

	begin();
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns);
	look(looked, start_ns + 1); /* takes an id that is taken back */
	ck_assert_uint_eq(s->next_code, 2);
	make_unprovable();
	first = tell_code("work");
	ck_assert_uint_eq(first, 1);
	ck_assert_uint_eq(tell_code("work"), first);
	ck_assert_uint_eq(count(RECORD_CODE), 1);

	ck_assert_int_eq(py_codes_load(s->codes, function.code, 0, &code), 0);
	look(looked, start_ns + 2);
	py_image_function(&im, function.code, &about);
	second = tell_code("other_work");
	/* Not that of "work", whatever became of the names. */
	ck_assert_uint_eq(second, 2);
	c = next(RECORD_CODE);
	ck_assert_uint_eq(c->id, 2);
	ck_assert_int_eq(memcmp(c->text + c->file_len, "other_work", 10), 0);
	ck_assert(tell(start_ns + 3, 0, FRAMES({first, 1}, {second, 2}), 2));
	ck_assert_uint_eq(s->batch_next_code, 3);
	end();
}
END_TEST

/* Until the ring refuses. Returns how many were told. */
static unsigned fill(uint64_t *now_ns)
{
	unsigned n = 0;

	while (tell(*now_ns += 10, 0, FRAMES({1, 1}), 1))
		n++;
	return n;
}

START_TEST(a_full_ring_is_a_gap_and_then_the_stack_is_told_whole)
{
	uint64_t now_ns = start_ns, lost_ns, back_ns;
	const struct record_header *h;
	const struct record_gap *gap;
	const struct record_stack *r;
	unsigned n;

	begin();
	now_ns = start_ns;
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns);
	tell_code("work");
	n = fill(&now_ns);
	ck_assert_uint_gt(n, 1000);
	lost_ns = now_ns;
	ck_assert_uint_eq(told->n_last, 0);
	ck_assert_uint_eq(s->counters.dropped[DROP_RING_FULL], 1);
	ck_assert(!tell(now_ns += 10, 0, FRAMES({1, 1}), 1));
	ck_assert_uint_eq(count(RECORD_STACK), n);

	/* Room again, but nothing to build on. */
	back_ns = now_ns += 10;
	ck_assert(!tell(back_ns, 1, FRAMES({1, 2}), 1));
	ck_assert_uint_eq(told->n_last, 0);
	ck_assert(tell(back_ns, 0, FRAMES({1, 1}, {1, 2}), 2));
	h = ring_peek(ring);
	ck_assert_uint_eq(h->kind, RECORD_GAP);
	gap = next(RECORD_GAP);
	ck_assert_uint_eq(gap->reason, GAP_RING_FULL);
	ck_assert_uint_eq(gap->start_ns, lost_ns);
	ck_assert_uint_eq(gap->h.time_ns, back_ns);
	ck_assert_uint_eq(gap->lost, 2);
	r = next(RECORD_STACK);
	ck_assert_uint_eq(r->n_frames, 2);
	ck_assert_uint_eq(r->is_first, 1);
	end();
}
END_TEST

START_TEST(looks_tell_nothing_meanwhile_and_again_afterwards)
{
	const struct record_stack *r;

	begin();
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns);
	tell_code("work");
	ck_assert(tell(start_ns + 1, 0, FRAMES({1, 1}), 1));
	ck_assert(!told->stale);
	sampler_told_end(s, told, start_ns + 5);
	ck_assert(told->stale);
	ck_assert(s->maybe_stale);
	ck_assert_uint_eq(told->looked_ns, start_ns + 5);
	look(told, start_ns + 9);
	ck_assert_int_eq(sampler_end_batch(s, clock_monotonic_ns()), 0);
	next(RECORD_STACK);
	r = next(RECORD_STACK);
	ck_assert_uint_eq(r->provenance, PROVENANCE_OBSERVED);
	ck_assert_int_eq(r->frames[0].line, 10);

	/* Another stretch. */
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns + 20);
	ck_assert(tell(start_ns + 20, 0, FRAMES({1, 1}), 1));
	ck_assert_uint_eq(((const struct record_stack *)next(RECORD_STACK))->is_first, 1);
	end();
}
END_TEST

START_TEST(waits_are_told_in_their_turn)
{
	const struct record_header *h;
	const struct record_off *off;

	begin();
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns);
	tell_code("work");
	ck_assert(tell(start_ns + 10, 0, FRAMES({1, 1}), 1));
	ck_assert(sampler_emit_off(s, told, start_ns + 20, start_ns + 30, EDGE_WAITING, false));
	ck_assert(sampler_emit_off(s, told, start_ns + 60, start_ns + 70, EDGE_READY, false));
	ck_assert(tell(start_ns + 15, 0, FRAMES({1, 2}), 1));
	ck_assert(tell(start_ns + 40, 0, FRAMES({1, 3}), 1));
	next(RECORD_STACK);
	h = next(RECORD_STACK);
	ck_assert_uint_eq(h->time_ns, start_ns + 15);
	h = ring_peek(ring);
	ck_assert_uint_eq(h->kind, RECORD_OFF);
	off = next(RECORD_OFF);
	ck_assert_uint_eq(off->start_ns, start_ns + 20);
	h = next(RECORD_STACK);
	ck_assert_uint_eq(h->time_ns, start_ns + 40);
	ck_assert_ptr_null(next(RECORD_OFF));

	sampler_told_until(s, told, start_ns + 69);
	ck_assert_ptr_null(next(RECORD_OFF));
	sampler_told_until(s, told, start_ns + 70);
	off = next(RECORD_OFF);
	ck_assert_uint_eq(off->state, EDGE_READY);

	/* Those whose turn does not come are told late. */
	ck_assert(sampler_emit_off(s, told, start_ns + 80, start_ns + 90, EDGE_WAITING, false));
	sampler_told_overdue(s, start_ns + NS_PER_S);
	ck_assert_ptr_null(next(RECORD_OFF));
	sampler_told_overdue(s, start_ns + NS_PER_S + 90);
	ck_assert_ptr_nonnull(next(RECORD_OFF));
	end();
}
END_TEST

START_TEST(waits_are_told_also_of_a_thread_that_is_gone)
{
	begin();
	sampler_told_begin(s, told, PROVENANCE_EXACT, start_ns);
	tell_code("work");
	ck_assert(tell(start_ns + 10, 0, FRAMES({1, 1}), 1));
	/* However many there are, and whatever the batch holds. */
	look(looked, start_ns + 11);
	for (uint64_t i = 0; i < 5000; i++)
		sampler_emit_off(s, told, start_ns + 20 + 10 * i, start_ns + 25 + 10 * i,
				 EDGE_WAITING, false);
	ck_assert_uint_eq(s->n_used, 1);
	sampler_emit_end(s, told, start_ns + 60000);
	ck_assert_int_eq(sampler_end_batch(s, clock_monotonic_ns()), 0);
	for (unsigned i = 0; i < 5000; i++)
		ck_assert_ptr_nonnull(next(RECORD_OFF));
	ck_assert_ptr_nonnull(next(RECORD_THREAD_END));
	end();
}
END_TEST

START_TEST(what_a_source_gets_wrong_does_no_harm)
{
	static struct record_frame many[PY_MAX_FRAMES];
	char name[2 * PY_MAX_QUALNAME];
	const struct record_code *c;

	begin();
	memset(name, 'x', sizeof(name));
	sampler_told_begin(s, told, PROVENANCE_PRECISE, start_ns);
	/* No thread before something happens in it. */
	ck_assert(tell(start_ns, 0, NO_FRAMES));
	ck_assert_ptr_null(next(RECORD_THREAD));
	ck_assert_uint_ne(sampler_told_code(s, "f", 1, name, sizeof(name), 1, start_ns), 0);
	c = next(RECORD_CODE);
	ck_assert_uint_eq(c->name_len, PY_MAX_QUALNAME);
	ck_assert(tell(start_ns, 0, FRAMES({1, 1}), 1));
	ck_assert(!tell(start_ns, 2, FRAMES({1, 1}), 1));
	ck_assert(!tell(start_ns, 1, FRAMES({1, 1}), 1)); /* nothing to build on any more */
	ck_assert(tell(start_ns, 0, FRAMES({1, 1}), 1));
	ck_assert(!tell(start_ns, 1, many, PY_MAX_FRAMES));
	ck_assert(!tell(start_ns, UINT32_MAX, many, 1));
	ck_assert(tell(start_ns, 0, NO_FRAMES));
	ck_assert_uint_eq(told->n_last, 0);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sampler_told");
	TCase *tc = tcase_create("sampler_told");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, what_is_told_is_published_as_it_was_told);
	tcase_add_test(tc, a_line_that_runs_again_is_told_again);
	tcase_add_test(tc, times_never_decrease);
	tcase_add_test(tc, nothing_is_told_of_the_future);
	tcase_add_test(tc, nothing_that_was_told_is_taken_back);
	tcase_add_test(tc, ids_stay_what_they_are);
	tcase_add_test(tc, a_full_ring_is_a_gap_and_then_the_stack_is_told_whole);
	tcase_add_test(tc, looks_tell_nothing_meanwhile_and_again_afterwards);
	tcase_add_test(tc, waits_are_told_in_their_turn);
	tcase_add_test(tc, waits_are_told_also_of_a_thread_that_is_gone);
	tcase_add_test(tc, what_a_source_gets_wrong_does_no_harm);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
