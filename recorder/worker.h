/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The unprivileged half of the recorder: gets descriptors of a target from the attacher, finds
 * the interpreter, and runs the sampler (a thread) and the writer. All bytes that a target
 * controls are parsed here.
 */
#ifndef RECORDER_WORKER_H
#define RECORDER_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "recorder/sampler.h"

struct worker_config {
	const char *name;   /* of the trace */
	const char *folder; /* exists; trace.db is created in it, or continued if may_continue */
	pid_t pid;
	uint64_t start_ticks;
	double rate_hz;	      /* 0: as fast as it goes */
	bool slows_when_idle; /* see sampler.h */
	uint64_t min_wait_ns; /* waits are recorded from here on; 0: the default */
	enum follow_mode follow;
	const char *const *packages; /* NULL-terminated, for FOLLOW_PACKAGES */
	const char *packages_text;   /* the same as the user wrote it */
	bool needs_lines;  /* an interpreter that does not tell its lines is not recorded */
	bool may_continue; /* a trace.db of the same process may be there already */
	bool is_confined;  /* privileges have been given up */
};

/*
 * The life of the worker process: gives up its privileges and serves `sock` (see handover.h)
 * until the trace is complete. Blocked signals stay blocked: the attacher says when to stop, or
 * ends, which stops the recording as well. Returns the process's exit status.
 */
int worker_run(int sock, const struct worker_config *config);

/*
 * The same for a worker of the collector, which is a program of its own: waits for MSG_SETUP,
 * enters its sandbox (sandbox.h), and does what it was started for. In worker_serve.c.
 */
int worker_serve(int sock);

#endif
