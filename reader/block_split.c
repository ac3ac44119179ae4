/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/block_split.h"

#include <stdlib.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/block_split_private.h"
#include "reader/trace.h"
#include "reader/trace_lines.h"

/* Two units of a wait's times. */
#define MAX_EARLY_NS (2u << WAIT_TIME_SHIFT)

__extension__ typedef unsigned __int128 wide;

/* ns * part / whole, rounded down; part is at most whole. */
static uint64_t scale(uint64_t ns, uint64_t part, uint64_t whole)
{
	return (uint64_t)((wide)ns * part / whole);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Where a wait begins and ends in its block, in ns since the block's first time. */
static void wait_bounds(const struct block_row *row, const struct wait_item *item,
			uint64_t *ret_start_ns, uint64_t *ret_end_ns)
{
	uint64_t span_ns = row->last_ns - row->first_ns;
	uint64_t start_ns = least(item->start_ns, span_ns);

	*ret_start_ns = start_ns;
	*ret_end_ns = span_ns;
	if (!(item->flags & WAIT_GOES_ON) && item->length_ns < span_ns - start_ns)
		*ret_end_ns = start_ns + item->length_ns;
}

static uint32_t line_hash(uint32_t file, int32_t line)
{
	return hash_fold(hash_mix(file, (uint32_t)line));
}

uint32_t block_split_line(const struct block_split *s, uint32_t file, int32_t line)
{
	if (!s->n_lines)
		return SPLIT_NO_LINE;
	HASH_INDEX_FOR_EACH(&s->index, line_hash(file, line), at, id)
	{
		if (s->lines[id].file == file && s->lines[id].line == line)
			return id;
	}
	return SPLIT_NO_LINE;
}

void split_line_plan(struct split_line *l)
{
	const uint64_t *wanted_ns = l->wanted_ns;
	uint64_t missing_ns[N_SPLIT_KINDS] = {0};

	for (int k = 0; k < N_SPLIT_KINDS; k++) {
		if (wanted_ns[k] > l->of[k].listed_ns)
			missing_ns[k] = wanted_ns[k] - l->of[k].listed_ns;
	}
	for (int from = 0; from < N_SPLIT_KINDS; from++) {
		struct source *s = &l->of[from];
		uint64_t left_ns =
		    s->listed_ns > wanted_ns[from] ? s->listed_ns - wanted_ns[from] : 0;

		for (int to = 0; to < N_SPLIT_KINDS; to++) {
			s->moved_ns[to] = least(left_ns, missing_ns[to]);
			s->all_ns += s->moved_ns[to];
			left_ns -= s->moved_ns[to];
			missing_ns[to] -= s->moved_ns[to];
		}
	}
}

/* Add up the waits that are listed, by the line that they are on. */
static void add_listed(struct block_split *s, const struct block_row *row)
{
	const struct wait_list *waits = &s->waits;

	for (size_t i = 0; i < waits->n_items; i++) {
		const struct wait_kind *kind = &waits->kinds[waits->items[i].kind];
		uint32_t line = block_split_line(s, kind->file, kind->line);
		enum split_kind what = kind->state == WAIT_FOR_CPU ? SPLIT_READY : SPLIT_WAITING;
		uint64_t start_ns, end_ns;

		wait_bounds(row, &waits->items[i], &start_ns, &end_ns);
		if (line != SPLIT_NO_LINE)
			s->lines[line].of[what].listed_ns += end_ns - start_ns;
	}
}

static void add_line(struct block_split *s, const struct trace_line *truth)
{
	/* Not from a recorder. */
	if (truth->wait_ns > truth->self_ns || truth->ready_ns > truth->self_ns - truth->wait_ns)
		return;
	s->lines = xgrow(s->lines, &s->cap_lines, s->n_lines + 1, sizeof(*s->lines));
	s->lines[s->n_lines] = (struct split_line){
	    .file = truth->file,
	    .line = truth->line,
	    .whole = (uint32_t)s->n_lines,
	    .by = (uint32_t)s->n_lines,
	    .wanted_ns =
		{
		    [SPLIT_ON_CPU] = truth->self_ns - truth->wait_ns - truth->ready_ns,
		    [SPLIT_WAITING] = truth->wait_ns,
		    [SPLIT_READY] = truth->ready_ns,
		},
	};
	hash_index_add(&s->index, line_hash(truth->file, truth->line), (uint32_t)s->n_lines);
	s->n_lines++;
}

static int load_lines(struct block_split *s, struct trace *t, const struct block_row *row)
{
	struct line_sums truth = {0};
	int r = trace_block_off(t, row->id, &truth);

	for (size_t i = 0; r == 0 && i < truth.n; i++)
		add_line(s, &truth.lines[i]);
	line_sums_done(&truth);
	s->n_parts = s->n_lines;
	add_listed(s, row);
	for (size_t i = 0; i < s->n_lines; i++) {
		struct split_line *l = &s->lines[i];
		uint64_t off_ns = l->of[SPLIT_WAITING].listed_ns + l->of[SPLIT_READY].listed_ns;

		if (off_ns > split_sum_ns(l->wanted_ns))
			continue;
		l->of[SPLIT_ON_CPU].listed_ns = split_sum_ns(l->wanted_ns) - off_ns;
		split_line_plan(l);
	}
	return r;
}

/*
 * A wait lies between two events. Its start is rounded, so that it can seem to lie before the first
 * of these.
 */
static void clip_waits(struct block_split *s, const struct block_row *row,
		       const struct block_decoder *d)
{
	size_t n = s->waits.n_items;
	auto_free uint64_t *events_ns = xreallocarray(NULL, n, sizeof(*events_ns));
	uint64_t start_ns;

	for (size_t i = 0; i < n; i++)
		wait_bounds(row, &s->waits.items[i], &start_ns, &events_ns[i]);
	block_decoder_events_before(d, events_ns, n);
	for (size_t i = 0; i < n; i++) {
		struct wait_item *item = &s->waits.items[i];
		uint64_t early_ns = events_ns[i] - item->start_ns;

		if (events_ns[i] <= item->start_ns || early_ns > MAX_EARLY_NS ||
		    early_ns > item->length_ns)
			continue;
		item->start_ns += early_ns;
		item->length_ns -= early_ns;
	}
}

/* A wait that goes on from the block before is the one that was counted there. */
static void begin_wait(struct block_split *s)
{
	if (s->wait < s->waits.n_items &&
	    !(s->wait == 0 && s->waits.items[0].flags & WAIT_BEGAN_BEFORE))
		s->n_waits++;
}

static void forget_block(struct block_split *s)
{
	wait_list_done(&s->waits);
	s->waits = (struct wait_list){0};
	s->wait = 0;
	hash_index_done(&s->index);
	hash_index_done(&s->part_index);
	s->index = s->part_index = (struct hash_index){0};
	s->n_lines = s->n_parts = 0;
}

int block_split_load(struct block_split *s, struct trace *t, const struct block_row *row,
		     const struct block_decoder *d)
{
	int r;

	forget_block(s);
	r = trace_decode_waits(t, row->id, &s->waits);
	if (r == 0) {
		clip_waits(s, row, d);
		r = load_lines(s, t, row);
	}
	if (r < 0)
		forget_block(s);
	begin_wait(s);
	return r;
}

const struct wait_item *block_split_find(struct block_split *s, const struct block_row *row,
					 uint64_t at_ns, uint64_t *end_ns)
{
	for (; s->wait < s->waits.n_items; s->wait++, begin_wait(s)) {
		const struct wait_item *item = &s->waits.items[s->wait];
		uint64_t wait_start_ns, wait_end_ns;

		wait_bounds(row, item, &wait_start_ns, &wait_end_ns);
		if (row->first_ns + wait_start_ns > at_ns) {
			*end_ns = least(*end_ns, row->first_ns + wait_start_ns);
			return NULL;
		}
		if (row->first_ns + wait_end_ns > at_ns) {
			*end_ns = least(*end_ns, row->first_ns + wait_end_ns);
			return item;
		}
	}
	return NULL;
}

void block_split_add(struct block_split *s, uint32_t part, enum split_kind kind, uint64_t ns,
		     struct time_split *sum)
{
	unsigned next = (kind + 1u) % N_SPLIT_KINDS, other = (kind + 2u) % N_SPLIT_KINDS;
	struct source *of;
	uint64_t all_ns, next_ns;

	sum->ns[kind] += ns;
	if (part == SPLIT_NO_LINE)
		return;
	of = &s->lines[s->lines[part].by].of[kind];
	if (!of->all_ns)
		return;
	/* By the sums so far, so that the parts add up to the whole however they are rounded. */
	of->seen_ns = least(of->seen_ns + ns, of->listed_ns);
	all_ns = scale(of->all_ns, of->seen_ns, of->listed_ns);
	next_ns = scale(of->moved_ns[next], all_ns, of->all_ns) -
		  scale(of->moved_ns[next], of->all_told_ns, of->all_ns);
	sum->ns[kind] -= all_ns - of->all_told_ns;
	sum->ns[next] += next_ns;
	sum->ns[other] += all_ns - of->all_told_ns - next_ns;
	of->all_told_ns = all_ns;
}

/* Of the first ns of a stretch. */
static struct time_split first_part(const struct time_split *all, uint64_t length_ns, uint64_t ns)
{
	uint64_t off_ns = all->ns[SPLIT_WAITING] + all->ns[SPLIT_READY];
	uint64_t part_ns = length_ns ? scale(off_ns, ns, length_ns) : 0;
	uint64_t wait_ns = off_ns ? scale(all->ns[SPLIT_WAITING], part_ns, off_ns) : 0;

	return (struct time_split){{
	    [SPLIT_ON_CPU] = ns - part_ns,
	    [SPLIT_WAITING] = wait_ns,
	    [SPLIT_READY] = part_ns - wait_ns,
	}};
}

struct time_split time_split_part(const struct time_split *all, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t length_ns = all->ns[SPLIT_ON_CPU] + all->ns[SPLIT_WAITING] + all->ns[SPLIT_READY];
	struct time_split before = first_part(all, length_ns, from_ns);
	struct time_split part = first_part(all, length_ns, to_ns);

	for (int k = 0; k < N_SPLIT_KINDS; k++)
		part.ns[k] -= before.ns[k];
	return part;
}

void block_split_done(struct block_split *s)
{
	forget_block(s);
	free(s->lines);
	*s = (struct block_split){0};
}
