/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An invented process for unwinders: a program of a few functions with its ELF header and unwind
 * tables, and a stack. Tests and the fuzzer change any byte of it.
 */
#ifndef TESTS_SUPPORT_NATIVE_SCENE_H
#define TESTS_SUPPORT_NATIVE_SCENE_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/oncpu/native_stack.h"
#include "recorder/target/memory.h"

#define SCENE_IMAGE	  UINT64_C(0x400000)
#define SCENE_IMAGE_BYTES 0x4000u
#define SCENE_TABLE	  0x400u  /* of .eh_frame_hdr in the image */
#define SCENE_FRAMES	  0x800u  /* of .eh_frame */
#define SCENE_TEXT	  0x2000u /* of the first function; each has SCENE_FUNCTION_BYTES */
#define SCENE_STACK	  UINT64_C(0x7ff000000000)
#define SCENE_STACK_BYTES 0x8000u
#define SCENE_SP	  (SCENE_STACK + 0x1000)

#define SCENE_FUNCTION_BYTES 0x100u
/* Inside function i, as a return address. */
#define SCENE_IP(i) (SCENE_IMAGE + SCENE_TEXT + (uint64_t)(i)*SCENE_FUNCTION_BYTES + 0x40)

#define SCENE_MAX_FUNCTIONS 8

/* Call frame instructions. */
struct scene_program {
	const void *bytes;
	size_t len;
};

struct native_scene {
	struct memory mem;
	int maps_fd;
	struct native_unwinder *unwinder;
	uint8_t image[SCENE_IMAGE_BYTES];
	uint8_t stack[SCENE_STACK_BYTES];
	size_t fdes[SCENE_MAX_FUNCTIONS]; /* offsets in the image */
	size_t cie;
};

/*
 * Lay out functions that follow the CIE's rule (the frame is at the stack pointer + 16, the return
 * address below it) as changed by their programs.
 * @cie  replaces the rule, when it has bytes
 */
void native_scene_init(struct native_scene *s, const struct scene_program *functions, size_t n,
		       struct scene_program cie);
void native_scene_done(struct native_scene *s);

/* Write a word to the stack, at an offset from SCENE_SP. */
void native_scene_push(struct native_scene *s, size_t offset, uint64_t word);

#endif
