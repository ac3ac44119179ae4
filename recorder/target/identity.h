/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which process is meant, for good. A process id alone may stand for another process a moment
 * later; an open /proc/PID folder and a pidfd stay with the one that they were opened for, and id
 * and start time together name it in a trace.
 */
#ifndef RECORDER_TARGET_IDENTITY_H
#define RECORDER_TARGET_IDENTITY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"

/* What /proc/PID/stat says. */
struct process_stat {
	pid_t pid;
	char comm[64]; /* may hold anything, blanks and parentheses included */
	char state;    /* R, S, D, Z … */
	pid_t parent_pid;
	uint32_t flags;
	uint64_t start_ticks; /* clock ticks after boot */
	uint64_t start_stack; /* where exec put the stack; 0 when that is not told */
};

bool process_is_kernel_thread(const struct process_stat *stat);
bool process_is_exiting(const struct process_stat *stat);

/* Returns 0 or -EINVAL. */
int process_stat_parse(const char *text, size_t len, struct process_stat *ret);

/* A process held fast. */
struct identity {
	pid_t pid;
	int proc_fd; /* the folder /proc/PID; lookups in it fail with ESRCH once it has ended */
	int pidfd;
	uint64_t start_ticks;
};

#define IDENTITY_NONE ((struct identity){.proc_fd = -1, .pidfd = -1})

/*
 * Returns 0; -ESRCH when there is no such process, -EACCES when there is one but /proc hides it
 * from us (mount option hidepid), or another negative errno.
 */
int identity_open(pid_t pid, struct identity *ret);
void identity_close(struct identity *id);

static inline void identity_close_p(struct identity *id)
{
	identity_close(id);
}
#define auto_identity __attribute__((cleanup(identity_close_p)))

/* Read its stat again. Returns 0; -ESRCH once it has ended, also when its id is in use again. */
int identity_read_stat(const struct identity *id, struct process_stat *ret);

/* Whether the process has ended; a zombie has. Does not block. */
bool identity_has_ended(const struct identity *id);

/* Who it acts as when it opens files. */
struct credentials {
	uid_t fsuid;
	gid_t fsgid;
	uid_t euid;
	size_t n_groups;
	gid_t groups[64]; /* supplementary ones; more are left out */
};

/* Returns 0 or a negative errno. */
int identity_read_credentials(const struct identity *id, struct credentials *ret);
/* The same from the text of /proc/PID/status. Returns 0 or -EINVAL. */
int credentials_parse(const char *text, struct credentials *ret);

/*
 * Its command line, blanks between the words, cut at size - 1 bytes; "[comm]" when it has none.
 * A process may write anything there (setproctitle). Returns 0 or a negative errno.
 */
int identity_read_command(const struct identity *id, char *buf, size_t size);

/* Path of its executable as the kernel names it, "" when that can't be read. */
void identity_read_executable(const struct identity *id, char buf[static PATH_MAX]);

/*
 * A short name for a command line: the last path component of its first word, without the dash of
 * a login shell; characters that do not fit into a file name become '_'.
 * @size  of buf, at least 2
 */
void identity_base_name(const char *command, char *buf, size_t size);

#endif
