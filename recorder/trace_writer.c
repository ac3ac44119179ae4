/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records come in, blocks go out. Each thread has an open block, which about every second is
 * stored as it is then, and again in the same row when it has gone on: few long blocks cost much
 * less than many short ones, and what a crash can lose is the last second.
 *
 * A stack is known up to the time of the last record of any thread (`known_until_ns`), not up to
 * the present: the sampler may have been stopped and tell us about the gap only later.
 */
#include "recorder/trace_writer_private.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/oncpu/edge_events.h"
#include "recorder/source_files.h"

/*
 * What is stored may be so old before news are stored, too. So a crash loses so much, or what the
 * sampler keeps back if that is longer (see sampler_emit.c), and a tick's delay. A little less
 * than a second: two of them are below two.
 */
#define FLUSH_NS (900 * NS_PER_MS)
/* Not more often than this, also when what is known is old. */
#define FLUSH_PAUSE_NS (FLUSH_NS / 2)
/*
 * A thread that hangs is what one wants to know of at once: a wait that has gone on for so long is
 * not kept back, but for this long after the flush before it.
 */
#define HANG_NS	      (500 * NS_PER_MS)
#define HANG_PAUSE_NS (100 * NS_PER_MS)
/* When it has been stored before its reason was found, that is looked for again; not for ever. */
#define REASON_NS (2 * NS_PER_S)
/*
 * An open block is closed with so many events, because storing it again costs more each time, and
 * because a reader decodes a block as a whole; or when it gets that old.
 */
#define BLOCK_EVENTS (1u << 12)
#define BLOCK_NS_MAX (64 * NS_PER_S)
/* A thread in which nothing happens just has its block's last time changed, every other flush. */
#define IDLE_STORE_NS	  (1500 * NS_PER_MS)
#define IDLE_BLOCK_NS_MAX (600 * NS_PER_S)

/* See recorder/sampler_told.c: what others tell is told within this time. */
#define TOLD_LATE_NS NS_PER_S

/* --- blocks --- */

static void need_builder(const struct trace_writer *w, struct thread *t)
{
	if (t->builder)
		return;
	t->builder = block_builder_new(t->first_ns, t->stack, (uint32_t)t->depth);
	block_builder_set_min_wait(t->builder, w->min_wait_ns);
}

/* bool: the open block has events or waits that are not stored. */
static int has_new_events(const struct thread *t)
{
	return (t->builder && (block_builder_n_events(t->builder) > t->stored.n_events ||
			       block_builder_n_waits(t->builder) > t->stored.n_waits)) ||
	       t->is_off_new;
}

static bool is_idle(const struct trace_writer *w, struct thread *t, uint32_t reason)
{
	const struct stack_frame *top = t->depth ? &t->stack[t->depth - 1] : NULL;
	struct idle_wait wait = {
	    .depth = (uint32_t)t->depth,
	    .file = top ? top->file : 0,
	    .line = top ? top->line : 0,
	    .polls = reason ? wait_texts_polls(w->texts, reason) : POLLS_UNKNOWN,
	    .start_ns = t->off.start_ns,
	    .end_ns = t->off.end_ns,
	};

	return idle_places_take(&t->idle, &wait);
}

/*
 * As it waited the last time. Nothing is known when another place has taken this one's, or when a
 * sleep has turned out to be another one.
 */
static void recall_wait(const struct trace_writer *w, struct thread *t, uint64_t end_ns)
{
	const struct known_wait *k = &w->known_waits[wait_place_index(t->known_place)];
	uint64_t length_ns = end_ns - t->off.start_ns;

	t->off.reason = t->off.native = 0;
	if (k->place != t->known_place)
		return;
	if (k->sleep_ns && (length_ns > wait_sleep_most_ns(k->sleep_ns) ||
			    (!t->is_off && length_ns < k->sleep_ns - k->sleep_ns / 50)))
		return;
	t->off.reason = k->reason;
	t->off.native = k->native;
}

