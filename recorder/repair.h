/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traces that were left without an end: their recorder was killed, and their process is gone. Each
 * gets its end from a worker in its sandbox, one after the other. The rest is left to sessions,
 * which go on with the trace of a process that still lives.
 */
#ifndef RECORDER_REPAIR_H
#define RECORDER_REPAIR_H

#include <sys/types.h>

struct event_base;
struct look_pool;
struct repair;

struct repair *repair_new(struct event_base *base, struct look_pool *looks, uid_t worker_uid,
			  gid_t worker_gid);
void repair_free(struct repair *r); /* NULL is accepted */

/* Look through this root, once. */
void repair_start(struct repair *r, int root_fd);
void repair_stop(struct repair *r);

#endif
