/* SPDX-License-Identifier: BSD-3-Clause */
/* The columns of numbers of the tables of lines and functions, and what they are sorted by. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "common/log.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/analyse_table.h"
#include "reader/wait_text.h"

uint64_t row_on_cpu_ns(const struct analysis_row *row)
{
	uint64_t off_ns = row->sum.wait_ns + row->sum.ready_ns;

	return row->sum.self_ns > off_ns ? row->sum.self_ns - off_ns : 0;
}

/* --- order --- */

static uint64_t average_ns(const struct analysis *a, const struct analysis_row *row)
{
	uint64_t ns = a->by_function ? row->sum.total_ns : row->sum.self_ns;

	return row->sum.visits ? ns / row->sum.visits : 0;
}

static uint64_t key_self(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return row->sum.self_ns;
}

static uint64_t key_total(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return row->sum.total_ns;
}

static uint64_t key_visits(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return row->sum.visits;
}

static uint64_t key_on_cpu(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return row_on_cpu_ns(row);
}

static uint64_t key_waiting(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return row->sum.wait_ns;
}

static uint64_t key_ready(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return row->sum.ready_ns;
}

static uint64_t key_gil(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return row->sum.gil_ns;
}

static uint64_t key_p50(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return durations_percentile(&row->durations, 50);
}

static uint64_t key_p95(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return durations_percentile(&row->durations, 95);
}

static uint64_t key_p99(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return durations_percentile(&row->durations, 99);
}

static uint64_t key_max(const struct analysis *a, const struct analysis_row *row)
{
	(void)a;
	return row->durations.longest_ns;
}

enum { ANY, NEEDS_EDGES, NEEDS_DURATIONS };

struct order {
	const char *name;
	uint64_t (*key)(const struct analysis *a, const struct analysis_row *row);
	int needs;
};

static const struct order orders[] = {
    {"cumulated-runtime", key_self, ANY},
    {"average-runtime", average_ns, ANY},
    {"frequency", key_visits, ANY},
    {"self", key_self, ANY},
    {"total", key_total, ANY},
    {"calls", key_visits, ANY},
    {"on-cpu", key_on_cpu, NEEDS_EDGES},
    {"waiting", key_waiting, NEEDS_EDGES},
    {"gil", key_gil, NEEDS_EDGES},
    {"ready", key_ready, NEEDS_EDGES},
    {"p50", key_p50, NEEDS_DURATIONS},
    {"p95", key_p95, NEEDS_DURATIONS},
    {"p99", key_p99, NEEDS_DURATIONS},
    {"max", key_max, NEEDS_DURATIONS},
};

#define N_ORDERS (sizeof(orders) / sizeof(orders[0]))

/* NULL when there is none of that name. */
static const struct order *find_order(const struct analysis *a)
{
	if (!a->sort_column)
		return &orders[0];
	for (size_t i = 0; i < N_ORDERS; i++) {
		if (strcmp(orders[i].name, a->sort_column) == 0)
			return &orders[i];
	}
	return NULL;
}

int rows_table_check_order(const struct analysis *a)
{
	const struct order *order = find_order(a);
	const char *names[N_ORDERS + 1] = {0};

	for (size_t i = 0; i < N_ORDERS; i++)
		names[i] = orders[i].name;
	if (!order)
		return analysis_no_such_column(a, names);
	if (order->needs == NEEDS_EDGES && !a->has_edges) {
		log_error("analyse: this trace does not know when threads were on a CPU, so it "
			  "cannot be sorted by %s",
			  order->name);
		return EXIT_FAILED;
	}
	if (order->needs == NEEDS_DURATIONS && !a->with_percentiles) {
		log_error("analyse: to sort by %s, give --percentiles, too", order->name);
		return command_usage_error(&cmd_analyse);
	}
	return EXIT_OK;
}

/* What to sort by, taken once for each row. */
struct keyed {
	uint64_t key;
	struct analysis_row row;
};

static int compare_rows(const void *a, const void *b)
{
	const struct analysis_row *x = &((const struct keyed *)a)->row;
	const struct analysis_row *y = &((const struct keyed *)b)->row;
	uint64_t key_x = ((const struct keyed *)a)->key, key_y = ((const struct keyed *)b)->key;

	if (key_x != key_y)
		return key_x > key_y ? -1 : 1;
	if (x->sum.self_ns != y->sum.self_ns)
		return x->sum.self_ns > y->sum.self_ns ? -1 : 1;
	if (x->sum.file != y->sum.file)
		return x->sum.file < y->sum.file ? -1 : 1;
	if (x->sum.line != y->sum.line)
		return x->sum.line < y->sum.line ? -1 : 1;
	return (x->code > y->code) - (x->code < y->code);
}

