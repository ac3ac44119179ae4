/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/function_lines.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/analyse.h"
#include "reader/trace_lines.h"

/* What a function has of a line in the block. */
struct place {
	uint32_t file;
	int32_t line;
	uint32_t function;
	bool is_asked;
	bool is_mixed; /* one that was asked for stands on that line, and another one */
	/* Of a mixed one: */
	bool is_known;
	struct trace_line sum;
};

struct places {
	struct trace *trace;
	struct place *places; /* by file, line and function; each once */
	size_t n;
};

static int compare_lines(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return (x->line > y->line) - (x->line < y->line);
}

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int r = compare_lines(a, b);

	return r ? r : (x->function > y->function) - (x->function < y->function);
}

/* Returns false where a code object is not known. */
static bool add_places(struct places *p, const struct analysis *a, const struct block_line *lines,
		       uint32_t n)
{
	size_t n_unique = 0;

	p->places = xcalloc((size_t)n + 1, sizeof(*p->places));
	for (uint32_t i = 0; i < n; i++) {
		const struct trace_code *code = trace_get_code(a->trace, lines[i].code);

		if (!code)
			return false;
		p->places[i] = (struct place){
		    .file = code->file,
		    .line = lines[i].line,
		    .function = code->function,
		    .is_asked = analysis_filter_has_code(&a->filter, code->function),
		};
	}
	qsort(p->places, n, sizeof(*p->places), compare_places);
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || compare_places(&p->places[n_unique - 1], &p->places[i]) != 0)
			p->places[n_unique++] = p->places[i];
	}
	p->n = n_unique;
	return true;
}

/* Returns how many are; or -1 when two that were asked for share a line with another one. */
static int mark_mixed(struct places *p)
{
	int n_mixed = 0;

	for (size_t i = 0, end; i < p->n; i = end) {
		size_t n_asked = 0;

		for (end = i; end < p->n && compare_lines(&p->places[i], &p->places[end]) == 0;)
			n_asked += p->places[end++].is_asked;
		if (n_asked == 0 || n_asked == end - i)
			continue;
		/* Times of two functions can't be added: one may have called the other. */
		if (n_asked > 1)
			return -1;
		for (; i < end; i++, n_mixed++)
			p->places[i].is_mixed = true;
	}
	return n_mixed;
}

static void on_part(void *ctx, uint32_t id, const struct trace_line *sum)
{
	struct places *p = ctx;
	const struct trace_code *code = trace_get_code(p->trace, id);
	const struct place key = {
	    .file = sum->file, .line = sum->line, .function = code ? code->function : 0};
	struct place *found = bsearch(&key, p->places, p->n, sizeof(*p->places), compare_places);

	if (!found)
		return;
	found->is_known = true;
	trace_line_add(&found->sum, sum);
}

/* Whether the trace tells all that are mixed apart. Returns 1, 0, or a negative errno. */
static int find_mixed(struct places *p, int64_t block)
{
	int n_mixed = mark_mixed(p), r;

	if (n_mixed <= 0)
		return n_mixed == 0;
	r = trace_each_shared(p->trace, block, on_part, p);
	for (size_t i = 0; r == 0 && i < p->n; i++) {
		if (p->places[i].is_mixed && !p->places[i].is_known)
			return 0;
	}
	return r < 0 ? r : 1;
}

static void add_sums(const struct places *p, const struct line_sums *of_block,
		     struct line_sums *sums)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct place *place = &p->places[i];
		const struct trace_line *sum = &place->sum;

		/* A line of several that were asked for is in the list more than once. */
		if (!place->is_asked ||
		    (i && compare_lines(place - 1, place) == 0 && !place->is_mixed))
			continue;
		if (!place->is_mixed)
			sum = line_sums_find(of_block, place->file, place->line);
		if (sum)
			trace_line_add(line_sums_get(sums, place->file, place->line), sum);
	}
}

static bool is_any_asked(const struct places *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->places[i].is_asked)
			return true;
	}
	return false;
}

static int add_block(struct places *p, int64_t block, struct line_sums *sums)
{
	struct line_sums of_block = {0};
	int r;

	if (!is_any_asked(p))
		return 1;
	r = find_mixed(p, block);
	if (r <= 0)
		return r;
	r = trace_add_block_lines(p->trace, block, block, &of_block);
	if (r == 0)
		add_sums(p, &of_block, sums);
	line_sums_done(&of_block);
	return r < 0 ? r : 1;
}

int function_lines_add(const struct analysis *a, int64_t block, struct line_sums *sums)
{
	auto_free struct block_line *lines = NULL;
	struct places p = {.trace = a->trace};
	uint32_t n = 0;
	int r = trace_block_lines(a->trace, block, &lines, &n);

	if (r == 0 && add_places(&p, a, lines, n))
		r = add_block(&p, block, sums);
	free(p.places);
	return r;
}
