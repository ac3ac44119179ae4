/* SPDX-License-Identifier: BSD-3-Clause */
/* Small ELF files to test with: one executable segment, dynamic symbols, maybe a .PyRuntime. */
#ifndef TESTS_SUPPORT_ELF_BUILDER_H
#define TESTS_SUPPORT_ELF_BUILDER_H

#include <stddef.h>
#include <stdint.h>

struct elf_recipe {
	const char *symbols[8]; /* symbol i is at ELF_SYMBOL_ADDR(i) with size ELF_SYMBOL_SIZE */
	size_t n_symbols;
	int has_py_runtime;	 /* section .PyRuntime at ELF_SECTION_ADDR, ELF_SECTION_SIZE */
	unsigned char elf_class; /* 0: ELFCLASS64 */
};

#define ELF_TEXT_VADDR	   0x401000u
#define ELF_TEXT_OFFSET	   0x1000u
#define ELF_SYMBOL_ADDR(i) (0x500000u + 0x100u * (unsigned)(i))
#define ELF_SYMBOL_SIZE	   672u
#define ELF_SECTION_ADDR   0x600000u
#define ELF_SECTION_SIZE   656u

/* Returns malloc()ed bytes, the caller's. */
unsigned char *elf_build(const struct elf_recipe *recipe, size_t *ret_len);

/* The bytes in an unlinked file. Returns a descriptor; ends the program when that is impossible. */
int elf_file(const void *bytes, size_t len);

#endif
