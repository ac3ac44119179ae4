/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/native_scene.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The frame is at the stack pointer + 16; the return address is below it. */
static const uint8_t usual_rule[] = {0x0c, 7, 16, 0x90, 1};

static bool copy_from(uint64_t start, const uint8_t *bytes, size_t size, uint64_t addr, void *buf,
		      size_t len)
{
	if (addr < start || addr - start > size || size - (addr - start) < len)
		return false;
	memcpy(buf, bytes + (addr - start), len);
	return true;
}

static int read_scene(void *ctx, remote_addr addr, void *buf, size_t len)
{
	struct native_scene *s = ctx;

	if (copy_from(SCENE_IMAGE, s->image, sizeof(s->image), addr, buf, len) ||
	    copy_from(SCENE_STACK, s->stack, sizeof(s->stack), addr, buf, len))
		return 0;
	return -EFAULT;
}

static int open_nothing(void *ctx, const struct native_file *file)
{
	(void)ctx;
	(void)file;
	return -ENOENT;
}

static void put_headers(struct native_scene *s, size_t table_bytes)
{
	const Elf64_Ehdr eh = {
	    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
	    .e_phoff = sizeof(eh),
	    .e_phentsize = sizeof(Elf64_Phdr),
	    .e_phnum = 2,
	};
	const Elf64_Phdr phs[] = {
	    {.p_type = PT_LOAD,
	     .p_flags = PF_R | PF_X,
	     .p_vaddr = SCENE_IMAGE,
	     .p_filesz = SCENE_IMAGE_BYTES,
	     .p_memsz = SCENE_IMAGE_BYTES},
	    {.p_type = PT_GNU_EH_FRAME,
	     .p_offset = SCENE_TABLE,
	     .p_vaddr = SCENE_IMAGE + SCENE_TABLE,
	     .p_filesz = table_bytes,
	     .p_memsz = table_bytes},
	};

	memcpy(s->image, &eh, sizeof(eh));
	memcpy(s->image + sizeof(eh), phs, sizeof(phs));
}

static void put32(struct native_scene *s, size_t at, uint32_t value)
{
	memcpy(s->image + at, &value, sizeof(value));
}

/* Returns the offset behind it. */
static size_t put_cie(struct native_scene *s, size_t at, struct scene_program rule)
{
	/* Id, version, letters, code and data alignment, return column, size and encoding. */
	static const uint8_t head[] = {0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b};

	s->cie = at;
	memcpy(s->image + at + 4, head, sizeof(head));
	memcpy(s->image + at + 4 + sizeof(head), rule.bytes, rule.len);
	put32(s, at, (uint32_t)(sizeof(head) + rule.len));
	return at + 4 + sizeof(head) + rule.len;
}

static size_t put_fde(struct native_scene *s, size_t i, size_t at, struct scene_program program)
{
	size_t function = SCENE_TEXT + i * SCENE_FUNCTION_BYTES;

	s->fdes[i] = at;
	put32(s, at, (uint32_t)(13 + program.len));
	put32(s, at + 4, (uint32_t)(at + 4 - s->cie));
	put32(s, at + 8, (uint32_t)(function - (at + 8)));
	put32(s, at + 12, SCENE_FUNCTION_BYTES);
	s->image[at + 16] = 0;
	if (program.len > 0)
		memcpy(s->image + at + 17, program.bytes, program.len);
	/* Its entry in the table. */
	put32(s, SCENE_TABLE + 12 + 8 * i, (uint32_t)(function - SCENE_TABLE));
	put32(s, SCENE_TABLE + 16 + 8 * i, (uint32_t)(at - SCENE_TABLE));
	return at + 17 + program.len;
}

static int make_maps(void)
{
	int fd = memfd_create("maps", MFD_CLOEXEC);
	char text[128];
	int len = snprintf(text, sizeof(text), "%llx-%llx r-xp 00000000 fe:01 7 /scene\n",
			   (unsigned long long)SCENE_IMAGE,
			   (unsigned long long)(SCENE_IMAGE + SCENE_IMAGE_BYTES));

	if (fd < 0 || write(fd, text, (size_t)len) != len)
		abort();
	return fd;
}

void native_scene_init(struct native_scene *s, const struct scene_program *functions, size_t n,
		       struct scene_program cie)
{
	static const uint8_t header[] = {1, 0x1b, 0x03, 0x3b};
	size_t at;

	memset(s, 0, sizeof(*s));
	put_headers(s, 12 + 8 * n);
	memcpy(s->image + SCENE_TABLE, header, sizeof(header));
	put32(s, SCENE_TABLE + 8, (uint32_t)n);
	if (cie.len == 0)
		cie = (struct scene_program){usual_rule, sizeof(usual_rule)};
	at = put_cie(s, SCENE_FRAMES, cie);
	for (size_t i = 0; i < n; i++)
		at = put_fde(s, i, at, functions[i]);
	memory_init_image(&s->mem, read_scene, s);
	s->maps_fd = make_maps();
	s->unwinder = native_unwinder_new(&s->mem, s->maps_fd, open_nothing, NULL);
}

void native_scene_done(struct native_scene *s)
{
	native_unwinder_free(s->unwinder);
	close(s->maps_fd);
	memory_done(&s->mem);
}

void native_scene_push(struct native_scene *s, size_t offset, uint64_t word)
{
	memcpy(s->stack + (SCENE_SP - SCENE_STACK) + offset, &word, sizeof(word));
}
