/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the processes whose title is a target's, on an event loop.
 *
 * What the kernel tells of processes (proc_events.h) says at once where to look, where it is
 * offered; a scan each second (proc_scan.h) sees the rest: that a title was written over makes no
 * event. After each fork, exec and renaming a process is therefore looked at again and again for
 * about two seconds, and then by the scan, which sees a new title within two.
 *
 * A child that a target forks, and that still carries its parent's title, is no target: it is
 * left alone until it has another one, whatever becomes of its parent. One that has run exec since
 * is a program of its own. Both can be told apart also when nobody saw the fork: exec puts the
 * stack at random, fork keeps it. (In a process without randomised addresses, as by setarch -R, the
 * title alone decides.)
 *
 * Nothing here blocks: files in /proc are read in helper threads (look.h), and a process that can't
 * be looked at is left out, retried with increasing pauses, and reported.
 *
 * All callbacks come from the loop. Those named on_ may call discover_stop(), but nothing else of
 * this.
 */
#ifndef RECORDER_DISCOVER_H
#define RECORDER_DISCOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "recorder/examine.h"

struct discover;
struct event_base;

/* A process whose title is a target's. */
struct discover_process {
	pid_t pid;
	/* With the process id it names the process for good: check it once you hold a pidfd. */
	uint64_t start_ticks;
	pid_t parent_pid; /* at the moment */
	struct process_uids uids;
	const char *title; /* terminated; may hold any other byte. Valid during the callback. */
	size_t title_len;
};

struct discover_callbacks {
	/*
	 * Whether this can be the title of a target: above 0 when it can. Cheap: called for each
	 * title that is new. `title` is terminated; `len` at most PROC_TITLE_MAX.
	 */
	int (*match)(void *ctx, const char *title, size_t len);
	/*
	 * A process whose title matches now. Once; again when its title changes to another one that
	 * matches, or to none and back, and when it has run exec.
	 */
	void (*on_candidate)(void *ctx, const struct discover_process *process);
	/*
	 * A process that looks like a target and is left alone, with the reason as a clause. Once
	 * per title, and only after it has kept it for some time: between fork and exec each child
	 * looks like that.
	 */
	void (*on_refused)(void *ctx, const struct discover_process *process, const char *reason);
	/* The title of a process could not be read in time. Once, until it can be read again. */
	void (*on_stuck)(void *ctx, pid_t pid);
	/*
	 * Whether processes of this user are of interest. Asked only when so many looks are stuck
	 * that the threads for them get scarce: then others' processes are no more looked at, so
	 * that no user can stop discovery for others. May be NULL: all are.
	 */
	bool (*is_user_followed)(void *ctx, uid_t uid);
};

struct discover_options {
	bool without_events;	   /* scan only */
	uint64_t scan_interval_ns; /* three times as long with events; 0: a second */
	/* A socket for process events, see proc_events_begin(); lent. 0: none, open an own one. */
	int events_fd;
};

struct discover_status {
	bool is_running;
	/* 0: the kernel's events are used; else the negative errno why not. */
	int events_error;
	size_t n_processes;		    /* at the last scan */
	size_t n_suspects;		    /* those remembered one by one */
	unsigned n_stuck;		    /* looks given up that have not returned */
	uint64_t n_scans, n_events, n_lost; /* since the start; lost: times, not events */
};

/*
 * Nothing happens before discover_start().
 * @base, @callbacks  must outlive it; @options may be NULL
 */
struct discover *discover_new(struct event_base *base, const struct discover_callbacks *callbacks,
			      void *ctx, const struct discover_options *options);
/* NULL is accepted. Stops. */
void discover_free(struct discover *d);

/*
 * Begin with a scan at once. All that is there is told anew.
 * Returns 0 or a negative errno (no descriptors left).
 */
int discover_start(struct discover *d);
/*
 * No timer, socket or thread remains, but threads that are stuck, until they return; all that was
 * seen is forgotten.
 */
void discover_stop(struct discover *d);

/* The titles that match are others now (new configuration): all that is there is told anew. */
void discover_rescan(struct discover *d);

void discover_get_status(const struct discover *d, struct discover_status *ret);

#endif
