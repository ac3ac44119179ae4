/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a blocked thread waits for, in words and in numbers: out of its system call as the kernel
 * tells it (wait_facts.h), the arguments in the target's memory, and what is behind its
 * descriptors. For the half of the recorder that has no privilege; all of this is foreign, may be
 * stale and may lie: each read is bounded, and what can't be known is said to be unknown.
 *
 * The same wait gives the same text. Times of day, addresses in memory, descriptor numbers and the
 * like are in `detail` and in fields of their own; `summary` is what waits are counted by.
 */
#ifndef RECORDER_ONCPU_WAIT_DECODE_H
#define RECORDER_ONCPU_WAIT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/oncpu/net_lines.h"
#include "recorder/oncpu/wait_facts.h"
#include "recorder/target/memory.h"

enum wait_kind {
	WAIT_UNKNOWN,
	WAIT_RUNNING, /* it does not wait, or did not any more when it was asked */
	WAIT_SLEEP,
	WAIT_POLL, /* poll, select, epoll, completions of io_uring */
	WAIT_READ,
	WAIT_WRITE,
	WAIT_CONNECT,
	WAIT_ACCEPT,
	WAIT_LOCK_FILE,
	WAIT_FUTEX, /* a lock, condition or semaphore */
	WAIT_CHILD,
	WAIT_SYNC, /* data on its way to the disk */
	WAIT_FILE, /* a file system: open, stat, rename … */
	WAIT_NAME, /* name look-up */
	WAIT_SIGNAL,
	WAIT_IPC,     /* message queues, System V semaphores */
	WAIT_START,   /* of another process or program */
	WAIT_FAULT,   /* no system call: a page of memory is fetched */
	WAIT_STOPPED, /* by a signal, a debugger or the cgroup freezer */
	WAIT_OTHER,   /* another system call */
	N_WAIT_KINDS
};

/* "sleep", "poll" …: a word for each kind; stays as it is, for traces. */
const char *wait_kind_name(enum wait_kind kind);

/* What the decoder asks for while it decodes. Each returns 0 or a negative errno. */
struct wait_sources {
	/* -EBADF: no such descriptor (any more). */
	int (*read_fd)(void *ctx, int fd, struct fd_facts *ret);
	/* -ECHILD: no such child (any more). */
	int (*read_child)(void *ctx, int32_t pid, struct child_facts *ret);
	void *ctx;
};

/* To turn a deadline into the length of the wait. All 0: not known. */
struct wait_clock {
	uint64_t start_ns;	/* monotonic time at which the thread began to wait */
	int64_t to_realtime_ns; /* what is to be added for the time since 1970 */
};

#define WAIT_TEXT_MAX	    200
#define WAIT_FULL_TEXT_MAX  (2 * WAIT_TEXT_MAX + 4)
#define WAIT_NO_TIMEOUT	    UINT64_MAX
#define WAIT_FDS_DESCRIBED  8	 /* of those that are polled; each is one question */
#define WAIT_FDS_MAX	    1024 /* that are looked at in memory */
#define WAIT_NO_SYSTEM_CALL (-1)

enum wait_direction { WAIT_EITHER_WAY, WAIT_FOR_INPUT, WAIT_FOR_OUTPUT };

struct wait_reason {
	enum wait_kind kind;
	int32_t syscall;	  /* its number, or WAIT_NO_SYSTEM_CALL */
	const char *syscall_name; /* static; NULL when there is none or it has no name */
	char summary[WAIT_TEXT_MAX];
	char detail[WAIT_TEXT_MAX]; /* of this one wait; may be "" */
	/*
	 * Why the reason is not complete: 0, or -EFAULT, -ESRCH from the target's memory, -EBADF,
	 * -ECHILD, -EACCES … from the sources, -EBADMSG for a system call that can't be understood.
	 */
	int error;
	uint64_t timeout_ns; /* of the whole wait, or WAIT_NO_TIMEOUT; a sleep's length */

	/*
	 * What it waits for, as far as it is known; 0 else. With several descriptors fd and fd_kind
	 * are those of the first, or of the epoll; what follows is told of a single one only.
	 */
	uint32_t n_fds;	     /* at least so many are waited for; 0: none */
	int32_t fd;	     /* -1: none */
	uint8_t fd_kind;     /* enum fd_kind */
	uint8_t direction;   /* enum wait_direction: the pipe's other end is a writer, a reader */
	uint64_t inode;	     /* of a pipe or socket */
	uint64_t peer_inode; /* of the Unix socket at the other end */
	struct net_address local, peer;
	struct unix_name peer_name; /* that connect() wants */
	int32_t child;		    /* process waited for, as this machine's /proc has it */
	remote_addr futex;	    /* tells locks of one process apart */
	uint32_t futex_value;	    /* that it was expected to have */
	int32_t futex_operation;    /* FUTEX_WAIT …, without flags */
};

/*
 * @clock  may be NULL
 * @ret    always filled
 */
void wait_decode(const struct thread_facts *facts, struct memory *mem,
		 const struct wait_sources *sources, const struct wait_clock *clock,
		 struct wait_reason *ret);

/* "poll: 3 descriptors (fd 3 listener 127.0.0.1:80, fd 4 pipe …, timeout 2.50 s)" */
void wait_reason_format(const struct wait_reason *reason, char buf[static WAIT_FULL_TEXT_MAX]);

/*
 * Whether this is how an event loop waits for whatever comes next: an epoll, or poll() and the
 * like for several descriptors.
 */
bool wait_is_multiplexed(const struct wait_reason *reason);

#endif
