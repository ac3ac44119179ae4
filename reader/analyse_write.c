/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of lines or functions for programs. */
#include <stdio.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "reader/analyse_table.h"
#include "reader/csv.h"
#include "reader/line_text.h"
#include "reader/trace_waits.h"

static const struct {
	const char *name;
	unsigned percent;
} percentiles[] = {{"p50_ns", 50}, {"p95_ns", 95}, {"p99_ns", 99}};

#define N_PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

static const char *function_name(const struct rows_table *t, const struct analysis_row *row)
{
	const struct trace_code *code = trace_get_code(t->a->trace, row->code);

	return code ? code->name : NULL;
}

/* --- JSON --- */

static void durations_json(const struct rows_table *t, struct json_writer *j,
			   const struct durations *d)
{
	json_object(j, "durations");
	json_count(j, "count", d->n);
	for (size_t i = 0; i < N_PERCENTILES; i++)
		json_count(j, percentiles[i].name, durations_percentile(d, percentiles[i].percent));
	json_count(j, "max_ns", d->longest_ns);
	if (d->n)
		analysis_time_json(t->a, j, "max_unix_s", d->longest_start_ns);
	else
		json_null(j, "max_unix_s");
	json_object_end(j);
}

static void edges_json(const struct rows_table *t, struct json_writer *j,
		       const struct analysis_row *row)
{
	static const char *const names[] = {"on_cpu_ns", "wait_ns", "ready_ns", "gil_ns"};
	const uint64_t values[] = {row_on_cpu_ns(row), row->sum.wait_ns, row->sum.ready_ns,
				   row->sum.gil_ns};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (t->a->has_edges)
			json_count(j, names[i], values[i]);
		else
			json_null(j, names[i]);
	}
}

static void row_json(const struct rows_table *t, struct json_writer *j,
		     const struct analysis_row *row)
{
	json_object(j, NULL);
	if (t->a->by_function)
		json_string(j, "function", function_name(t, row));
	json_count(j, "file_id", row->sum.file);
	analysis_line_json(t->a, j, row->sum.file, row->sum.line);
	json_count(j, t->a->by_function ? "calls" : "visits", row->sum.visits);
	json_count(j, "self_ns", row->sum.self_ns);
	json_count(j, "total_ns", row->sum.total_ns);
	edges_json(t, j, row);
	if (t->a->with_percentiles)
		durations_json(t, j, &row->durations);
	json_object_end(j);
}

int rows_table_print_json(const struct rows_table *t)
{
	struct json_writer j;
	int r;

	json_begin(&j, stdout);
	r = analysis_head_json(t->a, &j, t->observed_ns);
	json_count(&j, "unobserved_ns", t->unobserved_ns);
	json_array(&j, t->a->by_function ? "functions" : "lines");
	for (size_t i = 0; i < t->n_shown; i++)
		row_json(t, &j, &t->rows[i]);
	json_array_end(&j);
	json_count(&j, t->a->by_function ? "functions_not_shown" : "lines_not_shown",
		   t->n_rows - t->n_shown);
	json_end(&j);
	return r;
}

/* --- CSV --- */

static void csv_header(const struct rows_table *t, struct csv_writer *c)
{
	static const char *const numbers[] = {"self_ns", "total_ns", "on_cpu_ns",
					      "wait_ns", "ready_ns", "gil_ns"};

	if (t->a->by_function)
		csv_text(c, "function");
	csv_text(c, "file_id");
	csv_text(c, "file");
	csv_text(c, "line");
	csv_text(c, "source");
	csv_text(c, t->a->by_function ? "calls" : "visits");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		csv_text(c, numbers[i]);
	if (t->a->with_percentiles) {
		csv_text(c, "count");
		for (size_t i = 0; i < N_PERCENTILES; i++)
			csv_text(c, percentiles[i].name);
		csv_text(c, "max_ns");
		csv_text(c, "max_unix_s");
	}
	csv_end_line(c);
}

static void durations_csv(const struct rows_table *t, struct csv_writer *c,
			  const struct durations *d)
{
	int64_t real_ns;

	csv_count(c, d->n);
	for (size_t i = 0; i < N_PERCENTILES; i++)
		csv_count(c, durations_percentile(d, percentiles[i].percent));
	csv_count(c, d->longest_ns);
	if (d->n && trace_realtime(t->a->trace, d->longest_start_ns, &real_ns) == 0)
		csv_real(c, (double)real_ns / (double)NS_PER_S, 6);
	else
		csv_empty(c);
}

static void row_csv(const struct rows_table *t, struct csv_writer *c,
		    const struct analysis_row *row)
{
	const struct trace_file *file = trace_get_file(t->a->trace, row->sum.file);
	auto_free char *source = line_source(t->a->trace, row->sum.file, row->sum.line, TEXT_UTF8);
	const uint64_t edges[] = {row_on_cpu_ns(row), row->sum.wait_ns, row->sum.ready_ns,
				  row->sum.gil_ns};

	if (t->a->by_function)
		csv_text(c, function_name(t, row));
	csv_count(c, row->sum.file);
	csv_text(c, file ? file->path : NULL);
	if (row->sum.line > 0)
		csv_count(c, (uint64_t)row->sum.line);
	else
		csv_empty(c);
	csv_text(c, source);
	csv_count(c, row->sum.visits);
	csv_count(c, row->sum.self_ns);
	csv_count(c, row->sum.total_ns);
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		if (t->a->has_edges)
			csv_count(c, edges[i]);
		else
			csv_empty(c);
	}
	if (t->a->with_percentiles)
		durations_csv(t, c, &row->durations);
	csv_end_line(c);
}

void rows_table_print_csv(const struct rows_table *t)
{
	struct csv_writer c = {.out = stdout};

	csv_header(t, &c);
	for (size_t i = 0; i < t->n_shown; i++)
		row_csv(t, &c, &t->rows[i]);
}
