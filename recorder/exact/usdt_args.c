/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/usdt_args.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Longer names of registers there are none. */
#define NAME_MAX_LEN 5

/* x86-64: the names of one register by width; asm/perf_regs.h has the numbers. */
static const struct {
	const char *names[5]; /* 64, 32, 16, 8 bits, and bits 8 to 15 */
	uint8_t reg;
} x86_regs[] = {
    {{"rax", "eax", "ax", "al", "ah"}, 0},	 {{"rbx", "ebx", "bx", "bl", "bh"}, 1},
    {{"rcx", "ecx", "cx", "cl", "ch"}, 2},	 {{"rdx", "edx", "dx", "dl", "dh"}, 3},
    {{"rsi", "esi", "si", "sil", NULL}, 4},	 {{"rdi", "edi", "di", "dil", NULL}, 5},
    {{"rbp", "ebp", "bp", "bpl", NULL}, 6},	 {{"rsp", "esp", "sp", "spl", NULL}, 7},
    {{"r8", "r8d", "r8w", "r8b", NULL}, 16},	 {{"r9", "r9d", "r9w", "r9b", NULL}, 17},
    {{"r10", "r10d", "r10w", "r10b", NULL}, 18}, {{"r11", "r11d", "r11w", "r11b", NULL}, 19},
    {{"r12", "r12d", "r12w", "r12b", NULL}, 20}, {{"r13", "r13d", "r13w", "r13b", NULL}, 21},
    {{"r14", "r14d", "r14w", "r14b", NULL}, 22}, {{"r15", "r15d", "r15w", "r15b", NULL}, 23},
};

#define BIT(n) (UINT64_C(1) << (n))

/* rbx, rbp, r12 to r15; x19 to x29 */
static const uint64_t kept_regs[] = {
    [USDT_X86_64] = BIT(1) | BIT(6) | BIT(20) | BIT(21) | BIT(22) | BIT(23),
    [USDT_AARCH64] = BIT(19) | BIT(20) | BIT(21) | BIT(22) | BIT(23) | BIT(24) | BIT(25) | BIT(26) |
		     BIT(27) | BIT(28) | BIT(29),
};
static const uint8_t stack_pointers[] = {[USDT_X86_64] = 7, [USDT_AARCH64] = 31};

uint8_t usdt_stack_pointer(enum usdt_machine machine)
{
	return stack_pointers[machine];
}

uint64_t usdt_kept_regs(enum usdt_machine machine)
{
	return kept_regs[machine];
}

static void skip_blanks(const char **at)
{
	while (**at == ' ' || **at == '\t')
		(*at)++;
}

static bool skip_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

/* A number in C's notation, with a sign or not. */
static bool take_number(const char **at, int64_t *ret)
{
	const char *digits = *at + (**at == '-' || **at == '+');
	char *end;
	long long value;

	if (!isdigit((unsigned char)*digits))
		return false;
	errno = 0;
	value = strtoll(*at, &end, 0);
	if (errno == ERANGE) {
		/* Addresses and unsigned constants. */
		errno = 0;
		value = (long long)strtoull(*at, &end, 0);
	}
	if (errno || end == *at)
		return false;
	*at = end;
	*ret = value;
	return true;
}

/* A word of letters and digits. Returns its length, 0 when there is none or it is too long. */
static size_t take_name(const char **at, char buf[static NAME_MAX_LEN + 1])
{
	size_t len = 0;

	while (isalnum((unsigned char)(*at)[len]) || (*at)[len] == '_')
		len++;
	if (len == 0 || len > NAME_MAX_LEN)
		return 0;
	memcpy(buf, *at, len);
	buf[len] = '\0';
	*at += len;
	return len;
}

/* --- x86-64 --- */

