/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of lines or functions: in their order, as text, JSON and CSV. */
#ifndef READER_ANALYSE_TABLE_H
#define READER_ANALYSE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader/analyse.h"
#include "reader/analyse_rows.h"

struct source_text;

struct rows_table {
	const struct analysis *a;
	const struct analysis_row *rows; /* in their order */
	size_t n_rows;
	size_t n_shown;
	uint64_t self_ns; /* of all rows */
	uint64_t observed_ns;
	uint64_t unobserved_ns;
	/* Where the time observed is, in tenths of a percent; together 1000. */
	unsigned *shares;     /* of each row that is shown */
	unsigned more_share;  /* of the rows that are not */
	unsigned other_share; /* in no row */
	bool is_narrow;
	bool has_gil;			  /* a row waited for it */
	const struct source_text *source; /* it is this file, one row a line; NULL: it is not */
};

/*
 * Bring rows into the order that was asked for.
 * Returns the exit status, having said what is wrong with it.
 */
int rows_table_check_order(const struct analysis *a);
void rows_table_sort(const struct analysis *a, struct analysis_rows *rows);

/*
 * @rows    in their order; lent
 * @source  NULL, or the file's text when there is a row for each of its lines; lent
 */
void rows_table_init(struct rows_table *t, const struct analysis *a,
		     const struct analysis_rows *rows, const struct source_text *source);
void rows_table_done(struct rows_table *t);

/* On standard output, in the format that was asked for. Returns the first error. */
int rows_table_print(const struct rows_table *t);
/* The table as text, without what comes before it. */
void rows_table_print_text(const struct rows_table *t);
void rows_table_print_csv(const struct rows_table *t);
int rows_table_print_json(const struct rows_table *t);

/* --- its columns of numbers --- */

#define CELL_SIZE 40

uint64_t row_on_cpu_ns(const struct analysis_row *row);
size_t n_row_columns(void);
/* NULL: it is not shown. */
const char *row_column_header(const struct rows_table *t, size_t column);
size_t row_column_width(const struct rows_table *t, size_t column); /* at least */
void row_column_format(const struct rows_table *t, size_t column, size_t row,
		       char buf[static CELL_SIZE]);
/* Whether lines have a column of their total time: when they are sorted by it. */
bool rows_table_shows_total(const struct analysis *a);
/* What it holds of sums over several rows. */
enum row_sum { ROW_SUM_NONE, ROW_SUM_TIME, ROW_SUM_SHARE };
enum row_sum row_column_sum(size_t column);

#endif
