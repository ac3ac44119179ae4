/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared by collector.c (the daemon's life), collector_targets.c (who is recorded, how often) and
 * collector_status.c (what it says of itself).
 */
#ifndef RECORDER_COLLECTOR_PRIVATE_H
#define RECORDER_COLLECTOR_PRIVATE_H

#include "recorder/budget.h"
#include "recorder/collector.h"
#include "recorder/config.h"
#include "recorder/control.h"
#include "recorder/discover.h"
#include "recorder/look.h"
#include "recorder/repair.h"
#include "recorder/root_watch.h"
#include "recorder/session.h"
#include "recorder/storage.h"

struct event;

/* Processes that look like targets but are not followed; of more, the oldest are forgotten. */
#define REFUSED_MAX 256

/* CPU used is told of so many of the last ticks, a second each. */
#define CPU_TICKS 10

/* A session and what is known of its cost. */
struct recorded {
	struct session *session;
	pid_t worker_pid; /* that cpu_ns is of */
	uint64_t cpu_ns;  /* of its worker, up to the last tick */
	double cpu_percent;
	bool is_beyond_budget; /* in exact mode */
	struct budget_target budget;
};

struct refused {
	pid_t pid;
	uint64_t start_ticks;
	uid_t uid;
	char *title;
	char *reason;
};

struct collector {
	struct collector_options options;
	struct collector_config *config;
	struct event_base *base;
	struct look_pool *looks;
	struct event *on_looks, *on_tick, *on_over, *on_watchdog;
	struct event *on_term, *on_int, *on_hup;

	struct root_watch *root_watch;
	int root_fd;	/* lent by root_watch; -1: there is none */
	char *root_why; /* NULL, or why the root can't be used */

	int events_fd; /* for process events, from the service manager; -1: none */
	struct discover *discover;
	struct storage *storage;
	struct repair *repair;
	struct control *control;
	struct session_ops session_ops;
	struct storage_ops storage_ops;
	struct folder_access access;
	gid_t worker_gid;
	bool may_grow;

	struct recorded *recorded;
	size_t n_recorded, cap_recorded;
	struct refused refused[REFUSED_MAX];
	size_t n_refused;

	int64_t since_ns;	      /* real time */
	uint64_t tick_ns, own_cpu_ns; /* of the last tick */
	double cpu_percent[CPU_TICKS];
	unsigned n_ticks;
	bool is_stopping;
	bool is_inexact_told; /* that edges are not exact, and why */
};

/* --- collector_targets.c --- */

extern const struct discover_callbacks collector_discover_callbacks; /* ctx: the collector */

bool collector_is_allowed(void *ctx, const struct session *s, const struct credentials *c);
/* Logged once: mostly it is the same for all. */
void collector_on_inexact(void *ctx, const struct session *s, enum edge_source source, int status);
size_t collector_list_peers(void *ctx, struct wait_peer **ret);
void collector_stop_all(struct collector *c, const char *reason);
/* The configuration is another one: stop what is not to be recorded, or otherwise. */
void collector_apply_targets(struct collector *c);
/* Every second while there is a session: the budget, and a look at each. */
void collector_tick(struct collector *c);
void collector_forget_refused(struct collector *c);
struct recorded *collector_find(struct collector *c, const char *run, const char *trace);

/* --- collector_status.c --- */

int collector_on_request(void *ctx, const char *request, FILE *answer); /* ctx: the collector */
/* The line that the service manager shows. */
void collector_tell_status(struct collector *c);

#endif
