/* SPDX-License-Identifier: BSD-3-Clause */
/* One round: whom to look at, and a look. */
#include <errno.h>

#include "common/clock.h"
#include "common/hash_index.h"
#include "recorder/oncpu/edges.h"
#include "recorder/sampler_private.h"

/* So often a thread that waits is looked at again before a stack that had to be cut is told. */
#define MAX_CUT_LOOKS 64

/* Threads that may have run unseen are looked at so many per round. */
#define STALE_PER_ROUND 4

/*
 * As fast as it goes, the GIL is watched once in so many rounds; more often while nothing changes,
 * since the thread that is looked at may wait and another one run.
 */
#define ROUNDS_PER_WATCH    32
#define UNCHANGED_PER_WATCH 4

/* Snapshots of one look that were not provable, before it is given up; and before new code
 * objects are left out.
 */
#define MAX_TRIES	  32
#define MAX_LOADING_TRIES 24

static void count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static void count_drop(struct sampler *s, enum drop_reason reason)
{
	s->counters.dropped[reason]++;
	count(&s->progress.dropped);
}

static void count_snapshot(struct sampler *s)
{
	static const enum cut_reason reasons[] = {
	    [PY_CUT_TORN] = CUT_TORN,
	    [PY_CUT_UNSTEADY] = CUT_UNSTEADY,
	    [PY_CUT_UNREADABLE] = CUT_UNREADABLE,
	    [PY_CUT_DEPTH] = CUT_DEPTH,
	    [PY_CUT_CODE] = CUT_CODE,
	};

	s->counters.snapshots++;
	s->batch_snapshots++;
	count(&s->progress.snapshots);
	if (s->snap.cut != PY_NOT_CUT) {
		s->counters.cut[reasons[s->snap.cut]]++;
		count(&s->progress.cut);
	}
}

/* Where this thread is: all of its frames and their instructions. 0: not all is known. */
static uint64_t hash_place(const struct sampler *s, const struct track *t)
{
	uint64_t hash = hash_mix(0, t->number);

	if (s->snap.cut != PY_NOT_CUT)
		return 0;
	for (uint32_t i = 0; i < s->snap.n; i++) {
		const struct py_frame *f = &s->snap.frames[i];

		hash = hash_mix(hash_mix(hash, (uintptr_t)f->code ^ f->serial), f->unit);
	}
	return hash | 1;
}

static void tell_look(struct sampler *s, struct track *t, uint64_t off_since_ns, uint64_t began_ns,
		      uint64_t now_ns)
{
	uint64_t time_ns = sampler_unseen_until(s, t, off_since_ns);
	bool is_unseen = time_ns != 0;

	if (!is_unseen)
		time_ns = off_since_ns ? sampler_time_of_stop(s, t, off_since_ns, now_ns)
				       : sampler_time_of_look(s, t, began_ns, now_ns);
	sampler_emit(s, t, time_ns, now_ns, is_unseen);
}

/*
 * One look at one thread: a snapshot that can be proven, to the ring. New code objects are loaded
 * as they are met, and then the snapshot is taken anew; where they come and go faster than that,
 * the stack ends before them.
 * Returns 0, also when none could be had; -ESRCH when the target is gone.
 */
