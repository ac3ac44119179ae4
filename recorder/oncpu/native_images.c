/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A library's mappings lie one behind the other, its headers in the first one:
 *
 *     7f0a1c000000-7f0a1c026000 r--p 00000000 fe:01 1184  /usr/lib/x86_64-linux-gnu/libc.so.6
 *     7f0a1c026000-7f0a1c17b000 r-xp 00026000 fe:01 1184  /usr/lib/x86_64-linux-gnu/libc.so.6
 */
#include "recorder/oncpu/native_images.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "common/xalloc.h"
#include "recorder/oncpu/native_memory.h"

/* More program headers, or mappings of one file in a row, than any linker or loader makes. */
#define MAX_PROGRAM_HEADERS 64
#define MAX_FILE_MAPPINGS   64
#define MAX_NOTE_BYTES	    1024

/* The smallest page of any machine: segments are aligned to it at least. */
#define PAGE_BYTES UINT64_C(4096)

/* Pointer encodings of .eh_frame_hdr (LSB 5.0, 10.5.1). */
#define ENCODED_UDATA4	   0x03
#define ENCODED_SDATA4	   0x0b
#define ENCODED_FORMAT	   0x0f
#define ENCODED_DATAREL	   0x30
#define TABLE_HEADER_BYTES 12
#define TABLE_ENTRY_BYTES  8

static bool is_same_file(const struct mapping *a, const struct mapping *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

/* The nearest mapping of the file's beginning at or below an executable one. */
static const struct mapping *find_header(const struct mappings *maps, size_t i)
{
	const struct mapping *code = &maps->items[i];

	for (unsigned n = 0; n < MAX_FILE_MAPPINGS; n++, i--) {
		const struct mapping *m = &maps->items[i];

		if (!is_same_file(m, code))
			return NULL;
		if (m->offset == 0)
			return m;
		if (i == 0)
			return NULL;
	}
	return NULL;
}

static void add_file(struct native_images *images, size_t i)
{
	const struct mapping *map = &images->maps.items[i];
	const struct mapping *header = find_header(&images->maps, i);

	images->items[images->n++] = (struct native_image){
	    .start = map->start,
	    .end = map->end,
	    .header = header ? header->start : 0,
	    .header_end = header ? header->end : 0,
	    .mapping = map,
	};
}

static void add_vdso(struct native_images *images)
{
	const struct mappings *maps = &images->maps;
	size_t at = images->n;

	if (maps->vdso_end == 0)
		return;
	while (at > 0 && images->items[at - 1].start > maps->vdso_start)
		at--;
	memmove(&images->items[at + 1], &images->items[at],
		(images->n - at) * sizeof(*images->items));
	images->n++;
	images->items[at] = (struct native_image){
	    .start = maps->vdso_start,
	    .end = maps->vdso_end,
	    .header = maps->vdso_start,
	    .header_end = maps->vdso_end,
	};
}

void native_images_init(struct native_images *images, struct mappings *maps)
{
	*images = (struct native_images){.maps = *maps};
	*maps = (struct mappings){0};
	images->items = xcalloc(images->maps.n + 1, sizeof(*images->items));
	for (size_t i = 0; i < images->maps.n; i++)
		if (images->maps.items[i].executable)
			add_file(images, i);
	add_vdso(images);
}

void native_images_done(struct native_images *images)
{
	for (size_t i = 0; i < images->n; i++)
		free(images->items[i].index);
	mappings_done(&images->maps);
	free(images->items);
	*images = (struct native_images){0};
}

static bool is_same_image(const struct native_image *a, const struct native_image *b)
{
	if (a->start != b->start || a->end != b->end || a->header != b->header)
		return false;
	if (!a->mapping || !b->mapping)
		return a->mapping == b->mapping;
	return is_same_file(a->mapping, b->mapping) && a->mapping->offset == b->mapping->offset;
}

bool native_images_same(const struct native_images *a, const struct native_images *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!is_same_image(&a->items[i], &b->items[i]))
			return false;
	return true;
}

struct native_image *native_images_find(const struct native_images *images, uint64_t addr)
{
	size_t low = 0, high = images->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (addr < images->items[mid].start)
			high = mid;
		else if (addr >= images->items[mid].end)
			low = mid + 1;
		else
			return &images->items[mid];
	}
	return NULL;
}

/* Whether this is the segment that the image's executable mapping shows, when moved by bias. */
static bool is_code_segment(const struct native_image *image, const Elf64_Phdr *ph, uint64_t bias)
{
	uint64_t first = bias + (ph->p_vaddr & -PAGE_BYTES);
	uint64_t offset = image->mapping ? image->mapping->offset : 0;

	return ph->p_flags & PF_X && image->start >= first &&
	       image->start - first == offset - (ph->p_offset & -PAGE_BYTES) &&
	       image->start - bias < ph->p_vaddr + ph->p_memsz;
}

