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
/*
 * The same from bytes in memory.
 * @bytes  lent: must stay as they are as long as the image
 */
int elf_image_open_bytes(void *bytes, size_t len, struct elf_image **ret);
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
 * The bytes of a section.
 * @max         larger ones are refused
 * @ret_bytes   lent until the image is closed
 * Returns 0; -ENOENT when there is none, or none with bytes in the file; -EFBIG; or -EBADMSG.
 */
int elf_image_read_section(struct elf_image *image, const char *name, size_t max,
			   const void **ret_bytes, size_t *ret_len);

/* A function as a symbol table has it. */
struct elf_function {
	const char *name; /* never empty; lent during the call */
	uint64_t value;	  /* address before the load bias is added */
	uint64_t size;	  /* bytes, 0 where the table does not say (hand-written assembly) */
	bool global;	  /* not local, not weak */
};

enum elf_table {
	ELF_TABLE_DYNAMIC, /* what others may link to */
	ELF_TABLE_FULL,	   /* .symtab */
};

/* Returns false to get no more of them. */
typedef bool (*elf_function_fn)(void *ctx, const struct elf_function *function);

/*
 * Call fn for each function that is defined in the file, and each symbol without a type that is
 * in an executable section.
 * Returns 0; -ENOENT when there is no such table, or none with bytes in this file; or -EBADMSG.
 */
int elf_image_each_function(struct elf_image *image, enum elf_table table, elf_function_fn fn,
			    void *ctx);

/* The longest build-id that is looked at, in bytes; those of today's linkers have 8 to 20. */
#define ELF_BUILD_ID_MAX 32

struct elf_build_id {
	size_t len; /* 0: none */
	uint8_t bytes[ELF_BUILD_ID_MAX];
};

/* Find it in the bytes of a note segment or section. Returns whether there is one. */
bool elf_build_id_parse(const void *notes, size_t len, struct elf_build_id *ret);
/* Of the file. Returns whether it has one. */
bool elf_image_build_id(struct elf_image *image, struct elf_build_id *ret);

/*
 * What .gnu_debuglink says: the name of a file with the symbols, and the CRC of all its bytes.
 * @name  at most size - 1 bytes, a plain file name without any '/'
 * Returns 0, -ENOENT, or -EBADMSG.
 */
int elf_image_debug_link(struct elf_image *image, char *name, size_t size, uint32_t *ret_crc);

/*
 * How far the file was moved when it was loaded, from one executable mapping of it.
 * @start   address of the mapping
 * @offset  of the mapping in the file
 * @ret     to be added (modulo 2^64) to the file's addresses; 0 for a fixed executable
 * Returns 0 or -ENOENT when no loadable segment explains such a mapping.
 */
int elf_image_load_bias(struct elf_image *image, uint64_t start, uint64_t offset, uint64_t *ret);

/*
 * Where in the file the byte of an address is.
 * @address     before the load bias is added
 * @executable  it must be in a segment that is executed, otherwise in one that is written
 * Returns 0 or -ENOENT.
 */
int elf_image_file_offset(struct elf_image *image, uint64_t address, bool executable,
			  uint64_t *ret);

#endif
