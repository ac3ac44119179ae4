/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/activity.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "reader/trace_seek.h"

/* Moments of each column at which the block there is looked at. */
#define SAMPLES 2
/* Of all threads that ever were, so many are looked at. */
#define MAX_THREADS 64
/* Events per second of the lowest level; each further one is four times as many. */
#define LEVEL_1 1.0

struct columns {
	struct activity *ret;
	double *rates;	  /* events per second */
	uint64_t *gap_ns; /* of each, by gaps of all threads */
	size_t n;
	uint16_t thread;
	uint64_t start_ns, end_ns;
};

static uint64_t time_of(const struct columns *c, double column)
{
	return c->start_ns + (uint64_t)((double)(c->end_ns - c->start_ns) * column / (double)c->n);
}

static int look_at(struct trace *t, const struct columns *c, uint16_t thread, size_t i,
		   uint64_t time_ns)
{
	struct activity *column = &c->ret[i];
	struct block_row row;
	double waited_ns;
	int r = trace_block_at(t, thread, time_ns, &row);

	if (r != 1 || row.last_ns < time_ns)
		return r;
	r = trace_block_waited(t, row.id, &waited_ns);
	if (r < 0)
		return r;
	/* One that runs is enough. */
	column->waits = (column->waits || !column->is_known) &&
			waited_ns * 2 > (double)(row.last_ns - row.first_ns);
	column->is_known = true;
	/* A block that ends within a microsecond says little of a rate. */
	c->rates[i] += (double)row.n_events * (double)NS_PER_S /
		       ((double)(row.last_ns - row.first_ns) + 1000) / SAMPLES;
	return 0;
}

static int look_at_thread(struct trace *t, const struct columns *c, uint16_t thread)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < c->n; i++) {
		for (int s = 0; r >= 0 && s < SAMPLES; s++)
			r = look_at(t, c, thread, i, time_of(c, (double)i + (0.5 + s) / SAMPLES));
	}
	return r < 0 ? r : 0;
}

static int add_gap(void *ctx, const struct trace_gap *gap)
{
	struct columns *c = ctx;
	double per_column = (double)(c->end_ns - c->start_ns) / (double)c->n;
	uint64_t start = gap->start_ns > c->start_ns ? gap->start_ns : c->start_ns;
	uint64_t end = gap->end_ns < c->end_ns ? gap->end_ns : c->end_ns;

	if (gap->thread && gap->thread != c->thread)
		return 0;
	if (start >= end)
		return 0;
	for (size_t i = (size_t)((double)(start - c->start_ns) / per_column); i < c->n; i++) {
		uint64_t from = time_of(c, (double)i), to = time_of(c, (double)(i + 1));

		if (from >= end)
			break;
		c->gap_ns[i] += (end < to ? end : to) - (start > from ? start : from);
	}
	return 0;
}

static void set_levels(const struct columns *c)
{
	for (size_t i = 0; i < c->n; i++) {
		uint64_t column_ns = time_of(c, (double)(i + 1)) - time_of(c, (double)i);
		double limit = LEVEL_1;
		uint8_t level = c->rates[i] > 0;

		while (level && level < ACTIVITY_LEVELS && c->rates[i] > limit) {
			level++;
			limit *= 4;
		}
		c->ret[i].level = level;
		c->ret[i].has_gap = c->gap_ns[i] > column_ns / 2;
	}
}

int activity_read(struct trace *t, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
		  struct activity *ret, size_t n)
{
	auto_free double *rates = xcalloc(n + 1, sizeof(*rates));
	auto_free uint64_t *gap_ns = xcalloc(n + 1, sizeof(*gap_ns));
	auto_free struct trace_thread *threads = NULL;
	struct columns c = {.ret = ret,
			    .rates = rates,
			    .gap_ns = gap_ns,
			    .n = n,
			    .thread = thread,
			    .start_ns = start_ns,
			    .end_ns = end_ns};
	size_t n_threads, n_looked = 0;
	int r;

	memset(ret, 0, n * sizeof(*ret));
	if (n == 0 || end_ns <= start_ns)
		return 0;
	r = trace_threads(t, &threads, &n_threads);
	for (size_t i = 0; r == 0 && i < n_threads && n_looked < MAX_THREADS; i++) {
		if (thread && threads[i].id != thread)
			continue;
		r = look_at_thread(t, &c, threads[i].id);
		n_looked++;
	}
	if (r == 0)
		r = trace_each_gap(t, add_gap, &c);
	set_levels(&c);
	return r;
}
