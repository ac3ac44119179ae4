/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_sites.h"

#include <check.h>

/* Serials of code objects, and an instruction of the first. */
#define CALLER	  1
#define UNIT	  20
#define USUAL	  2
#define FALSE_ONE 3

static struct py_sites *sites;
static bool settled;

static void setup(void)
{
	sites = py_sites_new();
}

static void teardown(void)
{
	py_sites_free(sites);
}

static enum py_belief saw(uint32_t unit, uint32_t callee)
{
	return py_sites_saw(sites, CALLER, unit, callee, &settled);
}

START_TEST(a_callee_seen_again_and_again_is_believed)
{
	int n = 1;

	ck_assert_int_eq(saw(UNIT, USUAL), PY_DOUBTED);
	while (saw(UNIT, USUAL) != PY_BELIEVED)
		ck_assert_int_lt(++n, 10);
	for (n = 0; !settled; n++) {
		ck_assert_int_eq(saw(UNIT, USUAL), PY_BELIEVED);
		ck_assert_int_lt(n, 1000);
	}
}
END_TEST

START_TEST(a_rare_callee_is_not_believed)
{
	for (int i = 0; i < 20000; i++) {
		saw(UNIT, USUAL);
		if (i % 2000 == 1999)
			ck_assert_int_ne(saw(UNIT, FALSE_ONE), PY_BELIEVED);
	}
	ck_assert_int_eq(saw(UNIT, USUAL), PY_BELIEVED);
}
END_TEST

/* What comes together falsely is an instruction with the callee of another one. */
START_TEST(the_callee_of_another_instruction_is_refused)
{
	for (int i = 0; i < 1000; i++) {
		saw(UNIT, USUAL);
		saw(UNIT + 9, FALSE_ONE);
	}
	ck_assert_int_eq(saw(UNIT, FALSE_ONE), PY_REFUSED);
}
END_TEST

START_TEST(a_confirmed_callee_is_believed)
{
	ck_assert_int_eq(saw(UNIT, USUAL), PY_DOUBTED);
	ck_assert_int_ge(py_sites_looks_needed(sites, CALLER, UNIT), 1);
	py_sites_confirm(sites, CALLER, UNIT, USUAL);
	ck_assert_int_eq(saw(UNIT, USUAL), PY_BELIEVED);
}
END_TEST

START_TEST(a_site_may_change_its_habits)
{
	int n = 0;

	for (int i = 0; i < 50000; i++)
		saw(UNIT, USUAL);
	while (saw(UNIT, FALSE_ONE) != PY_BELIEVED)
		ck_assert_int_lt(++n, 20000);
}
END_TEST

/* Entries are few and their counts small: nothing overflows, what is pushed out is learned again.
 */
START_TEST(any_number_of_sites_can_be_counted)
{
	for (uint32_t i = 0; i < 200000; i++) {
		py_sites_saw(sites, i, i % 77, i + 1, &settled);
		py_sites_saw_alone(sites, i, i % 77);
		py_sites_saw_alone(sites, CALLER, UNIT);
	}
	for (int i = 0; i < 100000; i++)
		py_sites_confirm(sites, CALLER, UNIT, USUAL);
	ck_assert_int_eq(saw(UNIT, USUAL), PY_BELIEVED);
}
END_TEST

START_TEST(a_loop_is_steady_when_it_mostly_stays)
{
	int n = 0;

	ck_assert(!py_sites_is_steady(sites, CALLER, UNIT, true));
	while (!py_sites_is_steady(sites, CALLER, UNIT, true))
		ck_assert_int_lt(++n, 400);
	for (int i = 0; i < 200; i++)
		py_sites_is_steady(sites, CALLER, UNIT, true);
	/* Once in a while it moves. */
	for (int i = 0; i < 100; i++)
		ck_assert(py_sites_is_steady(sites, CALLER, UNIT, i % 40 != 0));
	for (n = 0; py_sites_is_steady(sites, CALLER, UNIT, n % 10 != 0); n++)
		ck_assert_int_lt(n, 200);
	ck_assert(!py_sites_is_steady(sites, CALLER, UNIT + 1, true));
}
END_TEST

static void see(unsigned times, uint32_t unit, uint32_t callee)
{
	while (times--)
		saw(unit, callee);
}

START_TEST(three_sightings_are_enough_where_it_is_not_rare)
{
	ck_assert_int_eq(saw(UNIT, USUAL), PY_DOUBTED);
	ck_assert_int_eq(saw(UNIT, USUAL), PY_DOUBTED);
	ck_assert_int_eq(saw(UNIT, USUAL), PY_BELIEVED);
}
END_TEST

/* That is, one in ten. */
START_TEST(three_sightings_are_not_enough_where_it_is_rare)
{
	see(27, UNIT, USUAL);
	see(2, UNIT, FALSE_ONE);
	ck_assert_int_eq(saw(UNIT, FALSE_ONE), PY_BELIEVED);
	see(28, UNIT + 1, USUAL);
	see(2, UNIT + 1, FALSE_ONE + 1);
	ck_assert_int_eq(saw(UNIT + 1, FALSE_ONE + 1), PY_DOUBTED);
}
END_TEST

/* An instruction that mostly calls nothing is counted as well. */
START_TEST(sightings_of_the_caller_alone_make_it_rare)
{
	for (int i = 0; i < 28; i++)
		py_sites_saw_alone(sites, CALLER, UNIT);
	see(2, UNIT, USUAL);
	ck_assert_int_eq(saw(UNIT, USUAL), PY_DOUBTED);
}
END_TEST

