/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Line events: a record in a ring each time that a thread of a process reaches one of its
 * interpreter's USDT probes (perf_event_open(2)). This is the half that opens them, which needs
 * privilege (root, or CAP_PERFMON); exact/line_rings.h reads them.
 *
 * Each thread has an event per CPU and probe, inherited by the threads that it starts. For that,
 * probes are defined in tracefs; where that can't be had, the uprobe PMU has to do, and threads
 * that start later are not told of. The rings, one for each CPU, belong to events of their own
 * that count nothing: who only reads them holds nothing that keeps a probe in the process. All
 * probes are gone, and their semaphores are what they were, when line_events_free() returns, or
 * this process has ended in whatever way.
 */
#ifndef RECORDER_EXACT_LINE_EVENTS_H
#define RECORDER_EXACT_LINE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/target/identity.h"

/*
 * Of one target, which has one per thread, CPU and probe. Of those of the uprobe PMU each is asked
 * at each line, whichever thread it is of; of those of tracefs only the one that is meant.
 */
#define LINE_EVENTS_MAX	    16384
#define LINE_EVENTS_PMU_MAX 4096
#define LINE_CPUS_MAX	    512

#define LINE_PROBES_MAX 12
/* Copied of the stack, where arguments are there. */
#define LINE_STACK_MAX 2048

/*
 * Data of a ring, in bytes: most of a second at 400,000 lines a second, as a disk can be slow for
 * that long. Less where there are many CPUs, or the kernel gives no more.
 */
#define LINE_RING_BYTES	    ((size_t)32 << 20)
#define LINE_RINGS_BYTES    ((size_t)64 << 20)
#define LINE_RING_MIN_BYTES ((size_t)64 << 10)

/*
 * What to open, as the worker asks for it: places in a file that the target has mapped.
 * @regs  numbers as in asm/perf_regs.h, as bits
 */
struct line_request {
	uint64_t map_start, map_end; /* bounds of the mapping that is executed */
	uint64_t regs;
	uint32_t stack_bytes;
	uint32_t n_probes;
	struct {
		uint64_t offset;    /* in the file */
		uint64_t semaphore; /* the same; 0: none */
	} probes[LINE_PROBES_MAX];
};

/* What each record says; with PERF_SAMPLE_STACK_USER where stack_bytes is not 0. */
#define LINE_SAMPLE_TYPE                                                        \
	(PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ID | \
	 PERF_SAMPLE_REGS_USER)

struct line_events;

/*
 * Open them for all threads that there are, and for those to come. What is asked for is checked:
 * places must be in what the mapping shows of the file, and hold what a probe leaves there (a nop).
 * Returns 0; -EACCES or -EPERM when that is not allowed; -ENOENT or -ENOSYS when the kernel has no
 * uprobes; -EINVAL for a request that makes no sense; -E2BIG for too many threads; -ESRCH; or
 * another negative errno.
 */
int line_events_open(const struct identity *id, const struct line_request *request,
		     struct line_events **ret);
/* Whether threads that start later are told of as well. */
bool line_events_are_inherited(const struct line_events *e);

#define LINE_EVENTS_LACK                                                                          \
	"that their lines are told as well takes tracefs (/sys/kernel/tracing), which cannot be " \
	"used here"

/* The events end. It may take some ten milliseconds. NULL is accepted. */
void line_events_free(struct line_events *e);

unsigned line_events_n_cpus(const struct line_events *e);
/* Descriptor of the ring of the i-th CPU, lent. */
int line_events_ring(const struct line_events *e, unsigned i);
size_t line_events_ring_bytes(const struct line_events *e);

/* What to say of a status of line_events_open(): a sentence without a full stop. */
void line_events_explain(int status, char *buf, size_t size);

#endif
