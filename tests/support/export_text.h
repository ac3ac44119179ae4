/* SPDX-License-Identifier: BSD-3-Clause */
/* What a format writes of the trace of waits_trace.h, with APP for its source's path. For tests. */
#ifndef TESTS_SUPPORT_EXPORT_TEXT_H
#define TESTS_SUPPORT_EXPORT_TEXT_H

#include <errno.h>
#include <json-c/json.h>

#include "reader/export.h"
#include "tests/support/waits_trace.h"

/* The caller frees. */
static inline char *without_path(const char *text)
{
	size_t path_len = strlen(source_path), len;
	const char *found;
	char *ret = NULL;
	FILE *out = open_memstream(&ret, &len);

	ck_assert_ptr_nonnull(out);
	for (; (found = strstr(text, source_path)); text = found + path_len) {
		fwrite(text, 1, (size_t)(found - text), out);
		fputs("APP", out);
	}
	fputs(text, out);
	fclose(out);
	return ret;
}

/* The caller frees. */
static inline char *export_text(const struct export_format *format,
				const struct selection_options *options, int expected)
{
	auto_trace struct trace *t = open_trace();
	auto_free char *text = NULL;
	struct walk_totals totals;
	struct selection s;
	char why[256];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	ck_assert_msg(selection_resolve(t, options, &s, why, sizeof(why)) == 0, "%s", why);
	ck_assert_int_eq(format->write(t, &s, out, &totals), expected);
	fclose(out);
	selection_done(&s);
	return without_path(text);
}

/* To a disk that is full. */
static inline void assert_stops_when_full(const struct export_format *format)
{
	static const struct selection_options everything = {0};
	auto_trace struct trace *t = open_trace();
	auto_fclose FILE *full = fopen("/dev/full", "we");
	struct walk_totals totals;
	struct selection s;
	char why[256];

	ck_assert_ptr_nonnull(full);
	setvbuf(full, NULL, _IONBF, 0);
	ck_assert_int_eq(selection_resolve(t, &everything, &s, why, sizeof(why)), 0);
	ck_assert_int_eq(format->write(t, &s, full, &totals), -ENOSPC);
	selection_done(&s);
}

/* Names that could break a format: not UTF-8, quotes, what separates frames, a NUL byte. */
static inline void write_odd_names(void)
{
	static const char file[] = "/a;\"\\\n\xff.py", name[] = "f\xc3\0<script>\x1b[0m";
	struct trace_writer *w = test_writer_new(folder);

	put_thread(w, 1, AT(0));
	put_code_bytes(w, 1, file, sizeof(file) - 1, name, sizeof(name) - 1);
	put_stack(w, 1, AT(0), 0, FRAMES({1, 2}), 1);
	put_stack(w, 1, AT(10), 1, FRAMES({1, 0}, {1, 2}), 2);
	ck_assert_int_eq(trace_writer_close(w, AT(20), "stopped"), 0);
}

static inline void assert_json(const char *text)
{
	struct json_tokener *tokener = json_tokener_new_ex(32);
	struct json_object *o;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tokener, text, (int)strlen(text));
	ck_assert_msg(o, "%s in:\n%s", json_tokener_error_desc(json_tokener_get_error(tokener)),
		      text);
	json_object_put(o);
	json_tokener_free(tokener);
}

#define EXPORT_TESTS_MAIN(name, ...)                                          \
	int main(void)                                                        \
	{                                                                     \
		const TTest *const tests[] = {__VA_ARGS__};                   \
		Suite *suite = suite_create(name);                            \
		TCase *tc = tcase_create(name);                               \
		SRunner *runner = srunner_create(suite);                      \
		int failed;                                                   \
                                                                              \
		tcase_add_checked_fixture(tc, setup, teardown);               \
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) \
			tcase_add_test(tc, tests[i]);                         \
		suite_add_tcase(suite, tc);                                   \
		srunner_run_all(runner, CK_NORMAL);                           \
		failed = srunner_ntests_failed(runner);                       \
		srunner_free(runner);                                         \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                  \
	}

#endif
