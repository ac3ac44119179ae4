/* SPDX-License-Identifier: BSD-3-Clause */
/* What the units of code objects are; each test for every version to which it applies. */
#include "recorder/python/py_code_units.h"

#include <check.h>
#include <string.h>

#include "recorder/python/py_code.h"
#include "tests/support/py_image.h"

static struct py_image im;
static struct py_code *code;
static struct image_function function;
static struct image_code about;

static void begin(int minor)
{
	py_image_init(&im, (unsigned)minor);
	code = NULL;
	about = (struct image_code){
	    .file = "/app/app.py", .name = "f", .nlocalsplus = 2, .stacksize = 4};
}

static void end(void)
{
	py_code_free(code);
	py_image_done(&im);
}

/* Add an instruction to the function that is going to be read; returns its number. */
static unsigned add(enum image_op op, uint8_t arg)
{
	static unsigned n;

	if (about.ops[0] == IMAGE_RESUME && about.ops[1] == IMAGE_RESUME)
		n = 0;
	ck_assert_uint_lt(n + 1, IMAGE_MAX_OPS);
	about.ops[n] = op;
	about.args[n] = arg;
	about.ops[n + 1] = IMAGE_END;
	return n++;
}

static void read_code(void)
{
	remote_addr code_type = 0;
	bool names_cut;

	function = py_image_function(&im, 0, &about);
	ck_assert_int_eq(py_code_read(&im.mem, &im.l, function.code, &code_type, &names_cut, &code),
			 0);
}

static uint8_t *instruction(unsigned i)
{
	return py_image_at(&im, code->start + 2 * (uint64_t)function.at[i], 2);
}

START_TEST(caches_belong_to_their_instruction)
{
	begin(_i);
	read_code();
	ck_assert(!(code->units[function.at[AT_CALL]] & PY_UNIT_IS_CACHE));
	ck_assert(code->units[function.at[AT_CALL]] & PY_OP_CALLS_OPERAND);
	for (uint32_t i = function.at[AT_CALL] + 1; i < function.at[AT_LOAD_AGAIN]; i++) {
		ck_assert(code->units[i] & PY_UNIT_IS_CACHE);
		ck_assert(code->units[i] & PY_OP_CALLS_OPERAND);
	}
	ck_assert_uint_eq(code->units[function.at[AT_LOAD_AGAIN]], PY_OP_NO_CALLEE);
	ck_assert(code->units[function.at[AT_RETURN]] & PY_OP_LEAVES);
	end();
}
END_TEST

START_TEST(an_unknown_instruction_may_be_anything)
{
	uint8_t unknown = 255;

	begin(_i);
	while (im.l.opcodes->flags[unknown] & PY_OP_KNOWN)
		unknown--;
	read_code();
	instruction(AT_LOAD)[0] = unknown;
	ck_assert_int_eq(py_code_check(&im.mem, &im.l, code, true), 0);
	ck_assert(code->units[function.at[AT_LOAD]] & PY_OP_HIDES);
	ck_assert(!(code->units[function.at[AT_LOAD]] & PY_OP_NO_CALLEE));
	end();
}
END_TEST

/* Instrumentation replaces an instruction's number; the caches behind it stay as many. */
START_TEST(what_is_instrumented_keeps_its_caches)
{
	begin(_i);
	add(IMAGE_RESUME, 0);
	add(IMAGE_LOAD_ATTR, 0);
	add(IMAGE_LOAD_FAST, 0);
	read_code();
	instruction(1)[0] = im.l.minor == 15 ? 253 : 254; /* INSTRUMENTED_LINE */
	ck_assert(im.l.opcodes->flags[instruction(1)[0]] & PY_OP_HIDES);
	ck_assert_int_eq(py_code_check(&im.mem, &im.l, code, true), 0);
	ck_assert(code->units[function.at[1]] & PY_OP_HIDES);
	ck_assert(!(code->units[function.at[1]] & PY_UNIT_IS_CACHE));
	ck_assert_uint_gt(function.at[2] - function.at[1], 4);
	for (uint32_t i = function.at[1] + 1; i < function.at[2]; i++)
		ck_assert(code->units[i] & PY_UNIT_IS_CACHE);
	ck_assert_uint_eq(code->units[function.at[2]], PY_OP_NO_CALLEE);
	end();
}
END_TEST

