/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile target. Memory is laid out as an interpreter would have it, with threads, code, frames,
 * a generator and two chunks of data stack; then the input writes into it, before and between the
 * snapshots. Nothing of it may crash us, keep us busy for long, or make us allocate much.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/python/py_frames.h"
#include "recorder/python/py_object.h"
#include "recorder/python/py_threads.h"
#include "tests/support/py_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEXT_CHUNK UINT64_C(0x7f5000000000)
#define ENTRY	   (IMAGE_C_STACK + 64)

struct input {
	const uint8_t *at, *end;
	unsigned left_in_step; /* writes until the next look */
};

static uint64_t take(struct input *in, unsigned n)
{
	uint64_t v = 0;

	for (; n && in->at < in->end; n--)
		v = v << 8 | *in->at++;
	return v;
}

static const remote_addr places[] = {IMAGE_HEAP,  IMAGE_TSTATE, IMAGE_C_STACK,
				     IMAGE_CHUNK, NEXT_CHUNK,	IMAGE_HEAP + 0x4000};
#define N_PLACES (sizeof(places) / sizeof(places[0]))

/* One write: where, how many bytes, and a number or an address. */
static void write_one(struct py_image *im, struct input *in)
{
	unsigned kind = (unsigned)take(in, 1);
	remote_addr at = places[kind % N_PLACES] + take(in, 2) % 4088;
	unsigned what = (unsigned)take(in, 1);

	if (what < 0x40)
		*py_image_at(im, at, 1) = (uint8_t)take(in, 1);
	else if (what < 0x80)
		py_image_put32(im, at & ~UINT64_C(3), (uint32_t)take(in, 4));
	else if (what < 0xc0)
		py_image_put(im, at & ~UINT64_C(7), places[what % N_PLACES] + take(in, 2));
	else
		py_image_put(im, at & ~UINT64_C(7), take(in, 8));
}

/* Before each read there may be a write, as by a target that keeps running. */
static void keep_running(struct py_image *im, remote_addr addr, size_t len)
{
	struct input *in = im->ctx;

	(void)addr;
	(void)len;
	if (in->at < in->end && in->left_in_step) {
		in->left_in_step--;
		write_one(im, in);
	}
}

/* To 3.10: a thread in a frame object. */
static void lay_out_heap(struct py_image *im)
{
	static const uint8_t instructions[32] = {124, 0, 93, 2, 83, 0}, lines[] = {4, 1, 28, 1};
	const struct py_layout *l = &im->l;
	remote_addr code = py_image_alloc(im, l->code.size);
	remote_addr frames[3];

	py_image_put(im, code + PY_OB_TYPE, im->code_type);
	py_image_put32(im, code + l->code.first_line, 7);
	py_image_put32(im, code + l->code.stacksize, 3);
	py_image_put32(im, code + l->code.nlocals, 1);
	py_image_put(im, code + l->code.code,
		     py_image_bytes(im, instructions, sizeof(instructions)));
	py_image_put(im, code + l->code.filename, py_image_ascii(im, "/app/app.py"));
	py_image_put(im, code + l->code.name, py_image_ascii(im, "main"));
	py_image_put(im, code + l->code.linetable, py_image_bytes(im, lines, sizeof(lines)));
	for (int i = 0; i < 3; i++) {
		frames[i] = py_image_alloc(im, l->frame.size + 64);
		py_image_put(im, frames[i] + l->frame.code, code);
		py_image_put(im, frames[i] + l->frame.previous, i ? frames[i - 1] : 0);
		py_image_put32(im, frames[i] + l->frame.ip, 2);
		py_image_put(im, frames[i] + l->frame.valuestack, frames[i] + l->frame.size + 8);
		*py_image_at(im, frames[i] + l->frame.executing, 1) =
		    l->liveness == PY_LIVE_EXECUTING;
	}
	py_image_put(im, IMAGE_TSTATE + l->thread.frame, frames[2]);
}

