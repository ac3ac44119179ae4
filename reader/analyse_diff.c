/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/analyse_diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/line_text.h"
#include "reader/report.h"
#include "reader/text_table.h"
#include "reader/trace.h"
#include "reader/trace_diff.h"
#include "reader/wait_text.h"

/* The machine is hardly ever quite as fast as before. */
#define WORTH_TELLING 1.1
#define BUSY	      0.1

/* One of the two traces. */
struct side {
	const char *word; /* "old" */
	struct trace *trace;
	struct profile *profile;
	struct diff_side of;
};

struct job {
	const struct diff_arguments *a;
	struct side old_side, new_side;
	struct diff *diff;
};

/* --- what is in the tables --- */

static const char *micro(const struct job *j)
{
	return j->a->charset == TEXT_UTF8 ? "\u00b5" : "u";
}

/* Where an item is: in the new trace, or where it was. */
struct place {
	struct trace *trace;
	const struct trace_code *code;
	const struct trace_file *file;
	int32_t line; /* of a function, its first one */
};

static struct place find_place(const struct side *s, uint32_t function, int32_t line)
{
	struct place p = {.trace = s->trace, .line = line};

	if (function == PROFILE_NONE)
		return p;
	p.code = trace_get_code(s->trace, s->profile->functions[function].code);
	p.file = p.code ? trace_get_file(s->trace, p.code->file) : NULL;
	if (!line)
		p.line = s->profile->functions[function].first_line;
	return p;
}

static bool is_gone(const struct diff_item *i)
{
	return i->change == DIFF_GONE;
}

static struct place place_of(const struct job *j, const struct diff_item *i)
{
	return is_gone(i) ? find_place(&j->old_side, i->old_function, i->old_line)
			  : find_place(&j->new_side, i->new_function, i->new_line);
}

static bool is_line(const struct diff_item *i)
{
	return i->old_line || i->new_line;
}

/* --- text --- */

static void add_average(struct text_table *t, const struct job *j, const struct diff_figures *f)
{
	char text[UNITS_MAX];

	format_duration((uint64_t)f->average_ns, micro(j), text);
	text_table_add(t, f->n ? text : NULL);
}

static void add_share(struct text_table *t, const struct diff_figures *f)
{
	char text[UNITS_MAX];

	snprintf(text, sizeof(text), "%.1f %%", 100 * f->share);
	text_table_add(t, f->ns > 0 ? text : NULL);
}

static void add_item(struct text_table *t, const struct job *j, const struct diff_item *i)
{
	struct place p = place_of(j, i);
	const char *slash = p.file ? strrchr(p.file->path, '/') : NULL;
	const char *name = slash ? slash + 1 : p.file ? p.file->path : "?";
	auto_free char *location = xasprintf("%s:%" PRId32, name, p.line);
	auto_free char *source = NULL;
	char factor[UNITS_MAX];

	snprintf(factor, sizeof(factor), "%.3g", i->factor);
	text_table_add(t, diff_change_name(i->change));
	text_table_add(t, i->factor > 0 && !is_gone(i) && i->change != DIFF_NEW ? factor : NULL);
	add_average(t, j, &i->old_figures);
	add_average(t, j, &i->new_figures);
	add_share(t, &i->old_figures);
	add_share(t, &i->new_figures);
	text_table_add(t, location);
	if (is_line(i) && p.code)
		source = line_source(p.trace, p.code->file, p.line, TEXT_UTF8);
	text_table_add(t, is_line(i) ? source : p.code ? p.code->name : NULL);
}

static void print_table(const struct job *j, const struct diff_item *items, size_t n,
			const char *what, const char *last_header)
{
	const struct text_table_column columns[] = {
	    {.header = "CHANGE"},
	    {.header = "FACTOR", .is_number = true},
	    {.header = "OLD", .is_number = true},
	    {.header = "NEW", .is_number = true},
	    {.header = "OLD SHARE", .is_number = true},
	    {.header = "NEW SHARE", .is_number = true},
	    {.header = "LOCATION", .min_width = 12},
	    {.header = last_header, .min_width = 8},
	};
	auto_text_table struct text_table table = {
	    .columns = columns, .n_columns = sizeof(columns) / sizeof(columns[0])};
	size_t n_shown = n < j->a->n_items ? n : j->a->n_items;

	if (!n)
		return;
	for (size_t i = 0; i < n_shown; i++)
		add_item(&table, j, &items[i]);
	putchar('\n');
	text_table_print(&table, j->a->width);
	if (n > n_shown)
		printf("... and %zu more %s (--num-items)\n", n - n_shown, what);
}

