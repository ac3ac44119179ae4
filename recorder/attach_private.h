/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by attach.c (the life of a recording), attach_edges.c and attach_fail.c. */
#ifndef RECORDER_ATTACH_PRIVATE_H
#define RECORDER_ATTACH_PRIVATE_H

#include "recorder/attach.h"
#include "recorder/oncpu/wait_link.h"
#include "recorder/oncpu/wait_source.h"
#include "recorder/progress.h"

enum phase {
	ATTACHING,   /* no interpreter seen yet, no trace */
	RECORDING,   /* the worker samples */
	REATTACHING, /* the address space that was recorded is gone, the process is not */
	ENDING,	     /* the worker was told to stop */
	OVER,	     /* the worker is done */
};

struct attach {
	const struct attach_config *config;
	const struct identity *target;
	enum phase phase;
	bool awaits_reply; /* to MSG_TARGET */
	bool target_over, command_over;
	bool stopped_by_user;
	bool has_trace;
	bool warned_waiting, warned_disk, told_edges;
	uint64_t retry_at_ns, retry_delay_ns;
	uint64_t give_up_at_ns;
	uint64_t shim_at_ns; /* when its shim is looked for, 0: not any more */
	unsigned n_shim_looks;
	uint64_t end_at_ns;	   /* the duration's end, 0: none */
	int last_status;	   /* of the last try to attach */
	struct edge_choice edges;  /* of what the worker has */
	struct line_events *lines; /* NULL: none */
	int waits_sock;		   /* where the worker asks why a thread waits; -1: nowhere */
	struct socket_sources sockets;
	char found[MESSAGE_TEXT_MAX];
	char python[MESSAGE_TEXT_MAX];
	int status; /* enum exit_status */
	int command_status;
	struct record_totals totals;
	struct progress progress;
};

static inline int pid_of(const struct attach *a)
{
	return (int)a->target->pid;
}

/* --- attach.c --- */

/* The worker is to end the trace, with this reason. */
void attach_stop(struct attach *a, const char *reason);
/* File names of the target are in it: nothing of them may reach a terminal as a command. */
void attach_keep_text(char *buf, size_t size, const char *text);

/* --- attach_edges.c --- */

/*
 * Those of an address space before this one end here.
 * Returns whether there is what was asked for.
 */
bool attach_send_edges(struct attach *a);
/* Where the worker can ask why a thread waits. */
void attach_send_waits(struct attach *a);
void attach_on_wait_asked(struct attach *a);

/* --- attach_fail.c: each says why, and decides the exit status unless something else has failed
 * before --- */

void attach_note_failure(struct attach *a, int status);

void attach_fail_not_allowed(struct attach *a);
void attach_fail_no_python(struct attach *a);
/* It was neither refused nor seen as something else, but there was no interpreter in time. */
void attach_fail_not_ready(struct attach *a);
void attach_fail_after_exec(struct attach *a);
void attach_fail_ended_early(struct attach *a);
void attach_fail_no_edges(struct attach *a, const char *why);

/* Once. */
void attach_warn_disk(struct attach *a, int status);
/* A command may run for long before it becomes a Python, or never become one: say so once. */
void attach_warn_waiting(struct attach *a);

#endif