START_TEST(a_loop_ends_behind_its_iterator)
{
	unsigned loop, behind;
	const struct py_loop *found;

	begin(_i);
	add(IMAGE_RESUME, 0);
	add(IMAGE_LOAD_FAST, 0);
	/* It jumps over one unit, in bytes to 3.9. */
	loop = add(IMAGE_FOR_ITER, im.l.instruction_unit == 1 ? 2 : 1);
	add(IMAGE_LOAD_FAST, 0);
	behind = add(IMAGE_RETURN_VALUE, 0);
	read_code();
	ck_assert_uint_eq(code->n_loops, 1);
	found = py_code_find_loop(code, function.at[loop]);
	ck_assert_ptr_eq(found, code->loops);
	ck_assert_uint_eq(found->start, function.at[loop]);
	ck_assert(!found->has_argument);
	ck_assert_uint_eq(py_code_loop_end(code, function.at[loop]), function.at[behind]);
	ck_assert_ptr_null(py_code_find_loop(code, function.at[loop] - 1));
	ck_assert_ptr_null(py_code_find_loop(code, function.at[loop] + 1));
	ck_assert_uint_eq(py_code_loop_end(code, function.at[1]), function.at[1] + 1);
	end();
}
END_TEST

START_TEST(a_loop_that_ends_outside_of_its_code_ends_with_it)
{
	unsigned loop;

	begin(_i);
	add(IMAGE_RESUME, 0);
	add(IMAGE_EXTENDED_ARG, 255);
	add(IMAGE_EXTENDED_ARG, 255);
	add(IMAGE_EXTENDED_ARG, 255);
	loop = add(IMAGE_FOR_ITER, 255);
	add(IMAGE_RETURN_VALUE, 0);
	read_code();
	ck_assert_uint_eq(py_code_loop_end(code, function.at[loop]), code->n_units);
	end();
}
END_TEST

START_TEST(the_widened_argument_of_a_loop_counts)
{
	unsigned loop;

	begin(_i);
	add(IMAGE_EXTENDED_ARG, 0);
	loop = add(IMAGE_FOR_ITER, im.l.instruction_unit == 1 ? 2 : 1);
	add(IMAGE_LOAD_FAST, 0);
	add(IMAGE_RETURN_VALUE, 0);
	read_code();
	ck_assert_uint_eq(py_code_loop_end(code, function.at[loop]), function.at[3]);
	py_code_free(code);
	/* 256 units further: behind the end. */
	about.args[0] = 1;
	read_code();
	ck_assert_uint_eq(py_code_loop_end(code, function.at[loop]), code->n_units);
	end();
}
END_TEST

/* for x in f(constant): … */
static unsigned loop_over_call(enum image_op load, uint8_t load_arg, uint8_t n_arguments)
{
	add(IMAGE_RESUME, 0);
	add(IMAGE_LOAD_FAST, 0);
	add(load, load_arg);
	if (im.l.minor == 11)
		add(IMAGE_PRECALL, n_arguments);
	add(IMAGE_CALL, n_arguments);
	add(IMAGE_GET_ITER, 0);
	return add(IMAGE_FOR_ITER, 0);
}

START_TEST(a_constant_that_a_loop_calls_with_is_known)
{
	const remote_addr items[] = {0x111111, 0x222222, 0x333333};
	const struct py_loop *found;
	unsigned loop;

	begin(_i);
	about.consts = py_image_tuple(&im, items, 3);
	loop = loop_over_call(IMAGE_LOAD_CONST, 2, 1);
	read_code();
	found = py_code_find_loop(code, function.at[loop]);
	ck_assert_ptr_nonnull(found);
	ck_assert(found->has_argument);
	ck_assert(!found->is_small_int);
	ck_assert_uint_eq(found->argument, items[2]);
	end();
}
END_TEST

START_TEST(a_small_constant_is_its_value)
{
	const struct py_loop *found;
	unsigned loop;

	begin(_i);
	loop = loop_over_call(IMAGE_LOAD_SMALL_INT, 42, 1);
	read_code();
	found = py_code_find_loop(code, function.at[loop]);
	ck_assert(found->has_argument);
	ck_assert(found->is_small_int);
	ck_assert_uint_eq(found->argument, 42);
	end();
}
END_TEST

