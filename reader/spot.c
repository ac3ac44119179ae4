/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/spot.h"

#include <errno.h>

#include "common/trace_schema.h"

#define NONE (-2) /* an event's number: no position */

static bool is_cancelled(struct cancel cancel)
{
	return cancel.is_asked && cancel.is_asked(cancel.ctx);
}

/* Whether the block before leads up to this one. Returns 1, 0 or a negative errno. */
static int follows_another(struct block_cache *cache, const struct block_row *row, bool *ret_first)
{
	const struct cached_block *block;
	struct block_row before;
	int r = trace_block_beside(block_cache_trace(cache), row, BACKWARDS, &before);

	*ret_first = r == 0;
	if (r <= 0 || before.last_ns < row->first_ns)
		return r < 0 ? r : 0;
	r = block_cache_get(cache, &before, &block);
	return r < 0 ? r : !block->is_damaged;
}

/* Whether a block's start is a position. Returns 1, 0 or a negative errno. */
static int start_counts(struct block_cache *cache, const struct block_row *row)
{
	const struct cached_block *block;
	bool is_first, is_empty;
	int r = block_cache_get(cache, row, &block);

	if (r < 0)
		return r;
	if (block->n_events == 0 && block->is_damaged)
		return 1;
	if (block->n_events && block->events[0].time_ns == row->first_ns)
		return 0;
	is_empty = block->start_depth == 0;
	r = follows_another(cache, row, &is_first);
	return r < 0 ? r : !r && !(is_first && is_empty);
}

static int set_spot(struct block_cache *cache, const struct block_row *row, int64_t event,
		    struct spot *ret)
{
	const struct cached_block *block;
	int r = block_cache_get(cache, row, &block);

	if (r < 0)
		return r;
	*ret = (struct spot){
	    .row = *row,
	    .event = event,
	    .time_ns = event < 0 ? row->first_ns : block->events[event].time_ns,
	    .depth = cached_block_depth(block, event),
	};
	return 1;
}

/* A block's first position (FORWARDS) or its last one. */
static int end_of_block(struct block_cache *cache, const struct block_row *row, enum direction way,
			struct spot *ret)
{
	const struct cached_block *block;
	int r = block_cache_get(cache, row, &block);
	int64_t n_events;

	if (r < 0)
		return r;
	n_events = block->n_events;
	if (way == BACKWARDS && n_events)
		return set_spot(cache, row, n_events - 1, ret);
	r = start_counts(cache, row);
	if (r != 0)
		return r < 0 ? r : set_spot(cache, row, -1, ret);
	return n_events ? set_spot(cache, row, 0, ret) : 0;
}

/* The first position in the blocks beyond this one. */
static int end_beyond(struct block_cache *cache, const struct block_row *from, enum direction way,
		      struct spot *ret)
{
	struct block_row row = *from;
	int r;

	while ((r = trace_block_beside(block_cache_trace(cache), &row, way, &row)) == 1) {
		r = end_of_block(cache, &row, way, ret);
		if (r != 0)
			return r;
	}
	return r;
}

int spot_at(struct block_cache *cache, uint16_t thread, uint64_t time_ns, struct spot *ret)
{
	const struct cached_block *block;
	struct block_row row;
	int64_t event;
	int r = trace_block_at(block_cache_trace(cache), thread, time_ns, &row);

	if (r <= 0)
		return r;
	r = block_cache_get(cache, &row, &block);
	if (r < 0)
		return r;
	event = cached_block_find(block, time_ns);
	if (event >= 0)
		return set_spot(cache, &row, event, ret);
	r = start_counts(cache, &row);
	if (r != 0)
		return r < 0 ? r : set_spot(cache, &row, -1, ret);
	return end_beyond(cache, &row, BACKWARDS, ret);
}

int spot_end(struct block_cache *cache, uint16_t thread, enum direction way, struct spot *ret)
{
	struct block_row row;
	int r = trace_block_end(block_cache_trace(cache), thread, way, &row);

	if (r == 1)
		r = end_of_block(cache, &row, way, ret);
	else
		return r;
	return r != 0 ? r : end_beyond(cache, &row, way, ret);
}

int spot_beside(struct block_cache *cache, const struct spot *from, enum direction way,
		struct spot *ret)
{
	const struct cached_block *block;
	int64_t event = from->event + (int)way;
	struct block_row row = from->row;
	int r = block_cache_get(cache, &row, &block);

	if (r < 0)
		return r;
	if (event >= 0 && event < (int64_t)block->n_events)
		return set_spot(cache, &row, event, ret);
	if (event == -1 && way == BACKWARDS) {
		r = start_counts(cache, &row);
		if (r != 0)
			return r < 0 ? r : set_spot(cache, &row, -1, ret);
	}
	return end_beyond(cache, &row, way, ret);
}

