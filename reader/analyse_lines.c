/* SPDX-License-Identifier: BSD-3-Clause */
/* The lines or functions that took the most time. */
#include <stdio.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/analyse_table.h"

static int print_text(const struct rows_table *t)
{
	const char *rows = t->a->by_function ? "functions" : "lines";
	auto_free char *of_that =
	    xasprintf(", of which %.1f %% in %s below", percent(t->self_ns, t->observed_ns), rows);
	int r = analysis_print_head(t->a, t->observed_ns, of_that);

	if (!t->a->has_edges)
		puts("Not known: when threads were on a CPU; so there is no RUN, WAIT, GIL and "
		     "READY.");
	putchar('\n');
	if (t->n_rows == 0)
		printf("No %s of the followed code was seen.\n",
		       t->a->by_function ? "function" : "line");
	if (t->n_rows || t->unobserved_ns)
		rows_table_print_text(t);
	return r;
}

int rows_table_print(const struct rows_table *t)
{
	switch (t->a->format) {
	case ANALYSIS_JSON:
		return rows_table_print_json(t);
	case ANALYSIS_CSV:
		rows_table_print_csv(t);
		return 0;
	default:
		return print_text(t);
	}
}

int analyse_lines(const struct analysis *a)
{
	struct analysis_rows rows;
	struct rows_table t;
	int status = rows_table_check_order(a), r, r_print;

	if (status != EXIT_OK)
		return status;
	r = analysis_sum(a, &rows);
	rows_table_sort(a, &rows);
	rows_table_init(&t, a, &rows, NULL);
	r_print = rows_table_print(&t);
	rows_table_done(&t);
	analysis_rows_done(&rows);
	return analysis_finish(a, r < 0 ? r : r_print);
}
