/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/sampler_private.h"

#define COUNTERS_NS NS_PER_S

/*
 * The threads are listed and the CPUs looked at now and then: not so often that it would cost
 * more than the looks themselves, nor so seldom that a new thread would be missed for long.
 */
#define RARE_MIN_NS (5 * NS_PER_MS)
#define RARE_MAX_NS (100 * NS_PER_MS)
#define RARE_ROUNDS 25

/* A batch is ended early when its stacks take so much of the ring. */
#define BATCH_MAX_BYTES ((uint64_t)512 * 1024)

/* So often a thread that waits is looked at again before a stack that had to be cut is told. */
#define MAX_CUT_LOOKS 64

/* Threads that may have run unseen are looked at so many per round. */
#define STALE_PER_ROUND 4

/* As fast as it goes, the GIL is watched once in so many rounds, and whenever nothing changes. */
#define ROUNDS_PER_WATCH    32
#define UNCHANGED_PER_WATCH 4

/* Rounds that were missed by less than this are made up for; more is a pause of the recorder. */
#define CATCH_UP_NS (20 * NS_PER_MS)
#define PAUSE_NS    (10 * NS_PER_MS)

/* Longer waits are slept in pieces, to see soon that we are to stop. */
#define NAP_NS (100 * NS_PER_MS)

/* Snapshots of one look that were not provable, before it is given up; and before new code
 * objects are left out.
 */
#define MAX_TRIES	  32
#define MAX_LOADING_TRIES 24

/* So long nothing can be read, though the address space is there: the interpreter is gone. */
#define UNREADABLE_NS (5 * NS_PER_S)

/*
 * A target whose data stack has several chunks maps and unmaps them as it goes, for which it needs
 * its memory map to itself; each of our reads holds that for a moment. Between two looks at such
 * a stack we keep away for so many times as long as the look took.
 */
#define KEEP_AWAY_FACTOR 4

struct sampler *sampler_new(struct memory *mem, const struct py_runtime *py, struct ring *ring,
			    const struct sampler_config *config, uint32_t first_code,
			    uint16_t first_thread)
{
	struct sampler *s = xcalloc(1, sizeof(*s));

	s->mem = mem;
	s->py = py;
	s->ring = ring;
	s->config = config;
	s->codes = py_codes_new(mem, &py->layout);
	s->stacks = py_stacks_new(mem, &py->layout, s->codes);
	s->next_code = first_code;
	s->next_thread = first_thread;
	s->batch = 1;
	s->batch_next_code = first_code;
	s->batch_next_thread = first_thread;
	return s;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_tracks; i++)
		sampler_free_track(s->tracks[i]);
	free(s->tracks);
	free(s->listed);
	free(s->gils);
	free(s->snap.frames);
	free(s->now);
	free(s->used);
	free(s->names.slots);
	cpu_placement_free(s->placement);
	py_stacks_free(s->stacks);
	py_codes_free(s->codes);
	free(s);
}

const struct sampler_progress *sampler_get_progress(const struct sampler *s)
{
	return &s->progress;
}

uint32_t sampler_next_code(const struct sampler *s)
{
	return s->next_code;
}

uint16_t sampler_next_thread(const struct sampler *s)
{
	return s->next_thread;
}

static void count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static void count_drop(struct sampler *s, enum drop_reason reason)
{
	s->counters.dropped[reason]++;
	count(&s->progress.dropped);
}

static void count_snapshot(struct sampler *s)
{
	static const enum cut_reason reasons[] = {
	    [PY_CUT_TORN] = CUT_TORN,
	    [PY_CUT_UNSTEADY] = CUT_UNSTEADY,
	    [PY_CUT_UNREADABLE] = CUT_UNREADABLE,
	    [PY_CUT_DEPTH] = CUT_DEPTH,
	    [PY_CUT_CODE] = CUT_CODE,
	};

	s->counters.snapshots++;
	s->batch_snapshots++;
	count(&s->progress.snapshots);
	if (s->snap.cut != PY_NOT_CUT) {
		s->counters.cut[reasons[s->snap.cut]]++;
		count(&s->progress.cut);
	}
}

/*
 * One look at one thread: a snapshot that can be proven, to the ring. New code objects are loaded
 * as they are met, and then the snapshot is taken anew; where they come and go faster than that,
 * the stack ends before them.
 * Returns 0, also when none could be had; -ESRCH when the target is gone.
 */
