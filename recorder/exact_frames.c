/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread's frames, as its probes tell of them, and what is told of that.
 *
 * What is told is what sys.settrace() would tell. The probes of 3.11 differ from it in two ways:
 * the first line of a function is not told where it is the line of its definition too (a lambda),
 * and after each await or yield from its line is told once more.
 */
#include <string.h>

#include "common/xalloc.h"
#include "recorder/exact_private.h"

/* --- telling --- */

static uint32_t told_depth(const struct exact_thread *th)
{
	return th->n ? th->frames[th->n - 1].depth + th->frames[th->n - 1].is_followed : 0;
}

/* The whole stack, up to a frame that is pending. */
static bool tell_all(struct sampler *s, struct exact_thread *th, uint64_t time_ns)
{
	struct exact *x = s->exact;
	uint32_t n = 0;

	x->now = xgrow(x->now, &x->now_cap, th->n + 1, sizeof(x->now[0]));
	for (size_t i = 0; i < th->n; i++) {
		const struct exact_frame *f = &th->frames[i];

		if (f->is_followed && !f->is_pending)
			x->now[n++] = (struct record_frame){f->code, f->line};
	}
	return sampler_told_stack(s, th->track, time_ns, 0, x->now, n);
}

/* From here on the stack is as th->frames has it, of which all below `keep` is told. */
static void tell(struct sampler *s, struct exact_thread *th, uint64_t time_ns, uint32_t keep,
		 const struct exact_frame *top)
{
	struct record_frame frame = {0};
	bool is_told = false;

	if (top)
		frame = (struct record_frame){top->code, top->line};
	if (th->is_told)
		is_told = sampler_told_stack(s, th->track, time_ns, keep, &frame, top ? 1 : 0);
	if (!is_told)
		tell_all(s, th, time_ns);
	th->is_told = true;
}

static void tell_line(struct sampler *s, struct exact_thread *th, struct exact_frame *f,
		      uint64_t time_ns)
{
	f->is_pending = false;
	tell(s, th, time_ns, f->depth, f);
}

/* The first line of a function, where its probe does not tell it. */
static void settle_first_line(struct sampler *s, struct exact_thread *th)
{
	struct exact_frame *f = th->n ? &th->frames[th->n - 1] : NULL;

	if (f && f->is_pending)
		tell_line(s, th, f, f->entered_ns);
}

static void pop(struct sampler *s, struct exact_thread *th, uint64_t time_ns)
{
	struct exact_frame *f = &th->frames[th->n - 1];

	/* One that has no line at all was left before its first one. */
	if (f->begins_here)
		settle_first_line(s, th);
	th->n--;
	if (f->is_followed)
		tell(s, th, time_ns, f->depth, NULL);
}

/* --- what happened --- */

static bool is_of_frame(const struct exact_frame *f, const struct line_event *e, uint64_t addr)
{
	if (f->addr && addr)
		return f->addr == addr;
	return !f->file || (f->file == e->file && f->name == e->name);
}

/*
 * Make the frame that this is about the top one: frames above it are gone, though that was not
 * told. False: there is none.
 */
static bool find_frame(struct sampler *s, struct exact_thread *th, const struct line_event *e,
		       uint64_t addr, uint64_t time_ns)
{
	size_t at = th->n;

	if (at && is_of_frame(&th->frames[at - 1], e, addr))
		return true;
	while (addr && at && th->frames[at - 1].addr != addr)
		at--;
	if (!addr || !at)
		return false;
	while (th->n > at)
		pop(s, th, time_ns);
	return true;
}

static uint32_t id_of(struct sampler *s, struct exact_code *code, uint64_t now_ns)
{
	if (!code->id)
		code->id = sampler_told_code(s, code->file, strlen(code->file), code->name,
					     strlen(code->name), code->first_line, now_ns);
	return code->id;
}

static struct exact_frame *push(struct exact_thread *th)
{
	uint32_t depth = told_depth(th);

	th->frames = xgrow(th->frames, &th->cap, th->n + 1, sizeof(th->frames[0]));
	th->frames[th->n] = (struct exact_frame){.depth = depth};
	return &th->frames[th->n++];
}

