/* SPDX-License-Identifier: BSD-3-Clause */
/* Cells in order, each node and state once. Rows can have many: sorted by digits, not by comparing.
 */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/html_profile_private.h"

/* With fewer, counting digits takes longer than comparing. */
#define MANY 256

/* Bytes of state, then of node. */
#define STATE_DIGITS 2
#define N_DIGITS     6

static int compare_cells(const void *a, const void *b)
{
	const struct profile_cell *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return (x->state > y->state) - (x->state < y->state);
}

static uint8_t digit(const struct profile_cell *c, unsigned i)
{
	return (uint8_t)(i < STATE_DIGITS ? c->state >> (8 * i)
					  : c->node >> (8 * (i - STATE_DIGITS)));
}

/* By one digit. Cells that are equal in it keep their order. */
static void sort_by_digit(const struct profile_cell *from, struct profile_cell *to, size_t n,
			  unsigned which, const size_t *counts)
{
	size_t at[256], sum = 0;

	for (size_t i = 0; i < 256; i++) {
		at[i] = sum;
		sum += counts[i];
	}
	for (size_t i = 0; i < n; i++)
		to[at[digit(&from[i], which)]++] = from[i];
}

static void sort_many(struct profile_cell *cells, size_t n)
{
	auto_free struct profile_cell *other = xreallocarray(NULL, n, sizeof(*other));
	size_t counts[N_DIGITS][256] = {0};
	struct profile_cell *from = cells, *to = other;

	for (size_t i = 0; i < n; i++) {
		for (unsigned k = 0; k < N_DIGITS; k++)
			counts[k][digit(&cells[i], k)]++;
	}
	for (unsigned k = 0; k < N_DIGITS; k++) {
		struct profile_cell *sorted = to;

		if (counts[k][digit(&cells[0], k)] == n)
			continue;
		sort_by_digit(from, to, n, k, counts[k]);
		to = from;
		from = sorted;
	}
	if (from != cells)
		memcpy(cells, from, n * sizeof(*cells));
}

size_t profile_merge_cells(struct profile_cell *cells, size_t n)
{
	size_t kept = 0;

	if (n >= MANY)
		sort_many(cells, n);
	else if (n)
		qsort(cells, n, sizeof(*cells), compare_cells);
	for (size_t i = 0; i < n; i++) {
		if (kept && compare_cells(&cells[kept - 1], &cells[i]) == 0)
			cells[kept - 1].value += cells[i].value;
		else
			cells[kept++] = cells[i];
	}
	return kept;
}
