/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_sites.h"

#include <stdlib.h>

#include "common/xalloc.h"

/* Entries of each table, a power of two. One that is pushed out is learned again. */
#define N_ENTRIES 8192
/* Entries that share a place. */
#define BUCKET 4

/*
 * Believed from so many sightings on, if they are at least one in so many of the site's. False
 * ones have been seen up to one in 100; what comes together falsely is an instruction with the
 * callee of another one of the same function, so the second rule does not hold for those.
 */
#define FEW	  3
#define FEW_IN	  10
#define MOSTLY_IN 2
#define MANY	  8
#define MANY_IN	  200
/* The counts of a site are halved when they reach this, so that it may change its habits. */
#define AGE 4000
/* A confirmed callee counts as if it had been seen so often. */
#define CONFIRMED 4
/* A callee seen so often needs no counting in every snapshot. */
#define SETTLED 60
/* A site seen so often has habits. */
#define ESTABLISHED 5

struct entry {
	uint64_t key;
	uint16_t n;
	uint16_t age; /* how often the site's counts were halved when n was last touched */
};

/* Which instruction of a caller mostly calls a callee: the winner of a majority vote. */
struct home {
	uint64_t key;
	uint32_t unit;
	uint32_t votes;
};

/*
 * A running mean of 0 and FULL, over some 64 looks, and where it counts as steady: in 19 of 20. A
 * loop that is mostly there after a look lasts a few looks only, and then the loop before it or
 * after it, run from beginning to end, also fits between two looks at it: of two recursive
 * generators that last 2 and 5 us in turns, one snapshot in 1,000 was mixed from both when 12 of 20
 * were enough.
 */
#define FULL   16384
#define STEADY 15565
#define WEIGHT 64

struct py_sites {
	struct entry steadiness[N_ENTRIES / 8];
	struct entry sites[N_ENTRIES];
	struct entry pairs[N_ENTRIES];
	struct home homes[N_ENTRIES];
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/*
 * The entry of a key, in one of the few places where it may be; a new one takes the place of the
 * least counted, which loses by that so that it does not stay for ever without being seen.
 */
static struct entry *find(struct entry *table, size_t n_entries, uint64_t key)
{
	struct entry *bucket = &table[key >> 32 & (n_entries - 1) & ~(size_t)(BUCKET - 1)];
	struct entry *least = bucket;

	for (int i = 0; i < BUCKET; i++) {
		if (bucket[i].key == key)
			return &bucket[i];
		if (bucket[i].n < least->n)
			least = &bucket[i];
	}
	for (int i = 0; i < BUCKET; i++)
		bucket[i].n = (uint16_t)(bucket[i].n - (bucket[i].n > 0 && &bucket[i] != least));
	*least = (struct entry){.key = key};
	return least;
}

struct py_sites *py_sites_new(void)
{
	return xcalloc(1, sizeof(struct py_sites));
}

void py_sites_free(struct py_sites *sites)
{
	free(sites);
}

static struct entry *count(struct py_sites *sites, uint32_t caller, uint32_t unit, uint32_t callee,
			   unsigned n, struct entry **ret_site)
{
	uint64_t key = mix(mix(1, caller), unit);
	struct entry *site = find(sites->sites, N_ENTRIES, key);
	struct entry *pair = find(sites->pairs, N_ENTRIES, mix(key, callee));

	if (site->n >= AGE) {
		site->n /= 2;
		site->age++;
	}
	if (pair->age != site->age) {
		unsigned halvings = (uint16_t)(site->age - pair->age);

		pair->n = (uint16_t)(halvings < 16 ? pair->n >> halvings : 0);
		pair->age = site->age;
	}
	site->n = (uint16_t)(site->n + n);
	pair->n = (uint16_t)(pair->n + n);
	*ret_site = site;
	return pair;
}

/* Vote for this instruction; returns the callee's home. */
static const struct home *vote(struct py_sites *sites, uint32_t caller, uint32_t unit,
			       uint32_t callee)
{
	uint64_t key = mix(mix(3, caller), callee);
	struct home *home = &sites->homes[key >> 32 & (N_ENTRIES - 1)];

	if (home->key != key)
		*home = (struct home){.key = key, .unit = unit};
	if (home->unit == unit)
		home->votes += home->votes < AGE;
	else if (home->votes)
		home->votes--;
	else
		home->unit = unit;
	return home;
}

enum py_belief py_sites_saw(struct py_sites *sites, uint32_t caller, uint32_t unit, uint32_t callee,
			    bool *settled)
{
	struct entry *site, *pair = count(sites, caller, unit, callee, 1, &site);
	const struct home *home = vote(sites, caller, unit, callee);

	*settled = pair->n >= SETTLED && pair->n * FEW_IN >= site->n;
	/* What mostly is called elsewhere has to be what this one mostly does. */
	if (pair->n >= FEW && pair->n * (home->unit == unit ? FEW_IN : MOSTLY_IN) >= site->n)
		return PY_BELIEVED;
	if (home->unit == unit && pair->n >= MANY && pair->n * MANY_IN >= site->n)
		return PY_BELIEVED;
	return home->unit != unit && home->votes >= MANY ? PY_REFUSED : PY_DOUBTED;
}

void py_sites_saw_alone(struct py_sites *sites, uint32_t caller, uint32_t unit)
{
	struct entry *site = find(sites->sites, N_ENTRIES, mix(mix(1, caller), unit));

	if (site->n < AGE)
		site->n++;
}

unsigned py_sites_looks_needed(struct py_sites *sites, uint32_t caller, uint32_t unit)
{
	const struct entry *site = find(sites->sites, N_ENTRIES, mix(mix(1, caller), unit));

	return site->n < ESTABLISHED ? 2 : 3;
}

void py_sites_confirm(struct py_sites *sites, uint32_t caller, uint32_t unit, uint32_t callee)
{
	struct entry *site;

	count(sites, caller, unit, callee, CONFIRMED, &site);
}

bool py_sites_is_steady(struct py_sites *sites, uint32_t caller, uint32_t unit, bool unmoved)
{
	uint64_t key = mix(mix(2, caller), unit);
	struct entry *e = find(sites->steadiness, N_ENTRIES / 8, key);
	int n = e->n;

	e->n = (uint16_t)(n + ((unmoved ? FULL : 0) - n) / WEIGHT);
	return e->n >= STEADY;
}

bool py_sites_argument_tells(struct py_sites *sites, uint32_t caller, uint32_t unit, bool found)
{
	struct entry *e = find(sites->steadiness, N_ENTRIES / 8, mix(mix(4, caller), unit));

	e->n = (uint16_t)(e->n + (found && e->n < FULL));
	return e->n > 0;
}
