/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The waits of a block: the longer stretches in which its thread was off the CPU, one after the
 * other, and of what kinds they are. docs/trace-format.md has the layout.
 */
#ifndef COMMON_WAIT_CODEC_H
#define COMMON_WAIT_CODEC_H

#include <stddef.h>
#include <stdint.h>

struct packer;
struct unpacker;

/* Times count in units of 1 << WAIT_TIME_SHIFT ns, about a microsecond. */
#define WAIT_TIME_SHIFT 10

enum wait_state {
	WAIT_FOR_SOMETHING,
	WAIT_FOR_CPU, /* it could have run, but others had the CPU */
	N_WAIT_STATES,
};

/* Where and for what. */
struct wait_kind {
	uint32_t file; /* of the innermost followed frame; 0: none */
	int32_t line;
	uint32_t reason; /* of table reasons; 0: not known */
	uint32_t native; /* of table native_stacks; 0: not known */
	uint32_t state;	 /* enum wait_state */
	uint32_t idle;	 /* bool: it is what the thread does when it has nothing to do */
};

enum wait_flags {
	WAIT_BEGAN_BEFORE = 1, /* it goes on from the block before */
	WAIT_GOES_ON = 2,      /* it was not over when the block ended */
};

struct wait_item {
	uint64_t start_ns; /* since the block's first time */
	uint64_t length_ns;
	uint32_t kind;	/* index */
	uint32_t flags; /* enum wait_flags */
};

/* @items  in order of time, not overlapping; @ret: malloc()ed, the caller frees */
void wait_codec_encode(struct packer *packer, const struct wait_kind *kinds, size_t n_kinds,
		       const struct wait_item *items, size_t n_items, uint8_t **ret,
		       size_t *ret_len);

struct wait_list {
	struct wait_kind *kinds;
	size_t n_kinds;
	struct wait_item *items;
	size_t n_items;
};

/* Returns 0, or -EBADMSG when it is damaged. Free with wait_list_done(), also then. */
int wait_codec_decode(struct unpacker *unpacker, const void *data, size_t len,
		      struct wait_list *ret);
void wait_list_done(struct wait_list *list);

#endif
