/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/block_split.h"

#include <stdlib.h>

#include "common/wait_codec.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "reader/trace_lines.h"

/* Of the stretches of a line that are listed as one thing, what is in truth another. */
struct source {
	uint64_t listed_ns, seen_ns;
	uint64_t moved_ns[N_SPLIT_KINDS]; /* in all; 0 for its own kind */
	uint64_t all_ns, all_told_ns;	  /* of these, and so much of it was told */
};

struct split_line {
	uint32_t file;
	int32_t line;
	struct source of[N_SPLIT_KINDS];
};

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

void block_split_wait_bounds(const struct block_row *row, const struct wait_item *item,
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

/* What each kind has too much by the list, compared with the index, goes to those with too little.
 */
static void plan(struct split_line *l, const struct trace_line *truth)
{
	const uint64_t wanted_ns[N_SPLIT_KINDS] = {
	    [SPLIT_ON_CPU] = truth->self_ns - truth->wait_ns - truth->ready_ns,
	    [SPLIT_WAITING] = truth->wait_ns,
	    [SPLIT_READY] = truth->ready_ns,
	};
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
static void add_listed(struct block_split *s, const struct block_row *row,
		       const struct wait_list *waits)
{
	for (size_t i = 0; i < waits->n_items; i++) {
		const struct wait_kind *kind = &waits->kinds[waits->items[i].kind];
		uint32_t line = block_split_line(s, kind->file, kind->line);
		enum split_kind what = kind->state == WAIT_FOR_CPU ? SPLIT_READY : SPLIT_WAITING;
		uint64_t start_ns, end_ns;

		block_split_wait_bounds(row, &waits->items[i], &start_ns, &end_ns);
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
	s->lines[s->n_lines] = (struct split_line){.file = truth->file, .line = truth->line};
	hash_index_add(&s->index, line_hash(truth->file, truth->line), (uint32_t)s->n_lines);
	s->n_lines++;
}

int block_split_load(struct block_split *s, struct trace *t, const struct block_row *row,
		     const struct wait_list *waits)
{
	struct line_sums truth = {0};
	int r = trace_block_off(t, row->id, &truth);

	hash_index_done(&s->index);
	s->index = (struct hash_index){0};
	s->n_lines = 0;
	for (size_t i = 0; r == 0 && i < truth.n; i++)
		add_line(s, &truth.lines[i]);
	add_listed(s, row, waits);
	for (size_t i = 0; i < s->n_lines; i++) {
		struct split_line *l = &s->lines[i];
		const struct trace_line *sum = line_sums_find(&truth, l->file, l->line);
		uint64_t off_ns = l->of[SPLIT_WAITING].listed_ns + l->of[SPLIT_READY].listed_ns;

		if (off_ns > sum->self_ns)
			continue;
		l->of[SPLIT_ON_CPU].listed_ns = sum->self_ns - off_ns;
		plan(l, sum);
	}
	line_sums_done(&truth);
	return r;
}

void block_split_add(struct block_split *s, uint32_t line, enum split_kind kind, uint64_t ns,
		     struct time_split *sum)
{
	unsigned next = (kind + 1u) % N_SPLIT_KINDS, other = (kind + 2u) % N_SPLIT_KINDS;
	struct source *of;
	uint64_t all_ns, next_ns;

	sum->ns[kind] += ns;
	if (line == SPLIT_NO_LINE || !s->lines[line].of[kind].all_ns)
		return;
	of = &s->lines[line].of[kind];
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
	free(s->lines);
	hash_index_done(&s->index);
	*s = (struct block_split){0};
}
