/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unwind tables (.eh_frame_hdr and .eh_frame) in a target's memory: how to undo what the function
 * around an address did to the stack. They are the target's own and may lie: what comes out of
 * here is a copy of bounded size, looked through to its end, with nothing in it that the library
 * which executes it can be harmed by, or kept busy for long.
 */
#ifndef RECORDER_ONCPU_NATIVE_TABLES_H
#define RECORDER_ONCPU_NATIVE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct native_image;
struct native_memory;

/* An interpreter's main loop takes about 2 KiB. */
#define NATIVE_MAX_CIE_BYTES 512
#define NATIVE_MAX_FDE_BYTES (32u << 10)

/* Call frame information of one function: DWARF's CIE and FDE (LSB 5.0, 10.6). */
struct native_cfi {
	uint64_t start, end; /* addresses of the function's code */
	bool signal_frame;   /* the kernel made this frame to call a signal handler */
	uint64_t code_align;
	int64_t data_align;
	/* Instructions, those for all functions first. */
	const unsigned char *initial, *program;
	size_t initial_len, program_len;
	unsigned char cie[NATIVE_MAX_CIE_BYTES];
	unsigned char fde[NATIVE_MAX_FDE_BYTES];
};

/*
 * Find what the table of an image has on the function around an address.
 * @image  NATIVE_IMAGE_READY
 * Returns 0; -ENOENT when it has nothing; -EBADMSG when that makes no sense, or is beyond a limit;
 * or -EFAULT, -ESRCH or -ELOOP of native_memory_read().
 */
int native_cfi_find(const struct native_image *image, struct native_memory *memory, uint64_t addr,
		    struct native_cfi *ret);

/* Of a section without a search table. A statically linked interpreter has 2 MB. */
#define NATIVE_MAX_SECTION_BYTES (16u << 20)
#define NATIVE_MAX_INDEX	 (1u << 18)

/*
 * Make an image NATIVE_IMAGE_READY that is NATIVE_IMAGE_NO_TABLE, by going through all of its
 * .eh_frame. Programs that are linked statically have no .eh_frame_hdr.
 * @addr, @size  of that section
 * Returns 0, -ENOENT when there is nothing in it, -EFBIG, or what native_memory_read() does.
 */
int native_image_index(struct native_image *image, struct native_memory *memory, uint64_t addr,
		       uint64_t size);

/* Whether its instructions are all known, whole and harmless. Part of native_cfi_find(). */
bool native_cfi_check(const struct native_cfi *cfi);

#endif
