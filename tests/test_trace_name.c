/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/trace_name.h"

#include <check.h>
#include <string.h>

START_TEST(plain_names_are_good)
{
	static const char *const names[] = {
	    "server-main", "a", "server-main.2", "a b", "_", "\u00e9t\u00e9",
	    "x..",	   "~", "%41",		 "a:*",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_ptr_null(trace_name_find_fault(names[i], strlen(names[i])));
		ck_assert(trace_name_is_valid(names[i], strlen(names[i])));
	}
}
END_TEST

START_TEST(each_fault_is_told)
{
	static const struct {
		const char *name, *fault;
	} cases[] = {
	    {"", "is empty"},
	    {".", "begins with a dot"},
	    {"..", "begins with a dot"},
	    {".hidden", "begins with a dot"},
	    {"-rf", "begins with a dash"},
	    {"a/b", "holds a slash"},
	    {"../../etc", "begins with a dot"},
	    {"a/", "holds a slash"},
	    {" a", "has a blank at an end"},
	    {"a ", "has a blank at an end"},
	    {" ", "has a blank at an end"},
	    {"a\nb", "holds a control character"},
	    {"\tb", "holds a control character"},
	    {"a\x7f", "holds a control character"},
	    {"a\x1b[2J", "holds a control character"},
	    {"a\xc2\x9b", "holds a control character"},
	    {"a\u202eb", "holds a control character"},
	    {"a\xff", "is not valid UTF-8"},
	    {"\xc0\xaf", "is not valid UTF-8"},
	    {"cut\xc3", "is not valid UTF-8"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *fault = trace_name_find_fault(cases[i].name, strlen(cases[i].name));

		ck_assert_msg(fault, "'%s' passed", cases[i].name);
		ck_assert_str_eq(fault, cases[i].fault);
	}
}
END_TEST

START_TEST(the_limit_counts_bytes)
{
	char name[TRACE_NAME_MAX + 2];

	memset(name, 'x', sizeof(name));
	ck_assert_ptr_null(trace_name_find_fault(name, TRACE_NAME_MAX));
	ck_assert_str_eq(trace_name_find_fault(name, TRACE_NAME_MAX + 1),
			 "is longer than 64 bytes");
	/* The last of its two bytes does not fit. */
	name[TRACE_NAME_MAX - 1] = '\xc3';
	name[TRACE_NAME_MAX] = '\xa9';
	ck_assert_ptr_nonnull(trace_name_find_fault(name, TRACE_NAME_MAX + 1));
	ck_assert_str_eq(trace_name_find_fault(name, TRACE_NAME_MAX), "is not valid UTF-8");
}
END_TEST

START_TEST(a_nul_inside_is_a_control_character)
{
	ck_assert_str_eq(trace_name_find_fault("a\0b", 3), "holds a control character");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_name");
	TCase *tc = tcase_create("trace_name");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, plain_names_are_good);
	tcase_add_test(tc, each_fault_is_told);
	tcase_add_test(tc, the_limit_counts_bytes);
	tcase_add_test(tc, a_nul_inside_is_a_control_character);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
