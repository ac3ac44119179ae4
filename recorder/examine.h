/* SPDX-License-Identifier: BSD-3-Clause */
/* A close look at one process: who it is, whose, and which process it comes from. */
#ifndef RECORDER_EXAMINE_H
#define RECORDER_EXAMINE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "recorder/proc_scan.h"

struct process_uids {
	uid_t real, effective, saved, fs;
};

struct examined {
	pid_t pid;
	uint64_t start_ticks; /* clock ticks after boot */
	/*
	 * Where its stack begins. exec puts it at random, fork keeps it: the same in two processes,
	 * and both have run the same program from the same start on. 0 when that is not known, as
	 * where addresses are not randomised.
	 */
	uint64_t stack;
	struct process_uids uids;
	uint64_t title_hash;
	size_t title_len;
	char title[PROC_TITLE_MAX]; /* not terminated; any bytes */
	/* Its parent now; the one that forked it may be gone. */
	pid_t parent_pid;
	uint64_t parent_stack;	    /* 0 when not known */
	uint64_t parent_title_hash; /* 0 when not known */
};

/*
 * May block as long as the process or its parent likes, but only while reading their titles.
 * @avoid  a process whose title is not to be read, 0: none
 * @ret_at the process whose title is being read; may be read by another thread
 * Returns 0; -ESRCH when there is no such process, or it has ended; another negative errno.
 */
int examine_read(int proc_fd, pid_t pid, pid_t avoid, _Atomic pid_t *ret_at, struct examined *ret);

/* Does not block. Returns 0 or a negative errno. */
int process_uids_read(int proc_fd, pid_t pid, struct process_uids *ret);
/* From the text of /proc/PID/status. Returns 0 or -EINVAL. */
int process_uids_parse(const char *text, struct process_uids *ret);

#endif
