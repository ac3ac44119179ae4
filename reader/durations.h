/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long things took: percentiles of any number of durations, in little memory. They are counted
 * in buckets of 1/32 of their size, so a percentile is right to 1.6 %; the longest one is exact.
 */
#ifndef READER_DURATIONS_H
#define READER_DURATIONS_H

#include <stdint.h>

#define DURATIONS_OCTAVES   60
#define DURATIONS_IN_OCTAVE 32

/* All zeros: none. An octave takes memory when something falls into it. */
struct durations {
	uint64_t *octaves[DURATIONS_OCTAVES]; /* each DURATIONS_IN_OCTAVE counts */
	uint64_t n;
	uint64_t longest_ns;
	uint64_t longest_start_ns; /* the first one of that length; monotonic */
};

void durations_add(struct durations *d, uint64_t start_ns, uint64_t ns);
/*
 * That which `percent` % of them do not exceed (nearest rank); 0 when there are none.
 * @percent  above 0, at most 100
 */
uint64_t durations_percentile(const struct durations *d, unsigned percent);
void durations_done(struct durations *d);

#endif
