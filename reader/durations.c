/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/durations.h"

#include <stdlib.h>

#include "common/xalloc.h"

#define SUB_BITS 5

_Static_assert(DURATIONS_IN_OCTAVE == 1 << SUB_BITS, "a power of two");

/* Octave 0 has 0 to 31 exactly; octave k has 32 << (k - 1) up to twice that. */
static unsigned octave_of(uint64_t ns)
{
	return ns < DURATIONS_IN_OCTAVE ? 0 : 64 - SUB_BITS - (unsigned)__builtin_clzll(ns);
}

static unsigned shift_of(unsigned octave)
{
	return octave ? octave - 1 : 0;
}

void durations_add(struct durations *d, uint64_t start_ns, uint64_t ns)
{
	unsigned octave = octave_of(ns);

	if (!d->octaves[octave])
		d->octaves[octave] = xcalloc(DURATIONS_IN_OCTAVE, sizeof(*d->octaves[octave]));
	d->octaves[octave][(ns >> shift_of(octave)) % DURATIONS_IN_OCTAVE]++;
	if (d->n++ == 0 || ns > d->longest_ns) {
		d->longest_ns = ns;
		d->longest_start_ns = start_ns;
	}
}

static uint64_t middle_of(unsigned octave, unsigned i)
{
	uint64_t first = octave ? DURATIONS_IN_OCTAVE + i : i;

	return (first << shift_of(octave)) + (UINT64_C(1) << shift_of(octave)) / 2;
}

uint64_t durations_percentile(const struct durations *d, unsigned percent)
{
	/* In this order it can't overflow. */
	uint64_t rank = d->n / 100 * percent + (d->n % 100 * percent + 99) / 100, seen = 0;

	for (unsigned octave = 0; octave < DURATIONS_OCTAVES; octave++) {
		for (unsigned i = 0; d->octaves[octave] && i < DURATIONS_IN_OCTAVE; i++) {
			seen += d->octaves[octave][i];
			if (seen >= rank && seen > 0) {
				uint64_t ns = middle_of(octave, i);

				return ns < d->longest_ns ? ns : d->longest_ns;
			}
		}
	}
	return 0;
}

void durations_done(struct durations *d)
{
	for (unsigned octave = 0; octave < DURATIONS_OCTAVES; octave++)
		free(d->octaves[octave]);
	*d = (struct durations){0};
}
