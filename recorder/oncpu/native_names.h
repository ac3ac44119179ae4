/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files say that a target has mapped. Symbols are loaded once, when they are first needed.
 */
#ifndef RECORDER_ONCPU_NATIVE_NAMES_H
#define RECORDER_ONCPU_NATIVE_NAMES_H

#include "common/cleanup.h"
#include "recorder/oncpu/native_symbols.h"

struct native_image;
struct native_images;
struct native_memory;
struct native_names;

/*
 * What all symbols of a target may take; those of an interpreter with its libraries take 3 MB.
 * Files beyond that stay without.
 */
#define NATIVE_MAX_NAMES_BYTES (128u << 20)

/* @open, @ctx  where files come from, see native_symbols.h */
struct native_names *native_names_new(native_open_fn open, void *ctx);
void native_names_free(struct native_names *names);

/* Symbols of an image whose headers were read, lent until the next native_names_prune(). */
const struct native_symbols *native_names_get(struct native_names *names,
					      const struct native_image *image,
					      struct native_memory *memory);

/*
 * Find a section in the file of an image.
 * @ret_addr  in the target
 * Returns 0, or a negative errno.
 */
int native_names_find_section(struct native_names *names, const struct native_image *image,
			      const char *name, uint64_t *ret_addr, uint64_t *ret_size);

/* Drop the symbols of files that are not among these images any more. */
void native_names_prune(struct native_names *names, const struct native_images *images);

#endif
