/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Precise sections: what the shim in the target tells of them, told on as events of their threads
 * (see shim_ring.h and sampler_told.c). While a section is open, looks at its thread tell nothing;
 * between sections they tell what they see. Names and files of code objects are read from the
 * target's memory as for looks: the shim keeps each of them for as long as it is told of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/follow.h"
#include "recorder/sampler_private.h"
#include "recorder/shim_ring.h"

/* The shim takes us to be gone when this is over. We renew it early, but may rest for a second. */
#define WANTED_NS (3 * NS_PER_S)
#define RENEW_NS  (100 * NS_PER_MS)

/* Not more often is the list of threads read for the sake of a new one. */
#define LIST_NS (10 * NS_PER_MS)

/* While records come, the ring is read at least this often: much fits into it, but not all. */
#define BUSY_NS	    (500 * NS_PER_MS)
#define BUSY_NAP_NS (10 * NS_PER_MS)

/* A section that has told no line by then is at where it began. */
#define ENTERED_NS (100 * NS_PER_MS)

/* Read at a time, and in one poll: more than a ring holds. */
#define CHUNK	    256
#define MAX_RECORDS (1u << 18)

/* Threads are found by their number in the shim, code by its address; others take their places. */
#define THREAD_SLOTS 256
#define CODE_SLOTS   16384
#define MAX_DEPTH    1024

struct precise_frame {
	uint64_t id;
	uint32_t code;	  /* as announced; 0: not followed */
	uint32_t n_shown; /* followed ones up to this */
	int32_t line;
};

struct precise_thread {
	uint32_t number; /* 0: none */
	uint64_t python_id;
	uint32_t native_id;
	struct track *track; /* NULL: not found, or no section is open */
	struct precise_frame *frames;
	size_t n, cap;
	size_t n_base;	   /* frames below the section, when it was told last */
	uint64_t base;	   /* the innermost of them; 0: not known */
	int32_t base_line; /* of the statement that begins a section */
	enum provenance provenance;
	bool is_entered;     /* and nothing else happened in the section */
	uint64_t entered_ns; /* the begin is still to be told, if not with its first line; 0: no */
	uint32_t n_told;     /* followed frames that are as they were told */
	uint64_t told_ns;
};

struct precise_code {
	uint64_t addr; /* 0: none */
	uint32_t id;   /* 0: not followed, or not readable */
};

struct sampler_precise {
	struct shim_ring *ring;
	uint64_t renew_ns;
	enum shim_wanted wanted;
	uint64_t came_ns; /* the last record */
	struct precise_thread threads[THREAD_SLOTS];
	struct precise_code codes[CODE_SLOTS];
	uint64_t told_ns; /* the last event */
	size_t n_open;	  /* sections */
	struct record_frame *shown;
	size_t shown_cap;
	struct shim_record records[CHUNK];
};

/* --- code objects --- */

static struct precise_code *code_slot(struct sampler_precise *p, uint64_t addr)
{
	return &p->codes[(addr >> 4 ^ addr >> 18) % CODE_SLOTS];
}

static uint32_t load_code(struct sampler *s, uint64_t addr, uint64_t now_ns)
{
	struct py_code *code = py_codes_find(s->codes, addr);

	/* It may have been another one's when it was loaded for a look. */
	if (code && py_codes_check(s->codes, code, now_ns, false) != 1)
		code = NULL;
	if (!code && py_codes_load(s->codes, addr, now_ns, &code) < 0)
		return 0;
	if (!follow_file(s->config->follow, s->config->packages, code->file, code->name))
		return 0;
	return sampler_told_code(s, code->file, code->file_len, code->name, code->name_len,
				 code->first_line, now_ns);
}

static uint32_t find_code(struct sampler *s, uint64_t addr, uint64_t now_ns)
{
	struct precise_code *c = code_slot(s->precise, addr);

	if (!addr)
		return 0;
	if (c->addr != addr) {
		c->id = load_code(s, addr, now_ns);
		c->addr = c->id ? addr : 0;
	}
	return c->id;
}

/* --- threads --- */

static struct precise_thread *find_thread(struct sampler_precise *p, uint32_t number)
{
	struct precise_thread *th = &p->threads[number % THREAD_SLOTS];

