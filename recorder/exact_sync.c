/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frames of a thread that runs, so that from a certain moment on they can be followed by what
 * the probes tell. A look takes some microseconds, in which frames come and go. So:
 *
 *	1. all that was told is taken; from here on it is noted which frames come or go
 *	2. a look at the thread
 *	3. all that was told meanwhile is taken
 *
 * Frames of the look that came or went since 1 are left out, with all above them. What is left was
 * there all the time, and is all that there is when none that came since 1 is still there; when
 * one is, another try is made soon.
 */
#include <errno.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/exact_private.h"

/* Looks at a thread, each time. */
#define TRIES_MAX 8
/* What a probe tells is in its ring so long after its time at the latest, mostly. */
#define SETTLE_NS (50 * NS_PER_US)

void exact_sync_begin(struct exact_thread *th)
{
	th->n = th->n_met = th->n_lines = 0;
	th->is_met_full = false;
}

static void note_met(struct exact_thread *th, uint64_t addr)
{
	if (!addr || th->n_met == EXACT_MET_MAX) {
		th->is_met_full = true;
		return;
	}
	th->met = xgrow(th->met, &th->met_cap, th->n_met + 1, sizeof(th->met[0]));
	th->met[th->n_met++] = addr;
}

/* The line at which a frame is now. */
static void note_line(struct exact_thread *th, uint64_t addr, int32_t line)
{
	for (size_t i = th->n_lines; i > 0; i--) {
		if (th->lines[i - 1].addr == addr) {
			th->lines[i - 1].line = line;
			return;
		}
	}
	if (th->n_lines == EXACT_MET_MAX) {
		th->is_met_full = true;
		return;
	}
	th->lines = xgrow(th->lines, &th->lines_cap, th->n_lines + 1, sizeof(th->lines[0]));
	th->lines[th->n_lines].addr = addr;
	th->lines[th->n_lines++].line = line;
}

void exact_sync_note(struct exact_thread *th, const struct line_event *e, uint64_t addr)
{
	struct exact_frame *top = th->n ? &th->frames[th->n - 1] : NULL;

	switch (e->kind) {
	case PROBE_ENTRY:
		note_met(th, addr);
		if (th->n == EXACT_FRAMES_MAX) {
			th->is_met_full = true;
			break;
		}
		th->frames = xgrow(th->frames, &th->cap, th->n + 1, sizeof(th->frames[0]));
		th->frames[th->n++] = (struct exact_frame){
		    .addr = addr, .file = e->file, .name = e->name, .line = e->line};
		break;
	case PROBE_RETURN:
		note_met(th, addr);
		if (top && top->addr == addr)
			th->n--;
		break;
	case PROBE_LINE:
		note_line(th, addr, e->line);
		break;
	case N_PROBE_KINDS:
		break;
	}
}

static bool was_met(const struct exact_thread *th, uint64_t addr)
{
	for (size_t i = 0; i < th->n_met; i++) {
		if (th->met[i] == addr)
			return true;
	}
	return false;
}

static int look(struct sampler *s, struct exact_thread *th)
{
	int r = -EAGAIN;

	py_stacks_set_loading(s->stacks, true);
	py_stacks_set_still(s->stacks, false);
	for (int i = 0; i < TRIES_MAX && r == -EAGAIN; i++) {
		uint64_t now_ns = clock_monotonic_ns();

		r = py_stack_read(s->stacks, th->track->stack, now_ns, &s->snap);
		if (r == 0 &&
		    (s->snap.cut != PY_NOT_CUT || sampler_prove_young(s, now_ns) < s->snap.n))
			r = -EAGAIN;
	}
	return r;
}

static void take_frame(struct sampler *s, struct exact_thread *th, const struct py_frame *from,
		       uint64_t now_ns)
{
	struct exact_frame *below = th->n ? &th->frames[th->n - 1] : NULL;
	struct py_code *code = from->code;
	struct exact_frame f = {
	    .addr = from->addr,
	    .depth = below ? below->depth + below->is_followed : 0,
	    .line = py_frame_line(s->codes, from),
	    .begins_here = -1,
	    .is_genexpr = false,
	};

	for (size_t i = 0; i < th->n_lines; i++) {
		if (th->lines[i].addr == f.addr)
			f.line = th->lines[i].line;
	}
	if (code->followed < 0)
		code->followed = sampler_is_followed(s, code->file, code->name);
	f.is_followed = code->followed;
	if (f.is_followed)
		f.code = sampler_told_code(s, code->file, code->file_len, code->name,
					   code->name_len, code->first_line, now_ns);
	exact_codes_know(s->exact->codes, code->addr);
	th->frames = xgrow(th->frames, &th->cap, th->n + 1, sizeof(th->frames[0]));
	th->frames[th->n++] = f;
}

/* Take what is certain of the look, if that is all there is. */
static bool adopt(struct sampler *s, struct exact_thread *th, uint64_t now_ns)
{
	uint32_t kept = 0;

	if (th->is_met_full || th->n)
		return false;
	while (kept < s->snap.n && !was_met(th, s->snap.frames[kept].addr))
		kept++;
	for (uint32_t i = 0; i < kept; i++)
		take_frame(s, th, &s->snap.frames[i], now_ns);
	return true;
}

static void sync_thread(struct sampler *s, struct exact_thread *th)
{
	uint64_t now_ns;

	exact_sync_begin(th);
	if (look(s, th) < 0)
		return;
	now_ns = clock_monotonic_ns() + SETTLE_NS;
	while (clock_monotonic_ns() < now_ns)
		;
	if (!exact_take_until(s, now_ns) || th->is_synced)
		return;
	if (!adopt(s, th, now_ns))
		return;
	exact_begin_telling(s, th, now_ns);
}

void exact_sync_threads(struct sampler *s)
{
	struct exact *x = s->exact;

	for (size_t i = 0; i < x->n; i++) {
		struct exact_thread *th = x->threads[i];

		if (!th->is_synced && th->track->id.tstate)
			sync_thread(s, th);
	}
}
