/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running to breakpoints. The line index tells in which block a line is entered next; that one is
 * decoded and looked through.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/spot.h"
#include "reader/trace.h"

/* The next block in which a stop may be reached. */
struct candidate {
	struct block_row row;
	enum { NOT_KNOWN, FOUND, NO_MORE } state;
};

struct run {
	struct block_cache *cache;
	enum direction way;
	uint16_t thread;
	const struct stop *stops;
	size_t n_stops;
	struct candidate *candidates; /* of each stop */
	/* Of the block that is looked through. */
	uint8_t *wanted; /* of each of its lines, bool: a stop may be on it */
	size_t cap_wanted;
	uint32_t *stack; /* lines by index */
	size_t cap_stack;
};

static bool concerns(const struct run *run, const struct stop *stop)
{
	return stop->thread == 0 || stop->thread == run->thread;
}

/* --- inside a block --- */

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool has_code(const struct stop *stop, uint32_t code)
{
	return stop->n_codes &&
	       bsearch(&code, stop->codes, stop->n_codes, sizeof(code), compare_u32);
}

static bool has_file(const struct stop *stop, uint32_t file)
{
	for (size_t i = 0; i < stop->n_files; i++) {
		if (stop->files[i] == file)
			return true;
	}
	return false;
}

static bool is_on(const struct run *run, const struct stop *stop, struct block_line line)
{
	const struct trace_code *code;

	if (!concerns(run, stop))
		return false;
	if (!stop->line)
		return has_code(stop, line.code);
	if (stop->line != line.line)
		return false;
	code = trace_get_code(block_cache_trace(run->cache), line.code);
	return code && has_file(stop, code->file);
}

static void mark_wanted(struct run *run, const struct cached_block *b)
{
	run->wanted = xgrow(run->wanted, &run->cap_wanted, b->n_lines + 1u, 1);
	for (uint32_t i = 0; i < b->n_lines; i++) {
		run->wanted[i] = 0;
		for (size_t s = 0; s < run->n_stops && !run->wanted[i]; s++)
			run->wanted[i] = is_on(run, &run->stops[s], b->lines[i]);
	}
}

/*
 * Whether an event reaches a stop. The stack is still as it was before the event. Of a function
 * it is a call, unless the first frame that comes is in the place of one of the same function:
 * then that has gone on to another line.
 */
static bool reaches(const struct run *run, const struct cached_block *b,
		    const struct cached_event *e, const uint32_t *stack, struct hit *ret)
{
	uint32_t left = e->depth - e->n_pushed;

	for (uint32_t i = e->n_pushed; i-- > 0;) {
		if (!run->wanted[e->pushed[i]])
			continue;
		for (size_t s = 0; s < run->n_stops; s++) {
			const struct stop *stop = &run->stops[s];

			if (!is_on(run, stop, b->lines[e->pushed[i]]))
				continue;
			if (!stop->line && i == 0 && e->pop &&
			    has_code(stop, b->lines[stack[left]].code))
				continue;
			*ret = (struct hit){.stop = s, .frame = left + i};
			return true;
		}
	}
	return false;
}

/* The nearest event beyond `from` that reaches a stop, or -1. */
static int64_t look_through(struct run *run, const struct cached_block *b, int64_t from,
			    struct hit *ret)
{
	int64_t found = -1, end = b->n_events;

	if (run->way == BACKWARDS && from < end)
		end = from;
	mark_wanted(run, b);
	run->stack = xgrow(run->stack, &run->cap_stack, b->start_depth + 1u, sizeof(*run->stack));
	if (b->start_depth)
		memcpy(run->stack, b->start, b->start_depth * sizeof(*run->stack));
	for (int64_t i = 0; i < end; i++) {
		const struct cached_event *e = &b->events[i];
		uint32_t left = e->depth - e->n_pushed;

		if ((run->way == BACKWARDS || i > from) && e->n_pushed &&
		    reaches(run, b, e, run->stack, ret)) {
			found = i;
			if (run->way == FORWARDS)
				break;
		}
		run->stack = xgrow(run->stack, &run->cap_stack, e->depth + 1u, sizeof(*run->stack));
		if (e->n_pushed)
			memcpy(run->stack + left, e->pushed, e->n_pushed * sizeof(*run->stack));
	}
	return found;
}