	return number && th->number == number ? th : NULL;
}

/* A thread that is over soon has told its sections, but was never listed. */
static struct track *find_track(struct sampler *s, const struct precise_thread *th, uint64_t now_ns)
{
	struct track *t = sampler_find_told(s, th->python_id, th->native_id);

	if (!t && now_ns >= s->listed_ns + LIST_NS && sampler_list_threads(s, now_ns) == 0)
		t = sampler_find_told(s, th->python_id, th->native_id);
	return t ? t : sampler_add_told(s, th->python_id, th->native_id);
}

/* The section ends, or what is known of it does. */
static void end_section(struct sampler *s, struct precise_thread *th, uint64_t time_ns)
{
	if (!th->track)
		return;
	if (time_ns < th->told_ns)
		time_ns = th->told_ns;
	if (s->precise->told_ns < time_ns)
		s->precise->told_ns = time_ns;
	if (th->track->told_by == th->provenance)
		sampler_told_end(s, th->track, time_ns);
	th->track = NULL;
	s->precise->n_open--;
}

static void begin_section(struct sampler *s, struct precise_thread *th, uint64_t time_ns,
			  uint64_t now_ns)
{
	th->track = find_track(s, th, now_ns);
	/* Another source knows each line anyway. */
	if (th->track && th->track->told_by != PROVENANCE_OBSERVED)
		th->track = NULL;
	if (!th->track)
		return;
	s->counters.sections += th->provenance == PROVENANCE_PRECISE;
	s->precise->n_open++;
	sampler_told_begin(s, th->track, th->provenance, time_ns);
	th->n_told = 0;
	th->entered_ns = 0;
	th->told_ns = time_ns;
}

static void push(struct precise_thread *th, const struct precise_frame *frame)
{
	uint32_t below = th->n ? th->frames[th->n - 1].n_shown : 0;

	if (th->n == MAX_DEPTH)
		return;
	th->frames = xgrow(th->frames, &th->cap, th->n + 1, sizeof(th->frames[0]));
	th->frames[th->n] = *frame;
	th->frames[th->n++].n_shown = below + (frame->code != 0);
}

/* Its index + 1, so 0: it is not in the stack. */
static size_t find_frame(const struct precise_thread *th, uint64_t id)
{
	size_t i = th->n;

	while (i && th->frames[i - 1].id != id)
		i--;
	return i;
}

static uint32_t count_shown(const struct precise_thread *th)
{
	return th->n ? th->frames[th->n - 1].n_shown : 0;
}

/* What is the same as in the last stack that was told of this thread, whoever told it. */
static uint32_t count_same(const struct track *t, const struct record_frame *frames, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && i < t->n_last && t->last[i].code == frames[i].code &&
	       t->last[i].line == frames[i].line)
		i++;
	return i;
}

/* The followed frames of the stack into p->shown, from the keep-th on. Returns their number. */
static uint32_t show(struct sampler_precise *p, const struct precise_thread *th, uint32_t keep)
{
	uint32_t n = count_shown(th);
	size_t i = th->n;

	if (n <= keep)
		return 0;
	p->shown = xgrow(p->shown, &p->shown_cap, n - keep, sizeof(p->shown[0]));
	while (i && th->frames[i - 1].n_shown > keep) {
		const struct precise_frame *f = &th->frames[--i];

		if (f->code)
			p->shown[f->n_shown - 1 - keep] =
			    (struct record_frame){.code = f->code, .line = f->line};
	}
	return n - keep;
}

/* The stack is as it is here from then on. */
static void tell(struct sampler *s, struct precise_thread *th, uint64_t time_ns)
{
	struct sampler_precise *p = s->precise;
	uint32_t n = count_shown(th), keep = th->n_told < n ? th->n_told : n, more;

	more = show(p, th, keep);
	if (!keep) {
		keep = count_same(th->track, p->shown, more);
		more -= keep;
		if (keep)
			memmove(p->shown, p->shown + keep, more * sizeof(p->shown[0]));
	}
	th->told_ns = p->told_ns = time_ns;
	th->n_told = n;
	if (sampler_told_stack(s, th->track, time_ns, keep, p->shown, more))
		return;
	/* After a gap the whole stack is wanted. */
	more = show(p, th, 0);
	if (!sampler_told_stack(s, th->track, time_ns, 0, p->shown, more))
		th->n_told = 0;
}

