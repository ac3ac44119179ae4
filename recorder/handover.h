/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the privileged attacher and the unprivileged worker tell each other, over a SOCK_SEQPACKET
 * socket pair between two halves of the same program. The worker asks, the attacher decides.
 *
 *	attacher                                worker
 *	MSG_SETUP (folder, lock)       ──►      of the collector only: enters its sandbox
 *	MSG_WAITS (socket)             ──►      once, before the first MSG_TARGET
 *	MSG_EDGES (rings, threads)     ──►      before each MSG_TARGET, see oncpu/edge_handover.h
 *	MSG_TARGET (mem, maps, stat)   ──►      looks for the interpreter
 *	            ◄──  MSG_WANT_IMAGE, MSG_WANT_SOURCE
 *	MSG_FILE (descriptor or error) ──►
 *	            ◄──  MSG_ATTACHED  0: samples from now on; else why not
 *	            ◄──  MSG_PROGRESS  every second or two
 *	            ◄──  MSG_GONE      the address space is gone; waits for MSG_TARGET or MSG_STOP
 *	MSG_LINES (rings)              ──►      once it has attached: exact mode begins, or ends
 *	MSG_SHIM (ring)                ──►      at any time, see shim_ring.h; without: end: bool,
 *	                                        whether the shim is to tell each line
 *	MSG_RATE, MSG_TRIM, MSG_GROWTH ──►      at any time
 *	MSG_STOP                       ──►      ends the trace
 *	            ◄──  MSG_DONE      and exits
 */
#ifndef RECORDER_HANDOVER_H
#define RECORDER_HANDOVER_H

#include <limits.h>
#include <stdint.h>

#include "recorder/exact/line_events.h"

enum message_type {
	/*
	 * text: command line, path: executable, fds: memory, mappings and, where the worker can't
	 * open it by itself, stat; start: bool, whether it has a shim.
	 */
	MSG_TARGET = 1,
	MSG_STOP,	 /* text: the reason to write into the trace */
	MSG_FILE,	 /* status; fd when it is 0 */
	MSG_WANT_IMAGE,	 /* start, end of the mapping whose file is wanted */
	MSG_WANT_SOURCE, /* path as in a code object */
	/*
	 * status; text: what was found, or the Python version; lines: the interpreter's probes, or
	 * none, end then being why: an errno.
	 */
	MSG_ATTACHED,
	MSG_PROGRESS, /* totals; status: 0, or why the trace cannot be written at present */
	MSG_GONE,     /* status: -ESRCH, or -EFAULT when the structures can't be read */
	MSG_DONE,     /* totals; status: 0, or why the trace is not complete */
	MSG_SETUP,    /* setup; text: name of the trace, path: packages; fds: its folder, lock */
	MSG_RATE,     /* setup.rate_hz */
	MSG_TRIM,     /* start: so many bytes of the oldest blocks are to be deleted */
	MSG_GROWTH,   /* status: whether the trace may grow */
	/*
	 * status: 0; start: first CPU, end: number of CPUs; fds: the threads, then records and
	 * alarm of each CPU. Or status: -ENODATA, end: enum edge_source, which is not EDGES_EXACT.
	 */
	MSG_EDGES,
	/*
	 * status: 0; start: first CPU, end: number of CPUs; ring_bytes; is_inherited: bool, of
	 * threads that start later as well; fds: the rings. Or status: -ENODATA, exact mode is
	 * over.
	 */
	MSG_LINES,
	/*
	 * fd: the ring of the target's shim, sealed against getting smaller; start: the target's
	 * number in its own PID namespace
	 */
	MSG_SHIM,
	MSG_WAITS, /* fd: where to ask why threads wait, see oncpu/wait_link.h */
};

enum worker_task {
	TASK_RECORD,
	TASK_REPAIR, /* give a trace whose recorder was killed its end */
};

/* What a worker of the collector is started with. */
struct worker_setup {
	uint64_t start_ticks; /* of the target */
	double rate_hz;	      /* 0: as fast as it goes */
	uint64_t min_wait_ns; /* 0: the default */
	int32_t pid;	      /* of the target */
	int32_t follow;	      /* enum follow_mode */
	uint32_t uid, gid;    /* to run as; ~0: unchanged */
	int32_t task;	      /* enum worker_task */
	int32_t unused;
};

struct record_totals {
	uint64_t elapsed_ns; /* since sampling began */
	uint64_t snapshots;
	uint64_t cut;
	uint64_t dropped;
	uint64_t transitions;
	uint64_t bytes; /* on disk, about */
	uint64_t gaps;
	uint64_t sections, section_lost; /* precise ones; records of them */
	double rate_hz;			 /* in effect */
	uint64_t is_resting;		 /* bool: looked at less often, as nothing happens */
	uint64_t is_exact;		 /* bool: its probes tell each line */
	uint64_t shim_state;		 /* enum shim_state, or anything; 0: there is no shim */
	uint64_t lines;			 /* that they told */
	uint64_t lines_lost;		 /* for which there was no room */
};

#define MESSAGE_TEXT_MAX 1024
/* Descriptors of MSG_TARGET; the most of all. */
#define TARGET_FDS	3
#define MESSAGE_FDS_MAX 65

struct message {
	uint32_t type; /* enum message_type */
	int32_t status;
	uint64_t start, end;
	struct record_totals totals;
	struct worker_setup setup;
	struct line_request lines;
	uint64_t ring_bytes;
	uint64_t is_inherited;
	char path[PATH_MAX];
	char text[MESSAGE_TEXT_MAX];
	/* Not sent as such: descriptors travel beside the bytes. */
	int fds[MESSAGE_FDS_MAX];
	int n_fds;
};

/* An empty message of that type. */
void message_init(struct message *m, enum message_type type);

/* Send m and its descriptors, which stay the caller's. Returns 0 or a negative errno. */
int message_send(int sock, struct message *m);

/*
 * Wait for a message. Its descriptors (close on exec) become the caller's; strings are terminated,
 * and a negative status is a negative errno.
 * Returns 0, -EPIPE when the other side has closed, -EBADMSG for what is no message, or another
 * negative errno.
 */
int message_receive(int sock, struct message *ret);

void message_close_fds(struct message *m);

#endif
