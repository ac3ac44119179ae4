/* SPDX-License-Identifier: BSD-3-Clause */
/* Which files and functions appear in a profile, numbered without holes. */
#ifndef READER_HTML_NAMES_H
#define READER_HTML_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct html_profile;
struct trace;

/* Open to read. */
struct html_names {
	uint32_t *files; /* ids, ascending */
	size_t n_files;
	size_t *by_time; /* indexes of files, those first that took the most time */
	uint32_t *codes; /* ids, ascending */
	size_t n_codes;
};

struct html_names *html_names_new(struct trace *t, const struct html_profile *p);
void html_names_free(struct html_names *names);

/* The index + 1 of an id; 0 when it is not there. */
size_t html_names_file(const struct html_names *names, uint32_t file);
size_t html_names_code(const struct html_names *names, uint32_t code);

#endif
