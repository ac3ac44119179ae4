/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sampler where edges are guessed from the scheduler's figures (oncpu/edges_coarse.h). A thread
 * that is taken to be off the CPU may have run since, so looks at it go on as if nothing were
 * known; only the waits come from here. Descriptors of the figures are asked of the attacher,
 * thread by thread, as these are found.
 */
#include <unistd.h>

#include "common/clock.h"
#include "recorder/oncpu/edge_inbox.h"
#include "recorder/oncpu/edges_coarse.h"
#include "recorder/sampler_private.h"
#include "recorder/wait_queue.h"

/* What was asked for mostly arrives within a millisecond; not when others asked for too much. */
#define ASK_AGAIN_NS NS_PER_S
#define MAX_ASKED    6

static void on_change(void *ctx, struct edge_thread *e, enum edge_state was, uint64_t start_ns,
		      uint64_t end_ns)
{
	struct sampler *s = ctx;
	struct track *t = e->owner;

	if (!t)
		return;
	s->n_waiting += (size_t)(e->state == EDGE_WAITING) - (size_t)(was == EDGE_WAITING);
	if (was == EDGE_ON)
		s->counters.busy_ns += end_ns - start_ns;
	/* One that took no time ends what was told to be going on. */
	if (was > EDGE_ON && (end_ns > start_ns || t->is_off_told))
		sampler_emit_off(s, t, start_ns, end_ns, was, false);
	if (e->state <= EDGE_ON)
		return;
	t->is_off_told = false;
	if (e->since_ns + sampler_min_wait_ns(s) < s->off_due_ns)
		s->off_due_ns = e->since_ns + sampler_min_wait_ns(s);
}

static void on_exit_of(void *ctx, struct edge_thread *e)
{
	struct sampler *s = ctx;
	struct track *t = e->owner;

	sampler_unlink_edge(s, t);
	s->list_due_ns = 0;
}

void sampler_open_coarse(struct sampler *s)
{
	struct edges_ops ops = {.on_change = on_change, .on_exit = on_exit_of, .ctx = s};

	if (s->config->waits && s->config->edge_inbox)
		s->coarse = edges_coarse_new(&ops);
}

void sampler_link_coarse(struct sampler *s, struct track *t)
{
	struct wait_notice wanted = {.tid = (uint32_t)t->id.native_id};

	if (t->edge || t->n_asked == MAX_ASKED)
		return;
	if (!wanted.tid)
		wanted.tid = sampler_guess_tid(s, t, t->n_asked % SAMPLER_TID_GUESSES);
	t->n_asked++;
	t->asked_tid = wanted.tid;
	if (wanted.tid)
		wait_queue_put(s->config->waits, &wanted);
}

static void deliver(struct sampler *s, const struct edge_delivery *d)
{
	struct track *of = NULL;
	bool is_taken = false;

	for (size_t i = 0; i < s->n_tracks; i++) {
		struct track *t = s->tracks[i];

		is_taken |= t->edge && t->edge->tid == d->tid;
		if (!t->edge && t->asked_tid == d->target_tid)
			of = t;
	}
	/* Another thread state has it: of this one nothing is known then. */
	if (of && !is_taken)
		of->edge = edges_coarse_add(s->coarse, d->tid, d->target_tid, d->fd, of);
	else
		close(d->fd);
}

void sampler_take_coarse(struct sampler *s, uint64_t now_ns)
{
	struct edge_delivery d;

	while (edge_inbox_take(s->config->edge_inbox, &d))
		deliver(s, &d);
	if (now_ns >= s->ask_due_ns) {
		s->ask_due_ns = now_ns + ASK_AGAIN_NS;
		for (size_t i = 0; i < s->n_tracks; i++)
			sampler_link_coarse(s, s->tracks[i]);
	}
	edges_coarse_read(s->coarse, now_ns);
}

void sampler_stack_changed(struct sampler *s, struct track *t, uint64_t now_ns)
{
	if (t->edge && t->edge->is_guess && t->edge->state > EDGE_ON)
		edges_coarse_read_one(s->coarse, t->edge, now_ns);
}
