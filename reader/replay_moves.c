/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that move in time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/trace_schema.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/replay_private.h"
#include "reader/when.h"

/* Where a movement goes when there is nothing more of what it looks for. */
static int run_out(struct replay *r, enum direction way, struct answer *a)
{
	const char *whose =
	    cursor_followed(r->cursor) ? "what was recorded of this thread" : "what was recorded";
	int can = cursor_can_step(r->cursor, way), e;

	if (can < 0)
		return replay_fail(a, can);
	if (!can && way == BACKWARDS)
		return replay_refuse(a, "this is the start of %s", whose);
	if (!can && r->end == TRACE_END_STILL_GROWS)
		return replay_refuse(a, "nothing newer yet");
	if (!can)
		return replay_refuse(a, "this is the end of %s", whose);
	e = cursor_end(r->cursor, way);
	if (e < 0)
		return replay_fail(a, e);
	replay_note(a, "no more of that: this is the %s of %s", way == FORWARDS ? "end" : "start",
		    whose);
	replay_arrived(r);
	return 0;
}

typedef int (*move_fn)(struct replay *r, enum direction way);

/* Move so many times, or as often as it goes. */
static int repeat(struct replay *r, move_fn move, enum direction way, unsigned count,
		  struct answer *a)
{
	int e = replay_need_place(r, a);

	if (e < 0)
		return e;
	for (unsigned i = 0; i < count; i++) {
		e = move(r, way);
		if (e < 0)
			return replay_fail(a, e);
		if (e == 0)
			return run_out(r, way, a);
		replay_arrived(r);
		if (r->cancel.is_asked && r->cancel.is_asked(r->cancel.ctx))
			return replay_fail(a, -EINTR);
	}
	return 0;
}

static uint32_t depth_of_frame(struct replay *r)
{
	uint32_t depth = cursor_spot(r->cursor)->depth;

	return r->frame < depth ? depth - r->frame : 0;
}

static int move_step(struct replay *r, enum direction way)
{
	return cursor_step(r->cursor, way);
}

static int move_next(struct replay *r, enum direction way)
{
	return cursor_next(r->cursor, way, depth_of_frame(r));
}

static int move_out(struct replay *r, enum direction way)
{
	return cursor_leave(r->cursor, way, depth_of_frame(r));
}

int replay_do_step(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return repeat(r, move_step, FORWARDS, count, a);
}

int replay_do_back_step(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return repeat(r, move_step, BACKWARDS, count, a);
}

int replay_do_next(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return repeat(r, move_next, FORWARDS, count, a);
}

int replay_do_back_next(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return repeat(r, move_next, BACKWARDS, count, a);
}

int replay_do_finish(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return repeat(r, move_out, FORWARDS, count, a);
}

int replay_do_back_finish(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return repeat(r, move_out, BACKWARDS, count, a);
}

/* --- to breakpoints --- */

/* The frame that reached a breakpoint is the one to look at. */
static void arrived_at(struct replay *r, const struct hit *hit)
{
	replay_arrived(r);
	r->frame = cursor_spot(r->cursor)->depth - 1 - hit->frame;
}

static int run_to(struct replay *r, enum direction way, const struct stop *stops, size_t n,
		  unsigned count, struct hit *ret)
{
	int e = 1;

	for (unsigned i = 0; e == 1 && i < count; i++) {
		e = cursor_run(r->cursor, way, stops, n, ret);
		if (e == 1)
			arrived_at(r, ret);
	}
	return e;
}

static int run_to_breakpoint(struct replay *r, enum direction way, unsigned count, struct answer *a)
{
	auto_free struct stop *stops = xcalloc(r->n_breakpoints + 1, sizeof(*stops));
	struct hit hit = {0};
	int e = replay_need_place(r, a);

	if (e < 0)
		return e;
	for (size_t i = 0; i < r->n_breakpoints; i++)
		stops[i] = r->breakpoints[i].stop;
	e = run_to(r, way, stops, r->n_breakpoints, count, &hit);
	if (e < 0)
		return replay_fail(a, e);
	if (e == 1) {
		a->breakpoint = r->breakpoints[hit.stop].number;
		replay_note(a, "breakpoint %u", a->breakpoint);
		return 0;
	}
	e = run_out(r, way, a);
	if (e == 0)
		replay_note(a, r->n_breakpoints ? "no breakpoint was reached"
						: "there is no breakpoint; set one with b");
	return e;
}

int replay_do_continue(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return run_to_breakpoint(r, FORWARDS, count, a);
}

int replay_do_back_continue(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return run_to_breakpoint(r, BACKWARDS, count, a);
}

/* Out of a loop: to a later line (BACKWARDS: an earlier one) of this call, or out of it. */
static int move_until(struct replay *r, enum direction way)
{
	uint32_t depth = depth_of_frame(r);
	struct cursor_frame from, now;
	int e;

	if (!replay_selected(r, &from))
		return cursor_step(r->cursor, way);
	do {
		e = cursor_next(r->cursor, way, depth);
		if (e <= 0)
			return e;
		replay_arrived(r);
	} while (cursor_spot(r->cursor)->depth == depth && replay_selected(r, &now) &&
		 now.code == from.code &&
		 (way == FORWARDS ? now.line <= from.line : now.line >= from.line));
	return 1;
}

