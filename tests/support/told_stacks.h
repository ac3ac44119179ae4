/* SPDX-License-Identifier: BSD-3-Clause */
/* What a sampler told the writer, as text. For tests; a failure ends the test. */
#ifndef TESTS_SUPPORT_TOLD_STACKS_H
#define TESTS_SUPPORT_TOLD_STACKS_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "recorder/ring.h"

#define TOLD_CODES  64
#define TOLD_FRAMES 64

struct told_stacks {
	char names[TOLD_CODES][64];
	struct record_frame frames[TOLD_FRAMES];
	uint32_t n;
	/* Of the last one. */
	uint64_t time_ns;
	uint16_t thread, provenance, is_first;
	/* Since the beginning. */
	unsigned n_gaps[N_GAP_REASONS]; /* by reason */
	uint64_t n_lost;
	char text[TOLD_FRAMES * 80];
};

static inline void told_stacks_note_code(struct told_stacks *t, const struct record_code *c)
{
	ck_assert_uint_lt(c->id, TOLD_CODES);
	ck_assert_uint_lt(c->name_len, sizeof(t->names[0]));
	memcpy(t->names[c->id], c->text + c->file_len, c->name_len);
	t->names[c->id][c->name_len] = '\0';
}

static inline void told_stacks_apply(struct told_stacks *t, const struct record_stack *r)
{
	size_t len = 0;

	ck_assert_uint_le(r->keep, t->n);
	ck_assert_uint_le(r->keep + r->n_frames, TOLD_FRAMES);
	memcpy(t->frames + r->keep, r->frames, r->n_frames * sizeof(t->frames[0]));
	t->n = r->keep + r->n_frames;
	/* Times never decrease. */
	ck_assert_uint_ge(r->h.time_ns, t->time_ns);
	t->time_ns = r->h.time_ns;
	t->thread = r->h.thread;
	t->provenance = r->provenance;
	t->is_first = r->is_first;
	t->text[0] = '\0';
	for (uint32_t i = 0; i < t->n; i++) {
		ck_assert_uint_lt(t->frames[i].code, TOLD_CODES);
		ck_assert(*t->names[t->frames[i].code]); /* it was announced */
		len +=
		    (size_t)snprintf(t->text + len, sizeof(t->text) - len, "%s%s:%d", i ? " " : "",
				     t->names[t->frames[i].code], (int)t->frames[i].line);
	}
}

/* The next one: "outer:10 Class.inner:22"; NULL: there is none. Of one thread only. */
static inline const char *told_stacks_next(struct told_stacks *t, struct ring *ring)
{
	const struct record_header *h;
	bool is_stack = false;

	while (!is_stack && (h = ring_peek(ring))) {
		is_stack = h->kind == RECORD_STACK;
		if (is_stack)
			told_stacks_apply(t, (const struct record_stack *)h);
		if (h->kind == RECORD_CODE)
			told_stacks_note_code(t, (const struct record_code *)h);
		if (h->kind == RECORD_GAP) {
			const struct record_gap *gap = (const struct record_gap *)h;

			ck_assert_uint_lt(gap->reason, N_GAP_REASONS);
			t->n_gaps[gap->reason]++;
			t->n_lost += gap->lost;
			t->n = 0; /* what follows is told whole */
		}
		ring_consume(ring);
	}
	return is_stack ? t->text : NULL;
}

#endif
