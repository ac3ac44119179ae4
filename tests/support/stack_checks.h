/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of stacks check again and again. */
#ifndef TESTS_SUPPORT_STACK_CHECKS_H
#define TESTS_SUPPORT_STACK_CHECKS_H

#include <check.h>

#include "tests/support/stack_scene.h"

static inline void check_frame(struct scene *s, uint32_t i, const struct image_frame *f)
{
	const struct py_frame *frame = &s->snap.frames[i];

	ck_assert_uint_lt(i, s->snap.n);
	ck_assert_uint_eq(frame->addr, f->addr);
	ck_assert_uint_eq(frame->code->addr, f->function->code);
	ck_assert_uint_eq(frame->unit, f->unit);
}

static inline void check_both(struct scene *s)
{
	ck_assert_int_eq(s->snap.cut, PY_NOT_CUT);
	ck_assert_uint_eq(s->snap.n, 2);
	check_frame(s, 0, &s->main);
	check_frame(s, 1, &s->callee);
}

static inline void check_main_alone(struct scene *s, enum py_cut cut)
{
	ck_assert_int_eq(s->snap.cut, cut);
	ck_assert_uint_eq(s->snap.n, 1);
	check_frame(s, 0, &s->main);
}

#endif
