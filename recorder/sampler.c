/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/sampler.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "recorder/oncpu/edges_coarse.h"
#include "recorder/sampler_private.h"

/* Counters are told with a batch when they are so old, and without one when they are this old. */
#define COUNTERS_MIN_NS (500 * NS_PER_MS)
#define COUNTERS_MAX_NS (1300 * NS_PER_MS)
/* The writer, which comes every second, is called for a batch that was as old as this. */
#define CALL_NS (500 * NS_PER_MS)

/*
 * The threads are listed and the CPUs looked at now and then: not so often that it would cost
 * more than the looks themselves, nor so seldom that a new thread would be missed for long.
 */
#define RARE_MIN_NS (5 * NS_PER_MS)
#define RARE_MAX_NS (250 * NS_PER_MS)
#define RARE_ROUNDS 25

/* So often a thread that waits is looked at again before a stack that had to be cut is told. */
#define MAX_CUT_LOOKS 64

/* Threads that may have run unseen are looked at so many per round. */
#define STALE_PER_ROUND 4

/*
 * As fast as it goes, the GIL is watched once in so many rounds; more often while nothing changes,
 * since the thread that is looked at may wait and another one run.
 */
#define ROUNDS_PER_WATCH    32
#define UNCHANGED_PER_WATCH 4

/* Longer waits are slept in pieces, to see soon that we are to stop, or that the rate changed. */
#define NAP_NS (200 * NS_PER_MS)

/* Snapshots of one look that were not provable, before it is given up; and before new code
 * objects are left out.
 */
#define MAX_TRIES	  32
#define MAX_LOADING_TRIES 24

/* So long nothing can be read, though the address space is there: the interpreter is gone. */
#define UNREADABLE_NS (5 * NS_PER_S)

