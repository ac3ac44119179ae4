/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records come in, finished blocks go out. All rows wait in memory until they are stored in one
 * transaction (flush()): when that fails, the events of its blocks are given up and become a gap,
 * whereas names, threads, gaps and counters are kept and tried again, so that later blocks never
 * refer to something that is not there.
 *
 * A stack is known up to the time of the last record of any thread (`known_until_ns`), not up to
 * the present: the sampler may have been stopped and tell us about the gap only later.
 */
#include "recorder/trace_writer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/pack.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/block_builder.h"
#include "recorder/ring.h"
#include "recorder/source_files.h"
#include "recorder/trace_store.h"

#define BLOCK_NS (1 * NS_PER_S)
/*
 * A thread in which nothing happens needs no block every second: each block without an event may
 * last twice as long as the one before, up to this.
 */
#define IDLE_BLOCK_NS_MAX (64 * NS_PER_S)
#define FLUSH_NS	  (1 * NS_PER_S)
/* While nothing can be stored, gaps of one kind and thread are merged beyond this many. */
#define MAX_PENDING_GAPS 1024

struct thread {
	struct thread_row row;
	int stored; /* bool: the row as it is now is in the database */
	struct stack_frame *stack;
	size_t depth, cap_stack;
	uint64_t first_ns;	       /* of the open block */
	uint64_t last_ns;	       /* of its last event, or first_ns */
	struct block_builder *builder; /* NULL until the open block's first event */
	uint64_t idle_limit_ns;
};

struct code {
	uint32_t file;
	int32_t first_line;
	char *name; /* NULL once it is stored */
	size_t name_len;
};

struct trace_writer {
	struct trace_store *store;
	struct packer *packer;
	struct source_files *files;

	struct code *codes; /* by id - 1 */
	size_t n_codes, cap_codes, n_codes_stored;
	struct thread **threads; /* by id; NULL where there is none */
	size_t n_threads;

	struct finished_block *finished;
	size_t n_finished, cap_finished;
	struct gap_row *gaps;
	size_t n_gaps, cap_gaps;
	struct record_counters counters;
	int counters_stored; /* bool */
	int threads_stored;  /* bool: all of them */

	uint64_t known_until_ns;
	uint64_t flushed_ns;
	struct trace_writer_totals totals;
};

/* --- storing --- */

static int store_codes(struct trace_writer *w)
{
	int r = 0;

	for (size_t i = w->n_codes_stored; r == 0 && i < w->n_codes; i++)
		r = trace_store_code(w->store, (uint32_t)i + 1, w->codes[i].file, w->codes[i].name,
				     w->codes[i].name_len, w->codes[i].first_line);
	return r;
}

static int store_threads(struct trace_writer *w)
{
	int r = 0;

	for (size_t i = 0; !w->threads_stored && r == 0 && i < w->n_threads; i++) {
		if (w->threads[i] && !w->threads[i]->stored)
			r = trace_store_thread(w->store, &w->threads[i]->row);
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
	    (r = trace_store_counter(s, COUNTER_BUSY, c->busy_ns)) < 0)
		return r;
	return trace_store_counter(s, COUNTER_TIME, c->h.time_ns);
}

static int store_all(struct trace_writer *w)
{
	int r = trace_store_begin(w->store);

	if (r == 0)
		r = source_files_store(w->files, w->store, w->packer);
	if (r == 0)
		r = store_codes(w);
	if (r == 0)
		r = store_threads(w);
	for (size_t i = 0; r == 0 && i < w->n_finished; i++)
		r = trace_store_block(w->store, &w->finished[i]);
	for (size_t i = 0; r == 0 && i < w->n_gaps; i++)
		r = trace_store_gap(w->store, &w->gaps[i]);
	if (r == 0)
		r = store_counters(w);
	if (r == 0)
		r = trace_store_commit(w->store);
	if (r < 0)
		trace_store_rollback(w->store);
	return r;
}

static void thread_free(struct thread *t)
{
	if (!t)
		return;
	block_builder_free(t->builder);
	free(t->stack);
	free(t);
}

