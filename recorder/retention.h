/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Storage limits. MaxUse and MaxAge delete: the oldest runs that have ended first; of a run in
 * which something is still recorded, the traces that have ended. What is being recorded is never
 * deleted; when it is too much by itself, the plan says how much each such trace has to lose.
 * KeepFree deletes nothing, for it may be others who fill the disk: traces stop growing until
 * there is room again.
 *
 * Three steps: look (retention_scan), decide (retention_plan, no I/O), do (retention_apply). In
 * the root only what is named and built as ours is looked at; all else is left alone.
 */
#ifndef RECORDER_RETENTION_H
#define RECORDER_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

/* 0: no such limit. */
struct retention_limits {
	uint64_t max_use_bytes;
	uint64_t keep_free_bytes;
	uint64_t max_age_s;
	bool delete_to_keep_free; /* somebody asks for it by hand */
};

/* --- what there is --- */

struct retention_trace {
	char *name;
	uint64_t bytes;	  /* on disk */
	int64_t newest_s; /* when it was last written, seconds since 1970 */
	bool is_live;	  /* being recorded */
};

struct retention_run {
	char *name;
	uint64_t bytes;
	int64_t newest_s;
	bool is_open; /* somebody records into it, or may at any moment */
	struct retention_trace *traces;
	size_t n_traces;
};

struct retention_scan {
	struct retention_run *runs; /* by name */
	size_t n_runs;
	uint64_t bytes;
	uint64_t free_bytes; /* of the file system, for users */
};

/*
 * @live  what the caller knows to be recorded, as "RUN/TRACE"; besides, whatever is locked is
 *        found to be (see run_folder_lock()), so that it may be NULL
 * Returns 0 or a negative errno.
 */
int retention_scan(int root_fd, const char *const *live, size_t n_live, struct retention_scan *ret);
void retention_scan_done(struct retention_scan *scan);
#define auto_retention_scan __attribute__((cleanup(retention_scan_done)))

/* --- what to do --- */

enum retention_reason {
	RETENTION_TOO_OLD,
	RETENTION_TOO_MUCH,
	RETENTION_DISK_FULL, /* with delete_to_keep_free */
};

struct retention_deletion {
	const char *run;
	const char *trace; /* NULL: the whole run */
	uint64_t bytes;
	int64_t newest_s;
	enum retention_reason reason;
};

struct retention_shrink {
	const char *run;
	const char *trace;
	uint64_t bytes;
	uint64_t lose_bytes;
};

/* Names are lent by the scan. */
struct retention_plan {
	struct retention_deletion *deletions; /* oldest first */
	size_t n_deletions;
	uint64_t delete_bytes;
	/*
	 * Live traces that have to lose their oldest blocks; down to 15/16 of MaxUse, so that it
	 * is not for every new block.
	 */
	struct retention_shrink *shrinks;
	size_t n_shrinks;
	/*
	 * There is not enough free: nothing is to be written until a plan says otherwise. It does
	 * when an eighth more than KeepFree is free.
	 */
	bool stop_growing;
	uint64_t free_bytes; /* after the deletions, as far as one can know */
	uint64_t left_bytes; /* of traces, likewise */
};

/*
 * @now_s        seconds since 1970
 * @is_stopped   what the last plan said in stop_growing
 */
void retention_plan(const struct retention_scan *scan, const struct retention_limits *limits,
		    int64_t now_s, bool is_stopped, struct retention_plan *ret);
void retention_plan_done(struct retention_plan *plan);
#define auto_retention_plan __attribute__((cleanup(retention_plan_done)))

/* --- doing it: retention_delete.c --- */

struct retention_ops {
	void (*on_deleted)(void *ctx, const struct retention_deletion *deletion);
	/*
	 * Something is left, and why: -EEXIST a file that is not ours, -EBUSY a trace that is being
	 * recorded since, or a negative errno from deleting it.
	 * @path  within the root; lent
	 */
	void (*on_left)(void *ctx, const char *path, int error);
	/* Let a live trace lose its oldest blocks. May be NULL. */
	void (*shrink)(void *ctx, const struct retention_shrink *shrink);
};

/* Says all of it in the log; ctx is not used. */
extern const struct retention_ops retention_log_ops;

/* For messages: "too old" … */
const char *retention_reason_name(enum retention_reason reason);

/*
 * Delete one run or trace: only files with names that we give, never through a symbolic link, and
 * nothing that is locked. A folder goes when it is empty. What is left without its note is not
 * ours any more, and will not be looked at again.
 * Returns 0 when its traces are gone, or the first negative errno; each was told by on_left.
 */
int retention_delete(int root_fd, const struct retention_deletion *deletion,
		     const struct retention_ops *ops, void *ctx);

/*
 * All of a plan; `latest` is repaired afterwards. Deleting takes as long as the disk takes, which
 * can be seconds; who must not wait so long calls retention_delete() one by one and then
 * latest_link_repair().
 * @ret_bytes  what was deleted
 * Returns 0 or the first negative errno of a deletion; the others are done all the same.
 */
int retention_apply(int root_fd, const struct retention_plan *plan, const struct retention_ops *ops,
		    void *ctx, uint64_t *ret_bytes);

#endif