/* --- from block to block --- */

/* bool: a is nearer than b. Ids of one thread are in the order of time. */
static bool is_nearer(const struct run *run, const struct block_row *a, const struct block_row *b)
{
	return run->way == FORWARDS ? a->id < b->id : a->id > b->id;
}

/* The nearest block beyond `from` in which one line is entered, if it is nearer than what is known.
 */
static int try_line(struct run *run, const struct block_row *from, uint32_t file, int32_t line,
		    struct candidate *c)
{
	struct block_row row;
	int r =
	    trace_block_entering(block_cache_trace(run->cache), from, run->way, file, line, &row);

	if (r == 1 && (c->state != FOUND || is_nearer(run, &row, &c->row)))
		*c = (struct candidate){.row = row, .state = FOUND};
	return r < 0 ? r : 0;
}

static int find_candidate(struct run *run, const struct block_row *from, const struct stop *stop,
			  struct candidate *c)
{
	int r = 0;

	/* What is known still lies ahead. */
	if (c->state == NO_MORE || (c->state == FOUND && is_nearer(run, from, &c->row)))
		return 0;
	c->state = NO_MORE;
	if (!concerns(run, stop))
		return 0;
	for (size_t f = 0; r == 0 && f < stop->n_files; f++) {
		if (stop->line)
			r = try_line(run, from, stop->files[f], stop->line, c);
		for (size_t l = 0; r == 0 && !stop->line && l < stop->n_lines; l++)
			r = try_line(run, from, stop->files[f], stop->lines[l], c);
	}
	return r;
}

/* The nearest block beyond `from` in which any stop may be reached. Returns 1, 0 or an error. */
static int next_candidate(struct run *run, const struct block_row *from, struct block_row *ret)
{
	bool found = false;

	for (size_t s = 0; s < run->n_stops; s++) {
		struct candidate *c = &run->candidates[s];
		int r = find_candidate(run, from, &run->stops[s], c);

		if (r < 0)
			return r;
		if (c->state == FOUND && (!found || is_nearer(run, &c->row, ret))) {
			*ret = c->row;
			found = true;
		}
	}
	return found;
}

static bool is_beyond(const struct run *run, const struct block_row *row, uint64_t limit_ns)
{
	return run->way == FORWARDS ? row->first_ns > limit_ns : row->last_ns < limit_ns;
}

static int run_from(struct run *run, const struct spot *from, uint64_t limit_ns,
		    struct cancel cancel, struct spot *ret, struct hit *ret_hit)
{
	struct block_row row = from->row, next;
	const struct cached_block *b;
	int64_t event = from->event;
	bool is_inside = row.id != INT64_MIN;
	int r;

	for (;;) {
		if (is_inside) {
			r = block_cache_get(run->cache, &row, &b);
			if (r < 0)
				return r;
			event = look_through(run, b, event, ret_hit);
			if (event >= 0) {
				*ret = (struct spot){.row = row,
						     .event = event,
						     .time_ns = b->events[event].time_ns,
						     .depth = b->events[event].depth};
				return 1;
			}
		}
		if (cancel.is_asked && cancel.is_asked(cancel.ctx))
			return -EINTR;
		r = next_candidate(run, &row, &next);
		if (r <= 0 || is_beyond(run, &next, limit_ns))
			return r < 0 ? r : 0;
		row = next;
		is_inside = true;
		event = run->way == FORWARDS ? -1 : INT64_MAX;
	}
}

int spot_run(struct block_cache *cache, const struct spot *from, enum direction way,
	     const struct stop *stops, size_t n_stops, uint64_t limit_ns, struct cancel cancel,
	     struct spot *ret, struct hit *ret_hit)
{
	struct run run = {
	    .cache = cache,
	    .way = way,
	    .thread = from->row.thread,
	    .stops = stops,
	    .n_stops = n_stops,
	    .candidates = xcalloc(n_stops + 1, sizeof(*run.candidates)),
	};
	int r = run_from(&run, from, limit_ns, cancel, ret, ret_hit);

	free(run.candidates);
	free(run.wanted);
	free(run.stack);
	return r;
}
