/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A block is cut where an event happens and where a wait begins or ends. Pieces that belong
 * together are joined: `span` is what is known of the present stretch, `piece` what comes next.
 */
#include "reader/span_cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "reader/spot.h"
#include "reader/trace_seek.h"

struct span_cursor {
	struct block_cache *cache;
	struct span_cursor_options options;
	enum { BEFORE_ALL, IN_BLOCK, AT_END } state;
	bool starts_inside;   /* blocks before the first one were left out */
	bool is_over;	      /* what comes after all blocks was told */
	struct block_row row; /* of the present block */
	struct wait_list waits;
	size_t next_wait;
	uint64_t n_waits; /* two waits for the same are two stretches */
	int64_t event;	  /* the last one that happened in it; -1: its start */
	uint64_t time_ns; /* all before is done */
	/* After `event`. */
	struct block_line *stack;
	size_t cap_stack;
	uint32_t depth;
	unsigned provenance;
	bool is_changed; /* the stack is another one than at the end of the piece before */
	struct span piece;
	uint64_t piece_wait; /* n_waits, when it waits */
	bool has_piece;
	int error; /* told after the span before it */
	/* Told at last, with a copy of its stack. */
	struct span span;
	uint64_t span_wait;
	struct block_line *span_stack;
	size_t cap_span_stack;
};

struct span_cursor *span_cursor_new(struct block_cache *cache,
				    const struct span_cursor_options *options)
{
	struct span_cursor *c = xcalloc(1, sizeof(*c));

	c->cache = cache;
	c->options = *options;
	return c;
}

void span_cursor_free(struct span_cursor *c)
{
	if (!c)
		return;
	wait_list_done(&c->waits);
	free(c->stack);
	free(c->span_stack);
	free(c);
}

const struct block_row *span_cursor_block(const struct span_cursor *c)
{
	return &c->row;
}

/* --- blocks --- */

static void push(struct span_cursor *c, const struct cached_block *b, const uint32_t *lines,
		 uint32_t n)
{
	c->stack = xgrow(c->stack, &c->cap_stack, (size_t)c->depth + n, sizeof(*c->stack));
	for (uint32_t i = 0; i < n; i++)
		c->stack[c->depth++] = b->lines[lines[i]];
}

/* Returns 1 with the row of the block that comes next, or 0, or a negative errno. */
static int next_row(struct span_cursor *c, struct block_row *ret)
{
	const struct span_cursor_options *o = &c->options;
	struct trace *t = block_cache_trace(c->cache);
	int r = 0;

	if (c->state == BEFORE_ALL) {
		/* What begins at since_ns may go on with what was before. */
		*ret = (struct block_row){.id = INT64_MIN, .thread = o->thread};
		if (o->since_ns)
			r = trace_block_at(t, o->thread, o->since_ns - 1, ret);
		c->starts_inside = r == 1;
		if (r != 0)
			return r;
	} else {
		*ret = c->row;
	}
	if (o->only_waits)
		return trace_block_waiting(t, ret, FORWARDS, 0, IDLE_TOO, ret);
	return trace_block_beside(t, ret, FORWARDS, ret);
}

static bool is_same_stack(const struct span_cursor *c, const struct cached_block *b)
{
	if (c->depth != b->start_depth)
		return false;
	for (uint32_t i = 0; i < c->depth; i++) {
		const struct block_line *line = &b->lines[b->start[i]];

		if (c->stack[i].code != line->code || c->stack[i].line != line->line)
			return false;
	}
	return true;
}

/* Of the stack that the first block begins with. It may go on with one before. */
static void find_provenance(struct span_cursor *c, const struct block_row *row)
{
	struct spot spot;
	bool is_sampled;

	if (spot_at(c->cache, row->thread, row->first_ns, &spot) != 1 ||
	    spot_provenance(c->cache, &spot, &c->provenance, &is_sampled) < 0)
		c->provenance = PROVENANCE_OBSERVED;
}

