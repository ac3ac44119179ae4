/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From records to a trace: collects each thread's stacks into blocks, and writes blocks, their
 * line index, files with their source, code objects, threads, gaps and counters into one SQLite
 * database. Used by one thread. Nothing here knows how snapshots are made.
 */
#ifndef RECORDER_TRACE_WRITER_H
#define RECORDER_TRACE_WRITER_H

#include <stddef.h>
#include <stdint.h>

struct record_header;
struct trace_writer;

/* What is being recorded and how; strings are copied. */
struct trace_about {
	const char *name; /* of the trace, e.g. server-main */
	int pid;
	uint64_t
	    process_start_ticks; /* field 22 of /proc/PID/stat: with pid, one process for good */
	const char *command;	 /* the command line, blanks between the words */
	const char *executable;	 /* path of the interpreter as the target sees it */
	const char *python;	 /* e.g. "3.11.2" */
	uint32_t python_hexversion;
	const char *host;
	const char *packages;	     /* as given with --packages; "" = own code; "*" = all */
	double rate_asked_hz;	     /* 0: as fast as it goes */
	uint64_t start_monotonic_ns; /* clock anchor: these two were read together */
	uint64_t start_realtime_ns;
	int utc_offset_s;
	const char *time_zone;
};

/*
 * The text of a source file as it is now, for storing with the trace.
 * @path  as in the code object
 * Returns 0 with malloc()ed text that the caller frees, or a negative errno; silent.
 */
typedef int (*read_source_fn)(void *ctx, const char *path, char **ret_text, size_t *ret_len);

/*
 * Create DB_PATH, which must not exist yet. Returns 0 or a negative errno (-EEXIST, -EACCES,
 * -ENOSPC, -EIO …); *ret is written only on success.
 */
int trace_writer_create(const char *db_path, const struct trace_about *about,
			read_source_fn read_source, void *ctx, struct trace_writer **ret);

/*
 * Take one record. Blocks that are full are written. Returns 0; or a negative errno when the disk
 * refused (-ENOSPC, -EIO): what could not be stored is then counted and becomes a gap, storing is
 * tried again with later blocks, and the trace stays readable.
 */
int trace_writer_put(struct trace_writer *w, const struct record_header *record);

/* To be called at least every 100 ms with the present time: writes blocks older than a second. */
int trace_writer_tick(struct trace_writer *w, uint64_t now_ns);

/* Monotonic to real time again (the wall clock may have been set), about every minute. */
int trace_writer_anchor(struct trace_writer *w, uint64_t monotonic_ns, uint64_t realtime_ns);

/* Totals for a progress line. */
struct trace_writer_totals {
	uint64_t transitions;
	uint64_t blocks;
	uint64_t bytes; /* on disk, about */
};
void trace_writer_totals(const struct trace_writer *w, struct trace_writer_totals *ret);

/*
 * Write all open blocks, the end and its reason ("target exited", "stopped", "duration reached"
 * …), leave one plain file (no -wal, no -shm), and free. Also on error w is freed.
 */
int trace_writer_close(struct trace_writer *w, uint64_t end_ns, const char *reason);

#endif
