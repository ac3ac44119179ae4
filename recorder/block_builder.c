/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/block_builder.h"

#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/hash_index.h"
#include "common/provenance_codec.h"
#include "common/xalloc.h"

/* What is on the stack while at least one of its frames is. */
struct presence {
	uint32_t n_frames;
	uint64_t since_ns;
	uint64_t total_ns; /* before */
};

/* Code objects can share a source line (a lambda and the line it stands in), so this is not per
 * encoder line. */
struct source_line {
	struct line_totals totals; /* without times */
	struct presence presence;
	uint32_t n_parts, first_part;
};

/* Has one or more code objects. */
struct function {
	uint32_t id;
	uint64_t calls;
	struct presence presence;
};

/* What a function has of a source line; not kept as long as it is the only one there. */
struct part {
	uint32_t source, function; /* their numbers */
	uint64_t visits;
	struct presence presence;
};

/* An encoder line: what is on top of the stack is just one of them, so times are added up here. */
struct code_line {
	uint32_t source, function, part; /* numbers of what it belongs to */
	uint64_t self_ns, wait_ns, ready_ns, gil_ns;
};

struct block_builder {
	struct block_encoder *encoder;
	uint64_t first_ns;
	uint64_t last_offset_ns; /* of the last event, as stored */
	uint32_t lowest_depth;
	uint32_t *stack; /* encoder lines */
	size_t depth, cap_stack;
	struct code_line *lines; /* by encoder line */
	size_t n_lines, cap_lines;
	struct source_line *sources;
	size_t n_sources, cap_sources;
	struct hash_index source_index;
	struct function *functions;
	size_t n_functions, cap_functions;
	struct hash_index function_index;
	struct part *parts;
	size_t n_parts, cap_parts;
	struct hash_index part_index;
	struct block_waits waits;
	struct provenance_runs provenance;
	uint32_t n_of[N_PROVENANCES]; /* events */
	uint64_t min_wait_ns;
};

void block_builder_free(struct block_builder *b)
{
	if (!b)
		return;
	block_encoder_free(b->encoder);
	free(b->stack);
	free(b->lines);
	free(b->sources);
	hash_index_done(&b->source_index);
	free(b->functions);
	hash_index_done(&b->function_index);
	free(b->parts);
	hash_index_done(&b->part_index);
	block_waits_done(&b->waits);
	provenance_runs_done(&b->provenance);
	free(b);
}

static uint32_t find_source(struct block_builder *b, uint32_t file, int32_t line)
{
	uint32_t hash = hash_fold(hash_mix(file, (uint32_t)line));

	HASH_INDEX_FOR_EACH(&b->source_index, hash, at, id)
	{
		const struct line_totals *t = &b->sources[id].totals;

		if (t->file == file && t->line == line)
			return id;
	}
	b->sources = xgrow(b->sources, &b->cap_sources, b->n_sources + 1, sizeof(*b->sources));
	b->sources[b->n_sources] = (struct source_line){.totals = {.file = file, .line = line}};
	hash_index_add(&b->source_index, hash, (uint32_t)b->n_sources);
	return (uint32_t)b->n_sources++;
}

static uint32_t find_function(struct block_builder *b, uint32_t function)
{
	uint32_t hash = hash_fold(hash_mix(0, function));

	HASH_INDEX_FOR_EACH(&b->function_index, hash, at, id)
	{
		if (b->functions[id].id == function)
			return id;
	}
	b->functions =
	    xgrow(b->functions, &b->cap_functions, b->n_functions + 1, sizeof(*b->functions));
	b->functions[b->n_functions] = (struct function){.id = function};
	hash_index_add(&b->function_index, hash, (uint32_t)b->n_functions);
	return (uint32_t)b->n_functions++;
}

