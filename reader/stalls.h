/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Turns of an event loop that took long, and which line cost them.
 *
 * A turn lasts from the end of one idle wait of its thread to the begin of the next. Where the
 * indexes say that no long one can be, waits are not decoded; of a turn that fills whole blocks the
 * cost is a sum over their index.
 */
#ifndef READER_STALLS_H
#define READER_STALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct selection;
struct trace;

enum stall_cause {
	STALL_ON_CPU,
	STALL_READY, /* could have run, but others had the CPU */
	STALL_WAITING,
};

struct stall {
	uint16_t thread;
	uint64_t start_ns, end_ns; /* monotonic */
	bool is_unfinished;	   /* so long at least: then no more was observed */
	/*
	 * The innermost followed line that most of the time was spent on, waits included; file 0:
	 * there was no followed code on the stack.
	 */
	uint32_t file;
	int32_t line;
	uint64_t line_ns;
	uint64_t at_ns; /* when the thread was first seen there; else start_ns */
	/* What it mostly did on this line. */
	enum stall_cause cause;
	uint32_t reason; /* STALL_WAITING: of table reasons; 0: not known */
};

struct stalls_wanted {
	uint64_t min_ns;
	/* The turn begins from since_ns on and before until_ns. */
	uint64_t since_ns, until_ns;
	const struct selection *threads; /* only its threads; NULL: all of them */
};

struct stalls_totals {
	size_t n_loops;		/* threads with idle waits */
	uint64_t n_lost_blocks; /* damaged: what is in them is not known */
};

/*
 * All of them, thread by thread, each in the order of time.
 * @on_stall  returns 0, or a negative errno that ends the search and is returned
 * @ret       also on error, as far as it got
 * Returns 0; -EOPNOTSUPP when the trace does not know waits; -EBADMSG when a part is damaged, and
 * all else was looked at; or another negative errno.
 */
int stalls_find(struct trace *t, const struct stalls_wanted *wanted,
		int (*on_stall)(void *ctx, const struct stall *stall), void *ctx,
		struct stalls_totals *ret);

#endif
