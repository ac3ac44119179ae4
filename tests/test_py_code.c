/* SPDX-License-Identifier: BSD-3-Clause */
/* Code objects of 3.11 and later, laid out by hand; each test for every version. */
#include "recorder/python/py_code.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "recorder/python/py_object.h"
#include "tests/support/py_image.h"

static struct py_image im;
static struct py_codes *codes;
static struct py_code *code;
static struct image_function function;

static const struct image_code about = {
    .file = "/app/app.py", .name = "App.run", .nlocalsplus = 2, .stacksize = 3, .first_line = 10};

static void begin(int minor)
{
	py_image_init(&im, (unsigned)minor);
	codes = py_codes_new(&im.mem, &im.l);
	function = py_image_function(&im, 0, &about);
}

static void end(void)
{
	py_codes_free(codes);
	py_image_done(&im);
}

static int load(void)
{
	return py_codes_load(codes, function.code, 1, &code);
}

START_TEST(a_code_object_is_loaded)
{
	begin(_i);
	ck_assert_ptr_null(py_codes_find(codes, function.code));
	ck_assert_int_eq(load(), 0);
	ck_assert_ptr_eq(py_codes_find(codes, function.code), code);
	ck_assert_str_eq(code->file, "/app/app.py");
	ck_assert_str_eq(code->name, "App.run");
	ck_assert_int_eq(code->first_line, 10);
	ck_assert_uint_eq(code->n_units, function.n_units);
	ck_assert_uint_eq(code->frame_words, function.frame_words);
	ck_assert_uint_eq(code->nlocalsplus, 2);
	ck_assert_uint_eq(code->start, function.code + im.l.code.code_adaptive);
	ck_assert(!code->is_shim);
	ck_assert(!(code->units[function.at[AT_CALL]] & PY_UNIT_IS_CACHE));
	for (uint32_t i = function.at[AT_CALL] + 1; i < function.at[AT_LOAD_AGAIN]; i++)
		ck_assert(code->units[i] & PY_UNIT_IS_CACHE);
	ck_assert(!(code->units[function.at[AT_LOAD_AGAIN]] & PY_UNIT_IS_CACHE));
	end();
}
END_TEST

START_TEST(lines_are_decoded_when_asked_for)
{
	begin(_i);
	ck_assert_int_eq(load(), 0);
	ck_assert_ptr_null(code->lines);
	py_codes_load_lines(codes, code);
	for (uint32_t i = 0; i < code->n_units; i++)
		ck_assert_int_eq(code->lines[i], 11 + (int)i);
	end();
}
END_TEST

START_TEST(a_line_table_that_cannot_be_read_leaves_lines_unknown)
{
	begin(_i);
	py_image_put(&im, py_image_get(&im, function.code + im.l.code.linetable) + im.l.bytes.size,
		     PY_MAX_LINE_TABLE_BYTES + 1);
	ck_assert_int_eq(load(), 0);
	py_codes_load_lines(codes, code);
	ck_assert_int_eq(code->lines[0], 0);
	ck_assert_uint_eq(py_codes_get_counters(codes)->line_tables_refused, 1);
	end();
}
END_TEST

START_TEST(an_object_that_stays_is_confirmed)
{
	begin(_i);
	ck_assert_int_eq(load(), 0);
	py_image_put(&im, function.code, 12345); /* its reference count */
	ck_assert_int_eq(py_codes_check(codes, code, 2, true), 1);
	ck_assert_ptr_eq(py_codes_find(codes, function.code), code);
	end();
}
END_TEST

START_TEST(an_address_used_again_is_noticed)
{
	struct image_code other = about;

	begin(_i);
	ck_assert_int_eq(load(), 0);
	other.name = "App.stop";
	py_image_function(&im, function.code, &other);
	ck_assert_int_eq(py_codes_check(codes, code, 2, false), 0);
	ck_assert(code->replaced);
	ck_assert_str_eq(code->name, "App.run"); /* kept until they are collected */
	ck_assert_ptr_null(py_codes_find(codes, function.code));
	py_codes_collect(codes);
	ck_assert_int_eq(load(), 0);
	ck_assert_str_eq(code->name, "App.stop");
	end();
}
END_TEST

/* Strings and tables may be given the addresses of those that they replace. */
START_TEST(the_same_pointers_with_other_content_are_noticed)
{
	remote_addr name;

	begin(_i);
	ck_assert_int_eq(load(), 0);
	name = py_image_get(&im, function.code + im.l.code.qualname);
	*py_image_at(&im, name + im.l.unicode.ascii_data, 1) = 'Z';
	if (im.l.code.version != LAYOUT_ABSENT)
		py_image_put32(&im, function.code + im.l.code.version, 4711);
	ck_assert_int_eq(py_codes_check(codes, code, 2, false), 0);
	end();
}
END_TEST

