/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The traces that the queries of one connection read now. Tables of one query share what they read:
 * a trace that is being recorded is for all of them as it was when the first began.
 */
#ifndef SQLEXT_OPEN_TRACE_H
#define SQLEXT_OPEN_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader/clock_map.h"
#include "reader/selection.h"
#include "reader/trace_seek.h"

struct block_cache;
struct source_text;
struct trace;

struct open_traces {
	struct open_trace *first;
	unsigned n_users; /* modules of the connection */
};

struct open_trace {
	struct open_trace *next;
	unsigned n_users;
	char *path; /* as given */
	struct trace *trace;
	struct block_cache *cache;
	struct clock_map clock;
	bool has_clock;
	const char *provenance; /* of all its events, "mixed" when they are not known alike */
	const char *edges;	/* "exact", "coarse", NULL when it does not know them */
	struct trace_thread *threads;
	size_t n_threads;
	uint64_t start_ns, end_ns; /* of the recording */
	struct source_cache *sources;
	/* Of the last text that was read. */
	uint32_t native_id;
	char *native;
};

/*
 * @path  a trace's folder or its database
 * @why   on error, for people
 * Returns 0 or a negative errno. To be given back with open_trace_put().
 */
int open_trace_get(struct open_traces *all, const char *path, struct open_trace **ret, char *why,
		   size_t why_size);
void open_trace_put(struct open_traces *all, struct open_trace *o);

/* A line's text without the blanks around it, NULL when there is none. The caller frees. */
char *open_trace_source(struct open_trace *o, uint32_t file, int32_t line);
/* A native stack, "" when it is not known. Lent until the next call. */
const char *open_trace_native(struct open_trace *o, uint32_t id);

#endif
