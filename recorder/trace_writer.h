/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From records to a trace: collects each thread's stacks into blocks, and writes blocks, their
 * line index, files with their source, code objects, threads, gaps and counters into one SQLite
 * database. Used by one thread. Nothing here knows how snapshots are made.
 */
#ifndef RECORDER_TRACE_WRITER_H
#define RECORDER_TRACE_WRITER_H

#include <stdbool.h>
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
	/* How it is known when threads are on a CPU: "exact", or "none". */
	const char *edges;
	const char *packages;	     /* as given with --packages; "" = own code; "*" = all */
	double rate_asked_hz;	     /* 0: as fast as it goes */
	uint64_t min_wait_ns;	     /* waits are listed from here on; 0: WAIT_LISTED_NS */
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
 * Go on with DB_PATH, a trace of the same process (pid and process_start_ticks of `about`) whose
 * recorder ended or was killed. The time since the last known moment becomes a gap
 * (recorder-absent), an end that was written is taken back, threads that were open have ended;
 * the counters that come are added to those that are there. Codes and threads are to be numbered
 * from trace_writer_next_code() and trace_writer_next_thread() on, lower numbers are refused.
 * Of `about`, start_* is now, and packages and rate are stored as those of the last recorder.
 *
 * Returns 0; -ENOENT; -ENODATA: its recorder was killed while it created it, nothing is lost when
 * it is removed; -EEXIST: of another process; -EBADMSG: damaged, or not a trace;
 * -EPROTONOSUPPORT: of a newer program; or another negative errno. On error what the trace says
 * is unchanged.
 */
int trace_writer_resume(const char *db_path, const struct trace_about *about,
			read_source_fn read_source, void *ctx, struct trace_writer **ret);
/* The numbers that the next code object and the next thread get. A thread's above 65535: none. */
uint32_t trace_writer_next_code(const struct trace_writer *w);
uint32_t trace_writer_next_thread(const struct trace_writer *w);

/*
 * Write the end of a trace whose recorder was killed and whose process is gone: its last known
 * moment, and `reason`. One plain file is left. One that has an end already only gets the latter.
 * Errors as with trace_writer_resume().
 */
int trace_writer_end_abandoned(const char *db_path, const char *reason);

/*
 * Take one record. Blocks that are full are written. Returns 0; -EINVAL for a record that makes
 * no sense; or a negative errno when the disk refused (-ENOSPC, -EIO): what could not be stored
 * is then counted and becomes a gap, storing is tried again with later blocks, and the trace
 * stays readable.
 */
int trace_writer_put(struct trace_writer *w, const struct record_header *record);

/*
 * To be called with the present time when trace_writer_due_ns() has come, or some 50 ms later:
 * about every second all that is known is written. Also does the next step of a trim.
 */
int trace_writer_tick(struct trace_writer *w, uint64_t now_ns);
/* When it is to be called next, as things are; UINT64_MAX: nothing waits to be stored. */
uint64_t trace_writer_due_ns(const struct trace_writer *w);

/* What was found out about a wait. */
struct wait_about {
	uint64_t place;	   /* that it was found at, see wait_places.h; 0: not known */
	uint64_t sleep_ns; /* its length, if it is a sleep; 0: it is none */
	const char *kind;  /* NULL: nothing */
	const char *call;  /* the system call's name */
	const char *what;  /* the same for all waits of this kind for this thing */
	const char *peer; /* trace of the target that is waited for; NULL, "": none, or not known */
	uint32_t polled;  /* so many descriptors are waited for at once */
	/* The native call stack, innermost first, a line for each frame; NULL: not known. */
	const char *native;
	int is_native_complete; /* bool: down to where the thread began */
};

/*
 * Whether the next wait at its place may be taken for another one like it: an event loop waits at
 * one place, and a thread that sleeps does. With others, a lock's, it may be for another object.
 */
static inline bool wait_about_is_repeated(const struct wait_about *about)
{
	return about->place && (about->sleep_ns || about->polled > 1);
}

/*
 * Why a thread waits since start_ns, as its RECORD_OFF says, found out at taken_ns. May come before
 * that record, and that of the thread; counts only if the wait was not over by then.
 */
void trace_writer_wait(struct trace_writer *w, uint16_t thread, uint64_t start_ns,
		       uint64_t taken_ns, const struct wait_about *about);

/* Monotonic to real time again (the wall clock may have been set), about every minute. */
int trace_writer_anchor(struct trace_writer *w, uint64_t monotonic_ns, uint64_t realtime_ns);

/*
 * Delete the oldest blocks, of all threads, until about so many bytes are freed, and give them
 * back to the file system. Done in the following ticks, some milliseconds in each. A second call
 * adds to the first. What is still open is not deleted. While a reader has the trace open, the
 * file gets smaller only after it has gone.
 */
void trace_writer_trim(struct trace_writer *w, uint64_t bytes);

/*
 * While set, the trace does not grow: nothing is stored. Blocks that get full or old are given up
 * and become a gap (disk-full); names and counters are kept in memory until it is over.
 * @paused  bool
 */
void trace_writer_pause_growth(struct trace_writer *w, int paused);

/* Totals for a progress line; with those of earlier recorders. */
struct trace_writer_totals {
	uint64_t transitions;
	uint64_t blocks;     /* written, deleted ones included */
	uint64_t bytes;	     /* on disk, about */
	uint64_t trim_bytes; /* that trace_writer_trim() has still to free */
	int is_trimming;     /* bool: or to give back */
};
void trace_writer_totals(const struct trace_writer *w, struct trace_writer_totals *ret);

/*
 * Write all open blocks, the end and its reason ("target exited", "stopped", "duration reached"
 * …), leave one plain file (no -wal, no -shm), and free. Also on error w is freed.
 */
int trace_writer_close(struct trace_writer *w, uint64_t end_ns, const char *reason);

#endif