/* A section whose first line is not told, or not yet: so far it is where it began. */
static void tell_enter(struct sampler *s, struct precise_thread *th)
{
	uint64_t time_ns = th->entered_ns;

	th->entered_ns = 0;
	if (th->track && time_ns)
		tell(s, th, time_ns);
}

/* --- records --- */

static void on_thread(struct sampler *s, const struct shim_record *r)
{
	struct precise_thread *th = &s->precise->threads[r->thread % THREAD_SLOTS];

	if (!r->thread)
		return;
	if (th->number != r->thread || th->python_id != r->value) {
		end_section(s, th, th->told_ns);
		th->base = 0;
	}
	th->number = r->thread;
	th->python_id = r->value;
	th->native_id = (uint32_t)r->frame;
	if (!th->track)
		th->n = 0;
}

static void on_frame(struct sampler *s, struct precise_thread *th, const struct shim_record *r,
		     uint64_t now_ns)
{
	const struct precise_frame frame = {
	    .id = r->frame,
	    .code = find_code(s, r->value, now_ns),
	    .line = r->line <= INT32_MAX ? (int32_t)r->line : 0,
	};

	push(th, &frame);
}

static void on_enter(struct sampler *s, struct precise_thread *th, const struct shim_record *r,
		     uint64_t now_ns)
{
	if (th->n != r->line || (th->n && th->frames[th->n - 1].id != r->frame)) {
		/* Not all of its stack has arrived. */
		th->n = 0;
		th->base = 0;
		return;
	}
	th->n_base = th->n;
	th->base = r->frame;
	th->base_line = th->n ? th->frames[th->n - 1].line : 0;
	th->provenance = r->kind == SHIM_EXACT ? PROVENANCE_EXACT : PROVENANCE_PRECISE;
	begin_section(s, th, r->value, now_ns);
	if (th->track && r->kind == SHIM_RESUME)
		tell(s, th, r->value);
	else
		th->entered_ns = r->value;
	th->is_entered = r->kind == SHIM_ENTER;
}

static void on_line(struct sampler *s, struct precise_thread *th, const struct shim_record *r,
		    uint64_t now_ns)
{
	size_t i;

	if (!th->track) {
		if (!th->base || r->frame != th->base)
			return;
		th->n = th->n_base;
		begin_section(s, th, r->value, now_ns);
		if (!th->track)
			return;
		th->is_entered = true;
	}
	/* Up to 3.10 the statement itself may be told once more. */
	if (th->is_entered && r->frame == th->base && r->line == (uint32_t)th->base_line) {
		th->entered_ns = r->value;
		return;
	}
	th->is_entered = false;
	i = find_frame(th, r->frame);
	if (!i)
		return;
	/* Those above it have been left by an exception. */
	th->n = i;
	th->frames[i - 1].line = r->line <= INT32_MAX ? (int32_t)r->line : 0;
	if (th->n_told >= th->frames[i - 1].n_shown && th->frames[i - 1].code)
		th->n_told = th->frames[i - 1].n_shown - 1;
	tell(s, th, r->value);
}

/* When the frame began is told by its first line. */
static void on_call(struct sampler *s, struct precise_thread *th, const struct shim_record *r,
		    uint64_t now_ns)
{
	const struct precise_frame frame = {
	    .id = r->frame,
	    .code = find_code(s, r->value, now_ns),
	};

	th->is_entered = false;
	if (th->track)
		push(th, &frame);
}

static void on_return(struct sampler *s, struct precise_thread *th, const struct shim_record *r)
{
	size_t i;

	if (!th->track)
		return;
	i = find_frame(th, r->frame);
	if (!i)
		return;
	th->n = i - 1;
	if (th->n_told > count_shown(th))
		th->n_told = count_shown(th);
	tell(s, th, r->value);
}

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

