/* SPDX-License-Identifier: BSD-3-Clause */
/* The cache of code objects, on objects laid out by hand; each test for every version. */
#include "recorder/python/py_codes.h"

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

START_TEST(a_code_object_is_loaded_once)
{
	uint32_t serial;

	begin(_i);
	ck_assert_uint_eq(py_codes_type(codes), 0);
	ck_assert_ptr_null(py_codes_find(codes, function.code));
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(py_codes_type(codes), im.code_type);
	ck_assert_ptr_eq(py_codes_find(codes, function.code), code);
	ck_assert_str_eq(code->name, "App.run");
	ck_assert_uint_eq(code->loaded_ns, 1);
	ck_assert_uint_eq(code->checked_ns, 1);
	ck_assert_int_eq(code->followed, -1);
	/* Loaded again it replaces what was known, and has another serial. */
	serial = code->serial;
	ck_assert_int_eq(py_codes_load(codes, function.code, 5, &code), 0);
	ck_assert_uint_ne(code->serial, serial);
	ck_assert_uint_eq(code->loaded_ns, 5);
	ck_assert_ptr_eq(py_codes_find(codes, function.code), code);
	ck_assert_uint_eq(py_codes_get_counters(codes)->loads, 2);
	end();
}
END_TEST

START_TEST(an_object_that_stays_is_confirmed)
{
	begin(_i);
	ck_assert_int_eq(load(), 0);
	py_image_put(&im, function.code, 12345); /* its reference count */
	ck_assert_int_eq(py_codes_check(codes, code, 2, true), 1);
	ck_assert_uint_eq(code->checked_ns, 2);
	ck_assert(!code->replaced);
	ck_assert_ptr_eq(py_codes_find(codes, function.code), code);
	ck_assert_uint_eq(py_codes_get_counters(codes)->checks, 1);
	ck_assert_uint_eq(py_codes_get_counters(codes)->replaced, 0);
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
	ck_assert_uint_eq(code->checked_ns, 1);
	ck_assert_uint_eq(py_codes_get_counters(codes)->replaced, 1);
	ck_assert_str_eq(code->name, "App.run"); /* kept until they are collected */
	ck_assert_ptr_null(py_codes_find(codes, function.code));
	py_codes_collect(codes);
	ck_assert_int_eq(load(), 0);
	ck_assert_str_eq(code->name, "App.stop");
	end();
}
END_TEST

START_TEST(what_cannot_be_loaded_is_told)
{
	struct py_code *kept;

	begin(_i);
	ck_assert_int_eq(py_codes_load(codes, function.code + 1, 1, &code), -EBADMSG);
	ck_assert_int_eq(py_codes_load(codes, 0x123456789000, 1, &code), -EFAULT);
	ck_assert_int_eq(load(), 0);
	kept = code;
	im.gone = true;
	ck_assert_int_eq(load(), -ESRCH);
	/* The target is gone, which says nothing of the object. */
	ck_assert_int_eq(py_codes_check(codes, kept, 2, false), -ESRCH);
	ck_assert(!kept->replaced);
	ck_assert_ptr_eq(py_codes_find(codes, function.code), kept);
	ck_assert_uint_eq(py_codes_get_counters(codes)->replaced, 0);
	end();
}
END_TEST

START_TEST(limits_that_are_reached_are_counted)
{
	static char name[PY_MAX_QUALNAME + 10];
	struct image_code long_name = about;

	begin(_i);
	memset(name, 'n', sizeof(name) - 1);
	long_name.name = name;
	function = py_image_function(&im, 0, &long_name);
	py_image_put(&im, py_image_get(&im, function.code + im.l.code.linetable) + im.l.bytes.size,
		     PY_MAX_LINE_TABLE_BYTES + 1);
	ck_assert_int_eq(load(), 0);
	ck_assert_uint_eq(py_codes_get_counters(codes)->names_truncated, 1);
	py_codes_load_lines(codes, code);
	ck_assert_uint_eq(py_codes_get_counters(codes)->line_tables_refused, 1);
	/* Once for each object. */
	py_codes_load_lines(codes, code);
	ck_assert_uint_eq(py_codes_get_counters(codes)->line_tables_refused, 1);
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
	ck_assert_int_eq(py_codes_check(codes, code, 2, false), 1);
	ck_assert_uint_ne(code->units[function.at[AT_LOAD]], code->units[function.at[AT_RETURN]]);
	ck_assert_int_eq(py_codes_check(codes, code, 2, true), 1);
	ck_assert_uint_eq(code->units[function.at[AT_LOAD]], code->units[function.at[AT_RETURN]]);
	end();
}
END_TEST

/* More than the table has room for at first, some of them forgotten in between. */
START_TEST(any_number_of_objects_is_found_again)
{
	const remote_addr here = UINT64_C(0x7f6000000000);
	const uint32_t n = 1500, stride = 1024;

	begin(_i);
	py_image_map(&im, here, (n * stride + 4095) & ~4095u);
	for (uint32_t i = 0; i < n; i++) {
		remote_addr at = here + i * (uint64_t)stride;

		memcpy(py_image_at(&im, at, stride), py_image_at(&im, function.code, stride),
		       stride);
		ck_assert_int_eq(py_codes_load(codes, at, i, &code), 0);
	}
	for (uint32_t i = 0; i < n; i += 3) {
		remote_addr at = here + i * (uint64_t)stride;

		py_image_put(&im, at + im.l.code.filename, 0);
		ck_assert_int_eq(py_codes_check(codes, py_codes_find(codes, at), n, false), 0);
	}
	py_codes_collect(codes);
	for (uint32_t i = 0; i < n; i++) {
		code = py_codes_find(codes, here + i * (uint64_t)stride);
		if (i % 3 == 0) {
			ck_assert_ptr_null(code);
			continue;
		}
		ck_assert_ptr_nonnull(code);
		ck_assert_uint_eq(code->addr, here + i * (uint64_t)stride);
		ck_assert_uint_eq(code->loaded_ns, i);
	}
	ck_assert_uint_eq(py_codes_get_counters(codes)->flushes, 0);
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
	Suite *suite = suite_create("py_codes");
	TCase *tc = tcase_create("py_codes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, a_code_object_is_loaded_once, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, an_object_that_stays_is_confirmed, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, an_address_used_again_is_noticed, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, what_cannot_be_loaded_is_told, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, limits_that_are_reached_are_counted, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, specialised_instructions_are_taken_over, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, any_number_of_objects_is_found_again, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_full_cache_starts_afresh, 11, PY_MINOR_MAX + 1);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
