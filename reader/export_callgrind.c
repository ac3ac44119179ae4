/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trackexec export --format callgrind, for KCachegrind and callgrind_annotate; the format is in the
 * manual of Valgrind, "Callgrind Format Specification".
 *
 * It has costs by line of a function, and for each line the calls from it with what they cost, what
 * they called included. Of calls in calls of the same kind (recursion) only the outermost counts,
 * so that nothing is counted twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash_index.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/export.h"
#include "reader/stack_sums.h"
#include "reader/trace.h"
#include "reader/trace_waits.h"

#define NONE UINT32_MAX

struct cost {
	uint64_t wall_ns, cpu_ns, wait_ns;
};

/* From a line of a function to another function. */
struct call {
	uint32_t caller;       /* place */
	uint32_t callee;       /* function */
	uint32_t callee_place; /* one of it */
	uint32_t n_active;     /* so many of the calls that a node is in are this one */
	uint64_t n;
	struct cost total;
};

/* Lines of a function, one after the other in `places` once they are sorted. */
struct line_cost {
	uint32_t function;
	int32_t line;
	uint32_t place;
	struct cost self;
};

struct graph {
	struct trace *trace;
	/* Of all trees. */
	struct walk_place *places;
	struct line_cost *lines; /* of each place */
	size_t n_places, cap_places, cap_lines;
	uint32_t *functions; /* a place of each; a function is known by its number here */
	size_t n_functions, cap_functions;
	struct hash_index function_index;
	struct call *calls;
	size_t n_calls, cap_calls;
	struct hash_index call_index;
	/* Of the tree at hand. */
	const struct stack_sums *sums;
	struct cost *totals; /* of each node, with all below it */
	uint32_t *calls_of;  /* of each node, the call that made it; NONE: a root */
};

static void add_cost(struct cost *sum, const struct cost *more)
{
	sum->wall_ns += more->wall_ns;
	sum->cpu_ns += more->cpu_ns;
	sum->wait_ns += more->wait_ns;
}

static bool is_root(const struct stack_sums *s, uint32_t node)
{
	return s->nodes[node].parent == node;
}

/* --- sums --- */

/* A function is known by its code object; all that are not known are one for each file. */
static uint32_t find_function(struct graph *g, uint32_t place)
{
	const struct walk_place *wanted = &g->places[place];
	uint32_t hash = hash_fold(hash_mix(wanted->code, wanted->file));

	HASH_INDEX_FOR_EACH(&g->function_index, hash, at, id)
	{
		const struct walk_place *known = &g->places[g->functions[id]];

		if (known->code == wanted->code && known->file == wanted->file)
			return id;
	}
	g->functions =
	    xgrow(g->functions, &g->cap_functions, g->n_functions + 1, sizeof(*g->functions));
	g->functions[g->n_functions] = place;
	hash_index_add(&g->function_index, hash, (uint32_t)g->n_functions);
	return (uint32_t)g->n_functions++;
}

static void add_places(struct graph *g, const struct stack_sums *s)
{
	g->places = xgrow(g->places, &g->cap_places, s->n_places, sizeof(*g->places));
	g->lines = xgrow(g->lines, &g->cap_lines, s->n_places, sizeof(*g->lines));
	for (; g->n_places < s->n_places; g->n_places++) {
		uint32_t place = (uint32_t)g->n_places;

		g->places[place] = s->places[place];
		g->lines[place] = (struct line_cost){.function = find_function(g, place),
						     .line = s->places[place].line,
						     .place = place};
	}
}

static void sum_lines(struct graph *g)
{
	const struct stack_sums *s = g->sums;

	g->totals = xcalloc(s->n_nodes + 1, sizeof(*g->totals));
	/* A parent has a lower number. */
	for (uint32_t i = (uint32_t)s->n_nodes; i-- > 0;) {
		const struct stack_node *node = &s->nodes[i];
		struct cost self = {node->wall_ns, node->cpu_ns, node->wait_ns};

		if (is_root(s, i))
			continue;
		add_cost(&g->lines[node->place].self, &self);
		add_cost(&g->totals[i], &self);
		add_cost(&g->totals[node->parent], &g->totals[i]);
	}
}

