/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What differs between two traces though the program is the same.
 *
 * Within a trace: chance. Its standard error s is known from how much the slices differ. So many
 * of them are asked for that among all n rows compared one is wrong in 100 comparisons of traces
 * (Bonferroni), 4 at least.
 *
 * From one run to the next: the machine. A factor
 *
 *	least = 1.25 (u (1 + 2 d) / (1 - r^2) + (1 - u) / (1 - r)) (1 + w) (1 + v)
 *
 * is asked for. Others had the CPU for a part r of the time in which the program's threads could
 * have run, in the trace in which it is more, and by d more than in the other one: who has the CPU
 * in turns has its caches, too, and a wait is as long as it takes until there is a CPU again. The
 * row was running for a part u of its time, in the trace in which it is less, and waited for a part
 * w of it for files, for memory, or for nobody knows what, in the one in which it is more. Where
 *the calls that it is compared by last k intervals of looking on average, fewer than 10, some are
 *not seen: v is 1 / k - 1 / 10, 0.9 at most. By number of waits u is 0. The threshold is
 *
 *	exp(max(ln least, errors * sqrt(s_old^2 + s_new^2)))
 *
 * A row has to pass it also beside the factor by which the other functions are slower or faster
 * (the median by running time, of two or more that are compared by calls with s below 0.25),
 * unless that is beyond 2: then it is no matter of the machine. Who has the other half of a core
 * makes code slower by 1.6 easily, and nothing else in a trace tells.
 *
 * What is seen of it: a look that is cut counts for the caller of what it did not see. So where the
 * cut looks are a part c of all, less than c of the time may have moved from a function to its
 * callers or its callees. It is taken for that when those changed by half as much at least, the
 * other way.
 */
#ifndef READER_DIFF_NOISE_H
#define READER_DIFF_NOISE_H

#include <stdbool.h>
#include <stddef.h>

#include "reader/trace_diff.h"

struct diff_match;

/* So many standard errors are not exceeded by chance, in 99 of 100 comparisons of n rows. */
double diff_noise_errors(size_t n);
/* By how much a function changed. */
struct diff_shift {
	uint32_t function; /* of the new profile */
	double log_factor, weight;
};
void diff_noise_sort(struct diff_shift *shifts, size_t n);
/* The median of others than that function, 0 when they are too few. Sorted before. */
double diff_noise_common(const struct diff_shift *shifts, size_t n, uint32_t function);
/* The logarithm of the least factor; w is that of the item. */
double diff_noise_least(const struct diff_side *old_side, const struct diff_side *new_side,
			const struct diff_item *item);
/* Whether an item, by its figures, may have got from or lost to its callers or callees. */
bool diff_noise_is_moved(const struct diff_side *old_side, const struct diff_side *new_side,
			 const struct diff_match *match, const struct diff_item *item);

#endif
