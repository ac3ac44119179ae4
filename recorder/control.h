/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers requests at the collector's socket (common/control_protocol.h), from the event loop,
 * without ever waiting for a client. Who may connect is decided by the mode of the socket's file.
 *
 * A process that is forked from this one must close the descriptors that it inherits: the socket
 * of a dead daemon is told from a living one by whether somebody holds it.
 */
#ifndef RECORDER_CONTROL_H
#define RECORDER_CONTROL_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/cleanup.h"

struct control;
struct event_base;

/* Further ones wait until one is done. */
#define CONTROL_CLIENTS_MAX 32
/* For the whole request, and then for the whole answer to be taken: who is slower is dropped. */
#define CONTROL_PATIENCE_S 5

/*
 * Write the answer to a request: one JSON object. May not free the control.
 * @request  printable ASCII, at most CONTROL_REQUEST_MAX bytes
 * @answer   in memory
 * Returns 0; or -EOPNOTSUPP when there is no such request, or another negative errno: then what
 * was written is thrown away, and the client is told the error.
 */
typedef int (*control_request_fn)(void *ctx, const char *request, FILE *answer);

/*
 * @path, @gid, @why  see control_socket_open(), whose errors are returned
 * Returns 0 or a negative errno, with a sentence for the user in `why`.
 */
int control_new(struct event_base *base, const char *path, gid_t gid, control_request_fn on_request,
		void *ctx, struct control **ret, char *why, size_t why_size);

/* Drops all clients, and removes the socket's file. NULL is fine. */
void control_free(struct control *c);
DEFINE_CLEANUP(struct control *, control_free)
#define auto_control auto_release(control_free)

#endif
