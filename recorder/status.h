/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the collector tells of itself: a plain value that the daemon fills in when somebody asks,
 * and its form as JSON. `trackexec status` shows it (reader/cmd_status.c); the members are
 * described in trackexec-status(1).
 */
#ifndef RECORDER_STATUS_H
#define RECORDER_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* More of each are counted, not listed. */
#define STATUS_SESSIONS_MAX 512
#define STATUS_REFUSED_MAX  256
/* In bytes; longer texts are cut. */
#define STATUS_TEXT_MAX 512

enum status_root {
	STATUS_ROOT_ABSENT, /* nothing is recorded */
	STATUS_ROOT_PRESENT,
	STATUS_ROOT_REFUSED, /* it is not safe, or cannot be opened: root_why */
};

enum status_session_state {
	STATUS_SESSION_STARTING,
	STATUS_SESSION_RECORDING,
	STATUS_SESSION_WAITING, /* for the next try: last_error */
	STATUS_SESSION_ENDING,
};

/* Texts are lent; NULL where something is not known. They may hold any bytes. */
struct status_session {
	const char *name; /* of the trace's folder */
	const char *run;  /* of the run's folder */
	pid_t pid;
	const char *title;  /* NUL ends it: words joined by blanks */
	const char *python; /* version of the interpreter */
	enum status_session_state state;
	int64_t since_unix_s;
	double rate_asked_hz;	/* 0: as fast as it goes */
	double rate_allowed_hz; /* what the CPU budget leaves of it; 0: as fast as it goes */
	double rate_hz;		/* reached in the last seconds */
	uint64_t snapshots;
	uint64_t cut;
	uint64_t dropped;
	uint64_t transitions;
	uint64_t bytes; /* of the trace, on disk */
	uint64_t gaps;
	uint64_t sections;
	uint64_t section_lost;	 /* records of them */
	double cpu_percent;	 /* of one core, in the last seconds; NAN: not known */
	const char *edges;	 /* "exact", "coarse", "none"; NULL: not recording */
	const char *mode;	 /* "observed", "exact" */
	const char *exact_error; /* why it is not exact, though that was asked for */
	bool has_shim;		 /* which tells its precise sections */
	bool is_exact_wanted;
	bool is_exact_through_shim; /* which tells from the next section on */
	int64_t exact_until_unix_s; /* 0: no end */
	uint64_t lines;		    /* that the interpreter's probes told */
	uint64_t lines_lost;	    /* for which there was no room */
	pid_t worker_pid;	    /* 0: none at present */
	uint32_t restarts;	    /* of its worker, after it failed */
	const char *last_error;
};

/* A process that looks like a target but is not followed. */
struct status_refused {
	pid_t pid;
	uid_t uid;
	const char *title;
	const char *reason; /* a sentence's part: "the user is not among Users=" */
};

struct status {
	const char *version;
	pid_t pid;
	int64_t since_unix_s;

	const char *root; /* its path */
	enum status_root root_state;
	const char *root_why; /* what is wrong with it, or NULL */

	/* 0, or the negative errno for which the kernel's process events are not used. */
	int events_error;
	double rate_asked_hz;	   /* by default, for each target; 0: as fast as it goes */
	double cpu_budget_percent; /* of one core, for all processes of the collector */
	double cpu_percent;	   /* used in the last 10 s; NAN: not known */
	uint64_t rss_bytes;	   /* of all its processes */

	/* Meaningful while the root is present. */
	bool is_disk_known; /* it has been looked at: what is used, and free */
	uint64_t disk_use_bytes;
	uint64_t max_use_bytes; /* 0: no limit */
	uint64_t free_bytes;
	uint64_t keep_free_bytes; /* 0: no limit */
	bool is_growth_stopped;	  /* others have filled the disk */

	const struct status_session *sessions;
	size_t n_sessions;
	const struct status_refused *refused;
	size_t n_refused;
};

/* "starting", "recording", "waiting", "ending" */
const char *status_session_state_name(enum status_session_state state);

/* One JSON object, in UTF-8, at most CONTROL_ANSWER_MAX bytes. */
void status_write_json(const struct status *s, FILE *out);

#endif
