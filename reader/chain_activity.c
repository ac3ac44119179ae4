/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/chain_activity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "reader/trace_seek.h"
#include "reader/trace_waits.h"

/* About a second's work, if all of them are full. */
#define MAX_BLOCKS 512
/*
 * A wait that fills the whole stretch began before it and goes on after it: the thread is less
 * likely to be the one that was waited for, such as a worker that nobody has given work.
 */
#define PARKED_COUNTS_LESS 10
/* Ends of waits are stored in whole units. */
#define ROUNDING_NS (UINT64_C(2) << WAIT_TIME_SHIFT)

DEFINE_CLEANUP(struct block_decoder *, block_decoder_free)

/* Of one line and one state. */
struct sum {
	struct wait_kind kind;
	bool is_wait;
	uint64_t ns, parked_ns;
	uint64_t longest_start_ns, longest_end_ns;
	/* The last one: it can go on in the next block. */
	uint16_t thread;
	uint64_t last_start_ns, last_end_ns;
};

struct finder {
	struct trace *trace;
	uint64_t start_ns, end_ns;
	struct sum *sums;
	size_t n, cap;
	struct hash_index index;
	size_t n_blocks;
	bool is_partial;
};

static uint32_t hash_of(const struct wait_kind *k, bool is_wait)
{
	uint64_t h = hash_mix(hash_mix(k->file, (uint32_t)k->line), k->reason);

	return hash_fold(hash_mix(h, k->state + 2 * k->idle + 4 * is_wait));
}

/* NULL when there is none. */
static struct sum *find_sum(const struct finder *f, const struct wait_kind *k, bool is_wait)
{
	HASH_INDEX_FOR_EACH(&f->index, hash_of(k, is_wait), at, id)
	{
		if (f->sums[id].is_wait == is_wait && memcmp(&f->sums[id].kind, k, sizeof(*k)) == 0)
			return &f->sums[id];
	}
	return NULL;
}

static struct sum *need_sum(struct finder *f, const struct wait_kind *k, bool is_wait)
{
	struct sum *s = find_sum(f, k, is_wait);

	if (s)
		return s;
	f->sums = xgrow(f->sums, &f->cap, f->n + 1, sizeof(*f->sums));
	f->sums[f->n] = (struct sum){.kind = *k, .is_wait = is_wait};
	hash_index_add(&f->index, hash_of(k, is_wait), (uint32_t)f->n);
	return &f->sums[f->n++];
}

/*
 * An event loop's own line is idle also while it does not wait, or not long enough to be listed.
 * All idle time of a line is one more sum, which is of no wait.
 */
static struct wait_kind all_idle(const struct wait_kind *k)
{
	return (struct wait_kind){.file = k->file, .line = k->line, .idle = 1};
}

/* --- the waits of a block --- */

/* A wait as it lies in the stretch. */
struct part {
	uint64_t start_ns, end_ns;
};

static void add_wait(struct finder *f, uint16_t thread, const struct wait_kind *kind,
		     struct part part, bool began_before)
{
	const struct trace_reason *reason = trace_get_reason(f->trace, kind->reason);
	struct wait_kind k = *kind;
	struct wait_kind idle = all_idle(kind);
	struct sum *s;

	if (k.idle)
		need_sum(f, &idle, false)->ns += part.end_ns - part.start_ns;
	k.reason = reason ? reason->same_as : 0;
	k.native = 0;
	s = need_sum(f, &k, true);
	if (!began_before || s->thread != thread || s->last_end_ns + ROUNDING_NS < part.start_ns)
		s->last_start_ns = part.start_ns;
	s->thread = thread;
	s->last_end_ns = part.end_ns;
	s->ns += part.end_ns - part.start_ns;
	if (s->last_end_ns - s->last_start_ns > s->longest_end_ns - s->longest_start_ns) {
		s->longest_start_ns = s->last_start_ns;
		s->longest_end_ns = s->last_end_ns;
	}
	if (s->last_start_ns <= f->start_ns && s->last_end_ns >= f->end_ns)
		s->parked_ns += f->end_ns - f->start_ns;
}

