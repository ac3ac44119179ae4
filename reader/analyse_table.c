/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of lines or functions as text. */
#include "reader/analyse_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/line_text.h"
#include "reader/source_text.h"
#include "reader/trace.h"

/* On a terminal the text columns get at least this: with the numbers, 80 columns. */
#define LOCATION_MIN 13
#define SOURCE_MIN   14
/* On a narrower one, what the rows did is told in percent, to leave some room for them. */
#define WIDE 136
/* Shares of the time from which on a row is worth a look, in tenths of a percent. */
#define WARM_SHARE 50
#define HOT_SHARE  200

#define N_SHARES 1000

/* --- the table --- */

/* The rows that are shown, then those that are not, then what is in no row. */
static void share_out(struct rows_table *t)
{
	uint64_t shown_ns = 0;
	auto_free uint64_t *parts = xcalloc(t->n_shown + 2, sizeof(*parts));

	t->shares = xcalloc(t->n_shown + 2, sizeof(*t->shares));
	for (size_t i = 0; i < t->n_shown; i++) {
		parts[i] = t->rows[i].sum.self_ns;
		shown_ns += parts[i];
	}
	parts[t->n_shown] = t->self_ns - shown_ns;
	parts[t->n_shown + 1] = t->observed_ns > t->self_ns ? t->observed_ns - t->self_ns : 0;
	analysis_round(parts, t->n_shown + 2, N_SHARES, t->shares);
	t->more_share = t->shares[t->n_shown];
	t->other_share = t->shares[t->n_shown + 1];
}

void rows_table_init(struct rows_table *t, const struct analysis *a,
		     const struct analysis_rows *rows, const struct source_text *source)
{
	*t = (struct rows_table){
	    .a = a,
	    .rows = rows->rows,
	    .n_rows = rows->n,
	    .n_shown = source || rows->n < a->n_items ? rows->n : a->n_items,
	    .observed_ns = rows->observed_ns,
	    .unobserved_ns = rows->unobserved_ns,
	    .is_narrow = a->width > 0 && a->width < WIDE &&
			 (a->has_edges || a->by_function || a->with_percentiles ||
			  rows_table_shows_total(a)),
	    .source = source,
	};
	for (size_t i = 0; i < rows->n; i++) {
		t->self_ns += rows->rows[i].sum.self_ns;
		t->has_gil |= rows->rows[i].sum.gil_ns > 0;
	}
	share_out(t);
}

void rows_table_done(struct rows_table *t)
{
	free(t->shares);
	t->shares = NULL;
}

/* --- the texts at the right --- */

static char *row_location(const struct rows_table *t, size_t i)
{
	const struct trace_line *sum = &t->rows[i].sum;

	if (t->source)
		return xasprintf("%" PRId32, sum->line);
	return line_location(t->a->trace, sum->file, sum->line, t->a->charset);
}

static char *function_name(const struct rows_table *t, size_t i)
{
	const struct trace_code *c = trace_get_code(t->a->trace, t->rows[i].code);

	return c ? text_escape(c->name, c->name_len, "", t->a->charset) : xstrdup("?");
}

/* With its indentation. */
static char *whole_line(const struct rows_table *t, size_t i)
{
	size_t len = 0, cap = 0, n = 0;
	const char *text = source_text_line(t->source, t->rows[i].sum.line, &len);
	auto_free char *expanded = NULL;

	for (size_t at = 0; text && at < len; at++) {
		size_t blanks = text[at] == '\t' ? 8 - n % 8 : 1;

		expanded = xgrow(expanded, &cap, n + blanks, 1);
		memset(expanded + n, text[at] == '\t' ? ' ' : text[at], blanks);
		n += blanks;
	}
	while (n > 0 && strchr(" \r\f", expanded[n - 1]))
		n--;
	return n ? text_plain(expanded, n, t->a->charset) : xstrdup("");
}

