/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the sampler wants to know of threads and asked for through its wait queue (wait_queue.h), on
 * its way to it from the thread that got it of the attacher: descriptors of their figures where
 * edges are coarse, and that they wait where edges were lost.
 */
#ifndef RECORDER_ONCPU_EDGE_INBOX_H
#define RECORDER_ONCPU_EDGE_INBOX_H

#include <stdbool.h>
#include <stdint.h>

struct edge_delivery {
	uint32_t target_tid; /* as the target knows the thread, and as it was asked for */
	uint32_t tid;
	int fd;		   /* of schedstat, see edges_coarse.h; -1: it waits */
	uint64_t asked_ns; /* then: since some moment after this, or longer */
};

struct edge_inbox;

struct edge_inbox *edge_inbox_new(void);
/* With what was not taken. NULL is accepted. */
void edge_inbox_free(struct edge_inbox *box);

/* Its descriptor is taken over. Any thread. */
void edge_inbox_put(struct edge_inbox *box, const struct edge_delivery *d);
/* Returns whether there was one; costs nothing when there is none. Any thread. */
bool edge_inbox_take(struct edge_inbox *box, struct edge_delivery *ret);

#endif
