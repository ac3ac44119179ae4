/* SPDX-License-Identifier: BSD-3-Clause */
/* The queries. A row that holds what it should not is treated like damage of the file. */
#include "reader/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/pack.h"
#include "common/xalloc.h"
#include "reader/trace_private.h"

int trace_prepare(struct trace *t, const char *sql, sqlite3_stmt **ret)
{
	return trace_error(t, sqlite3_prepare_v2(t->db, sql, -1, ret, NULL));
}

int trace_next_row(struct trace *t, sqlite3_stmt *st)
{
	int code = sqlite3_step(st);

	return code == SQLITE_ROW ? 1 : trace_error(t, code);
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
	int r = trace_prepare(t, sql, ret);

	if (r < 0)
		return r;
	sqlite3_bind_text(*ret, 1, key, -1, SQLITE_STATIC);
	r = trace_next_row(t, *ret);
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
		*ret = trace_column_u64(st, 0);
	return r == -ENOENT ? 0 : r;
}

int trace_count_provenances(struct trace *t, uint64_t ret[static N_PROVENANCES])
{
	char name[64];
	int r = 0;

	memset(ret, 0, N_PROVENANCES * sizeof(ret[0]));
	for (unsigned i = 0; r == 0 && i < N_PROVENANCES; i++) {
		snprintf(name, sizeof(name), COUNTER_EVENTS "%s", provenance_name(i));
		r = trace_counter(t, name, &ret[i]);
	}
	return r;
}

int trace_has_ended(struct trace *t)
{
	int64_t end;
	int r = trace_meta_int(t, META_END, &end);

	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

int trace_get_trimmed(struct trace *t, struct trace_trimmed *ret)
{
	int64_t until = 0;
	int r = trace_meta_int(t, META_TRIMMED_UNTIL, &until);

	*ret = (struct trace_trimmed){.until_ns = until > 0 ? (uint64_t)until : 0};
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if ((r = trace_counter(t, COUNTER_TRIMMED_BLOCKS, &ret->n_blocks)) < 0 ||
	    (r = trace_counter(t, COUNTER_TRIMMED_EVENTS, &ret->n_events)) < 0)
		return r;
	return trace_counter(t, COUNTER_TRIMMED_BYTES, &ret->bytes);
}

static int summarise_blocks(struct trace *t, struct trace_summary *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(
	    t, "SELECT first_ns, last_ns, n_events FROM blocks INDEXED BY blocks_by_time", &st);

	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		ret->n_blocks++;
		ret->observed_ns += trace_column_u64(st, 1) - trace_column_u64(st, 0);
		ret->n_events += trace_column_u64(st, 2);
		if (trace_column_u64(st, 1) > ret->last_ns)
			ret->last_ns = trace_column_u64(st, 1);
		r = 0;
	}
	return r;
}

int trace_summarise(struct trace *t, struct trace_summary *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r, r_blocks;

	*ret = (struct trace_summary){0};
	r = trace_prepare(t, "SELECT count(*) FROM threads", &st);
	if (r == 0 && (r = trace_next_row(t, st)) == 1) {
		ret->n_threads = trace_column_u64(st, 0);
		r = 0;
	}
	r_blocks = summarise_blocks(t, ret);
	return r < 0 ? r : r_blocks;
}

int trace_sum_gaps(struct trace *t, struct trace_gaps ret[static N_GAP_REASONS])
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t,
			      "SELECT reason, count(*), sum(end_ns - start_ns), sum(lost) FROM gaps"
			      " GROUP BY reason",
			      &st);

	memset(ret, 0, N_GAP_REASONS * sizeof(*ret));
	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		uint64_t reason = trace_column_u64(st, 0);
		struct trace_gaps *g = &ret[reason < N_GAP_REASONS ? reason : 0];

		g->n += trace_column_u64(st, 1);
		g->ns += trace_column_u64(st, 2);
		g->lost += trace_column_u64(st, 3);
		r = 0;
	}
	return r;
}

