/* SPDX-License-Identifier: BSD-3-Clause */
/* Queries on the indexes of lines and functions; see reader/trace_lines.h. */
#include "reader/trace_lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "reader/trace_private.h"

struct trace_line *line_sums_find(const struct line_sums *sums, uint32_t file, int32_t line)
{
	uint32_t hash = hash_fold(hash_mix(file, (uint32_t)line));

	HASH_INDEX_FOR_EACH(&sums->index, hash, at, id)
	{
		if (sums->lines[id].file == file && sums->lines[id].line == line)
			return &sums->lines[id];
	}
	return NULL;
}

struct trace_line *line_sums_get(struct line_sums *sums, uint32_t file, int32_t line)
{
	struct trace_line *found = line_sums_find(sums, file, line);

	if (found)
		return found;
	sums->lines = xgrow(sums->lines, &sums->cap, sums->n + 1, sizeof(*sums->lines));
	sums->lines[sums->n] = (struct trace_line){.file = file, .line = line};
	hash_index_add(&sums->index, hash_fold(hash_mix(file, (uint32_t)line)), (uint32_t)sums->n);
	return &sums->lines[sums->n++];
}

void trace_line_add(struct trace_line *to, const struct trace_line *l)
{
	to->visits += l->visits;
	to->self_ns += l->self_ns;
	to->total_ns += l->total_ns;
	to->wait_ns += l->wait_ns;
	to->ready_ns += l->ready_ns;
	to->gil_ns += l->gil_ns;
}

struct trace_line *line_sums_steal(struct line_sums *sums, size_t *ret_n)
{
	struct trace_line *lines = sums->lines;

	*ret_n = sums->n;
	sums->lines = NULL;
	line_sums_done(sums);
	return lines;
}

void line_sums_done(struct line_sums *sums)
{
	free(sums->lines);
	hash_index_done(&sums->index);
	*sums = (struct line_sums){0};
}

static int add_rows(struct trace *t, sqlite3_stmt *st, struct line_sums *sums)
{
	int r;

	while ((r = trace_next_row(t, st)) == 1) {
		struct trace_line *l = line_sums_get(sums, (uint32_t)sqlite3_column_int64(st, 0),
						     sqlite3_column_int(st, 1));

		l->visits += trace_column_u64(st, 2);
		l->self_ns += trace_column_u64(st, 3);
		l->total_ns += trace_column_u64(st, 4);
		l->wait_ns += trace_column_u64(st, 5);
		l->ready_ns += trace_column_u64(st, 6);
	}
	return r;
}

static int add_gil_rows(struct trace *t, sqlite3_stmt *st, struct line_sums *sums)
{
	int r;

	while ((r = trace_next_row(t, st)) == 1)
		line_sums_get(sums, (uint32_t)sqlite3_column_int64(st, 0),
			      sqlite3_column_int(st, 1))
		    ->gil_ns += trace_column_u64(st, 2);
	return r;
}

#define LINE_COLUMNS "SELECT file, line, visits, self_ns, total_ns, wait_ns, ready_ns FROM lines"
#define GIL_COLUMNS                                                                            \
	"SELECT file, line, total_ns FROM waits"                                               \
	" WHERE state = 0 AND reason IN (SELECT id FROM reasons WHERE kind = '" TRACE_KIND_GIL \
	"')"

/* Where the reasons are gone, it is not known which waits were for it. */
static bool knows_reasons(struct trace *t)
{
	auto_stmt sqlite3_stmt *st = NULL;

	return trace_prepare(t, "SELECT id, kind FROM reasons", &st) == 0;
}

int trace_add_lines(struct trace *t, struct line_sums *sums)
{
	auto_stmt sqlite3_stmt *lines = NULL;
	auto_stmt sqlite3_stmt *gil = NULL;
	/* Summing here takes a third of the time of a GROUP BY, which would sort. */
	int r = trace_prepare(t, LINE_COLUMNS, &lines);

	if (r == 0)
		r = add_rows(t, lines, sums);
	if (r < 0 || !knows_reasons(t))
		return r;
	r = trace_prepare(t, GIL_COLUMNS, &gil);
	return r == 0 ? add_gil_rows(t, gil, sums) : r;
}

