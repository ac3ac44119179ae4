/* SPDX-License-Identifier: BSD-3-Clause */
/* From a trace's monotonic times to the wall clock of the machine that recorded, and back. */
#ifndef READER_CLOCK_MAP_H
#define READER_CLOCK_MAP_H

#include <stddef.h>
#include <stdint.h>

struct trace;
struct trace_anchor;

struct clock_map {
	struct trace_anchor *anchors; /* ascending, at least one; owned */
	size_t n_anchors;
	/*
	 * Of the recording machine when it began: a trace over a night in which its clocks are
	 * changed stays in the zone that it began in.
	 */
	int64_t utc_offset_s;
};

/* Returns 0 or a negative errno. To be released with clock_map_done(). */
int clock_map_init(struct clock_map *m, struct trace *t);
void clock_map_done(struct clock_map *m);

/* Nanoseconds since 1970, by the nearest earlier anchor. */
int64_t clock_map_real(const struct clock_map *m, uint64_t monotonic_ns);
/*
 * The first moment at which the wall clock showed that time. When it never did, because the clock
 * was set, the moment at which it was; before the first anchor, by that one.
 */
uint64_t clock_map_monotonic(const struct clock_map *m, int64_t realtime_ns);

#define CLOCK_TEXT_SIZE 48
/* "2025-11-23T01:00:00.000012345+01:00", as one word that names a moment */
void clock_map_format_exact(const struct clock_map *m, uint64_t monotonic_ns,
			    char buf[static CLOCK_TEXT_SIZE]);
/* "2025-11-23 01:00:00.000012" for people, in the same zone */
void clock_map_format(const struct clock_map *m, uint64_t monotonic_ns,
		      char buf[static CLOCK_TEXT_SIZE]);
/* "+01:00" */
void clock_map_format_zone(const struct clock_map *m, char buf[static CLOCK_TEXT_SIZE]);

#endif