static char *row_text(const struct rows_table *t, size_t i)
{
	const struct trace_line *sum = &t->rows[i].sum;

	if (t->source)
		return whole_line(t, i);
	if (t->a->by_function)
		return function_name(t, i);
	return line_source_cell(t->a->trace, sum->file, sum->line, t->a->charset);
}

/* --- widths --- */

#define MAX_COLUMNS 32

struct widths {
	size_t numbers[MAX_COLUMNS]; /* 0: not shown */
	size_t all_numbers;
	size_t location;
	size_t text; /* 0: any */
};

static void widen(size_t *width, const char *text)
{
	size_t n = text_width(text);

	if (n > *width)
		*width = n;
}

/* A line that did not run has no numbers beside it. */
static bool has_run(const struct trace_line *sum)
{
	return sum->visits || sum->self_ns || sum->total_ns;
}

static void format_sum(const struct rows_table *t, size_t column, uint64_t ns, unsigned share,
		       char buf[static CELL_SIZE])
{
	enum row_sum sum = row_column_sum(column);

	*buf = 0;
	if (sum == ROW_SUM_TIME)
		format_duration(ns, analysis_micro(t->a), buf);
	else if (sum == ROW_SUM_SHARE && share <= N_SHARES)
		snprintf(buf, CELL_SIZE, "%u.%u %%", share / 10, share % 10);
}

static void measure_numbers(const struct rows_table *t, struct widths *w)
{
	char buf[CELL_SIZE];

	w->all_numbers = 1;
	for (size_t c = 0; c < n_row_columns() && c < MAX_COLUMNS; c++) {
		const char *header = row_column_header(t, c);

		if (!header)
			continue;
		w->numbers[c] = row_column_width(t, c);
		widen(&w->numbers[c], header);
		for (size_t i = 0; i < t->n_shown; i++) {
			row_column_format(t, c, i, buf);
			widen(&w->numbers[c], buf);
		}
		format_sum(t, c, t->unobserved_ns, 0, buf);
		widen(&w->numbers[c], buf);
		format_sum(t, c, t->observed_ns, 0, buf);
		widen(&w->numbers[c], buf);
		w->all_numbers += w->numbers[c] + 1;
	}
}

/* Locations get what they need, but on a terminal leave half of the rest to the source. */
static struct widths measure(const struct rows_table *t, char *const *locations)
{
	struct widths w = {.location = strlen(t->source ? "LINE" : "LOCATION")};
	size_t left;

	measure_numbers(t, &w);
	for (size_t i = 0; i < t->n_shown; i++)
		widen(&w.location, locations[i]);
	if (t->a->width == 0)
		return w;
	left = t->a->width > w.all_numbers + LOCATION_MIN + 2 + SOURCE_MIN
		   ? t->a->width - w.all_numbers - 2
		   : LOCATION_MIN + SOURCE_MIN;
	if (w.location > left / 2)
		w.location = left / 2;
	w.text = left - w.location;
	return w;
}

/* --- lines of it --- */

static const char *plain(const struct rows_table *t)
{
	return analysis_colour(t->a, ANALYSIS_PLAIN);
}

static void print_header(const struct rows_table *t, const struct widths *w)
{
	fputs(analysis_colour(t->a, ANALYSIS_BOLD), stdout);
	for (size_t c = 0; c < n_row_columns() && c < MAX_COLUMNS; c++) {
		if (w->numbers[c])
			printf("%*s ", (int)w->numbers[c], row_column_header(t, c));
	}
	putchar(' ');
	print_padded(t->source ? "LINE" : "LOCATION", w->location, t->source != NULL);
	printf("  %s%s\n", t->a->by_function ? "FUNCTION" : "SOURCE", plain(t));
}

static const char *heat(const struct rows_table *t, size_t i)
{
	if (t->shares[i] >= HOT_SHARE)
		return analysis_colour(t->a, ANALYSIS_HOT);
	return t->shares[i] >= WARM_SHARE ? analysis_colour(t->a, ANALYSIS_WARM) : "";
}

