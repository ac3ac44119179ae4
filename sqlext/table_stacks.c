/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec_stacks and trackexec_waits: stretches of time in which a thread did the same. */
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "reader/span_cursor.h"
#include "sqlext/table.h"

struct stack_rows {
	struct open_trace *o;
	struct span_cursor *cursor;
	struct sql_range range;
	bool only_waits;
};

static struct stack_rows *rows_new(struct open_trace *o, const struct sql_range *range,
				   bool only_waits)
{
	struct stack_rows *s = xcalloc(1, sizeof(*s));

	s->o = o;
	s->range = *range;
	s->only_waits = only_waits;
	s->cursor = span_cursor_new(o->cache, &(struct span_cursor_options){
						  .thread = range->thread,
						  .since_ns = range->since_ns,
						  .until_ns = range->until_ns,
						  .life_start_ns = range->life_start_ns,
						  .life_end_ns = range->life_end_ns,
						  .only_waits = only_waits,
						  .has_edges = o->edges != NULL,
					      });
	return s;
}

static void *stacks_new(struct open_trace *o, const struct sql_range *range)
{
	return rows_new(o, range, false);
}

static void *waits_new(struct open_trace *o, const struct sql_range *range)
{
	return rows_new(o, range, true);
}

static void rows_free(void *rows)
{
	struct stack_rows *s = rows;

	span_cursor_free(s->cursor);
	free(s);
}

static int rows_next(void *rows, struct sql_row *ret, struct block_row *ret_damaged)
{
	struct stack_rows *s = rows;
	const struct span *span;
	int r = span_cursor_next(s->cursor, &span);

	if (r < 0)
		*ret_damaged = *span_cursor_block(s->cursor);
	if (r <= 0)
		return r;
	*ret = (struct sql_row){
	    .thread = s->range.thread,
	    .time_ns = span->start_ns,
	    .end_ns = span->end_ns,
	    .is_gap = span->is_gap,
	    .activity = span->activity,
	    .wait = span->wait,
	    .stack = span->stack,
	    .depth = span->depth,
	};
	if (!span->is_gap)
		ret->provenance = s->only_waits ? s->o->edges : provenance_name(span->provenance);
	return 1;
}

static const enum column stack_columns[] = {
    COLUMN_THREAD,   COLUMN_TIME,	COLUMN_WALL,	 COLUMN_DURATION, COLUMN_END,
    COLUMN_ACTIVITY, COLUMN_DEPTH,	COLUMN_FUNCTION, COLUMN_FILE,	  COLUMN_LINE,
    COLUMN_SOURCE,   COLUMN_REASON,	COLUMN_PEER,	 COLUMN_IDLE,	  COLUMN_STACK,
    COLUMN_NATIVE,   COLUMN_PROVENANCE,
};

const struct sql_table table_stacks = {
    .name = "trackexec_stacks",
    .columns = stack_columns,
    .n_columns = sizeof(stack_columns) / sizeof(stack_columns[0]),
    .is_cut = true,
    .rows_new = stacks_new,
    .rows_free = rows_free,
    .rows_next = rows_next,
};

static const enum column wait_columns[] = {
    COLUMN_THREAD,   COLUMN_TIME,   COLUMN_WALL,     COLUMN_DURATION,	COLUMN_END,
    COLUMN_ACTIVITY, COLUMN_REASON, COLUMN_KIND,     COLUMN_CALL,	COLUMN_PEER,
    COLUMN_IDLE,     COLUMN_DEPTH,  COLUMN_FUNCTION, COLUMN_FILE,	COLUMN_LINE,
    COLUMN_SOURCE,   COLUMN_STACK,  COLUMN_NATIVE,   COLUMN_PROVENANCE,
};

const struct sql_table table_waits = {
    .name = "trackexec_waits",
    .columns = wait_columns,
    .n_columns = sizeof(wait_columns) / sizeof(wait_columns[0]),
    .is_cut = true,
    .rows_new = waits_new,
    .rows_free = rows_free,
    .rows_next = rows_next,
};
