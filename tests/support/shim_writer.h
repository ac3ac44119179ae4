/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes a ring as the shim does, into memory of the test's. */
#ifndef TESTS_SUPPORT_SHIM_WRITER_H
#define TESTS_SUPPORT_SHIM_WRITER_H

#include <stdlib.h>
#include <string.h>

#include "recorder/shim_ring.h"

#define SHIM_WRITER_BYTES SHIM_RING_MIN_BYTES
#define SHIM_WRITER_SIZE  (SHIM_RING_HEAD_BYTES + SHIM_WRITER_BYTES)
#define SHIM_WRITER_SLOTS ((uint64_t)SHIM_WRITER_BYTES / SHIM_RING_SLOT_BYTES)

struct shim_writer {
	uint64_t *words; /* all of it */
	uint64_t number; /* of the last record */
};

static inline void shim_writer_init(struct shim_writer *w)
{
	w->words = calloc(1, SHIM_WRITER_SIZE);
	if (!w->words)
		abort();
	w->number = 0;
	w->words[0] = UINT64_C(0x474e495243455845);
	w->words[1] = 1;
	w->words[2] = 4242;
	w->words[3] = SHIM_WRITER_BYTES;
	w->words[4] = SHIM_RING_SLOT_BYTES;
	w->words[5] = SHIM_READY;
}

static inline void shim_writer_done(struct shim_writer *w)
{
	free(w->words);
}

/* A number is taken, but nothing is written. */
static inline void shim_writer_skip(struct shim_writer *w)
{
	w->number += SHIM_RING_SLOT_BYTES;
}

static inline void shim_writer_put(struct shim_writer *w, enum shim_kind kind, uint32_t thread,
				   uint64_t value, uint64_t frame, uint32_t line)
{
	uint64_t *slot;

	w->number += SHIM_RING_SLOT_BYTES;
	slot = w->words + (SHIM_RING_HEAD_BYTES + w->number % SHIM_WRITER_BYTES) / 8;
	slot[0] = value;
	slot[1] = frame;
	slot[2] = line | (uint64_t)(thread << 8 | (uint32_t)kind) << 32;
	slot[3] = w->number;
}

#endif
