/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The positions of several threads as one sequence. Of each thread that is followed the cursor
 * keeps the *head*: its last position at or before the present one. A step goes to the earliest
 * position that follows a head, or back to the latest head. After a jump heads are looked up only
 * when they are needed.
 */
#include "reader/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "reader/trace.h"

#define NOWHERE SIZE_MAX

struct head {
	struct spot spot, next;
	bool is_known, has_spot;      /* has_spot: the thread has begun */
	bool next_is_known, has_next; /* has_next: something follows */
};

struct cursor {
	struct trace *trace;
	struct block_cache *cache;
	struct trace_thread *threads;
	struct head *heads; /* of each thread */
	size_t n_threads;
	uint16_t followed; /* 0: all */
	size_t at;	   /* the thread of the present position, or NOWHERE */
	uint64_t time_ns;
	struct cancel cancel;
};

static int load_threads(struct cursor *c)
{
	int r;

	free(c->threads);
	free(c->heads);
	r = trace_threads(c->trace, &c->threads, &c->n_threads);
	c->heads = xcalloc(c->n_threads + 1, sizeof(*c->heads));
	c->at = NOWHERE;
	return r;
}

struct cursor *cursor_new(struct trace *trace)
{
	struct cursor *c = xcalloc(1, sizeof(*c));

	c->trace = trace;
	c->cache = block_cache_new(trace);
	load_threads(c);
	return c;
}

void cursor_free(struct cursor *c)
{
	if (!c)
		return;
	block_cache_free(c->cache);
	free(c->threads);
	free(c->heads);
	free(c);
}

const struct trace_thread *cursor_threads(const struct cursor *c, size_t *ret_n)
{
	*ret_n = c->n_threads;
	return c->threads;
}

uint16_t cursor_followed(const struct cursor *c)
{
	return c->followed;
}

void cursor_set_cancel(struct cursor *c, struct cancel cancel)
{
	c->cancel = cancel;
}

bool cursor_has_spot(const struct cursor *c)
{
	return c->at != NOWHERE;
}

const struct spot *cursor_spot(const struct cursor *c)
{
	return &c->heads[c->at].spot;
}

uint64_t cursor_time(const struct cursor *c)
{
	return c->time_ns;
}

static bool is_followed(const struct cursor *c, size_t i)
{
	return c->followed == 0 || c->threads[i].id == c->followed;
}

static size_t find_thread(const struct cursor *c, uint16_t id)
{
	for (size_t i = 0; i < c->n_threads; i++) {
		if (c->threads[i].id == id)
			return i;
	}
	return NOWHERE;
}

/* The order of positions: by time, then by thread. The threads are in the order of their ids. */
static bool is_earlier(const struct spot *a, size_t a_thread, const struct spot *b, size_t b_thread)
{
	return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a_thread < b_thread;
}

static void set_head(struct head *h, const struct spot *spot)
{
	*h = (struct head){.is_known = true, .has_spot = spot != NULL};
	if (spot)
		h->spot = *spot;
}

/* To a position of thread i; where the other threads are then is not known yet. */
static void go_to(struct cursor *c, size_t i, const struct spot *spot)
{
	struct spot target = *spot;

	for (size_t j = 0; j < c->n_threads; j++)
		c->heads[j].is_known = false;
	set_head(&c->heads[i], &target);
	c->at = i;
	c->time_ns = target.time_ns;
}

/* A thread's head, when the present position is that of another one. */
static int look_up_head(struct cursor *c, size_t i)
{
	uint64_t time_ns = cursor_spot(c)->time_ns;
	struct spot spot;
	int r = 0;

	if (c->heads[i].is_known)
		return 0;
	if (i > c->at && time_ns == 0)
		set_head(&c->heads[i], NULL);
	else
		r = spot_at(c->cache, c->threads[i].id, i < c->at ? time_ns : time_ns - 1, &spot);
	if (r < 0)
		return r;
	set_head(&c->heads[i], r == 1 ? &spot : NULL);
	return 0;
}

