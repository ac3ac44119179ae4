/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions of one ELF file by address: from its own symbol tables, from the small one that
 * some distributions add (.gnu_debugdata), and from the separate debug file where one is
 * installed. All of them are untrusted; what does not fit is left out.
 *
 * Who calls may not be able to open files, so descriptors come from a function of the caller's.
 */
#ifndef RECORDER_ONCPU_NATIVE_SYMBOLS_H
#define RECORDER_ONCPU_NATIVE_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "recorder/target/elf_image.h"

struct mapping;
struct native_symbols;

/* Limits for one file. The largest libraries have half a million functions. */
#define NATIVE_MAX_SYMBOLS	 (1u << 20)
#define NATIVE_MAX_SYMBOL_BYTES	 (64u << 20) /* of names */
#define NATIVE_MAX_DEBUGDATA	 (64u << 20) /* of .gnu_debugdata, unpacked */
#define NATIVE_MAX_SYMBOL_LENGTH 1024	     /* what is longer is cut */

enum native_file_kind {
	NATIVE_FILE_IMAGE,    /* what is mapped */
	NATIVE_FILE_BUILD_ID, /* its debug file, found by the build-id */
	NATIVE_FILE_LINK,     /* the same by its name */
};

/* A file that is wanted. */
struct native_file {
	enum native_file_kind kind;
	const struct mapping *mapping;	     /* executable */
	const struct elf_build_id *build_id; /* with NATIVE_FILE_BUILD_ID */
	const char *link;		     /* with NATIVE_FILE_LINK: a plain file name */
};

/*
 * Open a file for reading. Returns a descriptor, which is then the symbols' and is closed before
 * native_symbols_load() returns, or a negative errno.
 */
typedef int (*native_open_fn)(void *ctx, const struct native_file *file);

/*
 * Read what there is on the file of a mapping; may take some ms.
 * @build_id  what the target has in memory, may be empty: files with another one are not believed
 * Returns symbols, possibly none at all.
 */
struct native_symbols *native_symbols_load(const struct mapping *mapping,
					   const struct elf_build_id *build_id, native_open_fn open,
					   void *ctx);
/* The same from the bytes of a file: the vDSO's. */
struct native_symbols *native_symbols_from_bytes(void *bytes, size_t len);
void native_symbols_free(struct native_symbols *symbols);

DEFINE_CLEANUP(struct native_symbols *, native_symbols_free)
#define auto_native_symbols auto_release(native_symbols_free)

size_t native_symbols_count(const struct native_symbols *symbols);
/* What they take in memory. */
size_t native_symbols_bytes(const struct native_symbols *symbols);

/*
 * The function around an address.
 * @addr   before the load bias was added
 * @start  where the unwind table says that the function begins, or addr when that is not known
 * @ret_offset  of addr in the function
 * Returns its name, lent as long as the symbols, or NULL when no symbol covers that address: the
 * nearest one before it would be another function.
 */
const char *native_symbols_find(const struct native_symbols *symbols, uint64_t addr, uint64_t start,
				uint64_t *ret_offset);

#endif
