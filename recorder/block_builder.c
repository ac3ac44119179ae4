/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/block_builder.h"

#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/hash_index.h"
#include "common/provenance_codec.h"
#include "common/xalloc.h"

/* Code objects can share a source line (a lambda and the line it stands in), so this is not per
 * encoder line. */
struct source_line {
	struct line_totals totals;
	uint32_t on_stack; /* how many frames stand on it */
	uint64_t since_ns; /* since when at least one does */
};

struct block_builder {
	struct block_encoder *encoder;
	uint64_t first_ns;
	uint64_t last_offset_ns; /* of the last event, as stored */
	uint32_t lowest_depth;
	uint32_t *stack; /* encoder lines */
	size_t depth, cap_stack;
	uint32_t *source_of; /* of each encoder line */
	size_t n_lines, cap_lines;
	struct source_line *sources;
	size_t n_sources, cap_sources;
	struct hash_index source_index;
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
	free(b->source_of);
	free(b->sources);
	hash_index_done(&b->source_index);
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

static struct source_line *source_at(struct block_builder *b, size_t depth)
{
	return &b->sources[b->source_of[b->stack[depth]]];
}

static struct source_line *push(struct block_builder *b, const struct stack_frame *f,
				uint64_t offset_ns)
{
	uint32_t line =
	    block_encoder_line(b->encoder, (struct block_line){.code = f->code, .line = f->line});
	struct source_line *source;

	if (line == b->n_lines) {
		b->source_of = xgrow(b->source_of, &b->cap_lines, line + 1, sizeof(*b->source_of));
		b->source_of[b->n_lines++] = find_source(b, f->file, f->line);
	}
	if (b->depth == b->cap_stack)
		b->stack = xgrow(b->stack, &b->cap_stack, b->depth + 1, sizeof(*b->stack));
	b->stack[b->depth++] = line;
	source = &b->sources[b->source_of[line]];
	if (source->on_stack++ == 0)
		source->since_ns = offset_ns;
	return source;
}

static void pop(struct block_builder *b, uint64_t offset_ns)
{
	struct source_line *source = source_at(b, --b->depth);

	if (--source->on_stack == 0)
		source->totals.total_ns += offset_ns - source->since_ns;
}

static void add_self(struct block_builder *b, uint64_t until_ns)
{
	if (b->depth)
		source_at(b, b->depth - 1)->totals.self_ns += until_ns - b->last_offset_ns;
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
		push(b, &stack[i], 0);
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
	while (b->depth > keep)
		pop(b, offset_ns);
	for (uint32_t i = 0; i < n_frames; i++) {
		struct line_totals *t = &push(b, &frames[i], offset_ns)->totals;

		t->visits++;
		t->entries++;
	}
	if (n_frames == 0 && b->depth)
		source_at(b, b->depth - 1)->totals.visits++;
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

/* What a line took when the block ends at end_ns. */
static struct line_totals totals_until(const struct source_line *source, uint64_t end_ns)
{
	struct line_totals t = source->totals;

	if (source->on_stack)
		t.total_ns += end_ns - source->since_ns;
	return t;
}

static void add_off(struct line_totals *line, enum wait_state state, uint64_t ns)
{
	if (state == WAIT_FOR_CPU)
		line->ready_ns += ns;
	else
		line->wait_ns += ns;
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
	const struct line_totals *line = &source_at(b, b->depth - 1)->totals;

	return block_waits_add(&b->waits, b->first_ns, start_ns, end_ns, off, line->file,
			       line->line, goes_on);
}

void block_builder_off(struct block_builder *b, const struct off_stretch *off)
{
	uint64_t start_ns = off->start_ns, end_ns = stored_time(b, off->end_ns);

	if (!clip(b, &start_ns, end_ns))
		return;
	add_off(&source_at(b, b->depth - 1)->totals, off->state, end_ns - start_ns);
	if (off->end_ns - off->start_ns >= b->min_wait_ns)
		list_wait(b, start_ns, end_ns, off, false);
}

static void encode_lines(const struct block_builder *b, uint64_t last_ns, uint64_t off_ns,
			 enum wait_state state, struct finished_block *ret)
{
	uint64_t end_ns = last_ns - b->first_ns;

	ret->lines = xreallocarray(NULL, b->n_sources, sizeof(*ret->lines));
	ret->n_lines = b->n_sources;
	for (size_t i = 0; i < b->n_sources; i++)
		ret->lines[i] = totals_until(&b->sources[i], end_ns);
	if (b->depth) {
		struct line_totals *top = &ret->lines[b->source_of[b->stack[b->depth - 1]]];

		top->self_ns += end_ns - b->last_offset_ns;
		add_off(top, state, off_ns);
	}
	qsort(ret->lines, ret->n_lines, sizeof(*ret->lines), compare_totals);
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

	*ret = (struct finished_block){
	    .first_ns = b->first_ns,
	    .last_ns = last_ns,
	    .lowest_depth = b->lowest_depth,
	    .n_events = block_encoder_n_events(b->encoder),
	};
	memcpy(ret->n_of, b->n_of, sizeof(ret->n_of));
	encode_lines(b, last_ns, is_off ? last_ns - off_start_ns : 0,
		     off ? off->state : WAIT_FOR_SOMETHING, ret);
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

void finished_block_done(struct finished_block *f)
{
	free(f->data);
	free(f->provenance);
	free(f->waits);
	free(f->wait_totals);
	free(f->lines);
	if (!f->is_open)
		free(f->stored.lines);
	*f = (struct finished_block){0};
}
