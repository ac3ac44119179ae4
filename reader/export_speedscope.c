/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The evented format of https://www.speedscope.app: a profile for each thread, with the opening and
 * closing of each frame. The table of frames comes last: only then all are known.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/xalloc.h"
#include "reader/export.h"
#include "reader/export_names.h"
#include "reader/trace.h"

/* A frame as it is in the file. */
struct frame {
	struct export_name name;
	int32_t line;
};

struct writer {
	struct trace *trace;
	FILE *out;
	const struct selection *selection;
	struct walk *walk;
	struct export_names *names;
	struct frame *frames; /* by the numbers of places, which outlive the walk here */
	size_t n_frames, cap_frames;
	uint32_t *stack;
	size_t depth, cap_stack;
	unsigned n_threads;
	bool has_events;
};

static void put_event(struct writer *w, char type, uint32_t frame, uint64_t time_ns)
{
	fprintf(w->out, "%s{\"type\":\"%c\",\"frame\":%" PRIu32 ",\"at\":%" PRIu64 "}",
		w->has_events ? ",\n" : "\n", type, frame, time_ns - w->selection->since_ns);
	w->has_events = true;
}

static void end_thread(struct writer *w)
{
	if (w->n_threads)
		fputs("\n]}", w->out);
}

static int on_thread(void *ctx, struct walk *walk, const struct trace_thread *thread)
{
	struct writer *w = ctx;

	w->walk = walk;
	end_thread(w);
	fprintf(w->out, "%s\n{\"type\":\"evented\",\"name\":\"thread %u", w->n_threads ? "," : "",
		(unsigned)thread->id);
	if (thread->native_id)
		fprintf(w->out, " (%" PRIu64 ")", thread->native_id);
	fprintf(w->out,
		"\",\"unit\":\"nanoseconds\",\"startValue\":0,\"endValue\":%" PRIu64
		",\"events\":[",
		w->selection->until_ns - w->selection->since_ns);
	w->n_threads++;
	w->has_events = false;
	w->depth = 0;
	return export_check(w->out);
}

static void load_frames(struct writer *w)
{
	size_t n = walk_n_places(w->walk);

	w->frames = xgrow(w->frames, &w->cap_frames, n, sizeof(*w->frames));
	for (; w->n_frames < n; w->n_frames++) {
		const struct walk_place *place = walk_place(w->walk, (uint32_t)w->n_frames);

		w->frames[w->n_frames] =
		    (struct frame){.name = export_names_get(w->names, place), .line = place->line};
	}
}

static int on_change(void *ctx, uint64_t time_ns, uint32_t pop, const uint32_t *places, uint32_t n)
{
	struct writer *w = ctx;

	if (w->n_frames < walk_n_places(w->walk))
		load_frames(w);
	for (; pop; pop--)
		put_event(w, 'C', w->stack[--w->depth], time_ns);
	w->stack = xgrow(w->stack, &w->cap_stack, w->depth + n + 1, sizeof(*w->stack));
	for (uint32_t i = 0; i < n; i++) {
		put_event(w, 'O', places[i], time_ns);
		w->stack[w->depth++] = places[i];
	}
	return export_check(w->out);
}

static void put_frames(const struct writer *w)
{
	for (size_t i = 0; i < w->n_frames; i++) {
		const struct frame *f = &w->frames[i];

		fprintf(w->out, "%s{\"name\":%s,\"file\":%s", i ? ",\n" : "\n", f->name.function,
			f->name.file);
		/* 0 is no line. */
		if (f->line > 0)
			fprintf(w->out, ",\"line\":%" PRId32, f->line);
		putc('}', w->out);
	}
}

static void put_head(const struct writer *w)
{
	auto_free char *name = NULL, *quoted = NULL;

	if (trace_meta_text(w->trace, META_NAME, &name) < 0)
		name = xstrdup("trace");
	quoted = json_quote(name, strlen(name));
	fprintf(w->out,
		"{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n"
		"\"exporter\":\"trackexec " TRACKEXEC_VERSION "\",\n\"name\":%s,\n\"profiles\":[",
		quoted);
}

static int write_speedscope(struct trace *t, const struct selection *s, FILE *out,
			    struct walk_totals *totals)
{
	static const struct walk_calls calls = {.on_thread = on_thread, .on_change = on_change};
	struct writer w = {.trace = t, .out = out, .selection = s, .names = export_names_new(t)};
	int r;

	put_head(&w);
	r = walk_trace(t, s, &calls, &w, totals);
	end_thread(&w);
	fputs("\n],\n\"shared\":{\"frames\":[", out);
	put_frames(&w);
	fputs("\n]}}\n", out);
	export_names_free(w.names);
	free(w.frames);
	free(w.stack);
	return r;
}

const struct export_format export_speedscope = {
    .name = "speedscope",
    .help = "JSON for https://www.speedscope.app: a profile for each thread,\n"
	    "in the order of time, frames by line",
    .write = write_speedscope,
};
