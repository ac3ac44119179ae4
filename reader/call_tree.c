/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/call_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/pack.h"
#include "common/xalloc.h"
#include "reader/trace.h"

DEFINE_CLEANUP(struct block_decoder *, block_decoder_free)

struct builder {
	struct call_tree tree; /* must be first: the caller frees it as what it is in */
	struct trace *trace;
	struct unpacker *unpacker;
	size_t cap_nodes, cap_frames;
	struct hash_index node_index;
	struct hash_index frame_index;
	/* The first code object of each function: a function that was made again is the same. */
	uint32_t *functions;
	size_t n_functions, cap_functions;
	struct hash_index function_index;
	/* Of the block at hand. */
	uint32_t *frame_of; /* of each of its lines */
	size_t cap_frame_of;
	uint32_t *stack; /* nodes, the root first */
	size_t cap_stack;
};

static uint32_t find_function(struct builder *b, const struct trace_code *code)
{
	uint32_t hash = hash_fold(hash_mix(hash_bytes(code->name, code->name_len), code->file));

	HASH_INDEX_FOR_EACH(&b->function_index, hash, at, id)
	{
		const struct trace_code *known = trace_get_code(b->trace, b->functions[id]);

		if (known->file == code->file && known->name_len == code->name_len &&
		    !memcmp(known->name, code->name, code->name_len))
			return known->id;
	}
	b->functions =
	    xgrow(b->functions, &b->cap_functions, b->n_functions + 1, sizeof(*b->functions));
	b->functions[b->n_functions] = code->id;
	hash_index_add(&b->function_index, hash, (uint32_t)b->n_functions++);
	return code->id;
}

static uint32_t find_frame(struct builder *b, struct block_line line)
{
	const struct trace_code *code = trace_get_code(b->trace, line.code);
	struct tree_frame frame = {.line = line.line};
	uint32_t hash;

	if (code) {
		frame.code = find_function(b, code);
		frame.file = code->file;
	}
	hash = hash_fold(hash_mix(frame.code, (uint32_t)frame.line));
	HASH_INDEX_FOR_EACH(&b->frame_index, hash, at, id)
	{
		if (b->tree.frames[id].code == frame.code && b->tree.frames[id].line == frame.line)
			return id;
	}
	b->tree.frames =
	    xgrow(b->tree.frames, &b->cap_frames, b->tree.n_frames + 1, sizeof(*b->tree.frames));
	b->tree.frames[b->tree.n_frames] = frame;
	hash_index_add(&b->frame_index, hash, (uint32_t)b->tree.n_frames);
	return (uint32_t)b->tree.n_frames++;
}

static uint32_t find_node(struct builder *b, uint32_t parent, uint32_t frame)
{
	uint32_t hash = hash_fold(hash_mix(parent, frame));

	HASH_INDEX_FOR_EACH(&b->node_index, hash, at, id)
	{
		if (b->tree.nodes[id].parent == parent && b->tree.nodes[id].frame == frame)
			return id;
	}
	b->tree.nodes =
	    xgrow(b->tree.nodes, &b->cap_nodes, b->tree.n_nodes + 1, sizeof(*b->tree.nodes));
	b->tree.nodes[b->tree.n_nodes] = (struct tree_node){.parent = parent, .frame = frame};
	hash_index_add(&b->node_index, hash, (uint32_t)b->tree.n_nodes);
	return (uint32_t)b->tree.n_nodes++;
}

/* Put the frames on the stack that has `depth` frames now; returns its new depth. */
static size_t push(struct builder *b, size_t depth, const uint32_t *lines, uint32_t n)
{
	b->stack = xgrow(b->stack, &b->cap_stack, depth + n + 1, sizeof(*b->stack));
	b->stack[0] = TREE_ROOT;
	for (uint32_t i = 0; i < n; i++, depth++)
		b->stack[depth + 1] = find_node(b, b->stack[depth], b->frame_of[lines[i]]);
	return depth;
}

/* Add up one block's time; after damage, its rest has none. */
static int add_events(struct builder *b, struct block_decoder *d, uint64_t span_ns)
{
	struct block_event event;
	uint64_t last_ns = 0;
	uint32_t depth;
	const uint32_t *start = block_decoder_stack(d, &depth);
	size_t at = push(b, 0, start, depth);
	int r;

	while ((r = block_decoder_next(d, &event)) == 1) {
		if (event.offset_ns > span_ns)
			return -EBADMSG;
		b->tree.nodes[b->stack[at]].self_ns += event.offset_ns - last_ns;
		last_ns = event.offset_ns;
		at = push(b, at - event.pop, event.pushed, event.n_pushed);
	}
	if (r == 0)
		b->tree.nodes[b->stack[at]].self_ns += span_ns - last_ns;
	return r;
}

static int add_block(struct builder *b, const struct trace_block *block)
{
	auto_release(block_decoder_free) struct block_decoder *d = NULL;
	const struct block_line *lines;
	uint32_t n_lines;
	int r = block_decoder_new(b->unpacker, block->data, block->data_len, &d);

	if (r < 0)
		return r;
	if (block->last_ns < block->first_ns)
		return -EBADMSG;
	lines = block_decoder_lines(d, &n_lines);
	b->frame_of = xgrow(b->frame_of, &b->cap_frame_of, n_lines, sizeof(*b->frame_of));
	for (uint32_t i = 0; i < n_lines; i++)
		b->frame_of[i] = find_frame(b, lines[i]);
	return add_events(b, d, block->last_ns - block->first_ns);
}

static int on_block(void *ctx, const struct trace_block *block)
{
	struct builder *b = ctx;

	/* Each block stands alone: one that is damaged takes no other with it. */
	if (add_block(b, block) < 0) {
		b->tree.n_lost_blocks++;
		b->tree.n_lost_events += block->n_events;
	}
	return 0;
}

int call_tree_new(struct trace *t, struct call_tree **ret)
{
	struct builder *b = xcalloc(1, sizeof(*b));
	int r;

	b->trace = t;
	b->unpacker = unpacker_new();
	find_node(b, UINT32_MAX, UINT32_MAX); /* the root */
	r = trace_each_block(t, on_block, b);
	unpacker_free(b->unpacker);
	hash_index_done(&b->node_index);
	hash_index_done(&b->frame_index);
	hash_index_done(&b->function_index);
	free(b->functions);
	free(b->frame_of);
	free(b->stack);
	*ret = &b->tree;
	return r < 0 ? r : b->tree.n_lost_blocks ? -EBADMSG : 0;
}

void call_tree_free(struct call_tree *tree)
{
	if (!tree)
		return;
	free(tree->nodes);
	free(tree->frames);
	free(tree);
}
