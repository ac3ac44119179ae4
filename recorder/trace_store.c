/* SPDX-License-Identifier: BSD-3-Clause */
/* The rows. */
#include "recorder/trace_store_private.h"

#include <string.h>

#include "recorder/block_builder.h"
#include "recorder/trace_writer.h"

int trace_store_begin(struct trace_store *s)
{
	return trace_store_run(s, BEGIN);
}

int trace_store_commit(struct trace_store *s)
{
	return trace_store_run(s, COMMIT);
}

void trace_store_rollback(struct trace_store *s)
{
	/* Some errors have rolled back already. */
	if (!sqlite3_get_autocommit(s->db))
		trace_store_run(s, ROLLBACK);
}

int trace_store_meta_text(struct trace_store *s, const char *key, const char *text)
{
	trace_store_bind_text(s->statements[SET_META], 1, key, strlen(key));
	if (text)
		trace_store_bind_text(s->statements[SET_META], 2, text, strlen(text));
	else
		sqlite3_bind_null(s->statements[SET_META], 2);
	return trace_store_run(s, SET_META);
}

int trace_store_meta_int(struct trace_store *s, const char *key, uint64_t value)
{
	trace_store_bind_text(s->statements[SET_META], 1, key, strlen(key));
	trace_store_bind_int(s->statements[SET_META], 2, value);
	return trace_store_run(s, SET_META);
}

int trace_store_meta_real(struct trace_store *s, const char *key, double value)
{
	trace_store_bind_text(s->statements[SET_META], 1, key, strlen(key));
	sqlite3_bind_double(s->statements[SET_META], 2, value);
	return trace_store_run(s, SET_META);
}

int trace_store_anchor(struct trace_store *s, uint64_t monotonic_ns, uint64_t realtime_ns)
{
	trace_store_bind_int(s->statements[ADD_ANCHOR], 1, monotonic_ns);
	trace_store_bind_int(s->statements[ADD_ANCHOR], 2, realtime_ns);
	return trace_store_run(s, ADD_ANCHOR);
}

/* What may be another with each recorder of one process. */
int trace_store_recorder(struct trace_store *s, const struct trace_about *a)
{
	int r;

	if ((r = trace_store_meta_text(s, META_RECORDER, TRACKEXEC_VERSION)) < 0 ||
	    (r = trace_store_meta_text(s, META_PACKAGES, a->packages)) < 0 ||
	    (r = trace_store_meta_text(s, META_EDGES, a->edges ? a->edges : "none")) < 0 ||
	    (r = trace_store_meta_int(s, META_MIN_WAIT,
				      a->min_wait_ns ? a->min_wait_ns : WAIT_LISTED_NS)) < 0 ||
	    (r = trace_store_meta_real(s, META_RATE, a->rate_asked_hz)) < 0)
		return r;
	return trace_store_anchor(s, a->start_monotonic_ns, a->start_realtime_ns);
}

int trace_store_about(struct trace_store *s, const struct trace_about *a)
{
	int r;

	if ((r = trace_store_meta_text(s, META_NAME, a->name)) < 0 ||
	    (r = trace_store_meta_int(s, META_PID, (uint64_t)a->pid)) < 0 ||
	    (r = trace_store_meta_int(s, META_PROCESS_START, a->process_start_ticks)) < 0 ||
	    (r = trace_store_meta_text(s, META_COMMAND, a->command)) < 0 ||
	    (r = trace_store_meta_text(s, META_EXECUTABLE, a->executable)) < 0 ||
	    (r = trace_store_meta_text(s, META_PYTHON, a->python)) < 0 ||
	    (r = trace_store_meta_int(s, META_HEXVERSION, a->python_hexversion)) < 0 ||
	    (r = trace_store_meta_text(s, META_HOST, a->host)) < 0 ||
	    (r = trace_store_meta_int(s, META_START_MONOTONIC, a->start_monotonic_ns)) < 0 ||
	    (r = trace_store_meta_int(s, META_START_REALTIME, a->start_realtime_ns)) < 0 ||
	    (r = trace_store_meta_int(s, META_UTC_OFFSET, (uint64_t)(int64_t)a->utc_offset_s)) <
		0 ||
	    (r = trace_store_meta_text(s, META_TIME_ZONE, a->time_zone)) < 0)
		return r;
	return trace_store_recorder(s, a);
}

