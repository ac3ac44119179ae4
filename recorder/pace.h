/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When the next round of looks is due. Plain arithmetic on times that are passed in: nothing here
 * reads a clock or sleeps.
 *
 * Rounds follow a grid of the rate asked for. Those that come a little late are made up for; after
 * a longer pause the grid begins anew, and the pause is told. Where nothing happens for a while,
 * rounds may become rarer step by step, until something does.
 */
#ifndef RECORDER_PACE_H
#define RECORDER_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

/* Quiet for so long and so many rounds, the interval begins to double... */
#define PACE_QUIET_NS	  (20 * NS_PER_MS)
#define PACE_QUIET_ROUNDS 10
/* ...after each further so many rounds... */
#define PACE_STEP_ROUNDS 4
/* ...from this, when there was none... */
#define PACE_IDLE_MIN_NS (100 * NS_PER_US)
/*
 * ...up to this, or to so many times the interval that was asked for where that is longer: what
 * happens first after a long silence is seen with such a delay.
 */
#define PACE_IDLE_MAX_NS (10 * NS_PER_MS)
#define PACE_IDLE_FACTOR 4
/* But never to more than this. */
#define PACE_REST_MAX_NS (200 * NS_PER_MS)

/* Rounds that were missed by less than this are made up for; more is a pause of the recorder. */
#define PACE_CATCH_UP_NS (20 * NS_PER_MS)
#define PACE_PAUSE_NS	 (10 * NS_PER_MS)

struct pace {
	double rate_hz; /* as asked; 0: as fast as it goes */
	bool slows_when_idle;
	uint64_t asked_ns;    /* between rounds; 0: none */
	double asked_rest_ns; /* the fraction that asked_ns lacks */
	uint64_t interval_ns; /* in effect: asked_ns, or more */
	uint64_t started_ns;  /* the last round */
	uint64_t due_ns;      /* the next round; while one is going on, that one */
	double due_rest_ns;
	uint64_t quiet_since_ns;
	unsigned n_quiet; /* rounds in a row since the interval changed last */
};

/* What a round showed. */
struct pace_round {
	bool is_quiet;	      /* nothing changed, and nothing was running */
	bool needs_keep_away; /* as fast as it goes, leave the target alone for a moment */
};

/* Time in which rounds were due and we did not run. */
struct pace_pause {
	uint64_t start_ns, end_ns;
	uint64_t n_missed; /* rounds, 0 when there is no rate to tell from */
};

/* The first round begins now. @rate_hz 0: as fast as it goes; never negative. */
void pace_init(struct pace *p, double rate_hz, bool slows_when_idle, uint64_t now_ns);

/* The next round, too, is due at the new rate. What is slow because it is idle remains so. */
void pace_set_rate(struct pace *p, double rate_hz, uint64_t now_ns);

/* A round is over: p->due_ns is when the next one is due, which may be now or have been before. */
void pace_end_round(struct pace *p, const struct pace_round *seen, uint64_t now_ns);

/*
 * Nothing could happen until now, so no round was missed; the next one keeps its distance from the
 * last.
 * @delay_ns  and comes so much later than now where that is over already
 */
void pace_rest_over(struct pace *p, uint64_t now_ns, uint64_t delay_ns);

/* The next round begins. Returns whether there was a pause before it. */
bool pace_begin_round(struct pace *p, uint64_t now_ns, struct pace_pause *ret);

bool pace_is_backed_off(const struct pace *p);

#endif