/* Whether the line of this one is told once more after it has gone on there. */
static bool awaits_at(const struct exact_code *code, int32_t line)
{
	for (unsigned i = 0; i < code->n_awaits; i++) {
		if (code->awaits[i] == line)
			return true;
	}
	return false;
}

static void on_entry(struct sampler *s, struct exact_thread *th, const struct line_event *e,
		     const struct line_sample *sample, uint64_t addr)
{
	struct exact_code *code;
	struct exact_frame *f;
	bool is_followed;
	uint32_t id = 0;

	if (exact_codes_find(s->exact->codes, e, &sample->state, s->exact->now_ns, &code) < 0) {
		exact_lose_sync(s, th, sample->time_ns);
		return;
	}
	if (code->followed < 0)
		code->followed = sampler_is_followed(s, code->file, code->name);
	is_followed = code->followed;
	if (is_followed && th->is_synced)
		id = id_of(s, code, sample->time_ns);
	if (th->is_synced)
		settle_first_line(s, th);
	/* Too deep; or there was no room to announce it. */
	if (th->n >= EXACT_FRAMES_MAX || (is_followed && !id)) {
		exact_lose_sync(s, th, sample->time_ns);
		return;
	}
	f = push(th);
	f->addr = addr;
	f->file = e->file;
	f->name = e->name;
	f->code = id;
	f->line = e->line;
	f->entered_ns = sample->time_ns;
	f->is_followed = is_followed;
	f->is_genexpr = code->is_genexpr;
	f->begins_here = code->begins_here;
	f->may_repeat = awaits_at(code, e->line);
	if (!is_followed)
		return;
	/* One that begins tells its first line by itself; one that goes on does not. A module
	 * begins on line 0, before its first one. */
	if (e->line == 0 || (e->line == code->first_line && !f->may_repeat))
		f->is_pending = true;
	else if (th->is_synced)
		tell(s, th, sample->time_ns, f->depth, f);
}

/* Whether a line was there before the one that is told now, but was not told. */
static bool lacks_first_line(const struct exact_frame *f, const struct line_event *e)
{
	if (!f->is_pending || f->line == 0)
		return false;
	/* One that goes on in its first line, mostly. */
	if (f->is_genexpr && e->line == f->line)
		return false;
	return f->begins_here < 0 ? e->line == f->line : f->begins_here;
}

static void on_line(struct sampler *s, struct exact_thread *th, const struct line_event *e,
		    uint64_t addr, uint64_t time_ns)
{
	struct exact_frame *f = &th->frames[th->n - 1];
	bool is_repeated = f->may_repeat && e->line == f->line;

	f->may_repeat = false;
	f->file = e->file;
	f->name = e->name;
	if (addr)
		f->addr = addr;
	if (is_repeated)
		return;
	if (f->is_followed && th->is_synced && lacks_first_line(f, e))
		settle_first_line(s, th);
	f->line = e->line;
	if (f->is_followed && th->is_synced)
		tell_line(s, th, f, time_ns);
}

/*
 * A frame that is there cannot be entered: the look from which it is known came after that, and
 * the record was on its way for long.
 */
static bool is_known_already(const struct exact_thread *th, uint64_t addr)
{
	return addr && th->n && th->frames[th->n - 1].addr == addr;
}

void exact_on_event(struct sampler *s, struct exact_thread *th, const struct line_event *e,
		    const struct line_sample *sample)
{
	struct exact *x = s->exact;
	uint64_t addr = exact_codes_frame(x->codes, e, &sample->state, x->now_ns);

	if (!th->is_synced) {
		exact_sync_note(th, e, addr);
		return;
	}
	if (e->kind == PROBE_ENTRY) {
		if (!is_known_already(th, addr))
			on_entry(s, th, e, sample, addr);
		return;
	}
	if (!find_frame(s, th, e, addr, sample->time_ns)) {
		atomic_fetch_add_explicit(&s->exact_progress.resyncs, 1, memory_order_relaxed);
		exact_lose_sync(s, th, sample->time_ns);
		return;
	}
	if (e->kind == PROBE_LINE)
		on_line(s, th, e, addr, sample->time_ns);
	else
		pop(s, th, sample->time_ns);
}
