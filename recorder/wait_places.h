/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Places at which a thread waits again and again for the same, as an event loop does: once the
 * answer has been the same twice in a row, nobody need ask for some seconds. Asking costs three
 * wake-ups and some ten system calls, and what does nothing would do that several times a second.
 *
 * Learnt by the thread that asks, read by the sampler, at the same time.
 */
#ifndef RECORDER_WAIT_PLACES_H
#define RECORDER_WAIT_PLACES_H

#include <stdbool.h>
#include <stdint.h>

/* A place in this many is taken for another one with the same index: then that is asked again. */
#define WAIT_PLACES 256

struct wait_places;

struct wait_places *wait_places_new(void);
void wait_places_free(struct wait_places *p);

static inline uint32_t wait_place_index(uint64_t place)
{
	return (uint32_t)(place % WAIT_PLACES);
}

/* A sleep takes so much longer than what was asked for, on a machine that has other things to do.
 */
static inline uint64_t wait_sleep_most_ns(uint64_t sleep_ns)
{
	return sleep_ns + sleep_ns / 50 + 2000000;
}

/*
 * What it waits for there was found at now_ns (CLOCK_MONOTONIC).
 * @place     a hash of the thread and all its frames, not 0
 * @answer    a hash of what was found
 * @sleep_ns  the wait's length, if it is a sleep; 0: it is none
 */
void wait_places_learn(struct wait_places *p, uint64_t place, uint64_t answer, uint64_t sleep_ns,
		       uint64_t now_ns);

/*
 * Whether a wait that begins at this place at now_ns may be taken for what was found last.
 * @ret_sleep_ns  of another length, it is another one; 0: any
 */
bool wait_places_is_known(const struct wait_places *p, uint64_t place, uint64_t now_ns,
			  uint64_t *ret_sleep_ns);

#endif
