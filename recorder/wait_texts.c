/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/wait_texts.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash_index.h"
#include "common/xalloc.h"
#include "recorder/trace_store.h"

/* Of a target that waits for ever new things, later ones have none. */
#define MAX_TEXTS 65536
/* Of one thread; older ones go. */
#define MAX_FINDINGS 4096

struct text {
	struct reason_row reason; /* or: */
	struct native_row native;
	char *key; /* what makes it another one; holds the texts of the row */
	size_t key_len;
};

struct texts {
	struct text *items;
	size_t n, cap, n_stored;
	uint32_t first;
	struct hash_index index;
};

struct wait_texts {
	struct texts reasons, natives;
};

struct wait_texts *wait_texts_new(uint32_t first_reason, uint32_t first_native)
{
	struct wait_texts *w = xcalloc(1, sizeof(*w));

	w->reasons.first = first_reason;
	w->natives.first = first_native;
	return w;
}

static void texts_done(struct texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->items[i].key);
	free(t->items);
	hash_index_done(&t->index);
}

void wait_texts_free(struct wait_texts *w)
{
	if (!w)
		return;
	texts_done(&w->reasons);
	texts_done(&w->natives);
	free(w);
}

/*
 * @key  is taken over
 * @ret  filled in if it is new, otherwise NULL
 * Returns its number, or 0.
 */
static uint32_t find(struct texts *t, char *key, size_t len, struct text **ret)
{
	uint32_t hash = hash_fold(hash_bytes(key, len));

	*ret = NULL;
	HASH_INDEX_FOR_EACH(&t->index, hash, at, id)
	{
		if (t->items[id].key_len == len && memcmp(t->items[id].key, key, len) == 0) {
			free(key);
			return t->first + id;
		}
	}
	if (t->n >= MAX_TEXTS) {
		free(key);
		return 0;
	}
	t->items = xgrow(t->items, &t->cap, t->n + 1, sizeof(*t->items));
	t->items[t->n] = (struct text){.key = key, .key_len = len};
	*ret = &t->items[t->n];
	hash_index_add(&t->index, hash, (uint32_t)t->n);
	return t->first + (uint32_t)t->n++;
}

/* Strings one behind the other, their NUL bytes included, and a number. */
static char *make_key(const char *const *parts, size_t n, uint32_t number, size_t *ret_len)
{
	size_t len = sizeof(number), at = 0;
	char *key;

	for (size_t i = 0; i < n; i++)
		len += strlen(parts[i]) + 1;
	key = xmalloc(len);
	for (size_t i = 0; i < n; i++) {
		size_t part = strlen(parts[i]) + 1;

		memcpy(key + at, parts[i], part);
		at += part;
	}
	memcpy(key + at, &number, sizeof(number));
	*ret_len = len;
	return key;
}

uint32_t wait_texts_reason(struct wait_texts *w, const struct wait_about *about)
{
	const char *parts[] = {about->kind, about->call, about->what,
			       about->peer ? about->peer : ""};
	struct text *new;
	uint32_t id;
	size_t len;
	char *key;

	if (!about->kind)
		return 0;
	key = make_key(parts, 4, about->polled, &len);
	id = find(&w->reasons, key, len, &new);
	if (new) {
		new->reason = (struct reason_row){.id = id, .polled = about->polled};
		new->reason.kind = key;
		new->reason.call = key + strlen(key) + 1;
		new->reason.what = new->reason.call + strlen(new->reason.call) + 1;
		new->reason.peer = new->reason.what + strlen(new->reason.what) + 1;
	}
	return id;
}

uint32_t wait_texts_native(struct wait_texts *w, const struct wait_about *about)
{
	struct text *new;
	uint32_t id;
	size_t len;
	char *key;

	if (!about->native || !*about->native)
		return 0;
	key = make_key(&about->native, 1, (uint32_t)about->is_native_complete, &len);
	id = find(&w->natives, key, len, &new);
	if (new)
		new->native = (struct native_row){
		    .id = id,
		    .is_complete = about->is_native_complete,
		    .frames = key,
		};
	return id;
}

static const struct reason_row *reason_of(const struct wait_texts *w, uint32_t reason)
{
	const struct texts *t = &w->reasons;

	return reason >= t->first && reason - t->first < t->n ? &t->items[reason - t->first].reason
							      : NULL;
}

enum idle_polls wait_texts_polls(const struct wait_texts *w, uint32_t reason)
{
	const struct reason_row *row = reason_of(w, reason);

	if (!row || strcmp(row->kind, "poll") != 0)
		return POLLS_NOTHING;
	return row->polled > 1 ? POLLS_MANY : POLLS_ONE;
}

int wait_texts_is_gil(const struct wait_texts *w, uint32_t reason)
{
	const struct reason_row *row = reason_of(w, reason);

	return row && strcmp(row->kind, "gil") == 0;
}

int wait_texts_has_new(const struct wait_texts *w)
{
	return w->reasons.n_stored < w->reasons.n || w->natives.n_stored < w->natives.n;
}

int wait_texts_store(struct wait_texts *w, struct trace_store *store)
{
	int r = 0;

	for (size_t i = w->reasons.n_stored; r == 0 && i < w->reasons.n; i++)
		r = trace_store_reason(store, &w->reasons.items[i].reason);
	for (size_t i = w->natives.n_stored; r == 0 && i < w->natives.n; i++)
		r = trace_store_native(store, &w->natives.items[i].native);
	return r;
}

void wait_texts_stored(struct wait_texts *w)
{
	w->reasons.n_stored = w->reasons.n;
	w->natives.n_stored = w->natives.n;
}

/* --- findings --- */

void wait_findings_add(struct wait_findings *f, const struct wait_found *found)
{
	if (f->n == MAX_FINDINGS) {
		f->n /= 2;
		memmove(f->items, f->items + f->n, f->n * sizeof(*f->items));
	}
	f->items = xgrow(f->items, &f->cap, f->n + 1, sizeof(*f->items));
	f->items[f->n++] = *found;
}

void wait_findings_move(struct wait_findings *from, uint16_t thread, struct wait_findings *to)
{
	size_t kept = 0;

	for (size_t i = 0; i < from->n; i++) {
		if (from->items[i].thread == thread)
			wait_findings_add(to, &from->items[i]);
		else
			from->items[kept++] = from->items[i];
	}
	from->n = kept;
}

const struct wait_found *wait_findings_of(struct wait_findings *f, uint64_t start_ns,
					  uint64_t end_ns)
{
	const struct wait_found *found = NULL;
	size_t old = 0;

	while (old < f->n && f->items[old].start_ns < start_ns)
		old++;
	if (old) {
		f->n -= old;
		memmove(f->items, f->items + old, f->n * sizeof(*f->items));
	}
	/* What was found out later says more. */
	for (size_t i = 0; i < f->n && f->items[i].start_ns == start_ns; i++) {
		if (f->items[i].taken_ns <= end_ns)
			found = &f->items[i];
	}
	return found;
}

void wait_findings_done(struct wait_findings *f)
{
	free(f->items);
}
