/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/function_lines.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/analyse.h"
#include "reader/trace_lines.h"

/* A line of a file, as one function in a block has it. */
struct place {
	uint32_t file;
	int32_t line;
	bool is_asked;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return (x->line > y->line) - (x->line < y->line);
}

/* Returns false where code is not known. */
static bool get_places(const struct analysis *a, const struct block_line *lines, uint32_t n,
		       struct place *ret)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct trace_code *code = trace_get_code(a->trace, lines[i].code);

		if (!code)
			return false;
		ret[i] = (struct place){
		    .file = code->file,
		    .line = lines[i].line,
		    .is_asked = analysis_filter_has_code(&a->filter, code->function),
		};
	}
	return true;
}

/* In their order: whether functions that were asked for stand on a line with others. */
static bool are_shared(const struct place *places, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		if (compare_places(&places[i - 1], &places[i]) == 0 &&
		    places[i - 1].is_asked != places[i].is_asked)
			return true;
	}
	return false;
}

static bool is_any_asked(const struct place *places, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (places[i].is_asked)
			return true;
	}
	return false;
}

static int add_asked(const struct analysis *a, int64_t block, const struct place *places,
		     uint32_t n, struct line_sums *sums)
{
	struct line_sums all = {0};
	int r = trace_add_block_lines(a->trace, block, block, &all);

	for (size_t i = 0; r == 0 && i < all.n; i++) {
		const struct trace_line *l = &all.lines[i];
		const struct place key = {.file = l->file, .line = l->line}, *found;

		found = bsearch(&key, places, n, sizeof(*places), compare_places);
		if (found && found->is_asked)
			trace_line_add(line_sums_get(sums, l->file, l->line), l);
	}
	line_sums_done(&all);
	return r;
}

int function_lines_add(const struct analysis *a, int64_t block, struct line_sums *sums)
{
	auto_free struct block_line *lines = NULL;
	auto_free struct place *places = NULL;
	uint32_t n = 0;
	int r = trace_block_lines(a->trace, block, &lines, &n);

	if (r < 0 || n == 0)
		return r < 0 ? r : 1;
	places = xcalloc(n, sizeof(*places));
	if (!get_places(a, lines, n, places))
		return 0;
	if (!is_any_asked(places, n))
		return 1;
	qsort(places, n, sizeof(*places), compare_places);
	if (are_shared(places, n))
		return 0;
	r = add_asked(a, block, places, n, sums);
	return r < 0 ? r : 1;
}