int trace_gaps_ns(struct trace *t, uint64_t *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t, "SELECT start_ns, end_ns FROM gaps ORDER BY start_ns", &st);
	uint64_t until_ns = 0;

	*ret = 0;
	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		uint64_t start_ns = trace_column_u64(st, 0), end_ns = trace_column_u64(st, 1);

		if (start_ns < until_ns)
			start_ns = until_ns;
		if (end_ns > start_ns) {
			*ret += end_ns - start_ns;
			until_ns = end_ns;
		}
		r = 0;
	}
	return r;
}

static int last_gap(struct trace *t, uint64_t *ret_ns)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t, "SELECT max(end_ns) FROM gaps", &st);

	if (r == 0 && (r = trace_next_row(t, st)) == 1) {
		*ret_ns = trace_column_u64(st, 0);
		r = 0;
	}
	return r;
}

int trace_span(struct trace *t, uint64_t *ret_start_ns, uint64_t *ret_end_ns)
{
	struct trace_summary summary;
	int64_t start, end;
	uint64_t counted = 0, looked = 0;
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
	/* A recorder that goes on with a trace begins by saying since when nobody had looked. */
	if (r == 0)
		r = last_gap(t, &looked);
	if (r == 0 && looked > *ret_end_ns)
		*ret_end_ns = looked;
	return r;
}

static void load_files(struct trace *t)
{
	auto_stmt sqlite3_stmt *st = NULL;

	t->files_loaded = 1;
	if (trace_prepare(t, "SELECT id, path, state FROM files ORDER BY id", &st) < 0)
		return;
	while (trace_next_row(t, st) == 1) {
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
	if (trace_prepare(t, "SELECT id, file, first_line, qualname FROM code ORDER BY id", &st) <
	    0)
		return;
	while (trace_next_row(t, st) == 1) {
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

size_t trace_n_files(struct trace *t)
{
	if (!t->files_loaded)
		load_files(t);
	return t->n_files;
}

const struct trace_file *trace_file_nth(struct trace *t, size_t i)
{
	return i < trace_n_files(t) ? &t->files[i] : NULL;
}

size_t trace_n_codes(struct trace *t)
{
	if (!t->codes_loaded)
		load_codes(t);
	return t->n_codes;
}

const struct trace_code *trace_code_nth(struct trace *t, size_t i)
{
	return i < trace_n_codes(t) ? &t->codes[i] : NULL;
}

void trace_forget_names(struct trace *t)
{
	for (size_t i = 0; i < t->n_files; i++)
		free(t->files[i].path);
	for (size_t i = 0; i < t->n_codes; i++)
		free(t->codes[i].name);
	t->n_files = t->n_codes = 0;
	t->files_loaded = t->codes_loaded = 0;
}

int trace_file_source(struct trace *t, uint32_t id, char **ret, size_t *ret_len)
{
	auto_stmt sqlite3_stmt *st = NULL;
	uint8_t *text;
	int r =
	    trace_prepare(t, "SELECT source FROM files WHERE id = ? AND source IS NOT NULL", &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = trace_next_row(t, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = unpack_bytes(t->unpacker, sqlite3_column_blob(st, 0),
			 (size_t)sqlite3_column_bytes(st, 0), SOURCE_MAX_BYTES, &text, ret_len);
	if (r == 0)
		*ret = (char *)text;
	return r;
}

int trace_each_block(struct trace *t, int (*on_block)(void *ctx, const struct trace_block *block),
		     void *ctx)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(
	    t,
	    "SELECT id, thread, first_ns, last_ns, lowest_depth, n_events, data, waits"
	    " FROM blocks ORDER BY id",
	    &st);

	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		struct trace_block block = {
		    .id = sqlite3_column_int64(st, 0),
		    .thread = (uint16_t)sqlite3_column_int(st, 1),
		    .first_ns = trace_column_u64(st, 2),
		    .last_ns = trace_column_u64(st, 3),
		    .lowest_depth = (uint32_t)sqlite3_column_int64(st, 4),
		    .n_events = (uint32_t)sqlite3_column_int64(st, 5),
		    .data = sqlite3_column_blob(st, 6),
		    .data_len = (size_t)sqlite3_column_bytes(st, 6),
		    .waits = sqlite3_column_blob(st, 7),
		    .waits_len = (size_t)sqlite3_column_bytes(st, 7),
		};

		r = on_block(ctx, &block);
	}
	return r;
}
