/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trace Event JSON, for Perfetto and chrome://tracing. A slice is a call of a function: it goes on
 * when the function goes on to another line. Waits and gaps are slices of their own categories.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/clock_map.h"
#include "reader/export.h"
#include "reader/export_names.h"
#include "reader/trace.h"
#include "reader/wait_text.h"

struct writer {
	struct trace *trace;
	FILE *out;
	struct walk *walk;
	struct export_names *names;
	uint64_t start_ns; /* of the recording: what times count from */
	int64_t pid;
	uint64_t thread;     /* as the file has it */
	uint32_t *functions; /* code objects on the stack */
	size_t depth, cap_functions;
};

/* Where the recording began, or for a damaged trace, the selection. */
static uint64_t find_start(struct trace *t, const struct selection *s)
{
	int64_t start;

	if (trace_meta_int(t, META_START_MONOTONIC, &start) < 0 || start < 0 ||
	    (uint64_t)start > s->since_ns)
		return s->since_ns;
	return (uint64_t)start;
}

/* Every event but the first: that is the name of the process. */
static void begin_event(struct writer *w, char phase, uint64_t time_ns)
{
	uint64_t ns = time_ns - w->start_ns;

	fprintf(w->out,
		",\n{\"ph\":\"%c\",\"pid\":%" PRId64 ",\"tid\":%" PRIu64 ",\"ts\":%" PRIu64 ".%03u",
		phase, w->pid, w->thread, ns / NS_PER_US, (unsigned)(ns % NS_PER_US));
}

static int on_thread(void *ctx, struct walk *walk, const struct trace_thread *thread)
{
	struct writer *w = ctx;

	w->walk = walk;
	w->thread = thread->native_id ? thread->native_id : thread->id;
	w->depth = 0;
	fprintf(w->out,
		",\n{\"ph\":\"M\",\"pid\":%" PRId64 ",\"tid\":%" PRIu64
		",\"name\":\"thread_name\",\"args\":{\"name\":\"thread %u\"}}",
		w->pid, w->thread, (unsigned)thread->id);
	return export_check(w->out);
}

static void begin_call(struct writer *w, const struct walk_place *place, uint64_t time_ns)
{
	struct export_name name = export_names_get(w->names, place);

	begin_event(w, 'B', time_ns);
	fprintf(w->out,
		",\"cat\":\"python\",\"name\":%s,\"args\":{\"file\":%s,\"line\":%" PRId32 "}}",
		name.function, name.file, place->line);
}

static void end_slice(struct writer *w, uint64_t time_ns)
{
	begin_event(w, 'E', time_ns);
	putc('}', w->out);
}

/* Whether the first frame that comes is the last one that ends, on another line. */
static bool goes_on(const struct writer *w, uint32_t pop, const uint32_t *places, uint32_t n)
{
	uint32_t code;

	if (!pop || !n)
		return false;
	code = walk_place(w->walk, places[0])->code;
	return code && code == w->functions[w->depth - pop];
}

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places, uint32_t n)
{
	struct writer *w = ctx;
	uint32_t same = goes_on(w, pop, places, n);

	for (uint32_t i = same; i < pop; i++)
		end_slice(w, time_ns);
	w->depth -= pop;
	w->functions =
	    xgrow(w->functions, &w->cap_functions, w->depth + n + 1, sizeof(*w->functions));
	for (uint32_t i = 0; i < n; i++) {
		const struct walk_place *place = walk_place(w->walk, places[i]);

		if (i >= same)
			begin_call(w, place, time_ns);
		w->functions[w->depth++] = place->code;
	}
	return export_check(w->out);
}

static int on_time(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		   const struct wait_kind *wait)
{
	struct writer *w = ctx;
	auto_free char *text = NULL, *quoted = NULL;

	if (!wait)
		return 0;
	text = wait_reason_text(w->trace, wait, TEXT_UTF8);
	quoted = json_quote(text, strlen(text));
	begin_event(w, 'B', start_ns);
	fprintf(w->out, ",\"cat\":\"%s\",\"name\":%s,\"args\":{\"idle\":%s}}",
		activity == ACTIVITY_READY ? "ready" : "wait", quoted,
		wait->idle ? "true" : "false");
	end_slice(w, end_ns);
	return export_check(w->out);
}

static int on_gap(void *ctx, uint64_t start_ns, uint64_t end_ns)
{
	struct writer *w = ctx;

	begin_event(w, 'B', start_ns);
	fputs(",\"cat\":\"gap\",\"name\":\"not observed\"}", w->out);
	end_slice(w, end_ns);
	return export_check(w->out);
}

static void put_meta(const struct writer *w, const char *key, const char *meta_key)
{
	auto_free char *text = NULL, *quoted = NULL;

	if (trace_meta_text(w->trace, meta_key, &text) < 0)
		return;
	quoted = json_quote(text, strlen(text));
	fprintf(w->out, ",\n\"%s\":%s", key, quoted);
}

static void put_head(const struct writer *w)
{
	auto_free char *name = NULL, *quoted = NULL;

	if (trace_meta_text(w->trace, META_NAME, &name) < 0)
		name = xstrdup("trace");
	quoted = json_quote(name, strlen(name));
	fprintf(w->out,
		"{\"displayTimeUnit\":\"ns\",\n\"traceEvents\":[\n"
		"{\"ph\":\"M\",\"pid\":%" PRId64
		",\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":%s}}",
		w->pid, quoted);
}

static void put_tail(const struct writer *w)
{
	struct clock_map clock;
	char start[CLOCK_TEXT_SIZE];

	fprintf(w->out,
		"\n],\n\"otherData\":{\"exporter\":\"trackexec " TRACKEXEC_VERSION
		"\",\n\"start_monotonic_ns\":\"%" PRIu64 "\"",
		w->start_ns);
	if (clock_map_init(&clock, w->trace) == 0) {
		clock_map_format_exact(&clock, w->start_ns, start);
		fprintf(w->out, ",\n\"start\":\"%s\"", start);
		clock_map_done(&clock);
	}
	put_meta(w, "command", META_COMMAND);
	put_meta(w, "host", META_HOST);
	fputs("}}\n", w->out);
}

static int write_chrome(struct trace *t, const struct selection *s, FILE *out,
			struct walk_totals *totals)
{
	static const struct walk_calls calls = {
	    .on_thread = on_thread, .on_change = on_change, .on_time = on_time, .on_gap = on_gap};
	struct writer w = {
	    .trace = t, .out = out, .names = export_names_new(t), .start_ns = find_start(t, s)};
	int r;

	if (trace_meta_int(t, META_PID, &w.pid) < 0)
		w.pid = 0;
	put_head(&w);
	r = walk_trace(t, s, &calls, &w, totals);
	put_tail(&w);
	export_names_free(w.names);
	free(w.functions);
	return r;
}

const struct export_format export_chrome = {
    .name = "chrome",
    .help = "Trace Event JSON for https://ui.perfetto.dev: a slice for each call\n"
	    "of a function, with its waits, on a track for each thread",
    .write = write_chrome,
};