static void on_record(struct sampler *s, const struct shim_record *r, uint64_t now_ns)
{
	struct precise_thread *th = find_thread(s->precise, r->thread);

	if (r->kind == SHIM_THREAD) {
		on_thread(s, r);
		return;
	}
	if (r->kind == SHIM_FORGET) {
		memset(s->precise->codes, 0, sizeof(s->precise->codes));
		return;
	}
	if (!th)
		return;
	if (!(r->kind == SHIM_LINE && r->frame == th->base))
		tell_enter(s, th);
	th->entered_ns = 0;
	switch (r->kind) {
	case SHIM_FRAME:
		if (!th->track)
			on_frame(s, th, r, now_ns);
		break;
	case SHIM_ENTER:
	case SHIM_RESUME:
	case SHIM_EXACT:
		if (!th->track)
			on_enter(s, th, r, now_ns);
		break;
	case SHIM_LINE:
	case SHIM_AT:
		on_line(s, th, r, now_ns);
		break;
	case SHIM_CALL:
		on_call(s, th, r, now_ns);
		break;
	case SHIM_RETURN:
		on_return(s, th, r);
		break;
	case SHIM_LEAVE:
		end_section(s, th, r->value);
		break;
	default:
		break;
	}
}

/* Records are missing: what is open can't be told on, until its stack is told again. */
static void note_lost(struct sampler *s, uint64_t lost, uint64_t now_ns)
{
	struct sampler_precise *p = s->precise;

	s->counters.section_lost += lost;
	for (size_t i = 0; i < THREAD_SLOTS; i++) {
		struct precise_thread *th = &p->threads[i];
		struct track *t = th->track;

		th->base = 0;
		if (!t)
			continue;
		end_section(s, th, th->told_ns);
		sampler_emit_thread_gap(s, t, th->told_ns, now_ns, GAP_SECTION_OVERRUN, lost);
		lost = 0;
	}
}

/* --- the ring --- */

static void use_ring(struct sampler *s, struct shim_ring *ring)
{
	struct sampler_precise *p = s->precise;
	const char *text = s->config->packages_text;

	if (!p)
		p = s->precise = xcalloc(1, sizeof(*p));
	for (size_t i = 0; i < THREAD_SLOTS; i++) {
		end_section(s, &p->threads[i], p->threads[i].told_ns);
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

static void renew(const struct sampler *s, uint64_t now_ns)
{
	struct sampler_precise *p = s->precise;
	enum shim_wanted wanted = atomic_load_explicit(&s->is_shim_exact, memory_order_relaxed)
				      ? SHIM_WANT_EXACT
				      : SHIM_WANT_PRECISE;

	if (now_ns < p->renew_ns && wanted == p->wanted)
		return;
	p->renew_ns = now_ns + RENEW_NS;
	shim_ring_want(p->ring, wanted, now_ns + WANTED_NS);
	p->wanted = wanted;
}

bool sampler_precise_has_told(const struct sampler *s, const struct track *t)
{
	const struct sampler_precise *p = s->precise;
	struct shim_record r;

	if (!p)
		return false;
	for (unsigned i = 0; i < CHUNK; i++) {
		const struct precise_thread *th;

		if (!shim_ring_peek(p->ring, i, &r))
			return false;
		th = &p->threads[r.thread % THREAD_SLOTS];
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
	for (size_t i = 0; i < THREAD_SLOTS; i++) {
		struct precise_thread *th = &s->precise->threads[i];

		if (th->entered_ns && th->track &&
		    clock_monotonic_ns() - th->entered_ns > ENTERED_NS)
			tell_enter(s, th);
	}
}

/* Waits that were over by now can be told. */
static void told_until(struct sampler *s, uint64_t now_ns)
{
	for (size_t i = 0; i < THREAD_SLOTS; i++) {
		const struct precise_thread *th = &s->precise->threads[i];

		if (th->track)
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
		n = shim_ring_read(p->ring, now_ns, p->records, CHUNK, &lost);
		if (lost)
			note_lost(s, lost, now_ns);
		for (size_t i = 0; i < n; i++) {
			check_time(&p->records[i], &now_ns);
			on_record(s, &p->records[i], now_ns);
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
	for (size_t i = 0; i < THREAD_SLOTS; i++) {
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
	for (size_t i = 0; i < THREAD_SLOTS; i++)
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