/* All so far was of the first one. */
static void add_part(struct block_builder *b, struct source_line *s)
{
	struct part *first = &b->parts[s->first_part];

	if (s->n_parts == 0)
		s->first_part = (uint32_t)b->n_parts;
	if (s->n_parts == 1) {
		first->visits = s->totals.visits;
		first->presence = s->presence;
	}
	s->n_parts++;
}

static uint32_t find_part(struct block_builder *b, uint32_t source, uint32_t function)
{
	uint32_t hash = hash_fold(hash_mix(hash_mix(0, source), function));

	HASH_INDEX_FOR_EACH(&b->part_index, hash, at, id)
	{
		if (b->parts[id].source == source && b->parts[id].function == function)
			return id;
	}
	b->parts = xgrow(b->parts, &b->cap_parts, b->n_parts + 1, sizeof(*b->parts));
	b->parts[b->n_parts] = (struct part){.source = source, .function = function};
	add_part(b, &b->sources[source]);
	hash_index_add(&b->part_index, hash, (uint32_t)b->n_parts);
	return (uint32_t)b->n_parts++;
}

static struct code_line *line_at(struct block_builder *b, size_t depth)
{
	return &b->lines[b->stack[depth]];
}

static inline void begin(struct presence *p, uint64_t offset_ns)
{
	if (p->n_frames++ == 0)
		p->since_ns = offset_ns;
}

static inline void end(struct presence *p, uint64_t offset_ns)
{
	if (--p->n_frames == 0)
		p->total_ns += offset_ns - p->since_ns;
}

static inline void begin_line(struct block_builder *b, const struct code_line *l,
			      uint64_t offset_ns)
{
	struct source_line *s = &b->sources[l->source];

	begin(&s->presence, offset_ns);
	if (s->n_parts > 1)
		begin(&b->parts[l->part].presence, offset_ns);
}

static inline void end_line(struct block_builder *b, const struct code_line *l, uint64_t offset_ns)
{
	struct source_line *s = &b->sources[l->source];

	end(&s->presence, offset_ns);
	if (s->n_parts > 1)
		end(&b->parts[l->part].presence, offset_ns);
}

static uint32_t find_line(struct block_builder *b, const struct stack_frame *f)
{
	uint32_t line =
	    block_encoder_line(b->encoder, (struct block_line){.code = f->code, .line = f->line});

	if (line == b->n_lines) {
		uint32_t source = find_source(b, f->file, f->line);
		uint32_t function = find_function(b, f->function);

		b->lines = xgrow(b->lines, &b->cap_lines, line + 1, sizeof(*b->lines));
		b->lines[b->n_lines++] = (struct code_line){
		    .source = source,
		    .function = function,
		    .part = find_part(b, source, function),
		};
	}
	return line;
}

static inline void push(struct block_builder *b, uint32_t line, uint64_t offset_ns)
{
	const struct code_line *l = &b->lines[line];

	if (b->depth == b->cap_stack)
		b->stack = xgrow(b->stack, &b->cap_stack, b->depth + 1, sizeof(*b->stack));
	b->stack[b->depth++] = line;
	begin_line(b, l, offset_ns);
	begin(&b->functions[l->function].presence, offset_ns);
}

static inline void pop(struct block_builder *b, uint64_t offset_ns)
{
	const struct code_line *l = line_at(b, --b->depth);

	end_line(b, l, offset_ns);
	end(&b->functions[l->function].presence, offset_ns);
}

/* Returns whether it is a line of the function on top: then that frame is on it from now on. */
static bool move(struct block_builder *b, uint32_t line, uint64_t offset_ns)
{
	const struct code_line *from = line_at(b, b->depth - 1), *to = &b->lines[line];

	if (from->function != to->function)
		return false;
	end_line(b, from, offset_ns);
	begin_line(b, to, offset_ns);
	b->stack[b->depth - 1] = line;
	return true;
}

static void add_visit(struct block_builder *b, const struct code_line *l)
{
	struct source_line *s = &b->sources[l->source];

	s->totals.visits++;
	if (s->n_parts > 1)
		b->parts[l->part].visits++;
}

