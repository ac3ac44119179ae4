/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sampler and the edges of its target: a thread that is off the CPU is looked at once, at what
 * it stopped at; when all wait, the sampler rests until one is switched in again. Where edges are
 * coarse none of that holds, see sampler_coarse.c, and only the waits are told from here.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "recorder/oncpu/edge_handover.h"
#include "recorder/oncpu/edges.h"
#include "recorder/sampler_private.h"

/*
 * Where glibc keeps the kernel's thread id in what pthread_self() points to (struct pthread, tid;
 * nptl/descr.h): behind the TCB of 704 bytes and a list on x86_64; where the TCB is elsewhere,
 * behind 24 pointers and a list. Unchanged since glibc 2.4. For Python to 3.10, which does not keep
 * the id itself.
 */
static const uint32_t tid_offsets[SAMPLER_TID_GUESSES] = {720, 208};

/*
 * A pause of less is not ended early. Others may be, so many times as often as rounds are due, or
 * at least this often.
 */
#define EARLY_MIN_NS (2 * NS_PER_MS)
#define EARLY_FACTOR 3
#define EARLY_MAX_NS (50 * NS_PER_MS)
/* But not of a target that has not waited for so many rounds: others only take its CPU. */
#define EARLY_ROUNDS 10

/*
 * A sampler that has less time than this between its looks stays awake for so many of them while
 * all wait, and one that goes as fast as it can for as long as this: waking up takes some 40 us,
 * and the lines that run meanwhile would be missed.
 */
#define AWAKE_MAX_NS NS_PER_MS
#define AWAKE_ROUNDS 2

/* Rests end at least this often, to see that we are to stop. */
#define REST_NS NS_PER_S
/* In less than this the rings of edges don't get full. */
#define READ_EDGES_NS (2 * NS_PER_MS)

/*
 * A thread that no list has shown is a new one of the interpreter, or none of its at all: the list
 * is read for its sake so many times, and not before so many times what reading it took.
 */
#define LISTS_PER_UNKNOWN 4
#define HURRY_FACTOR	  20

/* What takes longer than a look does was interrupted. */
#define LONG_LOOK_NS (20 * NS_PER_US)

static bool is_off(const struct edge_thread *e)
{
	return e && e->state > EDGE_ON;
}

static bool is_waiting(const struct edge_thread *e)
{
	return e && e->state == EDGE_WAITING;
}

bool sampler_is_off(const struct track *t)
{
	return is_off(t->edge) && !t->edge->is_guess;
}

/* When it has run for a while, it is in the list if it is to be there at all. */
static void ask_for_list(struct sampler *s, struct edge_thread *e)
{
	uint64_t due_ns = s->listed_ns + HURRY_FACTOR * s->list_took_ns;

	if (!is_off(e) || e->n_asked == LISTS_PER_UNKNOWN)
		return;
	e->n_asked++;
	s->is_list_wanted = true;
	if (due_ns < s->list_due_ns)
		s->list_due_ns = due_ns;
}

/*
 * What lasts less than a few intervals is dated by looks alone, as all else is that is so short: of
 * a loop that waits for shorter times, only some turns are looked at, and where begin and end of
 * each wait were told, the time between them would be taken for the wait's line in all others. An
 * exact end also takes from the lines beside it: what is seen next is dated half-way to it,
 * and nothing half-way before it.
 */
#define LONG_ROUNDS 5

static bool is_long(const struct sampler *s, uint64_t ns)
{
	return ns >= LONG_ROUNDS * s->pace.asked_ns || ns >= sampler_min_wait_ns(s);
}

static void note_back(const struct sampler *s, struct track *t, uint64_t start_ns, uint64_t end_ns,
		      enum edge_state was)
{
	if (!t->edge->is_guess && is_long(s, end_ns - start_ns)) {
		t->back_ns = end_ns;
		t->has_waited = was == EDGE_WAITING;
	}
}

