/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the time of a trace went, by function and by the lines of each, in slices of equal time:
 * how much it differs from slice to slice tells how far the sums can be trusted.
 */
#ifndef READER_TRACE_PROFILE_H
#define READER_TRACE_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

struct trace;

#define PROFILE_SLICES 32

/*
 * Time counts for the innermost followed frame. What an event loop was idle, and what a thread
 * waited for a CPU that others had, is left out: neither is the doing of the code.
 *
 * A call that follows another one of the same function at once can't be told from it by looking
 * every now and then. So those are counted that came after the function had been left for four
 * intervals of looking at least; of the others one knows that there are some. Where each line was
 * told (provenance_is_complete()) all are counted.
 */
struct profile_sums {
	double ns;
	uint64_t n;	   /* of a function: its calls; of a line: how often it was entered */
	uint64_t n_unsure; /* soon after the one before: more of these were not seen */
	/* Of a function: calls of which both begin and end were seen, calls from them included. */
	uint64_t n_whole;
	double whole_ns;
	uint32_t slices_begun; /* a bit for each slice in which there was one, or a soon one */
	/* Waits for something of a millisecond or more, without idle ones: these are exact. */
	double wait_ns;
	uint64_t n_waits;
	double longest_wait_ns;
	/*
	 * Of all waits, without idle ones: for files and page faults, or, where no reason is known
	 * of any, all. How long they are depends on who else uses the disk more than on the
	 * program.
	 */
	double outside_ns;
	double slice_ns[PROFILE_SLICES];
	uint32_t slice_n[PROFILE_SLICES];
};

#define PROFILE_NONE UINT32_MAX

struct profile_line {
	uint32_t function;
	int32_t line; /* 0: unknown */
	struct profile_sums sums;
};

/* All of a name in a path: a function that was defined again is the same one. */
struct profile_function {
	uint32_t code;	       /* one of its code objects: lends name and file */
	int32_t first_line;    /* of its definition, the first one if there are several */
	uint32_t caller;       /* that which calls it most, by number; or PROFILE_NONE */
	size_t first, n_lines; /* its lines among all, by number */
	struct profile_sums sums;
};

/* That one function was seen to call another one. */
struct profile_call {
	uint32_t caller, callee;
};

struct profile {
	struct profile_function *functions;
	size_t n_functions;
	struct profile_line *lines; /* by function, then by number */
	size_t n_lines;
	struct profile_call *calls; /* each pair once, in no order */
	size_t n_calls;
	double observed_ns; /* all threads together */
	double interval_ns; /* between two looks at a running thread, on average; 0: not known */
	/* Of the time in which threads could have run, the part in which others had the CPU. */
	double starved;
	double cut; /* the part of the looks that did not see the innermost frames */
	uint64_t n_lost_blocks;
};

/*
 * Decodes all of the trace.
 * @ret  the caller frees it; also on error, with what could be read
 * Returns 0, -EBADMSG when the trace or a block of it is damaged, or another negative errno.
 */
int profile_new(struct trace *t, struct profile **ret);
void profile_free(struct profile *p);
/* Whether what began was counted: at most one of 20 was unsure. */
bool profile_is_counted(const struct profile_sums *s);
DEFINE_CLEANUP(struct profile *, profile_free)

#endif