static void add_entry(struct block_builder *b, uint32_t line)
{
	b->sources[b->lines[line].source].totals.entries++;
	add_visit(b, &b->lines[line]);
}

static void add_self(struct block_builder *b, uint64_t until_ns)
{
	if (b->depth)
		line_at(b, b->depth - 1)->self_ns += until_ns - b->last_offset_ns;
}

struct block_builder *block_builder_new(uint64_t first_ns, const struct stack_frame *stack,
					uint32_t depth)
{
	struct block_builder *b = xcalloc(1, sizeof(*b));

	b->encoder = block_encoder_new();
	b->first_ns = first_ns;
	b->lowest_depth = depth;
	b->min_wait_ns = WAIT_LISTED_NS;
	for (uint32_t i = 0; i < depth; i++)
		push(b, find_line(b, &stack[i]), 0);
	block_encoder_start(b->encoder, b->stack, depth);
	return b;
}

void block_builder_set_min_wait(struct block_builder *b, uint64_t ns)
{
	b->min_wait_ns = ns;
}

void block_builder_step(struct block_builder *b, uint64_t time_ns, uint32_t keep,
			const struct stack_frame *frames, uint32_t n_frames, struct step_source how)
{
	/* The index adds up times as they are stored, so that it and the events agree exactly. */
	uint64_t units = (time_ns - b->first_ns) >> BLOCK_TIME_SHIFT;
	uint64_t offset_ns = units << BLOCK_TIME_SHIFT;
	uint32_t top = b->depth ? b->stack[b->depth - 1] : BLOCK_NO_LINE;
	uint32_t n_popped = (uint32_t)b->depth - keep;

	add_self(b, offset_ns);
	b->last_offset_ns = offset_ns;
	while (b->depth > keep + (n_frames ? 1 : 0))
		pop(b, offset_ns);
	for (uint32_t i = 0; i < n_frames; i++) {
		uint32_t line = find_line(b, &frames[i]);

		add_entry(b, line);
		if (i == 0 && n_popped && move(b, line, offset_ns))
			continue;
		if (i == 0 && n_popped)
			pop(b, offset_ns);
		push(b, line, offset_ns);
		b->functions[b->lines[line].function].calls++;
	}
	if (n_frames == 0 && b->depth)
		add_visit(b, line_at(b, b->depth - 1));
	if (b->depth < b->lowest_depth)
		b->lowest_depth = (uint32_t)b->depth;
	block_encoder_append(b->encoder, units, top, n_popped, b->stack + keep, n_frames);
	provenance_runs_add(&b->provenance, how.provenance, how.is_first);
	b->n_of[how.provenance]++;
}

int block_builder_is_full(const struct block_builder *b)
{
	return block_encoder_is_full(b->encoder) || b->waits.n_items >= WAITS_MAX;
}

uint32_t block_builder_n_events(const struct block_builder *b)
{
	return block_encoder_n_events(b->encoder);
}

size_t block_builder_n_waits(const struct block_builder *b)
{
	return b->waits.n_items;
}

static int compare_totals(const void *a, const void *b)
{
	const struct line_totals *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return (x->line > y->line) - (x->line < y->line);
}

static uint64_t total_until(const struct presence *p, uint64_t end_ns)
{
	return p->total_ns + (p->n_frames ? end_ns - p->since_ns : 0);
}

static void add_off(struct code_line *line, const struct off_stretch *off, bool is_listed,
		    uint64_t ns)
{
	if (off->state == WAIT_FOR_CPU)
		line->ready_ns += ns;
	else
		line->wait_ns += ns;
	if (off->state != WAIT_FOR_CPU && off->is_gil && is_listed)
		line->gil_ns += ns;
}