START_TEST(other_loops_have_no_constant)
{
	const remote_addr items[] = {0x111111};
	unsigned loop;

	/* Of several arguments the last is not the first; a variable is not known; */
	begin(_i);
	about.consts = py_image_tuple(&im, items, 1);
	loop = loop_over_call(IMAGE_LOAD_CONST, 0, 2);
	read_code();
	ck_assert(!py_code_find_loop(code, function.at[loop])->has_argument);
	end();
	begin(_i);
	loop = loop_over_call(IMAGE_LOAD_FAST, 0, 1);
	read_code();
	ck_assert(!py_code_find_loop(code, function.at[loop])->has_argument);
	end();
	/* and a constant that can't be read neither. */
	begin(_i);
	about.consts = 0x123456789000;
	loop = loop_over_call(IMAGE_LOAD_CONST, 0, 1);
	read_code();
	ck_assert(!py_code_find_loop(code, function.at[loop])->has_argument);
	end();
}
END_TEST

/* --- to 3.10: operands --- */

START_TEST(a_call_finds_what_it_calls_below_its_arguments)
{
	unsigned none, two;

	begin(_i);
	add(IMAGE_LOAD_FAST, 0);
	none = add(IMAGE_CALL, 0); /* calls operand 0; the result takes its place */
	add(IMAGE_LOAD_FAST, 0);
	add(IMAGE_LOAD_FAST, 0);
	add(IMAGE_LOAD_FAST, 0);
	two = add(IMAGE_CALL, 2); /* calls operand 1 */
	add(IMAGE_RETURN_VALUE, 0);
	read_code();
	ck_assert_int_eq(code->called[function.at[none]], 0);
	ck_assert_int_eq(code->called[function.at[two]], 1);
	ck_assert_int_eq(code->called[function.at[0]], -1);
	ck_assert(code->units[function.at[two]] & PY_UNIT_CALLS_ANYTHING);
	/* Only a call with arguments has one that can be compared. */
	ck_assert(code->units[function.at[two]] & PY_UNIT_CALLS_PLAINLY);
	ck_assert(!(code->units[function.at[none]] & PY_UNIT_CALLS_PLAINLY));
	end();
}
END_TEST

START_TEST(a_method_call_finds_its_method_or_null)
{
	unsigned call;

	begin(_i);
	for (int i = 0; i < 4; i++)
		add(IMAGE_LOAD_FAST, 0);
	call = add(IMAGE_CALL_METHOD, 1); /* method, self, argument: operands 1 to 3 */
	read_code();
	ck_assert_int_eq(code->called[function.at[call]], 1);
	ck_assert(code->units[function.at[call]] & PY_UNIT_CALLS_PLAINLY);
	end();
}
END_TEST

START_TEST(a_call_with_packed_arguments_finds_what_it_calls)
{
	for (uint8_t has_keywords = 0; has_keywords < 2; has_keywords++) {
		unsigned call;

		begin(_i);
		for (int i = 0; i < 4; i++)
			add(IMAGE_LOAD_FAST, 0);
		call = add(IMAGE_CALL_FUNCTION_EX, has_keywords);
		read_code();
		ck_assert_int_eq(code->called[function.at[call]], 2 - has_keywords);
		ck_assert(!(code->units[function.at[call]] & PY_UNIT_CALLS_PLAINLY));
		end();
	}
}
END_TEST

START_TEST(a_loop_resumes_the_top_of_its_operands)
{
	unsigned loop;

	begin(_i);
	add(IMAGE_LOAD_FAST, 0);
	add(IMAGE_LOAD_FAST, 0);
	loop = add(IMAGE_FOR_ITER, 0);
	add(IMAGE_RETURN_VALUE, 0);
	read_code();
	ck_assert_int_eq(code->called[function.at[loop]], 1);
	end();
}
END_TEST

/* More arguments than there are operands; or code that nothing reaches. */
START_TEST(operands_that_cannot_be_are_none)
{
	unsigned call, unreached;

	begin(_i);
	add(IMAGE_LOAD_FAST, 0);
	call = add(IMAGE_CALL, 200);
	add(IMAGE_RETURN_VALUE, 0);
	unreached = add(IMAGE_CALL, 0);
	read_code();
	ck_assert_int_eq(code->called[function.at[call]], -1);
	ck_assert_int_eq(code->called[function.at[unreached]], -1);
	end();
}
END_TEST