/* What has been stored need not be kept. */
static void on_stored(struct trace_writer *w)
{
	source_files_stored(w->files);
	for (; w->n_codes_stored < w->n_codes; w->n_codes_stored++) {
		free(w->codes[w->n_codes_stored].name);
		w->codes[w->n_codes_stored].name = NULL;
	}
	for (size_t i = 0; !w->threads_stored && i < w->n_threads; i++) {
		if (!w->threads[i])
			continue;
		w->threads[i]->stored = 1;
		if (w->threads[i]->row.last_ns) {
			thread_free(w->threads[i]);
			w->threads[i] = NULL;
		}
	}
	w->threads_stored = 1;
	w->counters_stored = 1;
	w->n_gaps = 0;
	for (size_t i = 0; i < w->n_finished; i++) {
		w->totals.blocks++;
		w->totals.transitions += w->finished[i].n_events;
	}
}

static void add_gap(struct trace_writer *w, struct gap_row gap)
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

static int flush(struct trace_writer *w)
{
	int r = store_all(w);

	if (r == 0)
		on_stored(w);
	for (size_t i = 0; i < w->n_finished; i++) {
		struct finished_block *f = &w->finished[i];

		if (r < 0)
			add_gap(w, (struct gap_row){.thread = f->thread,
						    .start_ns = f->first_ns,
						    .end_ns = f->last_ns,
						    .reason = GAP_DISK_FULL,
						    .lost = f->n_events});
		finished_block_done(f);
	}
	w->n_finished = 0;
	w->totals.bytes = trace_store_size(w->store);
	return r;
}

/* --- blocks --- */

/* Close the thread's open block at last_ns and open the next one there. */
static void finish_block(struct trace_writer *w, struct thread *t, uint64_t last_ns)
{
	struct finished_block *f;

	if (last_ns < t->last_ns)
		last_ns = t->last_ns;
	if (!t->builder) {
		if (last_ns == t->first_ns)
			return;
		t->builder = block_builder_new(t->first_ns, t->stack, (uint32_t)t->depth);
		t->idle_limit_ns *= t->idle_limit_ns < IDLE_BLOCK_NS_MAX ? 2 : 1;
	}
	w->finished = xgrow(w->finished, &w->cap_finished, w->n_finished + 1, sizeof(*w->finished));
	f = &w->finished[w->n_finished++];
	block_builder_finish(t->builder, last_ns, w->packer, f);
	f->thread = t->row.id;
	block_builder_free(t->builder);
	t->builder = NULL;
	t->first_ns = t->last_ns = last_ns;
}

static struct thread *find_thread(const struct trace_writer *w, uint16_t id)
{
	struct thread *t = id < w->n_threads ? w->threads[id] : NULL;

	return t && !t->row.last_ns ? t : NULL;
}

static void set_stack(struct trace_writer *w, struct thread *t, const struct record_stack *r)
{
	t->stack = xgrow(t->stack, &t->cap_stack, (size_t)r->keep + r->n_frames, sizeof(*t->stack));
	t->depth = r->keep;
	for (uint32_t i = 0; i < r->n_frames; i++) {
		t->stack[t->depth++] = (struct stack_frame){
		    .code = r->frames[i].code,
		    .line = r->frames[i].line > 0 ? r->frames[i].line : 0,
		    .file = w->codes[r->frames[i].code - 1].file,
		};
	}
}

static int put_stack(struct trace_writer *w, const struct record_stack *r)
{
	struct thread *t = find_thread(w, r->h.thread);
	uint64_t time_ns = r->h.time_ns;

	if (!t || r->keep > t->depth)
		return -EINVAL;
	for (uint32_t i = 0; i < r->n_frames; i++) {
		if (r->frames[i].code == 0 || r->frames[i].code > w->n_codes)
			return -EINVAL;
	}
	if (r->keep == t->depth && r->n_frames == 0)
		return 0;
	/* Another thread's records may have closed the block a little later than this. */
	if (time_ns < t->last_ns)
		time_ns = t->last_ns;
	if (!t->builder) {
		t->builder = block_builder_new(t->first_ns, t->stack, (uint32_t)t->depth);
		t->idle_limit_ns = BLOCK_NS;
	}
	set_stack(w, t, r);
	block_builder_step(t->builder, time_ns, r->keep, t->stack + r->keep, r->n_frames);
	t->last_ns = time_ns;
	if (!block_builder_is_full(t->builder))
		return 0;
	finish_block(w, t, time_ns);
	return flush(w);
}

