/* SPDX-License-Identifier: BSD-3-Clause */
/* What block_split.c and block_split_parts.c share. */
#ifndef READER_BLOCK_SPLIT_PRIVATE_H
#define READER_BLOCK_SPLIT_PRIVATE_H

#include "reader/block_split.h"

/* Of the stretches of a line that are listed as one thing, what is in truth another. */
struct source {
	uint64_t listed_ns, seen_ns;
	uint64_t moved_ns[N_SPLIT_KINDS]; /* in all; 0 for its own kind */
	uint64_t all_ns, all_told_ns;	  /* of these, and so much of it was told */
};

/* A line, and its first part; or another part of it. */
struct split_line {
	uint32_t file;
	int32_t line;
	uint32_t whole; /* its line's number */
	uint32_t by;	/* the number of whose sources tell: its own, or its line's */
	uint32_t n_parts;
	uint32_t function;
	uint64_t wanted_ns[N_SPLIT_KINDS]; /* as the index has it */
	struct source of[N_SPLIT_KINDS];
};

static inline uint64_t split_sum_ns(const uint64_t ns[N_SPLIT_KINDS])
{
	return ns[SPLIT_ON_CPU] + ns[SPLIT_WAITING] + ns[SPLIT_READY];
}

/* A line's number, or SPLIT_NO_LINE. */
uint32_t block_split_line(const struct block_split *s, uint32_t file, int32_t line);
/*
 * What each kind has too much by the list, compared with what is wanted, goes to those with too
 * little. Its sources hold nothing yet but what is listed.
 */
void split_line_plan(struct split_line *l);

#endif