/* As events have it, so that a line is never off the CPU for longer than it took. */
static uint64_t stored_time(const struct block_builder *b, uint64_t time_ns)
{
	if (time_ns <= b->first_ns)
		return b->first_ns;
	return b->first_ns + ((time_ns - b->first_ns) >> BLOCK_TIME_SHIFT << BLOCK_TIME_SHIFT);
}

/* What of it lies after the last event. Returns whether that is anything. */
static bool clip(const struct block_builder *b, uint64_t *start_ns, uint64_t end_ns)
{
	*start_ns = stored_time(b, *start_ns);
	if (*start_ns < b->first_ns + b->last_offset_ns)
		*start_ns = b->first_ns + b->last_offset_ns;
	return b->depth > 0 && end_ns > *start_ns;
}

static struct waits_undo list_wait(struct block_builder *b, uint64_t start_ns, uint64_t end_ns,
				   const struct off_stretch *off, bool goes_on)
{
	const struct line_totals *line = &b->sources[line_at(b, b->depth - 1)->source].totals;

	return block_waits_add(&b->waits, b->first_ns, start_ns, end_ns, off, line->file,
			       line->line, goes_on);
}

void block_builder_off(struct block_builder *b, const struct off_stretch *off)
{
	uint64_t start_ns = off->start_ns, end_ns = stored_time(b, off->end_ns);
	bool is_listed;

	if (!clip(b, &start_ns, end_ns))
		return;
	is_listed = off->end_ns - off->start_ns >= b->min_wait_ns;
	add_off(line_at(b, b->depth - 1), off, is_listed, end_ns - start_ns);
	if (is_listed)
		list_wait(b, start_ns, end_ns, off, false);
}

static void add_line(const struct code_line *l, struct finished_block *ret)
{
	struct line_totals *source = &ret->lines[l->source];
	struct function_totals *function = &ret->functions[l->function];
	struct shared_totals *part = &ret->shared[l->part];

	source->self_ns += l->self_ns;
	source->wait_ns += l->wait_ns;
	source->ready_ns += l->ready_ns;
	function->self_ns += l->self_ns;
	function->wait_ns += l->wait_ns;
	function->ready_ns += l->ready_ns;
	function->gil_ns += l->gil_ns;
	part->self_ns += l->self_ns;
	part->wait_ns += l->wait_ns;
	part->ready_ns += l->ready_ns;
	part->gil_ns += l->gil_ns;
}

int shared_totals_compare(const void *a, const void *b)
{
	const struct shared_totals *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return (x->function > y->function) - (x->function < y->function);
}

/* By part, without the times of code lines. */
static void list_parts(const struct block_builder *b, uint64_t end_ns, struct finished_block *ret)
{
	ret->shared = xreallocarray(NULL, b->n_parts, sizeof(*ret->shared));
	for (size_t i = 0; i < b->n_parts; i++) {
		const struct part *p = &b->parts[i];
		const struct line_totals *line = &b->sources[p->source].totals;

		ret->shared[i] = (struct shared_totals){
		    .file = line->file,
		    .line = line->line,
		    .function = b->functions[p->function].id,
		    .visits = p->visits,
		    .total_ns = total_until(&p->presence, end_ns),
		};
	}
}

/* What is the only part of its line is that line. */
static void keep_shared(const struct block_builder *b, struct finished_block *ret)
{
	for (size_t i = 0; i < b->n_parts; i++) {
		if (b->sources[b->parts[i].source].n_parts > 1)
			ret->shared[ret->n_shared++] = ret->shared[i];
	}
	qsort(ret->shared, ret->n_shared, sizeof(*ret->shared), shared_totals_compare);
}

