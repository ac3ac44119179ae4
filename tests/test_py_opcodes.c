/* SPDX-License-Identifier: BSD-3-Clause */
/* What must hold for any table of opcodes; that it is right, tests/e2e/test_opcodes.py says. */
#include "recorder/python/py_opcodes.h"

#include <check.h>

#include "recorder/python/py_layout.h"

static const struct py_opcodes *table(int minor)
{
	return py_layout_find((unsigned)minor)->opcodes;
}

START_TEST(tables_are_in_order)
{
	for (int i = 0; i < PY_N_OPCODE_TABLES; i++)
		ck_assert_uint_eq(py_opcodes_table[i].minor, PY_MINOR_MIN + (unsigned)i);
}
END_TEST

START_TEST(only_known_opcodes_have_properties)
{
	const struct py_opcodes *ops = table(_i);
	unsigned n_known = 0;

	for (int op = 0; op < 256; op++) {
		n_known += (ops->flags[op] & PY_OP_KNOWN) != 0;
		if (!(ops->flags[op] & PY_OP_KNOWN)) {
			ck_assert_uint_eq(ops->flags[op], 0);
			ck_assert_uint_eq(ops->caches[op], 0);
		}
		if (_i < 11)
			ck_assert_uint_eq(ops->caches[op], 0);
	}
	ck_assert_uint_gt(n_known, 100);
}
END_TEST

START_TEST(what_cannot_call_does_not_iterate_or_call)
{
	const struct py_opcodes *ops = table(_i);

	for (int op = 0; op < 256; op++) {
		if (ops->flags[op] & PY_OP_NO_CALLEE)
			ck_assert_uint_eq(ops->flags[op] & (PY_OP_ITERATES | PY_OP_CALLS_OPERAND |
							    PY_OP_RESUMES_OPERAND),
					  0);
		if (ops->flags[op] & PY_OP_RESUMES_OPERAND)
			ck_assert_uint_ne(ops->flags[op] & PY_OP_ITERATES, 0);
	}
}
END_TEST

START_TEST(something_calls_resumes_and_leaves)
{
	const struct py_opcodes *ops = table(_i);
	uint8_t all = 0;

	for (int op = 0; op < 256; op++)
		all |= ops->flags[op];
	ck_assert_uint_ne(all & PY_OP_LEAVES, 0);
	ck_assert_uint_ne(all & PY_OP_NO_CALLEE, 0);
	ck_assert_uint_ne(all & PY_OP_CALLS_OPERAND, 0);
	ck_assert_uint_ne(all & PY_OP_RESUMES_OPERAND, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_opcodes");
	TCase *tc = tcase_create("py_opcodes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, tables_are_in_order);
	tcase_add_loop_test(tc, only_known_opcodes_have_properties, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, what_cannot_call_does_not_iterate_or_call, PY_MINOR_MIN,
			    PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, something_calls_resumes_and_leaves, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
