/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sampler and the ring of its target's shim: when it is read, how the shim knows that somebody
 * does, and when a look does not count because of what is in it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/sampler_precise.h"

/* The shim takes us to be gone when this is over. We renew it early, but may rest for a second. */
#define WANTED_NS (3 * NS_PER_S)
#define RENEW_NS  (100 * NS_PER_MS)

/* While records come, the ring is read at least this often: much fits into it, but not all. */
#define BUSY_NS	    (500 * NS_PER_MS)
#define BUSY_NAP_NS (10 * NS_PER_MS)

/* A section that has told no line by then is at where it began. */
#define ENTERED_NS (100 * NS_PER_MS)

/* In one poll: more than a ring holds. */
#define MAX_RECORDS (1u << 18)

/* It can't be later than that it was read, whatever it says. */
static void check_time(struct shim_record *r, uint64_t *now_ns)
{
	if (r->kind == SHIM_THREAD || r->kind == SHIM_FRAME || r->kind == SHIM_CALL ||
	    r->value <= *now_ns)
		return;
	*now_ns = clock_monotonic_ns();
	if (r->value > *now_ns)
		r->value = *now_ns;
}

static void use_ring(struct sampler *s, struct shim_ring *ring)
{
	struct sampler_precise *p = s->precise;
	const char *text = s->config->packages_text;

	if (!p)
		p = s->precise = xcalloc(1, sizeof(*p));
	for (size_t i = 0; i < PRECISE_THREADS; i++) {
		precise_end_section(s, &p->threads[i], p->threads[i].told_ns);
		p->threads[i].number = 0;
	}
	memset(p->codes, 0, sizeof(p->codes));
	shim_ring_close(p->ring);
	p->ring = ring;
	p->renew_ns = 0;
	shim_ring_set_packages(ring, s->config->follow == FOLLOW_ALL   ? "*"
				     : s->config->follow == FOLLOW_OWN ? ""
				     : text			       ? text
								       : "");
}

static void renew(struct sampler *s, uint64_t now_ns)
{
	struct sampler_precise *p = s->precise;
	enum shim_wanted wanted = atomic_load_explicit(&s->is_shim_exact, memory_order_relaxed)
				      ? SHIM_WANT_EXACT
				      : SHIM_WANT_PRECISE;

	if (now_ns < p->renew_ns && wanted == p->wanted)
		return;
	p->renew_ns = now_ns + RENEW_NS;
	atomic_store_explicit(&s->progress.shim_state, shim_ring_state(p->ring),
			      memory_order_relaxed);
	shim_ring_want(p->ring, wanted, now_ns + WANTED_NS);
	p->wanted = wanted;
}

bool sampler_precise_has_told(const struct sampler *s, const struct track *t)
{
	const struct sampler_precise *p = s->precise;
	struct shim_record r;

	if (!p)
		return false;
	for (unsigned i = 0; i < PRECISE_CHUNK; i++) {
		const struct precise_thread *th;

		if (!shim_ring_peek(p->ring, i, &r))
			return false;
		th = &p->threads[r.thread % PRECISE_THREADS];
		if (r.kind == SHIM_THREAD
			? r.value == t->id.python_id
			: th->number != r.thread || th->python_id == t->id.python_id)
			return true;
	}
	return true;
}

/* Of sections in which nothing else has been told so far. */
static void tell_entered(struct sampler *s)
{
	for (size_t i = 0; i < PRECISE_THREADS; i++) {
		struct precise_thread *th = &s->precise->threads[i];

		if (th->entered_ns && th->track &&
		    clock_monotonic_ns() - th->entered_ns > ENTERED_NS)
			precise_tell_enter(s, th);
	}
}

/* Waits that were over by now can be told. */
static void told_until(struct sampler *s, uint64_t now_ns)
{
	for (size_t i = 0; i < PRECISE_THREADS; i++) {
		const struct precise_thread *th = &s->precise->threads[i];

		if (th->track && th->track->told_by == th->provenance)
			sampler_told_until(s, th->track, now_ns);
	}
}

void sampler_precise_poll(struct sampler *s, uint64_t now_ns)
{
	struct shim_ring *offered =
	    atomic_load_explicit(&s->offered_shim, memory_order_relaxed)
		? atomic_exchange_explicit(&s->offered_shim, NULL, memory_order_acquire)
		: NULL;
	struct sampler_precise *p;
	uint64_t lost, n_read = 0;
	size_t n;

	if (offered)
		use_ring(s, offered);
	p = s->precise;
	if (!p)
		return;
	renew(s, now_ns);
	do {
		n = shim_ring_read(p->ring, now_ns, p->records, PRECISE_CHUNK, &lost);
		if (lost)
			precise_note_lost(s, lost, now_ns);
		for (size_t i = 0; i < n; i++) {
			check_time(&p->records[i], &now_ns);
			precise_take(s, &p->records[i], now_ns);
		}
		n_read += n;
	} while ((n || lost) && n_read < MAX_RECORDS);
	s->counters.section_records += n_read;
	if (n_read)
		p->came_ns = now_ns;
	if (!p->n_open)
		return;
	tell_entered(s);
	told_until(s, now_ns);
}

uint64_t sampler_precise_nap_ns(const struct sampler *s, uint64_t now_ns)
{
	const struct sampler_precise *p = s->precise;

	return p && now_ns - p->came_ns < BUSY_NS ? BUSY_NAP_NS : UINT64_MAX;
}

uint64_t sampler_precise_told_ns(const struct sampler *s)
{
	return s->precise ? s->precise->told_ns : 0;
}

void sampler_precise_forget(struct sampler *s, const struct track *t)
{
	if (!s->precise)
		return;
	for (size_t i = 0; i < PRECISE_THREADS; i++) {
		struct precise_thread *th = &s->precise->threads[i];

		if (th->track != t)
			continue;
		th->track = NULL;
		th->base = 0;
		s->precise->n_open--;
	}
}

void sampler_precise_free(struct sampler *s)
{
	struct sampler_precise *p = s->precise;

	shim_ring_close(atomic_exchange(&s->offered_shim, NULL));
	if (!p)
		return;
	shim_ring_close(p->ring);
	for (size_t i = 0; i < PRECISE_THREADS; i++)
		free(p->threads[i].frames);
	free(p->shown);
	free(p);
	s->precise = NULL;
}

void sampler_set_shim_exact(struct sampler *s, bool is_wanted)
{
	atomic_store_explicit(&s->is_shim_exact, is_wanted, memory_order_relaxed);
	sampler_wake(s);
}

void sampler_offer_shim(struct sampler *s, struct shim_ring *ring)
{
	shim_ring_close(atomic_exchange(&s->offered_shim, ring));
	sampler_wake(s);
}