START_TEST(eight_sightings_are_enough_up_to_one_in_two_hundred)
{
	see(1000, UNIT, USUAL);
	see(7, UNIT, FALSE_ONE);
	ck_assert_int_eq(saw(UNIT, FALSE_ONE), PY_BELIEVED);
	see(3000, UNIT + 1, USUAL);
	see(7, UNIT + 1, FALSE_ONE + 1);
	/* Its own instruction does not refuse it either. */
	ck_assert_int_eq(saw(UNIT + 1, FALSE_ONE + 1), PY_DOUBTED);
	ck_assert_int_eq(saw(UNIT + 1, FALSE_ONE + 1), PY_DOUBTED);
}
END_TEST

/* What another instruction mostly calls has to be every second one here. */
START_TEST(the_callee_of_another_instruction_has_to_be_common)
{
	see(20, UNIT + 9, FALSE_ONE);
	see(3, UNIT, USUAL);
	see(2, UNIT, FALSE_ONE);
	ck_assert_int_eq(saw(UNIT, FALSE_ONE), PY_BELIEVED);
	see(20, UNIT + 9, FALSE_ONE + 1);
	see(4, UNIT + 1, USUAL);
	see(2, UNIT + 1, FALSE_ONE + 1);
	ck_assert_int_eq(saw(UNIT + 1, FALSE_ONE + 1), PY_REFUSED);
	/* However often it is seen. */
	see(100, UNIT + 9, FALSE_ONE + 2);
	see(1000, UNIT + 2, USUAL);
	see(9, UNIT + 2, FALSE_ONE + 2);
	ck_assert_int_eq(saw(UNIT + 2, FALSE_ONE + 2), PY_REFUSED);
}
END_TEST

START_TEST(an_instruction_is_a_callees_home_from_eight_votes_on)
{
	see(100, UNIT, USUAL);
	see(8, UNIT + 9, FALSE_ONE);
	ck_assert_int_eq(saw(UNIT, FALSE_ONE), PY_DOUBTED); /* which takes one away */
	see(9, UNIT + 9, FALSE_ONE + 1);
	ck_assert_int_eq(saw(UNIT, FALSE_ONE + 1), PY_REFUSED);
}
END_TEST

/* Votes are lost elsewhere, too: then it has no home any more, and at last another one. */
START_TEST(a_callee_may_find_another_home)
{
	see(1000, UNIT, USUAL);
	see(20, UNIT + 9, FALSE_ONE);
	ck_assert_int_eq(saw(UNIT, FALSE_ONE), PY_REFUSED);
	see(18, UNIT, FALSE_ONE);
	ck_assert_int_ne(saw(UNIT, FALSE_ONE), PY_REFUSED);
}
END_TEST

START_TEST(a_callee_is_settled_when_it_is_common_and_often_seen)
{
	see(59, UNIT, USUAL);
	ck_assert(!settled);
	saw(UNIT, USUAL);
	ck_assert(settled);
	see(1000, UNIT + 1, USUAL);
	see(80, UNIT + 1, FALSE_ONE);
	ck_assert(!settled);
}
END_TEST

START_TEST(a_site_that_is_known_needs_one_look_more)
{
	see(4, UNIT, USUAL);
	ck_assert_int_eq(py_sites_looks_needed(sites, CALLER, UNIT), 2);
	saw(UNIT, FALSE_ONE);
	ck_assert_int_eq(py_sites_looks_needed(sites, CALLER, UNIT), 3);
	ck_assert_int_eq(py_sites_looks_needed(sites, CALLER, UNIT + 1), 2);
}
END_TEST

/* What was common before the counts were halved is halved with them. */
START_TEST(what_is_not_seen_any_more_becomes_rare)
{
	see(1000, UNIT, FALSE_ONE);
	see(50000, UNIT, USUAL);
	ck_assert_int_eq(saw(UNIT, FALSE_ONE), PY_DOUBTED);
}
END_TEST

START_TEST(an_argument_tells_once_it_has_been_found)
{
	ck_assert(!py_sites_argument_tells(sites, CALLER, UNIT, false));
	ck_assert(py_sites_argument_tells(sites, CALLER, UNIT, true));
	ck_assert(py_sites_argument_tells(sites, CALLER, UNIT, false));
	ck_assert(!py_sites_argument_tells(sites, CALLER, UNIT + 1, false));
	for (int i = 0; i < 70000; i++)
		ck_assert(py_sites_argument_tells(sites, CALLER, UNIT, true));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_sites");
	TCase *tc = tcase_create("py_sites");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_callee_seen_again_and_again_is_believed);
	tcase_add_test(tc, a_rare_callee_is_not_believed);
	tcase_add_test(tc, the_callee_of_another_instruction_is_refused);
	tcase_add_test(tc, a_confirmed_callee_is_believed);
	tcase_add_test(tc, a_site_may_change_its_habits);
	tcase_add_test(tc, any_number_of_sites_can_be_counted);
	tcase_add_test(tc, a_loop_is_steady_when_it_mostly_stays);
	tcase_add_test(tc, three_sightings_are_enough_where_it_is_not_rare);
	tcase_add_test(tc, three_sightings_are_not_enough_where_it_is_rare);
	tcase_add_test(tc, sightings_of_the_caller_alone_make_it_rare);
	tcase_add_test(tc, eight_sightings_are_enough_up_to_one_in_two_hundred);
	tcase_add_test(tc, the_callee_of_another_instruction_has_to_be_common);
	tcase_add_test(tc, an_instruction_is_a_callees_home_from_eight_votes_on);
	tcase_add_test(tc, a_callee_may_find_another_home);
	tcase_add_test(tc, a_callee_is_settled_when_it_is_common_and_often_seen);
	tcase_add_test(tc, a_site_that_is_known_needs_one_look_more);
	tcase_add_test(tc, what_is_not_seen_any_more_becomes_rare);
	tcase_add_test(tc, an_argument_tells_once_it_has_been_found);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
