/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/config_text.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* What was told, as "1[Section]2 key=value 3!reason". */
static char told[4096];

static void on_section(void *ctx, unsigned line, const char *name)
{
	size_t len = strlen(told);

	ck_assert_ptr_eq(ctx, told);
	snprintf(told + len, sizeof(told) - len, "%u[%s]", line, name ? name : "?");
}

static void on_assignment(void *ctx, unsigned line, const char *key, const char *value)
{
	size_t len = strlen(told);

	ck_assert_ptr_eq(ctx, told);
	snprintf(told + len, sizeof(told) - len, "%u(%s=%s)", line, key, value);
}

static void on_wrong_line(void *ctx, unsigned line, const char *reason)
{
	size_t len = strlen(told);

	ck_assert_ptr_eq(ctx, told);
	snprintf(told + len, sizeof(told) - len, "%u!%.8s", line, reason);
}

static const char *parse(const char *text, size_t len)
{
	static const struct config_text_ops ops = {on_section, on_assignment, on_wrong_line};

	told[0] = '\0';
	config_text_parse(text, len, &ops, told);
	return told;
}

#define PARSE(text) parse(text, sizeof(text) - 1)

START_TEST(sections_and_assignments_are_told_with_their_lines)
{
	ck_assert_str_eq(PARSE("[A b]\nx=1\n\n# c\n; c=2\ny = 2 3 \r\n[ C ]\nz:4\n"),
			 "1[A b]2(x=1)6(y=2 3)7[C]8(z=4)");
	ck_assert_str_eq(PARSE("[A]\nlast=1"), "1[A]2(last=1)");
	ck_assert_str_eq(PARSE("x="), "1(x=)");
	ck_assert_str_eq(PARSE("x=a=b"), "1(x=a=b)");
	ck_assert_str_eq(PARSE("[]"), "1[]");
	ck_assert_str_eq(PARSE("\n\n"), "");
	ck_assert_str_eq(parse(NULL, 0), "");
}
END_TEST

START_TEST(an_indented_line_is_one_of_its_own)
{
	ck_assert_str_eq(PARSE("[A]\nx=1\n  y=2\n\t# c\n  [B]\n"), "1[A]2(x=1)3(y=2)5[B]");
	ck_assert_str_eq(PARSE("x=1\n  more"), "1(x=1)2!neither ");
}
END_TEST

START_TEST(a_comment_can_follow_a_value)
{
	ck_assert_str_eq(PARSE("x=1 ; one\ny=a;b\nz= ; none"), "1(x=1)2(y=a;b)3(z=)");
}
END_TEST

START_TEST(all_wrong_lines_are_told)
{
	ck_assert_str_eq(PARSE("junk\n=1\n[A\nx=\0\n[B] x\nx=\x01\n\xff=1\nx=1\n"),
			 "1!neither 2!no key b3!a sectio3[?]4!there is5!a sectio5[?]"
			 "6!not vali7!not vali8(x=1)");
	ck_assert_str_eq(PARSE("#\0\n"), "1!there is");
}
END_TEST

/* Without a NUL. */
static void overwrite(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
}

START_TEST(a_line_can_be_so_long_and_a_comment_longer)
{
	char text[2 * CONFIG_LINE_MAX], wanted[2 * CONFIG_LINE_MAX];

	memset(text, 'v', sizeof(text));
	overwrite(text, "k=");
	snprintf(wanted, sizeof(wanted), "1(%.*s)", CONFIG_LINE_MAX, text);
	ck_assert_str_eq(parse(text, CONFIG_LINE_MAX), wanted);
	ck_assert_str_eq(parse(text, CONFIG_LINE_MAX + 1), "1!longer t");
	*text = '#';
	ck_assert_str_eq(parse(text, sizeof(text)), "");
	/* Longer than inih's own limit for the name of a section. */
	overwrite(text, "[Target ");
	text[79] = ']';
	snprintf(wanted, sizeof(wanted), "1%.80s", text);
	ck_assert_str_eq(parse(text, 80), wanted);
}
END_TEST

START_TEST(a_byte_order_mark_is_no_part_of_the_first_line)
{
	ck_assert_str_eq(PARSE("\xef\xbb\xbf[A]\nx=1"), "1[A]2(x=1)");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_text");
	TCase *tc = tcase_create("config_text");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, sections_and_assignments_are_told_with_their_lines);
	tcase_add_test(tc, an_indented_line_is_one_of_its_own);
	tcase_add_test(tc, a_comment_can_follow_a_value);
	tcase_add_test(tc, all_wrong_lines_are_told);
	tcase_add_test(tc, a_line_can_be_so_long_and_a_comment_longer);
	tcase_add_test(tc, a_byte_order_mark_is_no_part_of_the_first_line);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
