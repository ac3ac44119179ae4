/* SPDX-License-Identifier: BSD-3-Clause */
/* The waits of an open block: listed one by one, and added up by kind for their index. */
#ifndef RECORDER_BLOCK_WAITS_H
#define RECORDER_BLOCK_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/hash_index.h"
#include "common/wait_codec.h"

struct packer;

/*
 * A wait that lasts so long is listed as such, unless something else is asked for; shorter ones
 * only count for their line.
 */
#define WAIT_LISTED_NS NS_PER_MS
/* What can be asked for. */
#define WAIT_LISTED_LEAST_NS (10 * NS_PER_US)
#define WAIT_LISTED_MOST_NS  (3600 * NS_PER_S)
/* A block is full with so many. */
#define WAITS_MAX 16384

/* A stretch off the CPU. */
struct off_stretch {
	uint64_t start_ns, end_ns; /* monotonic */
	enum wait_state state;
	uint32_t reason, native; /* of the trace's tables; 0: not known */
	bool idle;
};

/* Waits of one kind within one block. */
struct wait_totals {
	struct wait_kind kind;
	uint64_t n;			       /* that began in this block */
	uint64_t total_ns;		       /* as far as they lie in this block */
	uint64_t longest_ns, longest_start_ns; /* of all that ended here; parts before included */
};

/* All zeros: none. */
struct block_waits {
	struct wait_totals *totals; /* by kind */
	size_t n_kinds, cap_kinds;
	struct hash_index index;
	struct wait_item *items;
	size_t n_items, cap_items;
};

/* How it was before the last one. */
struct waits_undo {
	uint32_t kind;
	struct wait_totals totals;
};

/*
 * Take a stretch that is long enough.
 * @block_ns            the block's first time
 * @first_ns, @last_ns  what of the stretch lies in this block
 * @goes_on             it was not over at last_ns
 */
struct waits_undo block_waits_add(struct block_waits *w, uint64_t block_ns, uint64_t first_ns,
				  uint64_t last_ns, const struct off_stretch *off, uint32_t file,
				  int32_t line, bool goes_on);
/* Take the last one back. Its kind stays, with nothing of it. */
void block_waits_undo(struct block_waits *w, const struct waits_undo *undo);
/* What tells if there is anything new in it; 0: nothing is in it. */
uint64_t block_waits_mark(const struct block_waits *w);
/* Bytes for the block's row, and the sums; the caller frees. */
void block_waits_encode(const struct block_waits *w, struct packer *packer, uint8_t **ret,
			size_t *ret_len);
struct wait_totals *block_waits_copy_totals(const struct block_waits *w, size_t *ret_n);
void block_waits_done(struct block_waits *w);

#endif
