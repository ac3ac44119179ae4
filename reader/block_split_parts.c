/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Functions that stand on one line, told apart. How long each was there, and what of that is
 * listed, its block's events say, so they are gone through once before; only blocks that have such
 * a line with waits on it pay for that.
 */
#include <errno.h>
#include <stdbool.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/block_split_private.h"
#include "reader/split_shares.h"
#include "reader/trace.h"
#include "reader/trace_lines.h"

static uint32_t part_hash(uint32_t whole, uint32_t function)
{
	return hash_fold(hash_mix(whole, function));
}

/* The part of a line that is of a function, or SPLIT_NO_LINE. */
static uint32_t find_part(const struct block_split *s, uint32_t whole, uint32_t function)
{
	if (whole == SPLIT_NO_LINE ||
	    (s->lines[whole].n_parts && s->lines[whole].function == function))
		return whole;
	if (s->n_parts == s->n_lines)
		return SPLIT_NO_LINE;
	HASH_INDEX_FOR_EACH(&s->part_index, part_hash(whole, function), at, id)
	{
		if (s->lines[id].whole == whole && s->lines[id].function == function)
			return id;
	}
	return SPLIT_NO_LINE;
}

uint32_t block_split_part(struct block_split *s, uint32_t file, int32_t line, uint32_t function)
{
	uint32_t whole = block_split_line(s, file, line), found = find_part(s, whole, function);

	if (whole == SPLIT_NO_LINE || found != SPLIT_NO_LINE)
		return found;
	if (!s->lines[whole].n_parts) {
		s->lines[whole].n_parts = 1;
		s->lines[whole].function = function;
		return whole;
	}
	s->lines[whole].n_parts++;
	s->lines = xgrow(s->lines, &s->cap_lines, s->n_parts + 1, sizeof(*s->lines));
	s->lines[s->n_parts] =
	    (struct split_line){.whole = whole, .by = whole, .function = function};
	hash_index_add(&s->part_index, part_hash(whole, function), (uint32_t)s->n_parts);
	return (uint32_t)s->n_parts++;
}

/* How long a part was listed as what; and what the trace has of it, all zeros: nothing. */
struct part_times {
	uint64_t ns[N_SPLIT_KINDS];
	uint64_t told_self_ns, told_wait_ns, told_ready_ns;
};

static void add_stretch(struct block_split *s, const struct block_row *row, uint64_t start_ns,
			uint64_t end_ns, struct part_times *ret)
{
	while (start_ns < end_ns) {
		uint64_t until_ns = end_ns;
		const struct wait_item *item = block_split_find(s, row, start_ns, &until_ns);

		ret->ns[block_split_kind(s, item)] += until_ns - start_ns;
		start_ns = until_ns;
	}
}

static bool is_shared(const struct block_split *s, uint32_t part)
{
	return part != SPLIT_NO_LINE && s->lines[s->lines[part].whole].n_parts > 1;
}

/*
 * What a walk will find.
 * @times  by part; of parts of shared lines
 * Returns 0 or a negative errno.
 */
static int find_times(struct block_split *s, const struct block_row *row, struct block_decoder *d,
		      const uint32_t *parts, struct part_times *times)
{
	uint64_t at_ns = row->first_ns;
	struct block_event event;
	int r;

	do {
		uint32_t depth, part = SPLIT_NO_LINE;
		const uint32_t *stack = block_decoder_stack(d, &depth);
		uint64_t end_ns = row->last_ns;

		if (depth)
			part = parts[stack[depth - 1]];
		r = block_decoder_next(d, &event);
		if (r == 1 && event.offset_ns > row->last_ns - row->first_ns)
			return -EBADMSG;
		if (r == 1)
			end_ns = row->first_ns + event.offset_ns;
		if (is_shared(s, part))
			add_stretch(s, row, at_ns, end_ns, &times[part]);
		at_ns = end_ns;
	} while (r == 1);
	return r;
}