int trace_store_file(struct trace_store *s, const struct file_row *row)
{
	sqlite3_stmt *st = s->statements[ADD_FILE];

	trace_store_bind_int(st, 1, row->id);
	trace_store_bind_text(st, 2, row->path, row->path_len);
	trace_store_bind_int(st, 3, row->state);
	sqlite3_bind_null(st, 4);
	sqlite3_bind_null(st, 5);
	sqlite3_bind_null(st, 6);
	if (row->source) {
		trace_store_bind_int(st, 4, row->size);
		trace_store_bind_int(st, 5, row->hash);
		sqlite3_bind_blob64(st, 6, row->source, row->source_len, SQLITE_STATIC);
	}
	return trace_store_run(s, ADD_FILE);
}

int trace_store_file_state(struct trace_store *s, uint32_t id, enum file_state state)
{
	trace_store_bind_int(s->statements[SET_FILE_STATE], 1, id);
	trace_store_bind_int(s->statements[SET_FILE_STATE], 2, state);
	return trace_store_run(s, SET_FILE_STATE);
}

int trace_store_code(struct trace_store *s, uint32_t id, uint32_t file, const char *name,
		     size_t name_len, int32_t first_line)
{
	sqlite3_stmt *st = s->statements[ADD_CODE];

	trace_store_bind_int(st, 1, id);
	trace_store_bind_int(st, 2, file);
	trace_store_bind_text(st, 3, name, name_len);
	sqlite3_bind_int(st, 4, first_line);
	return trace_store_run(s, ADD_CODE);
}

int trace_store_has_code(struct trace_store *s, uint32_t file, const char *name, size_t name_len,
			 int32_t first_line)
{
	sqlite3_stmt *st = s->statements[FIND_CODE];
	int r;

	trace_store_bind_int(st, 1, file);
	trace_store_bind_text(st, 2, name, name_len);
	sqlite3_bind_int(st, 3, first_line);
	r = trace_store_row(s, FIND_CODE);
	sqlite3_reset(st);
	return r;
}

int trace_store_thread(struct trace_store *s, const struct thread_row *row)
{
	sqlite3_stmt *st = s->statements[SET_THREAD];

	trace_store_bind_int(st, 1, row->id);
	trace_store_bind_int(st, 2, row->native_id);
	trace_store_bind_int(st, 3, row->python_id);
	trace_store_bind_int(st, 4, row->interpreter_id);
	trace_store_bind_int(st, 5, row->first_ns);
	if (row->last_ns)
		trace_store_bind_int(st, 6, row->last_ns);
	else
		sqlite3_bind_null(st, 6);
	return trace_store_run(s, SET_THREAD);
}

static int compare_lines(const struct line_totals *a, const struct line_totals *b)
{
	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	return (a->line > b->line) - (a->line < b->line);
}

/* Those that are not there yet as they are. Both lists are in the same order. */
static int set_lines(struct trace_store *s, int64_t row, const struct finished_block *f)
{
	sqlite3_stmt *st = s->statements[SET_LINE];
	size_t at = 0;
	int r = 0;

	sqlite3_bind_int64(st, 1, row);
	for (size_t i = 0; r == 0 && i < f->n_lines; i++) {
		const struct line_totals *l = &f->lines[i], *old = f->stored.lines;

		while (at < f->stored.n_lines && compare_lines(&old[at], l) < 0)
			at++;
		if (at < f->stored.n_lines && compare_lines(&old[at], l) == 0 &&
		    old[at].visits == l->visits && old[at].entries == l->entries &&
		    old[at].self_ns == l->self_ns && old[at].total_ns == l->total_ns &&
		    old[at].wait_ns == l->wait_ns && old[at].ready_ns == l->ready_ns)
			continue;
		trace_store_bind_int(st, 2, l->file);
		sqlite3_bind_int(st, 3, l->line);
		trace_store_bind_int(st, 4, l->visits);
		trace_store_bind_int(st, 5, l->self_ns);
		trace_store_bind_int(st, 6, l->total_ns);
		trace_store_bind_int(st, 7, l->wait_ns);
		trace_store_bind_int(st, 8, l->ready_ns);
		trace_store_bind_int(st, 9, l->entries);
		r = trace_store_run(s, SET_LINE);
	}
	return r;
}

