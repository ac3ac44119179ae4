/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes that forked, ran exec or were renamed just now: they are looked at after increasing
 * pauses, those that are due at the same time in one survey. When very many are born, some looks
 * are left out; the scan sees what they miss.
 */
#include "recorder/discover_private.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/xalloc.h"

/* Small, so that one that blocks keeps few waiting; two at a time, so that others go on. */
#define SURVEY_MAX    64
#define LOOKS_AT_ONCE 2
/* Looks per second, and how many may be saved up. */
#define TOKENS_PER_S 200.0
#define TOKENS_MAX   200.0
/* Between two surveys: normally, and when tokens are short. */
#define PAUSE_NS       (5 * NS_PER_MS)
#define PAUSE_SHORT_NS (20 * NS_PER_MS)
#define TOKENS_ARE_FEW (TOKENS_MAX / 2)
#define RETRY_NS       (20 * NS_PER_MS)

/*
 * Each from the look before. Most processes are over before the first, or never get a title; each
 * look costs some 100 us. The modules that set titles rename the main thread as well (setproctitle
 * does), which is an event, and begins this anew: the later looks are for those that don't.
 */
static const uint64_t pauses_ns[YOUNG_STEPS] = {
    5 * NS_PER_MS,   10 * NS_PER_MS,  25 * NS_PER_MS,  50 * NS_PER_MS,
    100 * NS_PER_MS, 200 * NS_PER_MS, 500 * NS_PER_MS, 1000 * NS_PER_MS,
};

static void enqueue(struct discover *d, struct suspect *s, int step, uint64_t now_ns)
{
	s->step = step;
	s->due_ns = now_ns + pauses_ns[step];
	s->is_queued = true;
	TAILQ_INSERT_TAIL(&d->young[step], s, queue_entry);
}

static void dequeue(struct discover *d, struct suspect *s)
{
	if (s->is_queued)
		TAILQ_REMOVE(&d->young[s->step], s, queue_entry);
	s->is_queued = false;
}

void discover_young_watch(struct discover *d, struct suspect *s, uint64_t now_ns)
{
	if (s->is_looked_at) {
		s->is_restarted = true;
		return;
	}
	dequeue(d, s);
	enqueue(d, s, 0, now_ns);
}

void discover_young_unwatch(struct discover *d, struct suspect *s)
{
	dequeue(d, s);
	s->step = SUSPECT_NO_STEP;
}

/* After a look, or instead of one. */
static void advance(struct discover *d, struct suspect *s, uint64_t now_ns)
{
	int step = s->is_restarted ? 0 : s->step + 1;

	s->is_looked_at = false;
	s->is_restarted = false;
	if (step < YOUNG_STEPS) {
		enqueue(d, s, step, now_ns);
		return;
	}
	s->step = SUSPECT_NO_STEP;
	if (discover_is_needless(s))
		discover_drop(d, s);
}

static void count_tokens(struct discover *d, uint64_t now_ns)
{
	d->tokens += (double)(now_ns - d->tokens_ns) / (double)NS_PER_S * TOKENS_PER_S;
	if (d->tokens > TOKENS_MAX)
		d->tokens = TOKENS_MAX;
	d->tokens_ns = now_ns;
}

static void take(struct discover *d, struct suspect *s, struct proc_batch *batch, uint64_t now_ns)
{
	dequeue(d, s);
	if (d->tokens < 1 || discover_skips(d, s->pid, now_ns)) {
		advance(d, s, now_ns);
		return;
	}
	d->tokens--;
	s->is_looked_at = true;
	batch->entries[batch->n++] =
	    (struct proc_entry){.pid = s->pid, .ino = s->serial, .title_hash = s->seen_hash};
}

/* The next one that is due, NULL when there is none. */
static struct suspect *find_due(const struct discover *d, uint64_t now_ns)
{
	for (int step = 0; step < YOUNG_STEPS; step++) {
		struct suspect *s = TAILQ_FIRST(&d->young[step]);

		if (s && s->due_ns <= now_ns)
			return s;
	}
	return NULL;
}

/* The one that an entry was made for; it may have gone meanwhile. */
static struct suspect *find_entry(const struct discover *d, const struct proc_entry *e)
{
	struct suspect *s = suspects_find(&d->suspects, e->pid);

	return s && s->serial == e->ino ? s : NULL;
}

/* What was not looked at is due again at once. */
static void give_back(struct discover *d, const struct proc_batch *b, size_t first, uint64_t now_ns)
{
	for (size_t i = first; i < b->n; i++) {
		struct suspect *s = find_entry(d, &b->entries[i]);

		if (!s)
			continue;
		s->is_looked_at = false;
		s->is_restarted = false;
		enqueue(d, s, s->step < 0 ? 0 : s->step, now_ns);
	}
}

static void survey_due(struct discover *d, uint64_t now_ns)
{
	struct survey *survey = xmalloc(sizeof(*survey));
	struct suspect *s;

	proc_batch_reset(&survey->batch);
	while (survey->batch.n < SURVEY_MAX && (s = find_due(d, now_ns)))
		take(d, s, &survey->batch, now_ns);
	survey->d = d;
	survey->is_scan = false;
	if (survey->batch.n == 0) {
		free(survey);
	} else if (discover_submit_survey(survey) < 0) {
		give_back(d, &survey->batch, 0, now_ns);
		d->next_young_ns = now_ns + RETRY_NS;
		free(survey);
	} else {
		d->n_young_looks++;
		d->next_young_ns =
		    now_ns + (d->tokens < TOKENS_ARE_FEW ? PAUSE_SHORT_NS : PAUSE_NS);
	}
}

void discover_young_pump(struct discover *d, uint64_t now_ns)
{
	if (d->n_young_looks >= LOOKS_AT_ONCE || now_ns < d->next_young_ns || !find_due(d, now_ns))
		return;
	count_tokens(d, now_ns);
	survey_due(d, now_ns);
}

static void on_entry(struct discover *d, const struct proc_batch *b, uint32_t i, uint64_t now_ns)
{
	const struct proc_entry *e = &b->entries[i];
	const struct proc_title *t = &b->titles[i];
	struct suspect *s = find_entry(d, e);

	if (!s)
		return;
	s->seen_hash = e->title_hash;
	discover_unstuck(d, s);
	if (t->is_new) {
		discover_on_title(d, e->pid, b->bytes + t->start, t->len, false);
	} else if (s->verdict == VERDICT_CHILD) {
		discover_examine(d, s);
	}
	advance(d, s, now_ns);
}

void discover_young_on_survey(struct discover *d, const struct survey *survey, uint32_t n_read,
			      bool is_late)
{
	const struct proc_batch *b = &survey->batch;
	uint64_t now_ns = clock_monotonic_ns();

	d->n_young_looks--;
	for (uint32_t i = 0; i < n_read; i++)
		on_entry(d, b, i, now_ns);
	if (is_late) {
		struct suspect *s = find_entry(d, &b->entries[n_read]);

		if (s)
			advance(d, s, now_ns);
		n_read++;
	}
	give_back(d, b, n_read, now_ns);
}

uint64_t discover_young_due_ns(const struct discover *d)
{
	uint64_t due_ns = UINT64_MAX;

	if (d->n_young_looks >= LOOKS_AT_ONCE)
		return UINT64_MAX;
	for (int step = 0; step < YOUNG_STEPS; step++) {
		const struct suspect *s = TAILQ_FIRST(&d->young[step]);

		if (s && s->due_ns < due_ns)
			due_ns = s->due_ns;
	}
	return due_ns != UINT64_MAX && due_ns < d->next_young_ns ? d->next_young_ns : due_ns;
}
