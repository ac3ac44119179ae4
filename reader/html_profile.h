/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the report shows, small enough for a file however long the trace: the interval in slices of
 * equal length, and for each thread and slice how long it was at which stack doing what. The sums
 * are exact; what gets lost is when within a slice, and where there are too many stacks, the rare
 * ones by name: they are put together as "(other)" below their caller.
 */
#ifndef READER_HTML_PROFILE_H
#define READER_HTML_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "reader/html_longest.h"
#include "reader/selection.h"
#include "reader/trace_seek.h"
#include "reader/walk.h"

struct trace;

/* Stored by number, and known to reader/html/data.js. */
enum profile_class {
	PROFILE_VISITS,	 /* no time: how often the line was entered or returned to */
	PROFILE_UNKNOWN, /* the trace does not know whether it ran or waited */
	PROFILE_ON_CPU,
	PROFILE_READY, /* it could have run, but others had the CPU */
	PROFILE_WAITING,
};

/* What a thread does. */
struct profile_state {
	enum profile_class class;
	bool is_idle;
	bool is_any;	 /* of this kind, but not for this reason: there were too many */
	bool is_short;	 /* waits too short to be listed, so their reasons are not known */
	uint32_t reason; /* trace_get_reason(); 0: not known */
};

/* Places that are no place of a trace. */
enum { PROFILE_NOWHERE, PROFILE_OTHER, PROFILE_N_SPECIAL };

struct profile_node {
	uint32_t parent; /* comes before it; of node 0, the empty stack: 0 */
	uint32_t place;
};

struct profile_cell {
	uint32_t node;
	uint32_t state;
	uint64_t value; /* nanoseconds; of PROFILE_VISITS a number */
};

/* One slice of one thread. */
struct profile_row {
	uint32_t thread; /* index */
	uint32_t slice;
	size_t first_cell;
	size_t n_cells;
	uint64_t gap_ns;
};

/* What is held at most; the numbers of slices are as the interval is divided. */
struct profile_limits {
	uint32_t max_slices; /* to begin with */
	uint32_t min_slices; /* when there are still too many cells, stacks are put together */
	size_t max_cells;
	size_t max_nodes;
	size_t max_waits;
};
extern const struct profile_limits profile_default_limits;

/* Open to read. */
struct html_profile {
	struct walk_place *places; /* the first PROFILE_N_SPECIAL are zeros */
	size_t n_places;
	struct profile_node *nodes;
	size_t n_nodes;
	struct profile_state *states;
	size_t n_states;
	struct trace_thread *threads;
	size_t n_threads;
	struct profile_row *rows; /* by thread, then slice */
	size_t n_rows;
	struct profile_cell *cells; /* of a row: by node, then state */
	size_t n_cells;
	struct html_longest longest;
	uint64_t since_ns, until_ns;
	uint64_t slice_ns;
	uint64_t other_ns; /* of stacks that were put together; the largest of them was so long: */
	uint64_t other_below_ns;
	struct walk_totals totals;
};

/*
 * @ret  the caller frees; also with -EBADMSG, with all that could be read
 * Returns 0, -EBADMSG when something is damaged, or another negative errno.
 */
int html_profile_new(struct trace *t, const struct selection *s,
		     const struct profile_limits *limits, struct html_profile **ret);
void html_profile_free(struct html_profile *p);
DEFINE_CLEANUP(struct html_profile *, html_profile_free)

/*
 * Make do with so many cells and nodes: first with longer slices, not fewer than min_slices, then
 * with fewer stacks.
 */
void html_profile_reduce(struct html_profile *p, size_t max_cells, size_t max_nodes,
			 uint32_t min_slices);

/* How many slices there are now. */
uint32_t html_profile_n_slices(const struct html_profile *p);

#endif