/* With what was found out about it. */
static const struct off_stretch *complete_off(struct trace_writer *w, struct thread *t,
					      uint64_t end_ns)
{
	const struct wait_found *found;

	t->off.end_ns = end_ns;
	found = wait_findings_of(&t->findings, t->off.start_ns, end_ns);
	if (found) {
		t->off.reason = found->reason;
		t->off.native = found->native;
	} else if (t->known_place) {
		recall_wait(w, t, end_ns);
	}
	t->off.is_gil = wait_texts_is_gil(w->texts, t->off.reason);
	t->off.idle = t->off.state == WAIT_FOR_SOMETHING && is_idle(w, t, t->off.reason);
	return &t->off;
}

static uint64_t later(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns > b_ns ? a_ns : b_ns;
}

static void expect_reason(struct trace_writer *w, const struct thread *t)
{
	uint64_t due_ns = later(t->off.start_ns + HANG_NS, w->flushed_ns + HANG_PAUSE_NS);

	if (t->off.reason || t->off.state != WAIT_FOR_SOMETHING ||
	    due_ns > t->off.start_ns + REASON_NS)
		return;
	if (!w->reason_due_ns || due_ns < w->reason_due_ns)
		w->reason_due_ns = due_ns;
}

static void encode(struct trace_writer *w, struct thread *t, uint64_t last_ns,
		   struct finished_block *f)
{
	/* What is told late of a thread may not have come as far as its wait. */
	bool is_off = t->is_off && t->off.start_ns < last_ns;

	need_builder(w, t);
	block_builder_encode(t->builder, last_ns, is_off ? complete_off(w, t, last_ns) : NULL,
			     w->packer, &t->stored, f);
	if (is_off)
		expect_reason(w, t);
	f->thread = t->row.id;
	f->stored = t->stored;
	t->is_off_new = t->is_off_new && t->is_off && !is_off;
}

/* Close the thread's open block at last_ns and open the next one there. */
static void finish_block(struct trace_writer *w, struct thread *t, uint64_t last_ns)
{
	if (last_ns < t->last_ns)
		last_ns = t->last_ns;
	if (!t->builder && last_ns == t->first_ns)
		return;
	encode(w, t, last_ns, trace_rows_add_block(w));
	t->stored = (struct stored_block){0};
	block_builder_free(t->builder);
	t->builder = NULL;
	t->first_ns = t->last_ns = last_ns;
}

/* Store the open block as it is now. */
static void keep_block(struct trace_writer *w, struct thread *t, uint64_t last_ns)
{
	struct finished_block *f = trace_rows_add_block(w);

	encode(w, t, last_ns, f);
	f->is_open = 1;
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
		const struct code *c = &w->codes[r->frames[i].code - w->first_code];

		t->stack[t->depth++] = (struct stack_frame){
		    .code = r->frames[i].code,
		    .line = r->frames[i].line > 0 ? r->frames[i].line : 0,
		    .file = c->file,
		    .function = c->function,
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
		if (r->frames[i].code < w->first_code ||
		    r->frames[i].code - w->first_code >= w->n_codes)
			return -EINVAL;
	}
	if (r->provenance >= N_PROVENANCES)
		return -EINVAL;
	t->is_told_first |= r->is_first;
	if (r->keep == t->depth && r->n_frames == 0)
		return 0;
	/* Another thread's records may have closed the block a little later than this. */
	if (time_ns < t->last_ns)
		time_ns = t->last_ns;
	need_builder(w, t);
	set_stack(w, t, r);
	block_builder_step(t->builder, time_ns, r->keep, t->stack + r->keep, r->n_frames,
			   (struct step_source){r->provenance, t->is_told_first});
	t->is_told_first = false;
	t->is_told = r->provenance == PROVENANCE_PRECISE || r->provenance == PROVENANCE_EXACT;
	t->last_ns = time_ns;
	if (!block_builder_is_full(t->builder))
		return 0;
	finish_block(w, t, time_ns);
	return trace_rows_flush(w, FLUSH_ROWS);
}

/* --- the other records --- */

static int put_thread(struct trace_writer *w, const struct record_thread *r)
{
	uint16_t id = r->h.thread;
	struct thread *t;

	if (id < w->first_thread || (id < w->n_threads && w->threads[id]))
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
	wait_findings_move(&w->early, id, &t->findings);
	w->threads[id] = t;
	w->threads_stored = 0;
	return 0;
}

