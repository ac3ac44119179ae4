/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session: the collector's work on one target, from the moment it is found to its end. Holds the
 * process fast, has its folders made, starts a worker for it, hands over what the worker needs, and
 * starts another one when that dies. Whatever goes wrong here concerns this target alone: it is
 * told once, and tried again with increasing pauses for as long as the target lives.
 *
 * Lives on the event loop and never blocks it: what can block is done in helper threads
 * (session_look.h), and a worker that does not answer is killed.
 */
#ifndef RECORDER_SESSION_H
#define RECORDER_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "recorder/config.h"
#include "recorder/handover.h"
#include "recorder/oncpu/edge_events.h"
#include "recorder/run_folder.h"
#include "recorder/sampler.h"
#include "recorder/trace_name.h"

struct credentials;
struct event_base;
struct look_pool;
struct session;
struct wait_host;
struct wait_peer;

/* What all sessions share; outlives them. */
struct session_ops {
	struct event_base *base;
	struct look_pool *looks;
	struct line_endings *line_endings; /* of exact mode; NULL: who ends it waits for that */
	/* The root's descriptor now, -1 when it is gone. */
	int (*get_root)(void *ctx);
	/* May a process with these rights be recorded? Asked before each attachment. */
	bool (*is_allowed)(void *ctx, const struct session *s, const struct credentials *c);
	/* Nothing more will come: free it, but not from within this call. */
	void (*on_over)(void *ctx, struct session *s);
	/* There are no exact edges of this one (edge_choice.h says why). NULL: never mind. */
	void (*on_inexact)(void *ctx, const struct session *s, enum edge_source source, int status);
	/* For waits: what all share, and the targets of all sessions, a list of the caller's. */
	struct wait_host *wait_host;
	size_t (*list_peers)(void *ctx, struct wait_peer **ret);
	void *ctx;
};

struct session_target {
	pid_t pid;
	uint64_t start_ticks;
	pid_t parent_pid;
	const char *title; /* terminated; any bytes */
	const char *name;  /* of the trace; checked */
	/* How it is followed; copied. */
	enum follow_mode follow;
	const char *packages_text;
	double rate_asked_hz; /* 0: as fast as it goes */
	enum sampling_mode mode;
	uint64_t min_wait_ns; /* waits are recorded from here on; 0: the default */
	struct folder_access access;
	gid_t worker_gid; /* with access.worker_uid; (gid_t)-1: unchanged */
};

enum session_state {
	SESSION_STARTING,  /* folders and worker */
	SESSION_ATTACHING, /* looks for an interpreter that can be read */
	SESSION_RECORDING,
	SESSION_WAITING, /* for the next try */
	SESSION_ENDING,
	SESSION_OVER,
};
const char *session_state_name(enum session_state state);

/* @ops lent; @target copied. Begins at once. */
struct session *session_new(const struct session_ops *ops, const struct session_target *target);
/* Also when it is not over: then its worker ends the trace by itself. NULL is accepted. */
void session_free(struct session *s);

/* End the trace with this reason; on_over follows, within two seconds. */
void session_stop(struct session *s, const char *reason);

/* The target executes another program now, or may be readable by now: do not wait. */
void session_try_now(struct session *s);

/* To be called about every second: notices a worker that hangs, or a folder that was removed. */
void session_check(struct session *s);

/*
 * The configuration is another one: is this target still to be recorded under this name and in
 * this way? Then only the rate that was asked for can differ, and is taken over.
 */
bool session_goes_on(struct session *s, const char *name, enum follow_mode follow,
		     const char *packages_text, double rate_asked_hz);

/*
 * Exact mode: each line, as the interpreter's probes tell it, at some two microseconds a line for
 * the target. On, also for the programs that it executes later, until it is switched off or so
 * much time has passed (0: no end). What came of it is in the status.
 */
void session_set_exact(struct session *s, bool is_wanted, uint64_t duration_ns);
/* As the configuration has it; switches only if that is another one than before. */
void session_set_mode(struct session *s, enum sampling_mode mode);

/* Takes effect when there is a worker, and for each later one. */
void session_set_rate(struct session *s, double rate_hz);
/* The target with its trace's name, held for the caller. False: it has none yet. */
bool session_as_peer(const struct session *s, struct wait_peer *ret);
void session_set_growth(struct session *s, bool may_grow);
void session_trim(struct session *s, uint64_t bytes);

/* Strings are lent until the session changes. */
struct session_status {
	enum session_state state;
	pid_t pid, worker_pid; /* worker 0: none now */
	uint64_t start_ticks;
	const char *name; /* of the trace's folder; of the trace while there is none */
	const char *run;  /* "" while there is none */
	const char *title;
	const char *python; /* "" while not known */
	int64_t since_realtime_ns;
	double rate_asked_hz, rate_allowed_hz, rate_hz; /* reached lately */
	struct record_totals totals;			/* of the worker, as it last told them */
	bool has_totals;
	unsigned n_restarts;
	enum edge_source edges;		/* of the recording, once there is one */
	bool is_exact_wanted, is_exact; /* is_exact: its probes are set, or its shim is asked */
	bool is_exact_through_shim;
	int64_t exact_until_ns;	 /* real time; 0: no end */
	const char *exact_error; /* why exact mode is not on; "" */
	bool has_shim;		 /* which tells its precise sections */
	const char *error; /* why it waits, or was restarted; "" when there is nothing to say */
};
void session_get_status(const struct session *s, struct session_status *ret);

#endif
