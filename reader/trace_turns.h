/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the indexes tell of each block of a thread: how long an event loop was idle in it, and which
 * lines its time went to. A part of reader/trace.h, with its conventions.
 */
#ifndef READER_TRACE_TURNS_H
#define READER_TRACE_TURNS_H

#include <stdint.h>

#include "common/wait_codec.h"
#include "reader/trace_seek.h"

struct trace;

struct trace_idle {
	struct block_row row;
	uint64_t n;  /* idle waits that began in the block */
	uint64_t ns; /* idle time in it, also of waits that began before */
};

/*
 * The blocks of a thread that begin at or after from_ns, in their order, until on_block returns not
 * 0, which is then returned. Waits are not decoded.
 */
int trace_each_idle(struct trace *t, uint16_t thread, uint64_t from_ns,
		    int (*on_block)(void *ctx, const struct trace_idle *idle), void *ctx);

/* How long a line was the innermost one in a block. */
struct trace_block_line {
	uint32_t file;
	int32_t line;
	uint64_t self_ns;
};
/* Until on_line returns not 0, which is then returned. */
int trace_each_block_line(struct trace *t, int64_t block,
			  int (*on_line)(void *ctx, const struct trace_block_line *line),
			  void *ctx);
/* The same for the sums of a block's waits; reasons that are the same have one id. */
int trace_each_block_wait(struct trace *t, int64_t block,
			  int (*on_wait)(void *ctx, const struct wait_kind *kind, uint64_t ns),
			  void *ctx);

#endif