/* --- the other records --- */

static int put_thread(struct trace_writer *w, const struct record_thread *r)
{
	uint16_t id = r->h.thread;
	struct thread *t;

	if (id == 0 || (id < w->n_threads && w->threads[id]))
		return -EINVAL;
	if (id >= w->n_threads) {
		size_t n = (size_t)id + 1;

		w->threads = xreallocarray(w->threads, n, sizeof(struct thread *));
		memset(w->threads + w->n_threads, 0, (n - w->n_threads) * sizeof(struct thread *));
		w->n_threads = n;
	}
	t = xcalloc(1, sizeof(*t));
	t->row = (struct thread_row){
	    .id = id,
	    .native_id = r->native_id,
	    .python_id = r->python_id,
	    .interpreter_id = r->interpreter_id,
	    .first_ns = r->h.time_ns,
	};
	t->first_ns = t->last_ns = r->h.time_ns;
	t->idle_limit_ns = BLOCK_NS;
	w->threads[id] = t;
	w->threads_stored = 0;
	return 0;
}

static int put_thread_end(struct trace_writer *w, const struct record_header *h)
{
	struct thread *t = find_thread(w, h->thread);

	if (!t)
		return -EINVAL;
	finish_block(w, t, h->time_ns);
	t->row.last_ns = t->last_ns;
	t->stored = 0;
	w->threads_stored = 0;
	return 0;
}

static int put_code(struct trace_writer *w, const struct record_code *r)
{
	size_t text_len = r->h.size - sizeof(*r);
	struct code *c;

	if (r->id != w->n_codes + 1 || r->file_len > text_len ||
	    r->name_len > text_len - r->file_len)
		return -EINVAL;
	w->codes = xgrow(w->codes, &w->cap_codes, w->n_codes + 1, sizeof(*w->codes));
	c = &w->codes[w->n_codes++];
	*c = (struct code){
	    .file = source_files_find(w->files, r->text, r->file_len),
	    .first_line = r->first_line,
	    .name = xmalloc(r->name_len),
	    .name_len = r->name_len,
	};
	memcpy(c->name, r->text + r->file_len, r->name_len);
	return 0;
}

/* What we believed to be the stack until now is not known to be from start_ns on. */
static void skip_gap(struct trace_writer *w, struct thread *t, uint64_t start_ns, uint64_t end_ns)
{
	finish_block(w, t, start_ns);
	if (end_ns > t->first_ns)
		t->first_ns = t->last_ns = end_ns;
}

static int put_gap(struct trace_writer *w, const struct record_gap *r)
{
	for (size_t i = 0; i < w->n_threads; i++) {
		struct thread *t = find_thread(w, (uint16_t)i);

		if (t && (r->h.thread == 0 || r->h.thread == i))
			skip_gap(w, t, r->start_ns, r->h.time_ns);
	}
	add_gap(w, (struct gap_row){.thread = r->h.thread,
				    .start_ns = r->start_ns,
				    .end_ns = r->h.time_ns,
				    .reason = r->reason,
				    .lost = r->lost});
	return 0;
}

static int put_counters(struct trace_writer *w, const struct record_counters *r)
{
	w->counters = *r;
	w->counters_stored = 0;
	return 0;
}

int trace_writer_put(struct trace_writer *w, const struct record_header *h)
{
	/* A record is read as its kind's struct, so it has to be that large. */
	const void *record = h;

	if (h->time_ns > w->known_until_ns)
		w->known_until_ns = h->time_ns;
	switch (h->kind) {
	case RECORD_STACK:
		return put_stack(w, record);
	case RECORD_THREAD:
		return put_thread(w, record);
	case RECORD_THREAD_END:
		return put_thread_end(w, h);
	case RECORD_CODE:
		return put_code(w, record);
	case RECORD_GAP:
		return put_gap(w, record);
	case RECORD_COUNTERS:
		return put_counters(w, record);
	default:
		return -EINVAL;
	}
}

