/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows from the line index, with a walk over no more than what the index can't tell. */
#include "reader/analyse_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/analyse.h"
#include "reader/selection.h"
#include "reader/trace_seek.h"

struct analysis_row *analysis_rows_get(struct analysis_rows *r, uint32_t file, int32_t line,
				       uint32_t code)
{
	uint32_t hash = hash_fold(hash_mix(hash_mix(file, (uint32_t)line), code));

	HASH_INDEX_FOR_EACH(&r->index, hash, at, id)
	{
		struct analysis_row *row = &r->rows[id];

		if (row->sum.file == file && row->sum.line == line && row->code == code)
			return row;
	}
	r->rows = xgrow(r->rows, &r->cap, r->n + 1, sizeof(*r->rows));
	r->rows[r->n] = (struct analysis_row){.sum = {.file = file, .line = line}, .code = code};
	hash_index_add(&r->index, hash, (uint32_t)r->n);
	return &r->rows[r->n++];
}

void analysis_rows_done(struct analysis_rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		durations_done(&r->rows[i].durations);
	free(r->rows);
	hash_index_done(&r->index);
	*r = (struct analysis_rows){0};
}

static void note(int *error, int r)
{
	if (r < 0 && *error == 0)
		*error = r;
}

/* --- an interval --- */

struct interval {
	const struct analysis *a;
	struct line_sums *sums;
	uint64_t observed_ns;
	int64_t *whole; /* blocks that lie inside */
	size_t n_whole, cap_whole;
};

/* What a walk finds from start_ns to end_ns of one thread, by line. */
static int walk_part(const struct analysis *a, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
		     struct analysis_rows *ret)
{
	const struct row_walk what = {.a = a};
	const struct selection part = {
	    .since_ns = start_ns,
	    .until_ns = end_ns,
	    .threads = &thread,
	    .n_threads = 1,
	};

	return analysis_walk(&what, &part, ret);
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static int add_partial_block(struct interval *in, const struct block_row *b, uint64_t start_ns,
			     uint64_t end_ns)
{
	struct analysis_rows part = {0};
	int r = walk_part(in->a, b->thread, start_ns, end_ns, &part);

	for (size_t i = 0; i < part.n; i++) {
		const struct trace_line *l = &part.rows[i].sum;
		struct trace_line *sum = line_sums_get(in->sums, l->file, l->line);

		sum->visits += l->visits;
		sum->self_ns += l->self_ns;
		sum->total_ns += l->total_ns;
		sum->wait_ns += l->wait_ns;
		sum->ready_ns += l->ready_ns;
		sum->gil_ns += l->gil_ns;
	}
	in->observed_ns += part.observed_ns;
	analysis_rows_done(&part);
	return r;
}

static int add_block(struct interval *in, const struct block_row *b)
{
	const struct selection *s = in->a->selection;
	uint64_t start_ns = b->first_ns > s->since_ns ? b->first_ns : s->since_ns;
	uint64_t end_ns = b->last_ns < s->until_ns ? b->last_ns : s->until_ns;

	if (start_ns > end_ns || (start_ns == end_ns && b->first_ns < b->last_ns))
		return 0;
	if (start_ns != b->first_ns || end_ns != b->last_ns)
		return add_partial_block(in, b, start_ns, end_ns);
	in->whole = xgrow(in->whole, &in->cap_whole, in->n_whole + 1, sizeof(*in->whole));
	in->whole[in->n_whole++] = b->id;
	in->observed_ns += end_ns - start_ns;
	return 0;
}

static int add_thread(struct interval *in, uint16_t thread)
{
	const struct selection *s = in->a->selection;
	struct block_row b;
	int error = 0, r = trace_block_at(in->a->trace, thread, s->since_ns, &b);

	if (r == 0)
		r = trace_block_end(in->a->trace, thread, FORWARDS, &b);
	while (r == 1 && b.first_ns < s->until_ns) {
		note(&error, add_block(in, &b));
		r = trace_block_beside(in->a->trace, &b, FORWARDS, &b);
	}
	return r < 0 ? r : error;
}

static int compare_blocks(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Most of them follow one another: a few questions instead of one for each. */
static int add_whole_blocks(struct interval *in)
{
	int error = 0;

	if (in->n_whole)
		qsort(in->whole, in->n_whole, sizeof(*in->whole), compare_blocks);
	for (size_t i = 0, end; i < in->n_whole; i = end) {
		for (end = i + 1; end < in->n_whole && in->whole[end] == in->whole[end - 1] + 1;)
			end++;
		note(&error, trace_add_block_lines(in->a->trace, in->whole[i], in->whole[end - 1],
						   in->sums));
	}
	return error;
}

static int sum_interval(const struct analysis *a, struct line_sums *sums, uint64_t *ret_observed_ns)
{
	struct interval in = {.a = a, .sums = sums};
	const struct selection *s = a->selection;
	int error = 0;

	for (size_t i = 0; i < s->n_threads; i++)
		note(&error, add_thread(&in, s->threads[i]));
	note(&error, add_whole_blocks(&in));
	free(in.whole);
	*ret_observed_ns = in.observed_ns;
	return error;
}

/* --- all of it --- */

static int sum_whole(const struct analysis *a, struct line_sums *sums, uint64_t *ret_observed_ns)
{
	struct trace_summary summary;
	int error = 0;

	note(&error, trace_add_lines(a->trace, sums));
	note(&error, trace_summarise(a->trace, &summary));
	*ret_observed_ns = summary.observed_ns;
	return error;
}

static void take_lines(const struct analysis *a, const struct line_sums *sums,
		       struct analysis_rows *ret)
{
	for (size_t i = 0; i < sums->n; i++) {
		const struct trace_line *l = &sums->lines[i];

		if (analysis_filter_has_file(&a->filter, l->file))
			analysis_rows_get(ret, l->file, l->line, 0)->sum = *l;
	}
}

/* A walk also knows lines that are in a block but not in the part of it that was asked for. */
static void drop_empty(struct analysis_rows *rows)
{
	size_t n = 0;

	for (size_t i = 0; i < rows->n; i++) {
		const struct trace_line *sum = &rows->rows[i].sum;

		if (sum->visits || sum->self_ns || sum->total_ns || rows->rows[i].durations.n)
			rows->rows[n++] = rows->rows[i];
	}
	rows->n = n;
	/* It had their numbers. */
	hash_index_done(&rows->index);
}

int analysis_sum(const struct analysis *a, struct analysis_rows *ret)
{
	struct line_sums sums = {0};
	struct row_walk what = {
	    .a = a,
	    .by_function = a->by_function,
	    .with_durations = a->with_percentiles,
	    .is_filtered = true,
	};
	uint64_t observed_ns = 0, alive_ns = 0;
	int error = 0;

	*ret = (struct analysis_rows){0};
	note(&error, a->selection->is_whole ? sum_whole(a, &sums, &observed_ns)
					    : sum_interval(a, &sums, &observed_ns));
	if (a->by_function || a->with_percentiles || a->filter.has_codes)
		note(&error, analysis_walk(&what, a->selection, ret));
	else
		take_lines(a, &sums, ret);
	drop_empty(ret);
	note(&error, analysis_alive_ns(a, &alive_ns));
	ret->observed_ns = observed_ns;
	ret->unobserved_ns = less(alive_ns, observed_ns);
	line_sums_done(&sums);
	return error;
}