static int put_thread_end(struct trace_writer *w, const struct record_header *h)
{
	struct thread *t = find_thread(w, h->thread);

	if (!t)
		return -EINVAL;
	if (t->is_off) {
		need_builder(w, t);
		block_builder_off(t->builder, complete_off(w, t, h->time_ns));
		t->is_off = 0;
	}
	finish_block(w, t, h->time_ns);
	t->row.last_ns = t->last_ns;
	t->is_stored = 0;
	w->threads_stored = 0;
	return 0;
}

static int put_off(struct trace_writer *w, const struct record_off *r)
{
	struct thread *t = find_thread(w, r->h.thread);

	if (!t || r->start_ns > r->h.time_ns)
		return -EINVAL;
	if (!t->is_off || t->off.start_ns != r->start_ns) {
		t->known_place = 0;
		t->off = (struct off_stretch){
		    .start_ns = r->start_ns,
		    .state = r->state == EDGE_READY ? WAIT_FOR_CPU : WAIT_FOR_SOMETHING,
		};
	}
	if (r->known_place)
		t->known_place = r->known_place;
	t->is_off = r->is_open != 0;
	if (r->is_open) {
		t->is_off_new = 1;
		return 0;
	}
	need_builder(w, t);
	block_builder_off(t->builder, complete_off(w, t, r->h.time_ns));
	/* It can't be closed at a moment before this any more. */
	if (r->h.time_ns > t->last_ns)
		t->last_ns = r->h.time_ns;
	if (!block_builder_is_full(t->builder))
		return 0;
	finish_block(w, t, t->last_ns);
	return trace_rows_flush(w, FLUSH_ROWS);
}

void trace_writer_wait(struct trace_writer *w, uint16_t thread, uint64_t start_ns,
		       uint64_t taken_ns, const struct wait_about *about)
{
	struct thread *t = find_thread(w, thread);
	struct wait_found found = {.start_ns = start_ns, .taken_ns = taken_ns, .thread = thread};

	if (!t && thread < w->n_threads && w->threads[thread])
		return;
	found.reason = wait_texts_reason(w->texts, about);
	found.native = wait_texts_native(w->texts, about);
	if (!found.reason && !found.native)
		return;
	/* A wait for the GIL after a sleep there is not what comes again. */
	if (wait_about_is_repeated(about))
		w->known_waits[wait_place_index(about->place)] =
		    (struct known_wait){about->place, about->sleep_ns, found.reason, found.native};
	wait_findings_add(t ? &t->findings : &w->early, &found);
	if (t && t->is_off && t->off.start_ns == start_ns)
		t->is_off_new = w->has_late_reason = true;
}

/*
 * The file of a code object. When an earlier recorder stored another text of it and knew the same
 * function, the process got that from the text as it was then.
 */
static uint32_t find_file(struct trace_writer *w, const struct record_code *r)
{
	uint32_t file = source_files_find(w->files, r->text, r->file_len);
	uint32_t before = source_files_before(w->files, file);

	if (before && trace_store_has_code(w->store, before, r->text + r->file_len, r->name_len,
					   r->first_line) == 1)
		return before;
	return file;
}

/* A function that was made again is the same one, as for readers. Names are not kept. */
static uint32_t find_function(struct trace_writer *w, const struct code *c)
{
	uint32_t hash = hash_fold(hash_mix(c->name_hash, c->file)), n = (uint32_t)w->n_codes;

	HASH_INDEX_FOR_EACH(&w->functions, hash, at, id)
	{
		const struct code *other = &w->codes[id];

		if (other->file == c->file && other->name_len == c->name_len &&
		    other->name_hash == c->name_hash)
			return other->function;
	}
	hash_index_add(&w->functions, hash, n);
	return w->first_code + n;
}

