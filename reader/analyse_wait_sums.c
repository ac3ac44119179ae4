/* SPDX-License-Identifier: BSD-3-Clause */
/* Of an interval the waits are read block by block: that takes no decoding of events. */
#include "reader/analyse_wait_sums.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "reader/analyse.h"
#include "reader/selection.h"
#include "reader/trace_seek.h"

/* So many are kept before they are added up. */
#define MERGE_AT 65536

int wait_kinds_compare(const struct wait_kind *a, const struct wait_kind *b)
{
	return memcmp(a, b, sizeof(*a));
}

void wait_sums_add(struct trace_wait *sum, const struct trace_wait *w)
{
	sum->n += w->n;
	sum->total_ns += w->total_ns;
	if (w->longest_ns > sum->longest_ns) {
		sum->longest_ns = w->longest_ns;
		sum->longest_start_ns = w->longest_start_ns;
	}
}

static int compare_waits(const void *a, const void *b)
{
	return wait_kinds_compare(&((const struct trace_wait *)a)->kind,
				  &((const struct trace_wait *)b)->kind);
}

size_t wait_sums_merge(struct trace_wait *waits, size_t n)
{
	size_t n_merged = 0;

	if (n == 0)
		return 0;
	qsort(waits, n, sizeof(*waits), compare_waits);
	for (size_t i = 0; i < n; i++) {
		if (n_merged > 0 && compare_waits(&waits[n_merged - 1], &waits[i]) == 0)
			wait_sums_add(&waits[n_merged - 1], &waits[i]);
		else
			waits[n_merged++] = waits[i];
	}
	return n_merged;
}

struct collector {
	const struct analysis *a;
	struct trace_wait *waits;
	size_t n, cap, merge_at;
	uint64_t observed_ns;
	/* A wait that goes on from block to block, as far as it lies in the interval. */
	bool is_open;
	uint64_t start_ns, ns;
};

static void note(int *error, int r)
{
	if (r < 0 && *error == 0)
		*error = r;
}

static void add_wait(struct collector *c, struct wait_kind kind, uint64_t ns, bool has_begun)
{
	trace_unify_kind(c->a->trace, &kind);
	if (c->n >= c->merge_at) {
		c->n = wait_sums_merge(c->waits, c->n);
		c->merge_at = c->n * 2 > MERGE_AT ? c->n * 2 : MERGE_AT;
	}
	c->waits = xgrow(c->waits, &c->cap, c->n + 1, sizeof(*c->waits));
	c->waits[c->n++] = (struct trace_wait){
	    .kind = kind,
	    .n = has_begun,
	    .total_ns = ns,
	    .longest_ns = c->ns,
	    .longest_start_ns = c->start_ns,
	};
}

/* Cut to the interval; 0 when nothing of it lies inside. */
static uint64_t clip(const struct selection *s, uint64_t *start_ns, uint64_t end_ns)
{
	if (*start_ns < s->since_ns)
		*start_ns = s->since_ns;
	if (end_ns > s->until_ns)
		end_ns = s->until_ns;
	return end_ns > *start_ns ? end_ns - *start_ns : 0;
}

static void add_item(struct collector *c, const struct block_row *b, const struct wait_list *list,
		     const struct wait_item *item)
{
	uint64_t start_ns = b->first_ns + item->start_ns;
	uint64_t ns = clip(c->a->selection, &start_ns, start_ns + item->length_ns);
	bool goes_on = c->is_open && (item->flags & WAIT_BEGAN_BEFORE);

	c->is_open = ns > 0 && (item->flags & WAIT_GOES_ON);
	if (ns == 0)
		return;
	if (!goes_on) {
		c->start_ns = start_ns;
		c->ns = 0;
	}
	c->ns += ns;
	add_wait(c, list->kinds[item->kind], ns, !goes_on);
}

static int add_block(struct collector *c, const struct block_row *b)
{
	struct wait_list list;
	int r = trace_decode_waits(c->a->trace, b->id, &list);
	uint64_t start_ns = b->first_ns;

	c->observed_ns += clip(c->a->selection, &start_ns, b->last_ns);
	for (size_t i = 0; i < list.n_items; i++) {
		/* The decoder has checked it; what is read from a file is checked where it is used.
		 */
		if (list.items[i].kind < list.n_kinds)
			add_item(c, b, &list, &list.items[i]);
	}
	if (list.n_items == 0)
		c->is_open = false;
	wait_list_done(&list);
	return r;
}

static int add_thread(struct collector *c, uint16_t thread)
{
	const struct selection *s = c->a->selection;
	struct block_row b;
	int error = 0, r = trace_block_at(c->a->trace, thread, s->since_ns, &b);

	c->is_open = false;
	if (r == 0)
		r = trace_block_end(c->a->trace, thread, FORWARDS, &b);
	while (r == 1 && b.first_ns < s->until_ns) {
		if (b.last_ns > s->since_ns)
			note(&error, add_block(c, &b));
		r = trace_block_beside(c->a->trace, &b, FORWARDS, &b);
	}
	return r < 0 ? r : error;
}

static int sum_interval(const struct analysis *a, struct trace_wait **ret, size_t *ret_n,
			uint64_t *ret_observed_ns)
{
	struct collector c = {.a = a, .merge_at = MERGE_AT};
	int error = 0;

	for (size_t i = 0; i < a->selection->n_threads; i++)
		note(&error, add_thread(&c, a->selection->threads[i]));
	*ret_n = wait_sums_merge(c.waits, c.n);
	*ret = c.waits;
	*ret_observed_ns = c.observed_ns;
	return error;
}

int analysis_sum_waits(const struct analysis *a, struct trace_wait **ret, size_t *ret_n,
		       uint64_t *ret_observed_ns)
{
	struct trace_summary summary;
	int error = 0;

	if (!a->selection->is_whole)
		return sum_interval(a, ret, ret_n, ret_observed_ns);
	note(&error, trace_sum_waits(a->trace, ret, ret_n));
	note(&error, trace_summarise(a->trace, &summary));
	*ret_observed_ns = summary.observed_ns;
	return error;
}