static void print_numbers(const struct rows_table *t, size_t i, const struct widths *w)
{
	const char *colour = heat(t, i);
	char buf[CELL_SIZE];

	for (size_t c = 0; c < n_row_columns() && c < MAX_COLUMNS; c++) {
		bool is_hot = *colour && row_column_sum(c) != ROW_SUM_NONE;

		if (!w->numbers[c])
			continue;
		row_column_format(t, c, i, buf);
		fputs(is_hot ? colour : "", stdout);
		print_padded(buf, w->numbers[c], 1);
		fputs(is_hot ? plain(t) : "", stdout);
		putchar(' ');
	}
}

static void print_row(const struct rows_table *t, size_t i, const struct widths *w,
		      const char *location)
{
	const struct analysis *a = t->a;
	auto_free char *cut = text_cut_left(location, w->location, a->charset);
	auto_free char *text = row_text(t, i);
	auto_free char *cut_text = text_cut_right(text, w->text ? w->text : SIZE_MAX, a->charset);

	if (!t->source || has_run(&t->rows[i].sum))
		print_numbers(t, i, w);
	else
		printf("%*s", (int)w->all_numbers - 1, "");
	putchar(' ');
	print_padded(cut, w->location, t->source != NULL);
	printf(*cut_text ? "  %s\n" : "%s\n", cut_text);
}

/*
 * Where the rest of the time is.
 * @share  of the time observed; above N_SHARES: it is no part of that
 */
static void print_rest(const struct rows_table *t, const struct widths *w, uint64_t ns,
		       unsigned share, const char *label)
{
	size_t room = w->text ? w->location + 2 + w->text : SIZE_MAX;
	auto_free char *with_time = NULL, *cut = NULL;
	bool is_told = false;
	char buf[CELL_SIZE];

	fputs(analysis_colour(t->a, ANALYSIS_DIM), stdout);
	for (size_t c = 0; c < n_row_columns() && c < MAX_COLUMNS; c++) {
		if (!w->numbers[c])
			continue;
		is_told |= row_column_sum(c) == ROW_SUM_TIME;
		format_sum(t, c, ns, share, buf);
		print_padded(buf, w->numbers[c], 1);
		putchar(' ');
	}
	format_duration(ns, analysis_micro(t->a), buf);
	with_time = is_told ? xstrdup(label) : xasprintf("%s %s", buf, label);
	cut = text_cut_right(with_time, room, t->a->charset);
	printf(" %s%s\n", cut, plain(t));
}

static void print_rests(const struct rows_table *t, const struct widths *w)
{
	bool is_filtered = t->a->filter.has_files || t->a->filter.has_codes || t->source;
	uint64_t shown_ns = 0,
		 other_ns = t->observed_ns > t->self_ns ? t->observed_ns - t->self_ns : 0;

	for (size_t i = 0; i < t->n_shown; i++)
		shown_ns += t->rows[i].sum.self_ns;
	if (t->n_rows > t->n_shown) {
		auto_free char *label =
		    xasprintf("(%zu more %s%s: --num-items)", t->n_rows - t->n_shown,
			      t->a->by_function ? "function" : "line",
			      t->n_rows - t->n_shown == 1 ? "" : "s");

		print_rest(t, w, t->self_ns - shown_ns, t->more_share, label);
	}
	if (other_ns)
		print_rest(t, w, other_ns, t->other_share,
			   is_filtered ? "(all else)" : "(not in followed code)");
	if (t->unobserved_ns)
		print_rest(t, w, t->unobserved_ns, UINT32_MAX, "(not observed: gaps)");
}

void rows_table_print_text(const struct rows_table *t)
{
	char **locations = xcalloc(t->n_shown + 1, sizeof(*locations));
	struct widths w;

	for (size_t i = 0; i < t->n_shown; i++)
		locations[i] = row_location(t, i);
	w = measure(t, locations);
	print_header(t, &w);
	for (size_t i = 0; i < t->n_shown; i++) {
		print_row(t, i, &w, locations[i]);
		free(locations[i]);
	}
	free(locations);
	print_rests(t, &w);
}
