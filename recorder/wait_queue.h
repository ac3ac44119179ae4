/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads that have begun to wait, from the sampler to whoever finds out why: at once, while the
 * ring's records only count after their batch has been proven. One producer, one consumer.
 */
#ifndef RECORDER_WAIT_QUEUE_H
#define RECORDER_WAIT_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct wait_notice {
	uint64_t since_ns;   /* 0: it does not wait, its figures are wanted (oncpu/edge_inbox.h) */
	uint32_t tid;	     /* then: as the target knows it */
	uint16_t thread;     /* its number in the trace */
	uint16_t gil_holder; /* that of the thread that had its GIL; 0: not known, or itself */
	uint64_t gil;	     /* address of its GIL in the target; 0: not known */
	uint64_t place;	     /* where it waits, see wait_places.h; 0: not known */
};

struct wait_queue;

/* NULL when there is no descriptor left. */
struct wait_queue *wait_queue_new(void);
void wait_queue_free(struct wait_queue *q);

/* The sampler's: never waits. Returns false when the queue is full: it is to be put again later. */
bool wait_queue_put(struct wait_queue *q, const struct wait_notice *notice);

/* Readable while there may be something in it, or wait_queue_wake() was called. */
int wait_queue_fd(const struct wait_queue *q);
void wait_queue_wake(struct wait_queue *q);
/* Before taking what there is: from then on the descriptor tells of something new. */
void wait_queue_begin(struct wait_queue *q);
/* Returns whether there was one. */
bool wait_queue_take(struct wait_queue *q, struct wait_notice *ret);

#endif
