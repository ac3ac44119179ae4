/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waits that go on: when they are told, and whether somebody has to find out what for.
 */
#include "common/clock.h"
#include "recorder/oncpu/edges.h"
#include "recorder/sampler_private.h"
#include "recorder/wait_places.h"
#include "recorder/wait_queue.h"

/* After one of these, the next wait is told at once: that saves waking up for it. */
#define LONG_WAIT_NS (20 * NS_PER_MS)
/* When too many wait to be asked about. */
#define ASK_AGAIN_NS (20 * NS_PER_MS)

/*
 * At a low rate, few short waits are seen while they last, and can be asked about. To ask costs as
 * much as ten looks, so each place is asked about so many times; what was found twice is known.
 */
#define EARLY_ASKS   40
#define EARLY_ASK_NS (10 * NS_PER_S)

static bool may_ask_early(const struct sampler *s, const struct track *t)
{
	return sampler_is_slow(s) && t->place &&
	       (t->place != t->early_place || t->n_early < EARLY_ASKS ||
		t->edge->since_ns - t->early_ns >= EARLY_ASK_NS);
}

static void note_early(struct track *t, uint64_t now_ns)
{
	if (t->place != t->early_place || now_ns - t->early_ns >= EARLY_ASK_NS) {
		t->early_place = t->place;
		t->early_ns = now_ns;
		t->n_early = 0;
	}
	t->n_early++;
}

/* When it has to be told that it waits. Where the last wait was long, so will be this one. */
static uint64_t off_due_ns(const struct sampler *s, const struct track *t)
{
	uint64_t wait_ns = sampler_min_wait_ns(s);
	bool is_expected = t->last_off_ns >= LONG_WAIT_NS && t->last_off_ns >= wait_ns;

	return t->edge->since_ns + (is_expected || may_ask_early(s, t) ? 0 : wait_ns);
}

void sampler_plan_telling(struct sampler *s, const struct track *t)
{
	if (off_due_ns(s, t) < s->off_due_ns)
		s->off_due_ns = off_due_ns(s, t);
}

static uint16_t other_holder(const struct sampler *s, const struct track *t)
{
	for (size_t i = 0; i < s->n_gils; i++) {
		const struct track *holder = s->gils[i].holder;

		if (s->gils[i].addr == t->id.gil && holder && holder != t &&
		    s->gils[i].state.locked)
			return holder->number;
	}
	return 0;
}

static void ask_why(struct sampler *s, struct track *t, uint64_t now_ns)
{
	struct wait_notice notice = {
	    .since_ns = t->edge->since_ns,
	    .tid = t->edge->tid,
	    .thread = t->number,
	    .gil = t->id.gil,
	    .gil_holder = other_holder(s, t),
	    .place = t->place,
	};

	t->ask_due_ns = 0;
	note_early(t, now_ns);
	if (t->noticed_ns == notice.since_ns)
		return;
	if (wait_queue_put(s->config->waits, &notice))
		t->noticed_ns = notice.since_ns;
	else
		t->ask_due_ns = now_ns + ASK_AGAIN_NS;
}

uint64_t sampler_known_place(const struct sampler *s, const struct track *t, uint64_t now_ns,
			     uint64_t *ret_sleep_ns)
{
	return t->place && s->config->waits &&
		       wait_places_is_known(s->config->places, t->place, now_ns, ret_sleep_ns)
		   ? t->place
		   : 0;
}

/* Whether it waits for what it waited for the last time, for all that is known by now. */
static bool recall_wait(struct sampler *s, struct track *t, uint64_t now_ns)
{
	uint64_t sleep_ns;

	if (!sampler_known_place(s, t, now_ns, &sleep_ns))
		return false;
	t->known_place = t->place;
	t->ask_due_ns = sleep_ns ? t->edge->since_ns + wait_sleep_most_ns(sleep_ns) : 0;
	return true;
}

static void tell_wait(struct sampler *s, struct track *t, uint64_t now_ns)
{
	bool is_asked =
	    s->config->waits && t->edge->state == EDGE_WAITING && !recall_wait(s, t, now_ns);

	t->is_off_told = sampler_emit_off(s, t, t->edge->since_ns, now_ns, t->edge->state, true);
	if (t->is_off_told && is_asked)
		ask_why(s, t, now_ns);
}

/* When something is to be told of its wait, or asked. */
static uint64_t next_due_ns(const struct sampler *s, const struct track *t, uint64_t now_ns)
{
	uint64_t due_ns = t->is_off_told ? t->ask_due_ns : off_due_ns(s, t);

	if (t->is_off_told)
		return due_ns ? due_ns : UINT64_MAX;
	return due_ns > now_ns ? due_ns : now_ns + sampler_min_wait_ns(s);
}

/* Waits that are long enough by now to be told while they go on. */
void sampler_tell_waits(struct sampler *s, uint64_t now_ns)
{
	if (now_ns < s->off_due_ns)
		return;
	s->off_due_ns = UINT64_MAX;
	for (size_t i = 0; i < s->n_tracks; i++) {
		struct track *t = s->tracks[i];
		uint64_t due_ns;

		if (!t->edge || t->edge->state <= EDGE_ON)
			continue;
		/* Where it stopped is told first. */
		if (!t->is_off_told && !t->stale && now_ns >= off_due_ns(s, t))
			tell_wait(s, t, now_ns);
		else if (t->is_off_told && t->ask_due_ns && now_ns >= t->ask_due_ns)
			ask_why(s, t, now_ns);
		due_ns = next_due_ns(s, t, now_ns);
		if (due_ns < s->off_due_ns)
			s->off_due_ns = due_ns;
	}
}
