/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sampler: reads, compares, and tells the ring what changed; nothing else. Runs in a thread
 * of its own, allocates nothing on its hot path and never waits for the disk.
 */
#ifndef RECORDER_SAMPLER_H
#define RECORDER_SAMPLER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "recorder/ring.h"
#include "recorder/target/memory.h"

struct edge_inbox;
struct edge_rings;
struct py_runtime;
struct sampler;
struct shim_ring;
struct wait_places;
struct wait_queue;

/* Which code is followed. */
enum follow_mode {
	FOLLOW_OWN,	 /* neither the standard library nor installed packages */
	FOLLOW_PACKAGES, /* only the packages listed */
	FOLLOW_ALL,	 /* everything but the frozen importlib */
};

struct sampler_config {
	double rate_hz; /* at first; 0: as fast as it goes */
	/*
	 * Whether a target that waits may be looked at less often, as pace.h says, until it is seen
	 * to run again.
	 */
	bool slows_when_idle;
	/* Waits of at least so long are told, and asked about; 0: SAMPLER_WAIT_NS. */
	uint64_t min_wait_ns;
	enum follow_mode follow;
	const char *const
	    *packages;		   /* NULL-terminated, for FOLLOW_PACKAGES; outlives the sampler */
	const char *packages_text; /* the same with commas; outlives the sampler */
	int pid; /* for /proc/PID/task/TID/stat: which CPU a thread runs on; 0: unknown */
	/* Instead of these, of /proc/PID/stat (see cpu_placement.h); outlives the sampler; -1: none
	 */
	int stat_fd;
	/* When its threads are on a CPU; NULL, or with a status: not known. Taken out of it. */
	struct edge_rings *edges;
	/* Where figures arrive that are asked for through `waits`, when edges are coarse. */
	struct edge_inbox *edge_inbox;
	struct wait_queue *waits; /* who is told of threads that begin to wait; NULL: nobody */
	const struct wait_places *places; /* where nobody need be told; NULL if `waits` is */
};

/* Figures for a progress line, readable from any thread while the sampler runs. */
struct sampler_progress {
	_Atomic uint64_t snapshots;
	_Atomic uint64_t cut;
	_Atomic uint64_t dropped;
	_Atomic uint64_t threads;
	_Atomic double rate_hz;	     /* in effect, as it was set */
	_Atomic bool is_backed_off;  /* but nothing happens: looks are rarer than that */
	_Atomic uint64_t shim_state; /* as the target's shim tells it; 0: there is none */
};

/*
 * @mem, @py, @ring, @config  lent, must outlive the sampler
 * @first_code, @first_thread ids to count on from (1 for a new trace; when attached again to the
 *                            same trace, one more than the last used)
 */
struct sampler *sampler_new(struct memory *mem, const struct py_runtime *py, struct ring *ring,
			    const struct sampler_config *config, uint32_t first_code,
			    uint16_t first_thread);
void sampler_free(struct sampler *s);

/*
 * Sample until *stop becomes true (returns 0), the address space is gone (-ESRCH), or the
 * interpreter's structures can't be read any more (-EFAULT). Publishes its last records and
 * counters; does not call ring_finish().
 */
int sampler_run(struct sampler *s, const atomic_bool *stop);

/* It is to see that *stop is set, or another rate, at once, also when it rests. Any thread. */
void sampler_wake(struct sampler *s);

/*
 * Sample at another rate from now on; 0: as fast as it goes, never negative. From any thread, also
 * before sampler_run(). In effect after a round, 200 ms at the latest; it is no gap.
 */
void sampler_set_rate(struct sampler *s, double rate_hz);

/*
 * Read this ring of the target's shim from now on (see shim_ring.h). From any thread, also before
 * sampler_run(). Takes it over; one that was there before is closed.
 */
void sampler_offer_shim(struct sampler *s, struct shim_ring *ring);
/*
 * Whether the shim is to tell all followed code, all the time: from Python 3.12 on, from the next
 * section on that the program opens. From any thread, also while there is no shim.
 */
void sampler_set_shim_exact(struct sampler *s, bool is_wanted);

const struct sampler_progress *sampler_get_progress(const struct sampler *s);
uint32_t sampler_next_code(const struct sampler *s);
uint16_t sampler_next_thread(const struct sampler *s);

#endif
