/* SPDX-License-Identifier: BSD-3-Clause */
/* What each function had on each line, from the sums of both. */
#include "reader/split_shares.h"

#include <check.h>
#include <stdlib.h>

#define FIND(shares, lines, functions)                                         \
	split_shares_find(shares, sizeof(shares) / sizeof((shares)[0]), lines, \
			  sizeof(lines) / sizeof((lines)[0]), functions,       \
			  sizeof(functions) / sizeof((functions)[0]))

static struct split_share share(uint32_t line, uint32_t function, uint64_t self, uint64_t listed)
{
	return (struct split_share){
	    .line = line,
	    .function = function,
	    .most = self,
	    .listed = listed,
	    .weight = self - listed,
	};
}

START_TEST(a_shared_line_is_resolved)
{
	/* f on lines 0 and 1, its comprehension on 1 alone. */
	struct split_share shares[] = {share(0, 0, 100, 0), share(1, 0, 100, 0),
				       share(1, 1, 500, 0)};
	const uint64_t lines[] = {30, 60}, functions[] = {80, 10};

	FIND(shares, lines, functions);
	ck_assert_uint_eq(shares[0].found, 30);
	ck_assert_uint_eq(shares[1].found, 50);
	ck_assert_uint_eq(shares[2].found, 10);
}
END_TEST

START_TEST(a_chain_is_resolved_from_its_end)
{
	struct split_share shares[] = {share(0, 0, 100, 0), share(0, 1, 100, 0),
				       share(1, 1, 100, 0), share(1, 2, 100, 0),
				       share(2, 2, 100, 0), share(2, 3, 100, 0)};
	const uint64_t lines[] = {11, 22, 33}, functions[] = {1, 15, 26, 24};
	const uint64_t expected[] = {1, 10, 5, 17, 9, 24};

	FIND(shares, lines, functions);
	for (size_t i = 0; i < 6; i++)
		ck_assert_uint_eq(shares[i].found, expected[i]);
}
END_TEST

START_TEST(who_was_never_on_a_line_does_not_count)
{
	struct split_share shares[] = {share(0, 0, 100, 0), share(0, 1, 0, 0), share(1, 0, 100, 0),
				       share(1, 1, 100, 0)};
	const uint64_t lines[] = {40, 50}, functions[] = {60, 30};

	FIND(shares, lines, functions);
	ck_assert_uint_eq(shares[0].found, 40);
	ck_assert_uint_eq(shares[1].found, 0);
	ck_assert_uint_eq(shares[2].found, 20);
	ck_assert_uint_eq(shares[3].found, 30);
}
END_TEST

START_TEST(a_cycle_is_spread)
{
	struct split_share shares[] = {share(0, 0, 300, 0), share(0, 1, 100, 0),
				       share(1, 0, 100, 0), share(1, 1, 100, 0)};
	const uint64_t lines[] = {81, 20}, functions[] = {70, 31};

	FIND(shares, lines, functions);
	/* 60.75 and 20.25 in proportion. */
	ck_assert_uint_ge(shares[0].found, 60);
	ck_assert_uint_le(shares[0].found, 61);
	ck_assert_uint_eq(shares[0].found + shares[1].found, 81);
	ck_assert_uint_eq(shares[2].found + shares[3].found, 20);
	ck_assert_uint_eq(shares[0].found + shares[2].found, 70);
}
END_TEST

START_TEST(what_is_listed_stays_where_it_was)
{
	struct split_share shares[] = {share(0, 0, 100, 50), share(0, 1, 100, 0),
				       share(1, 0, 100, 0), share(1, 1, 100, 0)};
	const uint64_t lines[] = {80, 20}, functions[] = {70, 30};

	FIND(shares, lines, functions);
	ck_assert_uint_eq(shares[0].found, 60);
	ck_assert_uint_eq(shares[1].found, 20);
}
END_TEST

/* No share is more than it can be, and lines are exact where their shares can hold as much. */
START_TEST(contradictions_keep_lines_exact)
{
	static const uint64_t functions_of[][2] = {
	    {0, 0}, {UINT64_MAX, UINT64_MAX}, {1, UINT64_MAX}, {UINT64_MAX, 0}, {5, 5}};
	struct split_share shares[] = {share(0, 0, 100, 100), share(0, 1, 100, 20),
				       share(1, 0, 100, 0), share(1, 1, 10, 10), share(2, 1, 7, 0)};
	const uint64_t lines[] = {199, 110, UINT64_MAX};
	const uint64_t *functions = functions_of[_i];

	split_shares_find(shares, 5, lines, 3, functions, 2);
	for (size_t i = 0; i < 5; i++)
		ck_assert_uint_le(shares[i].found, shares[i].most);
	ck_assert_uint_eq(shares[0].found + shares[1].found, 199);
	ck_assert_uint_eq(shares[2].found + shares[3].found, 110);
	ck_assert_uint_eq(shares[4].found, 7);
}
END_TEST

START_TEST(nothing_is_nothing)
{
	const uint64_t none[1] = {0};

	split_shares_find(NULL, 0, none, 0, none, 0);
	split_shares_find(NULL, 0, none, 1, none, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("split_shares");
	TCase *tc = tcase_create("split_shares");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, a_shared_line_is_resolved);
	tcase_add_test(tc, a_chain_is_resolved_from_its_end);
	tcase_add_test(tc, who_was_never_on_a_line_does_not_count);
	tcase_add_test(tc, a_cycle_is_spread);
	tcase_add_test(tc, what_is_listed_stays_where_it_was);
	tcase_add_loop_test(tc, contradictions_keep_lines_exact, 0, 5);
	tcase_add_test(tc, nothing_is_nothing);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