static bool are_equal(const struct function_totals *a, const struct function_totals *b)
{
	return a->function == b->function && a->calls == b->calls && a->self_ns == b->self_ns &&
	       a->total_ns == b->total_ns && a->wait_ns == b->wait_ns &&
	       a->ready_ns == b->ready_ns && a->gil_ns == b->gil_ns;
}

/* The same; what comes into a list stays where it is. */
static int set_functions(struct trace_store *s, int64_t row, const struct finished_block *f)
{
	sqlite3_stmt *st = s->statements[SET_FUNCTION];
	int r = 0;

	sqlite3_bind_int64(st, 1, row);
	for (size_t i = 0; r == 0 && i < f->n_functions; i++) {
		const struct function_totals *t = &f->functions[i];

		if (i < f->stored.n_functions && are_equal(t, &f->stored.functions[i]))
			continue;
		trace_store_bind_int(st, 2, t->function);
		trace_store_bind_int(st, 3, t->calls);
		trace_store_bind_int(st, 4, t->self_ns);
		trace_store_bind_int(st, 5, t->total_ns);
		trace_store_bind_int(st, 6, t->wait_ns);
		trace_store_bind_int(st, 7, t->ready_ns);
		trace_store_bind_int(st, 8, t->gil_ns);
		r = trace_store_run(s, SET_FUNCTION);
	}
	return r;
}

/* As set_lines(). */
static int set_shared(struct trace_store *s, int64_t row, const struct finished_block *f)
{
	sqlite3_stmt *st = s->statements[SET_SHARED];
	const struct shared_totals *old = f->stored.shared;
	size_t at = 0;
	int r = 0;

	sqlite3_bind_int64(st, 1, row);
	for (size_t i = 0; r == 0 && i < f->n_shared; i++) {
		const struct shared_totals *t = &f->shared[i];

		while (at < f->stored.n_shared && shared_totals_compare(&old[at], t) < 0)
			at++;
		if (at < f->stored.n_shared && shared_totals_compare(&old[at], t) == 0 &&
		    old[at].visits == t->visits && old[at].self_ns == t->self_ns &&
		    old[at].total_ns == t->total_ns && old[at].wait_ns == t->wait_ns &&
		    old[at].ready_ns == t->ready_ns && old[at].gil_ns == t->gil_ns)
			continue;
		trace_store_bind_int(st, 2, t->file);
		sqlite3_bind_int(st, 3, t->line);
		trace_store_bind_int(st, 4, t->function);
		trace_store_bind_int(st, 5, t->visits);
		trace_store_bind_int(st, 6, t->self_ns);
		trace_store_bind_int(st, 7, t->total_ns);
		trace_store_bind_int(st, 8, t->wait_ns);
		trace_store_bind_int(st, 9, t->ready_ns);
		trace_store_bind_int(st, 10, t->gil_ns);
		r = trace_store_run(s, SET_SHARED);
	}
	return r;
}

static int add_wait_totals(struct trace_store *s, int64_t row, const struct wait_totals *t)
{
	sqlite3_stmt *st = s->statements[ADD_WAIT_TOTALS];

	sqlite3_bind_int64(st, 1, row);
	trace_store_bind_int(st, 2, t->kind.file);
	sqlite3_bind_int(st, 3, t->kind.line);
	trace_store_bind_int(st, 4, t->kind.reason);
	trace_store_bind_int(st, 5, t->kind.native);
	trace_store_bind_int(st, 6, t->kind.state);
	trace_store_bind_int(st, 7, t->kind.idle);
	trace_store_bind_int(st, 8, t->n);
	trace_store_bind_int(st, 9, t->total_ns);
	trace_store_bind_int(st, 10, t->longest_ns);
	trace_store_bind_int(st, 11, t->longest_start_ns);
	return trace_store_run(s, ADD_WAIT_TOTALS);
}

/* Those of an open block change with each second that one of them goes on, and so may its kind. */
static int set_waits(struct trace_store *s, int64_t row, const struct finished_block *f)
{
	int r = 0;

	if (f->waits) {
		sqlite3_bind_int64(s->statements[SET_WAITS], 1, row);
		sqlite3_bind_blob64(s->statements[SET_WAITS], 2, f->waits, f->waits_len,
				    SQLITE_STATIC);
		r = trace_store_run(s, SET_WAITS);
	}
	if (r == 0 && f->stored.waits_mark) {
		sqlite3_bind_int64(s->statements[DELETE_WAIT_TOTALS], 1, row);
		r = trace_store_run(s, DELETE_WAIT_TOTALS);
	}
	for (size_t i = 0; r == 0 && i < f->n_wait_totals; i++) {
		if (f->wait_totals[i].total_ns)
			r = add_wait_totals(s, row, &f->wait_totals[i]);
	}
	return r;
}

