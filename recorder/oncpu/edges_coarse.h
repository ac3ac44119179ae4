/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When threads of a target are off the CPU, about: guessed from the scheduler's figures in
 * /proc/PID/task/TID/schedstat, which everybody may read. For where the kernel does not let us have
 * its own records (edge_events.h). Used by the sampler's thread.
 *
 * The run time of a thread that runs is brought up to date some hundred times a second, that of one
 * that stops at once. So one whose figures stand still for EDGES_COARSE_OFF_NS is off the CPU since
 * it ran last, which is told then; it is on again once they move. What is shorter is not seen, and
 * times are right to about EDGES_COARSE_OFF_NS; how long it ran in between is exact.
 */
#ifndef RECORDER_ONCPU_EDGES_COARSE_H
#define RECORDER_ONCPU_EDGES_COARSE_H

#include "recorder/oncpu/edges.h"

/* More threads than that are not followed. */
#define EDGES_COARSE_MAX 256

/* Figures are read this often at most, a microsecond each; less often while nobody runs. */
#define EDGES_COARSE_READ_NS	  (10 * NS_PER_MS)
#define EDGES_COARSE_READ_REST_NS (20 * NS_PER_MS)
#define EDGES_COARSE_OFF_NS	  (20 * NS_PER_MS)

/* "RUN READY SLICES" */
struct sched_figures {
	uint64_t run_ns;
	uint64_t ready_ns; /* waited for a CPU, up to when it got it last */
	uint64_t n_slices; /* times that it got one */
};

/* Returns 0; -ESRCH when the thread has ended, -EBADMSG or another negative errno. */
int sched_figures_read(int fd, struct sched_figures *ret);

struct edges_coarse;

/*
 * @ops  as in edges.h; when a thread turns out to have waited for a CPU only in the end, its
 *       EDGE_WAITING is followed by EDGE_READY, and may have taken no time
 */
struct edges_coarse *edges_coarse_new(const struct edges_ops *ops);
void edges_coarse_free(struct edges_coarse *e);

/*
 * Follow a thread for this owner. Given up at the next read when its owner is NULL by then.
 * @fd  of its schedstat, taken over; -1 for edges_coarse_take() only
 * Returns NULL when there are too many.
 */
struct edge_thread *edges_coarse_add(struct edges_coarse *e, uint32_t tid, uint32_t target_tid,
				     int fd, void *owner);

/* Read all figures, if it is time for that. Calls ops. */
void edges_coarse_read(struct edges_coarse *e, uint64_t now_ns);
/* Those of one thread, now: there is reason to believe that they have changed. */
void edges_coarse_read_one(struct edges_coarse *e, struct edge_thread *t, uint64_t now_ns);
/* What follows from figures that were read at that time; times never decrease. */
void edges_coarse_take(struct edges_coarse *e, struct edge_thread *t,
		       const struct sched_figures *figures, uint64_t now_ns);

#endif
