/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads of a process, also those that it starts while they are being listed. */
#ifndef RECORDER_TARGET_THREAD_LIST_H
#define RECORDER_TARGET_THREAD_LIST_H

#include <stdint.h>

#include "recorder/target/identity.h"

/*
 * Call visit for each thread, once. The list is read again until it shows no new one, or some
 * times: by then a caller that leaves something in each thread which those that it starts inherit
 * has reached all of them; one that was started meanwhile is visited as well.
 * @visit  task_fd is the folder /proc/PID/task, lent; other than 0 ends it
 * Returns 0, what visit returned, -ESRCH when the process has ended, or another negative errno.
 */
int thread_list_visit(const struct identity *id, int (*visit)(void *arg, int task_fd, uint32_t tid),
		      void *arg);

#endif
