/* SPDX-License-Identifier: BSD-3-Clause */
/* Which pager; how it is run is tested in a terminal by tests/e2e/test_analyse.py. */
#include "reader/pager.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/read_back.h"

static void setup(void)
{
	unsetenv("TRACKEXEC_PAGER");
	unsetenv("PAGER");
}

START_TEST(the_most_special_variable_wins)
{
	ck_assert_str_eq(pager_command(), "less");
	setenv("PAGER", "more", 1);
	ck_assert_str_eq(pager_command(), "more");
	setenv("TRACKEXEC_PAGER", "less -S", 1);
	ck_assert_str_eq(pager_command(), "less -S");
}
END_TEST

START_TEST(an_empty_one_and_cat_are_none)
{
	setenv("PAGER", "cat", 1);
	ck_assert_ptr_null(pager_command());
	setenv("PAGER", "more", 1);
	setenv("TRACKEXEC_PAGER", "", 1);
	ck_assert_ptr_null(pager_command());
}
END_TEST

START_TEST(only_what_is_installed_is_used)
{
	ck_assert(pager_exists("sed s/^/paged:/"));
	ck_assert(pager_exists("  sed"));
	ck_assert(pager_exists("/bin/sh -c cat"));
	ck_assert(!pager_exists("no-such-pager -R"));
	ck_assert(!pager_exists("/no/such/pager"));
	/* The shell's business. */
	ck_assert(pager_exists("LESS=R no-such-pager"));
	ck_assert(pager_exists("'no-such-pager'"));
	setenv("PATH", "/no/such:/nor/this:", 1);
	ck_assert(!pager_exists("sed"));
	setenv("PATH", "/no/such:/usr/bin:/bin", 1);
	ck_assert(pager_exists("sed"));
}
END_TEST

START_TEST(what_is_not_for_a_terminal_has_none)
{
	int out = dup(STDOUT_FILENO);
	struct pager p;
	FILE *f = tmpfile();
	char *text;

	ck_assert_ptr_nonnull(f);
	dup2(fileno(f), STDOUT_FILENO);
	setenv("PAGER", "sed s/^/paged:/", 1);
	pager_start(&p, true);
	puts("text");
	pager_finish(&p);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	text = read_back(f);
	ck_assert_str_eq(text, "text\n");
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pager");
	TCase *tc = tcase_create("pager");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, the_most_special_variable_wins);
	tcase_add_test(tc, an_empty_one_and_cat_are_none);
	tcase_add_test(tc, only_what_is_installed_is_used);
	tcase_add_test(tc, what_is_not_for_a_terminal_has_none);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