static int look_at(struct sampler *s, struct track *t, bool is_waiting, uint64_t *now_ns)
{
	int r = -EAGAIN;

	t->stale = false;
	for (int i = 0; i < MAX_TRIES; i++) {
		uint32_t proven;

		py_stacks_set_loading(s->stacks, i < MAX_LOADING_TRIES);
		r = py_stack_read(s->stacks, t->stack, *now_ns, &s->snap);
		*now_ns = clock_monotonic_ns();
		if (r == -EAGAIN && (i < MAX_TRIES - 1 || !s->snap.n))
			continue;
		if (r == -EAGAIN)
			s->snap.cut = PY_CUT_TORN; /* what there is of it is certain */
		else if (r < 0)
			break;
		proven = sampler_prove_young(s, *now_ns);
		if (proven < s->snap.n) {
			r = -EAGAIN;
			if (i < MAX_LOADING_TRIES)
				continue;
			s->snap.n = proven;
			s->snap.cut = PY_CUT_CODE;
		}
		/* A thread that waits is not looked at by itself again, but it stays as it is. */
		t->stale =
		    is_waiting && s->snap.cut != PY_NOT_CUT && t->n_cut_looks++ < MAX_CUT_LOOKS;
		if (t->stale)
			return 0;
		t->n_cut_looks = 0;
		count_snapshot(s);
		sampler_emit(s, t, *now_ns);
		return 0;
	}
	if (r == -ESRCH)
		return r;
	t->changed = false;
	count_drop(s, r == -EAGAIN ? DROP_TORN : DROP_UNREADABLE);
	/* A thread state that can't be read has mostly gone with its thread. */
	if (r != -EAGAIN)
		s->list_due_ns = 0;
	return r == -EFAULT ? -EFAULT : 0;
}

static int look_at_stale(struct sampler *s, uint64_t *now_ns)
{
	unsigned looked = 0;

	/* Mostly there are none, and a search through all threads would cost more than a look. */
	if (!s->maybe_stale)
		return 0;
	s->maybe_stale = false;
	for (size_t i = 0; i < s->n_tracks && looked < STALE_PER_ROUND; i++) {
		struct track *t = s->tracks[s->next_stale++ % s->n_tracks];

		if (!t->stale)
			continue;
		looked++;
		if (look_at(s, t, true, now_ns) == -ESRCH)
			return -ESRCH;
		s->maybe_stale |= t->stale;
	}
	s->maybe_stale |= looked == STALE_PER_ROUND;
	return 0;
}

/* Look at whoever holds a GIL now, or did last: it can have taken it again meanwhile. */
static int look_at_running(struct sampler *s, uint64_t *now_ns, bool *changed)
{
	int r = 0;

	*changed = false;
	if (s->n_tracks == 1) {
		r = look_at(s, s->tracks[0], false, now_ns);
		*changed = s->tracks[0]->changed;
		return r;
	}
	for (size_t i = 0; i < s->n_gils && r == 0; i++) {
		struct track *t = s->gils[i].holder;

		if (!t)
			continue;
		r = look_at(s, t, false, now_ns);
		*changed |= t->changed;
	}
	return r;
}

/*
 * One round: everything that may have changed. Returns 0, or -ESRCH, or -EFAULT when nothing
 * could be read.
 */
static int round_of_looks(struct sampler *s, uint64_t *now_ns, bool watch)
{
	bool changed;
	int r;

	if (*now_ns >= s->list_due_ns) {
		r = sampler_list_threads(s, *now_ns);
		if (r == -ESRCH || (r < 0 && s->n_tracks == 0))
			return r == -EAGAIN ? 0 : r;
	}
	if (s->n_tracks > 1 && watch) {
		r = sampler_watch_gils(s);
		if (r < 0)
			return r;
	}
	r = look_at_running(s, now_ns, &changed);
	if (r == 0 && s->n_tracks > 1)
		r = look_at_stale(s, now_ns);
	s->n_unchanged = changed ? 0 : s->n_unchanged + 1;
	return r;
}

static void tell_counters(struct sampler *s, uint64_t now_ns)
{
	const struct py_codes_counters *codes = py_codes_get_counters(s->codes);
	struct record_counters *r = ring_append(s->ring, RECORD_COUNTERS, sizeof(*r));
	struct record_header h;

	s->counters_due_ns = now_ns + COUNTERS_NS;
	if (!r)
		return;
	h = r->h;
	s->counters.names_truncated = codes->names_truncated;
	*r = s->counters;
	r->h = h;
	r->h.thread = 0;
	r->h.time_ns = now_ns;
}

/* What is due now and then. */
static int housekeeping(struct sampler *s, uint64_t now_ns)
{
	if (now_ns - s->batch_start_ns >= s->batch_length_ns || s->batch_bytes > BATCH_MAX_BYTES) {
		int r = sampler_end_batch(s, now_ns);

		if (r < 0)
			return r;
	}
	if (now_ns >= s->counters_due_ns)
		tell_counters(s, now_ns);
	if (now_ns >= s->placement_due_ns && s->n_tracks) {
		const struct track *t = s->tracks[0];

		s->placement_due_ns = now_ns + s->rare_ns;
		if (s->n_tracks > 1 && s->n_gils && s->gils[0].holder)
			t = s->gils[0].holder;
		cpu_placement_update(s->placement, t->id.native_id);
	}
	return 0;
}

