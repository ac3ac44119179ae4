/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Three things in turn, by the first byte: the rest is decoded as a block; or as a block's three
 * streams, so that the fuzzer need not find checksums; or it drives the encoder, and what comes
 * out must decode to what went in.
 */
#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/pack.h"

DEFINE_CLEANUP(struct block_decoder *, block_decoder_free)
DEFINE_CLEANUP(struct block_encoder *, block_encoder_free)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Kept over all inputs, as a reader keeps them over all blocks. */
static struct packer *packer;
static struct unpacker *unpacker;

/* Returns how many there are. */
static uint32_t read_lines(const uint8_t *data, size_t size)
{
	auto_free struct block_line *lines = NULL;
	uint32_t n = 0;

	if (block_read_lines(unpacker, data, size, &lines, &n) < 0)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (lines[i].line < 0)
			abort();
	}
	return n;
}

static void decode(const uint8_t *data, size_t size)
{
	auto_release(block_decoder_free) struct block_decoder *d = NULL;
	const struct block_line *lines;
	struct block_event event;
	uint32_t n_lines, depth;

	read_lines(data, size);
	if (block_decoder_new(unpacker, data, size, &d) < 0)
		return;
	lines = block_decoder_lines(d, &n_lines);
	/* Its beginning alone says the same. */
	if (n_lines != read_lines(data, (size_t)block_tables_end(data, size)))
		abort();
	while (block_decoder_next(d, &event) == 1) {
		const uint32_t *stack = block_decoder_stack(d, &depth);

		for (uint32_t i = 0; i < depth; i++) {
			if (stack[i] >= n_lines || lines[stack[i]].line < 0)
				abort();
		}
	}
}

/* A number in the block's header, four bytes long whatever its value. */
static size_t put_u32(uint8_t *out, uint32_t value)
{
	*out = 251;
	for (int i = 0; i < 4; i++)
		out[i + 1] = (uint8_t)(value >> (8 * i));
	return 5;
}

/* The first bytes say how many events there are and how the rest is cut into streams. */
static void decode_streams(const uint8_t *data, size_t size)
{
	auto_free uint8_t *block = NULL;
	const uint8_t *streams[3];
	size_t sizes[3], len, at;

	if (size < 4)
		return;
	len = size - 4;
	sizes[0] = len * data[2] / 256;
	sizes[1] = (len - sizes[0]) * data[3] / 256;
	sizes[2] = len - sizes[0] - sizes[1];
	streams[0] = data + 4;
	streams[1] = streams[0] + sizes[0];
	streams[2] = streams[1] + sizes[1];

	block = malloc(32 + 3 * pack_bound(len));
	if (!block)
		abort();
	block[0] = 1;
	block[1] = data[1] % 33;
	at = 2 + put_u32(block + 2, data[0]);
	for (int i = 0; i < 3; i++) {
		uint8_t *unused = malloc(pack_bound(sizes[i]));

		if (!unused)
			abort();
		at +=
		    put_u32(block + at, (uint32_t)pack_bytes(packer, streams[i], sizes[i], unused));
		free(unused);
	}
	for (int i = 0; i < 3; i++)
		at += pack_bytes(packer, streams[i], sizes[i], block + at);
	decode(block, at);
}

#define MAX_DEPTH 64
#define N_LINES	  16

/* Two bytes an event: how much is popped and pushed, which line, and how much later. */
static void round_trip(const uint8_t *data, size_t size)
{
	auto_release(block_encoder_free) struct block_encoder *e = block_encoder_new();
	auto_release(block_decoder_free) struct block_decoder *d = NULL;
	auto_free uint8_t *block = NULL;
	uint32_t stack[MAX_DEPTH], depth = 0, n;
	struct block_event event;
	uint64_t units = 0;
	size_t len;

	for (uint32_t i = 0; i < N_LINES; i++)
		block_encoder_line(e, (struct block_line){i, (int32_t)i});
	block_encoder_start(e, NULL, 0);
	for (size_t i = 0; i + 1 < size && !block_encoder_is_full(e); i += 2) {
		uint32_t pop = (data[i] & 15u) % (depth + 1), push = data[i] >> 4 & 3u;
		uint32_t top = depth ? stack[depth - 1] : BLOCK_NO_LINE;

		depth -= pop;
		push = depth + push > MAX_DEPTH ? 0 : push;
		for (uint32_t j = 0; j < push; j++)
			stack[depth++] = (data[i + 1] + j) % N_LINES;
		units += (uint64_t)data[i + 1] << (data[i] >> 2 & 32u);
		block_encoder_append(e, units, top, pop, stack + depth - push, push);
	}
	block_encoder_encode(e, packer, &block, &len);
	if (block_decoder_new(unpacker, block, len, &d) < 0)
		abort();
	while (block_decoder_next(d, &event) == 1)
		;
	if (memcmp(block_decoder_stack(d, &n), stack, depth * sizeof(*stack)) != 0 || n != depth ||
	    (block_decoder_n_events(d) && event.offset_ns != units << BLOCK_TIME_SHIFT))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!packer) {
		packer = packer_new();
		unpacker = unpacker_new();
	}
	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		decode(data + 1, size - 1);
		break;
	case 1:
		decode_streams(data + 1, size - 1);
		break;
	default:
		round_trip(data + 1, size - 1);
	}
	return 0;
}
