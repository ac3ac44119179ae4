/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring that a target could write, and one that changes while it is read: the input is the head's
 * first words, then what is in the slots, again and again; each read is bounded and ends.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/support/shim_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define READS 64

/* So that the fuzzer need not find numbers that fit: those of its slots where it says so. */
static void fill(uint64_t *words, const uint8_t *data, size_t size, uint64_t lap)
{
	size_t n = SHIM_WRITER_BYTES / 8;
	uint64_t *slots = words + SHIM_RING_HEAD_BYTES / 8;

	for (size_t i = 0; i < n && size >= 8; i++) {
		memcpy(&slots[i], data + i * 8 % (size - 7), 8);
		if (i % 4 == 3 && slots[i] % 4)
			slots[i] = lap * SHIM_WRITER_BYTES + i / 4 * SHIM_RING_SLOT_BYTES;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shim_record records[32];
	struct shim_ring *ring;
	struct shim_writer w;

	if (size < 2)
		return 0;
	shim_writer_init(&w);
	if (data[0] % 8 == 0)
		memcpy(w.words, data + 2, size - 2 < 1024 ? size - 2 : 1024);
	fill(w.words, data + 2, size - 2, data[1] % 4);
	if (shim_ring_new(w.words, SHIM_WRITER_SIZE, &ring) == 0) {
		uint64_t lost;

		shim_ring_want(ring, SHIM_WANT_PRECISE, 1);
		for (uint64_t i = 0; i < READS; i++) {
			if (shim_ring_read(ring, i * NS_PER_S, records, 32, &lost) > 32)
				abort();
			shim_ring_peek(ring, data[1], records);
			if (i % 16 == 15)
				fill(w.words, data + 1, size - 1, i / 16 + data[1] % 4);
		}
		shim_ring_close(ring);
	}
	shim_writer_done(&w);
	return 0;
}
