/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/diff_judge.h"

#include <math.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/diff_noise.h"

/* Figures of reader/trace_diff.h and reader/diff_noise.h. */
#define LEAST_SHARE 0.001
#define SURE_ERROR  0.25
#define MOST_COMMON 2.0

struct judgement {
	const struct diff_side *old_side, *new_side;
	const struct diff_match *match;
};

static double log_factor(const struct diff_item *i)
{
	return log(i->new_figures.average_ns / i->old_figures.average_ns);
}

static double error_of(const struct diff_item *i)
{
	return hypot(i->old_figures.error, i->new_figures.error);
}

/* Whether it is large enough, in one of the two, and its times can be told apart. */
static bool is_comparable(const struct diff_item *i)
{
	const struct diff_figures *o = &i->old_figures, *n = &i->new_figures;

	return o->n && n->n && o->average_ns > 0 && n->average_ns > 0 &&
	       (o->share >= LEAST_SHARE || n->share >= LEAST_SHARE);
}

/* @errors, common  see reader/diff_noise.h; the latter of the other functions, a logarithm */
static void judge(const struct judgement *c, struct diff_item *item, double errors, double common)
{
	const struct diff_figures *o = &item->old_figures, *n = &item->new_figures;
	double intervals_ns = c->old_side->profile->interval_ns + c->new_side->profile->interval_ns;
	double change = log_factor(item), least = diff_noise_least(c->old_side, c->new_side, item);
	double beside = change;

	item->factor = exp(change);
	item->threshold = exp(fmax(errors * error_of(item), least));
	item->impact = fabs(n->share - n->share / item->factor);
	/* How long waits are does not depend on how fast the CPU is. */
	if (fabs(common) < log(MOST_COMMON))
		beside -= common * fmin(item->old_running, item->new_running);
	if (fabs(n->average_ns - o->average_ns) <= intervals_ns ||
	    diff_noise_is_moved(c->old_side, c->new_side, c->match, item))
		return;
	if (fmin(change, beside) > log(item->threshold))
		item->change = DIFF_SLOWER;
	else if (fmax(change, beside) < -log(item->threshold))
		item->change = DIFF_FASTER;
}

/* By how much functions changed that can tell it; the caller frees. */
static struct diff_shift *find_shifts(const struct diff *d, size_t *ret_n)
{
	struct diff_shift *shifts = xcalloc(d->n_functions + 1, sizeof(*shifts));
	size_t n = 0;

	for (size_t i = 0; i < d->n_functions; i++) {
		const struct diff_item *item = &d->functions[i];

		if (item->basis != DIFF_BY_CALLS || !is_comparable(item) ||
		    error_of(item) >= SURE_ERROR)
			continue;
		shifts[n++] = (struct diff_shift){
		    .function = item->new_function,
		    .log_factor = log_factor(item),
		    .weight = item->old_figures.share * item->old_running +
			      item->new_figures.share * item->new_running,
		};
	}
	diff_noise_sort(shifts, n);
	*ret_n = n;
	return shifts;
}

static size_t count_comparable(const struct diff_item *items, size_t n)
{
	size_t n_comparable = 0;

	for (size_t i = 0; i < n; i++)
		n_comparable += is_comparable(&items[i]);
	return n_comparable;
}

/* Judges those that are in both, and keeps what changed. Returns how many. */
static size_t judge_items(const struct judgement *c, struct diff_item *items, size_t n,
			  double errors, const struct diff_shift *shifts, size_t n_shifts)
{
	size_t n_kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (items[i].change == DIFF_SAME && is_comparable(&items[i]))
			judge(c, &items[i], errors,
			      diff_noise_common(shifts, n_shifts, items[i].new_function));
		if (items[i].change != DIFF_SAME)
			items[n_kept++] = items[i];
	}
	return n_kept;
}

void diff_judge(const struct diff_side *old_side, const struct diff_side *new_side,
		const struct diff_match *match, struct diff *d)
{
	const struct judgement c = {old_side, new_side, match};
	const struct diff_item runs = {.basis = DIFF_BY_CALLS, .old_running = 1, .new_running = 1};
	size_t n_shifts;
	auto_free struct diff_shift *shifts = find_shifts(d, &n_shifts);
	double errors = diff_noise_errors(count_comparable(d->functions, d->n_functions) +
					  count_comparable(d->lines, d->n_lines));

	d->least_factor = exp(diff_noise_least(old_side, new_side, &runs));
	d->common_factor = exp(diff_noise_common(shifts, n_shifts, PROFILE_NONE));
	d->n_functions = judge_items(&c, d->functions, d->n_functions, errors, shifts, n_shifts);
	d->n_lines = judge_items(&c, d->lines, d->n_lines, errors, shifts, n_shifts);
}