/* What follows the '%'. */
static int take_x86_reg(const char **at, uint8_t *ret_reg, uint8_t *ret_shift)
{
	char name[NAME_MAX_LEN + 1];

	if (!take_name(at, name))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(x86_regs) / sizeof(x86_regs[0]); i++) {
		for (size_t k = 0; k < 5; k++) {
			if (!x86_regs[i].names[k] || strcmp(x86_regs[i].names[k], name) != 0)
				continue;
			*ret_reg = x86_regs[i].reg;
			if (ret_shift)
				*ret_shift = k == 4 ? 8 : 0;
			return 0;
		}
	}
	return -EOPNOTSUPP; /* %rip, %xmm0, %st, %fs: … */
}

/* "(%rbp)", "(%rax,%rbx,4)", "(,%rbx,8)", from behind the parenthesis. */
static int take_x86_memory(const char **at, struct usdt_arg *ret)
{
	int64_t scale = 1;
	int r = 0;

	ret->kind = USDT_ARG_MEMORY;
	skip_blanks(at);
	if (skip_char(at, '%'))
		r = take_x86_reg(at, &ret->reg, NULL);
	skip_blanks(at);
	if (r == 0 && skip_char(at, ',')) {
		skip_blanks(at);
		if (!skip_char(at, '%'))
			return -EINVAL;
		r = take_x86_reg(at, &ret->index, NULL);
		skip_blanks(at);
		if (r == 0 && skip_char(at, ',')) {
			skip_blanks(at);
			if (!take_number(at, &scale) ||
			    (scale != 1 && scale != 2 && scale != 4 && scale != 8))
				return -EINVAL;
		}
	}
	if (r < 0)
		return r;
	ret->scale = (uint8_t)scale;
	skip_blanks(at);
	if (ret->reg == USDT_NO_REG && ret->index == USDT_NO_REG)
		return -EINVAL;
	return skip_char(at, ')') ? 0 : -EINVAL;
}

static int take_x86(const char **at, struct usdt_arg *ret)
{
	if (skip_char(at, '$')) {
		ret->kind = USDT_ARG_CONSTANT;
		return take_number(at, &ret->value) ? 0 : -EOPNOTSUPP;
	}
	if (skip_char(at, '%')) {
		ret->kind = USDT_ARG_REGISTER;
		return take_x86_reg(at, &ret->reg, &ret->shift);
	}
	/* A symbol may stand there as well. */
	if (!take_number(at, &ret->value) && **at != '(')
		return isalpha((unsigned char)**at) || **at == '_' || **at == '.' ? -EOPNOTSUPP
										  : -EINVAL;
	if (!skip_char(at, '('))
		return -EOPNOTSUPP; /* an absolute address */
	return take_x86_memory(at, ret);
}

/* --- aarch64 --- */

static int take_arm_reg(const char **at, uint8_t *ret)
{
	char name[NAME_MAX_LEN + 1], *end;
	unsigned long n;

	if (!take_name(at, name))
		return -EINVAL;
	if (strcmp(name, "sp") == 0 || strcmp(name, "wsp") == 0) {
		*ret = stack_pointers[USDT_AARCH64];
		return 0;
	}
	if ((name[0] != 'x' && name[0] != 'w') || !isdigit((unsigned char)name[1]))
		return -EOPNOTSUPP; /* xzr, d0, a symbol */
	n = strtoul(name + 1, &end, 10);
	if (*end || n > 30)
		return -EINVAL;
	*ret = (uint8_t)n;
	return 0;
}

/* "sp, 12]", "x0]", "x0, x1]", "x0, x1, lsl 3]", from behind the bracket. */
static int take_arm_memory(const char **at, struct usdt_arg *ret)
{
	int64_t shift = 0;
	int r;

	ret->kind = USDT_ARG_MEMORY;
	skip_blanks(at);
	r = take_arm_reg(at, &ret->reg);
	skip_blanks(at);
	if (r < 0 || skip_char(at, ']'))
		return r;
	if (!skip_char(at, ','))
		return -EINVAL;
	skip_blanks(at);
	skip_char(at, '#');
	if (!take_number(at, &ret->value)) {
		r = take_arm_reg(at, &ret->index);
		skip_blanks(at);
		if (r == 0 && skip_char(at, ',')) {
			skip_blanks(at);
			if (strncmp(*at, "lsl", 3) != 0)
				return -EOPNOTSUPP;
			*at += 3;
			skip_blanks(at);
			skip_char(at, '#');
			if (!take_number(at, &shift) || shift < 0 || shift > 3)
				return -EINVAL;
		}
		if (r < 0)
			return r;
		ret->scale = (uint8_t)(1u << shift);
	}
	skip_blanks(at);
	return skip_char(at, ']') ? 0 : -EINVAL;
}

