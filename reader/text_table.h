/* SPDX-License-Identifier: BSD-3-Clause */
/* A table that is put together first, so that each column is as wide as it has to be. */
#ifndef READER_TEXT_TABLE_H
#define READER_TEXT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_TABLE_COLUMNS_MAX 10

struct text_table_column {
	const char *header;
	bool is_number; /* at the right of its column */
	/*
	 * 0: always whole. Else the table is made to fit the terminal by cutting these cells, down
	 * to so many columns.
	 */
	size_t min_width;
};

struct text_table {
	const struct text_table_column *columns; /* lent */
	size_t n_columns;			 /* at most TEXT_TABLE_COLUMNS_MAX */
	char **cells;				 /* row by row */
	size_t n_cells, cap_cells;
};

/* The next cell: any text, which is made safe to print; NULL is "-". */
void text_table_add(struct text_table *t, const char *text);

/*
 * With the headers, on standard output.
 * @width  of the terminal; 0: nothing is cut
 */
void text_table_print(const struct text_table *t, size_t width);

void text_table_done(struct text_table *t);
#define auto_text_table __attribute__((cleanup(text_table_done)))

#endif