struct sampler *sampler_new(struct memory *mem, const struct py_runtime *py, struct ring *ring,
			    const struct sampler_config *config, uint32_t first_code,
			    uint16_t first_thread)
{
	struct sampler *s = xcalloc(1, sizeof(*s));

	s->mem = mem;
	s->py = py;
	s->ring = ring;
	s->config = config;
	atomic_init(&s->rate_hz, config->rate_hz);
	atomic_init(&s->progress.rate_hz, config->rate_hz);
	s->codes = py_codes_new(mem, &py->layout);
	s->stacks = py_stacks_new(mem, &py->layout, s->codes);
	s->next_code = first_code;
	s->next_thread = first_thread;
	s->batch = 1;
	s->batch_next_code = first_code;
	s->batch_next_thread = first_thread;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sampler_open_edges(s);
	return s;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	exact_source_free(s->exact_new);
	sampler_exact_drop(s);
	for (size_t i = 0; i < s->n_tracks; i++)
		sampler_free_track(s, s->tracks[i]);
	sampler_precise_free(s);
	edges_free(s->edges);
	edges_coarse_free(s->coarse);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
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

void sampler_set_rate(struct sampler *s, double rate_hz)
{
	assert(rate_hz >= 0);
	atomic_store_explicit(&s->rate_hz, rate_hz, memory_order_relaxed);
}

void sampler_wake(struct sampler *s)
{
	uint64_t one = 1;

	/* When it is full, it is awake. */
	if (write(s->wake_fd, &one, sizeof(one)) < 0)
		return;
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

/* Where this thread is: all of its frames and their instructions. 0: not all is known. */
static uint64_t hash_place(const struct sampler *s, const struct track *t)
{
	uint64_t hash = hash_mix(0, t->number);

	if (s->snap.cut != PY_NOT_CUT)
		return 0;
	for (uint32_t i = 0; i < s->snap.n; i++) {
		const struct py_frame *f = &s->snap.frames[i];

		hash = hash_mix(hash_mix(hash, (uintptr_t)f->code ^ f->serial), f->unit);
	}
	return hash | 1;
}

static void tell_look(struct sampler *s, struct track *t, uint64_t off_since_ns, uint64_t began_ns,
		      uint64_t now_ns)
{
	uint64_t time_ns = sampler_unseen_until(s, t, off_since_ns);
	bool is_unseen = time_ns != 0;

	if (!is_unseen)
		time_ns = off_since_ns ? sampler_time_of_stop(s, t, off_since_ns, now_ns)
				       : sampler_time_of_look(s, t, began_ns, now_ns);
	sampler_emit(s, t, time_ns, now_ns, is_unseen);
}

/*
 * One look at one thread: a snapshot that can be proven, to the ring. New code objects are loaded
 * as they are met, and then the snapshot is taken anew; where they come and go faster than that,
 * the stack ends before them.
 * Returns 0, also when none could be had; -ESRCH when the target is gone.
 */
static int look_at(struct sampler *s, struct track *t, bool is_waiting, uint64_t *now_ns)
{
	uint64_t off_since_ns = sampler_is_off(t) ? t->edge->since_ns : 0;
	uint64_t began_ns = *now_ns;
	int r = -EAGAIN;

	t->stale = false;
	if (t->told_by != PROVENANCE_OBSERVED || !t->id.tstate) {
		t->changed = false;
		return 0;
	}
	for (int i = 0; i < MAX_TRIES; i++) {
		uint32_t proven;

		py_stacks_set_loading(s->stacks, i < MAX_LOADING_TRIES);
		py_stacks_set_still(s->stacks, off_since_ns != 0);
		r = py_stack_read(s->stacks, t->stack, *now_ns, &s->snap);
		*now_ns = clock_monotonic_ns();
		if (off_since_ns && !sampler_was_off(s, t, off_since_ns, *now_ns)) {
			off_since_ns = 0;
			r = -EAGAIN;
			s->snap.n = 0; /* nothing of it is proven */
		}
		if (r == -EAGAIN && (i < MAX_TRIES - 1 || !s->snap.n))
			continue;
		if (r == -EAGAIN)
			s->snap.cut = PY_CUT_TORN; /* what there is of it is certain */
		else if (r < 0)
			break;
		if (sampler_precise_has_told(s, t)) {
			/* What was seen may be of a section, which tells all by itself. */
			t->stale = s->maybe_stale = true;
			t->changed = false;
			return 0;
		}
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
		if (t->stale) {
			s->is_quiet = false;
			return 0;
		}
		t->n_cut_looks = 0;
		count_snapshot(s);
		tell_look(s, t, off_since_ns, began_ns, *now_ns);
		t->looked_ns = *now_ns;
		t->unseen_ns = 0;
		t->place = off_since_ns ? hash_place(s, t) : 0;
		s->is_quiet &= !t->changed;
		return 0;
	}
	if (r == -ESRCH)
		return r;
	t->changed = false;
	s->is_quiet = false; /* for all we know */
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
		if (sampler_is_off(s->tracks[0]))
			return 0;
		r = look_at(s, s->tracks[0], false, now_ns);
		*changed = s->tracks[0]->changed;
		return r;
	}
	for (size_t i = 0; i < s->n_gils && r == 0; i++) {
		struct track *t = s->gils[i].holder;

		if (!t || sampler_is_off(t))
			continue;
		r = look_at(s, t, false, now_ns);
		*changed |= t->changed;
	}
	return r;
}

/*
 * A GIL tells who to look at. Where there is one thread only it tells one that computes from one
 * that waits, which is of interest while neither is seen to get on.
 */
static bool is_watch_due(const struct sampler *s)
{
	bool is_turn = s->n_unchanged && s->n_unchanged % UNCHANGED_PER_WATCH == 0;

	/* Where there is one, it would only make the look late. */
	if (s->is_watch_wanted && s->n_tracks > 1)
		return true;
	if (s->n_tracks == 1)
		return s->config->slows_when_idle && (is_turn || pace_is_backed_off(&s->pace));
	return s->pace.interval_ns || is_turn || s->n_rounds % ROUNDS_PER_WATCH == 0;
}

/*
 * One round: everything that may have changed. Returns 0, or -ESRCH, or -EFAULT when nothing
 * could be read.
 */
static int round_of_looks(struct sampler *s, uint64_t *now_ns)
{
	bool changed;
	int r;

	s->last_round_ns = s->round_ns;
	s->round_ns = *now_ns;
	s->is_quiet = true;
	sampler_take_edges(s, *now_ns);
	sampler_precise_poll(s, *now_ns);
	if (*now_ns >= s->list_due_ns) {
		r = sampler_list_threads(s, *now_ns);
		if (r == -ESRCH || (r < 0 && s->n_tracks == 0))
			return r == -EAGAIN ? 0 : r;
	}
	if (is_watch_due(s)) {
		s->is_watch_wanted = false;
		r = sampler_watch_gils(s);
		if (r < 0)
			return r;
	}
	r = look_at_running(s, now_ns, &changed);
	if (r == 0 && (s->n_tracks > 1 || s->edges))
		r = look_at_stale(s, now_ns);
	s->n_unchanged = changed ? 0 : s->n_unchanged + 1;
	s->n_rounds++;
	return r;
}

static void tell_counters(struct sampler *s, uint64_t now_ns)
{
	const struct py_codes_counters *codes = py_codes_get_counters(s->codes);
	struct record_counters *r = ring_append(s->ring, RECORD_COUNTERS, sizeof(*r));
	struct record_header h;

	s->counters_ns = now_ns;
	if (!r)
		return;
	h = r->h;
	s->counters.names_truncated = codes->names_truncated;
	*r = s->counters;
	r->h = h;
	r->h.thread = 0;
	r->h.time_ns = now_ns;
}

/* Counters are told behind a batch that has been proven: not as a part of the next, which may not
 * be. */
static int end_batch(struct sampler *s, uint64_t now_ns)
{
	uint64_t age_ns = now_ns - s->batch_start_ns;
	int r = sampler_end_batch(s, now_ns);

	if (r < 0)
		return r;
	if (now_ns - s->counters_ns >= COUNTERS_MIN_NS) {
		sampler_told_overdue(s, now_ns);
		tell_counters(s, now_ns);
		ring_publish(s->ring);
	}
	/* The writer may have just fallen asleep, and a kill is not to lose its sleep as well. */
	if (age_ns >= CALL_NS)
		ring_call(s->ring);
	return 0;
}

/* What is due now and then. */
static int housekeeping(struct sampler *s, uint64_t now_ns)
{
	int r = sampler_is_batch_over(s, now_ns) ? end_batch(s, now_ns) : 0;

	if (r < 0)
		return r;
	sampler_tell_waits(s, now_ns);
	if (now_ns - s->counters_ns >= COUNTERS_MAX_NS) {
		sampler_told_overdue(s, now_ns);
		tell_counters(s, now_ns);
	}
	if (now_ns >= s->placement_due_ns && s->n_tracks && !sampler_may_rest(s)) {
		const struct track *t = s->tracks[0];

		s->placement_due_ns = now_ns + s->rare_ns;
		if (s->n_tracks > 1 && s->n_gils && s->gils[0].holder)
			t = s->gils[0].holder;
		s->is_running =
		    cpu_placement_update(s->placement, t->id.native_id) == PLACEMENT_RUNNING;
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

void sampler_sleep_until(uint64_t ns)
{
	struct timespec at = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* How often what is looked at now and then is looked at follows the interval. */
static void adopt_interval(struct sampler *s, uint64_t now_ns)
{
	uint64_t rare_ns = RARE_ROUNDS * s->pace.interval_ns;

	if (s->rare_ns && s->pace.interval_ns == s->paced_ns)
		return;
	s->paced_ns = s->pace.interval_ns;
	if (rare_ns < RARE_MIN_NS)
		rare_ns = RARE_MIN_NS;
	if (rare_ns > RARE_MAX_NS)
		rare_ns = RARE_MAX_NS;
	s->rare_ns = rare_ns;
	if (s->list_due_ns)
		sampler_plan_list(s);
	if (s->placement_due_ns > now_ns + rare_ns)
		s->placement_due_ns = now_ns + rare_ns;
	atomic_store_explicit(&s->progress.is_backed_off, pace_is_backed_off(&s->pace),
			      memory_order_relaxed);
}

/* Another thread may have asked for another rate. */
static void adopt_rate(struct sampler *s, uint64_t now_ns)
{
	double rate_hz = atomic_load_explicit(&s->rate_hz, memory_order_relaxed);

	if (rate_hz != s->pace.rate_hz) {
		pace_set_rate(&s->pace, rate_hz, now_ns);
		atomic_store_explicit(&s->progress.rate_hz, rate_hz, memory_order_relaxed);
	}
	adopt_interval(s, now_ns);
}

static void end_round(struct sampler *s, uint64_t now_ns)
{
	uint64_t multi_chunk = py_stacks_get_counters(s->stacks)->multi_chunk;
	struct pace_round seen = {
	    .is_quiet = s->is_quiet && s->n_tracks && !s->is_gil_held && !s->has_gil_moved &&
			!s->is_running && !(s->n_tracks > 1 && s->maybe_stale),
	    .needs_keep_away = multi_chunk != s->multi_chunk_seen,
	};

	s->multi_chunk_seen = multi_chunk;
	pace_end_round(&s->pace, &seen, now_ns);
}

/* In exact mode what comes is taken from rings: rounds have another pace, and none is missed. */
static uint64_t wait_for_lines(struct sampler *s, uint64_t now_ns)
{
	struct pace_pause pause;

	sampler_sleep_until(now_ns + sampler_exact_pause(s));
	now_ns = clock_monotonic_ns();
	adopt_rate(s, now_ns);
	pace_rest_over(&s->pace, now_ns, 0);
	pace_begin_round(&s->pace, now_ns, &pause);
	return now_ns;
}

/* What a shim has told of that time is known. */
static void tell_pause(struct sampler *s, const struct pace_pause *pause, uint64_t now_ns)
{
	uint64_t start_ns = pause->start_ns, told_ns;

	sampler_precise_poll(s, now_ns);
	told_ns = sampler_precise_told_ns(s);
	if (told_ns > start_ns)
		start_ns = told_ns;
	if (start_ns < pause->end_ns)
		sampler_emit_gap(s, start_ns, pause->end_ns, GAP_RECORDER_PAUSED, pause->n_missed);
}

static uint64_t next_nap_ns(const struct sampler *s, uint64_t now_ns)
{
	uint64_t nap_ns = sampler_precise_nap_ns(s, now_ns);

	if (nap_ns > NAP_NS)
		nap_ns = NAP_NS;
	return s->pace.due_ns - now_ns > nap_ns ? now_ns + nap_ns : s->pace.due_ns;
}

/* Returns the time, which is that of the next round unless we are to stop. */
static uint64_t wait_for_round(struct sampler *s, uint64_t now_ns, const atomic_bool *stop)
{
	struct pace_pause pause;

	if (s->exact)
		return wait_for_lines(s, now_ns);
	/* Each look at a thread reads the clock, but there may have been none. */
	if (now_ns < s->pace.due_ns || now_ns == s->pace.started_ns)
		now_ns = clock_monotonic_ns();
	adopt_rate(s, now_ns);
	if (sampler_shall_rest(s, now_ns)) {
		now_ns = sampler_rest(s, now_ns);
		pace_rest_over(&s->pace, now_ns, sampler_delay_after_rest(s, now_ns));
	}
	while (now_ns < s->pace.due_ns) {
		if (atomic_load_explicit(stop, memory_order_relaxed))
			return now_ns;
		sampler_pause(s, now_ns, next_nap_ns(s, now_ns));
		now_ns = clock_monotonic_ns();
		sampler_precise_poll(s, now_ns);
		adopt_rate(s, now_ns);
	}
	if (pace_begin_round(&s->pace, now_ns, &pause) && s->n_tracks)
		tell_pause(s, &pause, now_ns);
	return now_ns;
}

static void begin(struct sampler *s, uint64_t now_ns)
{
	pace_init(&s->pace, s->config->rate_hz, s->config->slows_when_idle, now_ns);
	adopt_rate(s, now_ns);
	s->placement = cpu_placement_new(s->config->pid, s->config->stat_fd);
	s->batch_start_ns = s->begun_ns = now_ns;
	s->batch_length_ns = 10 * NS_PER_MS;
	/* Default slack is 50 us, half an interval at 10 kHz. */
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

int sampler_run(struct sampler *s, const atomic_bool *stop)
{
	uint64_t now_ns = clock_monotonic_ns();
	int r = 0;

	begin(s, now_ns);
	while (r == 0 && !atomic_load_explicit(stop, memory_order_relaxed)) {
		sampler_exact_take(s, now_ns);
		r = round_of_looks(s, &now_ns);
		s->is_quiet &= r == 0;
		r = settle_failure(s, r, now_ns);
		if (r == 0)
			r = housekeeping(s, now_ns);
		if (r == 0) {
			end_round(s, now_ns);
			now_ns = wait_for_round(s, now_ns, stop);
		}
	}
	sampler_exact_finish(s);
	/* What it told last. */
	sampler_precise_poll(s, now_ns);
	for (size_t i = 0; i < s->n_tracks; i++)
		sampler_told_flush(s, s->tracks[i], s->tracks[i]->n_offs);
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
