/* SPDX-License-Identifier: BSD-3-Clause */
/* The queries. A row that holds what it should not is treated like damage of the file. */
#include "reader/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/pack.h"
#include "common/xalloc.h"
#include "reader/trace_private.h"

DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize)
#define auto_stmt auto_release(sqlite3_finalize)

static int prepare(struct trace *t, const char *sql, sqlite3_stmt **ret)
{
	return trace_error(t, sqlite3_prepare_v2(t->db, sql, -1, ret, NULL));
}

/* Returns 1 with a row, 0 at the end, or a negative errno. */
static int next_row(struct trace *t, sqlite3_stmt *st)
{
	int code = sqlite3_step(st);

	return code == SQLITE_ROW ? 1 : trace_error(t, code);
}

static uint64_t column_u64(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

/* A copy of a text or blob, any bytes, a NUL byte behind it. */
static char *column_dup(sqlite3_stmt *st, int at, size_t *ret_len)
{
	const void *data = sqlite3_column_blob(st, at);
	size_t len = (size_t)sqlite3_column_bytes(st, at);
	char *copy = xmalloc(len + 1);

	if (len)
		memcpy(copy, data, len);
	copy[len] = 0;
	if (ret_len)
		*ret_len = len;
	return copy;
}

/* The one row for a key. */
static int find_row(struct trace *t, const char *sql, const char *key, sqlite3_stmt **ret)
{
	int r = prepare(t, sql, ret);

	if (r < 0)
		return r;
	sqlite3_bind_text(*ret, 1, key, -1, SQLITE_STATIC);
	r = next_row(t, *ret);
	return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

static const char meta_sql[] = "SELECT value FROM meta WHERE key = ? AND value IS NOT NULL";

int trace_meta_text(struct trace *t, const char *key, char **ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = find_row(t, meta_sql, key, &st);

	if (r == 0)
		*ret = column_dup(st, 0, NULL);
	return r;
}

int trace_meta_int(struct trace *t, const char *key, int64_t *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = find_row(t, meta_sql, key, &st);

	if (r == 0)
		*ret = sqlite3_column_int64(st, 0);
	return r;
}

int trace_meta_real(struct trace *t, const char *key, double *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = find_row(t, meta_sql, key, &st);

	if (r == 0)
		*ret = sqlite3_column_double(st, 0);
	return r;
}

int trace_counter(struct trace *t, const char *name, uint64_t *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = find_row(t, "SELECT value FROM counters WHERE name = ?", name, &st);

	if (r == -ENOENT)
		*ret = 0;
	else if (r == 0)
		*ret = column_u64(st, 0);
	return r == -ENOENT ? 0 : r;
}

static int summarise_blocks(struct trace *t, struct trace_summary *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = prepare(
	    t, "SELECT first_ns, last_ns, n_events FROM blocks INDEXED BY blocks_by_time", &st);

	while (r == 0 && (r = next_row(t, st)) == 1) {
		ret->n_blocks++;
		ret->observed_ns += column_u64(st, 1) - column_u64(st, 0);
		ret->n_events += column_u64(st, 2);
		if (column_u64(st, 1) > ret->last_ns)
			ret->last_ns = column_u64(st, 1);
		r = 0;
	}
	return r;
}

int trace_summarise(struct trace *t, struct trace_summary *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r, r_blocks;

	*ret = (struct trace_summary){0};
	r = prepare(t, "SELECT count(*) FROM threads", &st);
	if (r == 0 && (r = next_row(t, st)) == 1) {
		ret->n_threads = column_u64(st, 0);
		r = 0;
	}
	r_blocks = summarise_blocks(t, ret);
	return r < 0 ? r : r_blocks;
}

int trace_sum_gaps(struct trace *t, struct trace_gaps ret[static N_GAP_REASONS])
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = prepare(t,
			"SELECT reason, count(*), sum(end_ns - start_ns), sum(lost) FROM gaps"
			" GROUP BY reason",
			&st);

	memset(ret, 0, N_GAP_REASONS * sizeof(*ret));
	while (r == 0 && (r = next_row(t, st)) == 1) {
		uint64_t reason = column_u64(st, 0);
		struct trace_gaps *g = &ret[reason < N_GAP_REASONS ? reason : 0];

		g->n += column_u64(st, 1);
		g->ns += column_u64(st, 2);
		g->lost += column_u64(st, 3);
		r = 0;
	}
	return r;
}

int trace_span(struct trace *t, uint64_t *ret_start_ns, uint64_t *ret_end_ns)
{
	struct trace_summary summary;
	int64_t start, end;
	uint64_t counted;
	int r = trace_meta_int(t, META_START_MONOTONIC, &start);

	if (r < 0)
		return r == -ENOENT ? -EBADMSG : r;
	*ret_start_ns = *ret_end_ns = (uint64_t)start;
	r = trace_meta_int(t, META_END, &end);
	if (r == 0 && end > start)
		*ret_end_ns = (uint64_t)end;
	if (r != -ENOENT)
		return r;
	r = trace_summarise(t, &summary);
	if (summary.last_ns > *ret_end_ns)
		*ret_end_ns = summary.last_ns;
	if (r == 0)
		r = trace_counter(t, COUNTER_TIME, &counted);
	if (r == 0 && counted > *ret_end_ns)
		*ret_end_ns = counted;
	return r;
}

static void load_files(struct trace *t)
{
	auto_stmt sqlite3_stmt *st = NULL;

	t->files_loaded = 1;
	if (prepare(t, "SELECT id, path, state FROM files ORDER BY id", &st) < 0)
		return;
	while (next_row(t, st) == 1) {
		struct trace_file *f;

		t->files = xgrow(t->files, &t->cap_files, t->n_files + 1, sizeof(*t->files));
		f = &t->files[t->n_files++];
		f->id = (uint32_t)sqlite3_column_int64(st, 0);
		f->path = column_dup(st, 1, &f->path_len);
		f->state = (unsigned)sqlite3_column_int(st, 2);
	}
}

static void load_codes(struct trace *t)
{
	auto_stmt sqlite3_stmt *st = NULL;

	t->codes_loaded = 1;
	if (prepare(t, "SELECT id, file, first_line, qualname FROM code ORDER BY id", &st) < 0)
		return;
	while (next_row(t, st) == 1) {
		struct trace_code *c;

		t->codes = xgrow(t->codes, &t->cap_codes, t->n_codes + 1, sizeof(*t->codes));
		c = &t->codes[t->n_codes++];
		c->id = (uint32_t)sqlite3_column_int64(st, 0);
		c->file = (uint32_t)sqlite3_column_int64(st, 1);
		c->first_line = sqlite3_column_int(st, 2);
		c->name = column_dup(st, 3, &c->name_len);
	}
}

/* Both structs start with their id, by which they are sorted. */
static int compare_id(const void *key, const void *element)
{
	uint32_t a = *(const uint32_t *)key, b = *(const uint32_t *)element;

	return (a > b) - (a < b);
}

const struct trace_file *trace_get_file(struct trace *t, uint32_t id)
{
	if (!t->files_loaded)
		load_files(t);
	if (!t->n_files)
		return NULL;
	return bsearch(&id, t->files, t->n_files, sizeof(*t->files), compare_id);
}

const struct trace_code *trace_get_code(struct trace *t, uint32_t id)
{
	if (!t->codes_loaded)
		load_codes(t);
	if (!t->n_codes)
		return NULL;
	return bsearch(&id, t->codes, t->n_codes, sizeof(*t->codes), compare_id);
}

int trace_file_source(struct trace *t, uint32_t id, char **ret, size_t *ret_len)
{
	auto_stmt sqlite3_stmt *st = NULL;
	uint8_t *text;
	int r = prepare(t, "SELECT source FROM files WHERE id = ? AND source IS NOT NULL", &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = next_row(t, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = unpack_bytes(t->unpacker, sqlite3_column_blob(st, 0),
			 (size_t)sqlite3_column_bytes(st, 0), SOURCE_MAX_BYTES, &text, ret_len);
	if (r == 0)
		*ret = (char *)text;
	return r;
}

/* The lines summed up so far. */
struct line_sums {
	struct trace_line *lines;
	size_t n, cap;
	struct hash_index index;
};

static struct trace_line *find_line(struct line_sums *sums, uint32_t file, int32_t line)
{
	uint32_t hash = hash_fold(hash_mix(file, (uint32_t)line));

	HASH_INDEX_FOR_EACH(&sums->index, hash, at, id)
	{
		if (sums->lines[id].file == file && sums->lines[id].line == line)
			return &sums->lines[id];
	}
	sums->lines = xgrow(sums->lines, &sums->cap, sums->n + 1, sizeof(*sums->lines));
	sums->lines[sums->n] = (struct trace_line){.file = file, .line = line};
	hash_index_add(&sums->index, hash, (uint32_t)sums->n);
	return &sums->lines[sums->n++];
}

int trace_sum_lines(struct trace *t, struct trace_line **ret, size_t *ret_n)
{
	auto_stmt sqlite3_stmt *st = NULL;
	struct line_sums sums = {0};
	/* Summing here takes a third of the time of a GROUP BY, which would sort. */
	int r = prepare(t, "SELECT file, line, visits, self_ns, total_ns FROM lines", &st);

	while (r == 0 && (r = next_row(t, st)) == 1) {
		struct trace_line *l = find_line(&sums, (uint32_t)sqlite3_column_int64(st, 0),
						 sqlite3_column_int(st, 1));

		l->visits += column_u64(st, 2);
		l->self_ns += column_u64(st, 3);
		l->total_ns += column_u64(st, 4);
		r = 0;
	}
	hash_index_done(&sums.index);
	*ret = sums.lines;
	*ret_n = sums.n;
	return r;
}

int trace_each_block(struct trace *t, int (*on_block)(void *ctx, const struct trace_block *block),
		     void *ctx)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = prepare(t,
			"SELECT id, thread, first_ns, last_ns, lowest_depth, n_events, data"
			" FROM blocks ORDER BY id",
			&st);

	while (r == 0 && (r = next_row(t, st)) == 1) {
		struct trace_block block = {
		    .id = sqlite3_column_int64(st, 0),
		    .thread = (uint16_t)sqlite3_column_int(st, 1),
		    .first_ns = column_u64(st, 2),
		    .last_ns = column_u64(st, 3),
		    .lowest_depth = (uint32_t)sqlite3_column_int64(st, 4),
		    .n_events = (uint32_t)sqlite3_column_int64(st, 5),
		    .data = sqlite3_column_blob(st, 6),
		    .data_len = (size_t)sqlite3_column_bytes(st, 6),
		};

		r = on_block(ctx, &block);
	}
	return r;
}