static uint32_t find_call(struct graph *g, uint32_t caller, uint32_t place)
{
	uint32_t callee = g->lines[place].function;
	uint32_t hash = hash_fold(hash_mix(caller, callee));

	HASH_INDEX_FOR_EACH(&g->call_index, hash, at, id)
	{
		if (g->calls[id].caller == caller && g->calls[id].callee == callee)
			return id;
	}
	g->calls = xgrow(g->calls, &g->cap_calls, g->n_calls + 1, sizeof(*g->calls));
	g->calls[g->n_calls] =
	    (struct call){.caller = caller, .callee = callee, .callee_place = place};
	hash_index_add(&g->call_index, hash, (uint32_t)g->n_calls);
	return (uint32_t)g->n_calls++;
}

static void find_calls(struct graph *g)
{
	const struct stack_sums *s = g->sums;

	g->calls_of = xcalloc(s->n_nodes + 1, sizeof(*g->calls_of));
	for (uint32_t i = 0; i < s->n_nodes; i++) {
		const struct stack_node *node = &s->nodes[i];

		g->calls_of[i] = NONE;
		if (is_root(s, i) || is_root(s, node->parent))
			continue;
		g->calls_of[i] = find_call(g, s->nodes[node->parent].place, node->place);
		g->calls[g->calls_of[i]].n += node->n_calls;
	}
}

static void enter(struct graph *g, uint32_t node)
{
	uint32_t id = g->calls_of[node];

	if (id != NONE && g->calls[id].n_active++ == 0)
		add_cost(&g->calls[id].total, &g->totals[node]);
}

static void leave(struct graph *g, uint32_t node)
{
	if (g->calls_of[node] != NONE)
		g->calls[g->calls_of[node]].n_active--;
}

/* Go through the trees, each node before its children. */
static void sum_calls(struct graph *g)
{
	const struct stack_sums *s = g->sums;
	auto_free uint32_t *child = xcalloc(s->n_nodes + 1, sizeof(*child));
	auto_free uint32_t *sibling = xcalloc(s->n_nodes + 1, sizeof(*sibling));

	/* 0 is a root, so nobody's child. */
	for (uint32_t i = 0; i < s->n_nodes; i++) {
		if (is_root(s, i))
			continue;
		sibling[i] = child[s->nodes[i].parent];
		child[s->nodes[i].parent] = i;
	}
	for (uint32_t root = 0; root < s->n_nodes && is_root(s, root); root++) {
		uint32_t at = child[root];

		while (at) {
			enter(g, at);
			if (child[at]) {
				at = child[at];
				continue;
			}
			leave(g, at);
			while (!sibling[at] && !is_root(s, s->nodes[at].parent)) {
				at = s->nodes[at].parent;
				leave(g, at);
			}
			at = sibling[at];
		}
	}
}

/* --- output --- */

static int compare_lines(const void *a, const void *b)
{
	const struct line_cost *x = a, *y = b;

	if (x->function != y->function)
		return x->function < y->function ? -1 : 1;
	return (x->line > y->line) - (x->line < y->line);
}

static int compare_calls(const void *a, const void *b)
{
	const struct call *x = a, *y = b;

	if (x->caller != y->caller)
		return x->caller < y->caller ? -1 : 1;
	return (x->callee > y->callee) - (x->callee < y->callee);
}

struct printer {
	const struct graph *graph;
	FILE *out;
	bool has_edges;
	bool *is_known; /* of each function: its name has been written */
};

static void print_cost(const struct printer *p, const struct cost *c)
{
	fprintf(p->out, " %" PRIu64, c->wall_ns);
	if (p->has_edges)
		fprintf(p->out, " %" PRIu64 " %" PRIu64, c->cpu_ns, c->wait_ns);
	putc('\n', p->out);
}

/* A name that begins with "(" would be taken for the number of one. */
static char *escape_name(const char *name, size_t len)
{
	return text_escape(name, len, len && *name == '(' ? "(" : "", TEXT_UTF8);
}

/*
 * @prefix  "" or "c", for what is called
 * "fl=/app/a.py", "fn=(3) main"; after the first time, the number of a function is enough.
 */
static void print_function(const struct printer *p, const char *prefix,
			   const struct walk_place *place, uint32_t function)
{
	struct trace *t = p->graph->trace;
	const struct trace_file *file = trace_get_file(t, place->file);
	const struct trace_code *code = trace_get_code(t, place->code);
	auto_free char *path = file ? escape_name(file->path, file->path_len) : xstrdup("???");
	auto_free char *name = code ? escape_name(code->name, code->name_len) : xstrdup("???");

	fprintf(p->out, "%s=%s\n", *prefix ? "cfi" : "fl", path);
	if (p->is_known[function])
		fprintf(p->out, "%sfn=(%" PRIu32 ")\n", prefix, function + 1);
	else
		fprintf(p->out, "%sfn=(%" PRIu32 ") %s\n", prefix, function + 1, name);
	p->is_known[function] = true;
}

