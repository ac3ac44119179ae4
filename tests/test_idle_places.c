/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/idle_places.h"

#include <check.h>

static struct idle_places places;
static uint64_t now_ns;

static void setup(void)
{
	places = (struct idle_places){0};
	now_ns = 0;
}

/* The next wait, told while it goes on and at its end. Whether it was idle by then. */
static bool take_long(uint32_t depth, int32_t line, enum idle_polls polls, uint64_t length_ns)
{
	struct idle_wait w = {.depth = depth,
			      .file = 1,
			      .line = line,
			      .polls = polls,
			      .start_ns = now_ns + 1,
			      .end_ns = now_ns + 1 + length_ns / 2};

	idle_places_take(&places, &w);
	now_ns += 1 + length_ns;
	w.end_ns = now_ns;
	return idle_places_take(&places, &w);
}

static bool take(uint32_t depth, int32_t line, enum idle_polls polls)
{
	return take_long(depth, line, polls, 10);
}

START_TEST(a_loop_waits_for_several_descriptors_outermost)
{
	ck_assert(!take(2, 10, POLLS_UNKNOWN));
	ck_assert(take(2, 10, POLLS_MANY));
	ck_assert(take(2, 10, POLLS_UNKNOWN));
	/* With all but one descriptor gone it is the same loop. */
	ck_assert(take(2, 10, POLLS_ONE));
	ck_assert(!take(2, 10, POLLS_NOTHING));
	/* Further in, or on another line that nobody has asked about. */
	ck_assert(!take(3, 30, POLLS_MANY));
	ck_assert(!take(2, 11, POLLS_UNKNOWN));
	/* Further out it is another loop. */
	ck_assert(take(1, 5, POLLS_MANY));
	ck_assert(!take(2, 10, POLLS_MANY));
}
END_TEST

START_TEST(without_a_line_nothing_is_known)
{
	ck_assert(!take(0, 0, POLLS_MANY));
	ck_assert(!take(2, 0, POLLS_MANY));
	ck_assert(!take(2, 0, POLLS_UNKNOWN));
	ck_assert(take(2, 10, POLLS_MANY));
}
END_TEST

/* The loop has one socket; its handler runs a child, and reads what that prints. */
START_TEST(a_loop_of_one_descriptor_is_known_by_its_turns)
{
	uint64_t turn;

	ck_assert(!take(2, 10, POLLS_ONE));
	ck_assert(take(4, 40, POLLS_MANY));
	/* As often, but for longer. */
	for (turn = 0; turn < 100 && !take_long(2, 10, POLLS_ONE, 20); turn++)
		take(4, 40, POLLS_MANY);
	ck_assert_uint_ge(turn, 5);
	ck_assert_uint_lt(turn, 20);
	ck_assert_uint_eq(places.loop.total_ns, 20 * (turn + 1));
	ck_assert(take(2, 10, POLLS_UNKNOWN));
	ck_assert(!take(4, 40, POLLS_MANY));
	ck_assert(take(2, 10, POLLS_ONE));
}
END_TEST

/* Sockets with timeouts wait for one descriptor each time. */
START_TEST(what_waits_for_one_descriptor_is_no_loop_by_itself)
{
	for (unsigned i = 0; i < 100; i++)
		ck_assert(!take(2, 10, POLLS_ONE));
	/* Before the loop begins; and further in. */
	for (unsigned i = 0; i < 100; i++) {
		ck_assert(take(3, 20, POLLS_MANY));
		ck_assert(!take_long(4, 30, POLLS_ONE, 50));
		ck_assert(!take_long(3, 21, POLLS_ONE, 50));
		/* Further out, but not for as long. */
		ck_assert(!take_long(2, 10, POLLS_ONE, 9));
	}
	ck_assert(take(3, 20, POLLS_MANY));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("idle_places");
	TCase *tc = tcase_create("idle_places");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_loop_waits_for_several_descriptors_outermost);
	tcase_add_test(tc, without_a_line_nothing_is_known);
	tcase_add_test(tc, a_loop_of_one_descriptor_is_known_by_its_turns);
	tcase_add_test(tc, what_waits_for_one_descriptor_is_no_loop_by_itself);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
