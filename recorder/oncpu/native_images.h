/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program, libraries and vDSO that a target runs code of, from its mappings and the ELF
 * headers in its memory: which of them an address lies in, how far it was moved when it was
 * loaded, and where its unwind table is. Headers are the target's own and may say anything.
 */
#ifndef RECORDER_ONCPU_NATIVE_IMAGES_H
#define RECORDER_ONCPU_NATIVE_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "recorder/target/elf_image.h"
#include "recorder/target/mappings.h"

struct native_memory;

enum native_image_state {
	NATIVE_IMAGE_UNREAD,
	NATIVE_IMAGE_NO_ELF, /* its memory does not begin with the header of an ELF file */
	NATIVE_IMAGE_NO_TABLE,
	NATIVE_IMAGE_READY,
};

/* Where a function begins, and where its FDE is. */
struct native_index_entry {
	uint64_t start, fde;
};

/* One executable mapping. */
struct native_image {
	uint64_t start, end; /* addresses in the target */
	uint64_t header;     /* where the file's beginning is mapped, or 0 */
	uint64_t header_end;
	const struct mapping *mapping; /* NULL for the vDSO */
	/* What its headers say. All but state only from NATIVE_IMAGE_NO_TABLE on. */
	enum native_image_state state;
	uint64_t bias;	     /* to be added to the file's addresses */
	uint64_t low, high;  /* addresses of all that is loaded, high is behind it */
	uint64_t table;	     /* address of .eh_frame_hdr's search table */
	uint64_t table_base; /* of .eh_frame_hdr; entries are relative to it */
	uint32_t n_entries;
	/* A search table of our own, by address, where the file has none. */
	struct native_index_entry *index;
	bool has_tried_index;
	struct elf_build_id build_id;
};

struct native_images {
	struct mappings maps;
	struct native_image *items; /* by address */
	size_t n;
};

/* Take over mappings. */
void native_images_init(struct native_images *images, struct mappings *maps);
void native_images_done(struct native_images *images);

static inline void native_images_done_p(struct native_images *images)
{
	native_images_done(images);
}
#define auto_native_images __attribute__((cleanup(native_images_done_p)))

/* Whether code is mapped at the same addresses from the same files. */
bool native_images_same(const struct native_images *a, const struct native_images *b);

/* The one with this address in its executable mapping, lent, or NULL. Its headers may be unread. */
struct native_image *native_images_find(const struct native_images *images, uint64_t addr);

/*
 * Read its headers, if that was not done yet. Returns 0 with image->state set, or -EFAULT, -ESRCH
 * or -ELOOP of native_memory_read().
 */
int native_image_load(struct native_image *image, struct native_memory *memory);

/* Path as the target names it, "[vdso]" for that. */
const char *native_image_name(const struct native_image *image);

#endif