static void print_call(const struct printer *p, int32_t line, const struct call *c)
{
	const struct walk_place *callee = &p->graph->places[c->callee_place];
	const struct trace_code *code = trace_get_code(p->graph->trace, callee->code);

	print_function(p, "c", callee, c->callee);
	fprintf(p->out, "calls=%" PRIu64 " %" PRId32 "\n%" PRId32, c->n,
		code ? code->first_line : callee->line, line);
	print_cost(p, &c->total);
}

/* The first call from a place, or where it would be. */
static size_t find_first_call(const struct graph *g, uint32_t place)
{
	size_t low = 0, high = g->n_calls;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (g->calls[middle].caller < place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void print_line(const struct printer *p, const struct line_cost *l)
{
	const struct graph *g = p->graph;

	fprintf(p->out, "%" PRId32, l->line);
	print_cost(p, &l->self);
	for (size_t i = find_first_call(g, l->place);
	     i < g->n_calls && g->calls[i].caller == l->place; i++)
		print_call(p, l->line, &g->calls[i]);
}

static void print_head(const struct printer *p)
{
	struct trace *t = p->graph->trace;
	auto_free char *command = NULL;
	struct cost all = {0};
	int64_t pid;

	for (size_t i = 0; i < p->graph->n_places; i++)
		add_cost(&all, &p->graph->lines[i].self);
	fputs("# callgrind format\nversion: 1\ncreator: trackexec " TRACKEXEC_VERSION "\n", p->out);
	if (trace_meta_int(t, META_PID, &pid) == 0)
		fprintf(p->out, "pid: %" PRId64 "\n", pid);
	if (trace_meta_text(t, META_COMMAND, &command) == 0) {
		auto_free char *shown = text_escape(command, strlen(command), "", TEXT_UTF8);

		fprintf(p->out, "cmd: %s\n", shown);
	}
	fprintf(p->out,
		"positions: line\nevents: Wall%s\nsummary:", p->has_edges ? " Cpu Wait" : "");
	print_cost(p, &all);
}

static int print_graph(struct graph *g, FILE *out)
{
	auto_free bool *is_known = xcalloc(g->n_functions + 1, sizeof(*is_known));
	const struct printer p = {
	    .graph = g,
	    .out = out,
	    .has_edges = trace_has_edges(g->trace) == 1,
	    .is_known = is_known,
	};
	int r;

	print_head(&p);
	r = export_check(out);
	for (size_t i = 0; r == 0 && i < g->n_places; i++) {
		const struct line_cost *l = &g->lines[i];

		if (i == 0 || l->function != l[-1].function) {
			putc('\n', out);
			print_function(&p, "", &g->places[l->place], l->function);
		}
		print_line(&p, l);
		r = export_check(out);
	}
	return r;
}

/* Another tree. Places are in the order of their numbers until all is read. */
static int on_sums(void *ctx, const struct stack_sums *sums)
{
	struct graph *g = ctx;

	g->sums = sums;
	add_places(g, sums);
	sum_lines(g);
	find_calls(g);
	sum_calls(g);
	free(g->totals);
	free(g->calls_of);
	return 0;
}

static void sort(struct graph *g)
{
	if (g->n_places)
		qsort(g->lines, g->n_places, sizeof(*g->lines), compare_lines);
	if (g->n_calls)
		qsort(g->calls, g->n_calls, sizeof(*g->calls), compare_calls);
}

static void graph_free(struct graph *g)
{
	free(g->places);
	free(g->lines);
	free(g->functions);
	free(g->calls);
	hash_index_done(&g->function_index);
	hash_index_done(&g->call_index);
	free(g);
}

DEFINE_CLEANUP(struct graph *, graph_free)

static int write_callgrind(struct trace *t, const struct selection *s, FILE *out,
			   struct walk_totals *totals)
{
	auto_release(graph_free) struct graph *g = xcalloc(1, sizeof(*g));
	int r, r_print;

	g->trace = t;
	r = stack_sums_each(t, s, false, STACK_SUMS_MAX_NODES, on_sums, g, totals);
	sort(g);
	r_print = print_graph(g, out);
	return r < 0 ? r : r_print;
}

const struct export_format export_callgrind = {
    .name = "callgrind",
    .help = "for KCachegrind and callgrind_annotate: wall time, CPU time and\n"
	    "time waited, in ns, by function and line, and of calls",
    .write = write_callgrind,
};