/* Stand at the start of a block. Returns 0 or a negative errno. */
static int enter_block(struct span_cursor *c, const struct block_row *row)
{
	struct trace *t = block_cache_trace(c->cache);
	const struct cached_block *b;
	int r;

	if (c->state == BEFORE_ALL)
		find_provenance(c, row);
	else if (row->first_ns > c->time_ns)
		c->provenance = PROVENANCE_OBSERVED;
	c->row = *row;
	c->state = IN_BLOCK;
	if (row->first_ns > c->time_ns)
		c->time_ns = row->first_ns;
	wait_list_done(&c->waits);
	r = trace_decode_waits(t, row->id, &c->waits);
	c->next_wait = 0;
	if (r < 0)
		return r;
	/* One that goes on from the block before is the same. */
	if (c->waits.n_items && !(c->waits.items[0].flags & WAIT_BEGAN_BEFORE))
		c->n_waits++;
	r = block_cache_get(c->cache, row, &b);
	if (r < 0)
		return r;
	if (b->is_damaged && b->n_events == 0)
		return -EBADMSG;
	if (!is_same_stack(c, b)) {
		c->is_changed = true;
		c->depth = 0;
		push(c, b, b->start, b->start_depth);
	}
	c->event = -1;
	return 0;
}

/* --- pieces --- */

static void apply_event(struct span_cursor *c, const struct cached_block *b)
{
	const struct cached_event *e = &b->events[++c->event];

	c->depth -= e->pop;
	push(c, b, e->pushed, e->n_pushed);
	c->provenance = e->provenance;
	c->is_changed = true;
}

/* The wait at c->time_ns, or the next one; NULL when there is none. */
static const struct wait_item *find_wait(struct span_cursor *c, uint64_t *ret_start_ns,
					 uint64_t *ret_end_ns)
{
	const struct block_row *row = &c->row;

	for (; c->next_wait < c->waits.n_items; c->next_wait++, c->n_waits++) {
		const struct wait_item *item = &c->waits.items[c->next_wait];
		uint64_t length_ns = row->last_ns - row->first_ns;

		if (item->start_ns >= length_ns)
			continue;
		*ret_start_ns = row->first_ns + item->start_ns;
		*ret_end_ns = row->last_ns;
		if (!(item->flags & WAIT_GOES_ON) && item->length_ns < length_ns - item->start_ns)
			*ret_end_ns = *ret_start_ns + item->length_ns;
		if (*ret_end_ns > c->time_ns)
			return item;
	}
	return NULL;
}

/* What the thread does from c->time_ns on, and until when at the longest. */
static void find_activity(struct span_cursor *c, struct span *p)
{
	uint64_t start_ns = 0, end_ns = 0;
	const struct wait_item *item = find_wait(c, &start_ns, &end_ns);

	p->wait = (struct wait_kind){0};
	if (item && start_ns <= c->time_ns) {
		p->wait = c->waits.kinds[item->kind];
		p->activity = p->wait.state == WAIT_FOR_CPU ? ACTIVITY_READY : ACTIVITY_WAITING;
		c->piece_wait = c->n_waits;
		if (end_ns < p->end_ns)
			p->end_ns = end_ns;
		return;
	}
	p->activity = c->options.has_edges ? ACTIVITY_ON_CPU : ACTIVITY_UNKNOWN;
	if (item && start_ns < p->end_ns)
		p->end_ns = start_ns;
}

/* The next piece of the present block. Returns 1, 0 at its end, or a negative errno. */
static int next_piece_in_block(struct span_cursor *c, struct span *p)
{
	const struct cached_block *b;
	int r = block_cache_get(c->cache, &c->row, &b);

	if (r < 0)
		return r;
	while (c->event + 1 < (int64_t)b->n_events && b->events[c->event + 1].time_ns <= c->time_ns)
		apply_event(c, b);
	if (c->event + 1 == (int64_t)b->n_events && b->is_damaged)
		return -EBADMSG;
	if (c->time_ns >= c->row.last_ns)
		return 0;
	*p = (struct span){.start_ns = c->time_ns, .end_ns = c->row.last_ns};
	if (c->event + 1 < (int64_t)b->n_events && b->events[c->event + 1].time_ns < p->end_ns)
		p->end_ns = b->events[c->event + 1].time_ns;
	find_activity(c, p);
	c->time_ns = p->end_ns;
	return 1;
}

