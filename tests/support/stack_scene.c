/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/stack_scene.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

void scene_begin(struct scene *s, int minor)
{
	struct image_code code = {.file = "/app/app.py",
				  .name = "main",
				  .nlocalsplus = 1,
				  .stacksize = 3,
				  .first_line = 10};

	memset(s, 0, sizeof(*s));
	py_image_init(&s->im, (unsigned)minor);
	s->codes = py_codes_new(&s->im.mem, &s->im.l);
	s->stacks = py_stacks_new(&s->im.mem, &s->im.l, s->codes);
	s->stack = py_stack_new(IMAGE_TSTATE);
	s->main_function = py_image_function(&s->im, 0, &code);
	code.name = "callee";
	code.first_line = 30;
	s->callee_function = py_image_function(&s->im, 0, &code);
	s->main = (struct image_frame){
	    .addr = IMAGE_CHUNK + 32,
	    .function = &s->main_function,
	    .unit = py_image_waiting(&s->im, &s->main_function, AT_CALL),
	    .waits = true,
	    .n_operands = 0,
	};
	s->callee = (struct image_frame){
	    .addr = s->main.addr + 8 * (uint64_t)s->main_function.frame_words,
	    .previous = s->main.addr,
	    .function = &s->callee_function,
	    .unit = s->callee_function.at[AT_LOAD],
	};
}

void scene_end(struct scene *s)
{
	free(s->snap.frames);
	py_stack_free(s->stack);
	py_stacks_free(s->stacks);
	py_codes_free(s->codes);
	py_image_done(&s->im);
}

void scene_lay_out(struct scene *s)
{
	py_image_frame(&s->im, &s->main);
	py_image_frame(&s->im, &s->callee);
	py_image_put(&s->im, py_image_operand(&s->im, &s->main, s->main.n_operands),
		     s->callee_function.object);
	py_image_thread(&s->im, s->callee.addr,
			s->callee.addr + 8 * (uint64_t)s->callee_function.frame_words);
}

void scene_call_through_c(struct scene *s)
{
	s->main.unit = s->main_function.at[AT_CALL];
	s->main.waits = s->im.l.liveness == PY_LIVE_CODE;
	if (s->im.l.frame.is_entry != LAYOUT_ABSENT) {
		s->callee.is_entry = true;
	} else {
		py_image_entry(&s->im, SCENE_ENTRY, s->main.addr);
		s->callee.previous = SCENE_ENTRY;
	}
}

void scene_iterate(struct scene *s, bool executing)
{
	struct image_code code = {
	    .file = "/app/app.py",
	    .name = "main",
	    .ops = {IMAGE_RESUME, IMAGE_LOAD_FAST, IMAGE_FOR_ITER, IMAGE_RETURN_VALUE, IMAGE_END},
	    .nlocalsplus = 1,
	    .stacksize = 3,
	    .first_line = 10};
	bool inlined = executing && s->im.l.frame.is_entry == LAYOUT_ABSENT;

	s->main_function = py_image_function(&s->im, 0, &code);
	s->main.unit =
	    inlined ? py_image_waiting(&s->im, &s->main_function, 2) : s->main_function.at[2];
	s->main.waits = inlined;
	s->main.n_operands = 1;
	s->callee.addr = py_image_generator(&s->im, executing);
	s->callee.owner = IMAGE_OWNED_BY_GENERATOR;
	s->callee.is_entry = s->im.l.frame.is_entry != LAYOUT_ABSENT;
	scene_lay_out(s);
	py_image_put(&s->im, py_image_operand(&s->im, &s->main, 0),
		     py_image_generator_object(&s->im, s->callee.addr));
}

void scene_leave_callee(struct scene *s)
{
	s->callee.unit = s->callee_function.at[AT_RETURN];
	s->callee.waits = s->im.l.liveness == PY_LIVE_STACKTOP;
	scene_lay_out(s);
	if (s->im.l.liveness == PY_LIVE_CODE)
		py_image_pop(&s->im, s->callee.addr);
	py_image_thread(&s->im, s->main.addr, s->callee.addr);
}

int scene_look(struct scene *s)
{
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < 16; i++)
		r = py_stack_read(s->stacks, s->stack, clock_monotonic_ns(), &s->snap);
	return r;
}

int scene_look_often(struct scene *s)
{
	int r = 0;

	for (int i = 0; r == 0 && i < 64; i++)
		r = scene_look(s);
	return r;
}
