/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's own news of processes, through the netlink proc connector: who forked, who runs
 * another program, who was renamed, who ended. A title that is written over the argument area
 * (setproctitle) makes no such event: whoever wants titles has to look again.
 *
 * The kernel offers it with CONFIG_PROC_EVENTS, to CAP_NET_ADMIN, in the first pid and user
 * namespaces; elsewhere opening is refused.
 */
#ifndef RECORDER_PROC_EVENTS_H
#define RECORDER_PROC_EVENTS_H

#include <stddef.h>
#include <sys/types.h>

enum process_event_kind {
	PROCESS_FORKED,	     /* also a new thread: then pid is the process's, tid the thread's */
	PROCESS_EXECED,	     /* runs another program, in the same process */
	PROCESS_RENAMED,     /* the short name (PR_SET_NAME) of a thread changed */
	PROCESS_ENDED,	     /* a thread ended; the first one with tid == pid */
	PROCESS_EVENTS_LOST, /* we were too slow: look at everything. No ids. */
};

struct process_event {
	enum process_event_kind kind;
	pid_t pid;	  /* of the process */
	pid_t tid;	  /* of the thread that it is about; pid for the first one */
	pid_t parent_pid; /* PROCESS_FORKED: of the process that forked; else 0 */
};

/*
 * Returns a non-blocking descriptor, readable when there is news; to be closed with
 * proc_events_close(). -EOPNOTSUPP where the kernel does not offer it to us, -EPERM without the
 * privilege, or another negative errno.
 */
int proc_events_open(void);
/*
 * The same with a socket that somebody else has opened for us and put into the group (the service
 * manager, in the network namespace where there are such events). Returns 0 or an error as above.
 */
int proc_events_begin(int fd);
/* Tells the kernel too, which otherwise goes on composing events. -1 is accepted. */
void proc_events_close(int fd);

/*
 * Read one datagram.
 * Returns 1 with an event; 0 when it told nothing that is of interest here, or was not from the
 * kernel; -EAGAIN when there is none; another negative errno when the descriptor is of no more use.
 */
int proc_events_read(int fd, struct process_event *ret);

/* One datagram. Returns 1 with an event, 0 when it tells nothing of interest, or -EBADMSG. */
int proc_events_parse(const void *data, size_t len, struct process_event *ret);

#endif
