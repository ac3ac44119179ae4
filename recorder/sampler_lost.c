/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After edges were lost: a thread's next switch tells its state again, but one that waits may have
 * none for hours, and would be taken to run all that time. So the attacher is asked about those
 * that have not told of themselves.
 */
#include "common/clock.h"
#include "recorder/oncpu/edge_inbox.h"
#include "recorder/oncpu/edges.h"
#include "recorder/sampler_private.h"
#include "recorder/wait_queue.h"

/* Those that run tell of themselves in this time, mostly. */
#define SETTLE_NS (50 * NS_PER_MS)
/* When too many questions are under way. */
#define MORE_NS (20 * NS_PER_MS)
/* An answer takes some 100 us of CPU: not more often than this, also where losses go on. */
#define AGAIN_NS (5 * NS_PER_S)

/* As the target knows it; 0: its state is known, or can't be asked for. */
static uint32_t unknown_tid(const struct track *t)
{
	if (t->edge && t->edge->state != EDGE_UNKNOWN)
		return 0;
	return t->edge && t->edge->target_tid ? t->edge->target_tid : (uint32_t)t->id.native_id;
}

static void ask_states(struct sampler *s, uint64_t now_ns)
{
	uint64_t lost_ns = s->edges ? edges_lost_ns(s->edges) : 0;

	if (!s->config->waits || !lost_ns || now_ns < s->states_due_ns)
		return;
	if (lost_ns != s->states_lost_ns) {
		s->states_lost_ns = lost_ns;
		s->states_asked = 0;
		s->states_due_ns = lost_ns + SETTLE_NS;
		if (now_ns < s->states_due_ns)
			return;
	}
	for (; s->states_asked < s->n_tracks; s->states_asked++) {
		struct wait_notice wanted = {.tid = unknown_tid(s->tracks[s->states_asked]),
					     .wants_state = true};

		if (wanted.tid && !wait_queue_put(s->config->waits, &wanted)) {
			s->states_due_ns = now_ns + MORE_NS;
			return;
		}
	}
	s->states_due_ns = now_ns + AGAIN_NS;
	/* Some answers get lost, and who runs without a switch may wait by then. */
	s->states_lost_ns = 0;
}

void sampler_take_states(struct sampler *s, uint64_t now_ns)
{
	struct edge_delivery d;

	if (!s->config->edge_inbox)
		return;
	while (edge_inbox_take(s->config->edge_inbox, &d)) {
		edges_note_waiting(s->edges, &d);
		for (size_t i = 0; i < s->n_tracks; i++) {
			if (!s->tracks[i]->edge && s->tracks[i]->id.native_id == d.target_tid)
				sampler_link_edge(s, s->tracks[i]);
		}
	}
	ask_states(s, now_ns);
}