static void on_change(void *ctx, struct edge_thread *e, enum edge_state was, uint64_t start_ns,
		      uint64_t end_ns)
{
	struct sampler *s = ctx;
	struct track *t = e->owner;

	if (!t) {
		ask_for_list(s, e);
		return;
	}
	s->is_quiet = false;
	s->n_waiting += (size_t)is_waiting(e) - (size_t)(was == EDGE_WAITING);
	if (was == EDGE_ON) {
		sampler_note_ran(t, end_ns - start_ns);
		s->counters.busy_ns += end_ns - start_ns;
		s->ran_ns = end_ns - start_ns;
	}
	if (was > EDGE_ON) {
		sampler_emit_off(s, t, start_ns, end_ns, was, false);
		t->last_off_ns = end_ns - start_ns;
		note_back(s, t, start_ns, end_ns, was);
		if (was == EDGE_WAITING)
			s->waited_ns = end_ns - start_ns;
		if (was == EDGE_WAITING && !e->is_guess)
			sampler_note_woken(s, t, end_ns);
	}
	if (!is_off(e)) {
		/* What was due because it waited is not any more. */
		if (t->ask_due_ns)
			s->off_due_ns = 0;
		s->is_watch_wanted = true;
		s->switched_in_ns = end_ns;
		s->idle_since_ns = 0;
		return;
	}
	if (is_waiting(e))
		s->stopped_ns = end_ns;
	/* One last look: where it stopped. */
	t->stale = true;
	t->is_off_told = false;
	t->place = t->known_place = t->ask_due_ns = 0;
	s->maybe_stale = true;
	sampler_plan_telling(s, t);
}

static void on_exit_of(void *ctx, struct edge_thread *e)
{
	struct sampler *s = ctx;
	struct track *t = e->owner;

	if (!t)
		return;
	s->n_waiting -= is_waiting(e);
	t->edge = NULL;
	s->list_due_ns = 0;
}

void sampler_open_edges(struct sampler *s)
{
	struct edge_rings *rings = s->config->edges;
	struct edges_ops ops = {.on_change = on_change, .on_exit = on_exit_of, .ctx = s};

	s->off_due_ns = UINT64_MAX;
	if (rings && edge_rings_source(rings) == EDGES_COARSE)
		sampler_open_coarse(s);
	if (!rings || rings->status < 0)
		return;
	/* Without them everything works, only less exactly. */
	if (edges_new(rings->fds, rings->n_cpus, rings->tasks_fd, &ops, &s->edges) < 0)
		s->edges = NULL;
	rings->n_cpus_here = 0; /* the descriptors are not ours any more */
	edge_rings_done(rings);
}

uint32_t sampler_guess_tid(struct sampler *s, const struct track *t, unsigned i)
{
	uint32_t tid;

	return memory_read_u32(s->mem, t->id.python_id + tid_offsets[i], &tid) == 0 ? tid : 0;
}

static uint32_t tid_of(struct sampler *s, const struct track *t)
{
	if (t->id.native_id)
		return (uint32_t)t->id.native_id;
	for (unsigned i = 0; i < SAMPLER_TID_GUESSES; i++) {
		uint32_t tid = sampler_guess_tid(s, t, i);

		/* It is one only if the kernel knows it as a thread of this process. */
		if (tid && edges_find(s->edges, tid))
			return tid;
	}
	return 0;
}

void sampler_link_edge(struct sampler *s, struct track *t)
{
	uint32_t tid;

	if (s->coarse)
		sampler_link_coarse(s, t);
	if (!s->edges || t->edge)
		return;
	tid = tid_of(s, t);
	t->edge = tid ? edges_find(s->edges, tid) : NULL;
	/* Another thread state has it: of this one nothing is known then. */
	if (!t->edge || t->edge->owner) {
		t->edge = NULL;
		return;
	}
	t->edge->owner = t;
	s->n_waiting += is_waiting(t->edge);
	/* It may have begun long ago, and never end. */
	if (is_off(t->edge))
		sampler_plan_telling(s, t);
}

void sampler_unlink_edge(struct sampler *s, struct track *t)
{
	if (!t->edge)
		return;
	s->n_waiting -= is_waiting(t->edge);
	t->edge->owner = NULL;
	t->edge = NULL;
}

/* The old way from here on. */
static void give_up_edges(struct sampler *s)
{
	for (size_t i = 0; i < s->n_tracks; i++)
		sampler_unlink_edge(s, s->tracks[i]);
	edges_free(s->edges);
	s->edges = NULL;
}

