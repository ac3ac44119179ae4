/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting the command to record: it waits until we are ready, so that nothing of it is missed. */
#ifndef RECORDER_LAUNCH_H
#define RECORDER_LAUNCH_H

#include <signal.h>
#include <sys/types.h>

struct launched {
	pid_t pid;
	int go_fd;    /* closed unused: the command is never executed */
	int error_fd; /* tells why it could not be executed */
};

/*
 * Fork a process that will execute argv (NULL-terminated, looked up in PATH).
 * @mask  the signal mask that the command shall have
 * Returns 0 or a negative errno.
 */
int launch_prepare(char *const *argv, const sigset_t *mask, struct launched *ret);

/* Let it go, and wait until it is executed. Returns 0 or the negative errno of execve(). */
int launch_go(struct launched *l);

/* Take back what has not been executed, and reap it. */
void launch_cancel(struct launched *l);

#endif
