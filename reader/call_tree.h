/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All stacks of a trace as one tree: a node is a frame (file, function and line) under its
 * caller, and holds the time in which exactly that stack was there.
 */
#ifndef READER_CALL_TREE_H
#define READER_CALL_TREE_H

#include <stddef.h>
#include <stdint.h>

struct trace;

struct tree_frame {
	uint32_t file; /* trace_get_file(), 0 when not known */
	uint32_t code; /* a code object of that function, 0 when not known */
	int32_t line;  /* 0: unknown */
};

struct tree_node {
	uint32_t parent; /* of the outermost frames: TREE_ROOT */
	uint32_t frame;
	uint64_t self_ns;
};

/* Node 0, the empty stack. */
#define TREE_ROOT 0

/* Open to read. */
struct call_tree {
	struct tree_node *nodes;
	size_t n_nodes;
	struct tree_frame *frames;
	size_t n_frames;
	uint64_t n_lost_events; /* of blocks that are damaged */
	uint64_t n_lost_blocks;
};

/*
 * Decode all of the trace.
 * @ret  the caller frees it; also on error, with what could be read
 * Returns 0, or -EBADMSG when the trace or a block of it is damaged.
 */
int call_tree_new(struct trace *t, struct call_tree **ret);
void call_tree_free(struct call_tree *tree);

#endif
