/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/hash_index.h"

#include <stdlib.h>

#include "common/xalloc.h"

static void insert(struct hash_index *h, struct hash_slot slot)
{
	uint32_t at = slot.hash & h->mask;

	while (h->slots[at].id_plus_1)
		at = (at + 1) & h->mask;
	h->slots[at] = slot;
}

static void grow(struct hash_index *h)
{
	struct hash_index old = *h;
	uint32_t n_slots = old.slots ? (old.mask + 1) * 2 : 16;

	h->slots = xcalloc(n_slots, sizeof(*h->slots));
	h->mask = n_slots - 1;
	for (uint32_t i = 0; old.slots && i <= old.mask; i++) {
		if (old.slots[i].id_plus_1)
			insert(h, old.slots[i]);
	}
	free(old.slots);
}

void hash_index_add(struct hash_index *h, uint32_t hash, uint32_t id)
{
	/* At most half full, so that searches stay short and always meet a free slot. */
	if (!h->slots || h->n >= h->mask / 2)
		grow(h);
	insert(h, (struct hash_slot){.hash = hash, .id_plus_1 = id + 1});
	h->n++;
}

void hash_index_done(struct hash_index *h)
{
	free(h->slots);
	*h = (struct hash_index){0};
}

uint64_t hash_bytes(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}
