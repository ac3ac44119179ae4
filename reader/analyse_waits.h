/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of waits: what its text, its JSON and its CSV are made of. */
#ifndef READER_ANALYSE_WAITS_H
#define READER_ANALYSE_WAITS_H

#include <stddef.h>
#include <stdint.h>

#include "reader/trace_waits.h"

struct analysis;
struct wait_chains;

struct waits_table {
	const struct analysis *a;
	struct trace_wait *waits; /* in their order */
	size_t n_waits;
	size_t n_shown;
	uint64_t observed_ns;
	struct trace_wait all;	/* sums: what is listed */
	struct trace_wait idle; /* and what is idle and left out */
	struct wait_chains *chains;
};

/* How often; also for one that was counted where its reason was not known yet. */
static inline uint64_t wait_times(const struct trace_wait *w)
{
	return w->n ? w->n : 1;
}

/* On standard output. Each returns the first error. */
int waits_table_print_json(const struct waits_table *t);
int waits_table_print_csv(const struct waits_table *t);

#endif