START_TEST(specialised_instructions_are_taken_over)
{
	begin(_i);
	ck_assert_int_eq(load(), 0);
	/* Another instruction is put in place of the first load. */
	memcpy(py_image_at(&im, code->start + 2 * (uint64_t)function.at[AT_LOAD], 2),
	       py_image_at(&im, code->start + 2 * (uint64_t)function.at[AT_RETURN], 2), 2);
	ck_assert_uint_ne(code->units[function.at[AT_LOAD]], code->units[function.at[AT_RETURN]]);
	ck_assert_int_eq(py_codes_check(codes, code, 2, true), 1);
	ck_assert_uint_eq(code->units[function.at[AT_LOAD]], code->units[function.at[AT_RETURN]]);
	end();
}
END_TEST

START_TEST(what_is_no_code_object_is_refused)
{
	remote_addr size, frame_words;

	begin(_i);
	size = function.code + PY_OB_SIZE;
	ck_assert_int_eq(py_codes_load(codes, 0x123456789000, 1, &code), -EFAULT);
	ck_assert_int_eq(py_codes_load(codes, function.code + 1, 1, &code), -EBADMSG);
	py_image_put(&im, size, 0);
	ck_assert_int_eq(load(), -EBADMSG);
	py_image_put(&im, size, PY_MAX_CODE_UNITS + 1);
	ck_assert_int_eq(load(), -EBADMSG);
	py_image_put(&im, size, function.n_units);
	/* No room for its locals. */
	py_image_put32(&im, function.code + im.l.code.nlocalsplus, 1u << 31);
	ck_assert_int_eq(load(), -EBADMSG);
	py_image_put32(&im, function.code + im.l.code.nlocalsplus, 2);
	frame_words = im.l.code.framesize;
	if (frame_words != LAYOUT_ABSENT) {
		py_image_put32(&im, function.code + frame_words, im.l.frame_specials + 1u);
		ck_assert_int_eq(load(), -EBADMSG);
		py_image_put32(&im, function.code + frame_words, function.frame_words);
	}
	ck_assert_int_eq(load(), 0);
	/* Another type, once the type of code objects is known. */
	py_image_put(&im, function.code + PY_OB_TYPE, im.code_type + 8);
	ck_assert_int_eq(load(), -EBADMSG);
	im.gone = true;
	ck_assert_int_eq(load(), -ESRCH);
	ck_assert_int_eq(py_codes_check(codes, code, 2, false), -ESRCH);
	end();
}
END_TEST

START_TEST(long_names_are_cut_and_counted)
{
	static char name[PY_MAX_QUALNAME + 10];
	struct image_code long_name = about;

	begin(_i);
	memset(name, 'n', sizeof(name) - 1);
	long_name.name = name;
	function = py_image_function(&im, 0, &long_name);
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(code->name_len, PY_MAX_QUALNAME - 1);
	ck_assert_uint_eq(py_codes_get_counters(codes)->names_truncated, 1);
	end();
}
END_TEST

START_TEST(a_loop_ends_behind_its_iterator)
{
	struct image_code loop = about;

	begin(_i);
	memcpy(loop.ops,
	       (enum image_op[]){IMAGE_RESUME, IMAGE_LOAD_FAST, IMAGE_FOR_ITER, IMAGE_LOAD_FAST,
				 IMAGE_RETURN_VALUE, IMAGE_END},
	       6 * sizeof(loop.ops[0]));
	function = py_image_function(&im, 0, &loop);
	/* It jumps over one unit. */
	*py_image_at(
	    &im, function.code + im.l.code.code_adaptive + 2 * (uint64_t)function.at[2] + 1, 1) = 1;
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(py_code_loop_end(code, function.at[2]), function.at[3] + 1);
	ck_assert_uint_eq(py_code_loop_end(code, function.at[1]), function.at[1] + 1);
	end();
}
END_TEST

/* What a caller holds then stays until it is collected. */
START_TEST(a_full_cache_starts_afresh)
{
	const uint32_t n_units = 90000; /* the heap behind it is taken for instructions */
	struct py_code *first = NULL;

	begin(_i);
	for (uint64_t used = 0; used <= PY_MAX_CODE_MEMORY; used += 2 * (uint64_t)n_units) {
		function = py_image_function(&im, 0, &about);
		py_image_put(&im, function.code + PY_OB_SIZE, n_units);
		ck_assert_int_eq(load(), 0);
		if (!first)
			first = code;
	}
	ck_assert_uint_eq(py_codes_get_counters(codes)->flushes, 1);
	ck_assert_ptr_null(py_codes_find(codes, first->addr));
	ck_assert_ptr_eq(py_codes_find(codes, function.code), code);
	ck_assert(first->replaced);
	ck_assert_str_eq(first->name, "App.run");
	py_codes_collect(codes);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_code");
	TCase *tc = tcase_create("py_code");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, a_code_object_is_loaded, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, lines_are_decoded_when_asked_for, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_line_table_that_cannot_be_read_leaves_lines_unknown, 11,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, an_object_that_stays_is_confirmed, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, an_address_used_again_is_noticed, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, the_same_pointers_with_other_content_are_noticed, 11,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, specialised_instructions_are_taken_over, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, what_is_no_code_object_is_refused, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, long_names_are_cut_and_counted, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_loop_ends_behind_its_iterator, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_full_cache_starts_afresh, 11, PY_MINOR_MAX + 1);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
