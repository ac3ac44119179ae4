/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The longest waits of a stretch of time, one by one: the longest of all, and in each part of it
 * the longest there, so that a look at a short part finds some, too.
 */
#ifndef READER_HTML_LONGEST_H
#define READER_HTML_LONGEST_H

#include <stddef.h>
#include <stdint.h>

struct longest_wait {
	uint64_t start_ns; /* since the stretch's start */
	uint64_t length_ns;
	uint32_t thread; /* index */
	uint32_t node;	 /* of the profile: the stack */
	uint32_t state;
};

struct html_longest {
	struct longest_wait *waits;
	size_t n;
	size_t cap;
	size_t max;	     /* about so many are kept */
	uint64_t span_ns;    /* of the stretch */
	uint64_t dropped_ns; /* none that is longer was dropped */
};

void html_longest_init(struct html_longest *l, uint64_t span_ns, size_t max);
void html_longest_done(struct html_longest *l);
void html_longest_add(struct html_longest *l, const struct longest_wait *wait);
/* When all were added: keep what is to be kept, by the time of their begin. */
void html_longest_finish(struct html_longest *l);

#endif
