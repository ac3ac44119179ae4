/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exact mode of a sampler: where a target's interpreter tells each line, that is what is recorded,
 * and looks tell nothing. The rings come from the attacher by way of the worker's main thread.
 */
#ifndef RECORDER_SAMPLER_EXACT_H
#define RECORDER_SAMPLER_EXACT_H

#include <stdatomic.h>
#include <stdint.h>

#include "recorder/exact/line_plan.h"
#include "recorder/exact/line_rings.h"

struct sampler;

/* What a sampler gets to begin with. */
struct exact_source {
	struct line_rings *rings; /* owned */
	struct line_plan plan;
	bool is_inherited; /* it tells of threads that start later, too */
};

/* Figures, readable from any thread. */
struct exact_progress {
	_Atomic uint64_t events;  /* that probes told so far */
	_Atomic uint64_t lost;	  /* records that found no room */
	_Atomic uint64_t resyncs; /* how often what was told did not fit to what was known */
	_Atomic bool is_on;
};

/* Begin with this, or (NULL) come to an end. Any thread; the source is taken over. */
void sampler_set_exact(struct sampler *s, struct exact_source *source);
void exact_source_free(struct exact_source *source);

const struct exact_progress *sampler_get_exact_progress(const struct sampler *s);

#endif