static int take_arm(const char **at, struct usdt_arg *ret)
{
	if (skip_char(at, '['))
		return take_arm_memory(at, ret);
	skip_char(at, '#');
	if (take_number(at, &ret->value)) {
		ret->kind = USDT_ARG_CONSTANT;
		return 0;
	}
	ret->kind = USDT_ARG_REGISTER;
	return take_arm_reg(at, &ret->reg);
}

/* --- all --- */

/* "-4@"; without it, an unsigned word. */
static int take_size(const char **at, struct usdt_arg *ret)
{
	const char *p = *at;
	int64_t size;

	ret->size = 8;
	if (!take_number(&p, &size))
		return 0;
	if (*p == 'f')
		return -EOPNOTSUPP;
	if (*p != '@')
		return 0; /* it was not a size */
	if (size == INT64_MIN)
		return -EINVAL;
	ret->is_signed = size < 0;
	size = size < 0 ? -size : size;
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return -EINVAL;
	ret->size = (uint8_t)size;
	*at = p + 1;
	return 0;
}

int usdt_args_parse(enum usdt_machine machine, const char *text,
		    struct usdt_arg ret[static USDT_ARGS_MAX])
{
	const char *at = text;
	int n = 0;

	for (skip_blanks(&at); *at; skip_blanks(&at)) {
		struct usdt_arg arg = {.reg = USDT_NO_REG, .index = USDT_NO_REG, .scale = 1};
		int r;

		if (n == USDT_ARGS_MAX)
			return -E2BIG;
		r = take_size(&at, &arg);
		if (r == 0)
			r = machine == USDT_X86_64 ? take_x86(&at, &arg) : take_arm(&at, &arg);
		if (r < 0)
			return r;
		if (*at && *at != ' ' && *at != '\t')
			return -EINVAL;
		ret[n++] = arg;
	}
	return n;
}

uint64_t usdt_arg_regs(const struct usdt_arg *arg)
{
	return (arg->reg != USDT_NO_REG ? BIT(arg->reg) : 0) |
	       (arg->index != USDT_NO_REG ? BIT(arg->index) : 0);
}

/* The lowest bytes of a word, with their sign or without. */
static int64_t narrow(uint64_t value, const struct usdt_arg *arg)
{
	unsigned unused = 64 - 8 * (unsigned)arg->size;

	value <<= unused;
	return arg->is_signed ? (int64_t)value >> unused : (int64_t)(value >> unused);
}

int usdt_arg_value(const struct usdt_arg *arg, const struct usdt_state *state, int64_t *ret)
{
	uint64_t address = (uint64_t)arg->value, offset, value = 0;

	if (arg->kind == USDT_ARG_CONSTANT) {
		*ret = narrow((uint64_t)arg->value, arg);
		return 0;
	}
	if (arg->kind == USDT_ARG_REGISTER) {
		*ret = narrow(state->regs[arg->reg] >> arg->shift, arg);
		return 0;
	}
	if (arg->reg != USDT_NO_REG)
		address += state->regs[arg->reg];
	if (arg->index != USDT_NO_REG)
		address += state->regs[arg->index] * arg->scale;
	offset = address - state->stack_start;
	if (!state->stack || offset > state->stack_len || state->stack_len - offset < arg->size)
		return -EFAULT;
	memcpy(&value, state->stack + offset, arg->size);
	*ret = narrow(value, arg);
	return 0;
}
