/* SPDX-License-Identifier: BSD-3-Clause */
/* A profile becomes smaller: longer slices, then fewer stacks. No time gets lost. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/html_profile.h"
#include "reader/html_profile_private.h"

/* A stack with less than this part of all time is rare. */
#define RARE_PART 1000

uint32_t html_profile_n_slices(const struct html_profile *p)
{
	uint64_t span_ns = p->until_ns - p->since_ns;

	return (uint32_t)((span_ns + p->slice_ns - 1) / p->slice_ns);
}

void profile_merge_rows(struct html_profile *p)
{
	size_t n_rows = 0, n_cells = 0;

	for (size_t i = 0; i < p->n_rows;) {
		struct profile_row row = p->rows[i];
		size_t n = 0;

		row.gap_ns = 0;
		for (; i < p->n_rows && p->rows[i].thread == row.thread &&
		       p->rows[i].slice == row.slice;
		     i++) {
			memmove(p->cells + n_cells + n, p->cells + p->rows[i].first_cell,
				p->rows[i].n_cells * sizeof(*p->cells));
			n += p->rows[i].n_cells;
			row.gap_ns += p->rows[i].gap_ns;
		}
		row.first_cell = n_cells;
		row.n_cells = profile_merge_cells(p->cells + n_cells, n);
		n_cells += row.n_cells;
		p->rows[n_rows++] = row;
	}
	p->n_rows = n_rows;
	p->n_cells = n_cells;
}

static void double_slices(struct html_profile *p)
{
	p->slice_ns *= 2;
	for (size_t i = 0; i < p->n_rows; i++)
		p->rows[i].slice /= 2;
	profile_merge_rows(p);
}

/* Of each node with all below it; the caller frees. */
static uint64_t *sum_nodes(const struct html_profile *p)
{
	uint64_t *total = xcalloc(p->n_nodes, sizeof(*total));

	for (size_t i = 0; i < p->n_cells; i++) {
		if (p->cells[i].state != STATE_VISITS)
			total[p->cells[i].node] += p->cells[i].value;
	}
	for (size_t i = p->n_nodes; i-- > 1;)
		total[p->nodes[i].parent] += total[i];
	return total;
}

/*
 * Number the nodes anew, without those that have less time than below_ns: a node of their parent
 * stands for all of these.
 * @map  and @others: room for a number of each node
 */
static void drop_nodes(struct html_profile *p, const uint64_t *total, uint64_t below_ns,
		       uint32_t *map, uint32_t *others)
{
	/* Never more than there were: each new one stands for one that is dropped at least. */
	auto_free struct profile_node *nodes = xreallocarray(NULL, p->n_nodes, sizeof(*nodes));
	uint32_t n = 1;

	map[0] = 0;
	nodes[0] = p->nodes[0];
	memset(others, 0, p->n_nodes * sizeof(*others));
	for (size_t i = 1; i < p->n_nodes; i++) {
		const struct profile_node *node = &p->nodes[i];
		uint32_t parent = map[node->parent];
		bool is_other = node->place == PROFILE_OTHER || total[i] < below_ns;

		if (nodes[parent].place == PROFILE_OTHER) {
			map[i] = parent;
			continue;
		}
		if (is_other && others[node->parent]) {
			map[i] = others[node->parent];
			continue;
		}
		nodes[n] = (struct profile_node){.parent = parent,
						 .place = is_other ? PROFILE_OTHER : node->place};
		if (is_other)
			others[node->parent] = n;
		map[i] = n++;
	}
	memcpy(p->nodes, nodes, n * sizeof(*nodes));
	p->n_nodes = n;
	for (size_t i = 0; i < p->n_cells; i++)
		p->cells[i].node = map[p->cells[i].node];
	for (size_t i = 0; i < p->longest.n; i++)
		p->longest.waits[i].node = map[p->longest.waits[i].node];
	profile_merge_rows(p);
}

static void note_other(struct html_profile *p, uint64_t below_ns)
{
	p->other_ns = 0;
	if (below_ns > p->other_below_ns)
		p->other_below_ns = below_ns;
	for (size_t i = 0; i < p->n_cells; i++) {
		if (p->cells[i].state != STATE_VISITS &&
		    p->nodes[p->cells[i].node].place == PROFILE_OTHER)
			p->other_ns += p->cells[i].value;
	}
}

static bool is_small(const struct html_profile *p, size_t max_cells, size_t max_nodes)
{
	return p->n_cells <= max_cells && p->n_nodes <= max_nodes;
}

static void lengthen_slices(struct html_profile *p, size_t max_cells, uint32_t min_slices)
{
	while (p->n_cells > max_cells && html_profile_n_slices(p) >= 2 * min_slices)
		double_slices(p);
}

/* From below_ns on, the least that leaves no more nodes by itself. */
static uint64_t find_below(const struct html_profile *p, const uint64_t *total, uint64_t below_ns,
			   size_t max_nodes)
{
	for (size_t n = SIZE_MAX; n > max_nodes; below_ns *= 4) {
		n = 0;
		for (size_t i = 0; i < p->n_nodes; i++)
			n += total[i] >= below_ns;
		if (n <= max_nodes || below_ns > total[0])
			break;
	}
	return below_ns;
}

/*
 * Stacks that were seen for no time at all come first, and those of more than 1 / least_part of
 * all time are kept.
 * @all  of each node that there was, which one it is now
 */
static void drop_stacks(struct html_profile *p, size_t max_cells, size_t max_nodes,
			uint64_t least_part, uint32_t *all, size_t n_all)
{
	auto_free uint32_t *map = xreallocarray(NULL, p->n_nodes, sizeof(*map));
	auto_free uint32_t *others = xreallocarray(NULL, p->n_nodes, sizeof(*others));

	for (uint64_t below_ns = 1; !is_small(p, max_cells, max_nodes); below_ns *= 4) {
		auto_free uint64_t *total = sum_nodes(p);

		below_ns = find_below(p, total, below_ns, max_nodes);
		if (below_ns > total[0] / least_part)
			break;
		drop_nodes(p, total, below_ns, map, others);
		for (size_t i = 0; i < n_all; i++)
			all[i] = map[all[i]];
		note_other(p, below_ns);
	}
}

uint32_t *profile_reduce(struct html_profile *p, size_t max_cells, size_t max_nodes,
			 uint32_t min_slices)
{
	size_t n_all = p->n_nodes;
	uint32_t *all = xreallocarray(NULL, n_all, sizeof(*all));

	for (size_t i = 0; i < n_all; i++)
		all[i] = (uint32_t)i;
	lengthen_slices(p, max_cells, min_slices);
	drop_stacks(p, max_cells, max_nodes, RARE_PART, all, n_all);
	/* Many threads: what is left is not rare. */
	lengthen_slices(p, max_cells, 1);
	drop_stacks(p, max_cells, max_nodes, 1, all, n_all);
	return all;
}

void html_profile_reduce(struct html_profile *p, size_t max_cells, size_t max_nodes,
			 uint32_t min_slices)
{
	free(profile_reduce(p, max_cells, max_nodes, min_slices));
}
