/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/usdt_args.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct usdt_arg args[USDT_ARGS_MAX];

/* Numbers of asm/perf_regs.h. */
enum { X86_AX = 0, X86_BP = 6, X86_SP = 7, X86_R12 = 20, X86_R14 = 22, ARM_SP = 31 };

START_TEST(registers_of_python311)
{
	struct usdt_state state = {
	    .regs = {[X86_R14] = 0x1122334455667788, [X86_BP] = 0xffffffff00000007}};
	int64_t value;

	ck_assert_int_eq(usdt_args_parse(USDT_X86_64, "8@%r14 8@%rax -4@%ebp", args), 3);
	ck_assert_uint_eq(args[0].reg, X86_R14);
	ck_assert_uint_eq(args[1].reg, X86_AX);
	ck_assert_uint_eq(args[2].reg, X86_BP);
	ck_assert(!args[0].is_signed && args[2].is_signed && args[2].size == 4);
	ck_assert_int_eq(usdt_arg_value(&args[0], &state, &value), 0);
	ck_assert_int_eq(value, 0x1122334455667788);
	ck_assert_int_eq(usdt_arg_value(&args[2], &state, &value), 0);
	ck_assert_int_eq(value, 7);
	state.regs[X86_BP] = 0xffffffff;
	ck_assert_int_eq(usdt_arg_value(&args[2], &state, &value), 0);
	ck_assert_int_eq(value, -1);
}
END_TEST

START_TEST(any_size_and_sign)
{
	struct usdt_state state = {.regs = {[X86_AX] = 0x8081828384858687}};
	static const struct {
		const char *text;
		int64_t value;
	} rows[] = {
	    {"1@%al", 0x87},
	    {"-1@%al", 0x87 - 0x100},
	    {"1@%ah", 0x86},
	    {"2@%ax", 0x8687},
	    {"-2@%ax", 0x8687 - 0x10000},
	    {"4@%eax", 0x84858687},
	    {"-4@%eax", 0x84858687 - INT64_C(0x100000000)},
	    {"-4@$5", 5},
	    {"4@$-1", 0xffffffff},
	    {"-4@$-1", -1},
	    {"8@$0x10", 16},
	    {"%rax", (int64_t)0x8081828384858687},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t value;

		ck_assert_msg(usdt_args_parse(USDT_X86_64, rows[i].text, args) == 1, "%s",
			      rows[i].text);
		ck_assert_int_eq(usdt_arg_value(&args[0], &state, &value), 0);
		ck_assert_msg(value == rows[i].value, "%s: %lld", rows[i].text, (long long)value);
	}
}
END_TEST

START_TEST(memory_operands)
{
	uint64_t stack[16] = {0};
	struct usdt_state state = {
	    .regs = {[X86_SP] = 0x7000, [X86_BP] = 0x7048, [X86_R12] = 3, [X86_AX] = 0x5000},
	    .stack = (const uint8_t *)stack,
	    .stack_len = sizeof(stack),
	    .stack_start = 0x7000,
	};
	int64_t value;

	stack[0] = 11;
	stack[1] = 12;
	stack[14] = 26;
	ck_assert_int_eq(usdt_args_parse(USDT_X86_64,
					 "8@-72(%rbp) 8@8(%rsp) -4@112(%rsp) 8@(%rsp) "
					 "8@-16(%rsp,%r12,8) 8@(%rax) 8@128(%rsp) 8@(,%r12,4)",
					 args),
			 8);
	static const int64_t expected[] = {11, 12, 26, 11, 12};

	for (size_t i = 0; i < 5; i++) {
		ck_assert_int_eq(usdt_arg_value(&args[i], &state, &value), 0);
		ck_assert_int_eq(value, expected[i]);
	}
	/* What was not copied: elsewhere, or behind its end. */
	for (size_t i = 5; i < 8; i++)
		ck_assert_int_eq(usdt_arg_value(&args[i], &state, &value), -EFAULT);
	state.stack = NULL;
	ck_assert_int_eq(usdt_arg_value(&args[0], &state, &value), -EFAULT);
	ck_assert_uint_eq(usdt_arg_regs(&args[4]), UINT64_C(1) << X86_SP | UINT64_C(1) << X86_R12);
}
END_TEST

START_TEST(aarch64_forms)
{
	uint64_t stack[4] = {1, 2, 3, 4};
	struct usdt_state state = {
	    .regs = {[0] = 0x100, [1] = 2, [29] = 0x8010, [ARM_SP] = 0x8000},
	    .stack = (const uint8_t *)stack,
	    .stack_len = sizeof(stack),
	    .stack_start = 0x8000,
	};
	static const int64_t expected[] = {0x100, 2, 2, 3, 5, 2, 3, 1};
	int64_t value;

	ck_assert_int_eq(usdt_args_parse(USDT_AARCH64,
					 "8@x0 -4@w1 8@[sp, 8] 8@[x29] -4@5 8@[x29, -8] "
					 "8@[sp, x1, lsl #3] 8@[sp]",
					 args),
			 8);
	for (size_t i = 0; i < 8; i++) {
		ck_assert_int_eq(usdt_arg_value(&args[i], &state, &value), 0);
		ck_assert_int_eq(value, expected[i]);
	}
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
	static const char *const bad[] = {
	    "8@",
	    "3@%rax",
	    "8@%",
	    "8@(%rax",
	    "8@(%rax,%rbx,3)",
	    "8@()",
	    "0@%rax",
	    "8@-",
	    "-9223372036854775808@%rax",
	    "8@(%rax))",
	    "8@%abcdefgh",
	};
	static const char *const unknown[] = {
	    "8@%rip", "8f@%xmm0", "8@%xmm0", "8@symbol(%rip)", "8@$symbol", "8@0x1234",
	};
	static const char *const bad_arm[] = {"8@[", "8@[x0", "8@x31", "8@[x0,]",
					      "8@[x0, x1, lsl 4]"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(usdt_args_parse(USDT_X86_64, bad[i], args) == -EINVAL, "%s", bad[i]);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		ck_assert_msg(usdt_args_parse(USDT_X86_64, unknown[i], args) == -EOPNOTSUPP, "%s",
			      unknown[i]);
	for (size_t i = 0; i < sizeof(bad_arm) / sizeof(bad_arm[0]); i++)
		ck_assert_msg(usdt_args_parse(USDT_AARCH64, bad_arm[i], args) < 0, "%s",
			      bad_arm[i]);
	ck_assert_int_eq(usdt_args_parse(USDT_X86_64, "", args), 0);
	ck_assert_int_eq(usdt_args_parse(USDT_X86_64,
					 "%rax %rax %rax %rax %rax %rax %rax %rax %rax %rax %rax "
					 "%rax %rax",
					 args),
			 -E2BIG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("usdt_args");
	TCase *tc = tcase_create("usdt_args");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, registers_of_python311);
	tcase_add_test(tc, any_size_and_sign);
	tcase_add_test(tc, memory_operands);
	tcase_add_test(tc, aarch64_forms);
	tcase_add_test(tc, what_makes_no_sense_is_refused);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
