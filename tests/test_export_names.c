/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/export_names.h"

#include "common/block_codec.h"
#include "reader/place_table.h"
#include "reader/walk.h"
#include "tests/support/export_text.h"

DEFINE_CLEANUP(struct place_table *, place_table_free)
DEFINE_CLEANUP(struct export_names *, export_names_free)

/* Code 3 is code 2 made again. */
static struct trace *open_codes(void)
{
	struct trace_writer *w = test_writer_new(folder);

	put_code(w, 1, source_path, "main");
	put_code(w, 2, source_path, "wo\"rk\xff");
	put_code(w, 3, source_path, "wo\"rk\xff");
	ck_assert_int_eq(trace_writer_close(w, AT(1), "stopped"), 0);
	return open_trace();
}

START_TEST(a_function_made_again_is_one_place)
{
	auto_trace struct trace *t = open_codes();
	auto_release(place_table_free) struct place_table *p = place_table_new(t);
	uint32_t first = place_table_find(p, (struct block_line){2, 5});

	ck_assert_uint_eq(place_table_find(p, (struct block_line){3, 5}), first);
	ck_assert_uint_eq(place_table_find(p, (struct block_line){2, 5}), first);
	ck_assert_uint_ne(place_table_find(p, (struct block_line){2, 6}), first);
	ck_assert_uint_ne(place_table_find(p, (struct block_line){1, 5}), first);
	ck_assert_uint_eq(place_table_n(p), 3);
	ck_assert_uint_eq(place_table_get(p, first)->code, 2);
	ck_assert_int_eq(place_table_get(p, first)->line, 5);
}
END_TEST

START_TEST(code_that_is_not_there_is_not_known)
{
	auto_trace struct trace *t = open_codes();
	auto_release(place_table_free) struct place_table *p = place_table_new(t);
	uint32_t id = place_table_find(p, (struct block_line){4711, 5});

	ck_assert_uint_eq(place_table_get(p, id)->code, 0);
	ck_assert_uint_eq(place_table_get(p, id)->file, 0);
	ck_assert_uint_eq(place_table_find(p, (struct block_line){4712, 5}), id);
}
END_TEST

START_TEST(names_are_json_strings)
{
	auto_trace struct trace *t = open_codes();
	auto_release(export_names_free) struct export_names *n = export_names_new(t);
	const struct trace_code *code = trace_get_code(t, 2);
	auto_free char *file = xasprintf("\"%s\"", source_path);
	struct walk_place place = {.file = code->file, .code = 2, .line = 5};
	struct walk_place unknown = {.line = 5};
	struct export_name name = export_names_get(n, &place);

	ck_assert_str_eq(name.file, file);
	ck_assert_str_eq(name.function, "\"wo\\\"rk\\ufffd\"");
	ck_assert_ptr_eq(export_names_get(n, &place).file, name.file);
	ck_assert_str_eq(export_names_get(n, &unknown).file, "\"?\"");
	ck_assert_str_eq(export_names_get(n, &unknown).function, "\"?\"");
}
END_TEST

EXPORT_TESTS_MAIN("export_names", a_function_made_again_is_one_place,
		  code_that_is_not_there_is_not_known, names_are_json_strings)
