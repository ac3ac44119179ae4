/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The assembler copies the files in: gcc's and clang's both know .incbin, and look for it from
 * where make runs. The Makefile says that this depends on them.
 */
#include "reader/html_files.h"

#include <stdint.h>

/* clang-format off */
#define EMBED(name, path)                                                          \
	__asm__(".pushsection .rodata\n"                                           \
		"html_file_" #name "_text:\n"                                      \
		".incbin \"reader/html/" path "\"\n"                               \
		"html_file_" #name "_end:\n"                                       \
		".byte 0\n"                                                        \
		".balign 8\n"                                                      \
		"html_file_" #name "_len:\n"                                       \
		".quad html_file_" #name "_end - html_file_" #name "_text\n"       \
		".globl html_file_" #name "_text, html_file_" #name "_len\n"       \
		".popsection\n");                                                  \
	extern const char html_file_##name##_text[]                                \
		__attribute__((visibility("hidden")));                             \
	extern const uint64_t html_file_##name##_len __attribute__((visibility("hidden")))
/* clang-format on */

#define FILE_OF(name) \
	((struct html_file){.text = html_file_##name##_text, .len = (size_t)html_file_##name##_len})

EMBED(page, "report.html");
EMBED(style, "report.css");
EMBED(format, "format.js");
EMBED(data, "data.js");
EMBED(model, "model.js");
EMBED(timeline, "timeline.js");
EMBED(flame, "flame.js");
EMBED(tables, "tables.js");
EMBED(tree, "tree.js");
EMBED(source, "source.js");
EMBED(main, "main.js");

struct html_file html_template(void)
{
	return FILE_OF(page);
}

struct html_file html_style(void)
{
	return FILE_OF(style);
}

#define N_SCRIPTS 9

size_t html_n_scripts(void)
{
	return N_SCRIPTS;
}

struct html_file html_script(size_t i)
{
	const struct html_file scripts[N_SCRIPTS] = {
	    FILE_OF(format), FILE_OF(data), FILE_OF(model),  FILE_OF(timeline), FILE_OF(flame),
	    FILE_OF(tables), FILE_OF(tree), FILE_OF(source), FILE_OF(main),
	};

	return scripts[i];
}
