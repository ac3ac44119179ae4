/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table that holds no keys: it maps a hash to the numbers of array elements, and the
 * caller, who owns the array, compares. Numbers are below UINT32_MAX; nothing is ever removed.
 *
 *	HASH_INDEX_FOR_EACH(&table, hash, at, id)
 *		if (array[id] is the one)
 *			return id;
 *	hash_index_add(&table, hash, new_id);
 */
#ifndef COMMON_HASH_INDEX_H
#define COMMON_HASH_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct hash_slot {
	uint32_t hash;
	uint32_t id_plus_1; /* 0: free */
};

/* All zeros is an empty table. */
struct hash_index {
	struct hash_slot *slots;
	uint32_t mask;
	uint32_t n;
};

void hash_index_add(struct hash_index *h, uint32_t hash, uint32_t id);
void hash_index_done(struct hash_index *h);

/* The slot of the next element with this hash from slot `at` on, or UINT32_MAX. */
static inline uint32_t hash_index_seek(const struct hash_index *h, uint32_t hash, uint32_t at)
{
	if (!h->slots)
		return UINT32_MAX;
	for (at &= h->mask; h->slots[at].id_plus_1; at = (at + 1) & h->mask) {
		if (h->slots[at].hash == hash)
			return at;
	}
	return UINT32_MAX;
}

#define HASH_INDEX_FOR_EACH(h, hash, at, id)                             \
	for (uint32_t at = hash_index_seek((h), (hash), (hash)), id;     \
	     at != UINT32_MAX && (id = (h)->slots[at].id_plus_1 - 1, 1); \
	     at = hash_index_seek((h), (hash), at + 1))

/* Mix a number into a hash; start from 0. */
static inline uint64_t hash_mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ (hash >> 29);
}

static inline uint32_t hash_fold(uint64_t hash)
{
	return (uint32_t)(hash ^ (hash >> 32));
}

/* FNV-1a, 64 bits. Also the hash of source texts in a trace. */
uint64_t hash_bytes(const void *data, size_t len);

#endif
