/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the code of a function tells of its frame. Where programs are built with frame pointers, a
 * frame is found through a register that we can't know until some inner function has saved it. But
 * the code that made the frame says how large it is, and a stack pointer is known.
 */
#ifndef RECORDER_ONCPU_NATIVE_PROLOGUE_H
#define RECORDER_ONCPU_NATIVE_PROLOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct native_memory;

/* A function makes room once; what looks the same by chance comes on top. */
#define NATIVE_MAX_ROOMS 16

/*
 * How many bytes a function may have taken from the stack below the registers that it pushed: the
 * amounts that its code subtracts from the stack pointer.
 * @start  where the function begins
 * @end    where it is now
 * Returns how many there are: none when the code can't be read, or this is not known of the
 * machine.
 */
size_t native_prologue_rooms(struct native_memory *memory, uint64_t start, uint64_t end,
			     uint32_t rooms[static NATIVE_MAX_ROOMS]);

enum native_call {
	NATIVE_CALL_NONE,     /* there is no call in front of it */
	NATIVE_CALL_INDIRECT, /* through a register or a table */
	NATIVE_CALL_DIRECT,
};

/* The call that ends at an address. @ret_target  with NATIVE_CALL_DIRECT: of what */
enum native_call native_call_before(struct native_memory *memory, uint64_t ip,
				    uint64_t *ret_target);

#endif
