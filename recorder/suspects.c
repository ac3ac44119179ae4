/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/suspects.h"

#include <stdlib.h>

#include "common/xalloc.h"

void suspects_init(struct suspects *all)
{
	*all = (struct suspects){0};
	TAILQ_INIT(&all->all);
	for (size_t i = 0; i < SUSPECT_BUCKETS; i++)
		LIST_INIT(&all->buckets[i]);
}

void suspects_done(struct suspects *all)
{
	struct suspect *s;

	while ((s = TAILQ_FIRST(&all->all))) {
		TAILQ_REMOVE(&all->all, s, entry);
		free(s);
	}
	suspects_init(all);
}

static size_t bucket_of(pid_t pid)
{
	return (unsigned)pid % SUSPECT_BUCKETS;
}

struct suspect *suspects_find(const struct suspects *all, pid_t pid)
{
	struct suspect *s;

	for (s = LIST_FIRST(&all->buckets[bucket_of(pid)]); s; s = LIST_NEXT(s, bucket_entry))
		if (s->pid == pid)
			return s;
	return NULL;
}

struct suspect *suspects_get(struct suspects *all, pid_t pid, uint64_t now_ns)
{
	struct suspect *s = suspects_find(all, pid);

	if (s)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->pid = pid;
	s->serial = ++all->last_serial;
	s->since_ns = now_ns;
	s->step = SUSPECT_NO_STEP;
	LIST_INSERT_HEAD(&all->buckets[bucket_of(pid)], s, bucket_entry);
	TAILQ_INSERT_TAIL(&all->all, s, entry);
	all->n++;
	return s;
}

void suspects_remove(struct suspects *all, struct suspect *s, uint64_t now_ticks)
{
	if (s->verdict != VERDICT_NONE)
		all->ghosts[all->n_ghosts++ % SUSPECT_GHOSTS] =
		    (struct ghost){.title_hash = s->title_hash,
				   .stack = s->stack,
				   .start_ticks = s->start_ticks,
				   .end_ticks = now_ticks};
	LIST_REMOVE(s, bucket_entry);
	TAILQ_REMOVE(&all->all, s, entry);
	all->n--;
	free(s);
}

uint64_t suspect_heritage(const struct suspect *s)
{
	return s->verdict != VERDICT_NONE ? s->title_hash : s->inherited_hash;
}

void suspect_forget_title(struct suspect *s, uint64_t now_ticks)
{
	if (s->verdict == VERDICT_NONE)
		return;
	s->previous_hash = s->title_hash;
	s->previous_ticks = now_ticks;
	s->verdict = VERDICT_NONE;
	s->title_hash = 0;
	s->n_checks = 0;
	s->is_told = false;
}

bool suspect_is_judged(const struct suspect *s, const struct examined *e)
{
	return s->verdict != VERDICT_NONE && s->title_hash == e->title_hash &&
	       s->start_ticks == e->start_ticks && s->stack == e->stack;
}

/* Whether its parent, which lives, has or had this title when it forked it. */
static bool is_parents_title(const struct suspects *all, const struct examined *e)
{
	const struct suspect *parent = suspects_find(all, e->parent_pid);
	uint64_t now = e->parent_title_hash;

	if (!now && parent)
		now = parent->title_hash;
	if (now == e->title_hash)
		return true;
	return parent && parent->previous_hash == e->title_hash &&
	       e->start_ticks <= parent->previous_ticks;
}

/*
 * Its parent now is not the one that forked it, or it has run exec itself. In the first case a
 * target that lives or has ended, with the same title and the same stack, is where it comes from.
 */
static bool comes_from_target(const struct suspects *all, const struct examined *e)
{
	unsigned n = all->n_ghosts < SUSPECT_GHOSTS ? all->n_ghosts : SUSPECT_GHOSTS;
	const struct suspect *s;

	TAILQ_FOREACH(s, &all->all, entry)
	if (s->verdict != VERDICT_NONE && s->pid != e->pid && s->stack == e->stack &&
	    s->title_hash == e->title_hash && s->start_ticks <= e->start_ticks)
		return true;
	for (unsigned i = 0; i < n; i++) {
		const struct ghost *g = &all->ghosts[i];

		/* What began after it ended is its successor, not its child. */
		if (g->stack == e->stack && g->title_hash == e->title_hash &&
		    g->start_ticks <= e->start_ticks && e->start_ticks <= g->end_ticks)
			return true;
	}
	return false;
}

/* Whether its parent is surely not a process that it was forked from without exec. */
static bool is_not_parents_fork(const struct examined *e)
{
	/* The first process takes on orphans; it may be one that we are not allowed to look at. */
	return e->stack && e->stack != e->parent_stack && (e->parent_stack || e->parent_pid == 1);
}

enum verdict suspects_judge(const struct suspects *all, const struct suspect *s,
			    const struct examined *e)
{
	/* Once left alone, it is until it has another title, whatever becomes of its parent. */
	if (suspect_is_judged(s, e))
		return s->verdict;
	if (s->inherited_hash == e->title_hash)
		return VERDICT_CHILD;
	if (is_not_parents_fork(e))
		return comes_from_target(all, e) ? VERDICT_CHILD : VERDICT_TARGET;
	return is_parents_title(all, e) ? VERDICT_CHILD : VERDICT_TARGET;
}
