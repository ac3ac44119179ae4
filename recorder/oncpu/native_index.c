/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * .eh_frame is a sequence of records: a length, then 0 in a CIE, or in an FDE the distance back to
 * its CIE, and where its function begins. Only that is read here, with the encoding that nearly
 * all compilers use; what is written otherwise is left out.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/oncpu/native_images.h"
#include "recorder/oncpu/native_memory.h"
#include "recorder/oncpu/native_tables.h"

/* Length, distance and start, of four bytes each; the start is relative to where it stands. */
#define RECORD_HEAD_BYTES 12

struct index {
	struct native_index_entry *items;
	size_t n, cap;
};

static int compare_entries(const void *a_, const void *b_)
{
	const struct native_index_entry *a = a_, *b = b_;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->fde < b->fde ? -1 : a->fde > b->fde;
}

static int add_fde(struct index *index, struct native_memory *memory, uint64_t at)
{
	int32_t distance;
	int r;

	r = native_memory_read(memory, at + 8, &distance, sizeof(distance));
	if (r < 0)
		return r;
	index->items = xgrow(index->items, &index->cap, index->n + 1, sizeof(*index->items));
	index->items[index->n++] = (struct native_index_entry){
	    .start = at + 8 + (uint64_t)(int64_t)distance,
	    .fde = at,
	};
	return 0;
}

static int read_section(struct index *index, struct native_memory *memory, uint64_t at,
			uint64_t end)
{
	uint32_t head[2];
	int r;

	while (index->n < NATIVE_MAX_INDEX && end - at >= RECORD_HEAD_BYTES) {
		r = native_memory_read(memory, at, head, sizeof(head));
		if (r < 0)
			return r;
		/* The end, or a length that does not fit. */
		if (head[0] < RECORD_HEAD_BYTES - 4 || head[0] > end - at - 4)
			break;
		if (head[1] != 0) {
			r = add_fde(index, memory, at);
			if (r < 0)
				return r;
		}
		at += 4 + (uint64_t)head[0];
	}
	return 0;
}

int native_image_index(struct native_image *image, struct native_memory *memory, uint64_t addr,
		       uint64_t size)
{
	struct index index = {0};
	int r;

	if (addr < image->low || addr >= image->high || size > image->high - addr)
		return -ENOENT;
	if (size > NATIVE_MAX_SECTION_BYTES)
		return -EFBIG;
	r = read_section(&index, memory, addr, addr + size);
	if (r < 0 || index.n == 0) {
		free(index.items);
		return r < 0 ? r : -ENOENT;
	}
	qsort(index.items, index.n, sizeof(*index.items), compare_entries);
	image->index = index.items;
	image->n_entries = (uint32_t)index.n;
	image->state = NATIVE_IMAGE_READY;
	return 0;
}
