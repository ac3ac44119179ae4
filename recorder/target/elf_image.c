/* SPDX-License-Identifier: BSD-3-Clause */
/* libelf lives behind this file alone. */
#include "recorder/target/elf_image.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/xalloc.h"

/* A larger symbol or string table than this is not read (that of a debug build has a few MB). */
#define TABLE_MAX_BYTES (UINT64_C(128) << 20)

struct elf_image {
	Elf *elf;
};

int elf_image_open(int fd, struct elf_image **ret)
{
	struct elf_image *image;
	const char *ident;
	Elf *elf;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOSYS;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf)
		return -ENOEXEC;
	ident = elf_getident(elf, NULL);
	if (elf_kind(elf) != ELF_K_ELF || !ident) {
		elf_end(elf);
		return -ENOEXEC;
	}
	if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB) {
		elf_end(elf);
		return -EMEDIUMTYPE;
	}
	image = xcalloc(1, sizeof(*image));
	image->elf = elf;
	*ret = image;
	return 0;
}

void elf_image_close(struct elf_image *image)
{
	if (!image)
		return;
	elf_end(image->elf);
	free(image);
}

/* The bytes of a section as they lie in the file; NULL when it has none or is beyond the limit. */
static Elf_Data *read_section(Elf_Scn *section, GElf_Shdr *ret_header)
{
	if (!section || !gelf_getshdr(section, ret_header))
		return NULL;
	if (ret_header->sh_size > TABLE_MAX_BYTES || ret_header->sh_flags & SHF_COMPRESSED)
		return NULL;
	return elf_getdata(section, NULL);
}

static bool name_is(const Elf_Data *strings, size_t offset, const char *name)
{
	size_t len = strlen(name) + 1;

	if (offset > strings->d_size || strings->d_size - offset < len)
		return false;
	return memcmp((const char *)strings->d_buf + offset, name, len) == 0;
}

static void match_symbol(const GElf_Sym *sym, const Elf_Data *strings, struct elf_symbol *symbols,
			 size_t n)
{
	if (sym->st_shndx == SHN_UNDEF || sym->st_value == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (symbols[i].found || !name_is(strings, sym->st_name, symbols[i].name))
			continue;
		symbols[i].found = true;
		symbols[i].value = sym->st_value;
		symbols[i].size = sym->st_size;
	}
}

static int search_table(struct elf_image *image, Elf_Scn *section, struct elf_symbol *symbols,
			size_t n)
{
	GElf_Shdr header, strings_header;
	Elf_Data *strings;
	Elf_Data *data = read_section(section, &header);
	int n_symbols;

	if (!data || !data->d_buf)
		return -EBADMSG;
	strings = read_section(elf_getscn(image->elf, header.sh_link), &strings_header);
	if (!strings || !strings->d_buf)
		return -EBADMSG;
	n_symbols = (int)(data->d_size / sizeof(Elf64_Sym));
	for (int i = 0; i < n_symbols; i++) {
		GElf_Sym sym;

		if (!gelf_getsym(data, i, &sym))
			return -EBADMSG;
		match_symbol(&sym, strings, symbols, n);
	}
	return 0;
}

static Elf_Scn *find_section_of_type(struct elf_image *image, uint32_t type)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(image->elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == type)
			return section;
	return NULL;
}

static int count_found(const struct elf_symbol *symbols, size_t n)
{
	int found = 0;

	for (size_t i = 0; i < n; i++)
		found += symbols[i].found;
	return found;
}

int elf_image_find_symbols(struct elf_image *image, struct elf_symbol *symbols, size_t n)
{
	static const uint32_t types[] = {SHT_DYNSYM, SHT_SYMTAB};

	for (size_t i = 0; i < n; i++)
		symbols[i].found = false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		Elf_Scn *section = find_section_of_type(image, types[i]);
		int r;

		if (!section)
			continue;
		r = search_table(image, section, symbols, n);
		if (r < 0)
			return r;
		if (count_found(symbols, n) == (int)n)
			break;
	}
	return count_found(symbols, n);
}

int elf_image_find_section(struct elf_image *image, const char *name, uint64_t *ret_addr,
			   uint64_t *ret_size)
{
	GElf_Shdr header, names_header;
	Elf_Scn *section = NULL;
	Elf_Data *names;
	size_t index;

	if (elf_getshdrstrndx(image->elf, &index) != 0)
		return -EBADMSG;
	names = read_section(elf_getscn(image->elf, index), &names_header);
	if (!names || !names->d_buf)
		return -ENOENT;
	while ((section = elf_nextscn(image->elf, section))) {
		if (!gelf_getshdr(section, &header))
			return -EBADMSG;
		if (!name_is(names, header.sh_name, name))
			continue;
		*ret_addr = header.sh_addr;
		*ret_size = header.sh_size;
		return 0;
	}
	return -ENOENT;
}

/* Whether the loader maps this segment so that a mapping begins at `offset` in it. */
static bool segment_covers(const GElf_Phdr *ph, uint64_t offset, uint64_t page)
{
	uint64_t first = ph->p_offset & ~(page - 1);
	uint64_t end;

	if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
		return false;
	if (__builtin_add_overflow(ph->p_offset, ph->p_filesz, &end))
		return false;
	return offset >= first && offset < end;
}

int elf_image_load_bias(struct elf_image *image, uint64_t start, uint64_t offset, uint64_t *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	size_t n;

	if (elf_getphdrnum(image->elf, &n) != 0)
		return -ENOENT;
	for (size_t i = 0; i < n && i < UINT16_MAX; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(image->elf, (int)i, &ph))
			return -ENOENT;
		if (!segment_covers(&ph, offset, page))
			continue;
		*ret = start - (ph.p_vaddr & ~(page - 1)) - (offset - (ph.p_offset & ~(page - 1)));
		return 0;
	}
	return -ENOENT;
}
