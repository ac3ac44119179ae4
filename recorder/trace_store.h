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
#include "recorder/ring.h"

struct finished_block;
struct trace_about;
struct trace_store;

/*
 * Create the database with its tables and all that is known from the start, in one transaction: a
 * reader, or who finds what a killed recorder left, sees all of that or none. -EEXIST when there
 * is a file already.
 */
int trace_store_create(const char *path, const struct trace_about *about, struct trace_store **ret);
/*
 * Open one that exists, as it was left by whatever end its recorder had. Returns 0; -ENOENT;
 * -ENODATA: its creation was cut off, nothing is in it; -EBADMSG: not a trace, or damaged;
 * -EPROTONOSUPPORT: of a newer program, or of one that is too old.
 */
int trace_store_open(const char *path, struct trace_store **ret);
/* Before the first row is written to one that was opened. */
int trace_store_start(struct trace_store *s);
/*
 * Leave one plain file, without -wal and -shm, and free. While a reader has the trace open they
 * stay, and so they do when the disk is full; the trace is complete and readable all the same.
 */
int trace_store_close(struct trace_store *s);

/* Free it without a change to what it says. */
void trace_store_leave(struct trace_store *s);

/* The present time, in CLOCK_MONOTONIC's ns, now and then: checkpoints follow it. */
void trace_store_set_time(struct trace_store *s, uint64_t now_ns);
int trace_store_begin(struct trace_store *s);
int trace_store_commit(struct trace_store *s);
void trace_store_rollback(struct trace_store *s);

/* Bytes on disk now, with what is still in the -wal. */
uint64_t trace_store_size(const struct trace_store *s);

int trace_store_meta_text(struct trace_store *s, const char *key, const char *text);
int trace_store_meta_int(struct trace_store *s, const char *key, uint64_t value);
int trace_store_meta_real(struct trace_store *s, const char *key, double value);
/* Of trace_store_create(), what is another for each recorder of one process, and its clock anchor.
 */
int trace_store_recorder(struct trace_store *s, const struct trace_about *about);
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
/* Returns 1 when that code object is there, 0 when not, or a negative errno. Reads all of them. */
int trace_store_has_code(struct trace_store *s, uint32_t file, const char *name, size_t name_len,
			 int32_t first_line);

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

/*
 * With its line index and its waits. One that has a row is changed there, with only its last time
 * when it has no data.
 */
int trace_store_block(struct trace_store *s, const struct finished_block *block, int64_t *ret_row);

struct reason_row {
	uint32_t id;
	const char *kind, *call, *what, *peer;
	uint32_t polled;
};
int trace_store_reason(struct trace_store *s, const struct reason_row *row);

struct native_row {
	uint32_t id;
	int is_complete; /* bool */
	const char *frames;
};
int trace_store_native(struct trace_store *s, const struct native_row *row);

struct gap_row {
	uint16_t thread; /* 0: all */
	uint64_t start_ns;
	uint64_t end_ns;
	uint32_t reason; /* enum gap_reason */
	uint64_t lost;
};
int trace_store_gap(struct trace_store *s, const struct gap_row *row);
int trace_store_counter(struct trace_store *s, const char *name, uint64_t value);

/* --- what an earlier recorder left --- */

struct trace_past {
	int64_t pid;
	int64_t process_start_ticks;
	uint64_t last_ns; /* the last moment of which something is known */
	/* The largest ids, 0 when there is none. */
	int64_t last_code, last_thread, last_file, last_reason, last_native;
	uint64_t n_blocks, n_events;
	uint64_t n_of[N_PROVENANCES]; /* events, deleted ones included */
	struct record_counters counters;
};
/* -EBADMSG also when it holds what it should not. */
int trace_store_read_past(struct trace_store *s, struct trace_past *ret);
/* Call on_file for all files, by id, without their source. It returns 0 or a negative errno. */
int trace_store_each_file(struct trace_store *s,
			  int (*on_file)(void *ctx, const struct file_row *row), void *ctx);
/* Returns 1 when its end was written, 0 when not, or a negative errno. */
int trace_store_has_ended(struct trace_store *s);
/* It has not ended after all, but its threads were not seen any more after last_ns. */
int trace_store_undo_end(struct trace_store *s, uint64_t last_ns);

/* --- deleting the oldest blocks --- */

struct trim_result {
	uint64_t n_blocks;
	uint64_t bytes; /* that became free */
};
/*
 * Delete some of the oldest blocks, with their lines, the gaps before them and a note of it, in
 * one transaction of some milliseconds.
 * @bytes         enough when so many are free
 * @keep, n_keep  rows of blocks that stay
 */
int trace_store_trim(struct trace_store *s, uint64_t bytes, const int64_t *keep, size_t n_keep,
		     struct trim_result *ret);
/* Give some free space back to the file system. Returns 1 while there is more, 0, or an errno. */
int trace_store_shrink(struct trace_store *s);

#endif