/* As find_times(), of a block of which nothing was found yet. */
static int look_ahead(struct block_split *s, const struct block_row *row,
		      const struct block_decoder *d, const uint32_t *parts,
		      struct part_times *times)
{
	struct block_decoder *ahead = block_decoder_copy(d);
	uint64_t n_waits = s->n_waits;
	int r = find_times(s, row, ahead, parts, times);

	block_decoder_free(ahead);
	s->wait = 0;
	s->n_waits = n_waits;
	return r;
}

struct function_sums {
	struct trace *trace;
	const struct block_split *split;
	struct part_times *times;
	struct line_sums sums; /* with the function for a file */
	uint64_t off_ns;
};

static void on_function(void *ctx, uint32_t id, const struct trace_line *sum)
{
	struct function_sums *f = ctx;
	const struct trace_code *code = trace_get_code(f->trace, id);
	struct trace_line *l = line_sums_get(&f->sums, code ? code->function : 0, 0);

	l->wait_ns += sum->wait_ns;
	l->ready_ns += sum->ready_ns;
	f->off_ns |= sum->wait_ns | sum->ready_ns;
}

static void on_shared(void *ctx, uint32_t id, const struct trace_line *sum)
{
	struct function_sums *f = ctx;
	const struct trace_code *code = trace_get_code(f->trace, id);
	uint32_t part = find_part(f->split, block_split_line(f->split, sum->file, sum->line),
				  code ? code->function : 0);

	if (part == SPLIT_NO_LINE)
		return;
	f->times[part].told_self_ns += sum->self_ns;
	f->times[part].told_wait_ns += sum->wait_ns;
	f->times[part].told_ready_ns += sum->ready_ns;
	f->off_ns |= sum->wait_ns | sum->ready_ns;
}

/* Parts are then known by the number of their function. */
static void number_functions(struct block_split *s, struct split_share *shares,
			     struct function_sums *f)
{
	for (size_t i = 0; i < s->n_parts; i++) {
		const struct trace_line *l = line_sums_get(&f->sums, s->lines[i].function, 0);

		shares[i].line = s->lines[i].whole;
		shares[i].function = (uint32_t)(l - f->sums.lines);
	}
}

/* What of one kind the parts had. Those of a line that has just one are that line. */
static void find_shares(struct block_split *s, enum split_kind kind, const struct function_sums *f,
			const struct part_times *times, struct split_share *shares)
{
	auto_free uint64_t *lines = xcalloc(s->n_lines + 1, sizeof(*lines));
	auto_free uint64_t *functions = xcalloc(f->sums.n + 1, sizeof(*functions));

	for (size_t i = 0; i < s->n_lines; i++)
		lines[i] = s->lines[i].wanted_ns[kind];
	for (size_t i = 0; i < f->sums.n; i++)
		functions[i] =
		    kind == SPLIT_READY ? f->sums.lines[i].ready_ns : f->sums.lines[i].wait_ns;
	for (size_t i = 0; i < s->n_parts; i++) {
		bool is_part = is_shared(s, (uint32_t)i);

		shares[i].most = is_part ? split_sum_ns(times[i].ns) : UINT64_MAX;
		/* The first kind that was found is taken. */
		if (is_part && kind == SPLIT_READY)
			shares[i].most -= shares[i].found;
		shares[i].listed = times[i].ns[kind];
		shares[i].weight = times[i].ns[SPLIT_ON_CPU];
	}
	split_shares_find(shares, s->n_parts, lines, s->n_lines, functions, f->sums.n);
}

/* Whether the index has of a line what events have. Only then can its parts be exact. */
static void mark_exact(const struct block_split *s, const struct part_times *times, bool *is_exact)
{
	auto_free uint64_t *self_ns = xcalloc(s->n_lines + 1, sizeof(*self_ns));

	for (size_t i = 0; i < s->n_parts; i++)
		self_ns[s->lines[i].whole] += split_sum_ns(times[i].ns);
	for (size_t i = 0; i < s->n_lines; i++)
		is_exact[i] =
		    s->lines[i].n_parts > 1 && self_ns[i] == split_sum_ns(s->lines[i].wanted_ns);
}

