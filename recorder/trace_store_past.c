/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading what an earlier recorder of the same process left, to go on from there. */
#include "recorder/trace_store_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize)
#define auto_stmt auto_release(sqlite3_finalize)

static int prepare(struct trace_store *s, const char *sql, sqlite3_stmt **ret)
{
	return trace_store_error(s->db, sqlite3_prepare_v2(s->db, sql, -1, ret, NULL));
}

/*
 * One row of numbers, none of them negative, NULL being 0.
 * Returns 1 with a row, 0 without, or a negative errno.
 */
static int get_numbers(struct trace_store *s, const char *sql, const char *key, int64_t *ret, int n)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = prepare(s, sql, &st), code;

	if (r < 0)
		return r;
	if (key)
		sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	code = sqlite3_step(st);
	if (code != SQLITE_ROW)
		return trace_store_error(s->db, code);
	for (int i = 0; i < n; i++) {
		int type = sqlite3_column_type(st, i);

		if (type != SQLITE_INTEGER && type != SQLITE_NULL)
			return -EBADMSG;
		ret[i] = sqlite3_column_int64(st, i);
		if (ret[i] < 0)
			return -EBADMSG;
	}
	return 1;
}

static int get_meta(struct trace_store *s, const char *key, int64_t *ret)
{
	*ret = 0;
	return get_numbers(s, "SELECT value FROM meta WHERE key = ?", key, ret, 1);
}

static int get_counter(struct trace_store *s, const char *name, uint64_t *ret)
{
	int64_t value = 0;
	int r = get_numbers(s, "SELECT value FROM counters WHERE name = ?", name, &value, 1);

	*ret = (uint64_t)value;
	return r < 0 ? r : 0;
}

static int read_counters(struct trace_store *s, struct record_counters *c)
{
	char name[64];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < N_CUT_REASONS; i++) {
		snprintf(name, sizeof(name), COUNTER_CUT "%s", cut_reason_name(i));
		r = get_counter(s, name, &c->cut[i]);
	}
	for (unsigned i = 0; r == 0 && i < N_DROP_REASONS; i++) {
		snprintf(name, sizeof(name), COUNTER_DROPPED "%s", drop_reason_name(i));
		r = get_counter(s, name, &c->dropped[i]);
	}
	if (r < 0 || (r = get_counter(s, COUNTER_SNAPSHOTS, &c->snapshots)) < 0 ||
	    (r = get_counter(s, COUNTER_LINES_UNKNOWN, &c->lines_unknown)) < 0 ||
	    (r = get_counter(s, COUNTER_NAMES_TRUNCATED, &c->names_truncated)) < 0 ||
	    (r = get_counter(s, COUNTER_SECTIONS, &c->sections)) < 0 ||
	    (r = get_counter(s, COUNTER_SECTION_RECORDS, &c->section_records)) < 0 ||
	    (r = get_counter(s, COUNTER_SECTION_LOST, &c->section_lost)) < 0 ||
	    (r = get_counter(s, COUNTER_BUSY, &c->busy_ns)) < 0)
		return r;
	return get_counter(s, COUNTER_TIME, &c->h.time_ns);
}

/* Where they are not counted, all are observed. */
static int read_event_counters(struct trace_store *s, struct trace_past *p)
{
	uint64_t sum = 0, trimmed;
	char name[64];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < N_PROVENANCES; i++) {
		snprintf(name, sizeof(name), COUNTER_EVENTS "%s", provenance_name(i));
		r = get_counter(s, name, &p->n_of[i]);
		sum += p->n_of[i];
	}
	if (r < 0 || sum)
		return r;
	r = get_counter(s, COUNTER_TRIMMED_EVENTS, &trimmed);
	p->n_of[PROVENANCE_OBSERVED] = p->n_events + trimmed;
	return r;
}

static void raise(uint64_t *value, int64_t to)
{
	if ((uint64_t)to > *value)
		*value = (uint64_t)to;
}

