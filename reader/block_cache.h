/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks as arrays of events, so that one can move in them both ways. The few that were used last
 * are kept, within a limit of memory.
 */
#ifndef READER_BLOCK_CACHE_H
#define READER_BLOCK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "reader/trace_seek.h"

/* Of a block with more events the rest is as if it were damaged; the recorder writes no such. */
#define BLOCK_CACHE_MAX_EVENTS (1u << 20)

struct cached_event {
	uint64_t time_ns;
	const uint32_t *pushed; /* lines by index, outermost first */
	uint32_t n_pushed;
	uint32_t pop;
	uint32_t depth;	    /* of the stack afterwards */
	uint8_t provenance; /* enum provenance */
	/* More can have happened between it and the event before, though that is known as well. */
	bool begins_stretch;
};

struct cached_block {
	struct block_row row;
	const struct block_line *lines;
	uint32_t n_lines;
	const uint32_t *start; /* the stack at row.first_ns: lines by index, outermost first */
	uint32_t start_depth;
	const struct cached_event *events;
	uint32_t n_events; /* that could be read */
	bool is_damaged;   /* events are missing; when n_events is 0, the start may be, too */
};

struct block_cache;

struct block_cache *block_cache_new(struct trace *t);
void block_cache_free(struct block_cache *c);
DEFINE_CLEANUP(struct block_cache *, block_cache_free)
#define auto_block_cache auto_release(block_cache_free)

/* As given to block_cache_new(). */
struct trace *block_cache_trace(const struct block_cache *c);

/*
 * A block, decoded. Damage is no error: see is_damaged.
 * @ret  lent until the next call
 * Returns 0, -ENOENT when there is no such block (any more), or another negative errno.
 */
int block_cache_get(struct block_cache *c, const struct block_row *row,
		    const struct cached_block **ret);

/*
 * The stack after an event (-1: at the block's start), as indexes of lines, outermost first.
 * @ret  room for as many as the depth there
 */
void cached_block_stack(const struct cached_block *b, int64_t event, uint32_t *ret);
/* Its depth. */
uint32_t cached_block_depth(const struct cached_block *b, int64_t event);
/* The last event that happens at or before time_ns, -1 when there is none. */
int64_t cached_block_find(const struct cached_block *b, uint64_t time_ns);

#endif
