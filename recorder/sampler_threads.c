/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which threads to look at. Only the holder of a GIL can change its Python stack, so the cost of
 * sampling follows the threads that run, not all that exist.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/sampler_private.h"

/* The list is not read again before so many times what reading it took. */
#define LIST_FACTOR 200

#define MAX_THREAD_NUMBER 65000

struct track *sampler_find_track(const struct sampler *s, remote_addr tstate)
{
	for (size_t i = 0; i < s->n_tracks; i++) {
		if (s->tracks[i]->id.tstate == tstate)
			return s->tracks[i];
	}
	return NULL;
}

bool sampler_has_others_id(struct sampler *s, const struct track *t)
{
	for (size_t i = 0; t->id.native_id && i < s->n_tracks; i++) {
		const struct track *other = s->tracks[i];

		/* The one with the edges of that thread is the one that it is the number of. */
		if (other == t || other->id.native_id != t->id.native_id || t->edge ||
		    !other->told_in)
			continue;
		s->list_due_ns = 0;
		return true;
	}
	return false;
}

void sampler_free_track(struct sampler *s, struct track *t)
{
	sampler_exact_forget(s, t);
	sampler_precise_forget(s, t);
	sampler_unlink_edge(s, t);
	py_stack_free(t->stack);
	free(t->last);
	free(t->offs);
	free(t);
}

static struct track *add_track(struct sampler *s, const struct py_thread *id)
{
	struct track *t;

	/* Each of them may still need one. */
	if (s->next_thread + s->n_tracks >= MAX_THREAD_NUMBER)
		return NULL;
	t = xcalloc(1, sizeof(*t));
	t->id = *id;
	t->stack = py_stack_new(id->tstate);
	t->stale = true;
	s->maybe_stale = true;
	t->is_listed = true;
	s->tracks = xgrow(s->tracks, &s->tracks_cap, s->n_tracks + 1, sizeof(s->tracks[0]));
	s->tracks[s->n_tracks++] = t;
	sampler_link_edge(s, t);
	sampler_exact_add(s, t);
	return t;
}

struct track *sampler_add_unlisted(struct sampler *s, uint32_t tid)
{
	const struct py_thread id = {.native_id = tid};
	struct track *t = add_track(s, &id);

	if (t)
		t->told_native_id = tid;
	/* It may be there by now. */
	s->list_due_ns = 0;
	return t;
}

struct track *sampler_find_told(struct sampler *s, uint64_t python_id, uint32_t native_id)
{
	for (size_t i = 0; i < s->n_tracks; i++) {
		struct track *t = s->tracks[i];

		/* Up to 3.10 the interpreter does not keep the kernel's number. */
		if (t->id.python_id != python_id ||
		    (t->id.native_id && t->id.native_id != native_id) ||
		    (t->told_native_id && t->told_native_id != native_id))
			continue;
		t->told_native_id = native_id;
		return t;
	}
	return NULL;
}

struct track *sampler_add_told(struct sampler *s, uint64_t python_id, uint32_t native_id)
{
	const struct py_thread id = {.python_id = python_id, .native_id = native_id};
	struct track *t = add_track(s, &id);

	if (t)
		t->told_native_id = native_id;
	s->list_due_ns = 0; /* it is in the list, or has ended */
	return t;
}

/* Whether this number was told of the thread, whose own the interpreter may not keep. */
static bool is_told_native(struct sampler *s, const struct track *t, const struct py_thread *id)
{
	const struct track listed = {.id = *id};

	if (id->native_id)
		return id->native_id == t->told_native_id;
	for (unsigned i = 0; !t->id.python_id && i < SAMPLER_TID_GUESSES; i++) {
		if (sampler_guess_tid(s, &listed, i) == t->told_native_id)
			return true;
	}
	return t->id.python_id;
}

/* One that told of itself before it was listed. */
static struct track *adopt_told(struct sampler *s, const struct py_thread *id)
{
	for (size_t i = 0; i < s->n_tracks; i++) {
		struct track *t = s->tracks[i];

		if (t->id.tstate || !t->told_native_id ||
		    (t->id.python_id && t->id.python_id != id->python_id) ||
		    !is_told_native(s, t, id))
			continue;
		py_stack_free(t->stack);
		t->stack = py_stack_new(id->tstate);
		t->id = *id;
		return t;
	}
	return NULL;
}

/*
 * A thread that is new in the list, or has other numbers than the one that was there.
 * @t  the track that lives there; NULL: none
 */
static void list_other(struct sampler *s, struct track *t, const struct py_thread *id)
{
	struct track *told;

	if (t)
		t->id.tstate = t->told_native_id = 0;
	told = adopt_told(s, id);
	if (told) {
		told->is_listed = true;
	} else if (t && !t->told_in && t->id.interpreter == id->interpreter) {
		/* It has not been told of: it had the numbers of who started it, and has its own
		 * now. */
		sampler_unlink_edge(s, t);
		py_stack_free(t->stack);
		t->stack = py_stack_new(id->tstate);
		t->id = *id;
		t->is_listed = true;
		/* It may be where it waits for good by now. */
		t->stale = s->maybe_stale = true;
		sampler_link_edge(s, t);
	} else {
		add_track(s, id);
	}
}

