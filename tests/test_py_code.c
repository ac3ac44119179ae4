/* SPDX-License-Identifier: BSD-3-Clause */
/* Code objects, laid out by hand; each test for every version. */
#include "recorder/python/py_code.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "recorder/python/py_object.h"
#include "tests/support/py_image.h"

static struct py_image im;
static struct py_code *code;
static struct image_function function;
static remote_addr code_type;
static bool names_cut;

static const struct image_code about = {
    .file = "/app/app.py", .name = "App.run", .nlocalsplus = 2, .stacksize = 3, .first_line = 10};

static void begin(int minor)
{
	py_image_init(&im, (unsigned)minor);
	code = NULL;
	code_type = 0;
	function = py_image_function(&im, 0, &about);
}

static void end(void)
{
	if (code)
		py_code_free(code);
	py_image_done(&im);
}

static int read_at(remote_addr addr)
{
	if (code)
		py_code_free(code);
	code = NULL;
	names_cut = false;
	return py_code_read(&im.mem, &im.l, addr, &code_type, &names_cut, &code);
}

static int read_code(void)
{
	return read_at(function.code);
}

static int check_code(void)
{
	return py_code_check(&im.mem, &im.l, code, false);
}

static bool in_heap(void)
{
	return im.l.frame_kind == PY_FRAMES_HEAP;
}

START_TEST(a_code_object_is_read)
{
	begin(_i);
	ck_assert_int_eq(read_code(), 0);
	ck_assert_uint_eq(code_type, im.code_type);
	ck_assert(!names_cut);
	ck_assert_str_eq(code->file, "/app/app.py");
	ck_assert_uint_eq(code->file_len, strlen("/app/app.py"));
	ck_assert_str_eq(code->name, "App.run");
	ck_assert_uint_eq(code->name_len, strlen("App.run"));
	ck_assert_int_eq(code->first_line, 10);
	ck_assert_uint_eq(code->n_units, function.n_units);
	ck_assert_uint_eq(code->nlocalsplus, 2);
	ck_assert(!code->is_shim);
	if (in_heap()) {
		ck_assert_uint_eq(code->frame_words, 3);
	} else {
		ck_assert_uint_eq(code->frame_words, function.frame_words);
		ck_assert_uint_eq(code->start, function.code + im.l.code.code_adaptive);
	}
	end();
}
END_TEST

START_TEST(the_shim_of_a_class_call_is_known)
{
	struct image_code shim = about;

	begin(_i);
	shim.file = shim.name = "__init__";
	shim.ops[0] = IMAGE_EXIT_INIT_CHECK;
	shim.ops[1] = IMAGE_RETURN_VALUE;
	shim.ops[2] = IMAGE_END;
	function = py_image_function(&im, 0, &shim);
	ck_assert_int_eq(read_code(), 0);
	ck_assert(code->is_shim);
	/* A file may have that name, too. */
	shim.ops[2] = IMAGE_LOAD_FAST;
	shim.ops[3] = IMAGE_LOAD_FAST;
	shim.ops[4] = IMAGE_RETURN_VALUE;
	shim.ops[5] = IMAGE_END;
	function = py_image_function(&im, 0, &shim);
	ck_assert_int_eq(read_code(), 0);
	ck_assert(!code->is_shim);
	end();
}
END_TEST

START_TEST(lines_are_decoded_when_asked_for)
{
	begin(_i);
	ck_assert_int_eq(read_code(), 0);
	ck_assert_ptr_null(code->lines);
	ck_assert_int_eq(py_code_read_lines(&im.mem, &im.l, code), 0);
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
	ck_assert_int_eq(read_code(), 0);
	ck_assert_int_lt(py_code_read_lines(&im.mem, &im.l, code), 0);
	for (uint32_t i = 0; i < code->n_units; i++)
		ck_assert_int_eq(code->lines[i], 0);
	end();
}
END_TEST