/* From 3.11: main() calls callee(), which iterates over a generator, which calls C, and so on. */
static void lay_out_stack(struct py_image *im)
{
	struct image_code code = {.file = "/app/app.py",
				  .name = "main",
				  .nlocalsplus = 1,
				  .stacksize = 3,
				  .first_line = 10};
	bool through_c = im->l.frame.is_entry == LAYOUT_ABSENT;
	struct image_function calls = py_image_function(im, 0, &code), loops;
	struct image_frame main = {.addr = IMAGE_CHUNK + 32,
				   .function = &calls,
				   .unit = py_image_waiting(im, &calls, AT_CALL),
				   .waits = true};
	struct image_frame callee = main, generator = {0}, last = main;

	memcpy(code.ops,
	       (enum image_op[]){IMAGE_RESUME, IMAGE_LOAD_FAST, IMAGE_FOR_ITER, IMAGE_RETURN_VALUE,
				 IMAGE_END},
	       5 * sizeof(code.ops[0]));
	loops = py_image_function(im, 0, &code);
	callee.function = &loops;
	callee.addr += 8 * (uint64_t)calls.frame_words;
	callee.previous = main.addr;
	callee.unit = loops.at[2];
	callee.waits = im->l.liveness == PY_LIVE_CODE;
	callee.n_operands = 1;
	generator = callee;
	generator.addr = py_image_generator(im, true);
	generator.previous = through_c ? ENTRY : callee.addr;
	generator.is_entry = true;
	generator.owner = IMAGE_OWNED_BY_GENERATOR;
	last.addr = py_image_chunk(im, NEXT_CHUNK, IMAGE_CHUNK);
	last.previous = through_c ? ENTRY + 256 : generator.addr;
	last.unit = calls.at[AT_LOAD];
	last.waits = false;
	last.is_entry = true;
	py_image_entry(im, ENTRY, callee.addr);
	py_image_entry(im, ENTRY + 256, generator.addr);
	py_image_frame(im, &main);
	py_image_frame(im, &callee);
	py_image_frame(im, &generator);
	py_image_frame(im, &last);
	py_image_put(im, py_image_operand(im, &main, 0), loops.object);
	py_image_put(im, py_image_operand(im, &callee, 0),
		     py_image_generator_object(im, generator.addr));
	py_image_thread(im, last.addr, last.addr + 8 * (uint64_t)calls.frame_words);
}

/* The runtime with one interpreter and the thread; returns its address. */
static remote_addr lay_out_runtime(struct py_image *im)
{
	const struct py_layout *l = &im->l;
	remote_addr runtime = py_image_alloc(im, 0x1000), interp = py_image_alloc(im, 0x2000);

	py_image_put(im, runtime + l->runtime.interpreters_head, interp);
	py_image_put(im, interp + l->interp.threads_head, IMAGE_TSTATE);
	if (l->interp.gil != LAYOUT_ABSENT)
		py_image_put(im, interp + l->interp.gil, runtime);
	py_image_put(im, IMAGE_TSTATE + l->thread.interp, interp);
	return runtime;
}

static void look(struct py_image *im, struct py_codes *codes, struct py_stacks *stacks,
		 struct py_stack *stack, struct py_snapshot *snap)
{
	if (py_stack_read(stacks, stack, 1, snap) < 0)
		return;
	if (snap->n > PY_MAX_FRAMES)
		abort();
	for (uint32_t i = 0; i < snap->n; i++) {
		struct py_code *code = snap->frames[i].code;

		if (py_frame_line(codes, &snap->frames[i]) < 0 && code->first_line >= 0)
			abort();
		if (i < 8 && py_codes_check(codes, code, 2, i & 1) == 0)
			break; /* forgotten; those of this snapshot stay until they are collected */
	}
	(void)im;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size, 0};
	unsigned minor = PY_MINOR_MIN + (unsigned)take(&in, 1) % (PY_MINOR_MAX - PY_MINOR_MIN + 1);
	struct py_snapshot snap = {0};
	struct py_thread *threads = NULL;
	struct py_stacks *stacks;
	struct py_codes *codes;
	struct py_stack *stack;
	struct py_gil gil;
	remote_addr runtime;
	struct py_image im;
	size_t cap = 0;
	int n;

	py_image_init(&im, minor);
	runtime = lay_out_runtime(&im);
	if (im.l.frame_kind == PY_FRAMES_STACK) {
		lay_out_stack(&im);
	} else {
		py_image_map(&im, IMAGE_CHUNK, IMAGE_CHUNK_BYTES);
		py_image_map(&im, NEXT_CHUNK, IMAGE_CHUNK_BYTES);
		lay_out_heap(&im);
	}
	im.before_read = keep_running;
	im.ctx = &in;
	codes = py_codes_new(&im.mem, &im.l);
	stacks = py_stacks_new(&im.mem, &im.l, codes);
	stack = py_stack_new(IMAGE_TSTATE);
	for (int step = 0; step < 12; step++) {
		in.left_in_step = step < 4 ? 0 : (unsigned)take(&in, 1) % 16;
		look(&im, codes, stacks, stack, &snap);
		py_codes_collect(codes);
	}
	in.left_in_step = 4;
	n = py_threads_list(&im.mem, &im.l, runtime, &threads, &cap);
	if (n > PY_MAX_THREADS)
		abort();
	if (n > 0)
		py_gil_read(&im.mem, &im.l, threads[n - 1].gil, &gil);
	free(threads);
	free(snap.frames);
	py_stack_free(stack);
	py_stacks_free(stacks);
	py_codes_free(codes);
	py_image_done(&im);
	return 0;
}
