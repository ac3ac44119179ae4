/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON lines, an event each; trackexec-export(1) documents them. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"
#include "common/trace_schema.h"
#include "reader/clock_map.h"
#include "reader/export.h"
#include "reader/export_names.h"
#include "reader/trace.h"
#include "reader/trace_waits.h"
#include "reader/wait_text.h"

/* Where the nanoseconds are in "2025-11-23T01:00:00.000012345+01:00". */
#define FRACTION_AT	20
#define FRACTION_DIGITS 9

struct writer {
	struct trace *trace;
	FILE *out;
	struct walk *walk;
	struct export_names *names;
	const struct selection *selection;
	uint16_t thread; /* 0: none yet */
	uint64_t end_ns; /* until when is told of it */
	bool has_clock;
	struct clock_map clock;
	/* The wall clock's text, of any moment of that second. */
	int64_t second;
	char wall[CLOCK_TEXT_SIZE];
};

static void set_fraction(char *wall, uint64_t ns)
{
	for (int i = FRACTION_DIGITS; i-- > 0; ns /= 10)
		wall[FRACTION_AT + i] = (char)('0' + ns % 10);
}

static const char *wall_text(struct writer *w, uint64_t time_ns)
{
	int64_t real_ns = clock_map_real(&w->clock, time_ns);
	int64_t second = real_ns / (int64_t)NS_PER_S;

	if (real_ns < 0 || second != w->second || !*w->wall)
		clock_map_format_exact(&w->clock, time_ns, w->wall);
	else
		set_fraction(w->wall, (uint64_t)real_ns % NS_PER_S);
	w->second = second;
	return w->wall;
}

/* What all lines begin with. */
static void begin_line(struct writer *w, uint64_t time_ns)
{
	fprintf(w->out, "{\"time\":%" PRIu64 ",\"wall\":", time_ns);
	if (w->has_clock)
		fprintf(w->out, "\"%s\"", wall_text(w, time_ns));
	else
		fputs("null", w->out);
	fprintf(w->out, ",\"thread\":%u", (unsigned)w->thread);
}

static void end_thread(struct writer *w)
{
	if (!w->thread)
		return;
	begin_line(w, w->end_ns);
	fputs(",\"end\":true}\n", w->out);
}

static int on_thread(void *ctx, struct walk *walk, const struct trace_thread *thread)
{
	struct writer *w = ctx;

	end_thread(w);
	w->walk = walk;
	w->thread = thread->id;
	w->end_ns =
	    thread->first_ns > w->selection->since_ns ? thread->first_ns : w->selection->since_ns;
	begin_line(w, w->end_ns);
	if (thread->native_id)
		fprintf(w->out, ",\"native_id\":%" PRIu64, thread->native_id);
	else
		fputs(",\"native_id\":null", w->out);
	fprintf(w->out, ",\"python_id\":%" PRIu64 "}\n", thread->python_id);
	return export_check(w->out);
}

static void put_place(struct writer *w, uint32_t id)
{
	const struct walk_place *place = walk_place(w->walk, id);
	struct export_name name = export_names_get(w->names, place);

	fprintf(w->out, "{\"file\":%s,\"line\":%" PRId32 ",\"function\":%s}", name.file,
		place->line, name.function);
}

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places, uint32_t n)
{
	struct writer *w = ctx;
	int provenance = walk_provenance(w->walk);

	begin_line(w, time_ns);
	fprintf(w->out, ",\"pop\":%" PRIu32 ",\"push\":[", pop);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			putc(',', w->out);
		put_place(w, places[i]);
	}
	putc(']', w->out);
	if (provenance >= 0)
		fprintf(w->out, ",\"provenance\":\"%s\"", provenance_name((unsigned)provenance));
	fputs("}\n", w->out);
	return export_check(w->out);
}

static int on_time(void *ctx, uint64_t start_ns, uint64_t end_ns, enum thread_activity activity,
		   const struct wait_kind *wait)
{
	struct writer *w = ctx;
	auto_free char *text = NULL, *quoted = NULL;

	(void)activity;
	w->end_ns = end_ns;
	if (!wait)
		return 0;
	text = wait_reason_text(w->trace, wait, TEXT_UTF8);
	quoted = json_quote(text, strlen(text));
	begin_line(w, start_ns);
	fprintf(w->out, ",\"wait\":%s,\"state\":\"%s\",\"idle\":%s,\"duration\":%" PRIu64 "}\n",
		quoted, wait->state == WAIT_FOR_CPU ? "ready" : "waiting",
		wait->idle ? "true" : "false", end_ns - start_ns);
	return export_check(w->out);
}

static int on_gap(void *ctx, uint64_t start_ns, uint64_t end_ns)
{
	struct writer *w = ctx;
	struct trace_gap gap;
	const char *reason = NULL;

	w->end_ns = end_ns;
	/* Of damage, and of what was deleted to save space, no gap tells. */
	if (trace_gap_within(w->trace, w->thread, start_ns, end_ns, &gap) == 1)
		reason = gap_reason_name(gap.reason);
	begin_line(w, start_ns);
	fprintf(w->out, ",\"gap\":\"%s\",\"duration\":%" PRIu64 "}\n", reason ? reason : "unknown",
		end_ns - start_ns);
	return export_check(w->out);
}

static int write_jsonl(struct trace *t, const struct selection *s, FILE *out,
		       struct walk_totals *totals)
{
	static const struct walk_calls calls = {
	    .on_thread = on_thread, .on_change = on_change, .on_time = on_time, .on_gap = on_gap};
	struct writer w = {.trace = t, .out = out, .selection = s, .names = export_names_new(t)};
	int r;

	w.has_clock = clock_map_init(&w.clock, t) == 0;
	r = walk_trace(t, s, &calls, &w, totals);
	end_thread(&w);
	if (w.has_clock)
		clock_map_done(&w.clock);
	export_names_free(w.names);
	return r;
}

const struct export_format export_jsonl = {
    .name = "jsonl",
    .help = "one JSON object a line: an event, a wait, a gap or a thread,\n"
	    "each with its time; see trackexec-export(1)",
    .write = write_jsonl,
};
