/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Precise sections: what the shim in the target tells of them, told on as events of their threads
 * (see shim_ring.h and sampler_told.c). While a section is open, looks at its thread tell nothing;
 * between sections they tell what they see. Names and files of code objects are read from the
 * target's memory as for looks: the shim keeps each of them for as long as it is told of.
 */
#include "recorder/sampler_precise.h"

#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/follow.h"

/* Not more often is the list of threads read for the sake of a new one. */
#define LIST_NS (10 * NS_PER_MS)

#define MAX_DEPTH 1024

/* --- code objects --- */

static struct precise_code *code_slot(struct sampler_precise *p, uint64_t addr)
{
	return &p->codes[(addr >> 4 ^ addr >> 18) % PRECISE_CODES];
}

static uint32_t load_code(struct sampler *s, uint64_t addr, uint64_t now_ns)
{
	struct py_code *code;

	/* The end of a batch may free it. */
	sampler_told_settle(s);
	code = py_codes_find(s->codes, addr);
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
	struct precise_thread *th = &p->threads[number % PRECISE_THREADS];

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

void precise_end_section(struct sampler *s, struct precise_thread *th, uint64_t time_ns)
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

void precise_tell_enter(struct sampler *s, struct precise_thread *th)
{
	uint64_t time_ns = th->entered_ns;

	th->entered_ns = 0;
	if (th->track && time_ns)
		tell(s, th, time_ns);
}

/* --- records --- */

static void on_thread(struct sampler *s, const struct shim_record *r)
{
	struct precise_thread *th = &s->precise->threads[r->thread % PRECISE_THREADS];

	if (!r->thread)
		return;
	if (th->number != r->thread || th->python_id != r->value) {
		precise_end_section(s, th, th->told_ns);
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

/* Another source tells of the thread by now. */
static void drop_taken(struct sampler *s, struct precise_thread *th)
{
	if (!th->track || th->track->told_by == th->provenance)
		return;
	th->track = NULL;
	s->precise->n_open--;
}

void precise_take(struct sampler *s, const struct shim_record *r, uint64_t now_ns)
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
	drop_taken(s, th);
	if (!(r->kind == SHIM_LINE && r->frame == th->base))
		precise_tell_enter(s, th);
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
		/* Its last line is over at once. */
		if (th->track && r->line)
			on_line(s, th, r, now_ns);
		precise_end_section(s, th, r->value);
		break;
	default:
		break;
	}
}

void precise_note_lost(struct sampler *s, uint64_t lost, uint64_t now_ns)
{
	struct sampler_precise *p = s->precise;

	s->counters.section_lost += lost;
	for (size_t i = 0; i < PRECISE_THREADS; i++) {
		struct precise_thread *th = &p->threads[i];
		struct track *t = th->track;

		th->base = 0;
		if (!t)
			continue;
		precise_end_section(s, th, th->told_ns);
		sampler_emit_thread_gap(s, t, th->told_ns, now_ns, GAP_SECTION_OVERRUN, lost);
		lost = 0;
	}
}