static struct gil_watch *find_gil(struct sampler *s, remote_addr addr)
{
	for (size_t i = 0; i < s->n_gils; i++) {
		if (s->gils[i].addr == addr)
			return &s->gils[i];
	}
	s->gils = xgrow(s->gils, &s->gils_cap, s->n_gils + 1, sizeof(s->gils[0]));
	s->gils[s->n_gils] = (struct gil_watch){.addr = addr};
	return &s->gils[s->n_gils++];
}

static bool is_same_thread(const struct py_thread *a, const struct py_thread *b)
{
	return a->tstate == b->tstate && a->python_id == b->python_id &&
	       a->native_id == b->native_id && a->interpreter == b->interpreter;
}

static void drop_unlisted(struct sampler *s, uint64_t now_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_tracks; i++) {
		struct track *t = s->tracks[i];

		if (t->is_listed) {
			s->tracks[kept++] = t;
			continue;
		}
		for (size_t k = 0; k < s->n_gils; k++) {
			if (s->gils[k].holder == t)
				s->gils[k].holder = NULL;
		}
		sampler_emit_end(s, t, now_ns);
		sampler_free_track(s, t);
	}
	s->n_tracks = kept;
}

void sampler_plan_list(struct sampler *s)
{
	uint64_t cost_ns = s->list_took_ns * LIST_FACTOR;

	s->list_due_ns = s->listed_ns + (cost_ns > s->rare_ns ? cost_ns : s->rare_ns);
}

int sampler_list_threads(struct sampler *s, uint64_t now_ns)
{
	int n = py_threads_list(s->mem, &s->py->layout, s->py->addr, &s->listed, &s->listed_cap);
	bool changed;

	s->listed_ns = now_ns;
	s->list_took_ns = clock_monotonic_ns() - now_ns;
	s->is_list_wanted = false;
	sampler_plan_list(s);
	if (n < 0)
		return n;
	/*
	 * A new thread is in the list though its first edge, and one that has ended is not though
	 * its last one, may not have been taken yet.
	 */
	now_ns += s->list_took_ns;
	sampler_take_edges(s, now_ns);
	for (size_t i = 0; i < s->n_tracks; i++)
		sampler_link_edge(s, s->tracks[i]);
	/* Mostly nothing has changed: both lists are in the same order, except that ours grows. */
	changed = (size_t)n != s->n_tracks;
	for (size_t i = 0; i < s->n_tracks; i++) {
		struct track *t = s->tracks[i];

		t->is_listed =
		    i < (size_t)n && is_same_thread(&t->id, &s->listed[(size_t)n - 1 - i]);
		changed |= !t->is_listed;
	}
	if (!changed)
		return 0;
	s->is_quiet = false;
	for (size_t i = 0; i < s->n_tracks; i++)
		s->tracks[i]->is_listed = false;
	/* Oldest first, as they have been appended. */
	for (int i = n - 1; i >= 0; i--) {
		struct track *t = sampler_find_track(s, s->listed[i].tstate);

		if (t && is_same_thread(&t->id, &s->listed[i])) {
			t->is_listed = true;
			t->id = s->listed[i];
		} else {
			list_other(s, t, &s->listed[i]);
		}
		find_gil(s, s->listed[i].gil);
	}
	/* What they did last is told before their end. */
	sampler_exact_catch_up(s);
	drop_unlisted(s, now_ns);
	atomic_store_explicit(&s->progress.threads, s->n_tracks, memory_order_relaxed);
	return 0;
}

static void mark_stale(struct sampler *s, const struct gil_watch *g)
{
	for (size_t i = 0; i < s->n_tracks; i++) {
		if (s->tracks[i]->id.gil == g->addr)
			s->tracks[i]->stale = true;
	}
	s->maybe_stale = true;
}

static int watch_gil(struct sampler *s, struct gil_watch *g)
{
	struct py_gil now;
	int r = py_gil_read(s->mem, &s->py->layout, g->addr, &now);
	bool has_moved;

	if (r < 0)
		return r;
	s->is_gil_held |= now.locked;
	has_moved = !g->is_known || now.switches != g->state.switches ||
		    now.last_holder != g->state.last_holder;
	if (!has_moved && g->holder)
		return 0;
	s->has_gil_moved |= has_moved;
	if (g->holder) {
		g->holder->stale = true; /* one last look: where it let go of the GIL */
		s->maybe_stale = true;
	}
	g->holder = sampler_find_track(s, now.last_holder);
	/* One that is not listed is new, or, when nobody took the GIL after it, has ended. */
	if (!g->holder && now.last_holder && has_moved)
		s->list_due_ns = 0;
	/* Who else ran in between is not known: look at all of them, a few at a time. */
	if (!g->is_known || now.switches - g->state.switches > 1)
		mark_stale(s, g);
	g->state = now;
	g->is_known = true;
	return 0;
}

int sampler_watch_gils(struct sampler *s)
{
	s->is_gil_held = false;
	s->has_gil_moved = false;
	for (size_t i = 0; i < s->n_gils; i++) {
		int r = watch_gil(s, &s->gils[i]);

		/* The GIL of a sub-interpreter goes with it. */
		if (r == -EFAULT && s->n_gils > 1) {
			s->gils[i] = s->gils[--s->n_gils];
			i--;
			continue;
		}
		if (r < 0)
			return r;
	}
	return 0;
}
