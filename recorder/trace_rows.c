/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows wait in memory until they are stored in one transaction. When that fails, the events of
 * finished blocks are given up and become a gap, whereas names, threads, gaps and counters are
 * kept and tried again, so that later blocks never refer to something that is not there.
 */
#include "recorder/trace_writer_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/source_files.h"

/* While nothing can be stored, gaps of one kind and thread are merged beyond this many. */
#define MAX_PENDING_GAPS 1024

struct finished_block *trace_rows_add_block(struct trace_writer *w)
{
	w->finished = xgrow(w->finished, &w->cap_finished, w->n_finished + 1, sizeof(*w->finished));
	return &w->finished[w->n_finished++];
}

void trace_rows_add_gap(struct trace_writer *w, struct gap_row gap)
{
	int merge = gap.reason == GAP_DISK_FULL || w->n_gaps >= MAX_PENDING_GAPS;

	for (size_t i = 0; merge && i < w->n_gaps; i++) {
		struct gap_row *old = &w->gaps[i];

		if (old->thread != gap.thread || old->reason != gap.reason)
			continue;
		if (gap.start_ns < old->start_ns)
			old->start_ns = gap.start_ns;
		if (gap.end_ns > old->end_ns)
			old->end_ns = gap.end_ns;
		old->lost += gap.lost;
		return;
	}
	w->gaps = xgrow(w->gaps, &w->cap_gaps, w->n_gaps + 1, sizeof(*w->gaps));
	w->gaps[w->n_gaps++] = gap;
}

static int store_codes(struct trace_writer *w)
{
	int r = 0;

	for (size_t i = w->n_codes_stored; r == 0 && i < w->n_codes; i++)
		r = trace_store_code(w->store, w->first_code + (uint32_t)i, w->codes[i].file,
				     w->codes[i].name, w->codes[i].name_len,
				     w->codes[i].first_line);
	return r;
}

static int store_threads(struct trace_writer *w)
{
	int r = 0;

	for (size_t i = 0; !w->threads_stored && r == 0 && i < w->n_threads; i++) {
		if (w->threads[i] && !w->threads[i]->is_stored)
			r = trace_store_thread(w->store, &w->threads[i]->row);
	}
	return r;
}

/* With those of the blocks that are being stored. Where all are observed that goes without saying.
 */
static int store_event_counters(struct trace_writer *w)
{
	uint64_t n_of[N_PROVENANCES], n_told = 0;
	char name[64];
	int r = 0;

	memcpy(n_of, w->n_of, sizeof(n_of));
	for (unsigned p = 0; p < N_PROVENANCES; p++) {
		for (size_t i = 0; i < w->n_finished; i++)
			n_of[p] += w->finished[i].n_of[p] - w->finished[i].stored.n_of[p];
		n_told += p == PROVENANCE_OBSERVED ? 0 : n_of[p];
	}
	for (unsigned p = 0; r == 0 && n_told && p < N_PROVENANCES; p++) {
		snprintf(name, sizeof(name), COUNTER_EVENTS "%s", provenance_name(p));
		r = trace_store_counter(w->store, name, n_of[p]);
	}
	return r;
}

static int store_counters(struct trace_writer *w)
{
	const struct record_counters *c = &w->counters;
	struct trace_store *s = w->store;
	char name[64];
	int r = 0;

	if (w->counters_stored)
		return 0;
	for (unsigned i = 0; r == 0 && i < N_CUT_REASONS; i++) {
		snprintf(name, sizeof(name), COUNTER_CUT "%s", cut_reason_name(i));
		r = trace_store_counter(s, name, c->cut[i]);
	}
	for (unsigned i = 0; r == 0 && i < N_DROP_REASONS; i++) {
		snprintf(name, sizeof(name), COUNTER_DROPPED "%s", drop_reason_name(i));
		r = trace_store_counter(s, name, c->dropped[i]);
	}
	if (r < 0 || (r = trace_store_counter(s, COUNTER_SNAPSHOTS, c->snapshots)) < 0 ||
	    (r = trace_store_counter(s, COUNTER_LINES_UNKNOWN, c->lines_unknown)) < 0 ||
	    (r = trace_store_counter(s, COUNTER_NAMES_TRUNCATED, c->names_truncated)) < 0 ||
	    (r = trace_store_counter(s, COUNTER_SECTIONS, c->sections)) < 0 ||
	    (r = trace_store_counter(s, COUNTER_SECTION_RECORDS, c->section_records)) < 0 ||
	    (r = trace_store_counter(s, COUNTER_SECTION_LOST, c->section_lost)) < 0 ||
	    (r = trace_store_counter(s, COUNTER_BUSY, c->busy_ns)) < 0)
		return r;
	return trace_store_counter(s, COUNTER_TIME, c->h.time_ns);
}

static int store_all(struct trace_writer *w, enum flush what)
{
	int r = trace_store_begin(w->store);

	if (r == 0)
		r = source_files_store(w->files, w->store, w->packer);
	if (r == 0)
		r = wait_texts_store(w->texts, w->store);
	if (r == 0)
		r = store_codes(w);
	if (r == 0)
		r = store_threads(w);
	for (size_t i = 0; r == 0 && i < w->n_finished; i++)
		r = trace_store_block(w->store, &w->finished[i], &w->finished[i].row);
	for (size_t i = 0; r == 0 && i < w->n_gaps; i++)
		r = trace_store_gap(w->store, &w->gaps[i]);
	if (r == 0)
		r = store_event_counters(w);
	if (r == 0 && what == FLUSH_WITH_COUNTERS)
		r = store_counters(w);
	if (r == 0)
		r = trace_store_commit(w->store);
	if (r < 0)
		trace_store_rollback(w->store);
	return r;
}

