/* SPDX-License-Identifier: BSD-3-Clause */
/* The waits that took the most time, by line and what was waited for. */
#include "reader/analyse_waits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/analyse.h"
#include "reader/analyse_wait_sums.h"
#include "reader/chain_text.h"
#include "reader/line_text.h"
#include "reader/wait_chain.h"
#include "reader/wait_text.h"

/* On a terminal with fewer columns each takes two lines, unless all of it fits into one. */
#define WIDE	 140
#define MIN_TEXT 12
#define BETWEEN	 2
/* Of the second line, and of native frames. */
#define INDENT 10

/* --- what is listed --- */

/* Add up those that differ in their native stack only. */
static void merge_natives(struct waits_table *t)
{
	for (size_t i = 0; i < t->n_waits; i++)
		t->waits[i].kind.native = 0;
	t->n_waits = wait_sums_merge(t->waits, t->n_waits);
}

/* Take out what is not listed, and sum up. */
static void select_waits(struct waits_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_waits; i++) {
		if (!analysis_filter_has_file(&t->a->filter, t->waits[i].kind.file))
			continue;
		if (t->waits[i].kind.idle && !t->a->with_idle) {
			wait_sums_add(&t->idle, &t->waits[i]);
			continue;
		}
		wait_sums_add(&t->all, &t->waits[i]);
		t->waits[n++] = t->waits[i];
	}
	t->n_waits = n;
}

/* --- order --- */

static uint64_t key_total(const struct trace_wait *w)
{
	return w->total_ns;
}

static uint64_t key_longest(const struct trace_wait *w)
{
	return w->longest_ns;
}

static uint64_t key_count(const struct trace_wait *w)
{
	return w->n;
}

typedef uint64_t (*wait_key)(const struct trace_wait *w);

static const struct {
	const char *name;
	wait_key key;
} orders[] = {
    {"total", key_total},
    {"longest", key_longest},
    {"count", key_count},
};

#define N_ORDERS (sizeof(orders) / sizeof(orders[0]))

static int compare_waits(const void *a, const void *b, void *ctx)
{
	const struct trace_wait *x = a, *y = b;
	wait_key key = *(wait_key *)ctx;

	if (key(x) != key(y))
		return key(x) > key(y) ? -1 : 1;
	if (x->total_ns != y->total_ns)
		return x->total_ns > y->total_ns ? -1 : 1;
	return wait_kinds_compare(&x->kind, &y->kind);
}

/* Returns the exit status, having said what is wrong. */
static int find_order(const struct analysis *a, wait_key *ret)
{
	const char *names[N_ORDERS + 1] = {0};

	*ret = key_total;
	if (!a->sort_column)
		return EXIT_OK;
	for (size_t i = 0; i < N_ORDERS; i++) {
		names[i] = orders[i].name;
		if (strcmp(orders[i].name, a->sort_column) == 0) {
			*ret = orders[i].key;
			return EXIT_OK;
		}
	}
	return analysis_no_such_column(a, names);
}

/* --- the table --- */

/* What is told of one. */
struct cells {
	char total[UNITS_MAX], count[UNITS_MAX], longest[UNITS_MAX];
	char when[WALL_TIME_SIZE];
	char *location, *reason, *source;
};

struct widths {
	size_t total, count, longest, when;
	size_t location, reason, source; /* source 0: any */
	bool in_two_lines;
};

static struct cells make_cells(const struct analysis *a, const struct trace_wait *w)
{
	struct cells c = {
	    .location = line_location(a->trace, w->kind.file, w->kind.line, a->charset),
	    .source = line_source_cell(a->trace, w->kind.file, w->kind.line, a->charset),
	    .reason = wait_reason_text(a->trace, &w->kind, a->charset),
	};

	format_duration(w->total_ns, analysis_micro(a), c.total);
	format_count(wait_times(w), c.count);
	format_duration(w->longest_ns, analysis_micro(a), c.longest);
	format_wall_time(a->trace, w->longest_start_ns, c.when);
	if (w->kind.idle) {
		char *idle = xasprintf("idle: %s", c.reason);

		free(c.reason);
		c.reason = idle;
	}
	return c;
}

