/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/trace_diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "reader/diff_match.h"
#include "reader/diff_judge.h"
#include "reader/trace.h"

/* The figures of the header. */
#define LEAST_SHARE	0.001
#define ALONE_SHARE	0.005
#define WAITING_PART	0.8
#define MANY_SLICES	8
#define EXPECTED_SLICES 10
#define LONG_CALL	10.0
#define CALLERS_MAX	64
#define LEAST_CALLS	10
#define LEAST_WAIT_NS	(4.0 * NS_PER_MS)

const char *diff_change_name(enum diff_change change)
{
	static const char *const names[N_DIFF_CHANGES] = {
	    [DIFF_SAME] = "same", [DIFF_SLOWER] = "slower", [DIFF_FASTER] = "faster",
	    [DIFF_NEW] = "new",	  [DIFF_GONE] = "gone",
	};

	return names[change];
}

const char *diff_basis_name(enum diff_basis basis)
{
	static const char *const names[] = {
	    [DIFF_BY_NOTHING] = "nothing",
	    [DIFF_BY_CALLS] = "calls",
	    [DIFF_BY_ENTRIES] = "entries",
	    [DIFF_BY_WAITS] = "waits",
	};

	return names[basis];
}

/* --- figures --- */

static unsigned slices_with_calls(const struct profile_sums *s)
{
	unsigned k = 0;

	for (size_t i = 0; i < PROFILE_SLICES; i++)
		k += s->slice_n[i] > 0;
	return k;
}

static double relative_error(const struct profile_sums *item, const struct profile_sums *unit)
{
	double ratio = item->ns / (double)unit->n, squares = 0, s, floor;
	unsigned k = slices_with_calls(unit);

	for (size_t i = 0; i < PROFILE_SLICES; i++) {
		double off = item->slice_ns[i] - ratio * unit->slice_n[i];

		squares += off * off;
	}
	s = sqrt(squares * PROFILE_SLICES / (PROFILE_SLICES - 1)) / item->ns;
	if (k > 1)
		s *= 1 + 5.0 / (k - 1);
	floor = 1 / sqrt((double)unit->n);
	return k < MANY_SLICES && s < floor ? floor : s;
}

void diff_measure(const struct profile_sums *item, const struct profile_sums *unit,
		  double observed_ns, struct diff_figures *ret)
{
	*ret = (struct diff_figures){
	    .ns = item->ns,
	    .share = observed_ns > 0 ? item->ns / observed_ns : 0,
	};
	if (!unit || !unit->n)
		return;
	ret->n = unit->n;
	ret->average_ns = item->ns / (double)unit->n;
	if (item->ns > 0)
		ret->error = relative_error(item, unit);
}

static bool is_by_waits(const struct profile_sums *s)
{
	return s->n_waits >= LEAST_CALLS && s->wait_ns >= WAITING_PART * s->ns &&
	       s->wait_ns >= LEAST_WAIT_NS * (double)s->n_waits;
}

static void measure_by_waits(const struct profile_sums *item, double observed_ns,
			     struct diff_figures *ret)
{
	diff_measure(item, NULL, observed_ns, ret);
	ret->n = item->n_waits;
	ret->average_ns = item->ns / (double)ret->n;
	/* What lies between 0 and the longest deviates from the average by no more than that. */
	ret->error = sqrt(fmax(item->longest_wait_ns / ret->average_ns - 1, 1) / (double)ret->n);
}

/* Whether it would have been seen in another trace, if it had been as frequent there. */
static bool would_be_seen(const struct profile_sums *s, const struct profile *where,
			  const struct profile *other)
{
	int k = __builtin_popcount(s->slices_begun);

	return where->observed_ns > 0 &&
	       k * (other->observed_ns / where->observed_ns) >= EXPECTED_SLICES;
}

/* --- the verdict --- */

struct comparison {
	const struct diff_side *old_side, *new_side;
	struct diff_match *match;
	struct diff *diff;
	size_t cap_functions, cap_lines;
};

/* Whether something can be compared by how often this began. */
static bool are_units(const struct profile_sums *old_sums, const struct profile_sums *new_sums)
{
	return profile_is_counted(old_sums) && profile_is_counted(new_sums) &&
	       old_sums->n >= LEAST_CALLS && new_sums->n >= LEAST_CALLS;
}

static double part_of(double ns, const struct profile_sums *s)
{
	return s->ns > 0 ? fmin(ns / s->ns, 1) : 0;
}

/*
 * Both sides of a function or line.
 * @by_entries  when there is no unit, by how often it was entered itself
 */