/* --- by depth --- */

/* The nearest event of a block beyond `from`, or NONE. */
static int64_t find_depth(const struct cached_block *b, int64_t from, enum direction way,
			  uint32_t max_depth)
{
	int64_t n = b->n_events;

	for (int64_t i = from + (int)way; i >= 0 && i < n; i += (int)way) {
		if (b->events[i].depth <= max_depth)
			return i;
	}
	return NONE;
}

/* @from  the event to begin beyond; NONE: all of the block. Returns 1, 0 or a negative errno. */
static int depth_in_block(struct block_cache *cache, const struct block_row *row, int64_t from,
			  enum direction way, uint32_t max_depth, struct spot *ret)
{
	const struct cached_block *block;
	int r = block_cache_get(cache, row, &block);
	bool low_start;
	int64_t event;

	if (r < 0)
		return r;
	if (from == NONE)
		from = way == FORWARDS ? -2 : (int64_t)block->n_events;
	low_start = block->start_depth <= max_depth;
	event = find_depth(block, from < -1 ? -1 : from, way, max_depth);
	if (low_start &&
	    ((way == FORWARDS && from < -1) || (event == NONE && from > -1 && way == BACKWARDS))) {
		r = start_counts(cache, row);
		if (r < 0)
			return r;
		if (r == 1)
			event = -1;
	}
	return event == NONE ? 0 : set_spot(cache, row, event, ret);
}

int spot_at_depth(struct block_cache *cache, const struct spot *from, enum direction way,
		  uint32_t max_depth, struct cancel cancel, struct spot *ret)
{
	struct block_row row = from->row;
	int r = depth_in_block(cache, &row, from->event, way, max_depth, ret);

	while (r == 0) {
		if (is_cancelled(cancel))
			return -EINTR;
		r = trace_block_at_depth(block_cache_trace(cache), &row, way, max_depth, &row);
		if (r <= 0)
			return r;
		r = depth_in_block(cache, &row, NONE, way, max_depth, ret);
	}
	return r;
}

/* --- what surrounds a position --- */

/*
 * The event that ends a position, where blocks lead up to it without a gap.
 * @ret_last  the last block of them; the event is in it, if there is one
 * Returns 1, 0 when there is none, or a negative errno.
 */
static int next_event(struct block_cache *cache, const struct spot *s, struct cached_event *ret,
		      struct block_row *ret_last, bool *ret_is_gap)
{
	struct block_row row = s->row, next;
	const struct cached_block *block;
	int64_t event = s->event + 1;
	int r = block_cache_get(cache, &row, &block);

	while (r == 0 && event >= (int64_t)block->n_events && !block->is_damaged &&
	       (r = trace_block_beside(block_cache_trace(cache), &row, FORWARDS, &next)) == 1 &&
	       next.first_ns <= row.last_ns) {
		row = next;
		event = 0;
		r = block_cache_get(cache, &row, &block);
	}
	if (r < 0)
		return r;
	*ret_last = row;
	*ret_is_gap = r == 1 || block->is_damaged;
	if (event >= (int64_t)block->n_events)
		return 0;
	*ret = block->events[event];
	return 1;
}

int spot_ending(struct block_cache *cache, const struct spot *s, uint64_t *ret_ns, enum ending *ret)
{
	struct cached_event event;
	struct block_row last;
	bool is_gap;
	int r = next_event(cache, s, &event, &last, &is_gap);

	if (r < 0)
		return r;
	*ret_ns = r == 1 ? event.time_ns : last.last_ns;
	*ret = r == 1 ? ENDING_EVENT : is_gap ? ENDING_GAP : ENDING_UNKNOWN;
	return 0;
}

int spot_provenance(struct block_cache *cache, const struct spot *s, unsigned *ret,
		    bool *ret_is_sampled)
{
	const struct cached_block *block;
	struct cached_event event;
	struct block_row last;
	bool is_gap;
	int r = block_cache_get(cache, &s->row, &block);

	if (r < 0)
		return r;
	*ret = s->event < 0 ? PROVENANCE_OBSERVED : block->events[s->event].provenance;
	*ret_is_sampled = true;
	if (!provenance_is_complete(*ret))
		return 0;
	r = next_event(cache, s, &event, &last, &is_gap);
	*ret_is_sampled = r == 1 && (event.provenance != *ret || event.begins_stretch);
	return r < 0 ? r : 0;
}

int spot_is_after_gap(struct block_cache *cache, const struct spot *s)
{
	bool is_first;
	int r;

	if (s->event > 0 || s->time_ns > s->row.first_ns)
		return 0;
	r = follows_another(cache, &s->row, &is_first);
	return r < 0 ? r : !r && !is_first;
}