static int look_at(struct sampler *s, struct track *t, bool is_waiting, uint64_t *now_ns)
{
	uint64_t off_since_ns = sampler_is_off(t) ? t->edge->since_ns : 0;
	uint64_t began_ns = *now_ns;
	int r = -EAGAIN;

	t->stale = false;
	if (t->told_by != PROVENANCE_OBSERVED || !t->id.tstate) {
		t->changed = false;
		return 0;
	}
	for (int i = 0; i < MAX_TRIES; i++) {
		uint32_t proven;

		py_stacks_set_loading(s->stacks, i < MAX_LOADING_TRIES);
		py_stacks_set_still(s->stacks, off_since_ns != 0);
		r = py_stack_read(s->stacks, t->stack, *now_ns, &s->snap);
		*now_ns = clock_monotonic_ns();
		if (off_since_ns && !sampler_was_off(s, t, off_since_ns, *now_ns)) {
			off_since_ns = 0;
			r = -EAGAIN;
			s->snap.n = 0; /* nothing of it is proven */
		}
		if (r == -EAGAIN && (i < MAX_TRIES - 1 || !s->snap.n))
			continue;
		if (r == -EAGAIN)
			s->snap.cut = PY_CUT_TORN; /* what there is of it is certain */
		else if (r < 0)
			break;
		if (sampler_precise_has_told(s, t)) {
			/* What was seen may be of a section, which tells all by itself. */
			t->stale = s->maybe_stale = true;
			t->changed = false;
			return 0;
		}
		proven = sampler_prove_young(s, *now_ns);
		if (proven < s->snap.n) {
			r = -EAGAIN;
			if (i < MAX_LOADING_TRIES)
				continue;
			s->snap.n = proven;
			s->snap.cut = PY_CUT_CODE;
		}
		/* A thread that waits is not looked at by itself again, but it stays as it is. */
		t->stale =
		    is_waiting && s->snap.cut != PY_NOT_CUT && t->n_cut_looks++ < MAX_CUT_LOOKS;
		if (t->stale) {
			s->is_quiet = false;
			return 0;
		}
		t->n_cut_looks = 0;
		count_snapshot(s);
		t->place = off_since_ns ? hash_place(s, t) : 0;
		/* It may be of interest at once, see sampler_waits.c. */
		if (t->place && sampler_is_slow(s))
			s->off_due_ns = 0;
		tell_look(s, t, off_since_ns, began_ns, *now_ns);
		t->looked_ns = *now_ns;
		t->unseen_ns = 0;
		s->is_quiet &= !t->changed;
		return 0;
	}
	if (r == -ESRCH)
		return r;
	t->changed = false;
	s->is_quiet = false; /* for all we know */
	count_drop(s, r == -EAGAIN ? DROP_TORN : DROP_UNREADABLE);
	/* A thread state that can't be read has mostly gone with its thread. */
	if (r != -EAGAIN)
		s->list_due_ns = 0;
	return r == -EFAULT ? -EFAULT : 0;
}

static int look_at_stale(struct sampler *s, uint64_t *now_ns)
{
	unsigned looked = 0;

	/* Mostly there are none, and a search through all threads would cost more than a look. */
	if (!s->maybe_stale)
		return 0;
	s->maybe_stale = false;
	for (size_t i = 0; i < s->n_tracks && looked < STALE_PER_ROUND; i++) {
		struct track *t = s->tracks[s->next_stale++ % s->n_tracks];

		if (!t->stale)
			continue;
		looked++;
		if (look_at(s, t, true, now_ns) == -ESRCH)
			return -ESRCH;
		s->maybe_stale |= t->stale;
	}
	s->maybe_stale |= looked == STALE_PER_ROUND;
	return 0;
}

/* Look at whoever holds a GIL now, or did last: it can have taken it again meanwhile. */
static int look_at_running(struct sampler *s, uint64_t *now_ns, bool *changed)
{
	int r = 0;

	*changed = false;
	if (s->n_tracks == 1) {
		if (sampler_is_off(s->tracks[0]))
			return 0;
		r = look_at(s, s->tracks[0], false, now_ns);
		*changed = s->tracks[0]->changed;
		return r;
	}
	for (size_t i = 0; i < s->n_gils && r == 0; i++) {
		struct track *t = s->gils[i].holder;

		if (!t || sampler_is_off(t))
			continue;
		r = look_at(s, t, false, now_ns);
		*changed |= t->changed;
	}
	return r;
}

/*
 * A GIL tells who to look at. Where there is one thread only it tells one that computes from one
 * that waits, which is of interest while neither is seen to get on.
 */
static bool is_watch_due(const struct sampler *s)
{
	bool is_turn = s->n_unchanged && s->n_unchanged % UNCHANGED_PER_WATCH == 0;

	/* Where there is one, it would only make the look late. */
	if (s->is_watch_wanted && s->n_tracks > 1)
		return true;
	if (s->n_tracks == 1)
		return s->config->slows_when_idle && (is_turn || pace_is_backed_off(&s->pace));
	return s->pace.interval_ns || is_turn || s->n_rounds % ROUNDS_PER_WATCH == 0;
}

int sampler_look(struct sampler *s, uint64_t *now_ns)
{
	bool changed;
	int r;

	s->last_round_ns = s->round_ns;
	s->round_ns = *now_ns;
	s->is_quiet = true;
	sampler_take_edges(s, *now_ns);
	sampler_precise_poll(s, *now_ns);
	if (*now_ns >= s->list_due_ns) {
		r = sampler_list_threads(s, *now_ns);
		if (r == -ESRCH || (r < 0 && s->n_tracks == 0))
			return r == -EAGAIN ? 0 : r;
	}
	if (is_watch_due(s)) {
		s->is_watch_wanted = false;
		r = sampler_watch_gils(s);
		if (r < 0)
			return r;
	}
	r = look_at_running(s, now_ns, &changed);
	if (r == 0 && (s->n_tracks > 1 || s->edges))
		r = look_at_stale(s, now_ns);
	s->n_unchanged = changed ? 0 : s->n_unchanged + 1;
	s->n_rounds++;
	return r;
}
