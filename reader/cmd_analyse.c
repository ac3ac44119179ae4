/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec analyse: where the time went, line by line, from the line index alone. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/report.h"
#include "reader/trace.h"

DEFINE_CLEANUP(struct trace *, trace_close)

#define DEFAULT_ITEMS 20
/* On a terminal the text columns get at least this: with the numbers, 80 columns. */
#define LOCATION_MIN 14
#define SOURCE_MIN   14

struct analysis {
	struct trace *trace;
	enum text_charset charset;
	size_t width;		  /* of the terminal, 0: any */
	struct trace_line *lines; /* the hottest first */
	size_t n_lines;
	uint64_t self_ns; /* of all lines */
	struct trace_summary summary;
	struct trace_gaps gaps;
};

static int compare_lines(const void *a, const void *b)
{
	const struct trace_line *x = a, *y = b;

	if (x->self_ns != y->self_ns)
		return x->self_ns > y->self_ns ? -1 : 1;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return (x->line > y->line) - (x->line < y->line);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static const char *micro(const struct analysis *a)
{
	return a->charset == TEXT_UTF8 ? "\u00b5" : "u";
}

/* Collect what is shown. Returns the first error; what could be read is there nevertheless. */
static int collect(struct analysis *a)
{
	struct trace_gaps gaps[N_GAP_REASONS];
	int r = trace_summarise(a->trace, &a->summary), r_lines, r_gaps;

	r_lines = trace_sum_lines(a->trace, &a->lines, &a->n_lines);
	for (size_t i = 0; i < a->n_lines; i++)
		a->self_ns += a->lines[i].self_ns;
	if (a->n_lines)
		qsort(a->lines, a->n_lines, sizeof(*a->lines), compare_lines);
	r_gaps = trace_sum_gaps(a->trace, gaps);
	for (size_t i = 0; i < N_GAP_REASONS; i++) {
		a->gaps.n += gaps[i].n;
		a->gaps.ns += gaps[i].ns;
	}
	return r < 0 ? r : r_lines < 0 ? r_lines : r_gaps;
}

static void print_text(struct trace *t, const char *key, const char *before, const char *otherwise)
{
	auto_free char *text = NULL;
	auto_free char *escaped = NULL;

	if (trace_meta_text(t, key, &text) == 0 && *text)
		escaped = text_escape(text, strlen(text), "", text_locale_charset());
	printf("%s%s", before, escaped ? escaped : otherwise);
}

static int count_snapshots(struct trace *t, uint64_t *ret_taken, uint64_t *ret_dropped)
{
	char name[64];
	int r = trace_counter(t, COUNTER_SNAPSHOTS, ret_taken);

	*ret_dropped = 0;
	for (unsigned i = 0; r == 0 && i < N_DROP_REASONS; i++) {
		uint64_t n;

		snprintf(name, sizeof(name), COUNTER_DROPPED "%s", drop_reason_name(i));
		r = trace_counter(t, name, &n);
		if (r == 0)
			*ret_dropped += n;
	}
	return r;
}

static int print_totals(const struct analysis *a)
{
	char span[UNITS_MAX], observed[UNITS_MAX], gap_time[UNITS_MAX], count[UNITS_MAX];
	uint64_t start_ns = 0, end_ns = 0, taken = 0, dropped = 0;
	int r = trace_span(a->trace, &start_ns, &end_ns);
	int r_count = count_snapshots(a->trace, &taken, &dropped);

	format_duration(end_ns - start_ns, micro(a), span);
	format_duration(a->summary.observed_ns, micro(a), observed);
	format_duration(a->gaps.ns, micro(a), gap_time);
	print_text(a->trace, META_NAME, "", "?");
	print_text(a->trace, META_PID, ", PID ", "?");
	print_text(a->trace, META_PYTHON, ", Python ", "?");
	print_text(a->trace, META_HOST, ", on ", "?");
	printf("\n%s recorded, %" PRIu64 " thread%s, %s observed in all, of which %.1f %% in "
	       "lines below\n",
	       span, a->summary.n_threads, a->summary.n_threads == 1 ? "" : "s", observed,
	       percent(a->self_ns, a->summary.observed_ns));
	format_count(taken, count);
	printf("%s snapshots, %.2f %% dropped; ", count, percent(dropped, taken + dropped));
	if (a->gaps.n)
		printf("%" PRIu64 " gap%s, %s in all\n\n", a->gaps.n, a->gaps.n == 1 ? "" : "s",
		       gap_time);
	else
		printf("no gaps\n\n");
	return r < 0 ? r : r_count;
}

/* The text of one line, without what is before and after it; NULL when there is none. */
static char *source_line(const struct analysis *a, uint32_t file, int32_t line)
{
	auto_free char *text = NULL;
	const char *at, *end;
	size_t len;

	if (line <= 0 || trace_file_source(a->trace, file, &text, &len) < 0)
		return NULL;
	for (at = text; line > 1; line--) {
		at = memchr(at, '\n', len - (size_t)(at - text));
		if (!at)
			return NULL;
		at++;
	}
	end = memchr(at, '\n', len - (size_t)(at - text));
	if (!end)
		end = text + len;
	while (at < end && strchr(" \t\f", *at))
		at++;
	while (end > at && strchr(" \t\r\f", end[-1]))
		end--;
	return text_plain(at, (size_t)(end - at), a->charset);
}

static char *location(const struct analysis *a, const struct trace_line *line)
{
	const struct trace_file *file = trace_get_file(a->trace, line->file);
	auto_free char *path =
	    file ? text_escape(file->path, file->path_len, "", a->charset) : xstrdup("?");

	if (line->line == 0)
		return xasprintf("%s:?", path);
	return xasprintf("%s:%" PRId32, path, line->line);
}

static char *shown_source(const struct analysis *a, const struct trace_line *line)
{
	const struct trace_file *file = trace_get_file(a->trace, line->file);
	char *source = source_line(a, line->file, line->line);
	char *marked;

	if (!source)
		return xstrdup(line->line == 0 ? "(line unknown)" : "(no source)");
	if (!file || file->state != FILE_CHANGED)
		return source;
	marked = xasprintf("%s  (file changed since)", source);
	free(source);
	return marked;
}

/* Pad to a width in columns, which printf() would count in bytes. */
static void print_padded(const char *text, size_t width, int to_the_right)
{
	size_t pad = text_width(text) < width ? width - text_width(text) : 0;

	printf("%*s%s%*s", to_the_right ? (int)pad : 0, "", text, to_the_right ? 0 : (int)pad, "");
}

struct columns {
	size_t location;
	size_t source; /* 0: any */
};

#define NUMBERS_FORMAT_WIDTH 50 /* of what print_numbers() prints */

static void print_numbers(const struct analysis *a, const struct trace_line *line)
{
	char self[UNITS_MAX], average[UNITS_MAX], visits[UNITS_MAX];

	format_duration(line->self_ns, micro(a), self);
	format_count(line->visits, visits);
	if (line->visits)
		format_duration(line->self_ns / line->visits, micro(a), average);
	else
		snprintf(average, sizeof(average), "-");
	printf("%4" PRIu32 " ", line->file);
	print_padded(self, 10, 1);
	printf(" %5.1f %% ", percent(line->self_ns, a->summary.observed_ns));
	print_padded(average, 10, 1);
	putchar(' ');
	print_padded(visits, 13, 1);
	fputs("  ", stdout);
}

/* Locations get what they need, but on a terminal leave half of the rest to the source. */
static struct columns fit_columns(const struct analysis *a, char *const *locations, size_t n)
{
	struct columns c = {.location = strlen("LOCATION")};
	size_t left;

	for (size_t i = 0; i < n; i++) {
		if (text_width(locations[i]) > c.location)
			c.location = text_width(locations[i]);
	}
	if (a->width == 0)
		return c;
	left = a->width > NUMBERS_FORMAT_WIDTH + LOCATION_MIN + 2 + SOURCE_MIN
		   ? a->width - NUMBERS_FORMAT_WIDTH - 2
		   : LOCATION_MIN + SOURCE_MIN;
	if (c.location > left / 2)
		c.location = left / 2;
	c.source = left - c.location;
	return c;
}

static void print_table(const struct analysis *a, size_t n)
{
	char **locations = xcalloc(n, sizeof(*locations));
	struct columns c;

	for (size_t i = 0; i < n; i++)
		locations[i] = location(a, &a->lines[i]);
	c = fit_columns(a, locations, n);
	printf("%4s %10s %7s %10s %13s  ", "FILE", "CUMULATED", "SHARE", "AVERAGE", "TIMES SEEN");
	print_padded("LOCATION", c.location, 0);
	fputs("  SOURCE\n", stdout);
	for (size_t i = 0; i < n; i++) {
		auto_free char *cut = text_cut_left(locations[i], c.location, a->charset);
		auto_free char *source = shown_source(a, &a->lines[i]);
		auto_free char *cut_source =
		    text_cut_right(source, c.source ? c.source : SIZE_MAX, a->charset);

		print_numbers(a, &a->lines[i]);
		print_padded(cut, c.location, 0);
		printf("  %s\n", cut_source);
		free(locations[i]);
	}
	free(locations);
}

static int analyse(struct trace *t, size_t n_items)
{
	struct analysis a = {
	    .trace = t,
	    .charset = text_locale_charset(),
	    .width = report_width(),
	};
	int r = collect(&a), r_totals;

	r_totals = print_totals(&a);
	if (a.n_lines == 0)
		puts("No line of the followed code was seen.");
	else
		print_table(&a, a.n_lines < n_items ? a.n_lines : n_items);
	if (a.n_lines > n_items)
		printf("... and %zu more lines (--num-items)\n", a.n_lines - n_items);
	free(a.lines);
	r = r < 0 ? r : r_totals;
	if (r == 0 && trace_is_damaged(t))
		r = -EBADMSG;
	if (r < 0)
		return report_damage(t, r, "the table shows what could be read");
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
	    {"num-items", required_argument, NULL, 'l'},
	    {"limit", required_argument, NULL, 'l'},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	auto_release(trace_close) struct trace *t = NULL;
	uint64_t n_items = DEFAULT_ITEMS;
	int option, status;

	while ((option = getopt_long(argc, argv, "l:h", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			if (parse_count(optarg, INT32_MAX, &n_items) < 0) {
				log_error("analyse: '%s' is not a number of lines (1 or more)",
					  optarg);
				return command_usage_error(&cmd_analyse);
			}
			break;
		case 'h':
			fputs(cmd_analyse.help, stdout);
			return EXIT_OK;
		default:
			return command_usage_error(&cmd_analyse);
		}
	}
	status = report_open(&cmd_analyse, argc, argv, optind, &t);
	if (status != EXIT_OK)
		return status;
	return analyse(t, (size_t)n_items);
}

const struct command cmd_analyse = {
    .name = "analyse",
    .summary = "show the lines that took the most time",
    .help = "Usage: trackexec analyse [--num-items N] TRACE\n"
	    "\n"
	    "Show the lines that took the most time. TRACE is a trace's folder or its\n"
	    "trace.db; it may still be being recorded.\n"
	    "\n"
	    "Options:\n"
	    "  -l, --num-items N  show N lines (default 20)\n"
	    "  -h, --help         show this help\n"
	    "\n"
	    "Columns:\n"
	    "  FILE        number of the file in the trace\n"
	    "  CUMULATED   time in which the line was the current one of a thread, calls\n"
	    "              into code that is not followed included\n"
	    "  SHARE       the same in percent of the time observed, all threads together\n"
	    "  AVERAGE     the same for each time that the line was seen\n"
	    "  TIMES SEEN  how often it was entered, or returned to from followed code\n"
	    "  LOCATION    file:line; cut at its start to fit the terminal\n"
	    "  SOURCE      the line's text, as it was when the file was first seen\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec analyse trackexec-app-4242\n"
	    "  trackexec analyse --num-items 5 trackexec-app-4242/trace.db\n"
	    "  trackexec analyse -l 1000 trackexec-app-4242 | grep models.py\n",
    .run = run,
};