/* Bring a time from a trace between two others. */
static uint64_t between(uint64_t low, uint64_t value, uint64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/*
 * Those outside followed code (file 0) are not counted, but they are no running either.
 * @ret  one for each, in order; they do not overlap
 */
static struct part *add_waits(struct finder *f, const struct block_row *row,
			      const struct wait_list *list)
{
	uint64_t low = row->first_ns > f->start_ns ? row->first_ns : f->start_ns;
	uint64_t high = row->last_ns < f->end_ns ? row->last_ns : f->end_ns;
	struct part *parts = xcalloc(list->n_items + 1, sizeof(*parts));

	for (size_t i = 0; i < list->n_items; i++) {
		const struct wait_item *w = &list->items[i];
		uint64_t start = row->first_ns + w->start_ns;
		uint64_t end = w->flags & WAIT_GOES_ON ? row->last_ns : start + w->length_ns;

		parts[i].start_ns = between(low, start, high);
		parts[i].end_ns = between(parts[i].start_ns, end, high);
		low = parts[i].end_ns;
		if (parts[i].end_ns > parts[i].start_ns && list->kinds[w->kind].file)
			add_wait(f, row->thread, &list->kinds[w->kind], parts[i],
				 w->flags & WAIT_BEGAN_BEFORE);
	}
	return parts;
}

/* --- its lines --- */

struct lines {
	const struct part *waits;
	size_t n_waits;
	size_t at;    /* those before are over */
	uint64_t *ns; /* of each line of the block */
};

/* From start to end the line was on top: what of that is no wait. */
static void add_stretch(struct lines *l, uint32_t line, uint64_t start_ns, uint64_t end_ns)
{
	uint64_t ns;

	if (end_ns <= start_ns)
		return;
	ns = end_ns - start_ns;
	while (l->at < l->n_waits && l->waits[l->at].end_ns <= start_ns)
		l->at++;
	for (size_t i = l->at; i < l->n_waits && l->waits[i].start_ns < end_ns; i++)
		ns -= between(start_ns, l->waits[i].end_ns, end_ns) -
		      between(start_ns, l->waits[i].start_ns, end_ns);
	if (line != BLOCK_NO_LINE)
		l->ns[line] += ns;
}

static uint32_t top_of(const struct block_decoder *d)
{
	uint32_t depth;
	const uint32_t *stack = block_decoder_stack(d, &depth);

	return depth ? stack[depth - 1] : BLOCK_NO_LINE;
}

static int walk_events(const struct finder *f, const struct block_row *row, struct block_decoder *d,
		       struct lines *l)
{
	uint64_t high = row->last_ns < f->end_ns ? row->last_ns : f->end_ns;
	uint64_t at = between(f->start_ns, row->first_ns, high);
	uint32_t top = top_of(d);
	struct block_event event;
	int r = 1;

	while (at < high && (r = block_decoder_next(d, &event)) == 1) {
		uint64_t next = between(at, row->first_ns + event.offset_ns, high);

		add_stretch(l, top, at, next);
		at = next;
		top = top_of(d);
	}
	if (r < 0)
		return r;
	add_stretch(l, top, at, high);
	return 0;
}

static void add_lines(struct finder *f, const struct block_line *lines, uint32_t n,
		      const uint64_t *ns)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct trace_code *code =
		    ns[i] ? trace_get_code(f->trace, lines[i].code) : NULL;
		struct wait_kind k = {.line = lines[i].line};

		if (!code)
			continue;
		k.file = code->file;
		need_sum(f, &k, false)->ns += ns[i];
	}
}