/* Read when another object is there, its table says nothing about this one. */
START_TEST(the_lines_of_another_object_are_not_taken)
{
	struct image_code other = about;
	remote_addr table;

	begin(_i);
	ck_assert_int_eq(read_code(), 0);
	table = py_image_get(&im, function.code + im.l.code.linetable);
	*py_image_at(&im, table + im.l.bytes.data, 1) ^= 1;
	other.name = "App.stop";
	py_image_function(&im, function.code, &other);
	ck_assert_int_eq(py_code_read_lines(&im.mem, &im.l, code), -EBADMSG);
	ck_assert_int_eq(code->lines[0], 0);
	end();
}
END_TEST

START_TEST(an_object_that_stays_is_confirmed)
{
	begin(_i);
	ck_assert_int_eq(read_code(), 0);
	ck_assert_int_eq(check_code(), 0);
	py_image_put(&im, function.code, 12345); /* its reference count */
	if (im.l.minor == 11)
		py_image_put32(&im, function.code + 52, 7); /* co_warmup */
	if (in_heap())
		py_image_put(&im, function.code + 136, 7); /* co_zombieframe */
	ck_assert_int_eq(check_code(), 0);
	end();
}
END_TEST

START_TEST(an_address_used_again_is_noticed)
{
	struct image_code other = about;

	begin(_i);
	ck_assert_int_eq(read_code(), 0);
	other.name = "App.stop";
	py_image_function(&im, function.code, &other);
	ck_assert_int_eq(check_code(), -EBADMSG);
	end();
}
END_TEST

/* Every field that tells objects apart, one after the other. */
START_TEST(a_change_of_any_field_is_noticed)
{
	uint32_t fields[5];

	begin(_i);
	fields[0] = im.l.code.first_line;
	fields[1] = im.l.code.consts;
	fields[2] = im.l.code.filename;
	fields[3] = in_heap() ? im.l.code.nlocals : im.l.code.nlocalsplus;
	fields[4] = im.l.code.linetable;
	ck_assert_int_eq(read_code(), 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint8_t *field = py_image_at(&im, function.code + fields[i], 1);

		*field ^= 1;
		ck_assert_int_eq(check_code(), -EBADMSG);
		*field ^= 1;
		ck_assert_int_eq(check_code(), 0);
	}
	end();
}
END_TEST

/* Strings and tables may be given the addresses of those that they replace. */
START_TEST(the_same_pointers_with_another_name_are_noticed)
{
	uint32_t name_at;

	begin(_i);
	name_at = in_heap() ? im.l.code.name : im.l.code.qualname;
	ck_assert_int_eq(read_code(), 0);
	*py_image_at(&im, py_image_get(&im, function.code + name_at) + im.l.unicode.ascii_data, 1) =
	    'Z';
	/* From 3.12 on each object has a number of its own. */
	if (im.l.code.version != LAYOUT_ABSENT) {
		ck_assert_int_eq(check_code(), 0);
		py_image_put32(&im, function.code + im.l.code.version, 4711);
	}
	ck_assert_int_eq(check_code(), -EBADMSG);
	end();
}
END_TEST

START_TEST(the_same_pointers_with_another_file_are_noticed)
{
	remote_addr file;

	begin(_i);
	if (im.l.code.version != LAYOUT_ABSENT)
		py_image_put32(&im, function.code + im.l.code.version, 0);
	ck_assert_int_eq(read_code(), 0);
	file = py_image_get(&im, function.code + im.l.code.filename);
	*py_image_at(&im, file + im.l.unicode.ascii_data + 1, 1) = 'b';
	ck_assert_int_eq(check_code(), -EBADMSG);
	end();
}
END_TEST

/* Where no object has a number, or when the interpreter ran out of them. */
START_TEST(the_same_names_with_other_lines_are_noticed)
{
	remote_addr table;

	begin(_i);
	if (im.l.code.version != LAYOUT_ABSENT)
		py_image_put32(&im, function.code + im.l.code.version, 0);
	ck_assert_int_eq(read_code(), 0);
	ck_assert_int_eq(check_code(), 0);
	table = py_image_get(&im, function.code + im.l.code.linetable);
	*py_image_at(&im, table + im.l.bytes.data + 1, 1) ^= 3;
	ck_assert_int_eq(check_code(), -EBADMSG);
	ck_assert_int_eq(py_code_read_lines(&im.mem, &im.l, code), -EBADMSG);
	end();
}
END_TEST

