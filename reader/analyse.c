/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/analyse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/clock_map.h"
#include "reader/line_text.h"
#include "reader/report.h"
#include "reader/selection.h"
#include "reader/trace_seek.h"
#include "reader/trace_waits.h"

/* More are not named in the head. */
#define THREADS_SHOWN 10

#define auto_clock_map __attribute__((cleanup(clock_map_done)))

double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

const char *analysis_micro(const struct analysis *a)
{
	return a->charset == TEXT_UTF8 ? "\u00b5" : "u";
}

const char *analysis_colour(const struct analysis *a, enum analysis_colour colour)
{
	static const char *const codes[] = {
	    [ANALYSIS_PLAIN] = "\x1b[m",  [ANALYSIS_BOLD] = "\x1b[1m",	 [ANALYSIS_DIM] = "\x1b[2m",
	    [ANALYSIS_WARM] = "\x1b[33m", [ANALYSIS_HOT] = "\x1b[1;31m",
	};

	return a->has_colour ? codes[colour] : "";
}

/* What of a part is lost by rounding down, as a fraction of the whole. */
struct remainder {
	size_t i;
	double lost;
};

static int compare_remainders(const void *a, const void *b)
{
	const struct remainder *x = a, *y = b;

	if (x->lost < y->lost || x->lost > y->lost)
		return x->lost > y->lost ? -1 : 1;
	return (x->i > y->i) - (x->i < y->i);
}