static void measure(struct comparison *c, const struct profile_sums *old_sums,
		    const struct profile_sums *new_sums, bool by_entries, struct diff_item *item)
{
	const struct profile *o = c->old_side->profile, *n = c->new_side->profile;
	const struct profile_sums *old_unit = NULL, *new_unit = NULL;

	item->basis = DIFF_BY_NOTHING;
	item->old_outside = part_of(old_sums->outside_ns, old_sums);
	item->new_outside = part_of(new_sums->outside_ns, new_sums);
	item->old_running = 1 - part_of(old_sums->wait_ns, old_sums);
	item->new_running = 1 - part_of(new_sums->wait_ns, new_sums);
	if (item->unit != PROFILE_NONE) {
		item->basis = DIFF_BY_CALLS;
		old_unit = &o->functions[diff_match_old(c->match, item->unit)].sums;
		new_unit = &n->functions[item->unit].sums;
	} else if (by_entries && are_units(old_sums, new_sums)) {
		item->basis = DIFF_BY_ENTRIES;
		old_unit = old_sums;
		new_unit = new_sums;
	} else if (is_by_waits(old_sums) && is_by_waits(new_sums)) {
		item->basis = DIFF_BY_WAITS;
		measure_by_waits(old_sums, o->observed_ns, &item->old_figures);
		measure_by_waits(new_sums, n->observed_ns, &item->new_figures);
		return;
	}
	diff_measure(old_sums, old_unit, o->observed_ns, &item->old_figures);
	diff_measure(new_sums, new_unit, n->observed_ns, &item->new_figures);
}

/* So many intervals of looking a call lasts on average, calls from it included. */
static double call_intervals(const struct profile *p, const struct profile_sums *s)
{
	if (!s->n_whole || p->interval_ns <= 0)
		return LONG_CALL;
	return s->whole_ns / (double)s->n_whole / p->interval_ns;
}

/* Of both, the less. */
static double unit_intervals(const struct comparison *c, uint32_t function)
{
	const struct profile *o = c->old_side->profile, *n = c->new_side->profile;

	return fmin(call_intervals(o, &o->functions[diff_match_old(c->match, function)].sums),
		    call_intervals(n, &n->functions[function].sums));
}

/*
 * The function by whose calls one of the new profile is compared, or PROFILE_NONE: the nearest
 * whose calls are long enough for all of them to be seen, otherwise the nearest.
 */
static uint32_t find_unit(const struct comparison *c, uint32_t function)
{
	const struct profile *o = c->old_side->profile, *n = c->new_side->profile;
	uint32_t nearest = PROFILE_NONE;

	for (unsigned i = 0; i < CALLERS_MAX && function != PROFILE_NONE; i++) {
		uint32_t old = diff_match_old(c->match, function);

		if (old == PROFILE_NONE)
			return nearest;
		if (are_units(&o->functions[old].sums, &n->functions[function].sums)) {
			if (unit_intervals(c, function) >= LONG_CALL)
				return function;
			if (nearest == PROFILE_NONE)
				nearest = function;
		}
		if (diff_match_old(c->match, n->functions[function].caller) !=
		    o->functions[old].caller)
			return nearest;
		function = n->functions[function].caller;
	}
	return nearest;
}

static void add_item(struct diff_item **items, size_t *n, size_t *cap, const struct diff_item *item)
{
	*items = xgrow(*items, cap, *n + 1, sizeof(**items));
	(*items)[(*n)++] = *item;
}

static void add_function(struct comparison *c, const struct diff_item *item)
{
	add_item(&c->diff->functions, &c->diff->n_functions, &c->cap_functions, item);
}

static void add_line(struct comparison *c, const struct diff_item *item)
{
	add_item(&c->diff->lines, &c->diff->n_lines, &c->cap_lines, item);
}

/* --- what is in one trace only --- */

static void judge_alone(const struct comparison *c, const struct profile_sums *s, bool is_new,
			bool is_certain, struct diff_item *item)
{
	const struct diff_side *here = is_new ? c->new_side : c->old_side;
	const struct diff_side *other = is_new ? c->old_side : c->new_side;
	struct diff_figures *f = is_new ? &item->new_figures : &item->old_figures;

	diff_measure(s, profile_is_counted(s) ? s : NULL, here->profile->observed_ns, f);
	item->change = DIFF_SAME;
	item->impact = f->share;
	if (is_certain ? f->share >= LEAST_SHARE
		       : f->share >= ALONE_SHARE && would_be_seen(s, here->profile, other->profile))
		item->change = is_new ? DIFF_NEW : DIFF_GONE;
}

static void find_alone(struct comparison *c, bool is_new)
{
	const struct profile *p = is_new ? c->new_side->profile : c->old_side->profile;

	for (uint32_t i = 0; i < p->n_functions; i++) {
		struct diff_item item = {
		    .old_function = is_new ? PROFILE_NONE : i,
		    .new_function = is_new ? i : PROFILE_NONE,
		    .unit = PROFILE_NONE,
		};
		uint32_t like = is_new ? diff_match_old(c->match, i) : diff_match_new(c->match, i);

		if (like != PROFILE_NONE)
			continue;
		judge_alone(c, &p->functions[i].sums, is_new,
			    diff_match_is_absent(c->match, is_new, i), &item);
		if (item.change != DIFF_SAME)
			add_function(c, &item);
	}
}

/* --- lines --- */

static const struct profile_line *find_line(const struct profile *p, uint32_t function,
					    int32_t line)
{
	const struct profile_function *f = &p->functions[function];

	for (size_t i = f->first; i < f->first + f->n_lines; i++) {
		if (p->lines[i].line == line)
			return &p->lines[i];
	}
	return NULL;
}

