/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The positions of one thread, and moving among them; see reader/cursor.h, which is what to use.
 *
 * A position is an event, or the start of a block when nothing was known before it (but for an
 * empty stack at the thread's beginning). All functions that look for one return 1; 0 when there
 * is none; or a negative errno. @ret may be where `from` is.
 */
#ifndef READER_SPOT_H
#define READER_SPOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader/block_cache.h"
#include "reader/trace_seek.h"

struct spot {
	struct block_row row;
	int64_t event; /* in the block; -1: its start */
	uint64_t time_ns;
	uint32_t depth;
};

/* Asked now and then during a long search; all zeros never cancels. */
struct cancel {
	bool (*is_asked)(void *ctx);
	void *ctx;
};

/* The last position at or before a time. */
int spot_at(struct block_cache *cache, uint16_t thread, uint64_t time_ns, struct spot *ret);
/* The thread's first position (FORWARDS), or its last one. */
int spot_end(struct block_cache *cache, uint16_t thread, enum direction way, struct spot *ret);
/* The one after or before. */
int spot_beside(struct block_cache *cache, const struct spot *from, enum direction way,
		struct spot *ret);
/* The nearest after or before it where the stack is at most so deep. */
int spot_at_depth(struct block_cache *cache, const struct spot *from, enum direction way,
		  uint32_t max_depth, struct cancel cancel, struct spot *ret);

/*
 * Where a call is over (FORWARDS), or the last position before it began: that of the frame which
 * makes the stack so deep at `from`.
 */
int spot_leave(struct block_cache *cache, const struct spot *from, enum direction way,
	       uint32_t depth, struct cancel cancel, struct spot *ret);

/* Where to stop: a line that is entered, or a function that is called. */
struct stop {
	uint16_t thread; /* 0: any of those that are followed */
	/* Of one path, or of the function; all of these are lent. */
	uint32_t *files;
	size_t n_files;
	int32_t line; /* 0: the function */
	/* Its code objects, ascending, and all its lines that are entered somewhere. */
	uint32_t *codes;
	size_t n_codes;
	int32_t *lines;
	size_t n_lines;
};

struct hit {
	size_t stop;	/* which */
	uint32_t frame; /* the frame's number in the stack, 0 for the outermost */
};

/* Before all positions of a thread, for spot_run(). */
#define SPOT_BEFORE_ALL(t) ((struct spot){.row = {.id = INT64_MIN, .thread = (t)}})

/*
 * The nearest position after or before `from` at which one of the stops is reached. Those of
 * other threads are left out.
 * @limit_ns  what lies beyond need not be found
 */
int spot_run(struct block_cache *cache, const struct spot *from, enum direction way,
	     const struct stop *stops, size_t n_stops, uint64_t limit_ns, struct cancel cancel,
	     struct spot *ret, struct hit *ret_hit);

/* Why nothing more is known of a position. */
enum ending {
	ENDING_EVENT,	/* something happened: the next position */
	ENDING_GAP,	/* from then on nothing was seen for a while */
	ENDING_UNKNOWN, /* the trace says no more: its end, that of the thread, or it goes on */
};
/* Until when the stack stayed as it is at a position. Returns 0 or a negative errno. */
int spot_ending(struct block_cache *cache, const struct spot *s, uint64_t *ret_ns,
		enum ending *ret);
/*
 * How it is known (enum provenance, or a number of a newer program).
 * @ret_is_sampled  something may have happened between it and the next one that is not there
 * Returns 0 or a negative errno.
 */
int spot_provenance(struct block_cache *cache, const struct spot *s, unsigned *ret,
		    bool *ret_is_sampled);
/* Whether it comes after a time of which nothing is known. Returns 1, 0 or a negative errno. */
int spot_is_after_gap(struct block_cache *cache, const struct spot *s);

#endif