/* Where all segments are in memory. Returns whether the mappings agree. */
static bool place_segments(struct native_image *image, const Elf64_Phdr *phs, unsigned n)
{
	bool has_bias = false, has_code = false;
	uint64_t bias = 0;

	for (unsigned i = 0; i < n && !has_bias; i++) {
		if (phs[i].p_type != PT_LOAD || phs[i].p_offset >= PAGE_BYTES)
			continue;
		bias = image->header - (phs[i].p_vaddr & -PAGE_BYTES);
		has_bias = true;
	}
	image->low = UINT64_MAX;
	image->high = 0;
	for (unsigned i = 0; i < n && has_bias; i++) {
		uint64_t start = bias + phs[i].p_vaddr;

		if (phs[i].p_type != PT_LOAD || phs[i].p_memsz > UINT64_MAX - start)
			continue;
		image->low = MIN(image->low, start);
		image->high = MAX(image->high, start + phs[i].p_memsz);
		has_code = has_code || is_code_segment(image, &phs[i], bias);
	}
	image->bias = bias;
	return has_code;
}

/*
 * .eh_frame_hdr: a version, the encodings of three things, where .eh_frame is (not needed here:
 * each entry says it again), the number of entries, and the entries, by address. All linkers
 * write four bytes for each number.
 */
static int read_table_header(struct native_image *image, struct native_memory *memory,
			     const Elf64_Phdr *ph)
{
	unsigned char header[TABLE_HEADER_BYTES];
	uint64_t base = image->bias + ph->p_vaddr;
	uint32_t n;
	int r;

	if (base < image->low || base >= image->high || ph->p_memsz < sizeof(header) ||
	    ph->p_memsz > image->high - base)
		return 0;
	r = native_memory_read(memory, base, header, sizeof(header));
	if (r < 0)
		return r;
	if (header[0] != 1 ||
	    ((header[1] & ENCODED_FORMAT) != ENCODED_SDATA4 &&
	     (header[1] & ENCODED_FORMAT) != ENCODED_UDATA4) ||
	    header[2] != ENCODED_UDATA4 || header[3] != (ENCODED_DATAREL | ENCODED_SDATA4))
		return 0;
	memcpy(&n, header + 8, sizeof(n));
	if (n == 0 || n > (ph->p_memsz - sizeof(header)) / TABLE_ENTRY_BYTES)
		return 0;
	image->table_base = base;
	image->table = base + sizeof(header);
	image->n_entries = n;
	image->state = NATIVE_IMAGE_READY;
	return 0;
}

/* Nice to have: a segment that can't be read is no reason to do without all else. */
static void read_build_id(struct native_image *image, struct native_memory *memory,
			  const Elf64_Phdr *ph)
{
	unsigned char notes[MAX_NOTE_BYTES];
	uint64_t start = image->bias + ph->p_vaddr;
	size_t len = MIN(ph->p_memsz, sizeof(notes));

	if (image->build_id.len > 0 || start < image->low || start >= image->high ||
	    len > image->high - start)
		return;
	if (native_memory_read(memory, start, notes, len) == 0)
		elf_build_id_parse(notes, len, &image->build_id);
}

static bool is_our_elf(const Elf64_Ehdr *eh)
{
	return memcmp(eh->e_ident, ELFMAG, SELFMAG) == 0 && eh->e_ident[EI_CLASS] == ELFCLASS64 &&
	       eh->e_ident[EI_DATA] == ELFDATA2LSB && eh->e_phentsize == sizeof(Elf64_Phdr) &&
	       eh->e_phnum > 0 && eh->e_phnum <= MAX_PROGRAM_HEADERS;
}

/* Returns the number of program headers, 0 when there is nothing of the kind, or an error. */
static int read_headers(const struct native_image *image, struct native_memory *memory,
			Elf64_Phdr *phs)
{
	uint64_t len = image->header_end - image->header;
	Elf64_Ehdr eh;
	size_t size;
	int r;

	if (image->header == 0)
		return 0;
	r = native_memory_read(memory, image->header, &eh, sizeof(eh));
	if (r < 0)
		return r;
	size = eh.e_phnum * sizeof(*phs);
	if (!is_our_elf(&eh) || eh.e_phoff > len || size > len - eh.e_phoff)
		return 0;
	r = native_memory_read(memory, image->header + eh.e_phoff, phs, size);
	return r < 0 ? r : eh.e_phnum;
}

int native_image_load(struct native_image *image, struct native_memory *memory)
{
	Elf64_Phdr phs[MAX_PROGRAM_HEADERS];
	int n, r;

	if (image->state != NATIVE_IMAGE_UNREAD)
		return 0;
	n = read_headers(image, memory, phs);
	if (n < 0)
		return n;
	if (n == 0 || !place_segments(image, phs, (unsigned)n)) {
		image->state = NATIVE_IMAGE_NO_ELF;
		return 0;
	}
	for (int i = 0; i < n; i++) {
		if (phs[i].p_type == PT_NOTE)
			read_build_id(image, memory, &phs[i]);
		if (phs[i].p_type != PT_GNU_EH_FRAME || image->state != NATIVE_IMAGE_UNREAD)
			continue;
		r = read_table_header(image, memory, &phs[i]);
		if (r < 0)
			return r;
	}
	if (image->state == NATIVE_IMAGE_UNREAD)
		image->state = NATIVE_IMAGE_NO_TABLE;
	return 0;
}

const char *native_image_name(const struct native_image *image)
{
	return image->mapping ? image->mapping->path : "[vdso]";
}
