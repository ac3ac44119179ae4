/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ending a worker, which runs as another user, without the right to end any process (CAP_KILL):
 * the collector's unit does not have it.
 */
#ifndef RECORDER_WORKER_KILL_H
#define RECORDER_WORKER_KILL_H

#include <sys/types.h>

/*
 * Send a signal as we are, or if that is not permitted, in the name of the worker's user. For that
 * the effective user of this thread is another one for a moment.
 * @pidfd  of the worker; one of another process of that user is signalled as well
 * @uid    the worker's
 * Returns 0, -ESRCH when it has ended, or another negative errno.
 */
int worker_kill(int pidfd, uid_t uid, int signal);

#endif
