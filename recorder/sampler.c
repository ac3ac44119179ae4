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

/* Longer waits are slept in pieces, to see soon that we are to stop, or that the rate changed. */
#define NAP_NS (200 * NS_PER_MS)

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
	bool is_old = now_ns - s->batch_start_ns >= CALL_NS || sampler_is_rest_due(s, now_ns);
	int r = sampler_end_batch(s, now_ns);

	if (r < 0)
		return r;
	if (now_ns - s->counters_ns >= COUNTERS_MIN_NS) {
		sampler_told_overdue(s, now_ns);
		tell_counters(s, now_ns);
		ring_publish(s->ring);
	}
	/* The writer may have just fallen asleep, and a kill is not to lose its sleep as well. */
	if (is_old) {
		s->called_ns = now_ns;
		ring_call(s->ring);
	}
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
		r = sampler_look(s, &now_ns);
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
