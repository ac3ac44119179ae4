/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/line_editor.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

static struct line_editor editor;

static void teardown(void)
{
	line_editor_done(&editor);
}

static void type(const char *text)
{
	for (; *text; text++)
		line_editor_insert(&editor, (unsigned char)*text);
}

static void assert_text(const char *text, size_t at)
{
	ck_assert_str_eq(editor.text, text);
	ck_assert_uint_eq(editor.at, at);
}

START_TEST(text_is_typed_and_edited)
{
	line_editor_start(&editor, "b");
	type(" 12");
	assert_text("b 12", 4);
	line_editor_edit(&editor, EDIT_LEFT);
	line_editor_edit(&editor, EDIT_BACKSPACE);
	assert_text("b 2", 2);
	type("3");
	assert_text("b 32", 3);
	line_editor_edit(&editor, EDIT_HOME);
	line_editor_edit(&editor, EDIT_DELETE);
	assert_text(" 32", 0);
	line_editor_edit(&editor, EDIT_END);
	line_editor_edit(&editor, EDIT_RIGHT);
	line_editor_edit(&editor, EDIT_DELETE);
	assert_text(" 32", 3);
	type(" abc def  ");
	line_editor_edit(&editor, EDIT_DELETE_WORD);
	assert_text(" 32 abc ", 8);
	line_editor_edit(&editor, EDIT_LEFT);
	line_editor_edit(&editor, EDIT_DELETE_TO_END);
	assert_text(" 32 abc", 7);
	line_editor_edit(&editor, EDIT_DELETE_TO_START);
	assert_text("", 0);
	line_editor_edit(&editor, EDIT_BACKSPACE);
	assert_text("", 0);
}
END_TEST

START_TEST(characters_stay_whole)
{
	static const uint32_t characters[] = {'a',  0xe9,   0x20ac, 0x1f600, 0x7f,
					      0x1b, 0x202e, 0xd800, 0x110000};

	line_editor_start(&editor, "");
	for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++)
		line_editor_insert(&editor, characters[i]);
	assert_text("a\u00e9\u20ac\U0001f600", 10);
	line_editor_edit(&editor, EDIT_BACKSPACE);
	line_editor_edit(&editor, EDIT_LEFT);
	assert_text("a\u00e9\u20ac", 3);
	line_editor_edit(&editor, EDIT_DELETE);
	line_editor_edit(&editor, EDIT_HOME);
	line_editor_edit(&editor, EDIT_RIGHT);
	line_editor_edit(&editor, EDIT_RIGHT);
	assert_text("a\u00e9", 3);
}
END_TEST

START_TEST(the_history_gives_lines_back)
{
	line_editor_start(&editor, "one");
	ck_assert_str_eq(line_editor_accept(&editor), "one");
	line_editor_start(&editor, "two");
	line_editor_accept(&editor);
	line_editor_start(&editor, "two");
	line_editor_accept(&editor);
	line_editor_start(&editor, "new");
	line_editor_edit(&editor, EDIT_OLDER);
	assert_text("two", 3);
	line_editor_edit(&editor, EDIT_OLDER);
	assert_text("one", 3);
	line_editor_edit(&editor, EDIT_OLDER);
	assert_text("one", 3);
	line_editor_edit(&editor, EDIT_NEWER);
	line_editor_edit(&editor, EDIT_NEWER);
	assert_text("new", 3);
	line_editor_edit(&editor, EDIT_NEWER);
	assert_text("new", 3);
}
END_TEST

START_TEST(the_history_does_not_grow_for_ever)
{
	for (int i = 0; i < 1000; i++) {
		auto_free char *text = xasprintf("line %d", i);

		line_editor_start(&editor, text);
		line_editor_accept(&editor);
	}
	ck_assert_uint_lt(editor.n_history, 300);
	line_editor_edit(&editor, EDIT_OLDER);
	ck_assert_str_eq(editor.text, "line 999");
}
END_TEST

/* What there is to complete: ends with NULL. */
static size_t offer(void *ctx, const char *line, char ***ret)
{
	const char *const *words = ctx;
	size_t n = 0;

	*ret = xcalloc(10, sizeof(**ret));
	for (; *words; words++) {
		if (strncmp(*words, line, strlen(line)) == 0)
			(*ret)[n++] = xstrdup(*words);
	}
	return n;
}

START_TEST(tab_completes_what_is_common_then_offers)
{
	const char *words[] = {"f app.py", "f api.py", "f other.py", NULL};

	line_editor_start(&editor, "f o");
	line_editor_complete(&editor, offer, words);
	assert_text("f other.py", 10);
	line_editor_start(&editor, "f a");
	line_editor_complete(&editor, offer, words);
	assert_text("f ap", 4);
	line_editor_complete(&editor, offer, words);
	assert_text("f app.py", 8);
	line_editor_complete(&editor, offer, words);
	assert_text("f api.py", 8);
	line_editor_complete(&editor, offer, words);
	assert_text("f app.py", 8);
	line_editor_start(&editor, "f x");
	line_editor_complete(&editor, offer, words);
	assert_text("f x", 3);
}
END_TEST

START_TEST(a_line_has_a_limit)
{
	line_editor_start(&editor, "");
	for (int i = 0; i < 10000; i++)
		line_editor_insert(&editor, 'x');
	ck_assert_uint_le(editor.len, 4096);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("line_editor");
	TCase *tc = tcase_create("line_editor");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, text_is_typed_and_edited);
	tcase_add_test(tc, characters_stay_whole);
	tcase_add_test(tc, the_history_gives_lines_back);
	tcase_add_test(tc, the_history_does_not_grow_for_ever);
	tcase_add_test(tc, tab_completes_what_is_common_then_offers);
	tcase_add_test(tc, a_line_has_a_limit);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
