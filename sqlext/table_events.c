/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trackexec_events: a row for each frame that came on the stack, and for each line that was
 * returned to, so that the rows of a line are as many as its visits in table lines. What was on the
 * stack when a thread was seen first, or after a gap, is told as found there.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "reader/block_cache.h"
#include "sqlext/table.h"

struct event_rows {
	struct open_trace *o;
	struct sql_range range;
	bool has_row;
	struct block_row row; /* of the present block */
	int64_t event;	      /* the last one that was applied; -1: its start */
	/* After it; frames from `told` on have not been told yet. */
	struct block_line *stack;
	size_t cap_stack;
	uint32_t depth, told;
	const char *name; /* of what is told */
};

static void *rows_new(struct open_trace *o, const struct sql_range *range)
{
	struct event_rows *e = xcalloc(1, sizeof(*e));

	e->o = o;
	e->range = *range;
	return e;
}

static void rows_free(void *rows)
{
	struct event_rows *e = rows;

	free(e->stack);
	free(e);
}

static void push(struct event_rows *e, const struct cached_block *b, const uint32_t *lines,
		 uint32_t n)
{
	e->stack = xgrow(e->stack, &e->cap_stack, (size_t)e->depth + n, sizeof(*e->stack));
	for (uint32_t i = 0; i < n; i++)
		e->stack[e->depth++] = b->lines[lines[i]];
}

/* Returns 1, 0 when there is no more, or a negative errno. */
static int next_block(struct event_rows *e)
{
	const struct block_row before = e->row;
	const struct cached_block *b;
	int r = 0;

	if (e->has_row) {
		r = trace_block_beside(e->o->trace, &before, FORWARDS, &e->row);
	} else {
		if (e->range.since_ns)
			r = trace_block_at(e->o->trace, e->range.thread, e->range.since_ns - 1,
					   &e->row);
		if (r == 0)
			r = trace_block_end(e->o->trace, e->range.thread, FORWARDS, &e->row);
	}
	if (r <= 0 || e->row.first_ns >= e->range.until_ns)
		return r < 0 ? r : 0;
	r = block_cache_get(e->o->cache, &e->row, &b);
	if (r < 0)
		return r;
	if (b->is_damaged && b->n_events == 0)
		return -EBADMSG;
	e->depth = 0;
	push(e, b, b->start, b->start_depth);
	/* The frames of a block that goes on with the one before are known. */
	e->told = e->has_row && before.last_ns == e->row.first_ns ? e->depth : 0;
	e->name = "found";
	e->event = -1;
	e->has_row = true;
	return 1;
}

/* Returns 1, 0 when the block has no more, or a negative errno. */
static int next_event(struct event_rows *e)
{
	const struct cached_event *event;
	const struct cached_block *b;
	int r = block_cache_get(e->o->cache, &e->row, &b);

	if (r < 0)
		return r;
	if (e->event + 1 >= (int64_t)b->n_events)
		return b->is_damaged ? -EBADMSG : 0;
	event = &b->events[++e->event];
	e->depth -= event->pop;
	e->told = e->depth;
	push(e, b, event->pushed, event->n_pushed);
	e->name = "enter";
	if (event->n_pushed == 0 && e->depth) {
		e->told = e->depth - 1;
		e->name = "return";
	}
	return 1;
}

static int read_event(struct event_rows *e, struct sql_row *ret)
{
	const struct cached_block *b;
	int r = block_cache_get(e->o->cache, &e->row, &b);

	if (r < 0)
		return r;
	ret->time_ns = e->event < 0 ? e->row.first_ns : b->events[e->event].time_ns;
	ret->provenance = provenance_name(e->event < 0 ? (unsigned)PROVENANCE_OBSERVED
						       : b->events[e->event].provenance);
	return 0;
}

static int rows_next(void *rows, struct sql_row *ret, struct block_row *ret_damaged)
{
	struct event_rows *e = rows;
	int r;

	while (e->told >= e->depth) {
		r = e->has_row ? next_event(e) : 0;
		if (r == 0)
			r = next_block(e);
		if (r < 0)
			*ret_damaged = e->row;
		if (r <= 0)
			return r;
	}
	*ret = (struct sql_row){
	    .thread = e->range.thread,
	    .event = e->name,
	    .stack = e->stack,
	    .depth = ++e->told,
	};
	r = read_event(e, ret);
	ret->end_ns = ret->time_ns;
	return r < 0 ? r : 1;
}

static const enum column columns[] = {
    COLUMN_THREAD, COLUMN_TIME, COLUMN_WALL,   COLUMN_EVENT, COLUMN_DEPTH,	COLUMN_FUNCTION,
    COLUMN_FILE,   COLUMN_LINE, COLUMN_SOURCE, COLUMN_STACK, COLUMN_PROVENANCE,
};

const struct sql_table table_events = {
    .name = "trackexec_events",
    .columns = columns,
    .n_columns = sizeof(columns) / sizeof(columns[0]),
    .rows_new = rows_new,
    .rows_free = rows_free,
    .rows_next = rows_next,
};
