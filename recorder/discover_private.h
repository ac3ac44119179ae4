/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of discovery share: discover.c (start, stop, events, timer), discover_scan.c (all
 * processes, now and then), discover_young.c (single ones, soon after an event) and
 * discover_verdict.c (those with a target's title).
 *
 * All of it belongs to the loop's thread. Looks in helper threads get copies.
 */
#ifndef RECORDER_DISCOVER_PRIVATE_H
#define RECORDER_DISCOVER_PRIVATE_H

#include "recorder/discover.h"
#include "recorder/look.h"
#include "recorder/proc_scan.h"
#include "recorder/suspects.h"

#define YOUNG_STEPS 8

struct event;

struct discover {
	struct event_base *base;
	const struct discover_callbacks *callbacks;
	void *ctx;
	bool without_events;
	int passed_fd; /* for events; 0: none */
	uint64_t scan_interval_ns;

	bool is_running;
	struct look_pool *pool;
	struct event *pool_event;
	struct event *timer;
	int proc_fd;
	int events_fd; /* -1: none */
	int events_error;
	struct event *events_event, *events_pause;
	struct discover_status counters;

	struct suspects suspects;
	unsigned n_stuck_suspects;

	/* The scan. */
	struct proc_table table;
	bool is_rescan_wanted;
	bool is_scanning;     /* from its beginning to its end */
	bool is_scan_waiting; /* for a thread */
	size_t scan_at;
	uint64_t scan_start_ns;
	uint64_t next_scan_ns;

	/* Young processes: a queue for each step, by due time, since a step has one pause. */
	struct suspect_list young[YOUNG_STEPS];
	unsigned n_young_looks; /* under way */
	uint64_t next_young_ns; /* not earlier */
	double tokens;		/* looks that may be spent */
	uint64_t tokens_ns;	/* when they were counted */

	/* Close looks. */
	struct suspect_list waiting;
	unsigned n_close_looks;
};

/* A look at many titles. */
struct survey {
	struct discover *d; /* not for the helper thread */
	bool is_scan;
	pid_t stuck_pid; /* once it is late; 0: none */
	uint64_t stuck_serial;
	struct proc_batch batch;
};

/* Clock ticks since boot, as in start_ticks. */
uint64_t discover_now_ticks(void);

/*
 * Start a survey of the batch. On success it is told of by discover_scan_on_survey() or
 * discover_young_on_survey(), with how many entries were read and whether it is stuck at the next
 * one. Returns 0, or -EBUSY; then it is the caller's again.
 */
int discover_submit_survey(struct survey *survey);

/* --- discover_scan.c --- */

/* Begin a scan, or go on with one, if it is time. */
void discover_scan_pump(struct discover *d, uint64_t now_ns);
void discover_scan_on_survey(struct discover *d, const struct survey *survey, uint32_t n_read,
			     bool is_late);
/* The next one will be another one. */
void discover_scan_give_up(struct discover *d);
/* When discover_scan_pump() wants to be called, UINT64_MAX: not because of time. */
uint64_t discover_scan_due_ns(const struct discover *d);
/* Whether the process must not be looked at now. */
bool discover_skips(struct discover *d, pid_t pid, uint64_t now_ns);

/* --- discover_young.c --- */

/* Look at this process soon and then more and more seldom. */
void discover_young_watch(struct discover *d, struct suspect *s, uint64_t now_ns);
/* Take it out of all queues. */
void discover_young_unwatch(struct discover *d, struct suspect *s);
void discover_young_pump(struct discover *d, uint64_t now_ns);
void discover_young_on_survey(struct discover *d, const struct survey *survey, uint32_t n_read,
			      bool is_late);
uint64_t discover_young_due_ns(const struct discover *d);

/* --- discover_verdict.c --- */

/* What was read of a process. @is_scan  by the scan; else soon after an event */
void discover_on_title(struct discover *d, pid_t pid, const char *title, size_t len, bool is_scan);
/* Look closely at this suspect as soon as there is a thread. */
void discover_examine(struct discover *d, struct suspect *s);
void discover_verdict_pump(struct discover *d);
/* Its title can't be read; a look that returns late is told with the serial given here. */
uint64_t discover_stuck(struct discover *d, pid_t pid, uint64_t now_ns);
void discover_stuck_returned(struct discover *d, pid_t pid, uint64_t serial);
void discover_unstuck(struct discover *d, struct suspect *s);
/* It has ended, or is another process by now. */
void discover_drop(struct discover *d, struct suspect *s);
/* Neither young nor of interest any more. */
bool discover_is_needless(const struct suspect *s);

#endif