void sampler_take_edges(struct sampler *s, uint64_t now_ns)
{
	if (s->coarse)
		sampler_take_coarse(s, now_ns);
	if (!s->edges)
		return;
	edges_read(s->edges, now_ns);
	if (edges_are_over(s->edges))
		give_up_edges(s);
	else
		sampler_take_states(s, now_ns);
	/* Waits need no proof, and looks that are taken back later must not cost them. */
	if (!s->n_used && ring_has_unpublished(s->ring))
		sampler_publish_batch(s, now_ns);
}

bool sampler_was_off(struct sampler *s, const struct track *t, uint64_t since_ns, uint64_t now_ns)
{
	sampler_take_edges(s, now_ns);
	return is_off(t->edge) && t->edge->since_ns == since_ns;
}

/* From when on the stack can have become another one than the last that was seen. */
static uint64_t change_possible_ns(const struct sampler *s, const struct track *t)
{
	uint64_t from_ns = t->looked_ns;

	/* At the last round it was looked at, or known not to run. */
	if (s->last_round_ns > from_ns)
		from_ns = s->last_round_ns;
	return t->back_ns > from_ns ? t->back_ns : from_ns;
}

static uint64_t not_before_last(const struct track *t, uint64_t time_ns)
{
	return time_ns > t->emitted_ns ? time_ns : t->emitted_ns;
}

/*
 * Half-way between when a change was possible and when it was seen is as often too early as too
 * late, so that each line gets the time that it takes. Beside the times of edges, which are exact,
 * always too late would give waits half an interval more, and what comes before them less.
 */
static uint64_t half_way(const struct sampler *s, const struct track *t, uint64_t seen_ns)
{
	uint64_t from_ns = change_possible_ns(s, t);

	return not_before_last(t, from_ns < seen_ns ? from_ns + (seen_ns - from_ns) / 2 : seen_ns);
}

uint64_t sampler_time_of_look(struct sampler *s, const struct track *t, uint64_t began_ns,
			      uint64_t now_ns)
{
	/*
	 * If that took long, because the sampler lacked a CPU, what was seen may be older: off by
	 * now, it is as it was when it stopped.
	 */
	if (t->edge && now_ns - began_ns >= LONG_LOOK_NS) {
		sampler_take_edges(s, now_ns);
		if (sampler_is_off(t))
			return sampler_time_of_stop(s, t, t->edge->since_ns, now_ns);
	}
	if (sampler_is_slow(s) && t->edge && t->edge->state == EDGE_ON &&
	    t->edge->since_ns > t->looked_ns)
		return not_before_last(t, t->edge->since_ns);
	/* A call that waits is mostly over with its wait. */
	if (t->has_waited && t->back_ns > t->looked_ns && t->back_ns < now_ns)
		return not_before_last(t, t->back_ns);
	return half_way(s, t, now_ns);
}

uint64_t sampler_time_of_stop(const struct sampler *s, const struct track *t, uint64_t since_ns,
			      uint64_t now_ns)
{
	if (sampler_is_slow(s) && is_waiting(t->edge))
		return not_before_last(t, since_ns);
	if (!is_long(s, now_ns - since_ns))
		return half_way(s, t, now_ns);
	/* It stopped because of what it did; who was preempted can have done that for a while. */
	return is_waiting(t->edge) ? not_before_last(t, since_ns) : half_way(s, t, since_ns);
}

/*
 * Not while one of them waits for a CPU only: it gets one soon, where there is much to do, and a
 * sampler that has to wait for one itself then comes when its turn is over again.
 */
bool sampler_may_rest(const struct sampler *s)
{
	return s->edges && s->n_tracks && s->n_waiting == s->n_tracks && !s->maybe_stale;
}

/*
 * At low rates, a target that waits for less than there is between looks is looked at when they are
 * due, be it on a CPU or not: to be woken whenever it is would cost more looks than it may have,
 * and all of them would come as soon after a wait.
 */
