/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tables of the extension have in common: their columns, and where rows come from. */
#ifndef SQLEXT_TABLE_H
#define SQLEXT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/block_codec.h"
#include "common/wait_codec.h"
#include "reader/thread_state.h"
#include "reader/trace_seek.h"
#include "sqlext/open_trace.h"

struct sql_row;
struct trace_line;
typedef struct sqlite3_context sqlite3_context;

/* In docs/sql.md. Those of all tables are numbered alike; each table has some of them. */
enum column {
	COLUMN_THREAD,
	COLUMN_TIME,
	COLUMN_WALL,
	COLUMN_END,
	COLUMN_DURATION,
	COLUMN_EVENT,
	COLUMN_ACTIVITY,
	COLUMN_IDLE,
	COLUMN_REASON,
	COLUMN_KIND,
	COLUMN_CALL,
	COLUMN_PEER,
	COLUMN_DEPTH,
	COLUMN_FUNCTION,
	COLUMN_FILE,
	COLUMN_LINE,
	COLUMN_SOURCE,
	COLUMN_STACK,
	COLUMN_NATIVE,
	COLUMN_VISITS,
	COLUMN_SELF,
	COLUMN_TOTAL,
	COLUMN_ON_CPU,
	COLUMN_WAIT,
	COLUMN_READY,
	COLUMN_PROVENANCE,
	/* Hidden: the arguments of a call, in this order. */
	COLUMN_TRACE,
	COLUMN_SINCE,
	COLUMN_UNTIL,
	N_COLUMNS,
};

struct column_about {
	const char *declaration; /* name and type */
	/* NULL: hidden */
	void (*render)(sqlite3_context *ctx, struct open_trace *o, const struct sql_row *row);
};

extern const struct column_about column_abouts[N_COLUMNS];

/* What is known of a row; what is not, is NULL in SQL. */
struct sql_row {
	uint16_t thread;
	uint64_t time_ns;
	uint64_t end_ns; /* time_ns where there is none */
	bool is_gap;
	const char *event; /* NULL: none */
	enum thread_activity activity;
	struct wait_kind wait;
	const char *provenance; /* NULL: none */
	/* The frame is the innermost one; lent until the next row. */
	const struct block_line *stack;
	uint32_t depth;
	const struct trace_line *sums; /* NULL: none */
};

/* Of one thread. What lies elsewhere may be left out, or not. */
struct sql_range {
	uint16_t thread;
	uint64_t life_start_ns;
	uint64_t life_end_ns;
	uint64_t since_ns;
	uint64_t until_ns;
};

struct sql_table {
	const char *name;
	const enum column *columns;
	size_t n_columns;
	bool is_cut; /* rows take time, and are cut where an interval was asked for */
	/* Rows of a thread, in the order of time. */
	void *(*rows_new)(struct open_trace *o, const struct sql_range *range);
	void (*rows_free)(void *rows);
	/*
	 * @ret          all zeros
	 * @ret_damaged  the block at hand, after -EBADMSG
	 * Returns 1, 0 at the end, or a negative errno.
	 */
	int (*rows_next)(void *rows, struct sql_row *ret, struct block_row *ret_damaged);
};

extern const struct sql_table table_events, table_stacks, table_lines, table_waits;

/* file and line of a row's frame, 0 when there is none. */
uint32_t sql_row_file(struct open_trace *o, const struct sql_row *row);
int32_t sql_row_line(const struct sql_row *row);

#endif
