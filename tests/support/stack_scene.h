/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of stacks of 3.11 and later: an invented thread in main(), which has called, or calls,
 * or will call, callee().
 */
#ifndef TESTS_SUPPORT_STACK_SCENE_H
#define TESTS_SUPPORT_STACK_SCENE_H

#include "recorder/python/py_frames.h"
#include "tests/support/py_image.h"

#define SCENE_FIRST_MINOR  11
#define SCENE_BEHIND_MINOR (PY_MINOR_MAX + 1)
#define SCENE_ENTRY	   (IMAGE_C_STACK + 64) /* the entry frame of a call through C */
#define SCENE_NEXT_CHUNK   UINT64_C(0x7f5000000000)

struct scene {
	struct py_image im;
	struct py_codes *codes;
	struct py_stacks *stacks;
	struct py_stack *stack;
	struct py_snapshot snap;
	struct image_function main_function, callee_function;
	struct image_frame main, callee; /* as they are put into memory by lay_out() */
};

/* main() waits in an inlined call of callee(), which is at its first load. Nothing is laid out. */
void scene_begin(struct scene *s, int minor);
void scene_end(struct scene *s);

/* Put both frames into memory; the callee is the innermost one. */
void scene_lay_out(struct scene *s);

/* From now on main() calls C, which calls callee(). */
void scene_call_through_c(struct scene *s);

/* From now on main() is a loop over a generator, whose frame is in its own object. Lays it out. */
void scene_iterate(struct scene *s, bool executing);

/* callee() has returned; from 3.14 on that clears its code, before it sets stacktop. Lays out. */
void scene_leave_callee(struct scene *s);

/*
 * A snapshot, as the sampler takes it, which goes on when a code object had to be loaded first.
 * Returns as py_stack_read().
 */
int scene_look(struct scene *s);

/* What is published once this stack has been seen some times. */
int scene_look_often(struct scene *s);

#endif