/* --- time --- */

int trace_writer_tick(struct trace_writer *w, uint64_t now_ns)
{
	int has_news =
	    source_files_has_new(w->files) || w->n_codes_stored < w->n_codes || !w->threads_stored;

	for (size_t i = 0; i < w->n_threads; i++) {
		struct thread *t = find_thread(w, (uint16_t)i);

		if (t && now_ns >= t->first_ns + (t->builder ? BLOCK_NS : t->idle_limit_ns))
			finish_block(w, t, w->known_until_ns);
	}
	if (!has_news && !w->n_finished &&
	    (now_ns < w->flushed_ns + FLUSH_NS || (w->counters_stored && !w->n_gaps)))
		return 0;
	w->flushed_ns = now_ns;
	return flush(w);
}

int trace_writer_anchor(struct trace_writer *w, uint64_t monotonic_ns, uint64_t realtime_ns)
{
	source_files_check(w->files);
	return trace_store_anchor(w->store, monotonic_ns, realtime_ns);
}

void trace_writer_totals(const struct trace_writer *w, struct trace_writer_totals *ret)
{
	*ret = w->totals;
	for (size_t i = 0; i < w->n_finished; i++)
		ret->transitions += w->finished[i].n_events;
	for (size_t i = 0; i < w->n_threads; i++) {
		if (w->threads[i] && w->threads[i]->builder)
			ret->transitions += block_builder_n_events(w->threads[i]->builder);
	}
}

/* --- beginning and end --- */

static int create_store(const char *path, const struct trace_about *about, struct trace_store **ret)
{
	struct trace_store *s;
	int r = trace_store_create(path, &s);

	if (r < 0)
		return r;
	r = trace_store_begin(s);
	if (r == 0)
		r = trace_store_about(s, about);
	if (r == 0)
		r = trace_store_commit(s);
	if (r < 0) {
		trace_store_rollback(s);
		trace_store_close(s);
		unlink(path);
		return r;
	}
	*ret = s;
	return 0;
}

int trace_writer_create(const char *db_path, const struct trace_about *about,
			read_source_fn read_source, void *ctx, struct trace_writer **ret)
{
	struct trace_store *store;
	struct trace_writer *w;
	int r = create_store(db_path, about, &store);

	if (r < 0)
		return r;
	w = xcalloc(1, sizeof(*w));
	w->store = store;
	w->packer = packer_new();
	w->files = source_files_new(read_source, ctx);
	w->counters_stored = w->threads_stored = 1;
	w->known_until_ns = w->flushed_ns = about->start_monotonic_ns;
	w->totals.bytes = trace_store_size(store);
	*ret = w;
	return 0;
}

static int store_end(struct trace_writer *w, uint64_t end_ns, const char *reason)
{
	int r = trace_store_begin(w->store);

	if (r == 0)
		r = trace_store_meta_int(w->store, META_END, end_ns);
	if (r == 0)
		r = trace_store_meta_text(w->store, META_END_REASON, reason);
	if (r == 0)
		r = trace_store_commit(w->store);
	if (r < 0)
		trace_store_rollback(w->store);
	return r;
}

static void writer_free(struct trace_writer *w)
{
	for (size_t i = 0; i < w->n_threads; i++)
		thread_free(w->threads[i]);
	for (size_t i = w->n_codes_stored; i < w->n_codes; i++)
		free(w->codes[i].name);
	packer_free(w->packer);
	source_files_free(w->files);
	free(w->threads);
	free(w->codes);
	free(w->finished);
	free(w->gaps);
	free(w);
}

int trace_writer_close(struct trace_writer *w, uint64_t end_ns, const char *reason)
{
	int r, r_end, r_close;

	for (size_t i = 0; i < w->n_threads; i++) {
		struct thread *t = find_thread(w, (uint16_t)i);

		if (t)
			finish_block(w, t, end_ns);
	}
	source_files_check(w->files);
	r = flush(w);
	r_end = store_end(w, end_ns, reason);
	r_close = trace_store_close(w->store);
	writer_free(w);
	return r < 0 ? r : r_end < 0 ? r_end : r_close;
}