static void bind_provenance(sqlite3_stmt *st, int at, const struct finished_block *f)
{
	if (f->provenance)
		sqlite3_bind_blob64(st, at, f->provenance, f->provenance_len, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, at);
}

static int add_block(struct trace_store *s, const struct finished_block *f)
{
	sqlite3_stmt *st = s->statements[ADD_BLOCK];

	trace_store_bind_int(st, 1, f->thread);
	trace_store_bind_int(st, 2, f->first_ns);
	trace_store_bind_int(st, 3, f->last_ns);
	trace_store_bind_int(st, 4, f->lowest_depth);
	trace_store_bind_int(st, 5, f->n_events);
	sqlite3_bind_blob64(st, 6, f->data, f->data_len, SQLITE_STATIC);
	bind_provenance(st, 7, f);
	return trace_store_run(s, ADD_BLOCK);
}

static int change_block(struct trace_store *s, const struct finished_block *f)
{
	enum statement which = f->data ? CHANGE_BLOCK : EXTEND_BLOCK;
	sqlite3_stmt *st = s->statements[which];

	sqlite3_bind_int64(st, 1, f->stored.row);
	trace_store_bind_int(st, 2, f->last_ns);
	if (f->data) {
		trace_store_bind_int(st, 3, f->lowest_depth);
		trace_store_bind_int(st, 4, f->n_events);
		sqlite3_bind_blob64(st, 5, f->data, f->data_len, SQLITE_STATIC);
		bind_provenance(st, 6, f);
	}
	return trace_store_run(s, which);
}

int trace_store_block(struct trace_store *s, const struct finished_block *f, int64_t *ret_row)
{
	int r = f->stored.row ? change_block(s, f) : add_block(s, f);

	if (r < 0)
		return r;
	*ret_row = f->stored.row ? f->stored.row : sqlite3_last_insert_rowid(s->db);
	r = set_lines(s, *ret_row, f);
	if (r == 0)
		r = set_functions(s, *ret_row, f);
	if (r == 0)
		r = set_shared(s, *ret_row, f);
	return r < 0 ? r : set_waits(s, *ret_row, f);
}

int trace_store_reason(struct trace_store *s, const struct reason_row *row)
{
	sqlite3_stmt *st = s->statements[ADD_REASON];

	trace_store_bind_int(st, 1, row->id);
	trace_store_bind_text(st, 2, row->kind, strlen(row->kind));
	trace_store_bind_text(st, 3, row->call, strlen(row->call));
	trace_store_bind_text(st, 4, row->what, strlen(row->what));
	trace_store_bind_int(st, 5, row->polled);
	trace_store_bind_text(st, 6, row->peer, strlen(row->peer));
	return trace_store_run(s, ADD_REASON);
}

int trace_store_native(struct trace_store *s, const struct native_row *row)
{
	sqlite3_stmt *st = s->statements[ADD_NATIVE];

	trace_store_bind_int(st, 1, row->id);
	sqlite3_bind_int(st, 2, row->is_complete != 0);
	trace_store_bind_text(st, 3, row->frames, strlen(row->frames));
	return trace_store_run(s, ADD_NATIVE);
}

int trace_store_gap(struct trace_store *s, const struct gap_row *row)
{
	sqlite3_stmt *st = s->statements[ADD_GAP];

	trace_store_bind_int(st, 1, row->thread);
	trace_store_bind_int(st, 2, row->start_ns);
	trace_store_bind_int(st, 3, row->end_ns);
	trace_store_bind_int(st, 4, row->reason);
	trace_store_bind_int(st, 5, row->lost);
	return trace_store_run(s, ADD_GAP);
}

int trace_store_counter(struct trace_store *s, const char *name, uint64_t value)
{
	trace_store_bind_text(s->statements[SET_COUNTER], 1, name, strlen(name));
	trace_store_bind_int(s->statements[SET_COUNTER], 2, value);
	return trace_store_run(s, SET_COUNTER);
}
