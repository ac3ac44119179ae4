/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end and the beginning of a call. That the stack gets lower would be easy to find, but a call
 * that returns and the next one from the same line can be one event, in which the depth stays as it
 * is. So the events themselves are looked at, in as many blocks as can be decoded while one waits;
 * beyond them only the depth counts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/spot.h"

#define EXACT_BLOCKS 128

/* The call that is looked for: the frame of this number, of this code object. */
struct call {
	uint32_t frame; /* outermost 0 */
	uint32_t code;
};

static uint32_t kept_by(const struct cached_event *e)
{
	return e->depth - e->n_pushed;
}

/* Whether the frame that an event leaves there is still of the same call, on another line. */
static bool goes_on(const struct cached_block *b, const struct cached_event *e,
		    const struct call *call)
{
	return kept_by(e) == call->frame && e->n_pushed &&
	       b->lines[e->pushed[0]].code == call->code;
}

static bool start_has(const struct cached_block *b, const struct call *call)
{
	return b->start_depth > call->frame && b->lines[b->start[call->frame]].code == call->code;
}

/* The first event after `from` after which the call is over; -1: none. */
static int64_t find_end(const struct cached_block *b, int64_t from, const struct call *call)
{
	for (int64_t i = from + 1; i < (int64_t)b->n_events; i++) {
		const struct cached_event *e = &b->events[i];

		if (kept_by(e) <= call->frame && !goes_on(b, e, call))
			return i;
	}
	return -1;
}

/*
 * The last event up to `to` that made the call; -1: it was there at the block's start. Each event
 * that touches the frame makes it, unless the one that it replaces was of the same code.
 */
static int64_t find_beginning(const struct cached_block *b, int64_t to, const struct call *call)
{
	bool was_there = start_has(b, call);
	int64_t found = -1;

	for (int64_t i = 0; i <= to && i < (int64_t)b->n_events; i++) {
		const struct cached_event *e = &b->events[i];
		uint32_t kept = kept_by(e);
		bool is_there;

		if (kept > call->frame)
			continue;
		is_there = e->depth > call->frame &&
			   b->lines[e->pushed[call->frame - kept]].code == call->code;
		if (is_there && !(was_there && kept == call->frame))
			found = i;
		was_there = is_there;
	}
	return found;
}

static int get_call(struct block_cache *cache, const struct spot *from, uint32_t depth,
		    struct call *ret)
{
	auto_free uint32_t *stack = NULL;
	const struct cached_block *b;
	int r = block_cache_get(cache, &from->row, &b);

	if (r < 0)
		return r;
	stack = xreallocarray(NULL, from->depth + 1u, sizeof(*stack));
	cached_block_stack(b, from->event, stack);
	*ret = (struct call){.frame = depth - 1, .code = b->lines[stack[depth - 1]].code};
	return 0;
}

static int leave_forwards(struct block_cache *cache, const struct spot *from, uint32_t depth,
			  const struct call *call, struct cancel cancel, struct spot *ret)
{
	struct spot at = *from;
	const struct cached_block *b;
	int r;

	for (int n = 0; n < EXACT_BLOCKS; n++) {
		int64_t event;

		r = block_cache_get(cache, &at.row, &b);
		if (r < 0)
			return r;
		event = find_end(b, at.event, call);
		if (event >= 0) {
			*ret = (struct spot){.row = at.row,
					     .event = event,
					     .time_ns = b->events[event].time_ns,
					     .depth = b->events[event].depth};
			return 1;
		}
		at.event = (int64_t)b->n_events - 1;
		/* The next block's first position tells whether it begins anew. */
		r = spot_beside(cache, &at, FORWARDS, ret);
		if (r <= 0)
			return r;
		r = block_cache_get(cache, &ret->row, &b);
		if (r < 0)
			return r;
		if (ret->event < 0 && !start_has(b, call))
			return 1;
		at = *ret;
		at.event = -1;
	}
	return spot_at_depth(cache, &at, FORWARDS, depth - 1, cancel, ret);
}

static int leave_backwards(struct block_cache *cache, const struct spot *from, uint32_t depth,
			   const struct call *call, struct cancel cancel, struct spot *ret)
{
	struct spot at = *from;
	const struct cached_block *b;
	int r;

	for (int n = 0; n < EXACT_BLOCKS; n++) {
		int64_t event;

		r = block_cache_get(cache, &at.row, &b);
		if (r < 0)
			return r;
		event = find_beginning(b, at.event, call);
		if (event >= 0) {
			at.event = event;
			return spot_beside(cache, &at, BACKWARDS, ret);
		}
		at.event = 0;
		r = spot_beside(cache, &at, BACKWARDS, ret);
		/* The start of a block after a gap: what was before is not known, so go on there.
		 */
		if (r == 1 && ret->event < 0)
			r = spot_beside(cache, ret, BACKWARDS, ret);
		if (r <= 0)
			return r;
		at = *ret;
		r = block_cache_get(cache, &at.row, &b);
		if (r < 0)
			return r;
		if (at.depth <= call->frame)
			return 1;
	}
	return spot_at_depth(cache, &at, BACKWARDS, depth - 1, cancel, ret);
}

int spot_leave(struct block_cache *cache, const struct spot *from, enum direction way,
	       uint32_t depth, struct cancel cancel, struct spot *ret)
{
	struct call call;
	int r;

	if (depth == 0 || depth > from->depth)
		return 0;
	r = get_call(cache, from, depth, &call);
	if (r < 0)
		return r;
	return way == FORWARDS ? leave_forwards(cache, from, depth, &call, cancel, ret)
			       : leave_backwards(cache, from, depth, &call, cancel, ret);
}
