/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sums of lines and sums of functions are known; what each function had on each line is sought.
 *
 * Step by step: a line of which all functions but one are known gives that one the rest, and so
 * does a function of which all lines but one are known. Where neither is left (two functions on
 * the same two lines), a line is spread over its functions, and it goes on from there.
 */
#ifndef READER_SPLIT_SHARES_H
#define READER_SPLIT_SHARES_H

#include <stddef.h>
#include <stdint.h>

/* What a function had on a line; all in one unit. */
struct split_share {
	uint32_t line, function; /* numbers from 0 */
	uint64_t most;		 /* it is not more */
	/* How a line is spread: what is listed first, the rest in proportion to weight. */
	uint64_t listed, weight;
	uint64_t found; /* the result */
};

/*
 * Find them all. Sums may contradict each other: those of lines come first, and are exact where the
 * shares of the line can hold as much. Takes time in proportion to what is given.
 * @shares  each line and function at most once
 */
void split_shares_find(struct split_share *shares, size_t n, const uint64_t *lines, size_t n_lines,
		       const uint64_t *functions, size_t n_functions);

#endif
