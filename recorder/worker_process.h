/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker of the collector as its attacher sees it: a child with a socket. It is this same
 * program, started anew, so that it shares no memory with the attacher, and one for each target, so
 * that no target's bytes ever meet another target's descriptors.
 */
#ifndef RECORDER_WORKER_PROCESS_H
#define RECORDER_WORKER_PROCESS_H

#include <sys/types.h>

/* The option with which main() is to call worker_serve(), and the socket's descriptor. */
#define WORKER_OPTION "--worker"
#define WORKER_SOCKET 3

struct worker_process {
	pid_t pid; /* 0: none */
	int sock;  /* does not block */
	int pidfd; /* readable once it has ended */
	uid_t uid; /* that it runs as, or will; (uid_t)-1: the own */
};

#define WORKER_PROCESS_NONE ((struct worker_process){.sock = -1, .pidfd = -1})

/*
 * SIGCHLD has to be ignored: nobody waits for the child.
 * @uid   that it will be told to run as
 * @name  shown behind the program's name in lists of processes
 * Returns 0 or a negative errno.
 */
int worker_process_start(const char *name, uid_t uid, struct worker_process *ret);

/*
 * Close what we have of it. One that still lives ends its trace then and exits. Does not wait; may
 * be called again.
 */
void worker_process_done(struct worker_process *w);

void worker_process_kill(const struct worker_process *w);

#endif
