/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What became slower, faster, new and gone from one trace to another.
 *
 * Functions are the same when their qualified names are and their files are: those whose paths have
 * most of their last components in common. Lines are the same by a diff of the two functions.
 *
 * Compared is the time for each call. A function whose calls can't be counted (see
 * trace_profile.h) is compared by the calls of what calls it, and so on; so is one with fewer than
 * 10. Where calls last less than 10 intervals of looking on average some are not seen, so then the
 * calls of what calls it are preferred. Each line is compared by the calls that its function is
 *compared by; where there are none, by how often it was entered itself, unless its function is
 *called too often to count. What can't be compared so, and waited for at least 80 % of its time, 4
 *ms at a time or more on average, is compared by the number of its waits, which are exact whatever
 *is seen. Below, s is then sqrt((longest / R - 1) / N), the most that the standard error of what
 *lies between 0 and the longest can be, and 1 / sqrt(N) at least.
 *
 * With R = T / N, time and calls of a trace, t and n those of its m = 32 slices, the standard error
 * of R, as a part of R, is that of a ratio estimator:
 *
 *	s = sqrt(m / (m - 1) * sum((t - R n)^2)) / T
 *
 * With k slices that have calls it is made larger by (1 + 5 / (k - 1)), about what Student's
 * distribution does to the limit; with k below 8 it is also 1 / sqrt(N) at least.
 *
 * What is shown as slower or faster passes all of reader/diff_noise.h, changed by more than both
 * intervals of looking together, and took 0.1 % of the time observed in one of the two at least.
 *
 * What is only in one trace is shown when it took 0.1 % of its time and the source text of the
 * other one has no such function, or no such line; otherwise when it took 0.5 %, and would, had it
 * been as frequent in the other one, have begun there in 10 slices or more.
 */
#ifndef READER_TRACE_DIFF_H
#define READER_TRACE_DIFF_H

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "reader/trace_profile.h"

struct trace;

enum diff_change {
	DIFF_SAME, /* as far as one knows */
	DIFF_SLOWER,
	DIFF_FASTER,
	DIFF_NEW,
	DIFF_GONE,
	N_DIFF_CHANGES,
};
/* For people and programs: "slower". */
const char *diff_change_name(enum diff_change change);

/* What the time is divided by. */
enum diff_basis {
	DIFF_BY_NOTHING, /* it can't be compared */
	DIFF_BY_CALLS,
	DIFF_BY_ENTRIES, /* of the line itself */
	DIFF_BY_WAITS,	 /* of the line or function */
};
const char *diff_basis_name(enum diff_basis basis);

struct diff_figures {
	double ns;
	double share; /* of the time observed, as a part of it */
	uint64_t n;   /* calls that it is compared by, 0 when there are none to go by */
	double average_ns;
	double error; /* relative standard error of the average */
};

struct diff_item {
	enum diff_change change;
	uint32_t old_function, new_function; /* of the profiles, or PROFILE_NONE */
	int32_t old_line, new_line;	     /* of a line; 0: there is none */
	enum diff_basis basis;
	uint32_t unit; /* BY_CALLS: of that function of the new profile */
	struct diff_figures old_figures, new_figures;
	double old_outside, new_outside; /* parts of the time: see profile_sums */
	double old_running, new_running; /* not in a listed wait */
	double intervals; /* of looking, that a call or entry lasts on average; 0: not by these */
	double factor;	  /* SLOWER, FASTER: new by old average */
	double threshold; /* a factor less than that may be noise */
	double impact;	  /* of the change, as a part of the time observed */
};

struct diff {
	/* Those that changed, the greatest impact first. */
	struct diff_item *functions, *lines;
	size_t n_functions, n_lines;
	size_t n_compared;    /* functions */
	size_t n_uncounted;   /* functions in both whose calls can't be counted */
	double common_factor; /* by which most are slower; 1: none is known */
	double least_factor;  /* of what runs, a change by less may be the machine's */
};

/* One of the two sides. */
struct diff_side {
	struct trace *trace;
	const struct profile *profile;
};

/* @ret  the caller frees */
void diff_new(const struct diff_side *old_side, const struct diff_side *new_side,
	      struct diff **ret);
void diff_free(struct diff *d);
DEFINE_CLEANUP(struct diff *, diff_free)

/* What of the above can be tested by itself. */

/* By calls of a unit. */
void diff_measure(const struct profile_sums *item, const struct profile_sums *unit,
		  double observed_ns, struct diff_figures *ret);
/* So many of their last components are equal; SIZE_MAX when all are. An __init__.py is none. */
size_t diff_common_components(const char *a, const char *b);

#endif
