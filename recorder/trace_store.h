/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The writing half of SQL: one prepared statement per kind of row. All functions return 0 or a
 * negative errno (-ENOSPC, -EIO, ...); after an error the open transaction must be rolled back.
 */
#ifndef RECORDER_TRACE_STORE_H
#define RECORDER_TRACE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/trace_schema.h"

struct finished_block;
struct trace_about;
struct trace_store;

/* Create the database and its tables; -EEXIST when there is a file already. */
int trace_store_create(const char *path, struct trace_store **ret);
/*
 * Leave one plain file, without -wal and -shm, and free. While a reader has the trace open they
 * stay, and so they do when the disk is full; the trace is complete and readable all the same.
 */
int trace_store_close(struct trace_store *s);

int trace_store_begin(struct trace_store *s);
int trace_store_commit(struct trace_store *s);
void trace_store_rollback(struct trace_store *s);

/* Bytes on disk now, with what is still in the -wal. */
uint64_t trace_store_size(const struct trace_store *s);

int trace_store_meta_text(struct trace_store *s, const char *key, const char *text);
int trace_store_meta_int(struct trace_store *s, const char *key, uint64_t value);
int trace_store_meta_real(struct trace_store *s, const char *key, double value);
/* All that is known from the start. */
int trace_store_about(struct trace_store *s, const struct trace_about *about);
int trace_store_anchor(struct trace_store *s, uint64_t monotonic_ns, uint64_t realtime_ns);

/* Names and paths may hold any bytes. */
struct file_row {
	uint32_t id;
	const char *path;
	size_t path_len;
	enum file_state state;
	const void *source; /* packed; NULL when missing */
	size_t source_len;
	uint64_t size; /* of the text */
	uint64_t hash;
};
int trace_store_file(struct trace_store *s, const struct file_row *row);
int trace_store_file_state(struct trace_store *s, uint32_t id, enum file_state state);
int trace_store_code(struct trace_store *s, uint32_t id, uint32_t file, const char *name,
		     size_t name_len, int32_t first_line);

struct thread_row {
	uint16_t id;
	uint64_t native_id;
	uint64_t python_id;
	uint64_t interpreter_id;
	uint64_t first_ns;
	uint64_t last_ns; /* 0 while it lives */
};
/* Also updates. */
int trace_store_thread(struct trace_store *s, const struct thread_row *row);

/* With its line index. */
int trace_store_block(struct trace_store *s, const struct finished_block *block);

struct gap_row {
	uint16_t thread; /* 0: all */
	uint64_t start_ns;
	uint64_t end_ns;
	uint32_t reason; /* enum gap_reason */
	uint64_t lost;
};
int trace_store_gap(struct trace_store *s, const struct gap_row *row);
int trace_store_counter(struct trace_store *s, const char *name, uint64_t value);

#endif
