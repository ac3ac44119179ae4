/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trackexec export --format pprof: a gzipped profile.proto, as Google's pprof reads it, and stores
 * of profiles such as Pyroscope and Parca take it. The numbers of fields are those published in
 * https://github.com/google/pprof/blob/main/proto/profile.proto.
 *
 * Parts of a message may come in any order, so each is written as soon as it is known, and the
 * table of strings comes last.
 */
#include <errno.h>
#include <string.h>

#include "common/gzip_out.h"
#include "common/hash_index.h"
#include "common/protobuf.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "reader/clock_map.h"
#include "reader/export.h"
#include "reader/stack_sums.h"
#include "reader/trace.h"
#include "reader/trace_waits.h"

enum profile_field {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING_TABLE = 6,
	PROFILE_TIME_NANOS = 9,
	PROFILE_DURATION_NANOS = 10,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
	PROFILE_DEFAULT_SAMPLE_TYPE = 14,
};
enum value_type_field { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT = 2 };
enum sample_field { SAMPLE_LOCATION_ID = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3 };
enum label_field { LABEL_KEY = 1, LABEL_STR = 2, LABEL_NUM = 3 };
enum location_field { LOCATION_ID = 1, LOCATION_LINE = 4 };
enum line_field { LINE_FUNCTION_ID = 1, LINE_LINE = 2 };
enum function_field {
	FUNCTION_ID = 1,
	FUNCTION_NAME = 2,
	FUNCTION_FILENAME = 4,
	FUNCTION_START_LINE = 5,
};

#define N_VALUES 3

struct profile {
	struct trace *trace;
	const struct stack_sums *sums; /* at hand */
	size_t n_locations;	       /* written */
	FILE *file;
	struct gzip_out *out; /* to it */
	bool has_edges;
	/* Of which the parts are made, one after the other. */
	struct protobuf part, inner, innermost;
	/* The table of strings, by index. */
	char **strings;
	size_t n_strings, cap_strings;
	struct hash_index string_index;
	/* The functions of places: those that have the same code object are the same. */
	struct hash_index function_index;
	uint32_t *functions; /* code objects, or 0; their ids are the index + 1 */
	size_t n_functions, cap_functions;
	uint64_t *stack;
	size_t cap_stack;
};

/* Write `part` as a field of the profile, and begin the next one. */
static void put_part(struct profile *p, unsigned field)
{
	struct protobuf *m = &p->inner;

	protobuf_clear(m);
	protobuf_message(m, field, &p->part);
	gzip_out_write(p->out, m->bytes, m->len);
	protobuf_clear(&p->part);
}

static void put_number(struct profile *p, unsigned field, uint64_t value)
{
	protobuf_clear(&p->part);
	protobuf_number(&p->part, field, value);
	gzip_out_write(p->out, p->part.bytes, p->part.len);
	protobuf_clear(&p->part);
}

/* --- strings --- */

/* The index of a text. @text  malloc()ed, taken */
static uint64_t take_string(struct profile *p, char *text)
{
	uint32_t hash = hash_fold(hash_bytes(text, strlen(text)));

	HASH_INDEX_FOR_EACH(&p->string_index, hash, at, id)
	{
		if (strcmp(p->strings[id], text) == 0) {
			free(text);
			return id;
		}
	}
	p->strings = xgrow(p->strings, &p->cap_strings, p->n_strings + 1, sizeof(*p->strings));
	p->strings[p->n_strings] = text;
	hash_index_add(&p->string_index, hash, (uint32_t)p->n_strings);
	return p->n_strings++;
}

static uint64_t string(struct profile *p, const char *text)
{
	return take_string(p, xstrdup(text));
}

/* Names can be any bytes, strings of the format have to be UTF-8. */
static uint64_t name_string(struct profile *p, const char *name, size_t len)
{
	return take_string(p, text_escape(name, len, "", TEXT_UTF8));
}

static void put_strings(struct profile *p)
{
	for (size_t i = 0; i < p->n_strings; i++) {
		protobuf_clear(&p->part);
		protobuf_bytes(&p->part, PROFILE_STRING_TABLE, p->strings[i],
			       strlen(p->strings[i]));
		gzip_out_write(p->out, p->part.bytes, p->part.len);
	}
}

/* --- functions and locations --- */

/*
 * Without a system name: of a name that equals that, pprof takes away what stands in <>, as of a
 * template of C++; <module> would have none left.
 */
