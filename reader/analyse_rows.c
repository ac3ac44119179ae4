/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows from the indexes, with a walk over no more than what these can't tell. */
#include "reader/analyse_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/analyse.h"
#include "reader/function_lines.h"
#include "reader/selection.h"
#include "reader/trace_seek.h"
#include "reader/walk.h"

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
	struct line_sums *sums;	    /* by line, or */
	struct analysis_rows *rows; /* by function */
	bool is_of_functions;	    /* lines, but only those of functions that were asked for */
	int64_t from_block;	    /* those before have no index */
	uint64_t observed_ns;
	int64_t *whole; /* blocks that lie inside */
	size_t n_whole, cap_whole;
	/* Of the thread at hand, what a walk is still to find; neighbouring blocks together. */
	bool has_range;
	struct walk_range range;
};

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void take_part(struct interval *in, const struct analysis_rows *part)
{
	for (size_t i = 0; i < part->n; i++) {
		const struct trace_line *l = &part->rows[i].sum;

		trace_line_add(
		    in->rows
			? &analysis_rows_get(in->rows, l->file, l->line, part->rows[i].code)->sum
			: line_sums_get(in->sums, l->file, l->line),
		    l);
	}
	in->observed_ns += part->observed_ns;
}

static int decode_range(struct interval *in)
{
	const struct row_walk what = {
	    .a = in->a,
	    .by_function = in->rows,
	    .is_filtered = in->rows || in->is_of_functions,
	};
	struct analysis_rows part = {0};
	int r;

	if (!in->has_range)
		return 0;
	in->has_range = false;
	r = analysis_walk(&what, &in->range, &part);
	take_part(in, &part);
	analysis_rows_done(&part);
	return r;
}

static void add_to_range(struct interval *in, const struct block_row *b, uint64_t start_ns,
			 uint64_t end_ns)
{
	if (!in->has_range)
		in->range = (struct walk_range){.first = *b, .since_ns = start_ns};
	in->range.last = b->id;
	in->range.until_ns = end_ns;
	in->has_range = true;
}

/* Returns 1; 0 when a walk has to; or a negative errno. */
static int add_whole(struct interval *in, const struct block_row *b)
{
	if (b->id < in->from_block)
		return 0;
	if (in->is_of_functions)
		return function_lines_add(in->a, b->id, in->sums);
	in->whole = xgrow(in->whole, &in->cap_whole, in->n_whole + 1, sizeof(*in->whole));
	in->whole[in->n_whole++] = b->id;
	return 1;
}

static int add_block(struct interval *in, const struct block_row *b)
{
	const struct selection *s = in->a->selection;
	uint64_t start_ns = b->first_ns > s->since_ns ? b->first_ns : s->since_ns;
	uint64_t end_ns = b->last_ns < s->until_ns ? b->last_ns : s->until_ns;

	if (start_ns > end_ns || (start_ns == end_ns && b->first_ns < b->last_ns))
		return 0;
	if (start_ns == b->first_ns && end_ns == b->last_ns && add_whole(in, b) == 1) {
		in->observed_ns += end_ns - start_ns;
		return decode_range(in);
	}
	/* Where the block can't be read, the walk says so. */
	add_to_range(in, b, start_ns, end_ns);
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
	note(&error, decode_range(in));
	return r < 0 ? r : error;
}

static int compare_blocks(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

struct function_adder {
	const struct analysis *a;
	struct analysis_rows *rows;
};

/* In the row that a walk would find. */
static void add_function(void *ctx, uint32_t id, const struct trace_line *sum)
{
	const struct function_adder *f = ctx;
	const struct trace_code *code = trace_get_code(f->a->trace, id);
	uint32_t function = 0, file = 0;
	int32_t line = 0;

	if (code) {
		function = code->function;
		file = code->file;
		line = trace_get_code(f->a->trace, function)->first_line;
	}
	if (analysis_filter_has_file(&f->a->filter, file) &&
	    analysis_filter_has_code(&f->a->filter, function))
		trace_line_add(&analysis_rows_get(f->rows, file, line, function)->sum, sum);
}

static int add_functions(const struct analysis *a, int64_t first, int64_t last,
			 struct analysis_rows *ret)
{
	struct function_adder adder = {a, ret};

	return trace_each_function(a->trace, first, last, add_function, &adder);
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
		note(&error, in->rows
				 ? add_functions(in->a, in->whole[i], in->whole[end - 1], in->rows)
				 : trace_add_block_lines(in->a->trace, in->whole[i],
							 in->whole[end - 1], in->sums));
	}
	return error;
}

static int add_interval(struct interval *in)
{
	const struct selection *s = in->a->selection;
	int error = 0;

	for (size_t i = 0; i < s->n_threads; i++)
		note(&error, add_thread(in, s->threads[i]));
	note(&error, add_whole_blocks(in));
	free(in->whole);
	return error;
}

static int sum_interval(const struct analysis *a, struct line_sums *sums, uint64_t *ret_observed_ns)
{
	struct interval in = {
	    .a = a,
	    .sums = sums,
	    .is_of_functions = a->filter.has_codes,
	    .from_block = INT64_MIN,
	};
	int r = add_interval(&in);

	*ret_observed_ns = in.observed_ns;
	return r;
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

/* By function, where the trace has an index of them from that block on. */
static int sum_functions(const struct analysis *a, int64_t from_block, struct analysis_rows *ret,
			 uint64_t *ret_observed_ns)
{
	struct interval in = {.a = a, .rows = ret, .from_block = from_block};
	struct trace_summary summary;
	int error = 0;

	if (!a->selection->is_whole || from_block != INT64_MIN) {
		error = add_interval(&in);
		*ret_observed_ns = in.observed_ns;
		return error;
	}
	note(&error, add_functions(a, INT64_MIN, INT64_MAX, ret));
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

static int sum_lines(const struct analysis *a, struct analysis_rows *ret, uint64_t *ret_observed_ns)
{
	struct line_sums sums = {0};
	bool is_simple = a->selection->is_whole && !a->filter.has_codes;
	int error = is_simple ? sum_whole(a, &sums, ret_observed_ns)
			      : sum_interval(a, &sums, ret_observed_ns);

	take_lines(a, &sums, ret);
	line_sums_done(&sums);
	return error;
}

static int walk_all(const struct analysis *a, struct analysis_rows *ret, uint64_t *ret_observed_ns)
{
	const struct row_walk what = {
	    .a = a,
	    .by_function = a->by_function,
	    .with_durations = a->with_percentiles,
	    .is_filtered = true,
	};
	int r = analysis_walk(&what, NULL, ret);

	*ret_observed_ns = ret->observed_ns;
	return r;
}

int analysis_sum(const struct analysis *a, struct analysis_rows *ret)
{
	int64_t functions_from = INT64_MAX;
	uint64_t observed_ns = 0, alive_ns = 0;
	int error = 0;

	*ret = (struct analysis_rows){0};
	if (a->by_function && !a->with_percentiles)
		note(&error, trace_functions_from(a->trace, &functions_from));
	if (functions_from < INT64_MAX)
		note(&error, sum_functions(a, functions_from, ret, &observed_ns));
	else if (a->by_function || a->with_percentiles)
		note(&error, walk_all(a, ret, &observed_ns));
	else
		note(&error, sum_lines(a, ret, &observed_ns));
	drop_empty(ret);
	note(&error, analysis_alive_ns(a, &alive_ns));
	ret->observed_ns = observed_ns;
	ret->unobserved_ns = less(alive_ns, observed_ns);
	return error;
}
