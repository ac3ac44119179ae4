/* SPDX-License-Identifier: BSD-3-Clause */
/* A part of reader/trace_profile.c: what of the time is not the code's doing. */
#ifndef READER_PROFILE_WAITS_H
#define READER_PROFILE_WAITS_H

#include <stddef.h>

struct profile;
struct trace;
struct trace_line;

/*
 * Takes from the lines what was idle or waited for a CPU, and notes their other waits.
 * @lines  the sums of the trace's index
 * Returns 0 or a negative errno; then as much was done as could be.
 */
int profile_leave_out(struct profile *p, struct trace *t, const struct trace_line *lines,
		      size_t n_lines);

#endif
