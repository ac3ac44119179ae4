/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of waits for programs. */
#include "reader/analyse_waits.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "reader/analyse.h"
#include "reader/chain_text.h"
#include "reader/csv.h"
#include "reader/line_text.h"
#include "reader/wait_chain.h"

/* --- JSON --- */

static void print_json_native(const struct analysis *a, struct json_writer *j, uint32_t native)
{
	auto_free char *frames = NULL;
	char *rest;

	if (native == 0 || trace_native_frames(a->trace, native, &frames) < 0) {
		json_null(j, "native");
		json_null(j, "native_complete");
		return;
	}
	rest = frames;
	json_array(j, "native");
	for (const char *line; (line = strsep(&rest, "\n"));) {
		if (*line)
			json_string(j, NULL, line);
	}
	json_array_end(j);
	json_bool(j, "native_complete", trace_native_is_complete(a->trace, native));
}

static void print_json_chain(const struct waits_table *t, struct json_writer *j,
			     const struct trace_wait *w)
{
	struct chain_step steps[CHAIN_MAX_STEPS];
	size_t n = wait_chains_follow(t->chains, w, steps);

	chain_json(t->a, j, steps, n);
}

static void print_json_wait(const struct waits_table *t, struct json_writer *j,
			    const struct trace_wait *w)
{
	const struct analysis *a = t->a;
	const struct trace_reason *reason = trace_get_reason(a->trace, w->kind.reason);

	json_object(j, NULL);
	analysis_line_json(a, j, w->kind.file, w->kind.line);
	json_string(j, "state", w->kind.state == WAIT_FOR_CPU ? "ready" : "waiting");
	json_bool(j, "idle", (int)w->kind.idle);
	json_string(j, "kind", reason ? reason->kind : NULL);
	json_string(j, "call", reason ? reason->call : NULL);
	json_string(j, "reason", reason ? reason->what : NULL);
	json_string(j, "peer", reason && *reason->peer ? reason->peer : NULL);
	if (reason)
		json_count(j, "polled", reason->polled);
	else
		json_null(j, "polled");
	json_count(j, "count", wait_times(w));
	json_count(j, "total_ns", w->total_ns);
	json_count(j, "longest_ns", w->longest_ns);
	analysis_time_json(a, j, "longest_unix_s", w->longest_start_ns);
	if (a->with_native)
		print_json_native(a, j, w->kind.native);
	print_json_chain(t, j, w);
	json_object_end(j);
}

int waits_table_print_json(const struct waits_table *t)
{
	struct json_writer j;
	int r;

	json_begin(&j, stdout);
	r = analysis_head_json(t->a, &j, t->observed_ns);
	json_array(&j, "waits");
	for (size_t i = 0; i < t->n_shown; i++)
		print_json_wait(t, &j, &t->waits[i]);
	json_array_end(&j);
	json_count(&j, "waits_not_shown", t->n_waits - t->n_shown);
	json_count(&j, "idle_not_shown", t->idle.n);
	json_count(&j, "idle_not_shown_ns", t->idle.total_ns);
	json_end(&j);
	return r;
}

/* --- CSV --- */

static void print_csv_wait(const struct analysis *a, struct csv_writer *c,
			   const struct trace_wait *w)
{
	const struct trace_reason *reason = trace_get_reason(a->trace, w->kind.reason);
	const struct trace_file *file = trace_get_file(a->trace, w->kind.file);
	auto_free char *source = line_source(a->trace, w->kind.file, w->kind.line, TEXT_UTF8);
	int64_t real_ns;

	csv_text(c, file ? file->path : NULL);
	if (w->kind.line > 0)
		csv_count(c, (uint64_t)w->kind.line);
	else
		csv_empty(c);
	csv_text(c, source);
	csv_text(c, w->kind.state == WAIT_FOR_CPU ? "ready" : "waiting");
	csv_count(c, w->kind.idle);
	csv_text(c, reason ? reason->kind : NULL);
	csv_text(c, reason ? reason->call : NULL);
	csv_text(c, reason ? reason->what : NULL);
	csv_text(c, reason ? reason->peer : NULL);
	csv_count(c, wait_times(w));
	csv_count(c, w->total_ns);
	csv_count(c, w->longest_ns);
	if (trace_realtime(a->trace, w->longest_start_ns, &real_ns) == 0)
		csv_real(c, (double)real_ns / (double)NS_PER_S, 6);
	else
		csv_empty(c);
	csv_end_line(c);
}

int waits_table_print_csv(const struct waits_table *t)
{
	static const char *const header[] = {
	    "file",   "line", "source", "state",    "idle",	  "kind",	   "call",
	    "reason", "peer", "count",	"total_ns", "longest_ns", "longest_unix_s"};
	struct csv_writer c = {.out = stdout};

	for (size_t i = 0; i < sizeof(header) / sizeof(header[0]); i++)
		csv_text(&c, header[i]);
	csv_end_line(&c);
	for (size_t i = 0; i < t->n_shown; i++)
		print_csv_wait(t->a, &c, &t->waits[i]);
	return 0;
}
