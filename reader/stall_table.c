/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/stall_table.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/clock_map.h"
#include "reader/line_text.h"
#include "reader/trace.h"
#include "reader/wait_text.h"

/* A line of the trace at hand, and its group. */
struct stall_line {
	uint32_t file;
	int32_t line;
	uint32_t group;
};

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash_mix(hash, text ? hash_bytes(text, strlen(text)) : 0);
}

static uint32_t find_group(struct stall_table *t, const char *file, int32_t line,
			   const char *source)
{
	uint64_t mixed = hash_text(hash_text(hash_mix(0, (uint32_t)line), file), source);
	uint32_t hash = hash_fold(mixed);

	HASH_INDEX_FOR_EACH(&t->index, hash, at, id)
	{
		const struct stall_group *g = &t->groups[id];

		if (g->line == line && is_same(g->file, file) && is_same(g->source, source))
			return id;
	}
	t->groups = xgrow(t->groups, &t->cap_groups, t->n_groups + 1, sizeof(*t->groups));
	t->groups[t->n_groups] = (struct stall_group){
	    .file = file ? xstrdup(file) : NULL,
	    .line = line,
	    .source = source ? xstrdup(source) : NULL,
	};
	hash_index_add(&t->index, hash, (uint32_t)t->n_groups);
	return (uint32_t)t->n_groups++;
}

void stall_table_end_trace(struct stall_table *t)
{
	hash_index_done(&t->line_index);
	t->n_lines = 0;
}

/* Reading a line's text is dear: it is done once for each line of a trace. */
static struct stall_group *group_of(struct stall_table *t, struct trace *trace, uint32_t file,
				    int32_t line)
{
	uint32_t hash = hash_fold(hash_mix(hash_mix(0, file), (uint32_t)line)), group;
	const struct trace_file *f = trace_get_file(trace, file);
	auto_free char *source = NULL;

	HASH_INDEX_FOR_EACH(&t->line_index, hash, at, id)
	{
		if (t->lines[id].file == file && t->lines[id].line == line)
			return &t->groups[t->lines[id].group];
	}
	source = line_source(trace, file, line, TEXT_UTF8);
	group = find_group(t, f ? f->path : NULL, line, source);
	t->lines = xgrow(t->lines, &t->cap_lines, t->n_lines + 1, sizeof(*t->lines));
	t->lines[t->n_lines] = (struct stall_line){.file = file, .line = line, .group = group};
	hash_index_add(&t->line_index, hash, (uint32_t)t->n_lines++);
	return &t->groups[group];
}

static char *reason_text(const struct stall_table *t, struct trace *trace, const struct stall *s)
{
	struct wait_kind kind = {
	    .reason = s->reason,
	    .state = s->cause == STALL_READY ? WAIT_FOR_CPU : WAIT_FOR_SOMETHING,
	};

	if (s->cause == STALL_ON_CPU)
		return xstrdup("on CPU");
	if (s->cause == STALL_WAITING && !s->reason)
		return xstrdup("waiting, not known for what");
	return wait_reason_text(trace, &kind, t->charset);
}

/* Takes the text. */
static void add_reason(struct stall_group *g, char *text, uint64_t ns)
{
	for (size_t i = 0; i < g->n_reasons; i++) {
		if (strcmp(g->reasons[i].text, text) == 0) {
			g->reasons[i].ns += ns;
			free(text);
			return;
		}
	}
	g->reasons = xgrow(g->reasons, &g->cap_reasons, g->n_reasons + 1, sizeof(*g->reasons));
	g->reasons[g->n_reasons++] = (struct stall_reason){.text = text, .ns = ns};
}

static void take_worst(struct stall_group *g, const struct stall_trace *of, const struct stall *s)
{
	char at[CLOCK_TEXT_SIZE], began[WALL_TIME_SIZE];

	g->worst = *s;
	free(g->worst_path);
	free(g->worst_at);
	free(g->worst_began);
	clock_map_format_exact(of->clock, s->at_ns, at);
	format_wall_time(of->trace, s->start_ns, began);
	g->worst_path = xstrdup(of->path);
	g->worst_at = xstrdup(at);
	g->worst_began = xstrdup(began);
	g->worst_needs_thread = of->n_threads > 1;
}

static uint64_t length(const struct stall *s)
{
	return s->end_ns - s->start_ns;
}

void stall_table_add(struct stall_table *t, const struct stall_trace *of, const struct stall *s)
{
	struct stall_group *g = group_of(t, of->trace, s->file, s->line);

	add_reason(g, reason_text(t, of->trace, s), s->line_ns);
	if (g->n == 0 || length(s) > length(&g->worst))
		take_worst(g, of, s);
	g->n++;
	g->n_unfinished += s->is_unfinished;
	g->total_ns += length(s);
	g->line_ns += s->line_ns;
	t->n++;
	t->n_unfinished += s->is_unfinished;
	t->total_ns += length(s);
	if (length(s) > t->worst_ns)
		t->worst_ns = length(s);
}

static int compare_reasons(const void *a, const void *b)
{
	const struct stall_reason *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns > y->ns ? -1 : 1;
	return strcmp(x->text, y->text);
}

static int compare_groups(const void *a, const void *b)
{
	const struct stall_group *x = a, *y = b;

	if (x->total_ns != y->total_ns)
		return x->total_ns > y->total_ns ? -1 : 1;
	if (!is_same(x->file, y->file))
		return strcmp(x->file ? x->file : "", y->file ? y->file : "");
	return (x->line > y->line) - (x->line < y->line);
}

void stall_table_sort(struct stall_table *t)
{
	for (size_t i = 0; i < t->n_groups; i++)
		qsort(t->groups[i].reasons, t->groups[i].n_reasons, sizeof(struct stall_reason),
		      compare_reasons);
	if (t->n_groups)
		qsort(t->groups, t->n_groups, sizeof(*t->groups), compare_groups);
}

void stall_table_done(struct stall_table *t)
{
	for (size_t i = 0; i < t->n_groups; i++) {
		struct stall_group *g = &t->groups[i];

		for (size_t n = 0; n < g->n_reasons; n++)
			free(g->reasons[n].text);
		free(g->reasons);
		free(g->file);
		free(g->source);
		free(g->worst_path);
		free(g->worst_at);
		free(g->worst_began);
	}
	free(t->groups);
	free(t->lines);
	hash_index_done(&t->index);
	hash_index_done(&t->line_index);
	*t = (struct stall_table){0};
}
