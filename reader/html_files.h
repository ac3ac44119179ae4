/* SPDX-License-Identifier: BSD-3-Clause */
/* The page of the report as it is kept in reader/html/, a part of the program. */
#ifndef READER_HTML_FILES_H
#define READER_HTML_FILES_H

#include <stddef.h>

struct html_file {
	const char *text; /* no NUL byte behind it */
	size_t len;
};

/* With @NAME@ where something is put in; see html_page.c. */
struct html_file html_template(void);
struct html_file html_style(void);
/* Parts of one script, in the order in which they belong together. */
size_t html_n_scripts(void);
struct html_file html_script(size_t i);

#endif
