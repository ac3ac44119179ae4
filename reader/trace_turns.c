/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/trace_turns.h"

#include "reader/trace_private.h"
#include "reader/trace_waits.h"

/* Numbers beyond what SQLite has are as good as its largest one. */
static sqlite3_int64 as_signed(uint64_t value)
{
	return value > INT64_MAX ? INT64_MAX : (sqlite3_int64)value;
}

/* A sum in a double, which no invented row can make overflow. */
static uint64_t column_sum(sqlite3_stmt *st, int at)
{
	double sum = sqlite3_column_double(st, at);

	return sum > 0 && sum < (double)INT64_MAX ? (uint64_t)sum : 0;
}

int trace_each_idle(struct trace *t, uint16_t thread, uint64_t from_ns,
		    int (*on_block)(void *ctx, const struct trace_idle *idle), void *ctx)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t,
			      "SELECT id, first_ns, last_ns, lowest_depth, n_events,"
			      " (SELECT total(n) FROM waits WHERE block = blocks.id AND idle = 1),"
			      " (SELECT total(total_ns) FROM waits"
			      "  WHERE block = blocks.id AND idle = 1)"
			      " FROM blocks INDEXED BY blocks_by_time WHERE thread = ?1"
			      " AND first_ns BETWEEN ?2 AND 9223372036854775807"
			      " AND last_ns >= first_ns ORDER BY first_ns, last_ns, id",
			      &st);

	if (r < 0)
		return r;
	sqlite3_bind_int(st, 1, thread);
	sqlite3_bind_int64(st, 2, as_signed(from_ns));
	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		struct trace_idle idle = {
		    .row =
			{
			    .id = sqlite3_column_int64(st, 0),
			    .thread = thread,
			    .first_ns = trace_column_u64(st, 1),
			    .last_ns = trace_column_u64(st, 2),
			    .lowest_depth = (uint32_t)sqlite3_column_int64(st, 3),
			    .n_events = (uint32_t)sqlite3_column_int64(st, 4),
			},
		    .n = column_sum(st, 5),
		    .ns = column_sum(st, 6),
		};

		r = on_block(ctx, &idle);
	}
	return r;
}

int trace_each_block_line(struct trace *t, int64_t block,
			  int (*on_line)(void *ctx, const struct trace_block_line *line), void *ctx)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(
	    t, "SELECT file, line, self_ns FROM lines WHERE block = ? AND self_ns > 0", &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, block);
	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		struct trace_block_line line = {
		    .file = (uint32_t)sqlite3_column_int64(st, 0),
		    .line = sqlite3_column_int(st, 1),
		    .self_ns = trace_column_u64(st, 2),
		};

		r = on_line(ctx, &line);
	}
	return r;
}

int trace_each_block_wait(struct trace *t, int64_t block,
			  int (*on_wait)(void *ctx, const struct wait_kind *kind, uint64_t ns),
			  void *ctx)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t,
			      "SELECT file, line, reason, state, idle, total_ns FROM waits"
			      " WHERE block = ? AND total_ns > 0",
			      &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, block);
	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		const struct trace_reason *reason =
		    trace_get_reason(t, (uint32_t)sqlite3_column_int64(st, 2));
		struct wait_kind kind = {
		    .file = (uint32_t)sqlite3_column_int64(st, 0),
		    .line = sqlite3_column_int(st, 1),
		    .reason = reason ? reason->same_as : 0,
		    .state = sqlite3_column_int64(st, 3) == WAIT_FOR_CPU ? WAIT_FOR_CPU
									 : WAIT_FOR_SOMETHING,
		    .idle = sqlite3_column_int64(st, 4) == 1,
		};

		r = on_wait(ctx, &kind, trace_column_u64(st, 5));
	}
	return r;
}
