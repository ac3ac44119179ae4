/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what the interpreter's probes tell to the stacks of threads: takes the records from the
 * rings, thread by thread.
 *
 * Each thread has its frames, the followed ones and the others. They change with each entry and
 * return (exact_frames.c); where they come from at first is a look at the thread, as the sampler
 * makes them, of which what happened meanwhile is taken out again (exact_sync.c). The same is done
 * when what is told does not fit to what is known, or some of it was lost: what is not certain is
 * not told.
 */
#include <stdlib.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/exact_private.h"

/* Room in the writer's ring without which records are left where they are. */
#define ROOM_BYTES ((size_t)512 * 1024)
/*
 * Between looks into the rings, which hold what comes within some tenths of a second where it comes
 * fast. What is told soon after it happened is resolved better: the frame is still there.
 */
#define BUSY_PAUSE_NS (2 * NS_PER_MS)
#define IDLE_PAUSE_NS (1 * NS_PER_MS)
/* So it is told at once for so long after a function that was not known. */
#define EAGER_PAUSE_NS (20 * NS_PER_US)
#define EAGER_NS       (20 * NS_PER_MS)
/* At the end, what is left has to be read and stored within this time. */
#define FINISH_NS (2 * NS_PER_S)
/* Taken at a time, before other things have their turn. */
#define TAKE_MAX 50000

void exact_source_free(struct exact_source *source)
{
	if (!source)
		return;
	line_rings_free(source->rings);
	free(source);
}

/* --- threads --- */

static void free_thread(struct exact_thread *th)
{
	free(th->frames);
	free(th->met);
	free(th->lines);
	free(th->events);
	free(th);
}

/* As the attacher sees its number; the interpreter has another one where it has a pid namespace. */
static uint32_t tid_of(const struct track *t)
{
	bool is_linked = t->edge && (!t->id.native_id || t->edge->target_tid == t->id.native_id);

	return is_linked ? t->edge->tid : (uint32_t)t->id.native_id;
}

static struct track *find_track(const struct sampler *s, uint32_t tid)
{
	for (size_t i = 0; i < s->n_tracks; i++) {
		if (tid_of(s->tracks[i]) == tid)
			return s->tracks[i];
	}
	return NULL;
}

static struct exact_thread *add_thread(struct sampler *s, struct track *t, uint32_t tid)
{
	struct exact *x = s->exact;
	struct exact_thread *th = xcalloc(1, sizeof(*th));

	th->tid = tid;
	th->track = t;
	x->threads = xgrow(x->threads, &x->cap, x->n + 1, sizeof(x->threads[0]));
	x->threads[x->n++] = th;
	return th;
}

static struct exact_thread *find_thread(struct exact *x, uint32_t tid)
{
	if (x->last && x->last->tid == tid)
		return x->last;
	for (size_t i = 0; i < x->n; i++) {
		if (x->threads[i]->tid == tid)
			return x->last = x->threads[i];
	}
	return NULL;
}

void exact_begin_telling(struct sampler *s, struct exact_thread *th, uint64_t time_ns)
{
	th->is_synced = true;
	th->is_told = false;
	sampler_told_begin(s, th->track, PROVENANCE_EXACT, time_ns);
}

void exact_lose_sync(struct sampler *s, struct exact_thread *th, uint64_t time_ns)
{
	if (th->is_synced)
		sampler_told_end(s, th->track, time_ns);
	th->is_synced = false;
	exact_sync_begin(th);
	/* A look that is on its way does not count: what came since it began is not known. */
	th->is_met_full = true;
}

/*
 * One that was not there when this began: all that it ever did is told. It may be gone before it
 * is ever seen in the interpreter's list, so it gets a track at once.
 */
static struct exact_thread *need_thread(struct sampler *s, const struct line_sample *sample)
{
	struct exact_thread *th = find_thread(s->exact, sample->tid);
	struct track *t;

	if (th)
		return th;
	t = find_track(s, sample->tid);
	if (!t)
		t = sampler_add_unlisted(s, sample->tid);
	if (!t)
		return NULL;
	th = add_thread(s, t, sample->tid);
	exact_begin_telling(s, th, sample->time_ns);
	return th;
}

void sampler_exact_add(struct sampler *s, struct track *t)
{
	/* What it did already may not have been taken yet. */
	if (s->exact && s->exact->source->is_inherited)
		sampler_told_begin(s, t, PROVENANCE_EXACT, s->exact->last_ns);
}

void sampler_exact_forget(struct sampler *s, const struct track *t)
{
	struct exact *x = s->exact;

	for (size_t i = 0; x && i < x->n; i++) {
		if (x->threads[i]->track != t)
			continue;
		if (x->last == x->threads[i])
			x->last = NULL;
		free_thread(x->threads[i]);
		x->threads[i] = x->threads[--x->n];
		return;
	}
}

/*
 * A thread that was started while the events were being opened can have them twice, by itself and
 * from the one that started it. What came first counts.
 */
static bool is_double(struct exact *x, struct exact_thread *th, const struct line_sample *sample,
		      const struct line_event *e)
{
	unsigned n = x->source->plan.request.n_probes;
	uint64_t *event;

	if (!th->events)
		th->events =
		    xcalloc((size_t)line_rings_n_cpus(x->source->rings) * n, sizeof(*th->events));
	event = &th->events[sample->cpu * n + (unsigned)(e->probe - x->source->plan.probes)];
	if (!*event)
		*event = sample->event;
	return *event != sample->event;
}

/* --- records --- */

