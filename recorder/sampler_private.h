/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by sampler.c (when to look at whom), sampler_threads.c and sampler_emit.c. */
#ifndef RECORDER_SAMPLER_PRIVATE_H
#define RECORDER_SAMPLER_PRIVATE_H

#include <stdbool.h>

#include "recorder/cpu_placement.h"
#include "recorder/python/py_frames.h"
#include "recorder/python/py_runtime.h"
#include "recorder/python/py_threads.h"
#include "recorder/sampler.h"

/* A thread of the target as the sampler follows it. */
struct track {
	struct py_thread id;
	struct py_stack *stack;
	struct record_frame *last; /* followed frames as last told to the writer */
	uint32_t n_last;
	size_t last_cap;
	uint64_t told_in; /* the batch in which it was announced; 0 not yet */
	uint16_t number;
	bool stale;	      /* may have run since it was last looked at */
	unsigned n_cut_looks; /* in a row */
	bool is_listed;
	bool changed; /* at the last look */
};

/* A GIL and what was last seen of it. */
struct gil_watch {
	remote_addr addr;
	struct py_gil state;
	struct track *holder;
	bool is_known;
};

/* Names to ids, so that code which is compiled again and again keeps its id. */
struct code_names {
	struct {
		uint64_t hash;
		uint32_t id;
	} * slots;
	size_t n_slots, n_used;
};

struct sampler {
	struct memory *mem;
	const struct py_runtime *py;
	struct ring *ring;
	const struct sampler_config *config;
	struct py_codes *codes;
	struct py_stacks *stacks;
	struct cpu_placement *placement;
	struct sampler_progress progress;

	struct track **tracks;
	size_t n_tracks, tracks_cap;
	struct py_thread *listed; /* scratch of py_threads_list() */
	size_t listed_cap;
	struct gil_watch *gils;
	size_t n_gils, gils_cap;
	uint64_t rare_ns; /* between looks at the list of threads, and at the CPUs */
	uint64_t list_due_ns;
	bool maybe_stale;  /* a thread may be */
	size_t next_stale; /* where the search for stale threads goes on */

	struct py_snapshot snap;
	struct record_frame *now; /* followed frames of the snapshot */
	size_t now_cap;
	struct record_counters counters;

	/* What was told to the ring but not published yet. */
	uint64_t batch; /* counts from 1 */
	uint64_t batch_start_ns;
	uint64_t batch_length_ns;
	unsigned young_doublings; /* of the age up to which code objects count as young */
	uint64_t batch_snapshots;
	struct record_counters batch_counters; /* as they were when it began */
	uint64_t batch_bytes;		       /* of stacks */
	struct py_code **used;		       /* code objects used in this batch */
	size_t n_used, used_cap;
	uint32_t batch_next_code;
	uint16_t batch_next_thread;

	struct code_names names;
	uint32_t next_code;
	uint16_t next_thread;
	uint64_t full_since_ns; /* the ring refused records since then; 0: it does not */
	uint64_t full_lost;
	uint64_t counters_due_ns;
	uint64_t placement_due_ns;
	uint64_t unreadable_since_ns;
	uint64_t multi_chunk_seen;
	unsigned n_unchanged; /* rounds in a row in which nothing changed */
};

/* --- sampler_threads.c --- */

/* Bring the list of threads up to date. Returns 0, -EAGAIN, -EFAULT or -ESRCH. */
int sampler_list_threads(struct sampler *s, uint64_t now_ns);
/* Look at each GIL: who holds it, and who may have run meanwhile. */
int sampler_watch_gils(struct sampler *s);
struct track *sampler_find_track(const struct sampler *s, remote_addr tstate);
void sampler_free_track(struct track *t);

/* --- sampler_emit.c --- */

/* Tell the writer what is new in s->snap, a snapshot of this thread taken at now_ns. */
void sampler_emit(struct sampler *s, struct track *t, uint64_t now_ns);
/* The thread is gone. */
void sampler_emit_end(struct sampler *s, struct track *t, uint64_t now_ns);
void sampler_emit_gap(struct sampler *s, uint64_t start_ns, uint64_t end_ns, uint32_t reason,
		      uint64_t lost);
/*
 * Code objects that are young enough to come and go are checked with each snapshot. Returns how
 * many frames, from the outermost, are proven so far.
 */
uint32_t sampler_prove_young(struct sampler *s, uint64_t now_ns);
/*
 * Prove the batch and publish it, or take it back: then a gap is published instead.
 * Returns 0 or -ESRCH.
 */
int sampler_end_batch(struct sampler *s, uint64_t now_ns);

#endif
