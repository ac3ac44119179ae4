/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deleting the oldest blocks, a little at a time. A block's pages become free in the file, where
 * new rows use them again; trace_store_shrink() moves what lies at the file's end into what is
 * still free, and cuts the file off.
 */
#include "recorder/trace_store_private.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"

/* A step ends after this, or after one block. The ring holds some hundred milliseconds. */
#define STEP_NS (4 * NS_PER_MS)
/* Pages given back in one step. */
#define SHRINK_SQL "PRAGMA incremental_vacuum(256)"

static int get_number(struct trace_store *s, enum statement which, uint64_t *ret)
{
	int r = trace_store_row(s, which);

	if (r == 1)
		*ret = (uint64_t)sqlite3_column_int64(s->statements[which], 0);
	sqlite3_reset(s->statements[which]);
	return r == 0 ? -EBADMSG : r < 0 ? r : 0;
}

struct old_block {
	int64_t row;
	uint64_t last_ns;
	uint64_t n_events;
};

/* Returns 1 with the oldest after `after`, 0 when there is none, or a negative errno. */
static int next_block(struct trace_store *s, int64_t after, struct old_block *ret)
{
	sqlite3_stmt *st = s->statements[NEXT_BLOCK];
	int r;

	sqlite3_bind_int64(st, 1, after);
	r = trace_store_row(s, NEXT_BLOCK);
	if (r == 1)
		*ret = (struct old_block){
		    .row = sqlite3_column_int64(st, 0),
		    .last_ns = (uint64_t)sqlite3_column_int64(st, 1),
		    .n_events = (uint64_t)sqlite3_column_int64(st, 2),
		};
	sqlite3_reset(st);
	return r;
}

static int is_kept(const int64_t *keep, size_t n_keep, int64_t row)
{
	for (size_t i = 0; i < n_keep; i++) {
		if (keep[i] == row)
			return 1;
	}
	return 0;
}

static int run_with(struct trace_store *s, enum statement which, uint64_t value)
{
	trace_store_bind_int(s->statements[which], 1, value);
	return trace_store_run(s, which);
}

static int raise(struct trace_store *s, enum statement which, const char *key, uint64_t value)
{
	trace_store_bind_text(s->statements[which], 1, key, strlen(key));
	trace_store_bind_int(s->statements[which], 2, value);
	return trace_store_run(s, which);
}

/* What was deleted, for whoever reads the trace. */
static int note_trimmed(struct trace_store *s, const struct trim_result *t, uint64_t n_events,
			uint64_t until_ns)
{
	int r;

	if ((r = run_with(s, DELETE_GAPS, until_ns)) < 0 ||
	    (r = raise(s, RAISE_META, META_TRIMMED_UNTIL, until_ns)) < 0 ||
	    (r = raise(s, RAISE_COUNTER, COUNTER_TRIMMED_BLOCKS, t->n_blocks)) < 0 ||
	    (r = raise(s, RAISE_COUNTER, COUNTER_TRIMMED_EVENTS, n_events)) < 0)
		return r;
	return raise(s, RAISE_COUNTER, COUNTER_TRIMMED_BYTES, t->bytes);
}

static int delete_blocks(struct trace_store *s, uint64_t page_size, uint64_t bytes,
			 const int64_t *keep, size_t n_keep, struct trim_result *ret)
{
	uint64_t until = clock_monotonic_ns() + STEP_NS, free_before = 0, free_now = 0;
	uint64_t until_ns = 0, n_events = 0;
	struct old_block b = {0};
	int r = get_number(s, COUNT_FREE_PAGES, &free_before);

	while (r == 0 && ret->bytes < bytes && (r = next_block(s, b.row, &b)) == 1) {
		r = 0;
		if (is_kept(keep, n_keep, b.row))
			continue;
		if ((r = run_with(s, DELETE_LINES, (uint64_t)b.row)) < 0 ||
		    (r = run_with(s, DELETE_FUNCTIONS, (uint64_t)b.row)) < 0 ||
		    (r = run_with(s, DELETE_SHARED, (uint64_t)b.row)) < 0 ||
		    (r = run_with(s, DELETE_WAIT_TOTALS, (uint64_t)b.row)) < 0 ||
		    (r = run_with(s, DELETE_BLOCK, (uint64_t)b.row)) < 0 ||
		    (r = get_number(s, COUNT_FREE_PAGES, &free_now)) < 0)
			return r;
		ret->n_blocks++;
		n_events += b.n_events;
		if (b.last_ns > until_ns)
			until_ns = b.last_ns;
		if (free_now > free_before)
			ret->bytes = (free_now - free_before) * page_size;
		if (clock_monotonic_ns() >= until)
			break;
	}
	if (r < 0 || ret->n_blocks == 0)
		return r;
	return note_trimmed(s, ret, n_events, until_ns);
}

int trace_store_trim(struct trace_store *s, uint64_t bytes, const int64_t *keep, size_t n_keep,
		     struct trim_result *ret)
{
	struct trim_result trimmed = {0};
	uint64_t page_size = 0;
	int r = get_number(s, PAGE_SIZE, &page_size);

	if (r == 0)
		r = trace_store_begin(s);
	if (r == 0)
		r = delete_blocks(s, page_size, bytes, keep, n_keep, &trimmed);
	if (r == 0)
		r = trace_store_commit(s);
	if (r < 0) {
		trace_store_rollback(s);
		return r;
	}
	*ret = trimmed;
	return 0;
}

int trace_store_shrink(struct trace_store *s)
{
	uint64_t before = 0, now = 0;
	int r = get_number(s, COUNT_FREE_PAGES, &before);

	if (r < 0 || before == 0)
		return r;
	r = trace_store_exec(s, SHRINK_SQL);
	if (r == 0)
		r = get_number(s, COUNT_FREE_PAGES, &now);
	if (r < 0)
		return r;
	/* A trace of an older program can't be made smaller; what is free in it is used again. */
	return now > 0 && now < before;
}
