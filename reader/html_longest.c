/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/html_longest.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

/* Half of what is kept are the longest of all, the rest is shared out among so many parts. */
#define PARTS 256

void html_longest_init(struct html_longest *l, uint64_t span_ns, size_t max)
{
	*l = (struct html_longest){.span_ns = span_ns ? span_ns : 1, .max = max};
}

void html_longest_done(struct html_longest *l)
{
	free(l->waits);
	*l = (struct html_longest){0};
}

static int longer_first(const void *a, const void *b)
{
	const struct longest_wait *x = a, *y = b;

	if (x->length_ns != y->length_ns)
		return x->length_ns > y->length_ns ? -1 : 1;
	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return (x->thread > y->thread) - (x->thread < y->thread);
}

static int earlier_first(const void *a, const void *b)
{
	const struct longest_wait *x = a, *y = b;

	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return (x->thread > y->thread) - (x->thread < y->thread);
}

static size_t part_of(const struct html_longest *l, const struct longest_wait *wait)
{
	/* Floating point, since the product of the whole numbers may be too large. */
	size_t part = (size_t)((double)wait->start_ns / (double)l->span_ns * PARTS);

	return part < PARTS ? part : PARTS - 1;
}

static void drop_shorter(struct html_longest *l)
{
	size_t n = 0, in_part[PARTS] = {0}, per_part = l->max / 2 / PARTS + 1;

	qsort(l->waits, l->n, sizeof(*l->waits), longer_first);
	for (size_t i = 0; i < l->n; i++) {
		size_t *share = &in_part[part_of(l, &l->waits[i])];

		if (i < l->max / 2 || *share < per_part)
			l->waits[n++] = l->waits[i];
		else if (l->waits[i].length_ns > l->dropped_ns)
			l->dropped_ns = l->waits[i].length_ns;
		++*share;
	}
	l->n = n;
}

void html_longest_add(struct html_longest *l, const struct longest_wait *wait)
{
	/* What is kept is at most max and one more for each part. */
	if (l->n >= 4 * (l->max + PARTS))
		drop_shorter(l);
	l->waits = xgrow(l->waits, &l->cap, l->n + 1, sizeof(*l->waits));
	l->waits[l->n++] = *wait;
}

void html_longest_finish(struct html_longest *l)
{
	if (l->n > l->max)
		drop_shorter(l);
	if (l->n)
		qsort(l->waits, l->n, sizeof(*l->waits), earlier_first);
}
