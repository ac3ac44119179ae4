/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds out why threads wait, and where they are in native code, while they do: a thread of the
 * worker. What it finds is fetched by the thread that writes. Bounded: beyond so many looks a
 * second, waits have no reason.
 */
#ifndef RECORDER_WAIT_WATCH_H
#define RECORDER_WAIT_WATCH_H

#include <stdint.h>

struct edge_inbox;
struct trace_writer;
struct wait_places;
struct wait_queue;
struct wait_watch;

/*
 * Starts the thread.
 * @queue    where it hears of waits; lent, one consumer
 * @places   what it learns of where threads wait; lent
 * @sock     to the attacher, see oncpu/wait_link.h; lent
 * @mem_fd   of /proc/PID/mem, lent
 * @maps_fd  of /proc/PID/maps, lent
 * @inbox    where threads' figures go that the queue asks for; lent, NULL: nowhere
 * Returns 0 or a negative errno.
 */
int wait_watch_new(struct wait_queue *queue, struct wait_places *places, int sock, int mem_fd,
		   int maps_fd, struct edge_inbox *inbox, struct wait_watch **ret);
/* Ends it: after the question that it may have asked is answered. NULL is accepted. */
void wait_watch_free(struct wait_watch *w);

/* Tell the writer what was found since the last call. */
void wait_watch_collect(struct wait_watch *w, struct trace_writer *writer);

#endif