static int until_stop(struct replay *r, const char *args, enum direction way, unsigned count,
		      struct answer *a)
{
	struct breakpoint b = {0};
	struct hit hit;
	int e = replay_find_stop(r, args, &b, a);

	if (e == 0) {
		e = run_to(r, way, &b.stop, 1, count, &hit);
		if (e < 0)
			replay_fail(a, e);
		else if (e == 0)
			e = run_out(r, way, a);
		else
			e = 0;
	}
	replay_stop_done(&b);
	return e;
}

static int until(struct replay *r, const char *args, enum direction way, unsigned count,
		 struct answer *a)
{
	int e = replay_need_place(r, a);

	if (e < 0)
		return e;
	return *args ? until_stop(r, args, way, count, a) : repeat(r, move_until, way, count, a);
}

int replay_do_until(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	return until(r, args, FORWARDS, count, a);
}

int replay_do_back_until(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	return until(r, args, BACKWARDS, count, a);
}

/* --- to calls of a function --- */

static int visit(struct replay *r, const char *args, enum direction way, unsigned count,
		 struct answer *a)
{
	struct breakpoint b = {0};
	struct hit hit;
	int e = replay_need_place(r, a);

	if (e < 0)
		return e;
	if (!*args && !r->last_function)
		return replay_refuse(a, "to a call of which function? Give its name");
	e = replay_find_function(r, *args ? args : r->last_function, &b, a);
	if (e == 0 && *args) {
		free(r->last_function);
		r->last_function = xstrdup(args);
	}
	if (e == 0) {
		e = run_to(r, way, &b.stop, 1, count, &hit);
		if (e < 0)
			replay_fail(a, e);
		else if (e == 0)
			e = replay_refuse(a, "no call of %s %s here", b.what,
					  way == FORWARDS ? "after" : "before");
		else
			e = 0;
	}
	replay_stop_done(&b);
	return e;
}

int replay_do_visit(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	return visit(r, args, FORWARDS, count, a);
}

int replay_do_back_visit(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	return visit(r, args, BACKWARDS, count, a);
}

/* --- in time --- */

int replay_jump_to(struct replay *r, uint64_t time_ns, struct answer *a)
{
	int e = cursor_jump(r->cursor, time_ns);

	if (e < 0)
		return replay_fail(a, e);
	if (e == 0)
		return replay_need_place(r, a);
	replay_arrived(r);
	if (time_ns > r->end_ns)
		replay_note(a, "the trace ends before that");
	else if (time_ns < r->start_ns)
		replay_note(a, "the trace begins after that");
	else if (time_ns > r->start_ns && time_ns < cursor_spot(r->cursor)->time_ns)
		replay_note(a, "nothing was seen until then; this is the first");
	return 0;
}

int replay_do_jump(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	struct when_context ctx = {
	    .clock = &r->clock,
	    .start_ns = r->start_ns,
	    .end_ns = r->end_ns,
	    .here_ns = cursor_time(r->cursor),
	};
	char why[256];
	uint64_t time_ns;

	(void)count;
	if (!cursor_has_spot(r->cursor))
		return replay_need_place(r, a);
	if (when_parse(args, &ctx, &time_ns, why, sizeof(why)) < 0)
		return replay_refuse(a, "%s", why);
	return replay_jump_to(r, time_ns, a);
}

/* --- bookmarks --- */

static struct bookmark *find_bookmark(struct replay *r, const char *name)
{
	for (size_t i = 0; i < r->n_bookmarks; i++) {
		if (strcmp(r->bookmarks[i].name, name) == 0)
			return &r->bookmarks[i];
	}
	return NULL;
}

int replay_do_mark(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	auto_free char *name = NULL;
	struct bookmark *mark;
	int e = replay_need_place(r, a);

	(void)count;
	if (e < 0)
		return e;
	name = *args ? xstrdup(args) : xasprintf("%zu", r->n_bookmarks + 1);
	mark = find_bookmark(r, name);
	if (!mark) {
		r->bookmarks = xgrow(r->bookmarks, &r->cap_bookmarks, r->n_bookmarks + 1,
				     sizeof(*r->bookmarks));
		mark = &r->bookmarks[r->n_bookmarks++];
		mark->name = xstrdup(name);
	}
	mark->time_ns = cursor_time(r->cursor);
	mark->thread = cursor_spot(r->cursor)->row.thread;
	replay_note(a, "bookmark %s", name);
	return 0;
}

int replay_do_go(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	const struct bookmark *mark;
	int e = replay_need_place(r, a);

	(void)count;
	if (e < 0)
		return e;
	if (!*args) {
		a->kind = ANSWER_BOOKMARKS;
		return 0;
	}
	mark = find_bookmark(r, args);
	if (!mark)
		return replay_refuse(a, "no bookmark is called %s", args);
	/* The thread may not be among those that are followed now. */
	if (cursor_followed(r->cursor) && cursor_followed(r->cursor) != mark->thread) {
		e = cursor_follow(r->cursor, mark->thread);
		if (e < 0)
			return replay_fail(a, e);
	}
	return replay_jump_to(r, mark->time_ns, a);
}
