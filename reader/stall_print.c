/* SPDX-License-Identifier: BSD-3-Clause */
/* A table of stalls for people and for programs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/line_text.h"
#include "reader/shell_word.h"
#include "reader/stall_table.h"

#define BETWEEN	     2
#define LOCATION_MIN 12
/* Of what stands below a row. */
#define INDENT 7

enum number { COUNT, TOTAL, WORST, N_NUMBERS };

static const char *const headers[N_NUMBERS] = {
    [COUNT] = "COUNT", [TOTAL] = "TOTAL", [WORST] = "WORST"};

struct widths {
	size_t numbers[N_NUMBERS];
	size_t began, location;
};

static void format_number(const struct stall_table *t, const struct stall_group *g, enum number n,
			  char buf[static UNITS_MAX])
{
	const char *micro = t->charset == TEXT_UTF8 ? "\u00b5" : "u";

	if (n == COUNT)
		format_count(g->n, buf);
	else
		format_duration(n == TOTAL ? g->total_ns : g->worst.end_ns - g->worst.start_ns,
				micro, buf);
}

static char *location(const struct stall_table *t, const struct stall_group *g)
{
	auto_free char *file = NULL;

	if (!g->file)
		return xstrdup("(no followed code)");
	file = text_escape(g->file, strlen(g->file), "", t->charset);
	return g->line ? xasprintf("%s:%" PRId32, file, g->line) : xasprintf("%s:?", file);
}

static void widen(size_t *width, const char *text)
{
	size_t n = text_width(text);

	if (n > *width)
		*width = n;
}

static struct widths measure(const struct stall_table *t, size_t n, size_t width)
{
	struct widths w = {.began = strlen("BEGAN"), .location = SIZE_MAX};
	size_t used = BETWEEN;
	char buf[UNITS_MAX];

	for (size_t i = 0; i < n; i++)
		widen(&w.began, t->groups[i].worst_began);
	for (enum number c = 0; c < N_NUMBERS; c++) {
		w.numbers[c] = strlen(headers[c]);
		for (size_t i = 0; i < n; i++) {
			format_number(t, &t->groups[i], c, buf);
			widen(&w.numbers[c], buf);
		}
		used += w.numbers[c] + BETWEEN;
	}
	used += w.began;
	if (width)
		w.location = width > used + LOCATION_MIN ? width - used : LOCATION_MIN;
	return w;
}

static void print_blanks(size_t n)
{
	printf("%*s", (int)n, "");
}

static char *command(const struct stall_group *g)
{
	auto_free char *path = shell_path(g->worst_path);

	if (!g->worst_needs_thread)
		return xasprintf("trackexec replay --at %s %s", g->worst_at, path);
	return xasprintf("trackexec replay --thread %u --at %s %s", g->worst.thread, g->worst_at,
			 path);
}

/* What it did on that line, and the line. */
static void print_detail(const struct stall_table *t, const struct stall_group *g, size_t width)
{
	auto_free char *source =
	    g->source ? text_plain(g->source, strlen(g->source), t->charset) : NULL;
	auto_free char *text = xasprintf(source ? "%s: %s" : "%s", g->reasons[0].text, source);
	size_t room = width > INDENT + LOCATION_MIN ? width - INDENT : LOCATION_MIN;
	auto_free char *cut = text_cut_right(text, width ? room : SIZE_MAX, t->charset);

	print_blanks(INDENT);
	puts(cut);
}

static void print_group(const struct stall_table *t, const struct stall_group *g,
			const struct widths *w, size_t width)
{
	auto_free char *where = location(t, g);
	auto_free char *replay = command(g);
	auto_free char *cut = text_cut_left(where, w->location, t->charset);
	char buf[UNITS_MAX];

	for (enum number c = 0; c < N_NUMBERS; c++) {
		format_number(t, g, c, buf);
		print_padded(buf, w->numbers[c], 1);
		print_blanks(BETWEEN);
	}
	print_padded(g->worst_began, w->began, 0);
	print_blanks(BETWEEN);
	puts(cut);
	print_detail(t, g, width);
	print_blanks(INDENT);
	puts(replay);
}

void stall_table_print(const struct stall_table *t, size_t n, size_t width)
{
	struct widths w;

	if (n > t->n_groups)
		n = t->n_groups;
	w = measure(t, n, width);
	for (enum number c = 0; c < N_NUMBERS; c++) {
		print_padded(headers[c], w.numbers[c], 1);
		print_blanks(BETWEEN);
	}
	print_padded("BEGAN", w.began, 0);
	print_blanks(BETWEEN);
	puts("LOCATION");
	for (size_t i = 0; i < n; i++)
		print_group(t, &t->groups[i], &w, width);
}

/* --- JSON --- */

static void json_worst(const struct stall_group *g, struct json_writer *j)
{
	auto_free char *replay = command(g);

	json_object(j, "worst");
	json_count(j, "ns", g->worst.end_ns - g->worst.start_ns);
	json_string(j, "began", g->worst_began);
	json_count(j, "start_ns", g->worst.start_ns);
	json_string(j, "at", g->worst_at);
	json_string(j, "trace", g->worst_path);
	json_count(j, "thread", g->worst.thread);
	json_bool(j, "unfinished", g->worst.is_unfinished);
	json_string(j, "replay", replay);
	json_object_end(j);
}

static void json_group(const struct stall_group *g, struct json_writer *j)
{
	json_object(j, NULL);
	json_string(j, "file", g->file);
	if (g->line)
		json_int(j, "line", g->line);
	else
		json_null(j, "line");
	json_string(j, "source", g->source);
	json_count(j, "count", g->n);
	json_count(j, "unfinished", g->n_unfinished);
	json_count(j, "total_ns", g->total_ns);
	json_count(j, "line_ns", g->line_ns);
	json_string(j, "reason", g->reasons[0].text);
	json_array(j, "reasons");
	for (size_t i = 0; i < g->n_reasons; i++) {
		json_object(j, NULL);
		json_string(j, "reason", g->reasons[i].text);
		json_count(j, "ns", g->reasons[i].ns);
		json_object_end(j);
	}
	json_array_end(j);
	json_worst(g, j);
	json_object_end(j);
}

void stall_table_json(const struct stall_table *t, size_t n, struct json_writer *j)
{
	json_array(j, "lines");
	for (size_t i = 0; i < n && i < t->n_groups; i++)
		json_group(&t->groups[i], j);
	json_array_end(j);
}