/* Of a function that is called again and again, only the lines that happen to last are seen. */
static bool are_entries_seen(const struct comparison *c, const struct diff_item *function)
{
	const struct profile *o = c->old_side->profile, *n = c->new_side->profile;

	return profile_is_counted(&o->functions[function->old_function].sums) &&
	       profile_is_counted(&n->functions[function->new_function].sums);
}

static void compare_line(struct comparison *c, const struct diff_item *function,
			 const struct profile_line *old_line, const struct profile_line *new_line)
{
	struct diff_item item = *function;

	item.old_line = old_line->line;
	item.new_line = new_line->line;
	measure(c, &old_line->sums, &new_line->sums, are_entries_seen(c, function), &item);
	add_line(c, &item);
}

/* @is_certain  the other text is known, and has no such line */
static void add_line_alone(struct comparison *c, const struct diff_item *function,
			   const struct profile_line *line, bool is_new, bool is_certain)
{
	struct diff_item item = *function;

	item.old_line = is_new ? 0 : line->line;
	item.new_line = is_new ? line->line : 0;
	item.basis = DIFF_BY_NOTHING;
	item.old_figures = item.new_figures = (struct diff_figures){0};
	judge_alone(c, &line->sums, is_new, is_certain, &item);
	if (item.change != DIFF_SAME)
		add_line(c, &item);
}

/* Time on a line that is not known is time of its function only. */
static void compare_lines_of(struct comparison *c, const struct diff_item *function)
{
	const struct profile *o = c->old_side->profile, *n = c->new_side->profile;
	const struct profile_function *of = &o->functions[function->old_function];
	const struct profile_function *nf = &n->functions[function->new_function];
	struct diff_lines lines;

	diff_lines_init(&lines, c->old_side, function->old_function, c->new_side,
			function->new_function);
	for (size_t i = of->first; i < of->first + of->n_lines; i++) {
		int32_t like = diff_lines_new(&lines, o->lines[i].line);
		const struct profile_line *l =
		    like ? find_line(n, function->new_function, like) : NULL;

		if (o->lines[i].line <= 0)
			continue;
		if (l)
			compare_line(c, function, &o->lines[i], l);
		else
			add_line_alone(c, function, &o->lines[i], false, lines.are_known && !like);
	}
	for (size_t i = nf->first; i < nf->first + nf->n_lines; i++) {
		int32_t like = diff_lines_old(&lines, n->lines[i].line);

		if (n->lines[i].line > 0 && (!like || !find_line(o, function->old_function, like)))
			add_line_alone(c, function, &n->lines[i], true, lines.are_known && !like);
	}
	diff_lines_done(&lines);
}

/* --- all --- */

static void compare_function(struct comparison *c, uint32_t old, uint32_t new)
{
	const struct profile *o = c->old_side->profile, *n = c->new_side->profile;
	struct diff_item item = {.old_function = old, .new_function = new};

	item.unit = find_unit(c, new);
	if (item.unit != PROFILE_NONE)
		item.intervals = unit_intervals(c, item.unit);
	measure(c, &o->functions[old].sums, &n->functions[new].sums, false, &item);
	if (item.basis == DIFF_BY_NOTHING)
		c->diff->n_uncounted++;
	else
		c->diff->n_compared++;
	add_function(c, &item);
	/* No line has more than its function, and reading texts is dear. */
	if (item.old_figures.share >= LEAST_SHARE || item.new_figures.share >= LEAST_SHARE)
		compare_lines_of(c, &item);
}

static int compare_impact(const void *a, const void *b)
{
	const struct diff_item *x = a, *y = b;

	if (x->impact > y->impact || x->impact < y->impact)
		return x->impact > y->impact ? -1 : 1;
	if (x->new_function != y->new_function)
		return x->new_function < y->new_function ? -1 : 1;
	if (x->new_line != y->new_line)
		return x->new_line < y->new_line ? -1 : 1;
	return (x->old_line > y->old_line) - (x->old_line < y->old_line);
}

void diff_new(const struct diff_side *old_side, const struct diff_side *new_side, struct diff **ret)
{
	struct comparison c = {
	    .old_side = old_side,
	    .new_side = new_side,
	    .match = diff_match_make(old_side, new_side),
	    .diff = xcalloc(1, sizeof(*c.diff)),
	};

	for (uint32_t i = 0; i < new_side->profile->n_functions; i++) {
		uint32_t old = diff_match_old(c.match, i);

		if (old != PROFILE_NONE)
			compare_function(&c, old, i);
	}
	find_alone(&c, false);
	find_alone(&c, true);
	diff_judge(old_side, new_side, c.match, c.diff);
	if (c.diff->n_functions)
		qsort(c.diff->functions, c.diff->n_functions, sizeof(*c.diff->functions),
		      compare_impact);
	if (c.diff->n_lines)
		qsort(c.diff->lines, c.diff->n_lines, sizeof(*c.diff->lines), compare_impact);
	diff_match_free(c.match);
	*ret = c.diff;
}

void diff_free(struct diff *d)
{
	if (!d)
		return;
	free(d->functions);
	free(d->lines);
	free(d);
}