START_TEST(what_is_gone_cannot_be_checked)
{
	begin(_i);
	ck_assert_int_eq(read_code(), 0);
	im.gone = true;
	ck_assert_int_eq(check_code(), -ESRCH);
	im.gone = false;
	py_image_unmap(&im, IMAGE_HEAP);
	ck_assert_int_eq(check_code(), -EFAULT);
	end();
}
END_TEST

static unsigned n_before_change;

static void change_after_a_while(struct py_image *image, remote_addr addr, size_t len)
{
	(void)addr;
	(void)len;
	if (n_before_change-- == 0)
		py_image_put32(image, function.code + image->l.code.first_line, 99);
}

/* Whenever that happens, what was read is all of one object or is refused. */
START_TEST(an_object_that_changes_while_it_is_read_is_refused)
{
	begin(_i);
	for (unsigned n = 1;; n++) {
		uint64_t before = im.mem.n_reads;

		py_image_put32(&im, function.code + im.l.code.first_line, 10);
		n_before_change = n;
		im.before_read = change_after_a_while;
		if (read_code() == 0) {
			ck_assert_int_eq(code->first_line, 10);
			ck_assert_uint_gt(n, 3);
			ck_assert_uint_eq(im.mem.n_reads - before, n);
			break;
		}
		ck_assert_uint_lt(n, 100);
	}
	im.before_read = NULL;
	end();
}
END_TEST

START_TEST(what_is_no_code_object_is_refused)
{
	remote_addr name;

	begin(_i);
	ck_assert_int_eq(read_at(0x123456789000), -EFAULT);
	ck_assert_int_eq(read_at(function.code + 4), -EBADMSG);
	/* Another type; and again, once the type of code objects is known. */
	name = py_image_get(&im, im.code_type + 24);
	*py_image_at(&im, name, 1) = 'n';
	ck_assert_int_eq(read_code(), -EBADMSG);
	ck_assert_uint_eq(code_type, 0);
	*py_image_at(&im, name, 1) = 'c';
	ck_assert_int_eq(read_code(), 0);
	py_image_put(&im, function.code + PY_OB_TYPE, im.code_type + 8);
	ck_assert_int_eq(read_code(), -EBADMSG);
	im.gone = true;
	ck_assert_int_eq(read_code(), -ESRCH);
	end();
}
END_TEST

START_TEST(sizes_that_cannot_be_are_refused)
{
	remote_addr size;
	uint64_t unit;

	begin(_i);
	size = in_heap() ? py_image_get(&im, function.code + im.l.code.code) + im.l.bytes.size
			 : function.code + PY_OB_SIZE;
	unit = in_heap() ? 2 : 1;
	py_image_put(&im, size, 0);
	ck_assert_int_eq(read_code(), -EBADMSG);
	py_image_put(&im, size, unit * (PY_MAX_CODE_UNITS + UINT64_C(1)));
	ck_assert_int_eq(read_code(), -EBADMSG);
	py_image_put(&im, size, unit * function.n_units);
	ck_assert_int_eq(read_code(), 0);
	/* No room for its locals. */
	size = function.code + (in_heap() ? im.l.code.nlocals : im.l.code.nlocalsplus);
	py_image_put32(&im, size, 1u << 31);
	ck_assert_int_eq(read_code(), -EBADMSG);
	py_image_put32(&im, size, 2);
	ck_assert_int_eq(read_code(), 0);
	/* A frame of megabytes; or one with less than its header and locals. */
	size = function.code +
	       (im.l.code.framesize != LAYOUT_ABSENT ? im.l.code.framesize : im.l.code.stacksize);
	py_image_put32(&im, size, (1u << 20) + 1);
	ck_assert_int_eq(read_code(), -EBADMSG);
	if (im.l.code.framesize != LAYOUT_ABSENT) {
		py_image_put32(&im, size, im.l.frame_specials + 1u);
		ck_assert_int_eq(read_code(), -EBADMSG);
		py_image_put32(&im, size, im.l.frame_specials + 2u);
		ck_assert_int_eq(read_code(), 0);
	}
	end();
}
END_TEST