static int add_block(struct finder *f, const struct block_row *row)
{
	auto_release(block_decoder_free) struct block_decoder *d = NULL;
	auto_free struct part *parts = NULL;
	auto_free uint64_t *ns = NULL;
	const struct block_line *lines;
	struct wait_list list;
	struct lines l = {0};
	uint32_t n_lines;
	int r = trace_block_waits(f->trace, row->id, &list);

	if (r == 0)
		parts = add_waits(f, row, &list);
	l.n_waits = list.n_items;
	wait_list_done(&list);
	if (!parts)
		return r;
	l.waits = parts;
	r = trace_decode_block(f->trace, row->id, &d);
	if (r < 0)
		return r;
	lines = block_decoder_lines(d, &n_lines);
	ns = xcalloc((size_t)n_lines + 1, sizeof(*ns));
	l.ns = ns;
	r = walk_events(f, row, d, &l);
	add_lines(f, lines, n_lines, ns);
	return r;
}

/* --- all of them --- */

static int first_block(struct finder *f, uint16_t thread, struct block_row *ret)
{
	int r = trace_block_at(f->trace, thread, f->start_ns, ret);

	return r == 0 ? trace_block_end(f->trace, thread, FORWARDS, ret) : r;
}

static void add_thread(struct finder *f, uint16_t thread)
{
	struct block_row row;
	int r = first_block(f, thread, &row);

	while (r == 1 && row.first_ns < f->end_ns) {
		if (row.last_ns > f->start_ns) {
			if (f->n_blocks++ >= MAX_BLOCKS) {
				f->is_partial = true;
				return;
			}
			if (add_block(f, &row) < 0)
				f->is_partial = true;
		}
		r = trace_block_beside(f->trace, &row, FORWARDS, &row);
	}
	if (r < 0)
		f->is_partial = true;
}

static uint64_t weight(const struct sum *s)
{
	uint64_t parked_ns = s->parked_ns < s->ns ? s->parked_ns : s->ns;

	return s->ns - parked_ns + parked_ns / PARKED_COUNTS_LESS;
}

static bool is_before(const struct sum *a, const struct sum *b)
{
	if (a->kind.idle != b->kind.idle)
		return !a->kind.idle;
	return weight(a) > weight(b);
}

/* Whether it counts as something that was done; takes note of idle time. */
static bool is_candidate(const struct finder *f, const struct sum *s, uint64_t *idle_ns)
{
	struct wait_kind idle = all_idle(&s->kind);
	const struct sum *all;
	uint64_t ns = s->ns;

	if (s->is_wait)
		return s->ns > 0;
	if (!s->kind.idle) {
		all = find_sum(f, &idle, false);
		if (!all)
			return s->ns > 0;
		ns += all->ns;
	}
	if (ns > *idle_ns)
		*idle_ns = ns;
	return false;
}

static void choose(const struct finder *f, struct chain_activity *ret)
{
	const struct sum *best = NULL;

	*ret = (struct chain_activity){.is_partial = f->is_partial};
	for (size_t i = 0; i < f->n; i++) {
		const struct sum *s = &f->sums[i];

		if (is_candidate(f, s, &ret->idle_ns) && (!best || is_before(s, best)))
			best = s;
	}
	if (!best)
		return;
	ret->kind = best->kind;
	ret->is_wait = best->is_wait;
	ret->ns = best->ns;
	ret->longest_start_ns = best->longest_start_ns;
	ret->longest_end_ns = best->longest_end_ns;
}

void chain_activity_find(struct trace *t, uint64_t start_ns, uint64_t end_ns,
			 struct chain_activity *ret)
{
	struct finder f = {.trace = t, .start_ns = start_ns, .end_ns = end_ns};
	auto_free struct trace_thread *threads = NULL;
	size_t n = 0;

	if (trace_threads(t, &threads, &n) < 0)
		f.is_partial = true;
	for (size_t i = 0; i < n; i++) {
		if (threads[i].first_ns < end_ns &&
		    (threads[i].last_ns == 0 || threads[i].last_ns > start_ns))
			add_thread(&f, threads[i].id);
	}
	choose(&f, ret);
	hash_index_done(&f.index);
	free(f.sums);
}
