/* SPDX-License-Identifier: BSD-3-Clause */
/* What traces the collector has made: all runs of a root, with what each trace says of itself. */
#ifndef READER_TRACE_LIST_H
#define READER_TRACE_LIST_H

#include <stddef.h>
#include <stdint.h>

enum listed_state {
	LISTED_RECORDING,
	LISTED_STARTING,   /* somebody is about to record it; nothing can be read yet */
	LISTED_ENDED,	   /* end_reason says why */
	LISTED_KILLED,	   /* nobody records it, and it has no end */
	LISTED_EMPTY,	   /* a folder without a trace in it */
	LISTED_DAMAGED,	   /* or no trace at all */
	LISTED_NEWER,	   /* needs a newer program */
	LISTED_UNREADABLE, /* not permitted, or the like */
};

struct listed_trace {
	char *run;
	char *name;
	enum listed_state state;
	char *detail; /* the reason of its end, or what is wrong; may be NULL */
	/* 0 or NULL where it could not be read. */
	int64_t pid;
	char *python;
	int64_t start_realtime_ns; /* since 1970 */
	int64_t utc_offset_s;	   /* where it was recorded */
	uint64_t duration_ns;
	uint64_t bytes; /* on disk */
};

struct trace_list {
	char *latest;		     /* the run that the link points to; NULL: none */
	struct listed_trace *traces; /* by run, then by name */
	size_t n;
	/* Runs that could not be opened, and why. */
	size_t n_unreadable;
	int unreadable_error;
};

/* Returns 0, or a negative errno when the root can't be read. */
int trace_list_read(const char *root, struct trace_list *ret);
void trace_list_done(struct trace_list *list);

/* For people and programs, e.g. "recording". */
const char *listed_state_name(enum listed_state state);

#endif
