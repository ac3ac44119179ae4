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

struct file_row;
struct packer;
struct source_files;
struct trace_store;

struct source_files *source_files_new(read_source_fn read_source, void *ctx);
void source_files_free(struct source_files *f);

/* A file that an earlier recorder of the same trace stored, by ascending id. 0 or -EBADMSG. */
int source_files_add_past(struct source_files *f, const struct file_row *row);
/*
 * The path's number, from 1; new ones are to be stored. Paths may hold any bytes. The first time
 * that one of an earlier recorder is asked for, its text is compared with what is there now, and
 * another text gets another number.
 */
uint32_t source_files_find(struct source_files *f, const char *path, size_t len);
/* The number of the same path as an earlier recorder knew it, with another text; 0: none. */
uint32_t source_files_before(const struct source_files *f, uint32_t id);
int source_files_has_new(const struct source_files *f); /* bool */

/* Write what is new. Returns 0 or a negative errno; then, or when rolled back, it stays new. */
int source_files_store(struct source_files *f, struct trace_store *store, struct packer *packer);
/* What source_files_store() wrote has been committed. */
void source_files_stored(struct source_files *f);

/* Read all files again; those that are not as they were are marked so at the next store. */
void source_files_check(struct source_files *f);

#endif
