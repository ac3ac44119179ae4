/* SPDX-License-Identifier: BSD-3-Clause */
/* The one line per stack that flame graph tools read; the empty stack has none. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/export.h"
#include "reader/stack_sums.h"
#include "reader/trace.h"

struct writer {
	struct trace *trace;
	FILE *out;
	char **texts; /* of each frame */
	size_t n_texts, cap_texts;
	uint32_t *path;
	size_t cap_path;
};

/* file:function:line, with whatever would end a frame or a line escaped. */
static char *frame_text(struct trace *t, const struct walk_place *frame)
{
	const struct trace_code *code = trace_get_code(t, frame->code);
	const struct trace_file *file = trace_get_file(t, frame->file);
	auto_free char *path =
	    file ? text_escape(file->path, file->path_len, ";", TEXT_UTF8) : xstrdup("?");
	auto_free char *name =
	    code ? text_escape(code->name, code->name_len, ";", TEXT_UTF8) : xstrdup("?");

	return xasprintf("%s:%s:%" PRId32, path, name, frame->line);
}

static void load_texts(struct writer *w, const struct stack_sums *sums)
{
	w->texts = xgrow(w->texts, &w->cap_texts, sums->n_places, sizeof(*w->texts));
	for (; w->n_texts < sums->n_places; w->n_texts++)
		w->texts[w->n_texts] = frame_text(w->trace, &sums->places[w->n_texts]);
}

/* The stack that ends at a node, outermost first. */
static void print_stack(struct writer *w, const struct stack_sums *sums, uint32_t node)
{
	size_t depth = 0;

	for (; sums->nodes[node].parent != node; node = sums->nodes[node].parent) {
		w->path = xgrow(w->path, &w->cap_path, depth + 1, sizeof(*w->path));
		w->path[depth++] = sums->nodes[node].place;
	}
	while (depth) {
		fputs(w->texts[w->path[--depth]], w->out);
		putc(depth ? ';' : ' ', w->out);
	}
}

static int on_sums(void *ctx, const struct stack_sums *sums)
{
	struct writer *w = ctx;
	int r = 0;

	load_texts(w, sums);
	for (uint32_t i = 1; r == 0 && i < sums->n_nodes; i++) {
		uint64_t us = (sums->nodes[i].wall_ns + NS_PER_US / 2) / NS_PER_US;

		if (us == 0)
			continue;
		print_stack(w, sums, i);
		fprintf(w->out, "%" PRIu64 "\n", us);
		r = export_check(w->out);
	}
	return r;
}

static int write_collapsed(struct trace *t, const struct selection *s, FILE *out,
			   struct walk_totals *totals)
{
	struct writer w = {.trace = t, .out = out};
	int r = stack_sums_each(t, s, false, STACK_SUMS_MAX_NODES, on_sums, &w, totals);

	for (size_t i = 0; i < w.n_texts; i++)
		free(w.texts[i]);
	free(w.texts);
	free(w.path);
	return r;
}

const struct export_format export_collapsed = {
    .name = "collapsed",
    .help = "one line per distinct stack, outermost frame first, all\n"
	    "threads together: file:function:line;...;file:function:line COUNT\n"
	    "COUNT is time in microseconds. Line 0 is an unknown line. In\n"
	    "names, bytes that would break the format are shown as \\xNN, a\n"
	    "backslash as \\\\. For flamegraph.pl, inferno, speedscope",
    .write = write_collapsed,
};