void rows_table_sort(const struct analysis *a, struct analysis_rows *rows)
{
	const struct order *order = find_order(a);
	struct keyed *keyed = xcalloc(rows->n + 1, sizeof(*keyed));

	for (size_t i = 0; i < rows->n; i++)
		keyed[i] = (struct keyed){order->key(a, &rows->rows[i]), rows->rows[i]};
	qsort(keyed, rows->n, sizeof(*keyed), compare_rows);
	for (size_t i = 0; i < rows->n; i++)
		rows->rows[i] = keyed[i].row;
	free(keyed);
}

/* --- columns --- */

static void format_file(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	snprintf(buf, CELL_SIZE, "%" PRIu32, t->rows[i].sum.file);
}

static void format_ns(const struct rows_table *t, uint64_t ns, char buf[static CELL_SIZE])
{
	format_duration(ns, analysis_micro(t->a), buf);
}

static void format_self(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_ns(t, t->rows[i].sum.self_ns, buf);
}

static void format_share(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	snprintf(buf, CELL_SIZE, "%u.%u %%", t->shares[i] / 10, t->shares[i] % 10);
}

static void format_total(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_ns(t, t->rows[i].sum.total_ns, buf);
}

/* On a narrow terminal what a row did is told in percent, which are 100 together. */
static void format_part(const struct rows_table *t, size_t i, size_t part,
			char buf[static CELL_SIZE])
{
	const struct analysis_row *row = &t->rows[i];
	const uint64_t parts[] = {row_on_cpu_ns(row), row->sum.wait_ns, row->sum.ready_ns};
	unsigned rounded[3];

	if (!t->is_narrow) {
		format_ns(t, parts[part], buf);
	} else if (row->sum.self_ns) {
		analysis_round(parts, 3, 100, rounded);
		snprintf(buf, CELL_SIZE, "%u%%", rounded[part]);
	} else {
		snprintf(buf, CELL_SIZE, "-");
	}
}

static void format_on_cpu(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_part(t, i, 0, buf);
}

static void format_waiting(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_part(t, i, 1, buf);
}

static void format_ready(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_part(t, i, 2, buf);
}

static void format_gil(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	const struct trace_line *sum = &t->rows[i].sum;

	if (!t->is_narrow)
		format_ns(t, sum->gil_ns, buf);
	else if (sum->self_ns)
		snprintf(buf, CELL_SIZE, "%.0f%%", percent(sum->gil_ns, sum->self_ns));
	else
		snprintf(buf, CELL_SIZE, "-");
}

static void format_average(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	if (t->rows[i].sum.visits)
		format_ns(t, average_ns(t->a, &t->rows[i]), buf);
	else
		snprintf(buf, CELL_SIZE, "-");
}

static void format_visits(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_count(t->rows[i].sum.visits, buf);
}

static void format_n(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_count(t->rows[i].durations.n, buf);
}

static void format_percentile(const struct rows_table *t, size_t i, unsigned percent_of,
			      char buf[static CELL_SIZE])
{
	if (t->rows[i].durations.n)
		format_ns(t, durations_percentile(&t->rows[i].durations, percent_of), buf);
	else
		snprintf(buf, CELL_SIZE, "-");
}

static void format_p50(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_percentile(t, i, 50, buf);
}

static void format_p95(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_percentile(t, i, 95, buf);
}

static void format_p99(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_percentile(t, i, 99, buf);
}

static void format_max(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	format_ns(t, t->rows[i].durations.longest_ns, buf);
}

/* Without the day where there is little room. */
static void format_max_began(const struct rows_table *t, size_t i, char buf[static CELL_SIZE])
{
	char when[WALL_TIME_SIZE];
	const char *blank;

	if (t->rows[i].durations.n == 0) {
		snprintf(buf, CELL_SIZE, "-");
		return;
	}
	format_wall_time(t->a->trace, t->rows[i].durations.longest_start_ns, when);
	blank = strchr(when, ' ');
	snprintf(buf, CELL_SIZE, "%s", t->is_narrow && blank ? blank + 1 : when);
}

/* Which tables have it. */
enum {
	OF_LINES = 1,
	OF_FUNCTIONS = 2,
	OF_DURATIONS = 4, /* otherwise of those without */
	OF_SUMS = 8,
};