static void cells_done(struct cells *c)
{
	free(c->location);
	free(c->reason);
	free(c->source);
}

static void widen(size_t *width, const char *text)
{
	size_t n = text_width(text);

	if (n > *width)
		*width = n;
}

static size_t at_least(size_t width, size_t used)
{
	return width > used + MIN_TEXT ? width - used : MIN_TEXT;
}

static size_t at_most(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Make the texts fit the terminal; w->source is what they would need. */
static void fit(const struct analysis *a, struct widths *w)
{
	const size_t between = BETWEEN;
	size_t numbers = w->total + w->count + w->longest + w->when + 4 * between, left;
	size_t texts = w->location + w->reason + w->source + 2 * between;

	if (a->width == 0 || numbers + texts <= a->width) {
		w->source = 0;
		return;
	}
	left = at_least(a->width, numbers);
	w->in_two_lines = a->width < WIDE;
	if (w->in_two_lines) {
		w->location = at_most(w->location, left);
		left = at_least(a->width, INDENT + BETWEEN);
		w->reason = at_most(w->reason, left * 3 / 5);
		w->source = left - w->reason;
		return;
	}
	w->location = at_most(w->location, left / 3);
	w->reason = at_most(w->reason, (left - w->location) * 3 / 5);
	w->source = at_least(left, w->location + w->reason + 2 * between);
}

static struct widths measure(const struct analysis *a, const struct cells *cells, size_t n)
{
	struct widths w = {0};

	widen(&w.total, "TOTAL");
	widen(&w.count, "COUNT");
	widen(&w.longest, "LONGEST");
	widen(&w.when, "BEGAN");
	widen(&w.location, "LOCATION");
	widen(&w.reason, "REASON");
	for (size_t i = 0; i < n; i++) {
		widen(&w.total, cells[i].total);
		widen(&w.count, cells[i].count);
		widen(&w.longest, cells[i].longest);
		widen(&w.when, cells[i].when);
		widen(&w.location, cells[i].location);
		widen(&w.reason, cells[i].reason);
		widen(&w.source, cells[i].source);
	}
	fit(a, &w);
	return w;
}

static void print_blanks(size_t n)
{
	printf("%*s", (int)n, "");
}

static void print_cut(const struct analysis *a, const char *text, size_t width, bool is_last)
{
	auto_free char *cut = text_cut_right(text, width ? width : SIZE_MAX, a->charset);

	if (is_last) {
		puts(cut);
		return;
	}
	print_padded(cut, width, 0);
	print_blanks(BETWEEN);
}

static void print_cells(const struct analysis *a, const struct cells *c, const struct widths *w)
{
	auto_free char *location = text_cut_left(c->location, w->location, a->charset);

	print_padded(c->total, w->total, 1);
	print_blanks(BETWEEN);
	print_padded(c->count, w->count, 1);
	print_blanks(BETWEEN);
	print_padded(c->longest, w->longest, 1);
	print_blanks(BETWEEN);
	print_padded(c->when, w->when, 0);
	print_blanks(BETWEEN);
	if (w->in_two_lines) {
		puts(location);
		print_blanks(INDENT);
	} else {
		print_padded(location, w->location, 0);
		print_blanks(BETWEEN);
	}
	print_cut(a, c->reason, w->reason, false);
	print_cut(a, c->source, w->source, true);
}

static void print_header(const struct analysis *a, const struct widths *w)
{
	char location[] = "LOCATION", reason[] = "REASON", source[] = "SOURCE";
	const struct cells header = {
	    .total = "TOTAL",
	    .count = "COUNT",
	    .longest = "LONGEST",
	    .when = "BEGAN",
	    .location = location,
	    .reason = reason,
	    .source = source,
	};

	fputs(analysis_colour(a, ANALYSIS_BOLD), stdout);
	print_cells(a, &header, w);
	fputs(analysis_colour(a, ANALYSIS_PLAIN), stdout);
}

static void print_native(const struct analysis *a, const struct trace_wait *w)
{
	auto_free char *frames = NULL;
	size_t width = a->width ? at_least(a->width, INDENT) : SIZE_MAX;
	char *rest;

	if (w->kind.state == WAIT_FOR_CPU)
		return;
	if (w->kind.native == 0 || trace_native_frames(a->trace, w->kind.native, &frames) < 0) {
		print_blanks(INDENT);
		puts("(native stack not known)");
		return;
	}
	rest = frames;
	for (const char *line; (line = strsep(&rest, "\n"));) {
		auto_free char *safe = text_escape(line, strlen(line), "", a->charset);
		auto_free char *cut = text_cut_right(safe, width, a->charset);

		if (!*line)
			continue;
		print_blanks(INDENT);
		puts(cut);
	}
}

/* What those did that were waited for, the longest time. */
static void print_chain(const struct waits_table *t, const struct trace_wait *w)
{
	size_t width = t->a->width ? at_least(t->a->width, INDENT) : SIZE_MAX;
	struct chain_step steps[CHAIN_MAX_STEPS];
	size_t n = wait_chains_follow(t->chains, w, steps);

	for (size_t i = 0; i < n; i++) {
		auto_free char *text = chain_step_text(t->a, &steps[i]);
		auto_free char *cut = text_cut_right(text, width, t->a->charset);

		print_blanks(INDENT);
		puts(cut);
	}
}

static void print_waits(const struct waits_table *t)
{
	const struct analysis *a = t->a;
	struct cells *cells = xcalloc(t->n_shown, sizeof(*cells));
	struct widths w;

	for (size_t i = 0; i < t->n_shown; i++)
		cells[i] = make_cells(a, &t->waits[i]);
	w = measure(a, cells, t->n_shown);
	print_header(a, &w);
	for (size_t i = 0; i < t->n_shown; i++) {
		print_cells(a, &cells[i], &w);
		if (a->with_native)
			print_native(a, &t->waits[i]);
		print_chain(t, &t->waits[i]);
		cells_done(&cells[i]);
	}
	free(cells);
}

/* "12 idle waits, 3.40 s in all" */
static void print_sum(const struct waits_table *t, const struct trace_wait *sum,
		      const char *adjective)
{
	char count[UNITS_MAX], time[UNITS_MAX];

	format_count(sum->n, count);
	format_duration(sum->total_ns, analysis_micro(t->a), time);
	printf("%s %swait%s, %s in all", count, adjective, sum->n == 1 ? "" : "s", time);
}

static int print_text(const struct waits_table *t)
{
	int r = analysis_print_head(t->a, t->observed_ns, "");

	if (!t->a->has_edges) {
		puts("Not known: when threads were on a CPU; so no waits are known.");
		return r;
	}
	print_sum(t, &t->all, "");
	puts(", of a millisecond or more each");
	if (t->idle.total_ns) {
		print_sum(t, &t->idle, "idle ");
		puts(", not listed here (--idle)");
	}
	putchar('\n');
	if (t->n_waits == 0)
		puts("No wait of the followed code was seen that took a millisecond or more.");
	else
		print_waits(t);
	if (t->n_waits > t->n_shown)
		printf("... and %zu more kinds of waits (--num-items)\n", t->n_waits - t->n_shown);
	return r;
}

static int print(const struct waits_table *t)
{
	if (t->a->format == ANALYSIS_JSON)
		return waits_table_print_json(t);
	return t->a->format == ANALYSIS_CSV ? waits_table_print_csv(t) : print_text(t);
}

int analyse_waits(const struct analysis *a)
{
	struct waits_table t = {.a = a};
	wait_key key;
	int status = find_order(a, &key), r, r_print;

	if (status != EXIT_OK)
		return status;
	r = analysis_sum_waits(a, &t.waits, &t.n_waits, &t.observed_ns);
	select_waits(&t);
	if (t.n_waits && !a->with_native)
		merge_natives(&t);
	t.n_shown = t.n_waits < a->n_items ? t.n_waits : a->n_items;
	if (t.n_waits)
		qsort_r(t.waits, t.n_waits, sizeof(*t.waits), compare_waits, &key);
	t.chains = wait_chains_new(a->trace);
	r_print = print(&t);
	wait_chains_free(t.chains);
	free(t.waits);
	return analysis_finish(a, r < 0 ? r : r_print);
}
