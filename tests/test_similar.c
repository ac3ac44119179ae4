/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/similar.h"

#include <check.h>

static const char *similar(const char *word)
{
	static const char *const words[] = {"Rate", "CPUBudget", "Mode", "record", "info"};

	return find_similar(word, words, sizeof(words) / sizeof(words[0]));
}

START_TEST(what_was_probably_meant_is_found)
{
	ck_assert_str_eq(similar("Rte"), "Rate");
	ck_assert_str_eq(similar("cpubudget"), "CPUBudget");
	ck_assert_str_eq(similar("CPUBugdet"), "CPUBudget");
	ck_assert_str_eq(similar("rec"), "record");
	ck_assert_str_eq(similar("Modes"), "Mode");
}
END_TEST

START_TEST(what_is_unlike_all_is_not_found)
{
	ck_assert_ptr_null(similar(""));
	ck_assert_ptr_null(similar("x"));
	ck_assert_ptr_null(similar("xy"));
	ck_assert_ptr_null(similar("Compression"));
	ck_assert_ptr_null(similar("a-word-that-is-longer-than-all-those-that-are-looked-at"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("similar");
	TCase *tc = tcase_create("similar");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, what_was_probably_meant_is_found);
	tcase_add_test(tc, what_is_unlike_all_is_not_found);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
