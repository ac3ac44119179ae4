/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ELF file that a target has mapped: its symbols, sections and where it was loaded. The file
 * is under the target's control: nothing in it is believed, sizes meet limits, and it is read,
 * never mapped (a mapped file that shrinks would kill us).
 */
#ifndef RECORDER_TARGET_ELF_IMAGE_H
#define RECORDER_TARGET_ELF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

struct elf_image;

/* A symbol asked for, and what was found. */
struct elf_symbol {
	const char *name;
	bool found;	/* defined in this file */
	uint64_t value; /* address before the load bias is added */
	uint64_t size;	/* bytes */
};

/*
 * Open a 64-bit little-endian executable or shared library.
 * @fd   lent: must stay open as long as the image
 * Returns 0; -ENOEXEC when that is no ELF file, -EMEDIUMTYPE when it is one for other machines
 * (32 bits, big endian), or another negative errno.
 */
int elf_image_open(int fd, struct elf_image **ret);
void elf_image_close(struct elf_image *image);

DEFINE_CLEANUP(struct elf_image *, elf_image_close)
#define auto_elf_image auto_release(elf_image_close)

/*
 * Look for symbols in the dynamic symbol table, and for those that it lacks in the full one.
 * Fills in found, value and size of each. Returns how many were found, or -EBADMSG when the
 * tables make no sense.
 */
int elf_image_find_symbols(struct elf_image *image, struct elf_symbol *symbols, size_t n);

/* Returns 0, -ENOENT, or -EBADMSG. */
int elf_image_find_section(struct elf_image *image, const char *name, uint64_t *ret_addr,
			   uint64_t *ret_size);

/*
 * How far the file was moved when it was loaded, from one executable mapping of it.
 * @start   address of the mapping
 * @offset  of the mapping in the file
 * @ret     to be added (modulo 2^64) to the file's addresses; 0 for a fixed executable
 * Returns 0 or -ENOENT when no loadable segment explains such a mapping.
 */
int elf_image_load_bias(struct elf_image *image, uint64_t start, uint64_t offset, uint64_t *ret);

#endif
