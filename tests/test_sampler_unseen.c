/* SPDX-License-Identifier: BSD-3-Clause */
/* What a thread did between two looks, when it came back from a wait meanwhile. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "recorder/oncpu/edge_events.h"
#include "recorder/sampler_private.h"
#include "tests/support/py_image.h"

#define RING_BYTES ((size_t)1 << 20)
#define INFERRED   PROVENANCE_INFERRED
#define AT(us)	   (start_ns + (us)*NS_PER_US)

static struct py_image im;
static struct py_runtime py;
static struct ring *ring;
static struct sampler *s;
static struct track *t;
static struct image_function function;
static struct py_code *code;
static uint64_t start_ns;

static const struct sampler_config config = {.follow = FOLLOW_ALL, .stat_fd = -1};
static const struct image_code about = {
    .file = "/app/app.py", .name = "run", .nlocalsplus = 2, .stacksize = 3, .first_line = 10};

/* A look shows the function at line 10. */
static void look(uint64_t time_ns, bool is_unseen)
{
	s->snap.frames[0] = (struct py_frame){.code = code, .unit = PY_UNIT_BEFORE_START};
	s->snap.n = 1;
	sampler_emit(s, t, time_ns, time_ns, is_unseen);
}

static void set_up(void)
{
	py_image_init(&im, 11);
	py.layout = im.l;
	ring = ring_new(RING_BYTES);
	s = sampler_new(&im.mem, &py, ring, &config, 1, 1);
	function = py_image_function(&im, 0, &about);
	ck_assert_int_eq(py_codes_load(s->codes, function.code, 0, &code), 0);
	start_ns = clock_monotonic_ns() - NS_PER_S;
	s->batch_start_ns = start_ns;
	s->snap.cap = 1;
	s->snap.frames = calloc(1, sizeof(s->snap.frames[0]));
	ck_assert_ptr_nonnull(s->snap.frames);
	t = calloc(1, sizeof(*t));
	ck_assert_ptr_nonnull(t);
	t->stack = py_stack_new(1000);
	s->tracks = calloc(1, sizeof(*s->tracks));
	ck_assert_ptr_nonnull(s->tracks);
	s->tracks[s->n_tracks++] = t;
	s->pace.asked_ns = 20 * NS_PER_MS;
	look(AT(0), false);
}

static void tear_down(void)
{
	sampler_free(s);
	ring_free(ring);
	py_image_done(&im);
}

static void wait_from(uint64_t from_us, uint64_t to_us)
{
	ck_assert(sampler_emit_off(s, t, AT(from_us), AT(to_us), EDGE_WAITING, false));
}

/* What was told since the first look: stacks as their line, waits as -1, and times in us. */
struct told {
	int64_t what;
	uint64_t us;
	uint64_t provenance;
};

static size_t read_told(struct told *ret, size_t max)
{
	const struct record_header *h;
	size_t n = 0;
	bool is_first = true;

	ring_publish(ring);
	while ((h = ring_peek(ring))) {
		const void *record = h;
		const struct record_stack *stack = record;
		bool is_stack = h->kind == RECORD_STACK;

		if (is_stack || h->kind == RECORD_OFF) {
			ck_assert_uint_lt(n, max);
			ret[n] = (struct told){
			    .what = is_stack ? stack->frames[0].line : -1,
			    .us = (h->time_ns - start_ns) / NS_PER_US,
			    .provenance = is_stack ? stack->provenance : 0,
			};
			n += !is_first;
			is_first = false;
		}
		ring_consume(ring);
	}
	return n;
}

static void assert_told(const struct told *expected, size_t n_expected)
{
	struct told told[64];
	size_t n = read_told(told, 64);

	ck_assert_uint_eq(n, n_expected);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(told[i].what, expected[i].what);
		ck_assert_uint_eq(told[i].us, expected[i].us);
		ck_assert_uint_eq(told[i].provenance, expected[i].provenance);
	}
}

#define ASSERT_TOLD(...)                                \
	assert_told((const struct told[]){__VA_ARGS__}, \
		    sizeof((const struct told[]){__VA_ARGS__}) / sizeof(struct told))

