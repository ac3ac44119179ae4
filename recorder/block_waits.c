/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/block_waits.h"

#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"

void block_waits_done(struct block_waits *w)
{
	free(w->totals);
	free(w->items);
	hash_index_done(&w->index);
}

static uint32_t hash_kind(const struct wait_kind *k)
{
	uint64_t h = hash_mix(hash_mix(k->file, (uint32_t)k->line), k->reason);

	return hash_fold(hash_mix(hash_mix(h, k->native), k->state + 2 * k->idle));
}

static uint32_t find_kind(struct block_waits *w, const struct wait_kind *kind)
{
	uint32_t hash = hash_kind(kind);

	HASH_INDEX_FOR_EACH(&w->index, hash, at, id)
	{
		if (memcmp(&w->totals[id].kind, kind, sizeof(*kind)) == 0)
			return id;
	}
	w->totals = xgrow(w->totals, &w->cap_kinds, w->n_kinds + 1, sizeof(*w->totals));
	w->totals[w->n_kinds] = (struct wait_totals){.kind = *kind};
	hash_index_add(&w->index, hash, (uint32_t)w->n_kinds);
	return (uint32_t)w->n_kinds++;
}

struct waits_undo block_waits_add(struct block_waits *w, uint64_t block_ns, uint64_t first_ns,
				  uint64_t last_ns, const struct off_stretch *off, uint32_t file,
				  int32_t line, bool goes_on)
{
	struct wait_kind kind = {
	    .file = file,
	    .line = line,
	    .reason = off->reason,
	    .native = off->native,
	    .state = off->state,
	    .idle = off->idle,
	};
	bool began_before = off->start_ns < block_ns;
	uint32_t id = find_kind(w, &kind);
	struct wait_totals *t = &w->totals[id];
	struct waits_undo undo = {.kind = id, .totals = *t};

	w->items = xgrow(w->items, &w->cap_items, w->n_items + 1, sizeof(*w->items));
	w->items[w->n_items++] = (struct wait_item){
	    .start_ns = first_ns - block_ns,
	    .length_ns = last_ns - first_ns,
	    .kind = id,
	    .flags = (began_before ? WAIT_BEGAN_BEFORE : 0u) | (goes_on ? WAIT_GOES_ON : 0u),
	};
	t->n += !began_before;
	t->total_ns += last_ns - first_ns;
	if (last_ns - off->start_ns > t->longest_ns) {
		t->longest_ns = last_ns - off->start_ns;
		t->longest_start_ns = off->start_ns;
	}
	return undo;
}

void block_waits_undo(struct block_waits *w, const struct waits_undo *undo)
{
	w->totals[undo->kind] = undo->totals;
	w->n_items--;
}

uint64_t block_waits_mark(const struct block_waits *w)
{
	const struct wait_item *last = w->n_items ? &w->items[w->n_items - 1] : NULL;

	/* The last one may get a reason later, or end. */
	return last ? hash_mix(hash_mix(last->flags + 1, last->kind), w->n_items) | 1 : 0;
}

void block_waits_encode(const struct block_waits *w, struct packer *packer, uint8_t **ret,
			size_t *ret_len)
{
	struct wait_kind *kinds = xcalloc(w->n_kinds, sizeof(*kinds));

	for (size_t i = 0; i < w->n_kinds; i++)
		kinds[i] = w->totals[i].kind;
	wait_codec_encode(packer, kinds, w->n_kinds, w->items, w->n_items, ret, ret_len);
	free(kinds);
}

struct wait_totals *block_waits_copy_totals(const struct block_waits *w, size_t *ret_n)
{
	struct wait_totals *copy = xreallocarray(NULL, w->n_kinds, sizeof(*copy));

	if (w->n_kinds)
		memcpy(copy, w->totals, w->n_kinds * sizeof(*copy));
	*ret_n = w->n_kinds;
	return copy;
}
