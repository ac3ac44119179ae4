/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/diff_noise.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "reader/diff_match.h"

/* The figures of the header. */
#define LEAST_FACTOR 1.25
#define MOST_STARVED 0.9
#define LEAST_ERRORS 4.0
#define MOST_ERRORS  8.0
#define WRONG	     0.01
#define LEAST_COMMON 2
#define LONG_CALL    10.0
#define MOVED_PART   0.5

double diff_noise_errors(size_t n)
{
	double low = LEAST_ERRORS, high = MOST_ERRORS;

	/* The least z with n erfc(z / sqrt(2)) <= WRONG. */
	while (high - low > 1e-3) {
		double z = (low + high) / 2;

		if ((double)n * erfc(z / sqrt(2)) > WRONG)
			low = z;
		else
			high = z;
	}
	return low;
}

static int compare_shifts(const void *a, const void *b)
{
	const struct diff_shift *x = a, *y = b;

	return (x->log_factor > y->log_factor) - (x->log_factor < y->log_factor);
}

void diff_noise_sort(struct diff_shift *shifts, size_t n)
{
	if (n)
		qsort(shifts, n, sizeof(*shifts), compare_shifts);
}

double diff_noise_common(const struct diff_shift *shifts, size_t n, uint32_t function)
{
	double all = 0, below = 0;
	size_t n_others = 0;

	for (size_t i = 0; i < n; i++) {
		if (shifts[i].function != function) {
			all += shifts[i].weight;
			n_others++;
		}
	}
	for (size_t i = 0; i < n && n_others >= LEAST_COMMON; i++) {
		if (shifts[i].function != function)
			below += shifts[i].weight;
		if (below >= all / 2)
			return shifts[i].log_factor;
	}
	return 0;
}

static double unseen_part(const struct diff_item *item)
{
	if (item->intervals <= 0 || item->intervals >= LONG_CALL)
		return 0;
	return fmin(1 / item->intervals, 1) - 1 / LONG_CALL;
}

double diff_noise_least(const struct diff_side *old_side, const struct diff_side *new_side,
			const struct diff_item *item)
{
	double old_starved = old_side->profile->starved, new_starved = new_side->profile->starved;
	double starved = fmin(fmax(old_starved, new_starved), MOST_STARVED);
	double outside = fmax(item->old_outside, item->new_outside);
	double running = fmin(item->old_running, item->new_running);
	double waits = 1 / (1 - starved);
	double runs = (1 + 2 * fabs(new_starved - old_starved)) / (1 - starved * starved);

	if (item->basis == DIFF_BY_WAITS)
		running = 0;
	return log(LEAST_FACTOR * (running * runs + (1 - running) * waits) * (1 + outside) *
		   (1 + unseen_part(item)));
}

/* Of a function of both, by how much it changed, for each of what the item is compared by. */
static double change_of(const struct diff_side *old_side, const struct diff_side *new_side,
			const struct diff_item *item, uint32_t old, uint32_t new)
{
	double old_ns = old == PROFILE_NONE ? 0 : old_side->profile->functions[old].sums.ns;
	double new_ns = new == PROFILE_NONE ? 0 : new_side->profile->functions[new].sums.ns;

	return new_ns / (double)item->new_figures.n - old_ns / (double)item->old_figures.n;
}

/* Whether that makes up for most of a change. */
static bool is_opposite(double change_ns, double other_ns)
{
	return change_ns > 0 ? other_ns < -MOVED_PART * change_ns
			     : other_ns > -MOVED_PART * change_ns;
}

bool diff_noise_is_moved(const struct diff_side *old_side, const struct diff_side *new_side,
			 const struct diff_match *match, const struct diff_item *item)
{
	const struct profile *o = old_side->profile, *n = new_side->profile;
	double change_ns = item->new_figures.average_ns - item->old_figures.average_ns;
	double callees_ns = 0;

	if (item->impact > fmax(o->cut, n->cut))
		return false;
	for (size_t i = 0; i < n->n_calls; i++) {
		uint32_t caller = n->calls[i].caller, callee = n->calls[i].callee;

		if (caller == callee)
			continue;
		if (callee == item->new_function &&
		    is_opposite(change_ns, change_of(old_side, new_side, item,
						     diff_match_old(match, caller), caller)))
			return true;
		if (caller == item->new_function)
			callees_ns += change_of(old_side, new_side, item,
						diff_match_old(match, callee), callee);
	}
	return is_opposite(change_ns, callees_ns);
}
