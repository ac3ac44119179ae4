/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/python_syntax.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Each byte's part as a letter: . plain, k keyword, s string, c comment, n number, d defined, @. */
static enum syntax_state assert_syntax(const char *line, enum syntax_state state,
				       const char *expected)
{
	static const char letters[] = ".kscnd@";
	uint8_t parts[256];
	char text[256];
	size_t len = strlen(line);

	state = python_syntax(line, len, state, parts);
	for (size_t i = 0; i < len; i++)
		text[i] = letters[parts[i]];
	text[len] = 0;
	ck_assert_str_eq(text, expected);
	return state;
}

START_TEST(parts_of_a_line_are_told)
{
	assert_syntax("def run(a=1):  # it's", SYNTAX_CODE, "kkk.ddd...n....cccccc");
	assert_syntax("    return None if x else 'a#b'", SYNTAX_CODE,
		      "....kkkkkk.kkkk.kk...kkkk.sssss");
	assert_syntax("  @property", SYNTAX_CODE, "..@@@@@@@@@");
	assert_syntax("a @ b", SYNTAX_CODE, ".....");
	assert_syntax("x = rb\"\\\"\" + f'{y}'", SYNTAX_CODE, "....ssssss...ssssss");
	assert_syntax("defining = 0x1f", SYNTAX_CODE, "...........nnnn");
	assert_syntax("class A(B): pass", SYNTAX_CODE, "kkkkk.d.....kkkk");
}
END_TEST

START_TEST(long_strings_go_on)
{
	enum syntax_state state;

	state = assert_syntax("x = '''a 'b'", SYNTAX_CODE, "....ssssssss");
	ck_assert_int_eq(state, SYNTAX_IN_SINGLE);
	state = assert_syntax("def \"\"\" # no", state, "ssssssssssss");
	ck_assert_int_eq(state, SYNTAX_IN_SINGLE);
	state = assert_syntax("''' + 1", state, "sss...n");
	ck_assert_int_eq(state, SYNTAX_CODE);
	state = assert_syntax("\"\"\"doc\"\"\"", state, "sssssssss");
	ck_assert_int_eq(state, SYNTAX_CODE);
	state = assert_syntax("\"\"\"doc\\", state, "sssssss");
	ck_assert_int_eq(state, SYNTAX_IN_DOUBLE);
}
END_TEST

START_TEST(a_string_without_an_end_ends_with_its_line)
{
	ck_assert_int_eq(assert_syntax("x = 'abc", SYNTAX_CODE, "....ssss"), SYNTAX_CODE);
	ck_assert_int_eq(assert_syntax("x = 'abc\\", SYNTAX_CODE, "....sssss"), SYNTAX_CODE);
}
END_TEST

START_TEST(any_bytes_are_coloured)
{
	unsigned seed = 3;

	for (int n = 0; n < 20000; n++) {
		char line[40];
		uint8_t parts[40];
		size_t len;

		seed = seed * 1664525u + 1013904223u;
		len = (seed >> 16) % sizeof(line);
		for (size_t i = 0; i < len; i++) {
			seed = seed * 1664525u + 1013904223u;
			line[i] = seed >> 31 ? "'\"\\#@rd1 "[(seed >> 20) % 9] : (char)(seed >> 16);
		}
		memset(parts, 99, sizeof(parts));
		python_syntax(line, len, (enum syntax_state)(seed >> 8) % 3, parts);
		for (size_t i = 0; i < sizeof(parts); i++) {
			if (i < len ? parts[i] > SYNTAX_DECORATOR : parts[i] != 99)
				ck_abort_msg("byte %zu of %zu is %u", i, len, parts[i]);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("python_syntax");
	TCase *tc = tcase_create("python_syntax");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, parts_of_a_line_are_told);
	tcase_add_test(tc, long_strings_go_on);
	tcase_add_test(tc, a_string_without_an_end_ends_with_its_line);
	tcase_add_test(tc, any_bytes_are_coloured);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
