/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/pace.h"

/* Longer intervals are none that anyone wants, and would not fit. */
#define MAX_INTERVAL_NS (24 * 3600 * (double)NS_PER_S)

/*
 * A target whose data stack has several chunks maps and unmaps them as it goes, for which it needs
 * its memory map to itself; each of our reads holds that for a moment. Between two looks at such
 * a stack we keep away for so many times as long as the look took.
 */
#define KEEP_AWAY_FACTOR 4

static void take_rate(struct pace *p, double rate_hz)
{
	double interval = rate_hz > 0 ? 1e9 / rate_hz : 0;

	if (interval > MAX_INTERVAL_NS)
		interval = MAX_INTERVAL_NS;
	p->rate_hz = rate_hz;
	p->asked_ns = (uint64_t)interval;
	/* As fast as it goes, too, when a round would be due more than once in a nanosecond. */
	p->asked_rest_ns = p->asked_ns ? interval - (double)p->asked_ns : 0;
}

/* A low rate was asked for because looks are dear: those at what waits more so than others. */
static uint64_t idle_max_ns(const struct pace *p)
{
	uint64_t max_ns = PACE_IDLE_FACTOR * p->asked_ns;

	if (max_ns > PACE_REST_MAX_NS)
		max_ns = PACE_REST_MAX_NS;
	return max_ns > PACE_IDLE_MAX_NS ? max_ns : PACE_IDLE_MAX_NS;
}

void pace_init(struct pace *p, double rate_hz, bool slows_when_idle, uint64_t now_ns)
{
	*p = (struct pace){
	    .slows_when_idle = slows_when_idle,
	    .started_ns = now_ns,
	    .due_ns = now_ns,
	};
	take_rate(p, rate_hz);
	p->interval_ns = p->asked_ns;
}

bool pace_is_backed_off(const struct pace *p)
{
	return p->interval_ns > p->asked_ns;
}

void pace_set_rate(struct pace *p, double rate_hz, uint64_t now_ns)
{
	bool was_backed_off = pace_is_backed_off(p);

	take_rate(p, rate_hz);
	if (was_backed_off && pace_is_backed_off(p)) {
		if (p->interval_ns > idle_max_ns(p))
			p->interval_ns = idle_max_ns(p);
		return;
	}
	p->interval_ns = p->asked_ns;
	p->n_quiet = 0;
	/* Never in the past: a round that was not due at the old rate was not missed. */
	p->due_ns = p->started_ns + p->interval_ns;
	if (p->due_ns < now_ns)
		p->due_ns = now_ns;
	p->due_rest_ns = 0;
}

/* The interval in effect, after a round that was quiet, or was not. */
static void adapt(struct pace *p, bool is_quiet, uint64_t now_ns)
{
	if (!is_quiet) {
		p->n_quiet = 0;
		p->interval_ns = p->asked_ns;
		return;
	}
	if (!p->slows_when_idle || p->interval_ns >= idle_max_ns(p))
		return;
	if (p->n_quiet++ == 0)
		p->quiet_since_ns = now_ns;
	if (pace_is_backed_off(p)
		? p->n_quiet < PACE_STEP_ROUNDS
		: p->n_quiet < PACE_QUIET_ROUNDS || now_ns - p->quiet_since_ns < PACE_QUIET_NS)
		return;
	p->n_quiet = 0;
	p->interval_ns *= 2;
	if (p->interval_ns < PACE_IDLE_MIN_NS)
		p->interval_ns = PACE_IDLE_MIN_NS;
	if (p->interval_ns > idle_max_ns(p))
		p->interval_ns = idle_max_ns(p);
}

void pace_end_round(struct pace *p, const struct pace_round *seen, uint64_t now_ns)
{
	uint64_t took_ns = now_ns - p->started_ns;

	adapt(p, seen->is_quiet, now_ns);
	if (!p->interval_ns) {
		/* A round that took so much longer than its reads did not run for most of it. */
		if (took_ns > PACE_PAUSE_NS)
			p->due_ns = p->started_ns;
		else
			p->due_ns =
			    now_ns + (seen->needs_keep_away ? KEEP_AWAY_FACTOR : 0) * took_ns;
		return;
	}
	p->due_ns += p->interval_ns;
	if (pace_is_backed_off(p))
		return;
	p->due_rest_ns += p->asked_rest_ns;
	if (p->due_rest_ns >= 1) {
		p->due_rest_ns--;
		p->due_ns++;
	}
}

void pace_rest_over(struct pace *p, uint64_t now_ns, uint64_t delay_ns)
{
	uint64_t earliest_ns = p->started_ns + p->asked_ns;

	p->interval_ns = p->asked_ns;
	p->n_quiet = 0;
	p->due_ns = now_ns > earliest_ns ? now_ns + delay_ns : earliest_ns;
	p->due_rest_ns = 0;
}

bool pace_begin_round(struct pace *p, uint64_t now_ns, struct pace_pause *ret)
{
	uint64_t late_ns = now_ns > p->due_ns ? now_ns - p->due_ns : 0;
	/* A round that makes up for one before the pause did not come out of another pause. */
	uint64_t start_ns = p->due_ns > p->started_ns ? p->due_ns : p->started_ns;
	uint64_t pause_ns = now_ns > start_ns ? now_ns - start_ns : 0;
	bool was_paused = pause_ns > PACE_PAUSE_NS && pause_ns / 4 > p->interval_ns;

	if (was_paused) {
		*ret = (struct pace_pause){
		    .start_ns = start_ns,
		    .end_ns = now_ns,
		    .n_missed = p->interval_ns ? pause_ns / p->interval_ns : 0,
		};
	}
	if (late_ns > PACE_CATCH_UP_NS && late_ns > p->interval_ns)
		p->due_ns = now_ns;
	p->started_ns = now_ns;
	return was_paused;
}
