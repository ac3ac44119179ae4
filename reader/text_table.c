/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/text_table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "common/xalloc.h"

#define BETWEEN 2

void text_table_add(struct text_table *t, const char *text)
{
	t->cells = xgrow(t->cells, &t->cap_cells, t->n_cells + 1, sizeof(*t->cells));
	t->cells[t->n_cells++] =
	    text ? text_escape(text, strlen(text), "", text_locale_charset()) : xstrdup("-");
}

static void widen(size_t *width, const char *text)
{
	size_t n = text_width(text);

	if (n > *width)
		*width = n;
}

static void measure(const struct text_table *t, size_t widths[static TEXT_TABLE_COLUMNS_MAX])
{
	assert(t->n_columns > 0 && t->n_columns <= TEXT_TABLE_COLUMNS_MAX);
	for (size_t i = 0; i < t->n_columns; i++)
		widths[i] = strlen(t->columns[i].header);
	for (size_t i = 0; i < t->n_cells; i++)
		widen(&widths[i % t->n_columns], t->cells[i]);
}

/* Take from the columns that may be cut, the first one first. */
static void shrink(const struct text_table *t, size_t widths[static TEXT_TABLE_COLUMNS_MAX],
		   size_t width)
{
	size_t total = BETWEEN * (t->n_columns - 1);

	for (size_t i = 0; i < t->n_columns; i++)
		total += widths[i];
	for (size_t i = 0; i < t->n_columns && total > width; i++) {
		size_t least = t->columns[i].min_width, excess = total - width;

		if (least == 0 || widths[i] <= least)
			continue;
		if (excess > widths[i] - least)
			excess = widths[i] - least;
		widths[i] -= excess;
		total -= excess;
	}
}

static void print_blanks(size_t n)
{
	printf("%*s", (int)n, "");
}

static void print_cell(const struct text_table *t, size_t column, const char *text, size_t width)
{
	auto_free char *cut = t->columns[column].min_width
				  ? text_cut_right(text, width, text_locale_charset())
				  : xstrdup(text);
	size_t n = text_width(cut), pad = n < width ? width - n : 0;
	bool is_last = column + 1 == t->n_columns;

	if (t->columns[column].is_number)
		print_blanks(pad);
	fputs(cut, stdout);
	if (is_last)
		putchar('\n');
	else
		print_blanks(BETWEEN + (t->columns[column].is_number ? 0 : pad));
}

void text_table_print(const struct text_table *t, size_t width)
{
	const size_t n_columns = t->n_columns;
	size_t widths[TEXT_TABLE_COLUMNS_MAX];

	assert(n_columns > 0 && n_columns <= TEXT_TABLE_COLUMNS_MAX);
	measure(t, widths);
	if (width)
		shrink(t, widths, width);
	for (size_t i = 0; i < n_columns; i++)
		print_cell(t, i, t->columns[i].header, widths[i]);
	for (size_t i = 0; i < t->n_cells; i++)
		print_cell(t, i % n_columns, t->cells[i], widths[i % n_columns]);
}

void text_table_done(struct text_table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	t->cells = NULL;
	t->n_cells = t->cap_cells = 0;
}
