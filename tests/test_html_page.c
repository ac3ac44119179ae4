/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/html_page.h"

#include <check.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/html_files.h"
#include "reader/html_pack.h"

static char *make_page(const char *data)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	html_page_write(out, data);
	fclose(out);
	return text;
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
		n++;
	return n;
}

/* "'sha256-...'" of what lies between two marks. */
static char *hash_between(const char *page, const char *from, const char *to)
{
	const char *start = strstr(page, from);
	const char *end = start ? strstr(start + strlen(from), to) : NULL;
	uint8_t digest[SHA256_DIGEST_SIZE];
	auto_free char *base64 = NULL;
	struct sha256_ctx ctx;

	ck_assert_ptr_nonnull(end);
	start += strlen(from);
	sha256_init(&ctx);
	sha256_update(&ctx, (size_t)(end - start), (const uint8_t *)start);
	sha256_digest(&ctx, sizeof(digest), digest);
	base64 = html_base64(digest, sizeof(digest));
	return xasprintf("'sha256-%s'", base64);
}

START_TEST(the_policy_names_what_is_there)
{
	auto_free char *page = make_page("DATA");
	auto_free char *style = hash_between(page, "<style>", "</style>");
	auto_free char *script = hash_between(page, "<script>", "</script>");
	const char *policy =
	    strstr(page, "Content-Security-Policy\" content=\"default-src 'none';");
	const char *style_at = policy ? strstr(policy, style) : NULL;

	ck_assert_ptr_nonnull(policy);
	ck_assert_ptr_nonnull(style_at);
	ck_assert_ptr_nonnull(strstr(style_at, script));
	ck_assert_ptr_null(strstr(page, "unsafe-inline"));
	/* Before all that it is for. */
	ck_assert(policy < strstr(page, "<style>"));
}
END_TEST

START_TEST(all_marks_are_filled)
{
	auto_free char *page = make_page("DATA");

	ck_assert_uint_eq(count(page, "type=\"text/plain\" id=\"data\">DATA</script>"), 1);
	ck_assert_ptr_null(strstr(page, "@POLICY@"));
	ck_assert_ptr_null(strstr(page, "@STYLE@"));
	ck_assert_ptr_null(strstr(page, "@SCRIPT@"));
	ck_assert_ptr_null(strstr(page, "@DATA@"));
	ck_assert_uint_eq(strlen(page), html_page_overhead() + strlen("DATA"));
}
END_TEST

/* Otherwise a part of the script would be markup. */
START_TEST(no_script_ends_itself)
{
	auto_free char *page = make_page("");

	ck_assert_uint_eq(count(page, "<script"), 2);
	ck_assert_uint_eq(count(page, "</script"), 2);
	ck_assert_uint_eq(count(page, "</style"), 1);
	ck_assert_uint_eq(count(page, "<!--"), 0);
}
END_TEST

/* And nothing of a trace can become markup. */
START_TEST(no_script_makes_markup_of_text)
{
	static const char *const refused[] = {"innerHTML",	"outerHTML =", "insertAdjacentHTML",
					      "document.write", "eval(",       "new Function",
					      "http:",		"https:",      "fetch(",
					      "XMLHttpRequest"};

	for (size_t i = 0; i < html_n_scripts(); i++) {
		struct html_file f = html_script(i);
		auto_free char *text = xstrndup(f.text, f.len);

		ck_assert_uint_gt(f.len, 100);
		for (size_t k = 0; k < sizeof(refused) / sizeof(refused[0]); k++)
			ck_assert_msg(!strstr(text, refused[k]), "script %zu: %s", i, refused[k]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("html_page");
	TCase *tc = tcase_create("page");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, the_policy_names_what_is_there);
	tcase_add_test(tc, all_marks_are_filled);
	tcase_add_test(tc, no_script_ends_itself);
	tcase_add_test(tc, no_script_makes_markup_of_text);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
