/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by session.c (beginning, end, worker) and session_attach.c (the target). */
#ifndef RECORDER_SESSION_PRIVATE_H
#define RECORDER_SESSION_PRIVATE_H

#include "recorder/session.h"
#include "recorder/session_look.h"
#include "recorder/worker_process.h"

struct event;
struct line_events;
struct lines_look;
struct net_cache;
struct shim_look;
struct wait_look;

/* What the session waits for with its timer. */
enum session_next {
	NEXT_NOTHING,
	NEXT_OPEN,   /* the folders again */
	NEXT_WORKER, /* another worker */
	NEXT_TARGET, /* attach again */
	NEXT_LOOK,   /* a helper thread for the look that waits */
	NEXT_KILL,   /* the worker did not end in time */
};

/* See session_exact.c. */
struct session_exact {
	bool is_through_shim;	     /* no probes: the target's shim is asked to tell each line */
	struct line_request request; /* of the interpreter that the worker found */
	int lack;		     /* why it asks for nothing: a negative errno */
	bool is_wanted;
	int64_t until_ns; /* real time; 0: until somebody says so */
	struct event *timer;
	struct lines_look *look;    /* under way */
	struct line_events *events; /* NULL: none are set */
	char error[256];	    /* why it is not on; "" */
};

struct session {
	const struct session_ops *ops;

	/* Whom, and how. */
	char *title;
	char *packages_text;
	uint64_t start_ticks;
	double rate_asked_hz, rate_hz;
	uint64_t min_wait_ns;
	int64_t since_ns; /* real time */
	struct folder_access access;
	gid_t worker_gid;
	pid_t pid, parent_pid;
	enum follow_mode follow;
	enum session_state state;
	char name[TRACE_NAME_MAX + 1];
	bool may_grow, has_trace;
	bool awaits_reply; /* to MSG_TARGET */
	bool has_totals;

	struct held_target *target;
	struct event *on_exit;	  /* of the target */
	struct edge_choice edges; /* of what the worker has */
	int waits_sock;		  /* where the worker asks why it waits; -1: nowhere */
	struct event *on_asked;
	struct wait_look *wait_look; /* under way */
	struct net_cache *net_cache; /* NULL: there is none, or a look has it */
	struct event *shim_timer;    /* NULL: its shim is not looked for */
	struct shim_look *shim_look; /* under way */
	unsigned n_shim_looks;
	bool has_shim; /* and the worker has its ring */
	struct run_folder run;
	struct trace_folder folder;

	enum sampling_mode mode; /* as the configuration has it */
	struct session_exact exact;
	struct worker_process worker;
	unsigned n_restarts;
	unsigned n_failures; /* of workers in a row */
	int told;	     /* the error that was last written to the log; 0: none */
	struct event *on_message, *on_worker_exit;
	uint64_t heard_ns; /* when the worker last said something */

	struct event *timer;
	struct session_look *look;    /* under way */
	struct session_look *waiting; /* for a thread */
	uint64_t attach_since_ns;     /* this attempt to attach began */
	uint64_t pause_ns;	      /* before the next try */
	enum session_next next;

	char python[64];
	char error[512];
	struct record_totals earlier; /* counts of workers that are gone */
	struct record_totals totals;  /* as last told */
	double reached_hz;
};

/* --- session.c --- */

/* Call what `next` says after that long; replaces what was waited for. */
void session_set_next(struct session *s, enum session_next next, uint64_t pause_ns);

/* Start a look, now or when there is a thread. The session owns it until then. */
void session_submit(struct session *s, struct session_look *look);

/* Send to the worker. One that can't take it is killed, which is noticed later. */
void session_send(struct session *s, struct message *m);

/*
 * Something does not work: keep it for the status, and log it unless it is what was logged last.
 * @error  negative errno; the sentence is made of the rest, without the target
 */
void session_note_error(struct session *s, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void session_clear_error(struct session *s);

/* The pause before the next try: doubled each time, between these two. */
uint64_t session_next_pause(struct session *s, uint64_t min_ns, uint64_t max_ns);

/* --- session_waits.c --- */

/* For a worker that was just started. */
void session_open_waits(struct session *s);
void session_close_waits(struct session *s);

/* --- session_exact.c --- */

/* The worker has found the interpreter, and tells of its probes. */
void session_exact_attached(struct session *s, const struct message *m);
/* The address space is gone, or the worker: probes end, and are set again when there is another. */
/* For the shim: it was found, or not yet. */
void session_exact_shim_looked(struct session *s);
void session_exact_gone(struct session *s);
void session_exact_done(struct session *s);
/* --- session_shim.c --- */

/* The worker records: look for the shim until it is found. */
void session_open_shim(struct session *s);
void session_close_shim(struct session *s);

/* --- session_attach.c --- */

/* There is a worker: hand over what the target is now, as often as it takes. */
void session_attach(struct session *s);
/* It is time for another try. */
void session_attach_again(struct session *s);
void session_on_message(struct session *s, struct message *m);

#endif
