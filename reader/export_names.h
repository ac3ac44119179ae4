/* SPDX-License-Identifier: BSD-3-Clause */
/* The names of the places of a walk as JSON strings, each made once. */
#ifndef READER_EXPORT_NAMES_H
#define READER_EXPORT_NAMES_H

#include <stdint.h>

struct export_names;
struct trace;
struct walk_place;

/* Both with their quotes; "?" for what is not known. Lent until export_names_free(). */
struct export_name {
	const char *file;
	const char *function;
};

/* @t  lent until export_names_free() */
struct export_names *export_names_new(struct trace *t);
void export_names_free(struct export_names *n);
struct export_name export_names_get(struct export_names *n, const struct walk_place *place);

#endif
