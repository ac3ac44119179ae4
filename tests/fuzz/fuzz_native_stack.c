/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile target's stack and unwind tables. A small program is laid out in invented memory; the
 * input gives the call frame instructions of its functions and then writes anywhere, before each
 * of two unwinds. Nothing of it may crash us or keep us busy for long.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/native_scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_FUNCTIONS 4u
#define N_WRITES    16u

struct input {
	const uint8_t *at, *end;
};

static uint64_t take(struct input *in, unsigned n)
{
	uint64_t v = 0;

	for (; n && in->at < in->end; n--)
		v = v << 8 | *in->at++;
	return v;
}

static struct scene_program take_program(struct input *in)
{
	size_t len = take(in, 1) % 64;

	if (len > (size_t)(in->end - in->at))
		len = (size_t)(in->end - in->at);
	in->at += len;
	return (struct scene_program){in->at - len, len};
}

static void write_one(struct native_scene *s, struct input *in)
{
	unsigned what = (unsigned)take(in, 1);
	size_t at = take(in, 2);
	uint64_t value;

	switch (what % 4) {
	case 0:
		s->image[at % SCENE_IMAGE_BYTES] = (uint8_t)take(in, 1);
		return;
	case 1:
		/* Headers and tables. */
		s->image[at % 0xc00] = (uint8_t)take(in, 1);
		return;
	case 2:
		value = SCENE_IP(take(in, 1) % N_FUNCTIONS);
		break;
	default:
		value = SCENE_STACK + take(in, 2);
		break;
	}
	native_scene_push(s, at % 0x1000 * 8 % 0x6000, value);
}

static void unwind(struct native_scene *s)
{
	static struct native_frame frames[NATIVE_MAX_FRAMES];
	enum native_end why;
	size_t n;

	if (native_unwind(s->unwinder, SCENE_IP(0), SCENE_SP, frames, NATIVE_MAX_FRAMES, &n, &why) <
		0 ||
	    n > NATIVE_MAX_FRAMES || why >= N_NATIVE_ENDS)
		abort();
	native_name(s->unwinder, frames, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct native_scene scene;
	struct scene_program functions[N_FUNCTIONS];
	struct input in = {data, data + size};
	struct scene_program cie = take_program(&in);

	for (unsigned i = 0; i < N_FUNCTIONS; i++)
		functions[i] = take_program(&in);
	native_scene_init(&scene, functions, N_FUNCTIONS, cie);
	for (unsigned i = 0; i < N_FUNCTIONS; i++)
		native_scene_push(&scene, 8 + 16 * i, SCENE_IP(i + 1));
	for (unsigned unwinds = 0; unwinds < 2; unwinds++) {
		for (unsigned i = 0; i < N_WRITES && in.at < in.end; i++)
			write_one(&scene, &in);
		unwind(&scene);
	}
	native_scene_done(&scene);
	return 0;
}
