/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/trace_waits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash_index.h"
#include "common/xalloc.h"
#include "reader/trace_private.h"

/* A trace that was gone on with has equal texts several times, under other numbers. */
struct native {
	uint32_t id;
	uint32_t same_as;
	bool is_complete;
};

/* Both by id. */
struct trace_wait_texts {
	struct trace_reason *reasons;
	size_t n_reasons, cap_reasons;
	struct native *natives;
	size_t n_natives, cap_natives;
};

int trace_has_edges(struct trace *t)
{
	auto_free char *edges = NULL;
	int r = trace_meta_text(t, META_EDGES, &edges);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return strcmp(edges, "") != 0 && strcmp(edges, "none") != 0;
}

int trace_has_coarse_edges(struct trace *t)
{
	auto_free char *edges = NULL;
	int r = trace_meta_text(t, META_EDGES, &edges);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return strcmp(edges, "coarse") == 0;
}

/* --- texts --- */

void trace_forget_waits(struct trace *t)
{
	struct trace_wait_texts *w = t->wait_texts;

	if (!w)
		return;
	for (size_t i = 0; i < w->n_reasons; i++) {
		free(w->reasons[i].kind);
		free(w->reasons[i].call);
		free(w->reasons[i].what);
		free(w->reasons[i].peer);
	}
	free(w->reasons);
	free(w->natives);
	free(w);
	t->wait_texts = NULL;
}

static char *column_text(sqlite3_stmt *st, int at)
{
	const unsigned char *text = sqlite3_column_text(st, at);

	return xstrdup(text ? (const char *)text : "");
}

static void load_reasons(struct trace *t, struct trace_wait_texts *w)
{
	auto_stmt sqlite3_stmt *st = NULL;

	if (trace_prepare(t,
			  "SELECT id, min(id) OVER (PARTITION BY kind, call, what, polled, peer),"
			  " kind, call, what, polled, peer FROM reasons"
			  " WHERE id BETWEEN 1 AND 4294967295 ORDER BY id",
			  &st) < 0)
		return;
	while (trace_next_row(t, st) == 1) {
		w->reasons =
		    xgrow(w->reasons, &w->cap_reasons, w->n_reasons + 1, sizeof(*w->reasons));
		w->reasons[w->n_reasons++] = (struct trace_reason){
		    .id = (uint32_t)sqlite3_column_int64(st, 0),
		    .same_as = (uint32_t)sqlite3_column_int64(st, 1),
		    .kind = column_text(st, 2),
		    .call = column_text(st, 3),
		    .what = column_text(st, 4),
		    .polled = (uint32_t)sqlite3_column_int64(st, 5),
		    .peer = column_text(st, 6),
		};
	}
}

static void load_natives(struct trace *t, struct trace_wait_texts *w)
{
	auto_stmt sqlite3_stmt *st = NULL;

	if (trace_prepare(t,
			  "SELECT id, min(id) OVER (PARTITION BY complete, frames), complete"
			  " FROM native_stacks WHERE id BETWEEN 1 AND 4294967295 ORDER BY id",
			  &st) < 0)
		return;
	while (trace_next_row(t, st) == 1) {
		w->natives =
		    xgrow(w->natives, &w->cap_natives, w->n_natives + 1, sizeof(*w->natives));
		w->natives[w->n_natives++] = (struct native){
		    .id = (uint32_t)sqlite3_column_int64(st, 0),
		    .same_as = (uint32_t)sqlite3_column_int64(st, 1),
		    .is_complete = sqlite3_column_int(st, 2) == 1,
		};
	}
}

static const struct trace_wait_texts *need_texts(struct trace *t)
{
	if (!t->wait_texts) {
		t->wait_texts = xcalloc(1, sizeof(*t->wait_texts));
		load_reasons(t, t->wait_texts);
		load_natives(t, t->wait_texts);
	}
	return t->wait_texts;
}