static int look_up_next(struct cursor *c, size_t i)
{
	struct head *h = &c->heads[i];
	int r = look_up_head(c, i);

	if (r < 0 || h->next_is_known)
		return r;
	r = h->has_spot ? spot_beside(c->cache, &h->spot, FORWARDS, &h->next)
			: spot_end(c->cache, c->threads[i].id, FORWARDS, &h->next);
	if (r < 0)
		return r;
	h->has_next = r == 1;
	h->next_is_known = true;
	return 0;
}

/* The earliest position that follows a head. Returns 1, 0 or a negative errno. */
static int find_next(struct cursor *c, size_t *ret)
{
	size_t best = NOWHERE;

	for (size_t i = 0; i < c->n_threads; i++) {
		struct head *h = &c->heads[i];
		int r = is_followed(c, i) ? look_up_next(c, i) : 0;

		if (r < 0)
			return r;
		if (is_followed(c, i) && h->has_next &&
		    (best == NOWHERE || is_earlier(&h->next, i, &c->heads[best].next, best)))
			best = i;
	}
	*ret = best;
	return best != NOWHERE;
}

static int step_forwards(struct cursor *c)
{
	struct spot spot;
	size_t i;
	int r = find_next(c, &i);

	if (r <= 0)
		return r;
	spot = c->heads[i].next;
	set_head(&c->heads[i], &spot);
	c->at = i;
	c->time_ns = spot.time_ns;
	return 1;
}

/*
 * The latest of what lies before the present position: heads, and of the present thread what is
 * before that.
 * @ret_before  the latter; has its thread if any
 */
static int find_previous(struct cursor *c, size_t *ret, struct spot *ret_before,
			 bool *ret_has_before)
{
	const struct spot *best_spot = NULL;
	size_t best = NOWHERE;
	int r;

	for (size_t i = 0; i < c->n_threads; i++) {
		r = is_followed(c, i) ? look_up_head(c, i) : 0;
		if (r < 0)
			return r;
	}
	r = spot_beside(c->cache, cursor_spot(c), BACKWARDS, ret_before);
	if (r < 0)
		return r;
	*ret_has_before = r == 1;
	for (size_t i = 0; i < c->n_threads; i++) {
		const struct spot *spot = i == c->at ? ret_before : &c->heads[i].spot;
		bool has = i == c->at ? *ret_has_before : c->heads[i].has_spot;

		if (is_followed(c, i) && has &&
		    (!best_spot || is_earlier(best_spot, best, spot, i))) {
			best = i;
			best_spot = spot;
		}
	}
	*ret = best;
	return best != NOWHERE;
}

static int step_backwards(struct cursor *c)
{
	struct spot before, here = *cursor_spot(c);
	struct head *h = &c->heads[c->at];
	bool has_before;
	size_t i;
	int r = find_previous(c, &i, &before, &has_before);

	if (r <= 0)
		return r;
	set_head(h, has_before ? &before : NULL);
	h->next = here;
	h->has_next = h->next_is_known = true;
	c->at = i;
	c->time_ns = cursor_spot(c)->time_ns;
	return 1;
}

int cursor_step(struct cursor *c, enum direction way)
{
	if (!cursor_has_spot(c))
		return 0;
	return way == FORWARDS ? step_forwards(c) : step_backwards(c);
}

int cursor_can_step(struct cursor *c, enum direction way)
{
	struct spot before;
	bool has_before;
	size_t i;

	if (!cursor_has_spot(c))
		return 0;
	return way == FORWARDS ? find_next(c, &i) : find_previous(c, &i, &before, &has_before);
}

/* The earliest first position of all threads (BACKWARDS), or the latest last one. */
static int find_end(struct cursor *c, enum direction way, size_t *ret_thread, struct spot *ret)
{
	enum direction first_or_last = way == BACKWARDS ? FORWARDS : BACKWARDS;
	int found = 0;

	for (size_t i = 0; i < c->n_threads; i++) {
		struct spot spot;
		int r = is_followed(c, i)
			    ? spot_end(c->cache, c->threads[i].id, first_or_last, &spot)
			    : 0;

		if (r < 0)
			return r;
		if (r == 1 &&
		    (!found || is_earlier(&spot, i, ret, *ret_thread) == (way == BACKWARDS))) {
			*ret = spot;
			*ret_thread = i;
			found = 1;
		}
	}
	return found;
}

