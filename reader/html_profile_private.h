/* SPDX-License-Identifier: BSD-3-Clause */
/* Of html_profile.c, html_cells.c and html_reduce.c alone. */
#ifndef READER_HTML_PROFILE_PRIVATE_H
#define READER_HTML_PROFILE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/hash_index.h"
#include "reader/html_profile.h"

/* The states that profiles begin with. */
enum { STATE_VISITS, STATE_UNKNOWN, STATE_ON_CPU, STATE_READY, STATE_SHORT, N_FIXED_STATES };

#define NO_CELL UINT32_MAX
/* One for each fixed state; that of STATE_UNKNOWN also for others, where it does not come. */
#define N_OPEN N_FIXED_STATES

struct profile_builder {
	struct html_profile *p;
	struct trace *trace;
	const struct profile_limits *limits;
	struct walk *walk;
	struct hash_index node_index, state_index;
	size_t cap_places, cap_nodes, cap_states, cap_threads, cap_rows, cap_cells;
	uint32_t *stack; /* nodes; the first is the empty stack */
	size_t depth, cap_stack;
	/* rows[n_rows] is being filled; of each node its last cells there, from its first one on.
	 */
	bool is_open;
	uint64_t row_end_ns;
	uint32_t (*open)[N_OPEN];
	size_t cap_open;
	struct longest_wait wait; /* that may go on; length 0: none */
};

static inline uint32_t profile_node_hash(uint32_t parent, uint32_t place)
{
	return hash_fold(hash_mix(hash_mix(0, parent), place));
}

/* Sort, and add up those of one node and state. Returns how many are left. */
size_t profile_merge_cells(struct profile_cell *cells, size_t n);

/* Put together the rows of one slice, and the cells of one node, after either was renumbered. */
void profile_merge_rows(struct html_profile *p);

/*
 * html_profile_reduce() while no row is open. Returns for each node that there was which one it is
 * now; the caller frees.
 */
uint32_t *profile_reduce(struct html_profile *p, size_t max_cells, size_t max_nodes,
			 uint32_t min_slices);

#endif
