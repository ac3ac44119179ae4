/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a thread did in each stretch of a block: was on a CPU, waited for something, or for a CPU.
 *
 * A block lists its waits of a millisecond and more; of the shorter ones the line index has the sum
 * of each line. They are taken to be spread evenly over the time that the line took outside its
 * listed waits. So what is made of stretches has, for each line, exactly the sums of the index.
 *
 * Where several functions stand on one line, the index of functions tells them apart: each is a
 * *part* of the line, with sums of its own (see reader/split_shares.h).
 */
#ifndef READER_BLOCK_SPLIT_H
#define READER_BLOCK_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "common/hash_index.h"
#include "common/wait_codec.h"
#include "reader/trace_seek.h"

struct block_decoder;
struct trace;

/* What a stretch is listed as. */
enum split_kind { SPLIT_ON_CPU, SPLIT_WAITING, SPLIT_READY, N_SPLIT_KINDS };

/* Nanoseconds of each; all of them together are the stretch. */
struct time_split {
	uint64_t ns[N_SPLIT_KINDS];
};

/* Of one block at a time. All zeros before the first one, and for what is not known. */
struct block_split {
	struct wait_list waits;
	size_t wait;		  /* those before are over */
	uint64_t n_waits;	  /* that began, in all blocks so far */
	struct split_line *lines; /* then the parts that are no line's first one */
	size_t n_lines, n_parts, cap_lines;
	struct hash_index index, part_index;
};

/*
 * What of a stretch falls on a part of it, in proportion; parts that follow one another add up.
 * @from_ns, @to_ns  since its start
 */
struct time_split time_split_part(const struct time_split *all, uint64_t from_ns, uint64_t to_ns);

#define SPLIT_NO_LINE UINT32_MAX

/*
 * Read what the trace has of a block. Blocks come in the order of time.
 * @d  of that block, before its first event
 * Returns 0 or a negative errno; then nothing is known.
 */
int block_split_load(struct block_split *s, struct trace *t, const struct block_row *row,
		     const struct block_decoder *d);
/*
 * The wait that the thread is in at a moment, or NULL. Moments never go back in a block.
 * @end_ns  made less when it ends earlier, or the next one begins
 */
const struct wait_item *block_split_find(struct block_split *s, const struct block_row *row,
					 uint64_t at_ns, uint64_t *end_ns);
/* What that is listed as; NULL: on a CPU. */
static inline enum split_kind block_split_kind(const struct block_split *s,
					       const struct wait_item *item)
{
	if (!item)
		return SPLIT_ON_CPU;
	return s->waits.kinds[item->kind].state == WAIT_FOR_CPU ? SPLIT_READY : SPLIT_WAITING;
}
/* The number of a function's part of a line, for block_split_add(), or SPLIT_NO_LINE. */
uint32_t block_split_part(struct block_split *s, uint32_t file, int32_t line, uint32_t function);
/*
 * Tell the parts of the block's lines apart, as far as the trace does; before the first stretch.
 * @d      before its first event
 * @parts  of each of its lines
 */
void block_split_tell_apart(struct block_split *s, struct trace *t, const struct block_row *row,
			    const struct block_decoder *d, const uint32_t *parts);
/*
 * The next stretch of the block: add what of it is what to *sum.
 * @part  what is on top of the stack; SPLIT_NO_LINE: nothing, or nothing is known of it
 */
void block_split_add(struct block_split *s, uint32_t part, enum split_kind kind, uint64_t ns,
		     struct time_split *sum);
void block_split_done(struct block_split *s);

#endif