START_TEST(long_names_are_cut)
{
	static char name[PY_MAX_QUALNAME + 10], file[PY_MAX_FILE_NAME + 10];
	struct image_code long_name = about;

	begin(_i);
	memset(name, 'n', sizeof(name) - 1);
	long_name.name = name;
	function = py_image_function(&im, 0, &long_name);
	ck_assert_int_eq(read_code(), 0);
	ck_assert_uint_eq(code->name_len, PY_MAX_QUALNAME - 1);
	ck_assert(names_cut);
	memset(file, 'f', sizeof(file) - 1);
	long_name.name = "short";
	long_name.file = file;
	function = py_image_function(&im, 0, &long_name);
	ck_assert_int_eq(read_code(), 0);
	ck_assert_uint_eq(code->file_len, PY_MAX_FILE_NAME - 1);
	ck_assert(names_cut);
	end();
}
END_TEST

START_TEST(instructions_are_read_again)
{
	begin(_i);
	ck_assert_int_eq(read_code(), 0);
	memcpy(py_image_at(&im, code->start + 2 * (uint64_t)function.at[AT_LOAD], 2),
	       py_image_at(&im, code->start + 2 * (uint64_t)function.at[AT_RETURN], 2), 2);
	ck_assert_int_eq(py_code_check(&im.mem, &im.l, code, true), 0);
	ck_assert_uint_eq(code->units[function.at[AT_LOAD]], code->units[function.at[AT_RETURN]]);
	end();
}
END_TEST

/* One for the object with its instructions, and where it has no number, one for each content. */
START_TEST(a_check_takes_few_reads)
{
	uint64_t before;

	begin(_i);
	ck_assert_int_eq(read_code(), 0);
	before = im.mem.n_reads;
	ck_assert_int_eq(py_code_check(&im.mem, &im.l, code, true), 0);
	ck_assert_uint_eq(im.mem.n_reads - before, im.l.code.version == LAYOUT_ABSENT ? 4 : 1);
	end();
}
END_TEST

START_TEST(instructions_of_a_long_object_are_read_again)
{
	uint32_t n = 3000;

	begin(_i);
	/* The function's own, and behind it such as were never run. */
	py_image_alloc(&im, 2 * n);
	py_image_put(&im, function.code + PY_OB_SIZE, n);
	ck_assert_int_eq(read_code(), 0);
	ck_assert_uint_eq(code->n_units, n);
	memcpy(py_image_at(&im, code->start + 2 * (uint64_t)function.at[AT_LOAD], 2),
	       py_image_at(&im, code->start + 2 * (uint64_t)function.at[AT_RETURN], 2), 2);
	ck_assert_int_eq(py_code_check(&im.mem, &im.l, code, true), 0);
	ck_assert_uint_eq(code->units[function.at[AT_LOAD]], code->units[function.at[AT_RETURN]]);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_code");
	TCase *tc = tcase_create("py_code");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, a_code_object_is_read, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, the_shim_of_a_class_call_is_known, 13, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, lines_are_decoded_when_asked_for, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_line_table_that_cannot_be_read_leaves_lines_unknown, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, the_lines_of_another_object_are_not_taken, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, an_object_that_stays_is_confirmed, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, an_address_used_again_is_noticed, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_change_of_any_field_is_noticed, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, the_same_pointers_with_another_name_are_noticed, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, the_same_names_with_other_lines_are_noticed, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, what_is_gone_cannot_be_checked, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, an_object_that_changes_while_it_is_read_is_refused, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, what_is_no_code_object_is_refused, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, sizes_that_cannot_be_are_refused, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, long_names_are_cut, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, instructions_are_read_again, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, instructions_of_a_long_object_are_read_again, 11, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, a_check_takes_few_reads, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, the_same_pointers_with_another_file_are_noticed, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
