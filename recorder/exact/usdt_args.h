/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a USDT probe's arguments are when it is reached, as the note in the program describes it:
 * "8@%r14 -4@%ebp -4@$5 8@-72(%rbp)" on x86-64, "8@x0 -4@[sp, 12]" on aarch64. The program is not
 * believed: what can't be understood is refused.
 */
#ifndef RECORDER_EXACT_USDT_ARGS_H
#define RECORDER_EXACT_USDT_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whose registers. */
enum usdt_machine {
	USDT_X86_64,
	USDT_AARCH64,
};
#if defined(__aarch64__)
#define USDT_MACHINE USDT_AARCH64
#else
#define USDT_MACHINE USDT_X86_64
#endif

/* Registers are numbered as in asm/perf_regs.h of their machine; all are below this. */
#define USDT_REGS_MAX 34
#define USDT_NO_REG   0xff

#define USDT_ARGS_MAX 12

enum usdt_arg_kind {
	USDT_ARG_CONSTANT,
	USDT_ARG_REGISTER,
	USDT_ARG_MEMORY, /* at value + reg + index * scale */
};

struct usdt_arg {
	int64_t value; /* the constant, or what is added to an address */
	enum usdt_arg_kind kind;
	uint8_t size; /* bytes: 1, 2, 4 or 8 */
	bool is_signed;
	uint8_t reg;   /* USDT_NO_REG: none */
	uint8_t shift; /* of the register, in bits: %ah is %rax >> 8 */
	uint8_t index; /* USDT_NO_REG: none */
	uint8_t scale;
};

/*
 * Take a description of arguments to pieces.
 * Returns their number; -E2BIG for more than USDT_ARGS_MAX; -EOPNOTSUPP for what can be right but
 * is not understood here (floating point, symbols); -EINVAL.
 */
int usdt_args_parse(enum usdt_machine machine, const char *text,
		    struct usdt_arg ret[static USDT_ARGS_MAX]);

/* The registers that the value of this argument is made of, as bits by number. */
uint64_t usdt_arg_regs(const struct usdt_arg *arg);

/* The register that points to the stack. */
uint8_t usdt_stack_pointer(enum usdt_machine machine);
/*
 * Those that the functions which a function calls leave as they were, and the frame pointer: what
 * a compiler keeps in them at a probe outlives it for a while.
 */
uint64_t usdt_kept_regs(enum usdt_machine machine);

/* What was copied when the probe was reached. */
struct usdt_state {
	uint64_t regs[USDT_REGS_MAX];
	const uint8_t *stack; /* from the stack pointer on; NULL: none */
	size_t stack_len;
	uint64_t stack_start; /* its address */
};

/* Returns 0, or -EFAULT for an operand in memory that was not copied. */
int usdt_arg_value(const struct usdt_arg *arg, const struct usdt_state *state, int64_t *ret);

#endif
