/* SPDX-License-Identifier: BSD-3-Clause */
/* Which lines or functions a table is to have: those of files and functions with some names. */
#ifndef READER_ANALYSE_FILTER_H
#define READER_ANALYSE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace;

struct analysis_filter {
	bool has_files, has_codes; /* asked for */
	uint32_t *files;	   /* ascending */
	size_t n_files;
	uint32_t *codes; /* ascending */
	size_t n_codes;
};

/*
 * @file      NULL, a path, the end of one from a '/' on, or a pattern as of a shell
 * @function  NULL, a qualified name, the end of one from a '.' on, or a pattern
 * @why       on error, for people: which name, and what there is that looks like it
 * Returns 0 or -ENOENT. To be released with analysis_filter_done(), also then.
 */
int analysis_filter_init(struct analysis_filter *f, struct trace *t, const char *file,
			 const char *function, char *why, size_t why_size);
void analysis_filter_done(struct analysis_filter *f);

/* What was not asked for lets all pass. */
bool analysis_filter_has_file(const struct analysis_filter *f, uint32_t file);
bool analysis_filter_has_code(const struct analysis_filter *f, uint32_t code);

#endif
