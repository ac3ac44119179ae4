/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What has been written into the rings of line_events.h, in the order of its time over all CPUs.
 * Used by one thread; never waits, and costs a look at one word of memory for each CPU while there
 * is nothing.
 */
#ifndef RECORDER_EXACT_LINE_RINGS_H
#define RECORDER_EXACT_LINE_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/exact/usdt_args.h"

struct line_rings;

enum line_record {
	LINE_NOTHING,
	LINE_REACHED, /* a thread reached a probe */
	LINE_LOST, /* a ring was full for a while, up to time_ns; or what was in it made no sense */
};

struct line_sample {
	uint64_t time_ns;	 /* monotonic */
	uint64_t ip;		 /* of the probe, with the load bias */
	uint64_t event;		 /* the kernel's number of what it was opened as */
	uint64_t lost;		 /* of LINE_LOST: how many */
	uint32_t tid;		 /* as who opened the events sees it */
	unsigned cpu;		 /* the number of the ring */
	struct usdt_state state; /* lent until the next call */
};

/*
 * @fds         of the rings, taken over also on error
 * @ring_bytes  a power of two
 * @regs        that were asked for, as bits
 * Returns 0 or a negative errno.
 */
int line_rings_new(const int *fds, unsigned n, size_t ring_bytes, uint64_t regs,
		   struct line_rings **ret);
/* NULL is accepted. */
void line_rings_free(struct line_rings *r);

unsigned line_rings_n_cpus(const struct line_rings *r);

/*
 * Take the oldest record that is not younger than until_ns: younger ones are left, as an older one
 * of another CPU may be on its way.
 */
enum line_record line_rings_next(struct line_rings *r, uint64_t until_ns, struct line_sample *ret);

/* Bytes that wait in the fullest ring, of so many. */
size_t line_rings_fill(const struct line_rings *r, size_t *ret_of);

#endif
