/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole file, line by line, with what its lines took beside them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "reader/analyse_table.h"
#include "reader/source_text.h"
#include "reader/trace.h"

/* What is shown instead of the text of a file that is not in the trace. */
static int no_source(const struct analysis *a, const struct trace_file *f)
{
	auto_free char *path = text_escape(f->path, f->path_len, "", a->charset);

	log_error("analyse: the trace does not have the text of %s, as it could not be read when "
		  "the file was first seen; `--file` lists its lines",
		  path);
	return EXIT_FAILED;
}

static int no_such_file(const struct analysis *a, uint32_t file)
{
	size_t n = trace_n_files(a->trace);
	const struct trace_file *last = n ? trace_file_nth(a->trace, n - 1) : NULL;

	if (last)
		log_error("analyse: there is no file %" PRIu32 " in this trace; the numbers, to "
			  "%" PRIu32 ", are in the column FILE and in --json",
			  file, last->id);
	else
		log_error("analyse: there is no file in this trace");
	return EXIT_USAGE;
}

/* A row for each line, and before them one for what has no line, when there is. */
static void lay_out(const struct analysis_rows *found, uint32_t file,
		    const struct source_text *source, struct analysis_rows *ret)
{
	*ret = (struct analysis_rows){
	    .observed_ns = found->observed_ns,
	    .unobserved_ns = found->unobserved_ns,
	};
	for (int32_t line = 1; line <= source->n_lines; line++)
		analysis_rows_get(ret, file, line, 0);
	for (size_t i = 0; i < found->n; i++) {
		const struct trace_line *l = &found->rows[i].sum;

		/* Lines behind its end are of a later version of the file. */
		*analysis_rows_get(ret, file, l->line, 0) = found->rows[i];
	}
}

static int print_text(const struct rows_table *t, const struct trace_file *f)
{
	auto_free char *path = text_escape(f->path, f->path_len, "", t->a->charset);
	int r = analysis_print_head(t->a, t->observed_ns, "");

	printf("\n%s%s\n\n", path,
	       f->state == FILE_CHANGED ? " (it has changed since; this is how it was first)" : "");
	rows_table_print_text(t);
	return r;
}

static int print(const struct rows_table *t, const struct trace_file *f)
{
	return t->a->format == ANALYSIS_TEXT ? print_text(t, f) : rows_table_print(t);
}

static int show(const struct analysis *a, const struct trace_file *f,
		const struct source_text *source)
{
	struct analysis_rows found, all;
	struct rows_table t;
	int r = analysis_sum(a, &found), r_print;

	lay_out(&found, f->id, source, &all);
	rows_table_init(&t, a, &all, source);
	r_print = print(&t, f);
	rows_table_done(&t);
	/* What they measured belongs to those that were found. */
	for (size_t i = 0; i < all.n; i++)
		all.rows[i].durations = (struct durations){0};
	analysis_rows_done(&all);
	analysis_rows_done(&found);
	return analysis_finish(a, r < 0 ? r : r_print);
}

int analyse_file(const struct analysis *a, uint32_t file)
{
	const struct trace_file *f = trace_get_file(a->trace, file);
	struct source_text source;
	char *text = NULL;
	size_t len;
	int r, status;

	if (!f)
		return no_such_file(a, file);
	r = trace_file_source(a->trace, file, &text, &len);
	if (r == -ENOENT)
		return no_source(a, f);
	if (r < 0)
		return analysis_finish(a, r);
	source_text_init(&source, text, len);
	status = show(a, f, &source);
	source_text_done(&source);
	return status;
}