static const struct column {
	const char *header;
	const char *narrow; /* header where there is little room; NULL: left out there */
	size_t width;	    /* at least, where there is room */
	unsigned of;
	bool needs_edges;
	bool needs_gil; /* on a narrow terminal */
	enum row_sum sum;
	void (*format)(const struct rows_table *t, size_t i, char buf[static CELL_SIZE]);
} columns[] = {
    {"FILE", NULL, 4, OF_LINES | OF_DURATIONS | OF_SUMS, false, false, ROW_SUM_NONE, format_file},
    {"CUMULATED", "CUMULATED", 10, OF_LINES | OF_SUMS, false, false, ROW_SUM_TIME, format_self},
    {"CUMULATED", NULL, 10, OF_LINES | OF_DURATIONS, false, false, ROW_SUM_TIME, format_self},
    {"SELF", "SELF", 10, OF_FUNCTIONS | OF_SUMS, false, false, ROW_SUM_TIME, format_self},
    {"SELF", NULL, 10, OF_FUNCTIONS | OF_DURATIONS, false, false, ROW_SUM_TIME, format_self},
    {"SHARE", "SHARE", 7, OF_LINES | OF_FUNCTIONS | OF_SUMS, false, false, ROW_SUM_SHARE,
     format_share},
    {"SHARE", NULL, 7, OF_LINES | OF_FUNCTIONS | OF_DURATIONS, false, false, ROW_SUM_SHARE,
     format_share},
    {"TOTAL", "TOTAL", 10, OF_LINES | OF_SUMS, false, false, ROW_SUM_NONE, format_total},
    {"TOTAL", "TOTAL", 10, OF_FUNCTIONS | OF_SUMS, false, false, ROW_SUM_NONE, format_total},
    {"TOTAL", NULL, 10, OF_FUNCTIONS | OF_DURATIONS, false, false, ROW_SUM_NONE, format_total},
    {"RUN", "RUN", 10, OF_LINES | OF_FUNCTIONS | OF_SUMS, true, false, ROW_SUM_NONE, format_on_cpu},
    {"WAIT", "WAIT", 10, OF_LINES | OF_FUNCTIONS | OF_SUMS, true, false, ROW_SUM_NONE,
     format_waiting},
    {"GIL", "GIL", 10, OF_LINES | OF_FUNCTIONS | OF_SUMS, true, true, ROW_SUM_NONE, format_gil},
    {"READY", "READY", 10, OF_LINES | OF_FUNCTIONS | OF_SUMS, true, false, ROW_SUM_NONE,
     format_ready},
    {"AVERAGE", "AVERAGE", 10, OF_LINES | OF_SUMS, false, false, ROW_SUM_NONE, format_average},
    {"AVERAGE", NULL, 10, OF_FUNCTIONS | OF_SUMS, false, false, ROW_SUM_NONE, format_average},
    {"TIMES SEEN", "SEEN", 13, OF_LINES | OF_SUMS, false, false, ROW_SUM_NONE, format_visits},
    {"CALLS", "CALLS", 13, OF_FUNCTIONS | OF_SUMS, false, false, ROW_SUM_NONE, format_visits},
    {"VISITS", NULL, 13, OF_LINES | OF_DURATIONS, false, false, ROW_SUM_NONE, format_n},
    {"CALLS", NULL, 13, OF_FUNCTIONS | OF_DURATIONS, false, false, ROW_SUM_NONE, format_n},
    {"P50", "P50", 8, OF_LINES | OF_FUNCTIONS | OF_DURATIONS, false, false, ROW_SUM_NONE,
     format_p50},
    {"P95", "P95", 8, OF_LINES | OF_FUNCTIONS | OF_DURATIONS, false, false, ROW_SUM_NONE,
     format_p95},
    {"P99", "P99", 8, OF_LINES | OF_FUNCTIONS | OF_DURATIONS, false, false, ROW_SUM_NONE,
     format_p99},
    {"MAX", "MAX", 8, OF_LINES | OF_FUNCTIONS | OF_DURATIONS, false, false, ROW_SUM_NONE,
     format_max},
    {"MAX BEGAN", "MAX BEGAN", 23, OF_LINES | OF_FUNCTIONS | OF_DURATIONS, false, false,
     ROW_SUM_NONE, format_max_began},
};

bool rows_table_shows_total(const struct analysis *a)
{
	return !a->by_function && find_order(a)->key == key_total;
}

size_t n_row_columns(void)
{
	return sizeof(columns) / sizeof(columns[0]);
}

const char *row_column_header(const struct rows_table *t, size_t column)
{
	const struct column *c = &columns[column];
	unsigned rows = t->a->by_function ? OF_FUNCTIONS : OF_LINES;
	unsigned kind = t->a->with_percentiles ? OF_DURATIONS : OF_SUMS;

	if (!(c->of & rows) || !(c->of & kind))
		return NULL;
	/* Of one file there is no need to say which. */
	if (c->format == format_file && t->source)
		return NULL;
	if (c->format == format_total && rows == OF_LINES && !rows_table_shows_total(t->a))
		return NULL;
	/* Where it is narrow there is no room for both. */
	if (c->format == format_average && t->is_narrow && rows_table_shows_total(t->a))
		return NULL;
	if (c->needs_edges && !t->a->has_edges)
		return NULL;
	if (c->needs_gil && t->is_narrow && !t->has_gil)
		return NULL;
	return t->is_narrow ? c->narrow : c->header;
}

size_t row_column_width(const struct rows_table *t, size_t column)
{
	return t->is_narrow ? 0 : columns[column].width;
}

void row_column_format(const struct rows_table *t, size_t column, size_t row,
		       char buf[static CELL_SIZE])
{
	columns[column].format(t, row, buf);
}

enum row_sum row_column_sum(size_t column)
{
	return columns[column].sum;
}