/* From what was seen last to the next block. Returns 1, or 0 when no time is between. */
static int gap_before(struct span_cursor *c, const struct block_row *row, struct span *p)
{
	uint64_t start_ns = c->options.life_start_ns;

	if (c->state == BEFORE_ALL)
		c->time_ns = c->starts_inside || !start_ns || start_ns > row->first_ns
				 ? row->first_ns
				 : start_ns;
	if (c->options.only_waits || row->first_ns <= c->time_ns)
		return 0;
	*p = (struct span){.start_ns = c->time_ns, .end_ns = row->first_ns, .is_gap = true};
	return 1;
}

/* From what was seen last to the end of the thread. The same. */
static int gap_after(struct span_cursor *c, struct span *p)
{
	const struct span_cursor_options *o = &c->options;
	uint64_t start_ns = c->state == BEFORE_ALL ? o->life_start_ns : c->time_ns;

	if (c->is_over || o->only_waits || !start_ns || o->life_end_ns <= start_ns)
		return 0;
	*p = (struct span){.start_ns = start_ns, .end_ns = o->life_end_ns, .is_gap = true};
	c->is_over = true;
	return 1;
}

/* Returns 1, 0 when there is no more, or a negative errno. */
static int next_piece(struct span_cursor *c, struct span *p)
{
	struct block_row row;
	int r, has_gap;

	for (;;) {
		r = c->state == IN_BLOCK ? next_piece_in_block(c, p) : 0;
		if (r != 0)
			return r;
		r = next_row(c, &row);
		if (r <= 0)
			return r < 0 ? r : gap_after(c, p);
		has_gap = gap_before(c, &row, p);
		r = enter_block(c, &row);
		if (r < 0 || has_gap)
			return r < 0 ? r : 1;
	}
}

/* --- stretches --- */

static bool is_wait(const struct span *s)
{
	return s->activity == ACTIVITY_WAITING || s->activity == ACTIVITY_READY;
}

static bool belongs_to(const struct span_cursor *c, const struct span *p)
{
	const struct span *s = &c->span;

	return s->end_ns == p->start_ns && s->is_gap == p->is_gap && !c->is_changed &&
	       s->activity == p->activity && (!is_wait(p) || c->span_wait == c->piece_wait);
}

static void begin_span(struct span_cursor *c)
{
	struct span *s = &c->span;

	*s = c->piece;
	c->span_wait = c->piece_wait;
	c->has_piece = false;
	c->is_changed = false;
	if (s->is_gap) {
		/* What is on the stack then comes after it. */
		c->is_changed = true;
		return;
	}
	c->span_stack = xgrow(c->span_stack, &c->cap_span_stack, c->depth, sizeof(*c->span_stack));
	if (c->depth)
		memcpy(c->span_stack, c->stack, c->depth * sizeof(*c->stack));
	s->provenance = c->provenance;
	s->stack = c->span_stack;
	s->depth = c->depth;
}

static void extend_span(struct span_cursor *c)
{
	struct span *s = &c->span;

	s->end_ns = c->piece.end_ns;
	/* What a wait was for may be known in one of its blocks only. */
	if (!s->wait.reason)
		s->wait = c->piece.wait;
	c->has_piece = false;
}

/* The next stretch, whole. Returns as span_cursor_next() does. */
static int next_span(struct span_cursor *c)
{
	int r = c->has_piece ? 1 : c->error;

	if (r == 0)
		r = next_piece(c, &c->piece);
	if (r <= 0)
		return r;
	begin_span(c);
	while ((r = next_piece(c, &c->piece)) == 1) {
		c->has_piece = true;
		if (!belongs_to(c, &c->piece))
			return 1;
		extend_span(c);
	}
	c->error = r;
	return 1;
}

static bool is_wanted(const struct span_cursor *c)
{
	const struct span *s = &c->span;

	if (s->end_ns <= c->options.since_ns && c->options.since_ns)
		return false;
	return !c->options.only_waits || is_wait(s);
}

int span_cursor_next(struct span_cursor *c, const struct span **ret)
{
	int r;

	if (c->state == AT_END)
		return 0;
	do {
		r = next_span(c);
		/* What is damaged later does not matter. */
		if ((r == 1 ? c->span.start_ns : c->time_ns) >= c->options.until_ns)
			r = 0;
	} while (r == 1 && !is_wanted(c));
	if (r <= 0) {
		c->state = AT_END;
		return r;
	}
	*ret = &c->span;
	return 1;
}
