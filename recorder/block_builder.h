/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread's open block: encodes its events and, beside them, adds up what each source line
 * took, for the line index. Knows nothing of SQLite.
 */
#ifndef RECORDER_BLOCK_BUILDER_H
#define RECORDER_BLOCK_BUILDER_H

#include <stddef.h>
#include <stdint.h>

struct packer;

struct stack_frame {
	uint32_t code;
	int32_t line;  /* 0: unknown */
	uint32_t file; /* of the code */
};

/* A line of a file within one block, for the line index. */
struct line_totals {
	uint32_t file;
	int32_t line;
	uint64_t visits;   /* entered, or on top again after what it had called returned */
	uint64_t self_ns;  /* on top of the stack */
	uint64_t total_ns; /* anywhere on the stack; counts once however often it is there */
};

struct finished_block {
	uint16_t thread; /* for the caller's use */
	uint64_t first_ns;
	uint64_t last_ns;
	uint32_t lowest_depth;
	uint32_t n_events;
	uint8_t *data; /* owned, as are the lines */
	size_t data_len;
	struct line_totals *lines; /* by file, then line */
	size_t n_lines;
};

struct block_builder;

/*
 * @first_ns  from here on the stack is known to be `stack`, outermost first
 */
struct block_builder *block_builder_new(uint64_t first_ns, const struct stack_frame *stack,
					uint32_t depth);
void block_builder_free(struct block_builder *b);

/*
 * From time_ns (not before that of the last step) on, the stack is its first `keep` frames, then
 * `frames`.
 */
void block_builder_step(struct block_builder *b, uint64_t time_ns, uint32_t keep,
			const struct stack_frame *frames, uint32_t n_frames);
int block_builder_is_full(const struct block_builder *b); /* bool */
uint32_t block_builder_n_events(const struct block_builder *b);

/*
 * Close the block: its last stack is known until last_ns. The builder can only be freed then.
 * @ret  filled in but for the thread; the caller frees it with finished_block_done()
 */
void block_builder_finish(struct block_builder *b, uint64_t last_ns, struct packer *packer,
			  struct finished_block *ret);
void finished_block_done(struct finished_block *f);

#endif
