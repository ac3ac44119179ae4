/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that go to gaps, waits and turns of event loops. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/trace_schema.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/replay_private.h"

static int go_to_gap(struct replay *r, enum direction way, unsigned count, struct answer *a)
{
	uint16_t thread = cursor_followed(r->cursor);
	uint64_t time_ns = cursor_time(r->cursor);
	struct trace_gap gap = {0};
	char lasted[UNITS_MAX];
	int e = replay_need_place(r, a);

	if (e < 0)
		return e;
	for (unsigned i = 0; i < count; i++) {
		e = trace_gap_beside(r->trace, thread, time_ns, way, &gap);
		if (e < 0)
			return replay_fail(a, e);
		if (e == 0)
			return replay_refuse(a, "no %s gap", way == FORWARDS ? "later" : "earlier");
		time_ns = gap.start_ns;
	}
	e = replay_jump_to(r, time_ns, a);
	if (e < 0)
		return e;
	format_duration(gap.end_ns - gap.start_ns, "u", lasted);
	replay_note(a, "gap of %s (%s)", lasted, gap_reason_name(gap.reason));
	return 0;
}

int replay_do_gap(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return go_to_gap(r, FORWARDS, count, a);
}

int replay_do_back_gap(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	(void)args;
	return go_to_gap(r, BACKWARDS, count, a);
}

/* "100ms idle": how long at least, and whether idle ones count. */
static int parse_wait(const char *args, uint64_t *ret_min_ns, enum idle_choice *ret_idle)
{
	size_t n = strcspn(args, " ");
	auto_free char *word = xstrndup(args, n);

	*ret_min_ns = 1;
	*ret_idle = IDLE_NOT;
	if (*word && strcmp(word, "idle") != 0) {
		if (parse_duration(word, ret_min_ns) < 0)
			return -EINVAL;
		args += n;
		args += strspn(args, " ");
	}
	if (!*args)
		return 0;
	*ret_idle = IDLE_TOO;
	return strcmp(args, "idle") == 0 ? 0 : -EINVAL;
}

static void note_wait(const struct thread_state *wait, struct answer *a)
{
	auto_free char *reason = replay_shown_text(wait->reason, strlen(wait->reason));
	char lasts[UNITS_MAX];

	format_duration(wait->end_ns - wait->start_ns, "u", lasts);
	if (wait->activity == ACTIVITY_READY)
		replay_note(a, "waits %s for a CPU", lasts);
	else
		replay_note(a, "%s %s%s%s", wait->is_idle ? "idle for" : "waits", lasts,
			    *reason ? ": " : "", reason);
}

/* To a moment of a thread, though another one may have done something since. */
static int jump_in(struct replay *r, uint16_t thread, uint64_t time_ns, struct answer *a)
{
	int e = cursor_jump_in(r->cursor, thread, time_ns);

	if (e < 0)
		return replay_fail(a, e);
	if (e == 0)
		return replay_jump_to(r, time_ns, a);
	replay_arrived(r);
	return 0;
}

static int go_to_wait(struct replay *r, const char *args, enum direction way, unsigned count,
		      struct answer *a)
{
	uint16_t thread = cursor_followed(r->cursor), whose = 0;
	uint64_t time_ns = cursor_time(r->cursor), min_ns;
	struct thread_state wait = {0};
	enum idle_choice idle;
	int e = replay_need_place(r, a);

	if (e < 0)
		return e;
	if (parse_wait(args, &min_ns, &idle) < 0)
		return replay_refuse(a, "how long at least? E.g. 100ms, or 100ms idle");
	for (unsigned i = 0; i < count; i++) {
		e = r->states->find_wait(r->states->ctx, thread, time_ns, way, min_ns, idle, &whose,
					 &wait);
		if (e == -EOPNOTSUPP)
			return replay_refuse(a, "this trace does not say when threads wait");
		if (e < 0)
			return replay_fail(a, e);
		if (e == 0)
			return replay_refuse(a, "no such wait %s here",
					     way == FORWARDS ? "after" : "before");
		time_ns = wait.start_ns;
	}
	e = jump_in(r, whose, time_ns, a);
	if (e == 0)
		note_wait(&wait, a);
	return e;
}

int replay_do_wait(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	return go_to_wait(r, args, FORWARDS, count, a);
}

int replay_do_back_wait(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	return go_to_wait(r, args, BACKWARDS, count, a);
}

static int go_to_turn(struct replay *r, const char *args, enum direction way, unsigned count,
		      struct answer *a)
{
	uint16_t thread = cursor_followed(r->cursor);
	uint64_t time_ns = cursor_time(r->cursor), min_ns = 1;
	struct thread_turn turn = {0};
	char lasts[UNITS_MAX];
	int e = replay_need_place(r, a);

	if (e < 0)
		return e;
	if (*args && parse_duration(args, &min_ns) < 0)
		return replay_refuse(a, "how long at least? E.g. 100ms");
	for (unsigned i = 0; i < count; i++) {
		e = r->states->find_turn(r->states->ctx, thread, time_ns, way, min_ns, r->cancel,
					 &turn);
		if (e == -EOPNOTSUPP)
			return replay_refuse(a, "this trace does not say when threads wait");
		if (e < 0)
			return replay_fail(a, e);
		if (e == 0)
			return replay_refuse(a, "no such turn of an event loop %s here",
					     way == FORWARDS ? "after" : "before");
		time_ns = turn.start_ns;
	}
	e = jump_in(r, turn.thread, time_ns, a);
	if (e < 0)
		return e;
	format_duration(turn.end_ns - turn.start_ns, "u", lasts);
	replay_note(a, "turn of %s", lasts);
	return 0;
}

int replay_do_turn(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	return go_to_turn(r, args, FORWARDS, count, a);
}

int replay_do_back_turn(struct replay *r, const char *args, unsigned count, struct answer *a)
{
	return go_to_turn(r, args, BACKWARDS, count, a);
}