static void put_function(struct profile *p, uint64_t id, const struct walk_place *place)
{
	const struct trace_code *code = trace_get_code(p->trace, place->code);
	const struct trace_file *file = trace_get_file(p->trace, place->file);
	uint64_t name = code ? name_string(p, code->name, code->name_len) : string(p, "?");
	struct protobuf *m = &p->part;

	protobuf_number(m, FUNCTION_ID, id);
	protobuf_number(m, FUNCTION_NAME, name);
	protobuf_number(m, FUNCTION_FILENAME,
			file ? name_string(p, file->path, file->path_len) : string(p, "?"));
	if (code && code->first_line > 0)
		protobuf_number(m, FUNCTION_START_LINE, (uint64_t)code->first_line);
	put_part(p, PROFILE_FUNCTION);
}

/* Its id; written when it is new. */
static uint64_t find_function(struct profile *p, const struct walk_place *place)
{
	uint32_t hash = hash_fold(hash_mix(place->code, 0));

	HASH_INDEX_FOR_EACH(&p->function_index, hash, at, id)
	{
		if (p->functions[id] == place->code)
			return (uint64_t)id + 1;
	}
	p->functions =
	    xgrow(p->functions, &p->cap_functions, p->n_functions + 1, sizeof(*p->functions));
	p->functions[p->n_functions] = place->code;
	hash_index_add(&p->function_index, hash, (uint32_t)p->n_functions);
	put_function(p, ++p->n_functions, place);
	return p->n_functions;
}

/* Each place is a location; its id is the place's number and 1. */
static void put_locations(struct profile *p)
{
	for (; p->n_locations < p->sums->n_places; p->n_locations++) {
		const struct walk_place *place = &p->sums->places[p->n_locations];
		uint64_t function = find_function(p, place);
		struct protobuf *line = &p->innermost;

		protobuf_clear(line);
		protobuf_number(line, LINE_FUNCTION_ID, function);
		if (place->line > 0)
			protobuf_number(line, LINE_LINE, (uint64_t)place->line);
		protobuf_number(&p->part, LOCATION_ID, p->n_locations + 1);
		protobuf_message(&p->part, LOCATION_LINE, line);
		put_part(p, PROFILE_LOCATION);
	}
}

/* --- samples --- */

/* @text  0: none */
static void add_label(struct profile *p, uint64_t key, uint64_t text, uint64_t number)
{
	struct protobuf *m = &p->innermost;

	protobuf_clear(m);
	protobuf_number(m, LABEL_KEY, key);
	protobuf_number(m, LABEL_STR, text);
	protobuf_number(m, LABEL_NUM, number);
	protobuf_message(&p->part, SAMPLE_LABEL, m);
}

/* What is the same for all samples. */
struct labels {
	uint64_t thread, tid, process, pid; /* keys */
	uint64_t name;			    /* of the process; 0: not known */
	int64_t pid_value;
	uint64_t *threads; /* their numbers as texts, by index */
};

static void add_labels(struct profile *p, const struct labels *l, size_t root)
{
	const struct trace_thread *threads = p->sums->threads;

	if (threads) {
		add_label(p, l->thread, l->threads[root], 0);
		if (threads[root].native_id)
			add_label(p, l->tid, 0, threads[root].native_id);
	}
	if (l->name)
		add_label(p, l->process, l->name, 0);
	if (l->pid_value > 0)
		add_label(p, l->pid, 0, (uint64_t)l->pid_value);
}

/*
 * A stack, innermost first.
 * Returns its number of frames, and the number of the tree that it is in.
 */
static size_t find_stack(struct profile *p, uint32_t node, size_t *ret_root)
{
	const struct stack_node *nodes = p->sums->nodes;
	size_t depth = 0;

	for (; nodes[node].parent != node; node = nodes[node].parent) {
		p->stack = xgrow(p->stack, &p->cap_stack, depth + 1, sizeof(*p->stack));
		p->stack[depth++] = (uint64_t)nodes[node].place + 1;
	}
	*ret_root = node;
	return depth;
}

static void put_sample(struct profile *p, const struct labels *l, uint32_t id)
{
	const struct stack_node *node = &p->sums->nodes[id];
	const uint64_t with_edges[N_VALUES] = {node->n_seen, node->cpu_ns, node->wall_ns};
	const uint64_t without[] = {node->n_seen, node->wall_ns};
	size_t root, depth = find_stack(p, id, &root);

	protobuf_packed(&p->part, SAMPLE_LOCATION_ID, p->stack, depth);
	if (p->has_edges)
		protobuf_packed(&p->part, SAMPLE_VALUE, with_edges, N_VALUES);
	else
		protobuf_packed(&p->part, SAMPLE_VALUE, without, N_VALUES - 1);
	add_labels(p, l, root);
	put_part(p, PROFILE_SAMPLE);
}