START_TEST(it_waits_where_it_was_seen_and_runs_elsewhere)
{
	sampler_note_woken(s, t, AT(100));
	sampler_note_ran(t, 200 * NS_PER_US);
	wait_from(300, 900);
	ck_assert_uint_eq(sampler_unseen_until(s, t, AT(1500)), AT(1500));
	look(AT(1500), true);
	ASSERT_TOLD({0, 100, INFERRED}, {10, 300, INFERRED}, {-1, 900, 0}, {0, 900, INFERRED},
		    {10, 1500, 0});
}
END_TEST

START_TEST(where_it_waited_is_not_known_when_it_got_on)
{
	t->last[0].line = 12;
	sampler_note_woken(s, t, AT(100));
	wait_from(300, 900);
	look(AT(1500), true);
	ASSERT_TOLD({0, 100, INFERRED}, {-1, 900, 0}, {10, 1500, 0});
}
END_TEST

START_TEST(nothing_is_said_of_a_stack_with_nothing_in_common)
{
	t->last[0].code = 99;
	sampler_note_woken(s, t, AT(100));
	wait_from(300, 900);
	look(AT(1500), true);
	ASSERT_TOLD({-1, 900, 0}, {10, 1500, 0});
}
END_TEST

/* As for a lock of the interpreter. */
START_TEST(short_turns_are_left_to_the_line_that_waits)
{
	sampler_note_woken(s, t, AT(100));
	sampler_note_ran(t, 40 * NS_PER_US);
	ck_assert_uint_eq(sampler_unseen_until(s, t, AT(140)), 0);
	sampler_note_ran(t, 20 * NS_PER_US);
	wait_from(140, 900);
	wait_from(910, 1200);
	look(AT(1500), true);
	ASSERT_TOLD({-1, 900, 0}, {-1, 1200, 0}, {0, 1200, INFERRED}, {10, 1500, 0});
}
END_TEST

START_TEST(being_preempted_ends_no_turn)
{
	sampler_note_woken(s, t, AT(100));
	ck_assert(sampler_emit_off(s, t, AT(200), AT(250), EDGE_READY, false));
	wait_from(300, 900);
	look(AT(920), true);
	ASSERT_TOLD({0, 100, INFERRED}, {-1, 250, 0}, {10, 300, INFERRED}, {-1, 900, 0});
}
END_TEST

START_TEST(very_many_turns_are_not_told_one_by_one)
{
	sampler_note_woken(s, t, AT(100));
	for (uint64_t i = 0; i < 130; i++)
		wait_from(300 + 1000 * i, 900 + 1000 * i);
	look(AT(150000), true);
	{
		struct told told[160];
		size_t n = read_told(told, 160);

		ck_assert_uint_eq(n, 132);
		ck_assert_int_eq(told[0].what, 0);
		ck_assert_int_eq(told[131].what, 10);
	}
}
END_TEST

/* Of several threads, those that don't hold the GIL are known not to get on. */
START_TEST(a_round_in_between_shows_that_it_did_not_take_the_gil)
{
	sampler_note_woken(s, t, AT(100));
	sampler_note_ran(t, 200 * NS_PER_US);
	s->last_round_ns = AT(200);
	ck_assert_uint_eq(sampler_unseen_until(s, t, AT(1500)), 0);
	s->last_round_ns = AT(50);
	ck_assert_uint_eq(sampler_unseen_until(s, t, AT(1500)), AT(1500));
}
END_TEST

START_TEST(at_high_rates_everything_is_left_to_looks)
{
	s->pace.asked_ns = NS_PER_MS;
	sampler_note_woken(s, t, AT(100));
	ck_assert_uint_eq(t->unseen_ns, 0);
	s->pace.asked_ns = 20 * NS_PER_MS;
	sampler_note_woken(s, t, AT(100));
	ck_assert_uint_eq(t->unseen_ns, AT(100));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sampler_unseen");
	TCase *tc = tcase_create("sampler_unseen");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, it_waits_where_it_was_seen_and_runs_elsewhere);
	tcase_add_test(tc, where_it_waited_is_not_known_when_it_got_on);
	tcase_add_test(tc, nothing_is_said_of_a_stack_with_nothing_in_common);
	tcase_add_test(tc, short_turns_are_left_to_the_line_that_waits);
	tcase_add_test(tc, being_preempted_ends_no_turn);
	tcase_add_test(tc, very_many_turns_are_not_told_one_by_one);
	tcase_add_test(tc, a_round_in_between_shows_that_it_did_not_take_the_gil);
	tcase_add_test(tc, at_high_rates_everything_is_left_to_looks);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
