/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's state, and what can be asked of it. */
#include "reader/replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/text.h"
#include "common/xalloc.h"
#include "reader/replay_private.h"
#include "reader/trace.h"

/* A trace without an end that was not written to for so long is not being recorded. */
#define SILENT_S 20

/* --- life --- */

static int no_state(void *ctx, uint16_t thread, uint64_t time_ns, struct thread_state *ret)
{
	(void)ctx;
	(void)thread;
	(void)time_ns;
	(void)ret;
	return 0;
}

static int no_wait(void *ctx, uint16_t thread, uint64_t time_ns, enum direction way,
		   uint64_t min_ns, enum idle_choice idle, uint16_t *ret_thread,
		   struct thread_state *ret)
{
	(void)ctx;
	(void)thread;
	(void)time_ns;
	(void)way;
	(void)min_ns;
	(void)idle;
	(void)ret_thread;
	(void)ret;
	return -EOPNOTSUPP;
}

static int no_turn(void *ctx, uint16_t thread, uint64_t time_ns, enum direction way,
		   uint64_t min_ns, struct cancel cancel, struct thread_turn *ret)
{
	(void)ctx;
	(void)thread;
	(void)time_ns;
	(void)way;
	(void)min_ns;
	(void)cancel;
	(void)ret;
	return -EOPNOTSUPP;
}

static const struct thread_states nothing_known = {
    .at = no_state, .find_wait = no_wait, .find_turn = no_turn};

static void look_at_end(struct replay *r)
{
	int64_t silent_s = (int64_t)time(NULL) - trace_last_written_s(r->trace);

	if (trace_has_ended(r->trace) == 1)
		r->end = TRACE_END_WRITTEN;
	else
		r->end = silent_s < SILENT_S ? TRACE_END_STILL_GROWS : TRACE_END_CUT_OFF;
}

static int read_times(struct replay *r)
{
	int64_t utc_offset_s = r->clock.utc_offset_s;
	bool is_first = !r->clock.anchors;
	struct clock_map clock;
	int e = trace_bounds(r->trace, &r->start_ns, &r->end_ns);

	if (e == 0)
		e = clock_map_init(&clock, r->trace);
	if (e < 0)
		return e;
	clock_map_done(&r->clock);
	r->clock = clock;
	if (!is_first)
		r->clock.utc_offset_s = utc_offset_s;
	look_at_end(r);
	return 0;
}

int replay_new(struct trace *trace, struct replay **ret, char *why, size_t why_size)
{
	auto_release(replay_free) struct replay *r = xcalloc(1, sizeof(*r));
	int e;

	r->trace = trace;
	r->states = &nothing_known;
	e = read_times(r);
	if (e == 0) {
		r->cursor = cursor_new(trace);
		e = cursor_end(r->cursor, BACKWARDS);
	}
	if (e < 0) {
		snprintf(why, why_size, "cannot read it: %s",
			 e == -EBADMSG ? "damaged" : strerror(-e));
		return e;
	}
	*ret = steal_ptr(r);
	return 0;
}

void replay_free(struct replay *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_breakpoints; i++)
		replay_stop_done(&r->breakpoints[i]);
	for (size_t i = 0; i < r->n_bookmarks; i++)
		free(r->bookmarks[i].name);
	cursor_free(r->cursor);
	clock_map_done(&r->clock);
	source_text_done(&r->source);
	free(r->stack);
	free(r->breakpoints);
	free(r->bookmarks);
	free(r->last_command);
	free(r->last_search);
	free(r->last_function);
	free(r);
}

void replay_use_utc(struct replay *r)
{
	r->clock.utc_offset_s = 0;
}

void replay_set_thread_states(struct replay *r, const struct thread_states *states)
{
	r->states = states;
}

void replay_set_cancel(struct replay *r, struct cancel cancel)
{
	r->cancel = cancel;
	cursor_set_cancel(r->cursor, cancel);
}

void replay_release(struct replay *r)
{
	if (r->end != TRACE_END_WRITTEN)
		trace_release(r->trace);
}

int replay_refresh(struct replay *r)
{
	bool had_place = cursor_has_spot(r->cursor);
	int e;

	if (r->end == TRACE_END_WRITTEN)
		return 0;
	e = trace_refresh(r->trace);
	if (e == 0)
		e = read_times(r);
	if (e == 0)
		e = cursor_refresh(r->cursor);
	if (e == 0 && !had_place)
		e = cursor_end(r->cursor, BACKWARDS);
	r->stack_is_known = false;
	if (e >= 0)
		e = replay_stops_refresh(r);
	return e < 0 ? e : 0;
}

enum trace_end replay_trace_end(const struct replay *r)
{
	return r->end;
}

struct trace *replay_trace(const struct replay *r)
{
	return r->trace;
}

struct cursor *replay_cursor(const struct replay *r)
{
	return r->cursor;
}

const struct clock_map *replay_clock(const struct replay *r)
{
	return &r->clock;
}

void replay_bounds(const struct replay *r, uint64_t *ret_start_ns, uint64_t *ret_end_ns)
{
	*ret_start_ns = r->start_ns;
	*ret_end_ns = r->end_ns;
}

/* --- where we are --- */

void replay_arrived(struct replay *r)
{
	r->stack_is_known = false;
	r->frame = 0;
	r->other_file = 0;
	r->shown_line = 0;
	r->next_listed = 0;
}

const struct cursor_frame *replay_stack(struct replay *r, uint32_t *ret_depth)
{
	if (!r->stack_is_known) {
		free(r->stack);
		r->stack = NULL;
		r->depth = 0;
		if (cursor_has_spot(r->cursor) && cursor_stack(r->cursor, &r->stack) == 0)
			r->depth = cursor_spot(r->cursor)->depth;
		r->stack_is_known = true;
	}
	*ret_depth = r->depth;
	return r->stack;
}

