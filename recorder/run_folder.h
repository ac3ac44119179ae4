/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The folders that traces of the collector go to (see common/trace_folder.h), found again or made.
 * Everything is opened relative to an open folder, no symbolic link is followed, and a folder
 * counts as ours only when its note names the same process. Nothing here blocks but for the disk.
 *
 * On error a sentence for the user is in `why`, without the root's path.
 */
#ifndef RECORDER_RUN_FOLDER_H
#define RECORDER_RUN_FOLDER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/trace_folder.h"

/*
 * When a process started, in seconds since 1970. The same for each call while nobody sets the
 * clock; afterwards a run is found by the process that its note names.
 * @start_ticks  field 22 of /proc/PID/stat
 * Returns 0 or a negative errno.
 */
int process_start_realtime(uint64_t start_ticks, int64_t *ret_s);

/* Who may use the folders. */
struct folder_access {
	uid_t worker_uid; /* owns the folders of traces; (uid_t)-1: the caller does */
	gid_t gid;	  /* may read all; (gid_t)-1: left as it comes */
};

struct run_folder {
	int fd;
	int lock_fd; /* while this is open the folder is not deleted, traces that ended in it are */
	char name[FOLDER_NAME_SIZE];
	int64_t started_s; /* as it was known when the folder was made */
};
#define RUN_FOLDER_NONE ((struct run_folder){.fd = -1, .lock_fd = -1})

/*
 * Open the run folder of a daemon, or make it, named after its start in local time; with ".2"
 * and so on behind it when that name is taken by someone else.
 * @root_fd    from root_open()
 * @parent     the daemon
 * @started_s  of the daemon, see process_start_realtime()
 * Returns 1 when it was made, 0 when it was there, or a negative errno.
 */
int run_folder_open(int root_fd, const struct process_key *parent, int64_t started_s,
		    const struct folder_access *access, struct run_folder *ret, char *why,
		    size_t why_size);
void run_folder_close(struct run_folder *run);

static inline void run_folder_close_p(struct run_folder *run)
{
	run_folder_close(run);
}
#define auto_run_folder __attribute__((cleanup(run_folder_close_p)))

enum trace_folder_state {
	TRACE_FOLDER_NEW,      /* there is no trace.db in it */
	TRACE_FOLDER_CONTINUE, /* it holds a trace.db of this same process */
};

struct trace_folder {
	int fd;
	/*
	 * While this is open, here or in a process that it was passed to, the trace counts as
	 * being recorded and is not deleted.
	 */
	int lock_fd;
	enum trace_folder_state state;
	char name[FOLDER_NAME_SIZE];
};
#define TRACE_FOLDER_NONE ((struct trace_folder){.fd = -1, .lock_fd = -1})

/*
 * Open the folder of one process's trace, or make it; "NAME.2" and so on when NAME belongs to
 * another process.
 * @name    of the trace; may come from the process itself, and is checked
 * @target  the process that is recorded
 * Returns 0; -EINVAL when the name can't be that of a folder, -EBUSY when somebody records this
 * process already, -ENOENT when the run folder is gone (it was removed by hand; open it again), or
 * another negative errno.
 */
int run_folder_open_trace(const struct run_folder *run, const char *name,
			  const struct process_key *target, const struct folder_access *access,
			  struct trace_folder *ret, char *why, size_t why_size);
void trace_folder_close(struct trace_folder *trace);

static inline void trace_folder_close_p(struct trace_folder *trace)
{
	trace_folder_close(trace);
}
#define auto_trace_folder __attribute__((cleanup(trace_folder_close_p)))

/*
 * Mark a trace's folder as one that is being recorded, as run_folder_open_trace() does.
 * Returns the lock's descriptor, -EBUSY when it is being recorded or deleted, or another negative
 * errno.
 */
int run_folder_lock(int trace_fd);

#endif