/* Sums over the index; no block's data is touched. */
static int read_blocks(struct trace_store *s, struct trace_past *p)
{
	int64_t sums[3] = {0};
	int r = get_numbers(s,
			    "SELECT max(last_ns), count(*), sum(n_events) FROM blocks"
			    " INDEXED BY blocks_by_time",
			    NULL, sums, 3);

	raise(&p->last_ns, sums[0]);
	p->n_blocks = (uint64_t)sums[1];
	p->n_events = (uint64_t)sums[2];
	return r < 0 ? r : 0;
}

int trace_store_read_past(struct trace_store *s, struct trace_past *ret)
{
	int64_t start = 0, end = 0, gap = 0;
	int r;

	*ret = (struct trace_past){0};
	if ((r = get_meta(s, META_PID, &ret->pid)) < 0 ||
	    (r = get_meta(s, META_PROCESS_START, &ret->process_start_ticks)) < 0 ||
	    (r = get_meta(s, META_START_MONOTONIC, &start)) < 0 ||
	    (r = get_meta(s, META_END, &end)) < 0 || (r = read_counters(s, &ret->counters)) < 0 ||
	    (r = read_blocks(s, ret)) < 0 || (r = read_event_counters(s, ret)) < 0 ||
	    (r = get_numbers(s, "SELECT max(id) FROM code", NULL, &ret->last_code, 1)) < 0 ||
	    (r = get_numbers(s, "SELECT max(id) FROM threads", NULL, &ret->last_thread, 1)) < 0 ||
	    (r = get_numbers(s, "SELECT max(id) FROM files", NULL, &ret->last_file, 1)) < 0 ||
	    (r = get_numbers(s, "SELECT max(id) FROM reasons", NULL, &ret->last_reason, 1)) < 0 ||
	    (r = get_numbers(s, "SELECT max(id) FROM native_stacks", NULL, &ret->last_native, 1)) <
		0 ||
	    (r = get_numbers(s, "SELECT max(end_ns) FROM gaps", NULL, &gap, 1)) < 0)
		return r;
	raise(&ret->last_ns, start);
	raise(&ret->last_ns, end);
	raise(&ret->last_ns, gap);
	raise(&ret->last_ns, (int64_t)ret->counters.h.time_ns);
	if (ret->last_code >= UINT32_MAX || ret->last_reason >= UINT32_MAX / 2 ||
	    ret->last_native >= UINT32_MAX / 2 || ret->last_file >= UINT32_MAX ||
	    ret->last_thread > UINT16_MAX)
		return -EBADMSG;
	return 0;
}

int trace_store_each_file(struct trace_store *s,
			  int (*on_file)(void *ctx, const struct file_row *row), void *ctx)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = prepare(s, "SELECT id, path, state, size, hash FROM files ORDER BY id", &st);

	while (r == 0) {
		struct file_row row = {0};
		int code = sqlite3_step(st);

		if (code != SQLITE_ROW)
			return trace_store_error(s->db, code);
		row.id = (uint32_t)sqlite3_column_int64(st, 0);
		row.path = sqlite3_column_blob(st, 1);
		row.path_len = (size_t)sqlite3_column_bytes(st, 1);
		row.state = (enum file_state)sqlite3_column_int(st, 2);
		row.size = (uint64_t)sqlite3_column_int64(st, 3);
		row.hash = (uint64_t)sqlite3_column_int64(st, 4);
		r = on_file(ctx, &row);
	}
	return r;
}

int trace_store_has_ended(struct trace_store *s)
{
	int64_t end;

	return get_meta(s, META_END, &end);
}

int trace_store_undo_end(struct trace_store *s, uint64_t last_ns)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_store_exec(s, "DELETE FROM meta WHERE key IN ('" META_END
				    "', '" META_END_REASON "')");

	if (r == 0)
		r = prepare(
		    s, "UPDATE threads SET last_ns = max(first_ns, ?) WHERE last_ns IS NULL", &st);
	if (r < 0)
		return r;
	trace_store_bind_int(st, 1, last_ns);
	return trace_store_error(s->db, sqlite3_step(st));
}
