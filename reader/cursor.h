/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A position in the time of a trace, and all movement, forwards and backwards.
 *
 * A position is where the stack of one thread is known to have changed: an event, or the start of
 * a block when nothing was known before it. A cursor follows one thread or all of them; then the
 * positions of all are in the order of their time, and at one time in that of the threads' ids.
 *
 * Movements return 1; 0 when there is no such position: then the cursor stays where it is; or a
 * negative errno (-EINTR: cancelled), with the same. No movement decodes what an index tells to
 * skip.
 */
#ifndef READER_CURSOR_H
#define READER_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "reader/spot.h"

struct cursor;

/* @trace lent; refreshed only through cursor_refresh(). At first there is no position. */
struct cursor *cursor_new(struct trace *trace);
void cursor_free(struct cursor *c);
DEFINE_CLEANUP(struct cursor *, cursor_free)

/*
 * When the trace was refreshed: the cursor stays where it is, or, when that was deleted meanwhile,
 * as near as there is something. Returns 0 or a negative errno.
 */
int cursor_refresh(struct cursor *c);

/* All threads of the trace, lent until cursor_refresh(). */
const struct trace_thread *cursor_threads(const struct cursor *c, size_t *ret_n);
/* The thread that is followed; 0: all. */
uint16_t cursor_followed(const struct cursor *c);
/*
 * Follow another one, from the same time on, or its first position when that is later.
 * Returns as movements do; 0: nothing was seen of it, or there is none.
 */
int cursor_follow(struct cursor *c, uint16_t thread);

/* A search can be ended from outside: it then returns -EINTR. */
void cursor_set_cancel(struct cursor *c, struct cancel cancel);

/* Whether there is a position: not before the first movement, and never in an empty trace. */
bool cursor_has_spot(const struct cursor *c);
const struct spot *cursor_spot(const struct cursor *c);
/* The moment that was jumped to; otherwise the position's time. */
uint64_t cursor_time(const struct cursor *c);

/* To the last position at or before a time; when there is none, to the first one. */
int cursor_jump(struct cursor *c, uint64_t time_ns);
/* To the last position of one thread by then, though another thread may have a later one. */
int cursor_jump_in(struct cursor *c, uint16_t thread, uint64_t time_ns);
/* To the first position (BACKWARDS) or the last one. */
int cursor_end(struct cursor *c, enum direction way);
/* To the next position. */
int cursor_step(struct cursor *c, enum direction way);
/* Whether there is one: 1, 0 or a negative errno. */
int cursor_can_step(struct cursor *c, enum direction way);
/* To the next position of the present thread where the stack is at most so deep. */
int cursor_next(struct cursor *c, enum direction way, uint32_t max_depth);

/*
 * To where the call is over whose frame makes the stack so deep here; BACKWARDS: to the last
 * position before it began.
 */
int cursor_leave(struct cursor *c, enum direction way, uint32_t depth);

/*
 * To the next position at which one of the stops is reached.
 * @ret  which one, on success
 */
int cursor_run(struct cursor *c, enum direction way, const struct stop *stops, size_t n_stops,
	       struct hit *ret);

/* Until when the stack stayed as it is, and why not longer. Returns 0 or a negative errno. */
int cursor_ending(struct cursor *c, uint64_t *ret_ns, enum ending *ret);
/* How the position is known; see spot_provenance(). */
int cursor_provenance(struct cursor *c, unsigned *ret, bool *ret_is_sampled);
/* Whether the position comes after time of which nothing is known. Returns 1, 0 or an error. */
int cursor_is_after_gap(struct cursor *c);
/* Whether events of the position's block could not be read. Returns 1, 0 or an error. */
int cursor_is_damaged(struct cursor *c);

/* A frame of the stack, outermost first. */
struct cursor_frame {
	uint32_t code;
	int32_t line; /* 0: unknown */
};
/* The stack of the position; its depth is that of the spot. The caller frees. */
int cursor_stack(struct cursor *c, struct cursor_frame **ret);
/*
 * Where another thread is at the cursor's time.
 * @ret_stack  may be NULL; the caller frees
 * Returns 1, 0 when it has no position yet, or a negative errno.
 */
int cursor_peek(struct cursor *c, uint16_t thread, struct spot *ret,
		struct cursor_frame **ret_stack);

#endif
