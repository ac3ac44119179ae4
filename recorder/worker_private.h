/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of a worker share: worker.c runs it, worker_attach.c looks at what it is given. */
#ifndef RECORDER_WORKER_PRIVATE_H
#define RECORDER_WORKER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "recorder/channel.h"
#include "recorder/exact/line_handover.h"
#include "recorder/exact/line_plan.h"
#include "recorder/handover.h"
#include "recorder/oncpu/edge_handover.h"
#include "recorder/python/py_runtime.h"
#include "recorder/ring.h"
#include "recorder/sampler.h"
#include "recorder/sampler_exact.h"
#include "recorder/target/memory.h"
#include "recorder/worker.h"

#define TICK_NS	    (50 * NS_PER_MS)
#define PROGRESS_NS NS_PER_S
#define ANCHOR_NS   (60 * NS_PER_S)

struct worker {
	struct channel channel;
	const struct worker_config *config;

	struct memory mem;
	struct py_runtime py;
	/* Of the executable files mapped when no interpreter was found in them; 0: none. */
	uint64_t rejected_files;
	char rejected_as[MESSAGE_TEXT_MAX];

	struct ring *ring;
	struct sampler *sampler;
	struct sampler_config sampler_config;
	uint32_t next_code;
	uint16_t next_thread;
	pthread_t thread;
	bool is_sampling;
	atomic_bool stop;
	atomic_bool sampler_over;
	int sampler_result; /* valid once sampler_over */

	struct trace_writer *writer;
	int write_error; /* the first refusal of the disk, 0 or a negative errno */
	uint64_t start_ns, gone_ns;
	uint64_t next_tick_ns, next_progress_ns, next_anchor_ns;
	struct record_counters base, counters; /* of earlier samplers; with the present one's */
	uint64_t n_gaps;
	double rate_hz;
	int stat_fd;		 /* of the target; -1: none */
	struct edge_rings edges; /* of the target */
	struct edge_inbox *edge_inbox;
	struct line_plan line_plan; /* of the interpreter's probes; asks for nothing: it has none */
	int lines_status;	    /* why */
	struct line_ring_fds line_fds;
	bool is_exact;
	uint64_t lines_base, lost_base; /* of earlier samplers */
	int maps_fd;			/* of the target; -1: none */
	int waits_sock;			/* where to ask why it waits; -1: nowhere */
	struct wait_queue *wait_queue;
	struct wait_places *wait_places;
	struct wait_watch *wait_watch; /* NULL: nobody finds out */
	bool may_not_grow;	       /* the trace: others need the disk */

	bool is_done;
};

/*
 * Take the target's memory and maps from a MSG_TARGET and look for its interpreter.
 * @found  what was found instead, or is wrong
 * Returns 0; -ENOPROTOOPT when it does not tell its lines, though that is needed (found: its
 * version); or another negative errno; then the memory is closed.
 */
int worker_find_interpreter(struct worker *w, struct message *target, char *found, size_t size);
/* Create the trace of a MSG_TARGET, or go on with it. Returns 0 or a negative errno. */
int worker_begin_trace(struct worker *w, const struct message *target);

/*
 * Look for the probes of the interpreter that was found in this file, to line_plan and
 * lines_status.
 */
void worker_find_lines(struct worker *w, const char *interpreter);
/* Take a MSG_LINES. */
void worker_on_lines(struct worker *w, struct message *m);

#endif
