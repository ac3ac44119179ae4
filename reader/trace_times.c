/* SPDX-License-Identifier: BSD-3-Clause */
/* Queries about threads, gaps and clocks; see reader/trace_seek.h. */
#include <errno.h>
#include <stdlib.h>

#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "reader/trace_private.h"
#include "reader/trace_seek.h"

int trace_threads(struct trace *t, struct trace_thread **ret, size_t *ret_n)
{
	auto_stmt sqlite3_stmt *st = NULL;
	size_t cap = 0;
	int r;

	*ret = NULL;
	*ret_n = 0;
	r = trace_prepare(t,
			  "SELECT id, native_id, python_id, first_ns, last_ns FROM threads"
			  " WHERE id BETWEEN 1 AND 65535 ORDER BY id",
			  &st);
	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		*ret = xgrow(*ret, &cap, *ret_n + 1, sizeof(**ret));
		(*ret)[(*ret_n)++] = (struct trace_thread){
		    .id = (uint16_t)sqlite3_column_int(st, 0),
		    .native_id = trace_column_u64(st, 1),
		    .python_id = trace_column_u64(st, 2),
		    .first_ns = trace_column_u64(st, 3),
		    .last_ns = trace_column_u64(st, 4),
		};
		r = 0;
	}
	return r;
}

int trace_anchors(struct trace *t, struct trace_anchor **ret, size_t *ret_n)
{
	auto_stmt sqlite3_stmt *st = NULL;
	size_t cap = 0;
	int r;

	*ret = NULL;
	*ret_n = 0;
	r = trace_prepare(t,
			  "SELECT monotonic_ns, realtime_ns FROM anchors WHERE monotonic_ns >= 0"
			  " AND typeof(realtime_ns) = 'integer' ORDER BY monotonic_ns",
			  &st);
	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		*ret = xgrow(*ret, &cap, *ret_n + 1, sizeof(**ret));
		(*ret)[(*ret_n)++] = (struct trace_anchor){
		    .monotonic_ns = trace_column_u64(st, 0),
		    .realtime_ns = sqlite3_column_int64(st, 1),
		};
		r = 0;
	}
	return r < 0 ? r : *ret_n ? 0 : -EBADMSG;
}

static void get_gap(sqlite3_stmt *st, struct trace_gap *ret)
{
	*ret = (struct trace_gap){
	    .thread = (uint16_t)sqlite3_column_int(st, 0),
	    .start_ns = trace_column_u64(st, 1),
	    .end_ns = trace_column_u64(st, 2),
	    .reason = (unsigned)sqlite3_column_int(st, 3),
	    .lost = trace_column_u64(st, 4),
	};
}

#define GAP_COLUMNS "SELECT thread, start_ns, end_ns, reason, lost FROM gaps "
#define SANE_GAP    "typeof(start_ns) = 'integer' AND start_ns >= 0 AND end_ns >= start_ns"

int trace_gap_beside(struct trace *t, uint16_t thread, uint64_t time_ns, enum direction way,
		     struct trace_gap *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r =
	    trace_prepare(t,
			  way == FORWARDS ? GAP_COLUMNS "WHERE start_ns > ?1 AND " SANE_GAP
							" AND (?2 = 0 OR thread IN (0, ?2))"
							" ORDER BY start_ns, id LIMIT 1"
					  : GAP_COLUMNS "WHERE start_ns < ?1 AND " SANE_GAP
							" AND (?2 = 0 OR thread IN (0, ?2))"
							" ORDER BY start_ns DESC, id DESC LIMIT 1",
			  &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, time_ns > INT64_MAX ? INT64_MAX : (sqlite3_int64)time_ns);
	sqlite3_bind_int(st, 2, thread);
	r = trace_next_row(t, st);
	if (r == 1)
		get_gap(st, ret);
	return r;
}

int trace_gap_within(struct trace *t, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
		     struct trace_gap *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t,
			      GAP_COLUMNS "WHERE start_ns < ?2 AND end_ns > ?1 AND " SANE_GAP
					  " AND thread IN (0, ?3) LIMIT 1",
			      &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, start_ns > INT64_MAX ? INT64_MAX : (sqlite3_int64)start_ns);
	sqlite3_bind_int64(st, 2, end_ns > INT64_MAX ? INT64_MAX : (sqlite3_int64)end_ns);
	sqlite3_bind_int(st, 3, thread);
	r = trace_next_row(t, st);
	if (r == 1)
		get_gap(st, ret);
	return r;
}

int trace_each_gap(struct trace *t, int (*on_gap)(void *ctx, const struct trace_gap *gap),
		   void *ctx)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t, GAP_COLUMNS "WHERE " SANE_GAP, &st);

	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		struct trace_gap gap;

		get_gap(st, &gap);
		r = on_gap(ctx, &gap);
	}
	return r;
}

static int raise_to_number(struct trace *t, const char *sql, uint64_t *value)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t, sql, &st);

	if (r == 0 && (r = trace_next_row(t, st)) == 1) {
		int64_t number = sqlite3_column_int64(st, 0);

		if (number > 0 && (uint64_t)number > *value)
			*value = (uint64_t)number;
		r = 0;
	}
	return r;
}

static int raise_to_last_blocks(struct trace *t, uint64_t *value)
{
	auto_free struct trace_thread *threads = NULL;
	struct block_row row;
	size_t n;
	int r = trace_threads(t, &threads, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = trace_block_end(t, threads[i].id, BACKWARDS, &row);
		if (r == 1 && row.last_ns > *value)
			*value = row.last_ns;
		r = r < 0 ? r : 0;
	}
	return r;
}

int trace_bounds(struct trace *t, uint64_t *ret_start_ns, uint64_t *ret_end_ns)
{
	int64_t start, end;
	uint64_t counted = 0;
	int r = trace_meta_int(t, META_START_MONOTONIC, &start);

	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r;
	*ret_start_ns = *ret_end_ns = start > 0 ? (uint64_t)start : 0;
	r = trace_meta_int(t, META_END, &end);
	if (r == 0 && end > start)
		*ret_end_ns = (uint64_t)end;
	if (r != -ENOENT)
		return r;
	r = raise_to_last_blocks(t, ret_end_ns);
	if (r == 0)
		r = trace_counter(t, COUNTER_TIME, &counted);
	if (r == 0 && counted > *ret_end_ns)
		*ret_end_ns = counted;
	/* A recorder that goes on with a trace begins by saying since when nobody had looked. */
	return r < 0 ? r : raise_to_number(t, "SELECT max(end_ns) FROM gaps", ret_end_ns);
}