static int put_code(struct trace_writer *w, const struct record_code *r)
{
	size_t text_len = r->h.size - sizeof(*r);
	struct code *c;

	if (r->id != trace_writer_next_code(w) || r->file_len > text_len ||
	    r->name_len > text_len - r->file_len)
		return -EINVAL;
	w->codes = xgrow(w->codes, &w->cap_codes, w->n_codes + 1, sizeof(*w->codes));
	c = &w->codes[w->n_codes];
	*c = (struct code){
	    .file = find_file(w, r),
	    .first_line = r->first_line,
	    .name = xmalloc(r->name_len),
	    .name_len = r->name_len,
	};
	memcpy(c->name, r->text + r->file_len, r->name_len);
	c->name_hash = hash_bytes(c->name, c->name_len);
	c->function = find_function(w, c);
	w->n_codes++;
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
	trace_rows_add_gap(w, (struct gap_row){.thread = r->h.thread,
					       .start_ns = r->start_ns,
					       .end_ns = r->h.time_ns,
					       .reason = r->reason,
					       .lost = r->lost});
	return 0;
}

/* The recorder counts from 0; the trace counts on from what an earlier one had counted. */
static int put_counters(struct trace_writer *w, const struct record_counters *r)
{
	struct record_counters *sum = &w->counters;

	*sum = *r;
	sum->snapshots += w->base.snapshots;
	for (int i = 0; i < N_CUT_REASONS; i++)
		sum->cut[i] += w->base.cut[i];
	for (int i = 0; i < N_DROP_REASONS; i++)
		sum->dropped[i] += w->base.dropped[i];
	sum->lines_unknown += w->base.lines_unknown;
	sum->names_truncated += w->base.names_truncated;
	sum->sections += w->base.sections;
	sum->section_records += w->base.section_records;
	sum->section_lost += w->base.section_lost;
	sum->busy_ns += w->base.busy_ns;
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
	case RECORD_OFF:
		return put_off(w, record);
	case RECORD_COUNTERS:
		return put_counters(w, record);
	default:
		return -EINVAL;
	}
}

/* --- time --- */

/*
 * Up to when its stack is known. What is told of a thread by others than looks comes late: a block
 * that were closed before it has come could take it only at a wrong time.
 */
static uint64_t known_until(const struct trace_writer *w, const struct thread *t)
{
	if (!t->is_told || w->known_until_ns <= t->last_ns)
		return w->known_until_ns;
	return w->known_until_ns - t->last_ns > TOLD_LATE_NS ? w->known_until_ns - TOLD_LATE_NS
							     : t->last_ns;
}

/* What becomes of a thread's open block when the others are stored. */
static void update_block(struct trace_writer *w, struct thread *t)
{
	uint32_t n_events = t->builder ? block_builder_n_events(t->builder) : 0;
	uint64_t until_ns = known_until(w, t), age_ns;
	uint64_t stored_ns = t->stored.row ? t->stored.last_ns : t->first_ns;

	if (until_ns <= t->first_ns)
		return;
	age_ns = until_ns - t->first_ns;
	if (n_events >= BLOCK_EVENTS || age_ns >= IDLE_BLOCK_NS_MAX ||
	    (age_ns >= BLOCK_NS_MAX && has_new_events(t)))
		finish_block(w, t, until_ns);
	else if (has_new_events(t) || (!t->stored.row && until_ns > stored_ns) ||
		 until_ns >= stored_ns + IDLE_STORE_NS)
		keep_block(w, t, until_ns);
}

/* Whether the wait that goes on is not stored, or by now more is known of it than what is. */
static bool has_wait_news(const struct trace_writer *w, struct thread *t)
{
	if (!t->is_off || t->is_off_new)
		return t->is_off;
	return !t->off.reason &&
	       wait_findings_of(&t->findings, t->off.start_ns, w->known_until_ns) != NULL;
}

/* When a wait with news counts as a hang, UINT64_MAX: there is none. */
static uint64_t hang_ns(const struct trace_writer *w)
{
	uint64_t start_ns = UINT64_MAX;

	for (size_t i = 0; i < w->n_threads; i++) {
		struct thread *t = w->threads[i];

		if (t && t->off.start_ns < start_ns && has_wait_news(w, t))
			start_ns = t->off.start_ns;
	}
	return start_ns == UINT64_MAX ? UINT64_MAX : start_ns + HANG_NS;
}

