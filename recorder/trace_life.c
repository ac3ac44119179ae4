/* SPDX-License-Identifier: BSD-3-Clause */
/* How a trace begins, is gone on with by another recorder, and ends. */
#include "recorder/trace_writer_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/pack.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/source_files.h"

static struct trace_writer *writer_new(struct trace_store *store, const struct trace_about *about,
				       read_source_fn read_source, void *ctx)
{
	struct trace_writer *w = xcalloc(1, sizeof(*w));

	w->store = store;
	w->packer = packer_new();
	w->files = source_files_new(read_source, ctx);
	w->texts = wait_texts_new(1, 1);
	w->min_wait_ns = about->min_wait_ns ? about->min_wait_ns : WAIT_LISTED_NS;
	w->first_code = w->first_thread = 1;
	w->counters_stored = w->threads_stored = 1;
	w->known_until_ns = about->start_monotonic_ns;
	w->flushed_ns = w->flushed_until_ns = w->known_until_ns;
	w->totals.bytes = trace_store_size(store);
	return w;
}

static void writer_free(struct trace_writer *w)
{
	for (size_t i = 0; i < w->n_threads; i++)
		trace_writer_free_thread(w->threads[i]);
	for (size_t i = w->n_codes_stored; i < w->n_codes; i++)
		free(w->codes[i].name);
	for (size_t i = 0; i < w->n_finished; i++)
		finished_block_done(&w->finished[i]);
	packer_free(w->packer);
	source_files_free(w->files);
	wait_findings_done(&w->early);
	wait_texts_free(w->texts);
	free(w->threads);
	free(w->codes);
	free(w->finished);
	free(w->gaps);
	free(w);
}

int trace_writer_create(const char *db_path, const struct trace_about *about,
			read_source_fn read_source, void *ctx, struct trace_writer **ret)
{
	struct trace_store *store;
	int r = trace_store_create(db_path, about, &store);

	if (r < 0)
		return r;
	*ret = writer_new(store, about, read_source, ctx);
	return 0;
}

static int add_past_file(void *ctx, const struct file_row *row)
{
	return source_files_add_past(ctx, row);
}

/* The trace as another recorder goes on with it: nobody looked between last_ns and now. */
static int store_resumption(struct trace_store *s, const struct trace_about *about,
			    uint64_t last_ns)
{
	const struct gap_row gap = {
	    .start_ns = last_ns,
	    .end_ns = about->start_monotonic_ns,
	    .reason = GAP_RECORDER_ABSENT,
	};
	int r = trace_store_start(s);

	if (r == 0)
		r = trace_store_begin(s);
	if (r == 0)
		r = trace_store_undo_end(s, last_ns);
	if (r == 0)
		r = trace_store_recorder(s, about);
	if (r == 0)
		r = trace_store_gap(s, &gap);
	if (r == 0)
		r = trace_store_commit(s);
	if (r < 0)
		trace_store_rollback(s);
	return r;
}

static int take_over(struct trace_writer *w, const struct trace_about *about)
{
	struct trace_past past;
	int r = trace_store_read_past(w->store, &past);

	if (r < 0)
		return r;
	/* After another boot the same numbers can come again, but time begins anew. */
	if (past.pid != about->pid ||
	    (uint64_t)past.process_start_ticks != about->process_start_ticks ||
	    past.last_ns > about->start_monotonic_ns)
		return -EEXIST;
	r = trace_store_each_file(w->store, add_past_file, w->files);
	if (r < 0)
		return r;
	w->first_code = (uint32_t)past.last_code + 1;
	w->first_thread = (uint32_t)past.last_thread + 1;
	wait_findings_done(&w->early);
	wait_texts_free(w->texts);
	w->texts = wait_texts_new((uint32_t)past.last_reason + 1, (uint32_t)past.last_native + 1);
	w->base = past.counters;
	memcpy(w->n_of, past.n_of, sizeof(w->n_of));
	w->totals.blocks = past.n_blocks;
	w->totals.transitions = past.n_events;
	return store_resumption(w->store, about, past.last_ns);
}

int trace_writer_resume(const char *db_path, const struct trace_about *about,
			read_source_fn read_source, void *ctx, struct trace_writer **ret)
{
	struct trace_store *store;
	struct trace_writer *w;
	int r = trace_store_open(db_path, &store);

	if (r < 0)
		return r;
	w = writer_new(store, about, read_source, ctx);
	r = take_over(w, about);
	if (r < 0) {
		trace_store_leave(store);
		writer_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

uint32_t trace_writer_next_code(const struct trace_writer *w)
{
	return w->first_code + (uint32_t)w->n_codes;
}

uint32_t trace_writer_next_thread(const struct trace_writer *w)
{
	return w->n_threads > w->first_thread ? (uint32_t)w->n_threads : w->first_thread;
}

static int store_end(struct trace_store *s, uint64_t end_ns, const char *reason)
{
	int r = trace_store_begin(s);

	if (r == 0)
		r = trace_store_meta_int(s, META_END, end_ns);
	if (r == 0)
		r = trace_store_meta_text(s, META_END_REASON, reason);
	if (r == 0)
		r = trace_store_commit(s);
	if (r < 0)
		trace_store_rollback(s);
	return r;
}

int trace_writer_close(struct trace_writer *w, uint64_t end_ns, const char *reason)
{
	int r, r_end, r_close;

	trace_writer_finish_blocks(w, end_ns);
	source_files_check(w->files);
	r = trace_rows_flush_last(w);
	r_end = store_end(w->store, end_ns, reason);
	r_close = trace_store_close(w->store);
	writer_free(w);
	return r < 0 ? r : r_end < 0 ? r_end : r_close;
}

int trace_writer_end_abandoned(const char *db_path, const char *reason)
{
	struct trace_past past;
	struct trace_store *s;
	int r = trace_store_open(db_path, &s), r_close;

	if (r < 0)
		return r;
	r = trace_store_has_ended(s);
	if (r == 0) {
		r = trace_store_read_past(s, &past);
		if (r == 0)
			r = store_end(s, past.last_ns, reason);
	} else if (r == 1) {
		r = 0;
	}
	if (r < 0) {
		trace_store_leave(s);
		return r;
	}
	r_close = trace_store_close(s);
	return r < 0 ? r : r_close;
}
