/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/block_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/provenance_codec.h"
#include "common/xalloc.h"

#define N_SLOTS	  16
#define MAX_BYTES (24u << 20)

DEFINE_CLEANUP(struct block_decoder *, block_decoder_free)

struct slot {
	struct cached_block block;
	struct block_decoder *decoder; /* lends lines and pushed; NULL: the slot is free */
	uint32_t *start;
	struct cached_event *events;
	size_t bytes;
	uint64_t used; /* when, as a count of calls */
};

struct block_cache {
	struct trace *trace;
	struct slot slots[N_SLOTS];
	uint64_t n_calls;
	size_t bytes;
};

struct block_cache *block_cache_new(struct trace *t)
{
	struct block_cache *c = xcalloc(1, sizeof(*c));

	c->trace = t;
	return c;
}

struct trace *block_cache_trace(const struct block_cache *c)
{
	return c->trace;
}

static void clear(struct block_cache *c, struct slot *s)
{
	c->bytes -= s->bytes;
	block_decoder_free(s->decoder);
	free(s->start);
	free(s->events);
	*s = (struct slot){0};
}

void block_cache_free(struct block_cache *c)
{
	if (!c)
		return;
	for (int i = 0; i < N_SLOTS; i++)
		clear(c, &c->slots[i]);
	free(c);
}

/* A block that is still open grows in its row. */
static struct slot *find(struct block_cache *c, const struct block_row *row)
{
	for (int i = 0; i < N_SLOTS; i++) {
		const struct block_row *known = &c->slots[i].block.row;

		if (c->slots[i].used && known->id == row->id && known->n_events == row->n_events &&
		    known->first_ns == row->first_ns && known->last_ns == row->last_ns)
			return &c->slots[i];
	}
	return NULL;
}

static struct slot *oldest(struct block_cache *c)
{
	struct slot *s = &c->slots[0];

	for (int i = 1; i < N_SLOTS; i++) {
		if (c->slots[i].used < s->used)
			s = &c->slots[i];
	}
	return s;
}

static void make_room(struct block_cache *c, const struct slot *keep)
{
	while (c->bytes > MAX_BYTES) {
		struct slot *worst = NULL;

		for (int i = 0; i < N_SLOTS; i++) {
			struct slot *s = &c->slots[i];

			if (s != keep && s->bytes && (!worst || s->used < worst->used))
				worst = s;
		}
		if (!worst)
			return;
		clear(c, worst);
	}
}

/* Returns whether all events are there. */
static bool decode_events(struct slot *s, uint32_t max)
{
	const struct block_row *row = &s->block.row;
	uint64_t span_ns = row->last_ns - row->first_ns;
	struct block_event event;
	uint32_t depth = s->block.start_depth, n = 0;

	while (n < max && block_decoder_next(s->decoder, &event) == 1) {
		if (event.offset_ns > span_ns)
			break;
		depth = depth - event.pop + event.n_pushed;
		s->events[n++] = (struct cached_event){
		    .time_ns = row->first_ns + event.offset_ns,
		    .pushed = event.pushed,
		    .n_pushed = event.n_pushed,
		    .pop = event.pop,
		    .depth = depth,
		};
	}
	s->block.n_events = n;
	return n == block_decoder_n_events(s->decoder);
}

static void decode_provenance(struct block_cache *c, struct slot *s)
{
	struct provenance_runs runs;
	uint32_t i = 0;

	if (trace_decode_provenance(c->trace, s->block.row.id, block_decoder_n_events(s->decoder),
				    &runs) < 0)
		return;
	for (size_t k = 0; k < runs.n; k++) {
		bool begins = runs.runs[k].begins_stretch;

		for (; i < runs.runs[k].end && i < s->block.n_events; i++) {
			s->events[i].provenance = runs.runs[k].provenance;
			s->events[i].begins_stretch = begins;
			begins = false;
		}
	}
	provenance_runs_done(&runs);
}

static void decode(struct block_cache *c, struct slot *s)
{
	struct cached_block *b = &s->block;
	uint32_t max = block_decoder_n_events(s->decoder);
	const uint32_t *stack = block_decoder_stack(s->decoder, &b->start_depth);

	if (max > BLOCK_CACHE_MAX_EVENTS)
		max = BLOCK_CACHE_MAX_EVENTS;
	s->start = xreallocarray(NULL, b->start_depth, sizeof(*s->start));
	if (b->start_depth)
		memcpy(s->start, stack, b->start_depth * sizeof(*s->start));
	s->events = xreallocarray(NULL, max, sizeof(*s->events));
	b->is_damaged = !decode_events(s, max);
	decode_provenance(c, s);
	b->lines = block_decoder_lines(s->decoder, &b->n_lines);
	b->start = s->start;
	b->events = s->events;
	s->bytes = b->start_depth * sizeof(*s->start) + max * sizeof(*s->events);
	c->bytes += s->bytes;
}

int block_cache_get(struct block_cache *c, const struct block_row *row,
		    const struct cached_block **ret)
{
	auto_release(block_decoder_free) struct block_decoder *decoder = NULL;
	struct slot *s = find(c, row);
	int r;

	c->n_calls++;
	if (!s) {
		r = trace_decode_block(c->trace, row->id, &decoder);
		if (r < 0 && r != -EBADMSG)
			return r;
		s = oldest(c);
		clear(c, s);
		s->block = (struct cached_block){.row = *row, .is_damaged = true};
		s->decoder = steal_ptr(decoder);
		if (s->decoder)
			decode(c, s);
		make_room(c, s);
	}
	s->used = c->n_calls;
	*ret = &s->block;
	return 0;
}

uint32_t cached_block_depth(const struct cached_block *b, int64_t event)
{
	return event < 0 ? b->start_depth : b->events[event].depth;
}

/*
 * Backwards from the event: each one says what lies above the frames that it left alone, until
 * all are known. Takes no memory, and for the largest blocks less than a millisecond.
 */
void cached_block_stack(const struct cached_block *b, int64_t event, uint32_t *ret)
{
	uint32_t wanted = cached_block_depth(b, event);

	for (; event >= 0 && wanted; event--) {
		const struct cached_event *e = &b->events[event];
		uint32_t left = e->depth - e->n_pushed;

		if (wanted <= left)
			continue;
		memcpy(ret + left, e->pushed, (wanted - left) * sizeof(*ret));
		wanted = left;
	}
	if (wanted)
		memcpy(ret, b->start, wanted * sizeof(*ret));
}

int64_t cached_block_find(const struct cached_block *b, uint64_t time_ns)
{
	int64_t low = 0, high = b->n_events;

	while (low < high) {
		int64_t middle = low + (high - low) / 2;

		if (b->events[middle].time_ns <= time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}