static void print_side(const struct job *j, const char *label, const struct side *s)
{
	auto_free char *path =
	    text_escape(trace_path(s->trace), strlen(trace_path(s->trace)), "", j->a->charset);
	char observed[UNITS_MAX], began[WALL_TIME_SIZE];
	uint64_t start_ns = 0, end_ns = 0;

	trace_span(s->trace, &start_ns, &end_ns);
	format_wall_time(s->trace, start_ns, began);
	format_duration((uint64_t)s->profile->observed_ns, micro(j), observed);
	printf("%s  %s, %s observed: %s\n", label, began, observed, path);
}

static bool is_same_trace(const struct job *j)
{
	struct stat a, b;

	return stat(trace_path(j->old_side.trace), &a) == 0 &&
	       stat(trace_path(j->new_side.trace), &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* Who finds nothing has to know how much would have been found. */
static void print_busy(const struct job *j)
{
	double old_starved = j->old_side.profile->starved,
	       new_starved = j->new_side.profile->starved;
	double starved = old_starved > new_starved ? old_starved : new_starved;

	if (starved > BUSY)
		printf("Others had the CPU for %.0f %% of the time in which this could have run: "
		       "of what runs, a change by less than %.3g is taken for noise\n",
		       100 * starved, j->diff->least_factor);
}

static void print_text(const struct job *j)
{
	const struct diff *d = j->diff;

	print_side(j, "OLD", &j->old_side);
	print_side(j, "NEW", &j->new_side);
	if (is_same_trace(j))
		puts("These two are one trace.");
	printf("%zu function%s compared by the time for each call\n", d->n_compared,
	       d->n_compared == 1 ? "" : "s");
	if (d->n_uncounted)
		printf("%zu could not be: calls were not seen to begin, or followed one another "
		       "too quickly\n",
		       d->n_uncounted);
	if (d->common_factor > WORTH_TELLING || d->common_factor < 1 / WORTH_TELLING)
		printf("Most take %.3g times as long in the new one: shown is what differs from "
		       "that, too\n",
		       d->common_factor);
	print_busy(j);
	if (!d->n_functions && !d->n_lines)
		puts("Nothing changed by more than noise.");
	print_table(j, d->functions, d->n_functions, "functions", "FUNCTION");
	print_table(j, d->lines, d->n_lines, "lines", "SOURCE");
}

/* --- JSON --- */

static void json_side(const struct side *s, struct json_writer *w)
{
	json_object(w, s->word);
	json_string(w, "trace", trace_path(s->trace));
	json_real(w, "observed_s", s->profile->observed_ns / (double)NS_PER_S, 6);
	json_count(w, "interval_ns", (uint64_t)s->profile->interval_ns);
	json_object_end(w);
}

/* What is not there is null. */
static void json_figures(const struct side *s, uint32_t function, int32_t line, bool is_there,
			 const struct diff_figures *f, struct json_writer *w)
{
	struct place p = find_place(s, function, line);

	if (!is_there) {
		json_null(w, s->word);
		return;
	}
	json_object(w, s->word);
	json_string(w, "file", p.file ? p.file->path : NULL);
	json_int(w, "line", p.line);
	json_real(w, "share", f->share, 6);
	json_real(w, "ns_per_s", f->share * (double)NS_PER_S, 0);
	json_count(w, "total_ns", (uint64_t)f->ns);
	json_count(w, "n", f->n);
	if (f->n)
		json_real(w, "average_ns", f->average_ns, 1);
	else
		json_null(w, "average_ns");
	json_real(w, "error", f->error, 6);
	json_object_end(w);
}

static void json_item(const struct job *j, const struct diff_item *i, struct json_writer *w)
{
	struct place p = place_of(j, i);
	struct place unit =
	    find_place(&j->new_side, i->basis == DIFF_BY_CALLS ? i->unit : PROFILE_NONE, 0);
	bool is_alone = is_gone(i) || i->change == DIFF_NEW;
	auto_free char *source = NULL;

	json_object(w, NULL);
	json_string(w, "change", diff_change_name(i->change));
	json_string(w, "function", p.code ? p.code->name : NULL);
	if (is_line(i) && p.code) {
		source = line_source(p.trace, p.code->file, p.line, TEXT_UTF8);
		json_string(w, "source", source);
	}
	if (is_alone) {
		json_null(w, "factor");
		json_null(w, "threshold");
		json_null(w, "by");
		json_null(w, "by_calls_of");
	} else {
		json_real(w, "factor", i->factor, 4);
		json_real(w, "threshold", i->threshold, 4);
		json_string(w, "by", diff_basis_name(i->basis));
		json_string(w, "by_calls_of", unit.code ? unit.code->name : NULL);
	}
	json_figures(&j->old_side, i->old_function, i->old_line, i->change != DIFF_NEW,
		     &i->old_figures, w);
	json_figures(&j->new_side, i->new_function, i->new_line, !is_gone(i), &i->new_figures, w);
	json_object_end(w);
}

static void json_items(const struct job *j, const char *key, const struct diff_item *items,
		       size_t n, struct json_writer *w)
{
	json_array(w, key);
	for (size_t i = 0; i < n && i < j->a->n_items; i++)
		json_item(j, &items[i], w);
	json_array_end(w);
}

static void print_json(const struct job *j)
{
	const struct diff *d = j->diff;
	size_t max = j->a->n_items;
	struct json_writer w;

	json_begin(&w, stdout);
	json_side(&j->old_side, &w);
	json_side(&j->new_side, &w);
	json_bool(&w, "same_trace", is_same_trace(j));
	json_count(&w, "functions_compared", d->n_compared);
	json_count(&w, "functions_not_counted", d->n_uncounted);
	json_real(&w, "common_factor", d->common_factor, 4);
	json_real(&w, "least_factor", d->least_factor, 4);
	json_items(j, "functions", d->functions, d->n_functions, &w);
	json_count(&w, "functions_not_shown", d->n_functions > max ? d->n_functions - max : 0);
	json_items(j, "lines", d->lines, d->n_lines, &w);
	json_count(&w, "lines_not_shown", d->n_lines > max ? d->n_lines - max : 0);
	json_end(&w);
}

/* --- the whole --- */

static int open_side(struct side *s, const char *path, enum text_charset charset)
{
	auto_free char *name = NULL;
	char why[512] = "";
	int r = trace_open(path, &s->trace, why, sizeof(why));

	if (r == 0)
		return EXIT_OK;
	name = text_escape(path, strlen(path), "", charset);
	log_error("%s: %s", name, why);
	return r == -EACCES || r == -EPERM ? EXIT_NOT_ALLOWED : EXIT_NO_TRACE;
}

static int read_side(struct side *s)
{
	int r = profile_new(s->trace, &s->profile);

	s->of = (struct diff_side){.trace = s->trace, .profile = s->profile};
	if (r == 0 && trace_is_damaged(s->trace))
		r = -EBADMSG;
	return r < 0 ? report_damage(s->trace, r, "what could be read is compared") : EXIT_OK;
}

static int compare(struct job *j)
{
	int old_status = read_side(&j->old_side), new_status = read_side(&j->new_side);

	diff_new(&j->old_side.of, &j->new_side.of, &j->diff);
	if (j->a->as_json)
		print_json(j);
	else
		print_text(j);
	return old_status != EXIT_OK ? old_status : new_status;
}

static void side_done(struct side *s)
{
	profile_free(s->profile);
	if (s->trace)
		trace_close(s->trace);
}

int analyse_diff(const struct diff_arguments *a)
{
	struct job j = {.a = a, .old_side.word = "old", .new_side.word = "new"};
	int status = open_side(&j.old_side, a->old_path, a->charset);

	if (status == EXIT_OK)
		status = open_side(&j.new_side, a->new_path, a->charset);
	if (status == EXIT_OK)
		status = compare(&j);
	diff_free(j.diff);
	side_done(&j.old_side);
	side_done(&j.new_side);
	return status;
}