/* Both structs start with their id, by which they are sorted. */
static int compare_id(const void *key, const void *element)
{
	uint32_t a = *(const uint32_t *)key, b = *(const uint32_t *)element;

	return (a > b) - (a < b);
}

const struct trace_reason *trace_get_reason(struct trace *t, uint32_t id)
{
	const struct trace_wait_texts *w = need_texts(t);

	if (!w->n_reasons)
		return NULL;
	return bsearch(&id, w->reasons, w->n_reasons, sizeof(*w->reasons), compare_id);
}

static const struct native *find_native(struct trace *t, uint32_t id)
{
	const struct trace_wait_texts *w = need_texts(t);

	if (!w->n_natives)
		return NULL;
	return bsearch(&id, w->natives, w->n_natives, sizeof(*w->natives), compare_id);
}

bool trace_native_is_complete(struct trace *t, uint32_t id)
{
	const struct native *n = find_native(t, id);

	return n && n->is_complete;
}

int trace_native_frames(struct trace *t, uint32_t id, char **ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t, "SELECT frames FROM native_stacks WHERE id = ?", &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = trace_next_row(t, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = column_text(st, 0);
	return 0;
}

/* --- sums --- */

struct wait_sums {
	struct trace_wait *waits;
	size_t n, cap;
	struct hash_index index;
};

static struct trace_wait *find_wait(struct wait_sums *sums, const struct wait_kind *k)
{
	uint64_t h = hash_mix(hash_mix(k->file, (uint32_t)k->line), k->reason);
	uint32_t hash = hash_fold(hash_mix(hash_mix(h, k->native), k->state + 2 * k->idle));

	HASH_INDEX_FOR_EACH(&sums->index, hash, at, id)
	{
		if (memcmp(&sums->waits[id].kind, k, sizeof(*k)) == 0)
			return &sums->waits[id];
	}
	sums->waits = xgrow(sums->waits, &sums->cap, sums->n + 1, sizeof(*sums->waits));
	sums->waits[sums->n] = (struct trace_wait){.kind = *k};
	hash_index_add(&sums->index, hash, (uint32_t)sums->n);
	return &sums->waits[sums->n++];
}

void trace_unify_kind(struct trace *t, struct wait_kind *kind)
{
	const struct trace_reason *reason = trace_get_reason(t, kind->reason);
	const struct native *native = find_native(t, kind->native);

	kind->reason = reason ? reason->same_as : 0;
	kind->native = native ? native->same_as : 0;
}

static struct wait_kind read_kind(struct trace *t, sqlite3_stmt *st)
{
	struct wait_kind kind = {
	    .file = (uint32_t)sqlite3_column_int64(st, 0),
	    .line = sqlite3_column_int(st, 1),
	    .reason = (uint32_t)sqlite3_column_int64(st, 2),
	    .native = (uint32_t)sqlite3_column_int64(st, 3),
	    .state =
		sqlite3_column_int64(st, 4) == WAIT_FOR_CPU ? WAIT_FOR_CPU : WAIT_FOR_SOMETHING,
	    .idle = sqlite3_column_int64(st, 5) == 1,
	};

	trace_unify_kind(t, &kind);
	return kind;
}

int trace_sum_waits(struct trace *t, struct trace_wait **ret, size_t *ret_n)
{
	auto_stmt sqlite3_stmt *st = NULL;
	struct wait_sums sums = {0};
	int r = trace_prepare(t,
			      "SELECT file, line, reason, native, state, idle,"
			      " n, total_ns, longest_ns, longest_start_ns FROM waits",
			      &st);

	while (r == 0 && (r = trace_next_row(t, st)) == 1) {
		struct wait_kind kind = read_kind(t, st);
		struct trace_wait *w = find_wait(&sums, &kind);
		uint64_t longest_ns = trace_column_u64(st, 8);

		w->n += trace_column_u64(st, 6);
		w->total_ns += trace_column_u64(st, 7);
		if (longest_ns > w->longest_ns) {
			w->longest_ns = longest_ns;
			w->longest_start_ns = trace_column_u64(st, 9);
		}
		r = 0;
	}
	hash_index_done(&sums.index);
	*ret = sums.waits;
	*ret_n = sums.n;
	return r;
}

int trace_block_waits(struct trace *t, int64_t block, struct wait_list *ret)
{
	auto_stmt sqlite3_stmt *st = NULL;
	int r = trace_prepare(t, "SELECT waits FROM blocks WHERE id = ?", &st);

	*ret = (struct wait_list){0};
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, block);
	r = trace_next_row(t, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	if (sqlite3_column_type(st, 0) == SQLITE_NULL)
		return 0;
	return wait_codec_decode(t->unpacker, sqlite3_column_blob(st, 0),
				 (size_t)sqlite3_column_bytes(st, 0), ret);
}

int trace_realtime(struct trace *t, uint64_t monotonic_ns, int64_t *ret_ns)
{
	auto_stmt sqlite3_stmt *st = NULL;
	/* What is before the first one is near to it. */
	int r = trace_prepare(t,
			      "SELECT realtime_ns - monotonic_ns FROM anchors"
			      " ORDER BY monotonic_ns > ?1, abs(monotonic_ns - ?1) LIMIT 1",
			      &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, (int64_t)monotonic_ns);
	r = trace_next_row(t, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret_ns = (int64_t)(trace_column_u64(st, 0) + monotonic_ns);
	return 0;
}

/* --- now --- */

/* @st  the last block of a thread */
static int each_live(struct trace *t, sqlite3_stmt *threads, sqlite3_stmt *st,
		     int (*on_thread)(void *ctx, const struct trace_live *live), void *ctx)
{
	struct trace_live live = {
	    .thread = (uint16_t)sqlite3_column_int(threads, 0),
	    .native_id = trace_column_u64(threads, 1),
	};
	int r;

	sqlite3_reset(st);
	sqlite3_bind_int(st, 1, live.thread);
	r = trace_next_row(t, st);
	if (r <= 0)
		return r;
	live.block = (struct trace_block){
	    .id = sqlite3_column_int64(st, 0),
	    .thread = live.thread,
	    .first_ns = trace_column_u64(st, 1),
	    .last_ns = trace_column_u64(st, 2),
	    .lowest_depth = (uint32_t)sqlite3_column_int64(st, 3),
	    .n_events = (uint32_t)sqlite3_column_int64(st, 4),
	    .data = sqlite3_column_blob(st, 5),
	    .data_len = (size_t)sqlite3_column_bytes(st, 5),
	    .waits = sqlite3_column_blob(st, 6),
	    .waits_len = (size_t)sqlite3_column_bytes(st, 6),
	};
	return on_thread(ctx, &live);
}

int trace_each_live(struct trace *t, int (*on_thread)(void *ctx, const struct trace_live *live),
		    void *ctx)
{
	auto_stmt sqlite3_stmt *threads = NULL;
	auto_stmt sqlite3_stmt *block = NULL;
	int r = trace_prepare(
	    t, "SELECT id, native_id FROM threads WHERE last_ns IS NULL ORDER BY id", &threads);

	if (r == 0)
		r = trace_prepare(t,
				  "SELECT id, first_ns, last_ns, lowest_depth, n_events, data,"
				  " waits FROM blocks WHERE thread = ?"
				  " ORDER BY first_ns DESC, last_ns DESC LIMIT 1",
				  &block);
	while (r == 0 && (r = trace_next_row(t, threads)) == 1)
		r = each_live(t, threads, block, on_thread, ctx);
	return r;
}

int trace_wait_start(struct trace *t, int64_t block, uint64_t *ret_ns)
{
	auto_stmt sqlite3_stmt *st = NULL;
	/* It fills the block, so there is no other one in it. */
	int r = trace_prepare(
	    t, "SELECT longest_start_ns FROM waits WHERE block = ? AND n = 0 AND total_ns > 0",
	    &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, block);
	r = trace_next_row(t, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret_ns = trace_column_u64(st, 0);
	return 0;
}