/* A frame's f_lasti stays on the first prefix. */
START_TEST(prefixes_are_what_they_widen)
{
	unsigned prefix, call;

	begin(_i);
	add(IMAGE_LOAD_FAST, 0);
	prefix = add(IMAGE_EXTENDED_ARG, 0);
	add(IMAGE_EXTENDED_ARG, 0);
	call = add(IMAGE_CALL, 0);
	add(IMAGE_RETURN_VALUE, 0);
	read_code();
	for (unsigned i = prefix; i <= call; i++) {
		ck_assert_int_eq(code->called[function.at[i]], 0);
		ck_assert(code->units[function.at[i]] & PY_OP_CALLS_OPERAND);
		ck_assert(code->units[function.at[i]] & PY_UNIT_CALLS_ANYTHING);
	}
	ck_assert_int_eq(code->called[function.at[prefix - 1]], -1);
	end();
}
END_TEST

START_TEST(an_operator_calls_dunder_methods_only)
{
	unsigned compare, attribute;

	begin(_i);
	add(IMAGE_LOAD_FAST, 0);
	attribute = add(IMAGE_LOAD_ATTR, 0);
	add(IMAGE_LOAD_FAST, 0);
	compare = add(IMAGE_COMPARE_OP, 0);
	add(IMAGE_RETURN_VALUE, 0);
	read_code();
	ck_assert(code->units[function.at[attribute]] & PY_UNIT_CALLS_ANYTHING); /* a property */
	ck_assert(!(code->units[function.at[compare]] & PY_UNIT_CALLS_ANYTHING));
	ck_assert_int_eq(code->called[function.at[attribute]], -1);
	end();
}
END_TEST

START_TEST(a_first_local_that_is_stored_to_is_not_kept)
{
	begin(_i);
	add(IMAGE_LOAD_FAST, 0);
	add(IMAGE_STORE_FAST, 1);
	read_code();
	ck_assert(code->keeps_first_local);
	end();
	begin(_i);
	add(IMAGE_LOAD_FAST, 0);
	add(IMAGE_STORE_FAST, 0);
	read_code();
	ck_assert(!code->keeps_first_local);
	end();
}
END_TEST

START_TEST(a_widened_store_is_of_another_local)
{
	begin(_i);
	add(IMAGE_LOAD_FAST, 0);
	add(IMAGE_EXTENDED_ARG, 1);
	add(IMAGE_STORE_FAST, 0); /* local 256 */
	read_code();
	ck_assert(code->keeps_first_local);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_code_units");
	TCase *tc = tcase_create("py_code_units");
	SRunner *runner = srunner_create(suite);
	const int first = PY_MINOR_MIN, behind = PY_MINOR_MAX + 1;
	int failed;

	tcase_add_loop_test(tc, caches_belong_to_their_instruction, 11, behind);
	tcase_add_loop_test(tc, an_unknown_instruction_may_be_anything, 11, behind);
	tcase_add_loop_test(tc, what_is_instrumented_keeps_its_caches, 12, behind);
	tcase_add_loop_test(tc, a_loop_ends_behind_its_iterator, first, behind);
	tcase_add_loop_test(tc, a_loop_that_ends_outside_of_its_code_ends_with_it, first, behind);
	tcase_add_loop_test(tc, the_widened_argument_of_a_loop_counts, first, behind);
	tcase_add_loop_test(tc, a_constant_that_a_loop_calls_with_is_known, first, behind);
	tcase_add_loop_test(tc, a_small_constant_is_its_value, 14, behind);
	tcase_add_loop_test(tc, other_loops_have_no_constant, first, behind);
	tcase_add_loop_test(tc, a_call_finds_what_it_calls_below_its_arguments, first, 11);
	tcase_add_loop_test(tc, a_method_call_finds_its_method_or_null, first, 11);
	tcase_add_loop_test(tc, a_call_with_packed_arguments_finds_what_it_calls, first, 11);
	tcase_add_loop_test(tc, a_loop_resumes_the_top_of_its_operands, first, 11);
	tcase_add_loop_test(tc, operands_that_cannot_be_are_none, first, 11);
	tcase_add_loop_test(tc, prefixes_are_what_they_widen, first, 11);
	tcase_add_loop_test(tc, an_operator_calls_dunder_methods_only, first, 11);
	tcase_add_loop_test(tc, a_first_local_that_is_stored_to_is_not_kept, first, 11);
	tcase_add_loop_test(tc, a_widened_store_is_of_another_local, first, 11);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
