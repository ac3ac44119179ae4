/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/idle_places.h"

/* A connection with a timeout that is made before the loop begins also waits for one descriptor. */
#define LOOP_TURNS 8

static bool is_at(const struct idle_place *p, const struct idle_wait *w)
{
	return p->depth && p->depth == w->depth && p->file == w->file && p->line == w->line;
}

static void count_at(struct idle_place *p, const struct idle_wait *w)
{
	uint64_t from_ns = w->start_ns;

	if (!is_at(p, w))
		*p = (struct idle_place){.depth = w->depth, .file = w->file, .line = w->line};
	if (p->n && p->last_start_ns == w->start_ns)
		from_ns = p->last_end_ns;
	else
		p->n++;
	if (w->end_ns > from_ns)
		p->total_ns += w->end_ns - from_ns;
	p->last_start_ns = w->start_ns;
	p->last_end_ns = w->end_ns;
}

/*
 * A loop may wait for one descriptor only, as a socket with a timeout does. It is one if it does so
 * again and again, and for longer than what was taken for a loop, further in, waits for several: as
 * subprocess.run() does for the output of a child.
 */
static bool is_loop_of_one(struct idle_places *p, const struct idle_wait *w)
{
	if (!p->loop.depth || w->depth >= p->loop.depth)
		return false;
	if (p->outer.depth && w->depth > p->outer.depth)
		return false;
	count_at(&p->outer, w);
	if (p->outer.n < LOOP_TURNS || p->outer.total_ns <= p->loop.total_ns)
		return false;
	p->loop = p->outer;
	p->outer = (struct idle_place){0};
	return true;
}

bool idle_places_take(struct idle_places *p, const struct idle_wait *w)
{
	if (!w->depth || w->line <= 0 || w->polls == POLLS_NOTHING)
		return false;
	if (is_at(&p->loop, w)) {
		count_at(&p->loop, w);
		return true;
	}
	if (w->polls == POLLS_UNKNOWN)
		return false;
	if (w->polls == POLLS_ONE)
		return is_loop_of_one(p, w);
	/* For several, outermost: further in, it keeps the loop from going on. */
	if (p->loop.depth && w->depth > p->loop.depth)
		return false;
	count_at(&p->loop, w);
	return true;
}