void analysis_round(const uint64_t *parts, size_t n, unsigned n_units, unsigned *ret)
{
	auto_free struct remainder *remainders = xcalloc(n + 1, sizeof(*remainders));
	double whole = 0;
	unsigned given = 0;

	for (size_t i = 0; i < n; i++)
		whole += (double)parts[i];
	for (size_t i = 0; i < n; i++) {
		double exact = whole > 0 ? (double)parts[i] / whole * n_units : 0;

		ret[i] = (unsigned)exact;
		given += ret[i];
		remainders[i] = (struct remainder){i, exact - ret[i]};
	}
	qsort(remainders, n, sizeof(*remainders), compare_remainders);
	for (size_t i = 0; whole > 0 && i < n && given < n_units; i++, given++)
		ret[remainders[i].i]++;
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

/* The oldest of it may have been deleted to save space. */
static int print_trimmed(const struct analysis *a, uint64_t start_ns)
{
	struct trace_trimmed trimmed;
	char time[UNITS_MAX];
	int r = trace_get_trimmed(a->trace, &trimmed);

	if (trimmed.until_ns > start_ns) {
		format_duration(trimmed.until_ns - start_ns, analysis_micro(a), time);
		printf("Of the first %s most or all was deleted to save space.\n", time);
	}
	return r;
}

static void note(int *error, int r)
{
	if (r < 0 && *error == 0)
		*error = r;
}

int analysis_alive_ns(const struct analysis *a, uint64_t *ret)
{
	auto_free struct trace_thread *threads = NULL;
	const struct selection *s = a->selection;
	uint64_t start_ns = 0, end_ns = 0;
	size_t n;
	int error = 0;

	*ret = 0;
	note(&error, trace_bounds(a->trace, &start_ns, &end_ns));
	note(&error, trace_threads(a->trace, &threads, &n));
	for (size_t i = 0; i < n; i++) {
		const struct trace_thread *t = &threads[i];
		uint64_t first = t->first_ns, last = t->last_ns ? t->last_ns : end_ns;

		if (!selection_has(s, t->id))
			continue;
		if (first < s->since_ns)
			first = s->since_ns;
		if (last > s->until_ns)
			last = s->until_ns;
		*ret += last > first ? last - first : 0;
	}
	return error;
}

static int print_gaps(const struct analysis *a, uint64_t observed_ns)
{
	struct trace_gaps gaps[N_GAP_REASONS];
	uint64_t n = 0, alive_ns = 0;
	int error = 0;
	char time[UNITS_MAX];

	note(&error, trace_sum_gaps(a->trace, gaps));
	note(&error, analysis_alive_ns(a, &alive_ns));
	for (size_t i = 0; i < N_GAP_REASONS; i++)
		n += gaps[i].n;
	if (n)
		printf("%" PRIu64 " gap%s", n, n == 1 ? "" : "s");
	else
		fputs("no gaps", stdout);
	/* Not the sum of gaps: they overlap, and concern all threads or one. */
	format_duration(alive_ns - observed_ns, analysis_micro(a), time);
	printf(alive_ns > observed_ns ? ", %s not observed\n" : "\n", time);
	return error;
}

/* What is left out, when something is. */
static int print_selection(const struct analysis *a)
{
	const struct selection *s = a->selection;
	auto_clock_map struct clock_map clock = {0};
	char since[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE], span[UNITS_MAX];
	int r;

	if (s->is_whole)
		return 0;
	r = clock_map_init(&clock, a->trace);
	if (r < 0)
		return r;
	clock_map_format(&clock, s->since_ns, since);
	clock_map_format(&clock, s->until_ns, until);
	format_duration(s->until_ns - s->since_ns, analysis_micro(a), span);
	printf("Only %s from %s to %s, thread%s ", span, since, until,
	       s->n_threads == 1 ? "" : "s");
	for (size_t i = 0; i < s->n_threads && i < THREADS_SHOWN; i++)
		printf("%s%u", i ? ", " : "", s->threads[i]);
	puts(s->n_threads > THREADS_SHOWN ? ", ..." : "");
	return 0;
}

int analysis_print_head(const struct analysis *a, uint64_t observed_ns, const char *of_that)
{
	char span[UNITS_MAX], observed[UNITS_MAX], count[UNITS_MAX];
	uint64_t start_ns = 0, end_ns = 0, taken = 0, dropped = 0;
	struct trace_summary summary;
	int error = 0;

	note(&error, trace_summarise(a->trace, &summary));
	note(&error, trace_span(a->trace, &start_ns, &end_ns));
	note(&error, count_snapshots(a->trace, &taken, &dropped));
	format_duration(end_ns - start_ns, analysis_micro(a), span);
	format_duration(observed_ns, analysis_micro(a), observed);
	print_text(a->trace, META_NAME, "", "?");
	print_text(a->trace, META_PID, ", PID ", "?");
	print_text(a->trace, META_PYTHON, ", Python ", "?");
	print_text(a->trace, META_HOST, ", on ", "?");
	printf("\n%s recorded, %" PRIu64 " thread%s, %s observed in all%s\n", span,
	       summary.n_threads, summary.n_threads == 1 ? "" : "s", observed, of_that);
	format_count(taken, count);
	printf("%s snapshots, %.2f %% dropped; ", count, percent(dropped, taken + dropped));
	note(&error, print_gaps(a, observed_ns));
	note(&error, print_trimmed(a, start_ns));
	note(&error, print_selection(a));
	return error;
}

void analysis_time_json(const struct analysis *a, struct json_writer *j, const char *key,
			uint64_t monotonic_ns)
{
	int64_t real_ns;

	if (trace_realtime(a->trace, monotonic_ns, &real_ns) == 0)
		json_real(j, key, (double)real_ns / (double)NS_PER_S, 6);
	else
		json_null(j, key);
}

int analysis_head_json(const struct analysis *a, struct json_writer *j, uint64_t observed_ns)
{
	uint64_t start_ns = 0, end_ns = 0;
	int r = trace_span(a->trace, &start_ns, &end_ns);

	json_string(j, "trace", trace_path(a->trace));
	json_bool(j, "edges", a->has_edges);
	json_real(j, "duration_s", (double)(end_ns - start_ns) / (double)NS_PER_S, 6);
	analysis_time_json(a, j, "since_unix_s", a->selection->since_ns);
	analysis_time_json(a, j, "until_unix_s", a->selection->until_ns);
	json_count(j, "observed_ns", observed_ns);
	return r;
}

void analysis_line_json(const struct analysis *a, struct json_writer *j, uint32_t file,
			int32_t line)
{
	const struct trace_file *f = trace_get_file(a->trace, file);
	auto_free char *source = line_source(a->trace, file, line, TEXT_UTF8);

	json_string(j, "file", f ? f->path : NULL);
	if (line)
		json_int(j, "line", line);
	else
		json_null(j, "line");
	json_string(j, "source", source);
}

int analysis_no_such_column(const struct analysis *a, const char *const *names)
{
	auto_free char *list = xstrdup(names[0]);
	auto_free char *asked = text_escape(a->sort_column, strlen(a->sort_column), "", a->charset);

	for (size_t i = 1; names[i]; i++) {
		char *longer = xasprintf("%s, %s", list, names[i]);

		free(list);
		list = longer;
	}
	log_error("analyse: there is no column '%s' to sort by; there are: %s", asked, list);
	return command_usage_error(&cmd_analyse);
}

int analysis_finish(const struct analysis *a, int r)
{
	if (r == 0 && trace_is_damaged(a->trace))
		r = -EBADMSG;
	if (r < 0)
		return report_damage(a->trace, r, "what could be read is shown");
	return EXIT_OK;
}