/* @rest  what is on top of the stack took since the last event */
static void encode_totals(const struct block_builder *b, uint64_t end_ns,
			  const struct code_line *rest, struct finished_block *ret)
{
	ret->lines = xreallocarray(NULL, b->n_sources, sizeof(*ret->lines));
	ret->n_lines = b->n_sources;
	for (size_t i = 0; i < b->n_sources; i++) {
		ret->lines[i] = b->sources[i].totals;
		ret->lines[i].total_ns = total_until(&b->sources[i].presence, end_ns);
	}
	ret->functions = xreallocarray(NULL, b->n_functions, sizeof(*ret->functions));
	ret->n_functions = b->n_functions;
	for (size_t i = 0; i < b->n_functions; i++)
		ret->functions[i] = (struct function_totals){
		    .function = b->functions[i].id,
		    .calls = b->functions[i].calls,
		    .total_ns = total_until(&b->functions[i].presence, end_ns),
		};
	list_parts(b, end_ns, ret);
	for (size_t i = 0; i < b->n_lines; i++)
		add_line(&b->lines[i], ret);
	if (b->depth)
		add_line(rest, ret);
	/* Their numbers are not needed any more. */
	keep_shared(b, ret);
	qsort(ret->lines, ret->n_lines, sizeof(*ret->lines), compare_totals);
}

/* When the block ends at last_ns. */
static struct code_line rest_of(const struct block_builder *b, uint64_t last_ns,
				const struct off_stretch *off, bool is_listed, uint64_t off_ns)
{
	struct code_line rest = {0};

	if (!b->depth)
		return rest;
	rest.source = b->lines[b->stack[b->depth - 1]].source;
	rest.function = b->lines[b->stack[b->depth - 1]].function;
	rest.part = b->lines[b->stack[b->depth - 1]].part;
	rest.self_ns = last_ns - b->first_ns - b->last_offset_ns;
	if (off)
		add_off(&rest, off, is_listed, off_ns);
	return rest;
}

static void encode_events(struct block_builder *b, struct packer *packer,
			  struct finished_block *ret)
{
	block_encoder_encode(b->encoder, packer, &ret->data, &ret->data_len);
	provenance_runs_encode(&b->provenance, &ret->provenance, &ret->provenance_len);
}

void block_builder_encode(struct block_builder *b, uint64_t last_ns, const struct off_stretch *off,
			  struct packer *packer, const struct stored_block *stored,
			  struct finished_block *ret)
{
	uint64_t off_start_ns = off ? off->start_ns : 0;
	bool is_off = off && clip(b, &off_start_ns, last_ns);
	bool is_listed = is_off && last_ns - off->start_ns >= b->min_wait_ns;
	struct waits_undo undo;
	struct code_line rest;

	*ret = (struct finished_block){
	    .first_ns = b->first_ns,
	    .last_ns = last_ns,
	    .lowest_depth = b->lowest_depth,
	    .n_events = block_encoder_n_events(b->encoder),
	};
	memcpy(ret->n_of, b->n_of, sizeof(ret->n_of));
	rest = rest_of(b, last_ns, off, is_listed, is_off ? last_ns - off_start_ns : 0);
	encode_totals(b, last_ns - b->first_ns, &rest, ret);
	if (!stored->row || ret->n_events > stored->n_events)
		encode_events(b, packer, ret);
	ret->n_waits = b->waits.n_items;
	if (is_listed)
		undo = list_wait(b, off_start_ns, last_ns, off, true);
	ret->waits_mark = block_waits_mark(&b->waits);
	if (ret->waits_mark && ret->waits_mark != stored->waits_mark)
		block_waits_encode(&b->waits, packer, &ret->waits, &ret->waits_len);
	ret->wait_totals = block_waits_copy_totals(&b->waits, &ret->n_wait_totals);
	if (is_listed)
		block_waits_undo(&b->waits, &undo);
}

void stored_block_done(struct stored_block *s)
{
	free(s->lines);
	free(s->functions);
	free(s->shared);
}

void finished_block_done(struct finished_block *f)
{
	free(f->data);
	free(f->provenance);
	free(f->waits);
	free(f->wait_totals);
	free(f->lines);
	free(f->functions);
	free(f->shared);
	if (!f->is_open)
		stored_block_done(&f->stored);
	*f = (struct finished_block){0};
}
