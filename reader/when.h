/* SPDX-License-Identifier: BSD-3-Clause */
/* Points in time as people write them, or paste them from a log. */
#ifndef READER_WHEN_H
#define READER_WHEN_H

#include <stddef.h>
#include <stdint.h>

struct clock_map;

struct when_context {
	const struct clock_map *clock;
	/* All monotonic. */
	uint64_t start_ns; /* of the trace */
	uint64_t end_ns;
	uint64_t here_ns; /* what "+2s" counts from, and on whose day "12:00" is */
};

/* The notations, for a help text. */
extern const char when_help[];

/*
 *	start, end, now                 now: the last known moment, as end
 *	50%                             of the time between start and end
 *	+2s -3m +1h -15d +0.003s        from here; the units of parse_duration()
 *	12:00 12:00:16.552353           on the day of here; when that lies outside of the trace,
 *	                                on the first day on which it lies inside
 *	2024-01-27                      at midnight
 *	2024-01-27 12:00:16,55          also with a T, and with a zone behind it: Z, UTC, +0100
 *	Nov 25 12:00:16                 as journald prints it, with the year in which it lies inside
 *	[ 9253.123456]                  monotonic, as journald and the kernel print it
 *	@1763856000.5, 1763856000.5     seconds since 1970
 *
 * A weekday may stand before a date, and the rest of a log's line after a time with seconds.
 *Without a zone it is that of the recording machine. What lies outside of the trace is no error.
 *
 * @why  on error, for people
 * Returns 0 or -EINVAL.
 */
int when_parse(const char *text, const struct when_context *ctx, uint64_t *ret_ns, char *why,
	       size_t why_size);

#endif
