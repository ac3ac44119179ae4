/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Edges: the kernel's own records of when each thread of a process goes on and off a CPU
 * (perf_event_open(2), context_switch). This is the half that opens them, which needs privilege
 * (CAP_PERFMON, or what kernel.perf_event_paranoid leaves to others); oncpu/edges.h reads them.
 *
 * Each thread has two events on each CPU, inherited by the threads that it starts. Both write into
 * rings that all threads share, one pair for each CPU. One ring keeps the records and wakes nobody.
 * The other is the alarm: it wakes its reader at every record, which costs the thread that
 * switches several microseconds, so its reader has it paused but while it rests.
 */
#ifndef RECORDER_ONCPU_EDGE_EVENTS_H
#define RECORDER_ONCPU_EDGE_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/target/identity.h"

/* Of one target; with more, its edges are not followed. A process has a pair per thread and CPU. */
#define EDGE_EVENTS_MAX 16384
/* So many CPUs have rings; what runs on others is not seen, so with more nothing is opened. */
#define EDGE_CPUS_MAX 512

/* Data of a ring, in bytes; a page with its state is before it. */
#define EDGE_RING_BYTES	 ((size_t)32 * 1024)
#define EDGE_ALARM_BYTES ((size_t)4 * 1024)

enum edge_state {
	EDGE_UNKNOWN,
	EDGE_ON,      /* on a CPU */
	EDGE_WAITING, /* off, for something */
	EDGE_READY,   /* off, though it could run: others had the CPU */
};

/* How it is known when threads are on a CPU. */
enum edge_source {
	EDGES_NONE,
	EDGES_COARSE, /* guessed, see edges_coarse.h */
	EDGES_EXACT,  /* from these events */
};

/* "none", "coarse", "exact": as in the trace. */
const char *edge_source_name(enum edge_source source);

/* A thread when the events had just been opened. */
struct edge_task {
	uint32_t tid;
	uint32_t target_tid; /* as the target itself sees it (pid namespaces) */
	uint32_t state;	     /* EDGE_WAITING for one that sleeps, otherwise EDGE_UNKNOWN */
	uint32_t unused;
};

struct edge_events;

/*
 * Open the events of all threads that there are, and of those to come.
 * Returns 0; -EACCES or -EPERM when that is not allowed; -E2BIG for too many threads and CPUs;
 * -ENOSYS, -ENOENT or -EOPNOTSUPP where the kernel has no such events; -ESRCH; -EMFILE; or another
 * negative errno.
 */
int edge_events_open(const struct identity *id, struct edge_events **ret);
/* The events end; NULL is accepted. */
void edge_events_free(struct edge_events *e);

unsigned edge_events_n_cpus(const struct edge_events *e);
/* Descriptors of the rings of the i-th CPU, lent: records, alarm (paused). */
int edge_events_ring(const struct edge_events *e, unsigned i);
int edge_events_alarm(const struct edge_events *e, unsigned i);
/*
 * Descriptor of a file with the threads as an array of struct edge_task, lent. The worker gets it
 * with the rings.
 */
int edge_events_tasks(const struct edge_events *e);

#endif
