/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of a block: one thread's events over a stretch of time, self-contained.
 *
 * A block has a table of its lines (code object and line number), the stack at its start, and for
 * each line the steps that were seen from it: so many frames popped, then these pushed. An event
 * is then only the number of the step among those of the line that was on top, the frequent ones
 * first, and the time since the event before. The two are kept in columns of their own, each
 * compressed by itself. docs/trace-format.md has the layout.
 */
#ifndef COMMON_BLOCK_CODEC_H
#define COMMON_BLOCK_CODEC_H

#include <stddef.h>
#include <stdint.h>

struct packer;
struct unpacker;

/* An encoder is full with so many events, or with tables of about so many entries. */
#define BLOCK_MAX_EVENTS  65536
#define BLOCK_MAX_ENTRIES (1u << 18)
/* What a decoder accepts at most. */
#define BLOCK_MAX_STREAM (64u << 20) /* bytes of one stream, decompressed */
#define BLOCK_MAX_DEPTH	 (1u << 20)  /* frames of a stack */

/* In place of a line's index when the stack is empty. */
#define BLOCK_NO_LINE UINT32_MAX

/*
 * Times inside a block count in units of 1 << BLOCK_TIME_SHIFT ns from the block's first time,
 * each rounded down for itself, so errors don't add up. Reading a target's memory once takes
 * 1.6 us: more precision would be noise, and noise can't be compressed.
 */
#define BLOCK_TIME_SHIFT 6

/* A line of code as the blocks know it. */
struct block_line {
	uint32_t code;
	int32_t line; /* 0: unknown */
};

struct block_encoder;

struct block_encoder *block_encoder_new(void);
void block_encoder_free(struct block_encoder *e);
/* The line's index in this block's table; added when it is new. */
uint32_t block_encoder_line(struct block_encoder *e, struct block_line line);
/* The stack at the block's start, as indexes, outermost first. Before the first event. */
void block_encoder_start(struct block_encoder *e, const uint32_t *lines, uint32_t depth);
/*
 * Append an event.
 * @units   time since the block's first time >> BLOCK_TIME_SHIFT; never decreases
 * @top     index of the line on top before, or BLOCK_NO_LINE
 * @pop     frames that end; not more than there are
 * @pushed  indexes of lines that then come on top, outermost first
 */
void block_encoder_append(struct block_encoder *e, uint64_t units, uint32_t top, uint32_t pop,
			  const uint32_t *pushed, uint32_t n_pushed);
uint32_t block_encoder_n_events(const struct block_encoder *e);
int block_encoder_is_full(const struct block_encoder *e); /* bool */
/* The block's bytes so far, malloc()ed, the caller frees. More events may follow. */
void block_encoder_encode(struct block_encoder *e, struct packer *packer, uint8_t **ret,
			  size_t *ret_len);

struct block_event {
	uint64_t offset_ns; /* since the block's first time */
	uint32_t pop;
	uint32_t n_pushed;
	const uint32_t *pushed; /* line indexes, lent until the decoder is freed */
};

struct block_decoder;

/*
 * Check a block's header and tables. The data is not needed any more afterwards.
 * Returns 0, or -EBADMSG when the block is damaged.
 */
int block_decoder_new(struct unpacker *unpacker, const void *data, size_t len,
		      struct block_decoder **ret);
void block_decoder_free(struct block_decoder *d);
/*
 * Of a block's first bytes, BLOCK_HEADER_MAX or all of it: with how many bytes its tables end. 0
 * when they are damaged.
 */
#define BLOCK_HEADER_MAX 54
uint64_t block_tables_end(const void *data, size_t len);
/*
 * The table of lines alone.
 * @len  so much of the block is there: its tables at least
 * @ret  malloc()ed, the caller frees
 * Returns 0, or -EBADMSG when that is damaged.
 */
int block_read_lines(struct unpacker *unpacker, const void *data, size_t len,
		     struct block_line **ret, uint32_t *ret_n);
/* Another one that goes on from where @d is, which must outlive it. The caller frees. */
struct block_decoder *block_decoder_copy(const struct block_decoder *d);
/* The table of lines, lent until the decoder is freed. */
const struct block_line *block_decoder_lines(const struct block_decoder *d, uint32_t *ret_n);
/* The stack as it is now: at the start, later after the last event. Lent until the next call. */
const uint32_t *block_decoder_stack(const struct block_decoder *d, uint32_t *ret_depth);
/* All that steps push: what events lend lies in it. Lent until the decoder is freed. */
const uint32_t *block_decoder_pool(const struct block_decoder *d, size_t *ret_n);
uint32_t block_decoder_n_events(const struct block_decoder *d);
/*
 * When the last event strictly before each of some moments is; 0: there is none. Looks only at
 * times, and ends quietly where these are damaged. Before the first block_decoder_next().
 * @offsets_ns  since the block's first time, ascending; replaced
 */
void block_decoder_events_before(const struct block_decoder *d, uint64_t *offsets_ns, size_t n);
/* Returns 1 with the next event, 0 at the end, -EBADMSG when the rest is damaged. */
int block_decoder_next(struct block_decoder *d, struct block_event *ret);

#endif
