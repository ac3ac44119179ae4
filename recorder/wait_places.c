/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/wait_places.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/xalloc.h"

/* So long an answer counts: what a loop waits for changes now and then. */
#define KNOWN_NS (10 * NS_PER_S)

struct slot {
	_Atomic uint64_t place;
	_Atomic uint64_t until_ns; /* 0: not known */
	_Atomic uint64_t sleep_ns;
	uint64_t answer; /* the last; only who learns reads it */
};

struct wait_places {
	struct slot slots[WAIT_PLACES];
};

struct wait_places *wait_places_new(void)
{
	return xcalloc(1, sizeof(struct wait_places));
}

void wait_places_free(struct wait_places *p)
{
	free(p);
}

void wait_places_learn(struct wait_places *p, uint64_t place, uint64_t answer, uint64_t sleep_ns,
		       uint64_t now_ns)
{
	struct slot *s = &p->slots[wait_place_index(place)];
	bool is_same =
	    atomic_load_explicit(&s->place, memory_order_relaxed) == place && s->answer == answer;

	/* A reader in between finds nothing, or the place as it was: both were true just now. */
	atomic_store(&s->until_ns, 0);
	atomic_store(&s->place, place);
	atomic_store(&s->sleep_ns, sleep_ns);
	s->answer = answer;
	if (is_same)
		atomic_store(&s->until_ns, now_ns + KNOWN_NS);
}

bool wait_places_is_known(const struct wait_places *p, uint64_t place, uint64_t now_ns,
			  uint64_t *ret_sleep_ns)
{
	const struct slot *s = &p->slots[wait_place_index(place)];

	*ret_sleep_ns = atomic_load(&s->sleep_ns);
	return atomic_load(&s->place) == place && atomic_load(&s->until_ns) > now_ns;
}