static void on_lost(struct sampler *s, const struct line_sample *sample)
{
	struct exact *x = s->exact;

	atomic_fetch_add_explicit(&s->exact_progress.lost, sample->lost, memory_order_relaxed);
	for (size_t i = 0; i < x->n; i++)
		exact_lose_sync(s, x->threads[i], x->last_ns);
	sampler_emit_gap(s, x->last_ns, sample->time_ns, GAP_LINES_LOST, sample->lost);
	ring_publish(s->ring);
}

static void take_one(struct sampler *s, const struct line_sample *sample)
{
	struct exact *x = s->exact;
	struct exact_thread *th;
	struct line_event e;

	if (line_plan_decode(&x->source->plan, sample, &e) < 0)
		return;
	x->n_events++;
	th = need_thread(s, sample);
	if (th && !is_double(x, th, sample, &e))
		exact_on_event(s, th, &e, sample);
}

bool exact_take_until(struct sampler *s, uint64_t until_ns)
{
	struct exact *x = s->exact;

	for (unsigned i = 0; i < TAKE_MAX; i++) {
		enum line_record kind;

		/* They can wait where they are; what finds no room there is counted. */
		if (ring_room(s->ring) < ROOM_BYTES)
			return false;
		kind = line_rings_next(x->source->rings, until_ns, &x->sample);
		if (kind == LINE_NOTHING)
			return true;
		if (kind == LINE_LOST)
			on_lost(s, &x->sample);
		else
			take_one(s, &x->sample);
		x->last_ns = x->sample.time_ns;
	}
	return false;
}

/* --- beginning, end --- */

static void begin(struct sampler *s, struct exact_source *source)
{
	struct exact *x = xcalloc(1, sizeof(*x));
	uint64_t now_ns = clock_monotonic_ns();

	x->source = source;
	x->codes = exact_codes_new(s->mem, &s->py->layout, s->codes);
	x->last_ns = now_ns;
	/* Threads that come later have told all that they did. */
	sampler_list_threads(s, now_ns);
	s->exact = x;
	for (size_t i = 0; i < s->n_tracks; i++) {
		struct track *t = s->tracks[i];

		if (tid_of(t))
			add_thread(s, t, tid_of(t));
	}
	atomic_store_explicit(&s->exact_progress.is_on, true, memory_order_relaxed);
}

/* Returns whether there were any since the last time. */
static bool count_events(struct sampler *s)
{
	uint64_t n = s->exact ? s->exact->n_events : 0;

	if (n)
		atomic_fetch_add_explicit(&s->exact_progress.events, n, memory_order_relaxed);
	if (s->exact)
		s->exact->n_events = 0;
	return n > 0;
}

void sampler_exact_drop(struct sampler *s)
{
	struct exact *x = s->exact;
	uint64_t now_ns = clock_monotonic_ns();

	if (!x)
		return;
	for (size_t i = 0; i < x->n; i++) {
		exact_lose_sync(s, x->threads[i], now_ns);
		free_thread(x->threads[i]);
	}
	/* Those that nothing was told of. */
	for (size_t i = 0; i < s->n_tracks; i++) {
		if (s->tracks[i]->told_by == PROVENANCE_EXACT)
			sampler_told_end(s, s->tracks[i], now_ns);
	}
	exact_codes_free(x->codes);
	exact_source_free(x->source);
	free(x->threads);
	free(x->now);
	free(x);
	s->exact = NULL;
	atomic_store_explicit(&s->exact_progress.is_on, false, memory_order_relaxed);
}

void sampler_exact_finish(struct sampler *s)
{
	uint64_t until_ns = clock_monotonic_ns();

	while (s->exact && !exact_take_until(s, until_ns) &&
	       clock_monotonic_ns() - until_ns < FINISH_NS)
		sampler_sleep_until(clock_monotonic_ns() + NS_PER_MS);
	count_events(s);
	sampler_exact_drop(s);
}

static void adopt_source(struct sampler *s)
{
	struct exact_source *source;

	if (!atomic_load_explicit(&s->is_exact_new, memory_order_acquire))
		return;
	atomic_store(&s->is_exact_new, false);
	source = atomic_exchange(&s->exact_new, NULL);
	if (s->exact)
		sampler_exact_finish(s);
	if (source)
		begin(s, source);
}

void sampler_exact_catch_up(struct sampler *s)
{
	if (s->exact)
		exact_take_until(s, clock_monotonic_ns());
}

bool sampler_exact_take(struct sampler *s, uint64_t now_ns)
{
	struct exact *x;
	bool is_all;

	adopt_source(s);
	x = s->exact;
	if (!x)
		return true;
	x->now_ns = now_ns;
	is_all = exact_take_until(s, now_ns);
	x->was_busy = count_events(s);
	if (exact_codes_n_new(x->codes) != x->n_new)
		x->eager_until_ns = now_ns + EAGER_NS;
	x->n_new = exact_codes_n_new(x->codes);
	if (is_all) {
		exact_sync_threads(s);
		for (size_t i = 0; i < x->n; i++) {
			if (x->threads[i]->is_synced)
				sampler_told_until(s, x->threads[i]->track, now_ns);
		}
	}
	return is_all;
}

uint64_t sampler_exact_pause(const struct sampler *s)
{
	const struct exact *x = s->exact;

	if (x->now_ns < x->eager_until_ns)
		return EAGER_PAUSE_NS;
	return x->was_busy ? BUSY_PAUSE_NS : IDLE_PAUSE_NS;
}

void sampler_set_exact(struct sampler *s, struct exact_source *source)
{
	exact_source_free(atomic_exchange(&s->exact_new, source));
	atomic_store_explicit(&s->is_exact_new, true, memory_order_release);
	sampler_wake(s);
}

const struct exact_progress *sampler_get_exact_progress(const struct sampler *s)
{
	return &s->exact_progress;
}