/* Returns 0, or the negative errno of what could not be written. */
static int put_samples(struct profile *p)
{
	auto_free char *name = NULL;
	struct labels l = {
	    .thread = string(p, "thread"),
	    .tid = string(p, "tid"),
	    .process = string(p, "process"),
	    .pid = string(p, "pid"),
	    .threads = xcalloc(p->sums->n_threads, sizeof(*l.threads)),
	};
	int r = 0;

	if (trace_meta_text(p->trace, META_NAME, &name) == 0 && *name)
		l.name = name_string(p, name, strlen(name));
	if (trace_meta_int(p->trace, META_PID, &l.pid_value) < 0)
		l.pid_value = 0;
	for (size_t i = 0; p->sums->threads && i < p->sums->n_threads; i++)
		l.threads[i] = take_string(p, xasprintf("%u", p->sums->threads[i].id));
	for (uint32_t i = 0; r == 0 && i < p->sums->n_nodes; i++) {
		if (p->sums->nodes[i].parent == i || !p->sums->nodes[i].wall_ns)
			continue;
		put_sample(p, &l, i);
		r = export_check(p->file);
	}
	free(l.threads);
	return r;
}

/* --- the profile --- */

static void put_value_type(struct profile *p, unsigned field, const char *type, const char *unit)
{
	protobuf_number(&p->part, VALUE_TYPE_TYPE, string(p, type));
	protobuf_number(&p->part, VALUE_TYPE_UNIT, string(p, unit));
	put_part(p, field);
}

static void put_types(struct profile *p)
{
	put_value_type(p, PROFILE_SAMPLE_TYPE, "events", "count");
	if (p->has_edges)
		put_value_type(p, PROFILE_SAMPLE_TYPE, "cpu", "nanoseconds");
	put_value_type(p, PROFILE_SAMPLE_TYPE, "wall", "nanoseconds");
	put_number(p, PROFILE_DEFAULT_SAMPLE_TYPE, string(p, "wall"));
	/* Values are times, not multiples of a period; stores want one nevertheless. */
	put_value_type(p, PROFILE_PERIOD_TYPE, "wall", "nanoseconds");
	put_number(p, PROFILE_PERIOD, 1);
}

static int put_times(struct profile *p, const struct selection *s)
{
	struct clock_map clock;
	uint64_t start_ns, end_ns;
	int r = trace_bounds(p->trace, &start_ns, &end_ns);

	if (r < 0)
		return r;
	if (start_ns < s->since_ns)
		start_ns = s->since_ns;
	if (end_ns > s->until_ns)
		end_ns = s->until_ns;
	if (end_ns > start_ns)
		put_number(p, PROFILE_DURATION_NANOS, end_ns - start_ns);
	r = clock_map_init(&clock, p->trace);
	if (r < 0)
		return r;
	put_number(p, PROFILE_TIME_NANOS, (uint64_t)clock_map_real(&clock, start_ns));
	clock_map_done(&clock);
	return 0;
}

static void profile_done(struct profile *p)
{
	protobuf_done(&p->part);
	protobuf_done(&p->inner);
	protobuf_done(&p->innermost);
	for (size_t i = 0; i < p->n_strings; i++)
		free(p->strings[i]);
	free(p->strings);
	free(p->functions);
	free(p->stack);
	hash_index_done(&p->string_index);
	hash_index_done(&p->function_index);
}

static int on_sums(void *ctx, const struct stack_sums *sums)
{
	struct profile *p = ctx;

	p->sums = sums;
	put_locations(p);
	return put_samples(p);
}

static int write_pprof(struct trace *t, const struct selection *s, FILE *out,
		       struct walk_totals *totals)
{
	auto_release(gzip_out_free) struct gzip_out *gzip = gzip_out_new(out);
	struct profile p = {
	    .trace = t, .file = out, .out = gzip, .has_edges = trace_has_edges(t) == 1};
	int r_times, r;

	/* The first one has to be empty. */
	string(&p, "");
	put_types(&p);
	r_times = put_times(&p, s);
	r = stack_sums_each(t, s, true, STACK_SUMS_MAX_NODES, on_sums, &p, totals);
	put_strings(&p);
	gzip_out_finish(gzip);
	profile_done(&p);
	return r < 0 ? r : r_times;
}

const struct export_format export_pprof = {
    .name = "pprof",
    .help = "a gzipped profile.proto for pprof, Pyroscope, Parca: per stack and\n"
	    "thread how often it came, CPU time and wall time; labels thread\n"
	    "(number), tid, process (name of the trace) and pid",
    .write = write_pprof,
};