static uint64_t flush_due_ns(const struct trace_writer *w)
{
	uint64_t due_ns, hang_due_ns;

	if (w->known_until_ns <= w->flushed_until_ns && !w->n_gaps && w->counters_stored &&
	    !w->has_late_reason)
		return UINT64_MAX;
	due_ns = later(w->flushed_until_ns + FLUSH_NS, w->flushed_ns + FLUSH_PAUSE_NS);
	hang_due_ns = later(hang_ns(w), w->flushed_ns + HANG_PAUSE_NS);
	return hang_due_ns < due_ns ? hang_due_ns : due_ns;
}

static int store_news(struct trace_writer *w, uint64_t now_ns)
{
	int has_news = source_files_has_new(w->files) || w->n_codes_stored < w->n_codes ||
		       !w->threads_stored || wait_texts_has_new(w->texts);

	if (now_ns < flush_due_ns(w))
		return has_news || w->n_finished ? trace_rows_flush(w, FLUSH_ROWS) : 0;
	w->flushed_ns = now_ns;
	w->flushed_until_ns = w->known_until_ns;
	w->has_late_reason = false;
	for (size_t i = 0; i < w->n_threads; i++) {
		struct thread *t = find_thread(w, (uint16_t)i);

		if (!t)
			continue;
		t->is_off_new |= has_wait_news(w, t);
		update_block(w, t);
	}
	if (!has_news && !w->n_finished && !w->n_gaps && w->counters_stored)
		return 0;
	return trace_rows_flush(w, FLUSH_WITH_COUNTERS);
}

uint64_t trace_writer_due_ns(const struct trace_writer *w)
{
	uint64_t due_ns = flush_due_ns(w);

	/* A trim is done step by step. */
	if (w->totals.is_trimming)
		return 0;
	return w->reason_due_ns && w->reason_due_ns < due_ns ? w->reason_due_ns : due_ns;
}

int trace_writer_tick(struct trace_writer *w, uint64_t now_ns)
{
	int r, r_trim;

	trace_store_set_time(w->store, now_ns);
	if (now_ns >= w->reason_due_ns)
		w->reason_due_ns = 0;
	r = store_news(w, now_ns);
	r_trim = trace_rows_trim(w);
	return r < 0 ? r : r_trim;
}

int trace_writer_anchor(struct trace_writer *w, uint64_t monotonic_ns, uint64_t realtime_ns)
{
	if (w->growth_paused)
		return 0;
	source_files_check(w->files);
	return trace_store_anchor(w->store, monotonic_ns, realtime_ns);
}

void trace_writer_trim(struct trace_writer *w, uint64_t bytes)
{
	w->trim_bytes += bytes;
	w->totals.trim_bytes = w->trim_bytes;
	w->totals.is_trimming = w->trim_bytes > 0 || w->is_shrinking;
}

void trace_writer_pause_growth(struct trace_writer *w, int paused)
{
	w->growth_paused = paused;
}

void trace_writer_totals(const struct trace_writer *w, struct trace_writer_totals *ret)
{
	*ret = w->totals;
	for (size_t i = 0; i < w->n_finished; i++)
		ret->transitions += w->finished[i].n_events - w->finished[i].stored.n_events;
	for (size_t i = 0; i < w->n_threads; i++) {
		const struct thread *t = w->threads[i];

		if (t && t->builder)
			ret->transitions += block_builder_n_events(t->builder) - t->stored.n_events;
	}
}

void trace_writer_finish_blocks(struct trace_writer *w, uint64_t end_ns)
{
	for (size_t i = 0; i < w->n_threads; i++) {
		struct thread *t = find_thread(w, (uint16_t)i);

		if (t)
			finish_block(w, t, end_ns);
	}
}

void trace_writer_free_thread(struct thread *t)
{
	if (!t)
		return;
	block_builder_free(t->builder);
	stored_block_done(&t->stored);
	wait_findings_done(&t->findings);
	free(t->stack);
	free(t);
}
