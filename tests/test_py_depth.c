/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_depth.h"

#include <check.h>
#include <string.h>

#include "recorder/python/py_layout.h"

static int8_t depth[64];

static void compute(unsigned minor, const uint8_t *code, size_t n_units)
{
	memset(depth, 99, sizeof(depth));
	py_depth_compute(py_layout_find(minor)->opcodes, code, n_units, depth);
	ck_assert_int_eq(depth[n_units], 99); /* nothing is written behind the code */
}

static void check(const int8_t *expected, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(depth[i] == expected[i], "unit %zu: %d, not %d", i, depth[i],
			      expected[i]);
}

/* def f(xs): for x in xs: g(x), as 3.8 and 3.9 compile it. */
START_TEST(a_loop_has_its_iterator_below_what_it_does)
{
	static const uint8_t code[] = {
	    124, 0,  /* LOAD_FAST xs */
	    68,	 0,  /* GET_ITER */
	    93,	 12, /* FOR_ITER to the end */
	    125, 1,  /* STORE_FAST x */
	    116, 0,  /* LOAD_GLOBAL g */
	    124, 1,  /* LOAD_FAST x */
	    131, 1,  /* CALL_FUNCTION 1 */
	    1,	 0,  /* POP_TOP */
	    113, 4,  /* JUMP_ABSOLUTE to FOR_ITER */
	    100, 0,  /* LOAD_CONST None */
	    83,	 0,  /* RETURN_VALUE */
	};

	compute((unsigned)_i, code, sizeof(code) / 2);
	check((int8_t[]){0, 1, 1, 2, 1, 2, 3, 2, 1, 0, 1}, 11);
}
END_TEST

/* Jumps count instructions from 3.10 on, bytes before. */
START_TEST(jumps_of_3_10_count_units)
{
	static const uint8_t code[] = {
	    124, 0, /* LOAD_FAST */
	    68,	 0, /* GET_ITER */
	    93,	 2, /* FOR_ITER to the end */
	    125, 1, /* STORE_FAST */
	    113, 2, /* JUMP_ABSOLUTE to FOR_ITER */
	    100, 0, /* LOAD_CONST */
	    83,	 0, /* RETURN_VALUE */
	};

	compute(10, code, sizeof(code) / 2);
	check((int8_t[]){0, 1, 1, 2, 1, 0, 1}, 7);
}
END_TEST

START_TEST(a_prefix_widens_what_follows)
{
	static const uint8_t code[] = {
	    144, 1, /* EXTENDED_ARG */
	    102, 0, /* BUILD_TUPLE of 256: below the empty stack, so what follows is not known */
	    83,	 0,
	};
	static const uint8_t constant[] = {
	    144, 1, /* EXTENDED_ARG */
	    100, 0, /* LOAD_CONST 256 */
	    83,	 0, /* RETURN_VALUE */
	};

	compute(8, code, 3);
	check((int8_t[]){0, 0, -1}, 3);
	compute(8, constant, 3);
	check((int8_t[]){0, 0, 1}, 3);
}
END_TEST

START_TEST(code_that_is_not_reached_has_no_depth)
{
	static const uint8_t code[] = {100, 0, 83, 0, 100, 0, 83, 0};

	compute(9, code, 4);
	check((int8_t[]){0, 1, -1, -1}, 4);
}
END_TEST

START_TEST(later_versions_say_it_themselves)
{
	static const uint8_t code[] = {84, 0, 35, 0};

	compute((unsigned)_i, code, 2);
	check((int8_t[]){-1, -1}, 2);
}
END_TEST

START_TEST(random_code_does_no_harm)
{
	uint64_t seed = 88172645463325252u;

	for (int round = 0; round < 2000; round++) {
		uint8_t code[126];

		for (size_t i = 0; i < sizeof(code); i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			/* Many prefixes, and small arguments. */
			code[i] = (uint8_t)(seed >> 32 & (i & 1 ? 15 : 255));
			if (!(i & 1) && (seed >> 50 & 7) == 0)
				code[i] = 144;
		}
		compute((unsigned)_i, code, 1 + seed % 63);
		for (size_t i = 0; i < 1 + seed % 63; i++)
			ck_assert_int_ge(depth[i], -1);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_depth");
	TCase *tc = tcase_create("py_depth");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, a_loop_has_its_iterator_below_what_it_does, 8, 10);
	tcase_add_test(tc, jumps_of_3_10_count_units);
	tcase_add_test(tc, a_prefix_widens_what_follows);
	tcase_add_test(tc, code_that_is_not_reached_has_no_depth);
	tcase_add_loop_test(tc, later_versions_say_it_themselves, 14, PY_MINOR_MAX + 1);
	tcase_add_loop_test(tc, random_code_does_no_harm, PY_MINOR_MIN, PY_MINOR_MAX + 1);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
