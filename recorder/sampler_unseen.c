/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What nobody has seen. At a low rate a thread can come back from a wait, run and wait again, many
 * times, between two looks. Its waits are known all the same, but not what it did between them:
 * were that left to the line of the last look, an event loop's poll would seem to compute. So while
 * it ran its stack is what was there before and after, with the innermost line not known. Where
 * both looks have shown the same, it is taken to have waited there in between as well.
 */
#include <string.h>

#include "common/clock.h"
#include "recorder/oncpu/edges.h"
#include "recorder/sampler_private.h"

/* To look after a lock or a timer, in the interpreter, takes less than this. */
#define UNSEEN_MIN_NS (50 * NS_PER_US)
/* What has more turns between two looks is not told turn by turn. */
#define MAX_TURNS 128

void sampler_note_woken(const struct sampler *s, struct track *t, uint64_t time_ns)
{
	/* Frequent looks seldom miss a turn, and not for long. */
	if (t->unseen_ns || !sampler_is_slow(s))
		return;
	t->unseen_ns = time_ns;
	t->unseen_ran_ns = 0;
}

void sampler_note_ran(struct track *t, uint64_t length_ns)
{
	if (t->unseen_ns)
		t->unseen_ran_ns += length_ns;
}

uint64_t sampler_unseen_until(const struct sampler *s, const struct track *t, uint64_t off_since_ns)
{
	uint64_t until_ns = off_since_ns;

	/* This turn is what the look is of. */
	if (!until_ns && t->edge && t->edge->state == EDGE_ON)
		until_ns = t->edge->since_ns;
	if (!t->unseen_ns || until_ns <= t->unseen_ns || t->unseen_ran_ns < UNSEEN_MIN_NS)
		return 0;
	/* In a round since then it was known not to have taken the GIL. */
	return s->last_round_ns > t->unseen_ns ? 0 : until_ns;
}

/*
 * How many frames of both stacks were there all the time, for all that is known: the last of them
 * on a line that is not known. 0: none.
 */
static uint32_t common_depth(const struct record_frame *last, uint32_t n_last,
			     const struct record_frame *now, uint32_t n)
{
	uint32_t i = 0;

	while (i < n_last && i < n && last[i].code == now[i].code && last[i].line == now[i].line)
		i++;
	/* The same function on another line: it went on meanwhile, or was called again. */
	if (i < n_last && i < n && last[i].code == now[i].code)
		i++;
	return i;
}

/* From time_ns on there are so many frames of the stack, the innermost on this line. */
static void append_top(struct sampler *s, struct track *t, uint32_t depth, int32_t line,
		       uint64_t time_ns)
{
	struct record_frame *top = &t->last[depth - 1];
	struct record_stack *r;

	if (depth == t->n_last && top->line == line)
		return;
	r = sampler_append_stack(s, 1);
	if (!r)
		return;
	top->line = line;
	t->n_last = depth;
	t->emitted_ns = time_ns;
	r->h.thread = t->number;
	r->h.time_ns = time_ns;
	r->keep = depth - 1;
	r->n_frames = 1;
	r->provenance = PROVENANCE_INFERRED;
	r->is_first = false;
	r->frames[0] = *top;
}

/* Each turn but the last ends with a wait. */
static void tell_each_turn(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t until_ns)
{
	uint32_t depth = t->n_last;
	int32_t line = t->last[depth - 1].line;

	for (;;) {
		size_t n = 0;
		uint64_t end_ns;

		while (n < t->n_offs && t->offs[n].was != EDGE_WAITING)
			n++;
		end_ns = n < t->n_offs ? t->offs[n].start_ns : until_ns;
		if (end_ns >= start_ns + UNSEEN_MIN_NS)
			append_top(s, t, depth, 0, start_ns);
		sampler_told_flush(s, t, n);
		if (!t->n_offs)
			return;
		start_ns = t->offs[0].end_ns;
		append_top(s, t, depth, line, end_ns);
		sampler_told_flush(s, t, 1);
	}
}

/*
 * These waits were where the thread was seen before and after, and for what it waits for there now,
 * if that is known.
 */
static void tell_turns(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t until_ns)
{
	uint64_t known_place = t->known_place, sleep_ns;

	t->known_place = sampler_known_place(s, t, until_ns, &sleep_ns);
	tell_each_turn(s, t, start_ns, until_ns);
	t->known_place = known_place;
}

void sampler_tell_unseen(struct sampler *s, struct track *t, uint32_t n, uint64_t until_ns)
{
	uint64_t start_ns = t->unseen_ns > t->emitted_ns ? t->unseen_ns : t->emitted_ns;
	uint32_t depth = common_depth(t->last, t->n_last, s->now, n);
	bool is_same = depth && n == t->n_last && depth == n && t->n_offs <= MAX_TURNS &&
		       t->last[n - 1].line == s->now[n - 1].line;

	if (depth && start_ns < until_ns && start_ns >= s->gap_end_ns &&
	    start_ns >= t->gap_end_ns) {
		if (is_same)
			tell_turns(s, t, start_ns, until_ns);
		else
			append_top(s, t, depth, 0, start_ns);
	}
	sampler_told_flush(s, t, t->n_offs);
}
