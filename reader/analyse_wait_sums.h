/* SPDX-License-Identifier: BSD-3-Clause */
/* Waits summed up by kind, of the whole trace or of an interval. */
#ifndef READER_ANALYSE_WAIT_SUMS_H
#define READER_ANALYSE_WAIT_SUMS_H

#include <stddef.h>
#include <stdint.h>

#include "reader/trace_waits.h"

struct analysis;

/*
 * The waits of what was selected; one that the interval cuts counts with what lies inside.
 * @ret_observed_ns  the time of all blocks, in the interval
 * The caller frees. Also on error, as far as read.
 */
int analysis_sum_waits(const struct analysis *a, struct trace_wait **ret, size_t *ret_n,
		       uint64_t *ret_observed_ns);

void wait_sums_add(struct trace_wait *sum, const struct trace_wait *w);
/* As memcmp(). */
int wait_kinds_compare(const struct wait_kind *a, const struct wait_kind *b);
/* Add up those of one kind; the order changes. Returns how many are left. */
size_t wait_sums_merge(struct trace_wait *waits, size_t n);

#endif
