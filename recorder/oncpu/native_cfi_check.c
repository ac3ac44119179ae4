/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks through call frame instructions before libunwind (1.6.2 was read for this) executes them.
 * It bounds neither the register that DW_CFA_register names, nor the column of the return address;
 * it divides the smallest number by -1, which is a trap; it follows jumps backwards for ever; and
 * it takes for granted that it is said where a frame is. So only what compilers and hand-written
 * tables do use is let through.
 */
#include <string.h>

#include "recorder/oncpu/dwarf_bytes.h"
#include "recorder/oncpu/native_arch.h"
#include "recorder/oncpu/native_tables.h"

/* States that are kept one above the other; compilers keep one. */
#define MAX_REMEMBERED 64

/* DWARF 5, 7.24, and those of GNU. The first three have an operand in their low six bits. */
enum {
	CFA_ADVANCE_LOC = 0x40,
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
	CFA_NOP = 0x00,
	CFA_ADVANCE_LOC1 = 0x02,
	CFA_ADVANCE_LOC2 = 0x03,
	CFA_ADVANCE_LOC4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF_CFA = 0x0c,
	CFA_DEF_CFA_REGISTER = 0x0d,
	CFA_DEF_CFA_OFFSET = 0x0e,
	CFA_DEF_CFA_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_CFA_SF = 0x12,
	CFA_DEF_CFA_OFFSET_SF = 0x13,
	CFA_VAL_EXPRESSION = 0x16,
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

/* DWARF 5, 7.7.1 */
enum {
	OP_DEREF = 0x06,
	OP_CONST1U = 0x08,
	OP_CONST1S = 0x09,
	OP_CONST2U = 0x0a,
	OP_CONST2S = 0x0b,
	OP_CONST4U = 0x0c,
	OP_CONST4S = 0x0d,
	OP_CONST8U = 0x0e,
	OP_CONST8S = 0x0f,
	OP_CONSTU = 0x10,
	OP_CONSTS = 0x11,
	OP_DUP = 0x12,
	OP_PICK = 0x15,
	OP_ROT = 0x17,
	OP_ABS = 0x19,
	OP_AND = 0x1a,
	OP_MINUS = 0x1c,
	OP_MUL = 0x1e,
	OP_PLUS = 0x22,
	OP_PLUS_UCONST = 0x23,
	OP_SHL = 0x24,
	OP_XOR = 0x27,
	OP_EQ = 0x29,
	OP_NE = 0x2e,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_BREG0 = 0x70,
	OP_BREG31 = 0x8f,
	OP_NOP = 0x96,
};

static bool skip(struct dwarf_bytes *b, uint64_t len)
{
	struct dwarf_bytes part;

	return dwarf_read_part(b, len, &part);
}

static bool skip_uleb(struct dwarf_bytes *b)
{
	uint64_t ignored;

	return dwarf_read_uleb(b, &ignored);
}

static bool skip_sleb(struct dwarf_bytes *b)
{
	int64_t ignored;

	return dwarf_read_sleb(b, &ignored);
}

static bool check_register(struct dwarf_bytes *b)
{
	uint64_t number;

	return dwarf_read_uleb(b, &number) && number < NATIVE_DWARF_N;
}

static bool check_operation(struct dwarf_bytes *b, uint8_t op)
{
	if (op >= OP_LIT0 && op <= OP_LIT31)
		return true;
	if (op >= OP_BREG0 && op <= OP_BREG31)
		return op - OP_BREG0 < NATIVE_DWARF_N && skip_sleb(b);
	/* dup, drop, over, swap, rot */
	if (op >= OP_DUP && op <= OP_ROT && op != OP_PICK)
		return true;
	/* eq, ge, gt, le, lt, ne */
	if (op >= OP_EQ && op <= OP_NE)
		return true;
	/* shl, shr, shra, xor */
	if (op >= OP_SHL && op <= OP_XOR)
		return true;
	switch (op) {
	case OP_CONST1U:
	case OP_CONST1S:
		return skip(b, 1);
	case OP_CONST2U:
	case OP_CONST2S:
		return skip(b, 2);
	case OP_CONST4U:
	case OP_CONST4S:
		return skip(b, 4);
	case OP_CONST8U:
	case OP_CONST8S:
		return skip(b, 8);
	case OP_CONSTU:
	case OP_PLUS_UCONST:
		return skip_uleb(b);
	case OP_CONSTS:
		return skip_sleb(b);
	default:
		/* abs, and; minus; mul, neg, not, or, plus: all but div and mod */
		return op == OP_DEREF || op == OP_NOP || op == OP_ABS || op == OP_AND ||
		       op == OP_MINUS || (op >= OP_MUL && op <= OP_PLUS);
	}
}

static bool check_expression(struct dwarf_bytes *b)
{
	struct dwarf_bytes expression;
	uint64_t len;
	uint8_t op;

	if (!dwarf_read_uleb(b, &len) || !dwarf_read_part(b, len, &expression))
		return false;
	while (expression.p < expression.end)
		if (!dwarf_read_u8(&expression, &op) || !check_operation(&expression, op))
			return false;
	return len > 0;
}

struct check {
	struct dwarf_bytes b;
	unsigned remembered;
	bool has_cfa;	/* it was said where the frame is */
	bool lacks_cfa; /* there was code before it was said */
};

static bool check_def_cfa(struct check *c, uint8_t op)
{
	c->has_cfa = true;
	switch (op) {
	case CFA_DEF_CFA:
		return check_register(&c->b) && skip_uleb(&c->b);
	case CFA_DEF_CFA_SF:
		return check_register(&c->b) && skip_sleb(&c->b);
	default:
		return check_expression(&c->b);
	}
}

static bool check_states(struct check *c, uint8_t op)
{
	if (op == CFA_REMEMBER_STATE)
		return ++c->remembered <= MAX_REMEMBERED;
	return c->remembered-- > 0;
}

static bool check_instruction(struct check *c, uint8_t op)
{
	struct dwarf_bytes *b = &c->b;

	switch (op) {
	case CFA_NOP:
		return true;
	case CFA_ADVANCE_LOC1:
		return skip(b, 1);
	case CFA_ADVANCE_LOC2:
		return skip(b, 2);
	case CFA_ADVANCE_LOC4:
		return skip(b, 4);
	case CFA_OFFSET_EXTENDED:
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		return check_register(b) && skip_uleb(b);
	case CFA_OFFSET_EXTENDED_SF:
		return check_register(b) && skip_sleb(b);
	case CFA_RESTORE_EXTENDED:
	case CFA_UNDEFINED:
	case CFA_SAME_VALUE:
	case CFA_DEF_CFA_REGISTER:
		return check_register(b);
	case CFA_REGISTER:
		return check_register(b) && check_register(b);
	case CFA_REMEMBER_STATE:
	case CFA_RESTORE_STATE:
		return check_states(c, op);
	case CFA_DEF_CFA:
	case CFA_DEF_CFA_SF:
	case CFA_DEF_CFA_EXPRESSION:
		return check_def_cfa(c, op);
	case CFA_DEF_CFA_OFFSET:
	case CFA_GNU_ARGS_SIZE:
		return skip_uleb(b);
	case CFA_DEF_CFA_OFFSET_SF:
		return skip_sleb(b);
	case CFA_EXPRESSION:
	case CFA_VAL_EXPRESSION:
		return check_register(b) && check_expression(b);
	default:
		return false;
	}
}

static bool is_advance(uint8_t op)
{
	return (op & 0xc0) == CFA_ADVANCE_LOC || op == CFA_ADVANCE_LOC1 || op == CFA_ADVANCE_LOC2 ||
	       op == CFA_ADVANCE_LOC4;
}

static bool check_program(struct check *c)
{
	uint8_t op;

	while (c->b.p < c->b.end) {
		if (!dwarf_read_u8(&c->b, &op))
			return false;
		c->lacks_cfa |= is_advance(op) && !c->has_cfa;
		switch (op & 0xc0) {
		case CFA_ADVANCE_LOC:
			break;
		case CFA_OFFSET:
			if ((op & 0x3f) >= NATIVE_DWARF_N || !skip_uleb(&c->b))
				return false;
			break;
		case CFA_RESTORE:
			if ((op & 0x3f) >= NATIVE_DWARF_N)
				return false;
			break;
		default:
			if (!check_instruction(c, op))
				return false;
		}
	}
	return true;
}

bool native_cfi_check(const struct native_cfi *cfi)
{
	struct check c = {.b = {.p = cfi->initial, .end = cfi->initial + cfi->initial_len}};

	if (!check_program(&c))
		return false;
	c.b = (struct dwarf_bytes){.p = cfi->program, .end = cfi->program + cfi->program_len};
	c.remembered = 0;
	/* Mostly what is for all functions says where frames are, but not for the kernel's. */
	return check_program(&c) && c.has_cfa && !c.lacks_cfa;
}