/* The open block goes on in its row. */
static void on_open_block_stored(struct thread *t, struct finished_block *f)
{
	stored_block_done(&t->stored);
	t->stored = (struct stored_block){
	    .row = f->row,
	    .last_ns = f->last_ns,
	    .n_events = f->n_events,
	    .lines = f->lines,
	    .n_lines = f->n_lines,
	    .functions = f->functions,
	    .n_functions = f->n_functions,
	    .shared = f->shared,
	    .n_shared = f->n_shared,
	    .waits_mark = f->waits_mark,
	    .n_waits = f->n_waits,
	};
	memcpy(t->stored.n_of, f->n_of, sizeof(t->stored.n_of));
	f->lines = NULL;
	f->functions = NULL;
	f->shared = NULL;
}

static void on_blocks_stored(struct trace_writer *w)
{
	for (size_t i = 0; i < w->n_finished; i++) {
		struct finished_block *f = &w->finished[i];

		w->totals.blocks += f->stored.row == 0;
		w->totals.transitions += f->n_events - f->stored.n_events;
		for (unsigned p = 0; p < N_PROVENANCES; p++)
			w->n_of[p] += f->n_of[p] - f->stored.n_of[p];
		if (f->is_open)
			on_open_block_stored(w->threads[f->thread], f);
	}
}

/* What has been stored need not be kept. */
static void on_stored(struct trace_writer *w, enum flush what)
{
	source_files_stored(w->files);
	wait_texts_stored(w->texts);
	for (; w->n_codes_stored < w->n_codes; w->n_codes_stored++) {
		free(w->codes[w->n_codes_stored].name);
		w->codes[w->n_codes_stored].name = NULL;
	}
	on_blocks_stored(w);
	for (size_t i = 0; !w->threads_stored && i < w->n_threads; i++) {
		if (!w->threads[i])
			continue;
		w->threads[i]->is_stored = 1;
		if (w->threads[i]->row.last_ns) {
			trace_writer_free_thread(w->threads[i]);
			w->threads[i] = NULL;
		}
	}
	w->threads_stored = 1;
	if (what == FLUSH_WITH_COUNTERS)
		w->counters_stored = 1;
	w->n_gaps = 0;
}

/* What was not stored of finished blocks is lost; open ones are tried again as they go on. */
static void give_up_blocks(struct trace_writer *w)
{
	for (size_t i = 0; i < w->n_finished; i++) {
		const struct finished_block *f = &w->finished[i];
		uint64_t start_ns = f->stored.row ? f->stored.last_ns : f->first_ns;

		if (f->is_open || (start_ns >= f->last_ns && f->n_events == f->stored.n_events))
			continue;
		trace_rows_add_gap(w, (struct gap_row){.thread = f->thread,
						       .start_ns = start_ns,
						       .end_ns = f->last_ns,
						       .reason = GAP_DISK_FULL,
						       .lost = f->n_events - f->stored.n_events});
	}
}

static void drop_blocks(struct trace_writer *w)
{
	for (size_t i = 0; i < w->n_finished; i++)
		finished_block_done(&w->finished[i]);
	w->n_finished = 0;
}

int trace_rows_flush(struct trace_writer *w, enum flush what)
{
	int r = w->growth_paused ? 0 : store_all(w, what);

	if (w->growth_paused || r < 0)
		give_up_blocks(w);
	else
		on_stored(w, what);
	drop_blocks(w);
	w->totals.bytes = trace_store_size(w->store);
	return r;
}

int trace_rows_flush_last(struct trace_writer *w)
{
	if (w->growth_paused) {
		give_up_blocks(w);
		drop_blocks(w);
		w->growth_paused = 0;
	}
	return trace_rows_flush(w, FLUSH_WITH_COUNTERS);
}

static int delete_oldest(struct trace_writer *w)
{
	int64_t *open = xreallocarray(NULL, w->n_threads + 1, sizeof(*open));
	struct trim_result trimmed;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < w->n_threads; i++) {
		if (w->threads[i] && w->threads[i]->stored.row)
			open[n++] = w->threads[i]->stored.row;
	}
	r = trace_store_trim(w->store, w->trim_bytes, open, n, &trimmed);
	free(open);
	if (r < 0)
		return r;
	w->is_shrinking = 1;
	/* When only open blocks are left, that is all that can be done. */
	if (trimmed.n_blocks == 0 || trimmed.bytes >= w->trim_bytes)
		w->trim_bytes = 0;
	else
		w->trim_bytes -= trimmed.bytes;
	return 0;
}

int trace_rows_trim(struct trace_writer *w)
{
	int r;

	if (w->trim_bytes == 0 && !w->is_shrinking)
		return 0;
	if (w->trim_bytes > 0) {
		r = delete_oldest(w);
	} else {
		r = trace_store_shrink(w->store);
		w->is_shrinking = r != 0;
	}
	w->totals.bytes = trace_store_size(w->store);
	w->totals.trim_bytes = w->trim_bytes;
	w->totals.is_trimming = w->trim_bytes > 0 || w->is_shrinking;
	return r < 0 ? r : 0;
}
