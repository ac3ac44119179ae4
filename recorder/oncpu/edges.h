/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When the threads of a target go on and off the CPU, from the rings that edge_events.h opens.
 * Used by the sampler's thread; reading costs a look at one word of memory for each CPU.
 *
 * Records are taken in the order of their time, over all CPUs, up to the moment at which reading
 * begins; younger ones are left for the next time, as an older one of another CPU may be on its
 * way.
 */
#ifndef RECORDER_ONCPU_EDGES_H
#define RECORDER_ONCPU_EDGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/oncpu/edge_events.h"
#include "recorder/oncpu/edge_inbox.h"

struct edges;

/* A thread of the target. Lives as long as the thread, or the struct edges. */
struct edge_thread {
	uint32_t tid;
	uint32_t target_tid; /* as the target sees it; 0: not known */
	enum edge_state state;
	uint64_t since_ns; /* monotonic; while EDGE_UNKNOWN: nothing */
	void *owner;	   /* the caller's, as is what follows */
	unsigned n_asked;
	bool is_guess; /* it may have run since, see edges_coarse.h */
};

struct edges_ops {
	/*
	 * The thread was in state `was` from start_ns to end_ns, and t->state has begun.
	 * Times of one thread never decrease.
	 */
	void (*on_change)(void *ctx, struct edge_thread *t, enum edge_state was, uint64_t start_ns,
			  uint64_t end_ns);
	/* It has ended; t is valid until this returns. */
	void (*on_exit)(void *ctx, struct edge_thread *t);
	void *ctx;
};

/*
 * @fds    of the rings: for each CPU records and alarm. They become those of the struct edges,
 *         also on error.
 * @tasks  descriptor of edge_events_tasks(), lent
 * Returns 0 or a negative errno.
 */
int edges_new(const int *fds, unsigned n_cpus, int tasks, const struct edges_ops *ops,
	      struct edges **ret);
/* Threads that are left go without a word. NULL is accepted. */
void edges_free(struct edges *e);

/* The thread which the target knows by this number. NULL when there is none yet. */
struct edge_thread *edges_find(struct edges *e, uint32_t target_tid);

/* Take what has come until now_ns. Calls ops. Returns the number of records. */
size_t edges_read(struct edges *e, uint64_t now_ns);

/* Records that were lost so far; at each loss all threads become EDGE_UNKNOWN. */
uint64_t edges_n_lost(const struct edges *e);
/* When the last ones were lost, CLOCK_MONOTONIC; 0: none yet. */
uint64_t edges_lost_ns(const struct edges *e);
/*
 * Others have found that the thread waits. Counts while nothing else is known of it, and nothing
 * was lost since they were asked: then it has waited since that loss.
 */
void edges_note_waiting(struct edges *e, const struct edge_delivery *d);

/*
 * Sleep until a thread goes on or off the CPU, wake_fd (an eventfd, which is then read; -1: none)
 * is readable, or so much time has passed. Returns at once when there are records that were not
 * taken yet. Returns whether there is something to read of the edges.
 */
bool edges_wait(struct edges *e, int wake_fd, uint64_t timeout_ns);

/*
 * Sleep for so long, but not until a ring is full: what it has no room for is lost. To be called
 * again after edges_read().
 */
void edges_sleep(struct edges *e, uint64_t timeout_ns);

/* Whether nothing will come any more: what was followed has ended. Known after sleeping. */
bool edges_are_over(const struct edges *e);

#endif