bool sampler_shall_rest(struct sampler *s, uint64_t now_ns)
{
	uint64_t awake_ns = AWAKE_ROUNDS * s->pace.asked_ns;

	if (!sampler_may_rest(s)) {
		s->idle_since_ns = 0;
		return false;
	}
	if (!s->idle_since_ns)
		s->idle_since_ns = now_ns;
	if (!s->pace.asked_ns)
		awake_ns = AWAKE_MAX_NS;
	else if (sampler_is_slow(s))
		awake_ns = s->waited_ns < s->pace.asked_ns ? s->pace.asked_ns : 0;
	else if (s->pace.asked_ns >= AWAKE_MAX_NS)
		awake_ns = 0;
	return now_ns - s->idle_since_ns >= awake_ns;
}

uint64_t sampler_delay_after_rest(struct sampler *s, uint64_t now_ns)
{
	uint64_t most_ns = s->ran_ns < s->pace.asked_ns ? s->ran_ns : s->pace.asked_ns;
	uint64_t due_ns = s->switched_in_ns;

	/* xorshift64 (Marsaglia 2003), which needs a seed that is not 0 */
	s->random ^= s->random ? 0 : s->begun_ns | 1;
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	due_ns += most_ns ? s->random % most_ns : 0;
	return due_ns > now_ns ? due_ns - now_ns : 0;
}

static uint64_t rest_until(const struct sampler *s, uint64_t now_ns)
{
	uint64_t due_ns = now_ns + REST_NS;

	if (s->off_due_ns < due_ns)
		due_ns = s->off_due_ns;
	if (sampler_batch_due_ns(s) < due_ns)
		due_ns = sampler_batch_due_ns(s);
	if (s->is_list_wanted && s->list_due_ns < due_ns)
		due_ns = s->list_due_ns;
	return due_ns > now_ns ? due_ns : now_ns;
}

uint64_t sampler_rest(struct sampler *s, uint64_t now_ns)
{
	uint64_t until_ns = rest_until(s, now_ns);
	size_t n;

	if (until_ns <= now_ns)
		return now_ns;
	atomic_store_explicit(&s->progress.is_backed_off, true, memory_order_relaxed);
	edges_wait(s->edges, s->wake_fd, until_ns - now_ns);
	now_ns = clock_monotonic_ns();
	n = edges_read(s->edges, now_ns);
	if (edges_are_over(s->edges))
		give_up_edges(s);
	/*
	 * Something runs that is no thread of the interpreter. That may be often, and is none of
	 * our business.
	 */
	if (n && sampler_may_rest(s))
		sampler_sleep_until(now_ns + s->pace.interval_ns);
	if (!sampler_may_rest(s))
		atomic_store_explicit(&s->progress.is_backed_off, pace_is_backed_off(&s->pace),
				      memory_order_relaxed);
	return now_ns;
}

/*
 * At low rates a wait could be over before the next round comes. To be woken by each of the
 * target's switches would cost more than the rate allows.
 */
static bool may_end_early(struct sampler *s, uint64_t now_ns, uint64_t until_ns)
{
	uint64_t distance_ns = s->pace.asked_ns / EARLY_FACTOR;

	if (!s->edges || !s->n_tracks || until_ns - now_ns < EARLY_MIN_NS || now_ns < s->early_ns)
		return false;
	if (now_ns - s->stopped_ns > EARLY_ROUNDS * s->pace.asked_ns)
		return false;
	s->early_ns = now_ns + (distance_ns < EARLY_MAX_NS ? distance_ns : EARLY_MAX_NS);
	return true;
}

/* A target that switches often fills the rings of edges in the meantime. */
static void sleep_reading(struct sampler *s, uint64_t now_ns, uint64_t until_ns)
{
	while (s->edges && now_ns < until_ns && until_ns - now_ns >= READ_EDGES_NS) {
		edges_sleep(s->edges, until_ns - now_ns);
		now_ns = clock_monotonic_ns();
		sampler_take_edges(s, now_ns);
	}
	if (now_ns < until_ns)
		sampler_sleep_until(until_ns);
}

void sampler_pause(struct sampler *s, uint64_t now_ns, uint64_t until_ns)
{
	if (!may_end_early(s, now_ns, until_ns)) {
		sleep_reading(s, now_ns, until_ns);
		return;
	}
	edges_wait(s->edges, s->wake_fd, until_ns - now_ns);
	now_ns = clock_monotonic_ns();
	sampler_take_edges(s, now_ns);
	if (s->edges && s->n_waiting == s->n_tracks && now_ns < s->pace.due_ns)
		s->pace.due_ns = now_ns;
}
