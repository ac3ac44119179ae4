/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source files of a trace: a number for each path, and its text for the trace, read when the
 * file is first stored. Texts are not kept in memory.
 */
#ifndef RECORDER_SOURCE_FILES_H
#define RECORDER_SOURCE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/trace_writer.h"

struct packer;
struct source_files;
struct trace_store;

struct source_files *source_files_new(read_source_fn read_source, void *ctx);
void source_files_free(struct source_files *f);

/* The path's number, from 1; new ones are to be stored. Paths may hold any bytes. */
uint32_t source_files_find(struct source_files *f, const char *path, size_t len);
int source_files_has_new(const struct source_files *f); /* bool */

/* Write what is new. Returns 0 or a negative errno; then, or when rolled back, it stays new. */
int source_files_store(struct source_files *f, struct trace_store *store, struct packer *packer);
/* What source_files_store() wrote has been committed. */
void source_files_stored(struct source_files *f);

/* Read all files again; those that are not as they were are marked so at the next store. */
void source_files_check(struct source_files *f);

#endif