int cursor_end(struct cursor *c, enum direction way)
{
	struct spot spot = {0};
	size_t i = 0;
	int r = find_end(c, way, &i, &spot);

	if (r == 1)
		go_to(c, i, &spot);
	return r;
}

int cursor_jump(struct cursor *c, uint64_t time_ns)
{
	auto_free struct head *heads = xcalloc(c->n_threads + 1, sizeof(*heads));
	size_t at = NOWHERE;

	for (size_t i = 0; i < c->n_threads; i++) {
		struct spot spot;
		int r = is_followed(c, i) ? spot_at(c->cache, c->threads[i].id, time_ns, &spot) : 0;

		if (r < 0)
			return r;
		set_head(&heads[i], r == 1 ? &spot : NULL);
		if (r == 1 && (at == NOWHERE || is_earlier(&heads[at].spot, at, &heads[i].spot, i)))
			at = i;
	}
	if (at == NOWHERE)
		return cursor_end(c, BACKWARDS);
	/* Nothing happened between the latest of them and that time: all are before it. */
	for (size_t i = 0; i < c->n_threads; i++) {
		c->heads[i] = heads[i];
		c->heads[i].is_known = is_followed(c, i);
	}
	c->at = at;
	c->time_ns = time_ns;
	return 1;
}

int cursor_jump_in(struct cursor *c, uint16_t thread, uint64_t time_ns)
{
	for (size_t i = 0; i < c->n_threads; i++) {
		struct spot spot;
		int r;

		if (c->threads[i].id != thread || !is_followed(c, i))
			continue;
		r = spot_at(c->cache, thread, time_ns, &spot);
		if (r == 1) {
			go_to(c, i, &spot);
			c->time_ns = time_ns;
		}
		return r;
	}
	return 0;
}

int cursor_next(struct cursor *c, enum direction way, uint32_t max_depth)
{
	struct spot spot;
	int r;

	if (!cursor_has_spot(c))
		return 0;
	r = spot_at_depth(c->cache, cursor_spot(c), way, max_depth, c->cancel, &spot);
	if (r == 1)
		go_to(c, c->at, &spot);
	return r;
}

int cursor_leave(struct cursor *c, enum direction way, uint32_t depth)
{
	struct spot spot;
	int r;

	if (!cursor_has_spot(c))
		return 0;
	r = spot_leave(c->cache, cursor_spot(c), way, depth, c->cancel, &spot);
	if (r == 1)
		go_to(c, c->at, &spot);
	return r;
}

/* From where a thread is to be searched: what lies beyond that is beyond the cursor. */
static int search_from(struct cursor *c, size_t i, enum direction way, struct spot *ret)
{
	int r = look_up_head(c, i);

	if (r < 0)
		return r;
	*ret = c->heads[i].has_spot ? c->heads[i].spot : SPOT_BEFORE_ALL(c->threads[i].id);
	/* Another thread's head lies before the cursor: backwards it is the first to be found. */
	if (way == BACKWARDS && i != c->at)
		ret->event++;
	return 0;
}

int cursor_run(struct cursor *c, enum direction way, const struct stop *stops, size_t n_stops,
	       struct hit *ret)
{
	uint64_t limit_ns = way == FORWARDS ? UINT64_MAX : 0;
	struct spot best = {0}, from, spot;
	struct hit hit;
	size_t at = NOWHERE;
	int r;

	if (!cursor_has_spot(c))
		return 0;
	for (size_t i = 0; i < c->n_threads; i++) {
		if (!is_followed(c, i))
			continue;
		r = search_from(c, i, way, &from);
		if (r == 0)
			r = spot_run(c->cache, &from, way, stops, n_stops, limit_ns, c->cancel,
				     &spot, &hit);
		if (r < 0)
			return r;
		if (r == 1 &&
		    (at == NOWHERE || is_earlier(&spot, i, &best, at) == (way == FORWARDS))) {
			best = spot;
			at = i;
			limit_ns = spot.time_ns;
			*ret = hit;
		}
	}
	if (at == NOWHERE)
		return 0;
	go_to(c, at, &best);
	return 1;
}