/* Whether a failed round ends it all: the interpreter may only be about to exit or exec. */
static int settle_failure(struct sampler *s, int r, uint64_t now_ns)
{
	if (r != -EFAULT && r != -EBADMSG) {
		s->unreadable_since_ns = 0;
		return r;
	}
	if (!s->unreadable_since_ns)
		s->unreadable_since_ns = now_ns;
	return now_ns - s->unreadable_since_ns > UNREADABLE_NS ? -EFAULT : 0;
}

static void sleep_until(uint64_t ns)
{
	struct timespec at = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* Wait for the next round of a given rate; returns when the one after it is due. */
static uint64_t wait_for_round(struct sampler *s, uint64_t due_ns, uint64_t interval_ns,
			       const atomic_bool *stop)
{
	uint64_t now_ns = clock_monotonic_ns();

	while (now_ns < due_ns && !atomic_load_explicit(stop, memory_order_relaxed)) {
		sleep_until(due_ns - now_ns > NAP_NS ? now_ns + NAP_NS : due_ns);
		now_ns = clock_monotonic_ns();
	}
	if (now_ns < due_ns)
		return due_ns;
	if (now_ns - due_ns > PAUSE_NS && now_ns - due_ns > 4 * interval_ns)
		sampler_emit_gap(s, due_ns, now_ns, GAP_RECORDER_PAUSED,
				 (now_ns - due_ns) / interval_ns);
	if (now_ns - due_ns > CATCH_UP_NS && now_ns - due_ns > interval_ns)
		due_ns = now_ns;
	return due_ns + interval_ns;
}

/*
 * As fast as it goes: the next round begins at once, except that a target may need us away (see
 * KEEP_AWAY_FACTOR). A round that took far longer than its reads was not running for most of it.
 * Returns the time.
 */
static uint64_t follow_on(struct sampler *s, uint64_t started_ns, uint64_t now_ns)
{
	uint64_t multi_chunk = py_stacks_get_counters(s->stacks)->multi_chunk;

	if (now_ns - started_ns > PAUSE_NS && s->n_tracks)
		sampler_emit_gap(s, started_ns, now_ns, GAP_RECORDER_PAUSED, 0);
	if (multi_chunk == s->multi_chunk_seen)
		return now_ns;
	s->multi_chunk_seen = multi_chunk;
	sleep_until(now_ns + KEEP_AWAY_FACTOR *
				 (now_ns - started_ns < PAUSE_NS ? now_ns - started_ns : PAUSE_NS));
	return clock_monotonic_ns();
}

static void begin(struct sampler *s, uint64_t now_ns, uint64_t interval_ns)
{
	s->rare_ns = RARE_ROUNDS * interval_ns;
	if (s->rare_ns < RARE_MIN_NS)
		s->rare_ns = RARE_MIN_NS;
	if (s->rare_ns > RARE_MAX_NS)
		s->rare_ns = RARE_MAX_NS;
	s->placement = cpu_placement_new(s->config->pid);
	s->batch_start_ns = now_ns;
	s->batch_length_ns = 10 * NS_PER_MS;
	s->counters_due_ns = now_ns + COUNTERS_NS / 10;
	/* Default slack is 50 us, half an interval at 10 kHz. */
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

int sampler_run(struct sampler *s, const atomic_bool *stop)
{
	double rate = s->config->rate_hz;
	uint64_t interval_ns = rate > 0 ? (uint64_t)(1e9 / rate) : 0;
	uint64_t now_ns = clock_monotonic_ns(), due_ns = now_ns + interval_ns;
	int r = 0;

	begin(s, now_ns, interval_ns);
	for (uint64_t round = 0; r == 0 && !atomic_load_explicit(stop, memory_order_relaxed);
	     round++) {
		uint64_t started_ns = now_ns;
		bool watch = interval_ns || round % ROUNDS_PER_WATCH == 0 ||
			     s->n_unchanged >= UNCHANGED_PER_WATCH;

		r = settle_failure(s, round_of_looks(s, &now_ns, watch), now_ns);
		if (r == 0)
			r = housekeeping(s, now_ns);
		if (r == 0 && interval_ns) {
			due_ns = wait_for_round(s, due_ns, interval_ns, stop);
			now_ns = clock_monotonic_ns();
		} else if (r == 0) {
			now_ns = follow_on(s, started_ns, now_ns);
		}
	}
	if (r == -ESRCH) {
		/* What was read last can't be proven any more, but nor can it have changed. */
		ring_publish(s->ring);
	} else {
		sampler_end_batch(s, now_ns);
	}
	tell_counters(s, now_ns);
	ring_publish(s->ring);
	return r;
}
