/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/elf_builder.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/xalloc.h"

enum {
	SECTION_NULL,
	SECTION_DYNSYM,
	SECTION_DYNSTR,
	SECTION_NAMES,
	SECTION_PY_RUNTIME,
	N_SECTIONS,
};

static const char section_names[] = "\0.dynsym\0.dynstr\0.shstrtab\0.PyRuntime";

/* Where things lie in the file, before the text at ELF_TEXT_OFFSET. */
#define OFFSET_SECTIONS 0x100
#define OFFSET_NAMES	0x300
#define OFFSET_SYMBOLS	0x400
#define OFFSET_STRINGS	0x600

static void add_symbols(unsigned char *file, const struct elf_recipe *recipe, size_t *ret_strings)
{
	size_t end = 1;

	for (size_t i = 0; i < recipe->n_symbols; i++) {
		Elf64_Sym sym = {
		    .st_name = (Elf64_Word)end,
		    .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
		    .st_shndx = SHN_ABS,
		    .st_value = ELF_SYMBOL_ADDR(i),
		    .st_size = ELF_SYMBOL_SIZE,
		};

		memcpy(file + OFFSET_SYMBOLS + (i + 1) * sizeof(sym), &sym, sizeof(sym));
		memcpy(file + OFFSET_STRINGS + end, recipe->symbols[i],
		       strlen(recipe->symbols[i]) + 1);
		end += strlen(recipe->symbols[i]) + 1;
	}
	*ret_strings = end;
}

static void add_sections(unsigned char *file, const struct elf_recipe *recipe, size_t strings)
{
	const Elf64_Shdr sections[N_SECTIONS] = {
	    [SECTION_DYNSYM] = {.sh_name = 1,
				.sh_type = SHT_DYNSYM,
				.sh_offset = OFFSET_SYMBOLS,
				.sh_size = (recipe->n_symbols + 1) * sizeof(Elf64_Sym),
				.sh_link = SECTION_DYNSTR,
				.sh_entsize = sizeof(Elf64_Sym)},
	    [SECTION_DYNSTR] = {.sh_name = 9,
				.sh_type = SHT_STRTAB,
				.sh_offset = OFFSET_STRINGS,
				.sh_size = strings},
	    [SECTION_NAMES] = {.sh_name = 17,
			       .sh_type = SHT_STRTAB,
			       .sh_offset = OFFSET_NAMES,
			       .sh_size = sizeof(section_names)},
	    [SECTION_PY_RUNTIME] = {.sh_name = 27,
				    .sh_type = SHT_NOBITS,
				    .sh_addr = ELF_SECTION_ADDR,
				    .sh_size = ELF_SECTION_SIZE},
	};

	memcpy(file + OFFSET_SECTIONS, sections, sizeof(sections));
	memcpy(file + OFFSET_NAMES, section_names, sizeof(section_names));
}

unsigned char *elf_build(const struct elf_recipe *recipe, size_t *ret_len)
{
	size_t len = ELF_TEXT_OFFSET + 0x100;
	unsigned char *file = xcalloc(1, len);
	const Elf64_Phdr text = {
	    .p_type = PT_LOAD,
	    .p_flags = PF_R | PF_X,
	    .p_offset = ELF_TEXT_OFFSET,
	    .p_vaddr = ELF_TEXT_VADDR,
	    .p_filesz = 0x100,
	    .p_memsz = 0x100,
	    .p_align = 0x1000,
	};
	Elf64_Ehdr header = {
	    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	    .e_type = ET_DYN,
	    .e_machine = EM_X86_64,
	    .e_version = EV_CURRENT,
	    .e_ehsize = sizeof(header),
	    .e_phoff = sizeof(header),
	    .e_phentsize = sizeof(Elf64_Phdr),
	    .e_phnum = 1,
	    .e_shoff = OFFSET_SECTIONS,
	    .e_shentsize = sizeof(Elf64_Shdr),
	    .e_shnum = (Elf64_Half)(recipe->has_py_runtime ? N_SECTIONS : N_SECTIONS - 1),
	    .e_shstrndx = SECTION_NAMES,
	};
	size_t strings;

	if (recipe->elf_class)
		header.e_ident[EI_CLASS] = recipe->elf_class;
	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), &text, sizeof(text));
	add_symbols(file, recipe, &strings);
	add_sections(file, recipe, strings);
	*ret_len = len;
	return file;
}

int elf_file(const void *bytes, size_t len)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	if (fd < 0 || (len && write(fd, bytes, len) != (ssize_t)len))
		abort();
	return fd;
}
