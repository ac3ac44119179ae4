/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/trace_line_rows.h"

#include <stdlib.h>

#include "common/xalloc.h"
#include "reader/trace_private.h"

struct trace_line_rows {
	struct trace *trace;
	sqlite3_stmt *st;
};

static sqlite3_int64 as_sql(uint64_t ns)
{
	return ns > INT64_MAX ? INT64_MAX : (sqlite3_int64)ns;
}

int trace_line_rows_new(struct trace *t, uint16_t thread, uint64_t since_ns, uint64_t until_ns,
			struct trace_line_rows **ret)
{
	sqlite3_stmt *st = NULL;
	int r = trace_prepare(t,
			      "SELECT blocks.id, thread, first_ns, last_ns, lowest_depth, n_events,"
			      " file, line, visits, self_ns, total_ns, wait_ns, ready_ns"
			      " FROM blocks INDEXED BY blocks_by_time"
			      " CROSS JOIN lines ON lines.block = blocks.id"
			      " WHERE thread = ?1 AND first_ns >= ?2 AND first_ns < ?3"
			      " AND last_ns >= first_ns"
			      " ORDER BY first_ns, last_ns, blocks.id",
			      &st);

	if (r < 0)
		return r;
	sqlite3_bind_int(st, 1, thread);
	sqlite3_bind_int64(st, 2, as_sql(since_ns));
	sqlite3_bind_int64(st, 3, as_sql(until_ns));
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->trace = t;
	(*ret)->st = st;
	return 0;
}

void trace_line_rows_free(struct trace_line_rows *rows)
{
	if (!rows)
		return;
	sqlite3_finalize(rows->st);
	free(rows);
}

int trace_line_rows_next(struct trace_line_rows *rows, struct block_row *ret_block,
			 struct trace_line *ret)
{
	sqlite3_stmt *st = rows->st;
	int r = trace_next_row(rows->trace, st);

	if (r <= 0)
		return r;
	*ret_block = (struct block_row){
	    .id = sqlite3_column_int64(st, 0),
	    .thread = (uint16_t)sqlite3_column_int(st, 1),
	    .first_ns = trace_column_u64(st, 2),
	    .last_ns = trace_column_u64(st, 3),
	    .lowest_depth = (uint32_t)sqlite3_column_int64(st, 4),
	    .n_events = (uint32_t)sqlite3_column_int64(st, 5),
	};
	*ret = (struct trace_line){
	    .file = (uint32_t)sqlite3_column_int64(st, 6),
	    .line = sqlite3_column_int(st, 7),
	    .visits = trace_column_u64(st, 8),
	    .self_ns = trace_column_u64(st, 9),
	    .total_ns = trace_column_u64(st, 10),
	    .wait_ns = trace_column_u64(st, 11),
	    .ready_ns = trace_column_u64(st, 12),
	};
	return 1;
}