bool replay_selected(struct replay *r, struct cursor_frame *ret)
{
	uint32_t depth;
	const struct cursor_frame *stack = replay_stack(r, &depth);

	if (r->frame >= depth)
		return false;
	*ret = stack[depth - 1 - r->frame];
	return true;
}

static uint32_t file_of(struct replay *r, uint32_t code_id)
{
	const struct trace_code *code = trace_get_code(r->trace, code_id);

	return code ? code->file : 0;
}

int replay_place(struct replay *r, struct place *ret)
{
	struct cursor_frame frame;
	const struct spot *spot;
	int e, can_forwards, can_backwards, after_gap, damaged;

	*ret = (struct place){0};
	if (!cursor_has_spot(r->cursor))
		return 0;
	spot = cursor_spot(r->cursor);
	ret->time_ns = spot->time_ns;
	ret->at_ns = cursor_time(r->cursor);
	ret->thread = spot->row.thread;
	ret->depth = spot->depth;
	ret->frame = r->frame;
	if (replay_selected(r, &frame)) {
		ret->code = frame.code;
		ret->line = frame.line;
		ret->file = file_of(r, frame.code);
	}
	if ((e = cursor_ending(r->cursor, &ret->until_ns, &ret->ending)) < 0 ||
	    (e = cursor_provenance(r->cursor, &ret->provenance, &ret->is_sampled)) < 0 ||
	    (e = can_forwards = cursor_can_step(r->cursor, FORWARDS)) < 0 ||
	    (e = can_backwards = cursor_can_step(r->cursor, BACKWARDS)) < 0 ||
	    (e = after_gap = cursor_is_after_gap(r->cursor)) < 0 ||
	    (e = damaged = cursor_is_damaged(r->cursor)) < 0)
		return e;
	ret->is_last = !can_forwards;
	ret->is_first = !can_backwards;
	ret->is_after_gap = after_gap;
	ret->is_damaged = damaged;
	e = r->states->at(r->states->ctx, ret->thread, ret->at_ns, &ret->state);
	return e < 0 ? e : 1;
}

/* --- what is shown --- */

uint32_t replay_shown_file(struct replay *r)
{
	struct cursor_frame frame;

	if (r->other_file)
		return r->other_file;
	return replay_selected(r, &frame) ? file_of(r, frame.code) : 0;
}

const struct source_text *replay_source(struct replay *r)
{
	uint32_t file = replay_shown_file(r);
	size_t len;
	char *text;

	if (file == r->source_file)
		return r->has_source ? &r->source : NULL;
	source_text_done(&r->source);
	r->source_file = file;
	r->has_source = file && trace_file_source(r->trace, file, &text, &len) == 0;
	if (!r->has_source)
		return NULL;
	source_text_init(&r->source, text, len);
	return &r->source;
}

int32_t replay_shown_line(struct replay *r)
{
	struct cursor_frame frame;

	if (r->shown_line)
		return r->shown_line;
	if (!r->other_file && replay_selected(r, &frame) && frame.line > 0)
		return frame.line;
	return 1;
}

void replay_scroll_to(struct replay *r, int32_t line)
{
	const struct source_text *s = replay_source(r);
	int32_t last = s && s->n_lines ? s->n_lines : 1;

	r->shown_line = line < 1 ? 1 : line > last ? last : line;
}

const struct breakpoint *replay_breakpoints(const struct replay *r, size_t *ret_n)
{
	*ret_n = r->n_breakpoints;
	return r->breakpoints;
}

const struct bookmark *replay_bookmarks(const struct replay *r, size_t *ret_n)
{
	*ret_n = r->n_bookmarks;
	return r->bookmarks;
}

bool replay_has_breakpoint(struct replay *r, int32_t line)
{
	uint32_t file = replay_shown_file(r);

	for (size_t i = 0; i < r->n_breakpoints; i++) {
		const struct stop *s = &r->breakpoints[i].stop;

		for (size_t f = 0; s->line == line && f < s->n_files; f++) {
			if (s->files[f] == file)
				return true;
		}
	}
	return false;
}

/* --- answers --- */

void answer_done(struct answer *a)
{
	free(a->note);
	*a = (struct answer){0};
}

char *replay_shown_text(const char *text, size_t len)
{
	return text_escape(text, len, "", text_locale_charset());
}

static void __attribute__((format(printf, 2, 0)))
set_note(struct answer *a, const char *fmt, va_list args)
{
	char *text;

	if (vasprintf(&text, fmt, args) < 0)
		xalloc_failed();
	free(a->note);
	a->note = text;
}

void replay_note(struct answer *a, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set_note(a, fmt, args);
	va_end(args);
}

int replay_refuse(struct answer *a, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set_note(a, fmt, args);
	va_end(args);
	a->kind = ANSWER_ERROR;
	return -EINVAL;
}

int replay_fail(struct answer *a, int r)
{
	if (r == -EINTR)
		replay_refuse(a, "interrupted");
	else if (r == -EBADMSG)
		replay_refuse(a, "the trace is damaged there");
	else
		replay_refuse(a, "cannot read the trace: %s", strerror(-r));
	return r;
}

int replay_need_place(struct replay *r, struct answer *a)
{
	size_t n;

	if (cursor_has_spot(r->cursor))
		return 0;
	cursor_threads(r->cursor, &n);
	return replay_refuse(a, "nothing was recorded%s", n ? "" : ": the trace has no threads");
}