/*
 * Lines of which the trace tells what each part took. Where what it tells of the parts is not what
 * it tells of the line, or not what events have, it is not from a recorder.
 */
static void mark_told(const struct block_split *s, const struct part_times *times, bool *is_told)
{
	auto_free struct part_times *sums = xcalloc(s->n_lines + 1, sizeof(*sums));

	for (size_t i = 0; i < s->n_lines; i++)
		is_told[i] = true;
	for (size_t i = 0; i < s->n_parts; i++) {
		const struct part_times *t = &times[i];
		uint32_t whole = s->lines[i].whole;

		if (t->told_self_ns != split_sum_ns(t->ns) || t->told_wait_ns > t->told_self_ns ||
		    t->told_ready_ns > t->told_self_ns - t->told_wait_ns)
			is_told[whole] = false;
		sums[whole].told_wait_ns += t->told_wait_ns;
		sums[whole].told_ready_ns += t->told_ready_ns;
	}
	for (size_t i = 0; i < s->n_lines; i++)
		is_told[i] = is_told[i] &&
			     sums[i].told_wait_ns == s->lines[i].wanted_ns[SPLIT_WAITING] &&
			     sums[i].told_ready_ns == s->lines[i].wanted_ns[SPLIT_READY];
}

static void set_wanted(struct split_line *part, const struct part_times *times, uint64_t wait_ns,
		       uint64_t ready_ns)
{
	part->wanted_ns[SPLIT_WAITING] = wait_ns;
	part->wanted_ns[SPLIT_READY] = ready_ns;
	part->wanted_ns[SPLIT_ON_CPU] = split_sum_ns(times->ns) - wait_ns - ready_ns;
}

static void split_parts(struct block_split *s, struct function_sums *f,
			const struct part_times *times)
{
	auto_free struct split_share *shares = xcalloc(s->n_parts + 1, sizeof(*shares));
	auto_free uint64_t *wait_ns = xcalloc(s->n_parts + 1, sizeof(*wait_ns));
	auto_free bool *is_exact = xcalloc(s->n_lines + 1, sizeof(*is_exact));
	auto_free bool *is_told = xcalloc(s->n_lines + 1, sizeof(*is_told));

	mark_exact(s, times, is_exact);
	mark_told(s, times, is_told);
	number_functions(s, shares, f);
	find_shares(s, SPLIT_WAITING, f, times, shares);
	for (size_t i = 0; i < s->n_parts; i++)
		wait_ns[i] = shares[i].found;
	find_shares(s, SPLIT_READY, f, times, shares);
	for (size_t i = 0; i < s->n_parts; i++) {
		struct split_line *part = &s->lines[i];

		if (!is_exact[part->whole])
			continue;
		part->by = (uint32_t)i;
		set_wanted(part, &times[i],
			   is_told[part->whole] ? times[i].told_wait_ns : wait_ns[i],
			   is_told[part->whole] ? times[i].told_ready_ns : shares[i].found);
		for (int k = 0; k < N_SPLIT_KINDS; k++)
			part->of[k] = (struct source){.listed_ns = times[i].ns[k]};
		split_line_plan(part);
	}
}

void block_split_tell_apart(struct block_split *s, struct trace *t, const struct block_row *row,
			    const struct block_decoder *d, const uint32_t *parts)
{
	auto_free struct part_times *times = NULL;
	struct function_sums f = {.trace = t, .split = s};

	if (s->n_parts == s->n_lines)
		return;
	f.times = times = xcalloc(s->n_parts + 1, sizeof(*times));
	trace_each_shared(t, row->id, on_shared, &f);
	/* All zeros: earlier programs wrote no such rows. */
	if (trace_each_function(t, row->id, row->id, on_function, &f) == 0 && f.off_ns &&
	    look_ahead(s, row, d, parts, times) == 0)
		split_parts(s, &f, times);
	line_sums_done(&f.sums);
}
