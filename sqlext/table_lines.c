/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec_lines: the line index, a row for each block and each line in it. */
#include <stdlib.h>

#include "common/xalloc.h"
#include "reader/trace_line_rows.h"
#include "sqlext/table.h"

struct line_rows {
	struct open_trace *o;
	struct sql_range range;
	struct trace_line_rows *rows; /* NULL: not asked yet */
	struct block_row block;
	struct trace_line line;
};

static void *rows_new(struct open_trace *o, const struct sql_range *range)
{
	struct line_rows *l = xcalloc(1, sizeof(*l));

	l->o = o;
	l->range = *range;
	return l;
}

static void rows_free(void *rows)
{
	struct line_rows *l = rows;

	trace_line_rows_free(l->rows);
	free(l);
}

static int rows_next(void *rows, struct sql_row *ret, struct block_row *ret_damaged)
{
	struct line_rows *l = rows;
	int r = 0;

	if (!l->rows)
		r = trace_line_rows_new(l->o->trace, l->range.thread, l->range.since_ns,
					l->range.until_ns, &l->rows);
	if (r == 0)
		r = trace_line_rows_next(l->rows, &l->block, &l->line);
	if (r < 0)
		*ret_damaged = l->block;
	if (r <= 0)
		return r;
	*ret = (struct sql_row){
	    .thread = l->range.thread,
	    .time_ns = l->block.first_ns,
	    .end_ns = l->block.last_ns,
	    .sums = &l->line,
	    .provenance = l->o->provenance,
	};
	return 1;
}

static const enum column columns[] = {
    COLUMN_THREAD, COLUMN_TIME,	  COLUMN_WALL,	 COLUMN_END,	    COLUMN_FILE,
    COLUMN_LINE,   COLUMN_SOURCE, COLUMN_VISITS, COLUMN_SELF,	    COLUMN_TOTAL,
    COLUMN_ON_CPU, COLUMN_WAIT,	  COLUMN_READY,	 COLUMN_PROVENANCE,
};

const struct sql_table table_lines = {
    .name = "trackexec_lines",
    .columns = columns,
    .n_columns = sizeof(columns) / sizeof(columns[0]),
    .rows_new = rows_new,
    .rows_free = rows_free,
    .rows_next = rows_next,
};
