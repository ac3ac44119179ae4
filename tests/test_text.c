/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/text.h"

#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

START_TEST(utf8_is_told_from_other_bytes)
{
	static const char *const valid[] = {"", "abc", "\u00e9", "\u20ac", "\U0001f600"};
	static const char *const invalid[] = {
	    "\xff",  "\xc3",	     "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
	    "a\x80", "\xf0\x9f\x98",
	};

	for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
		ck_assert(text_is_utf8(valid[i], strlen(valid[i])));
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		ck_assert(!text_is_utf8(invalid[i], strlen(invalid[i])));
}
END_TEST

static void assert_escaped(const char *text, size_t len, const char *special,
			   enum text_charset charset, const char *expected)
{
	auto_free char *escaped = text_escape(text, len, special, charset);

	ck_assert_str_eq(escaped, expected);
}

START_TEST(what_would_break_a_line_is_escaped)
{
	assert_escaped("a;b", 3, ";", TEXT_UTF8, "a\\x3bb");
	assert_escaped("a;b", 3, "", TEXT_UTF8, "a;b");
	assert_escaped("a\nb\tc\x1b[0m\0", 10, "", TEXT_UTF8, "a\\x0ab\\x09c\\x1b[0m\\x00");
	assert_escaped("a\\x0a", 5, "", TEXT_UTF8, "a\\\\x0a");
	assert_escaped("\xff\u00e9", 3, "", TEXT_UTF8, "\\xff\u00e9");
	assert_escaped("\u00e9\U0001f600", 6, "", TEXT_ASCII, "\\u00e9\\U0001f600");
	/* A mark that reverses what follows, and the C1 control that starts an escape. */
	assert_escaped("\u202e", 3, "", TEXT_UTF8, "\\xe2\\x80\\xae");
	assert_escaped("\xc2\x9b", 2, "", TEXT_UTF8, "\\xc2\\x9b");
}
END_TEST

START_TEST(source_lines_stay_readable)
{
	auto_free char *utf8 = text_plain("x =\t'\\n\u00e9\xff'\r", 12, TEXT_UTF8);
	auto_free char *ascii = text_plain("x =\t'\\n\u00e9\xff'\r", 12, TEXT_ASCII);

	ck_assert_str_eq(utf8, "x = '\\n\u00e9?'?");
	ck_assert_str_eq(ascii, "x = '\\n?"
				"?'?");
}
END_TEST

static void assert_cut(const char *text, size_t width, const char *left, const char *right)
{
	auto_free char *cut_left = text_cut_left(text, width, TEXT_UTF8);
	auto_free char *cut_right = text_cut_right(text, width, TEXT_UTF8);

	ck_assert_str_eq(cut_left, left);
	ck_assert_str_eq(cut_right, right);
	ck_assert_uint_le(text_width(cut_left), width);
	ck_assert_uint_le(text_width(cut_right), width);
}

START_TEST(text_is_cut_to_columns)
{
	assert_cut("abcdef", 6, "abcdef", "abcdef");
	assert_cut("abcdef", 4, "\u2026def", "abc\u2026");
	assert_cut("abcdef", 1, "f", "a");
	assert_cut("abcdef", 0, "", "");
	assert_cut("\u00e4\u00f6\u00fc\u00df", 3, "\u2026\u00fc\u00df", "\u00e4\u00f6\u2026");
	/* Two columns each: half of one can't be shown. */
	assert_cut("\u6f22\u5b57\u6f22", 4, "\u2026\u6f22", "\u6f22\u2026");
}
END_TEST

START_TEST(ascii_text_is_cut_with_dots)
{
	auto_free char *cut = text_cut_left("/a/long/path", 8, TEXT_ASCII);

	ck_assert_str_eq(cut, ".../path");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("text");
	TCase *tc = tcase_create("text");
	SRunner *runner = srunner_create(suite);
	int failed;

	setlocale(LC_CTYPE, "C.UTF-8");
	tcase_add_test(tc, utf8_is_told_from_other_bytes);
	tcase_add_test(tc, what_would_break_a_line_is_escaped);
	tcase_add_test(tc, source_lines_stay_readable);
	tcase_add_test(tc, text_is_cut_to_columns);
	tcase_add_test(tc, ascii_text_is_cut_with_dots);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