/* One prepared statement, used again and again. */
static int add_of_blocks(struct trace *t, sqlite3_stmt **st, const char *sql,
			 const int64_t range[2],
			 int (*add)(struct trace *t, sqlite3_stmt *st, struct line_sums *sums),
			 struct line_sums *sums)
{
	int r = *st ? 0 : trace_prepare(t, sql, st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(*st, 1, range[0]);
	sqlite3_bind_int64(*st, 2, range[1]);
	r = add(t, *st, sums);
	sqlite3_reset(*st);
	return r;
}

int trace_add_block_lines(struct trace *t, int64_t first, int64_t last, struct line_sums *sums)
{
	const int64_t range[2] = {first, last};
	int r = add_of_blocks(t, &t->block_lines, LINE_COLUMNS " WHERE block BETWEEN ? AND ?",
			      range, add_rows, sums);

	if (r < 0 || (!t->block_gil && !knows_reasons(t)))
		return r;
	return add_of_blocks(t, &t->block_gil, GIL_COLUMNS " AND block BETWEEN ? AND ?", range,
			     add_gil_rows, sums);
}

static int open_data(struct trace *t, int64_t id)
{
	int code = t->block_data
		       ? sqlite3_blob_reopen(t->block_data, id)
		       : sqlite3_blob_open(t->db, "main", "blocks", "data", id, 0, &t->block_data);

	if (code == SQLITE_OK)
		return 0;
	sqlite3_blob_close(t->block_data);
	t->block_data = NULL;
	return code == SQLITE_ERROR ? -EBADMSG : trace_error(t, code);
}

int trace_block_lines(struct trace *t, int64_t id, struct block_line **ret, uint32_t *ret_n)
{
	uint8_t header[BLOCK_HEADER_MAX];
	auto_free uint8_t *data = NULL;
	uint64_t end;
	int r = open_data(t, id), len, code;

	if (r < 0)
		return r;
	len = sqlite3_blob_bytes(t->block_data);
	code = sqlite3_blob_read(t->block_data, header,
				 len < BLOCK_HEADER_MAX ? len : BLOCK_HEADER_MAX, 0);
	if (code != SQLITE_OK)
		return trace_error(t, code);
	end = block_tables_end(header, len < BLOCK_HEADER_MAX ? (size_t)len : BLOCK_HEADER_MAX);
	if (end == 0 || end > (uint64_t)len)
		return -EBADMSG;
	data = xmalloc(end);
	code = sqlite3_blob_read(t->block_data, data, (int)end, 0);
	if (code != SQLITE_OK)
		return trace_error(t, code);
	return block_read_lines(t->unpacker, data, end, ret, ret_n);
}

int trace_sum_lines(struct trace *t, struct trace_line **ret, size_t *ret_n)
{
	struct line_sums sums = {0};
	int r = trace_add_lines(t, &sums);

	*ret = line_sums_steal(&sums, ret_n);
	return r;
}

/* --- functions --- */

#define FUNCTION_COLUMNS                                                                  \
	"SELECT code, calls, self_ns, total_ns, wait_ns, ready_ns, gil_ns FROM functions" \
	" WHERE block BETWEEN ? AND ?"

/* Of a statement that gives one number, or nothing. */
static int get_number(struct trace *t, const char *sql, int64_t *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t, sql, &st);

	if (r == 0)
		r = trace_next_row(t, st);
	if (r == 1)
		*ret = sqlite3_column_int64(st, 0);
	return r < 0 ? r : 0;
}

int trace_functions_from(struct trace *t, int64_t *ret_block)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int64_t from = INT64_MIN, oldest = 0;
	int r;

	*ret_block = INT64_MAX;
	/* There is no such table. */
	if (trace_prepare(t, FUNCTION_COLUMNS, &st) < 0)
		return 0;
	r = get_number(t, "SELECT value FROM meta WHERE key = '" META_FUNCTIONS_FROM "'", &from);
	if (r == 0)
		r = get_number(t, "SELECT min(id) FROM blocks", &oldest);
	if (r == 0)
		*ret_block = from <= oldest ? INT64_MIN : from;
	return r;
}

int trace_each_function(struct trace *t, int64_t first, int64_t last,
			void (*on_function)(void *ctx, uint32_t code, const struct trace_line *sum),
			void *ctx)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t, FUNCTION_COLUMNS, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, first);
	sqlite3_bind_int64(st, 2, last);
	while ((r = trace_next_row(t, st)) == 1) {
		const struct trace_line sum = {
		    .visits = trace_column_u64(st, 1),
		    .self_ns = trace_column_u64(st, 2),
		    .total_ns = trace_column_u64(st, 3),
		    .wait_ns = trace_column_u64(st, 4),
		    .ready_ns = trace_column_u64(st, 5),
		    .gil_ns = trace_column_u64(st, 6),
		};

		on_function(ctx, (uint32_t)sqlite3_column_int64(st, 0), &sum);
	}
	return r;
}

#define SHARED_COLUMNS                                                                  \
	"SELECT code, file, line, visits, self_ns, total_ns, wait_ns, ready_ns, gil_ns" \
	" FROM shared_lines WHERE block = ?"

int trace_each_shared(struct trace *t, int64_t block,
		      void (*on_part)(void *ctx, uint32_t code, const struct trace_line *sum),
		      void *ctx)
{
	int r;

	/* There is no such table. */
	if (!t->block_shared && trace_prepare(t, SHARED_COLUMNS, &t->block_shared) < 0)
		return 0;
	sqlite3_bind_int64(t->block_shared, 1, block);
	while ((r = trace_next_row(t, t->block_shared)) == 1) {
		const struct trace_line sum = {
		    .file = (uint32_t)sqlite3_column_int64(t->block_shared, 1),
		    .line = sqlite3_column_int(t->block_shared, 2),
		    .visits = trace_column_u64(t->block_shared, 3),
		    .self_ns = trace_column_u64(t->block_shared, 4),
		    .total_ns = trace_column_u64(t->block_shared, 5),
		    .wait_ns = trace_column_u64(t->block_shared, 6),
		    .ready_ns = trace_column_u64(t->block_shared, 7),
		    .gil_ns = trace_column_u64(t->block_shared, 8),
		};

		on_part(ctx, (uint32_t)sqlite3_column_int64(t->block_shared, 0), &sum);
	}
	sqlite3_reset(t->block_shared);
	return r;
}