int cursor_follow(struct cursor *c, uint16_t thread)
{
	uint16_t before = c->followed;
	uint64_t time_ns = c->time_ns;
	int r;

	c->followed = thread;
	/* To follow all from here on is no movement. */
	if (thread == 0 && cursor_has_spot(c))
		return 1;
	r = cursor_jump(c, time_ns);
	if (r <= 0)
		c->followed = before;
	return r;
}

int cursor_ending(struct cursor *c, uint64_t *ret_ns, enum ending *ret)
{
	return spot_ending(c->cache, cursor_spot(c), ret_ns, ret);
}

int cursor_provenance(struct cursor *c, unsigned *ret, bool *ret_is_sampled)
{
	return spot_provenance(c->cache, cursor_spot(c), ret, ret_is_sampled);
}

int cursor_is_after_gap(struct cursor *c)
{
	return spot_is_after_gap(c->cache, cursor_spot(c));
}

int cursor_is_damaged(struct cursor *c)
{
	const struct cached_block *block;
	int r = block_cache_get(c->cache, &cursor_spot(c)->row, &block);

	return r < 0 ? r : block->is_damaged;
}

static int get_stack(struct cursor *c, const struct spot *spot, struct cursor_frame **ret)
{
	const struct cached_block *block;
	auto_free uint32_t *lines = NULL;
	int r = block_cache_get(c->cache, &spot->row, &block);

	if (r < 0)
		return r;
	lines = xreallocarray(NULL, spot->depth + 1u, sizeof(*lines));
	cached_block_stack(block, spot->event, lines);
	*ret = xreallocarray(NULL, spot->depth + 1u, sizeof(**ret));
	for (uint32_t i = 0; i < spot->depth; i++)
		(*ret)[i] = (struct cursor_frame){.code = block->lines[lines[i]].code,
						  .line = block->lines[lines[i]].line};
	return 0;
}

int cursor_stack(struct cursor *c, struct cursor_frame **ret)
{
	return get_stack(c, cursor_spot(c), ret);
}

int cursor_peek(struct cursor *c, uint16_t thread, struct spot *ret,
		struct cursor_frame **ret_stack)
{
	int r = spot_at(c->cache, thread, c->time_ns, ret);

	if (r == 1 && ret_stack) {
		r = get_stack(c, ret, ret_stack);
		r = r < 0 ? r : 1;
	}
	return r;
}

/* The same position in the trace as it is now. Returns 1, 0 when it is not there any more. */
static int find_again(struct cursor *c, const struct spot *before, struct spot *ret)
{
	const struct cached_block *block;
	struct block_row row;
	int r = trace_block_at(c->trace, before->row.thread, before->row.first_ns, &row);

	if (r <= 0 || row.id != before->row.id)
		return r < 0 ? r : 0;
	r = block_cache_get(c->cache, &row, &block);
	if (r < 0)
		return r;
	if (before->event >= (int64_t)block->n_events)
		return 0;
	*ret = *before;
	ret->row = row;
	return 1;
}

int cursor_refresh(struct cursor *c)
{
	bool had_spot = cursor_has_spot(c);
	struct spot before = had_spot ? *cursor_spot(c) : (struct spot){0}, now;
	uint64_t time_ns = c->time_ns;
	size_t i;
	int r = load_threads(c);

	if (r < 0 || !had_spot)
		return r;
	r = find_again(c, &before, &now);
	i = find_thread(c, before.row.thread);
	if (r == 1 && i != NOWHERE) {
		go_to(c, i, &now);
		c->time_ns = time_ns;
		return 0;
	}
	r = r < 0 ? r : cursor_jump(c, time_ns);
	return r < 0 ? r : 0;
}
