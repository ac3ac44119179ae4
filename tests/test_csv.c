/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/csv.h"

#include <check.h>
#include <stdlib.h>

#include "common/cleanup.h"

static char *text;
static size_t len;

static struct csv_writer begin(void)
{
	struct csv_writer c = {.out = open_memstream(&text, &len)};

	ck_assert_ptr_nonnull(c.out);
	return c;
}

static void assert_written(struct csv_writer *c, const char *expected)
{
	fclose(c->out);
	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(cells_are_separated_and_lines_ended)
{
	struct csv_writer c = begin();

	csv_text(&c, "line");
	csv_count(&c, UINT64_MAX);
	csv_real(&c, 1.5, 3);
	csv_end_line(&c);
	csv_empty(&c);
	csv_text(&c, NULL);
	csv_text(&c, "x");
	csv_end_line(&c);
	assert_written(&c, "line,18446744073709551615,1.500\r\n,,x\r\n");
}
END_TEST

START_TEST(what_would_break_a_line_is_quoted)
{
	struct csv_writer c = begin();

	csv_text(&c, "f(a, b)");
	csv_text(&c, "say(\"hi\")");
	csv_text(&c, "a\\b");
	csv_end_line(&c);
	assert_written(&c, "\"f(a, b)\",\"say(\"\"hi\"\")\",a\\b\r\n");
}
END_TEST

START_TEST(what_would_break_a_terminal_is_replaced)
{
	struct csv_writer c = begin();

	csv_text(&c, "a\x1b[31m\xff\n\u00fc");
	csv_end_line(&c);
	assert_written(&c, "a?[31m??\u00fc\r\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("csv");
	TCase *tc = tcase_create("csv");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, cells_are_separated_and_lines_ended);
	tcase_add_test(tc, what_would_break_a_line_is_quoted);
	tcase_add_test(tc, what_would_break_a_terminal_is_replaced);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
