/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/chain_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/analyse.h"
#include "reader/line_text.h"
#include "reader/wait_chain.h"
#include "reader/wait_text.h"

/* What the trace did on a line; for the states that have one. */
static char *activity_text(const struct analysis *a, const struct chain_step *s)
{
	auto_free char *source = NULL;

	if (s->state == CHAIN_IDLE && !trace_get_reason(s->trace, s->kind.reason))
		return xstrdup("idle");
	if (s->state == CHAIN_WAITING || s->state == CHAIN_IDLE) {
		auto_free char *wait = wait_peer_text(s->trace, &s->kind, a->charset);

		return xasprintf("%s%s", s->state == CHAIN_IDLE ? "idle, " : "", wait);
	}
	source = line_source_cell(s->trace, s->kind.file, s->kind.line, a->charset);
	return xasprintf("%s: %s",
			 s->state == CHAIN_READY     ? "waiting for a CPU"
			 : s->state == CHAIN_RUNNING ? "running"
						     : "running or waiting",
			 source);
}

/* "128 ms of 131 ms in db.py:29 running: ..." */
static char *line_text(const struct analysis *a, const struct chain_step *s)
{
	const char *micro = analysis_micro(a);
	auto_free char *location = line_location(s->trace, s->kind.file, s->kind.line, a->charset);
	auto_free char *cut =
	    text_cut_left(location, a->width ? a->width / 3 : SIZE_MAX, a->charset);
	auto_free char *activity = activity_text(a, s);
	auto_free char *also = NULL;
	char ns[UNITS_MAX], of[UNITS_MAX], idle[UNITS_MAX];

	format_duration(s->state == CHAIN_IDLE ? s->idle_ns : s->ns, micro, ns);
	format_duration(s->end_ns - s->start_ns, micro, of);
	format_duration(s->idle_ns, micro, idle);
	if (s->state != CHAIN_IDLE && s->idle_ns > s->ns)
		also = xasprintf(" (but idle for %s)", idle);
	return xasprintf("%s of %s%s%s in %s %s", ns, of, also ? also : "",
			 s->is_partial ? " (not all of it could be looked at)" : "", cut, activity);
}

static char *error_text(const struct chain_step *s)
{
	if (s->error == -EINVAL)
		return xstrdup("not the name of a trace");
	if (s->error == -ENOENT)
		return xstrdup("no such trace beside this one");
	if (s->error == -EBADMSG)
		return xstrdup("its trace is damaged");
	return xasprintf("its trace cannot be read: %s", strerror(-s->error));
}

static char *step_text(const struct analysis *a, const struct chain_step *s)
{
	switch (s->state) {
	case CHAIN_NOTHING:
		return xstrdup(s->is_partial ? "its trace is damaged there"
					     : "nothing of its followed code was seen then");
	case CHAIN_REPEATED:
		return xstrdup("this trace was there before: they wait for each other");
	case CHAIN_NO_TRACE:
		return error_text(s);
	case CHAIN_FOREIGN:
		return xstrdup("its trace is of another machine or boot");
	default:
		return line_text(a, s);
	}
}

char *chain_step_text(const struct analysis *a, const struct chain_step *step)
{
	auto_free char *name = text_escape(step->name, strlen(step->name), "", a->charset);
	auto_free char *text = step_text(a, step);

	return xasprintf("%s: %s", name, text);
}

/* --- JSON --- */

static const char *const state_names[] = {
    [CHAIN_RUNNING] = "running",   [CHAIN_READY] = "ready",	  [CHAIN_WAITING] = "waiting",
    [CHAIN_ON_LINE] = "unknown",   [CHAIN_IDLE] = "idle",	  [CHAIN_NOTHING] = "not seen",
    [CHAIN_REPEATED] = "repeated", [CHAIN_NO_TRACE] = "no trace", [CHAIN_FOREIGN] = "foreign",
};

static void line_json(const struct analysis *a, struct json_writer *j, const struct chain_step *s)
{
	bool is_wait = s->state == CHAIN_WAITING || s->state == CHAIN_IDLE;
	const struct trace_reason *reason =
	    is_wait ? trace_get_reason(s->trace, s->kind.reason) : NULL;
	struct analysis there = *a;

	there.trace = s->trace;
	analysis_line_json(&there, j, s->kind.file, s->kind.line);
	json_string(j, "kind", reason ? reason->kind : NULL);
	json_string(j, "call", reason ? reason->call : NULL);
	json_string(j, "reason", reason ? reason->what : NULL);
	json_string(j, "peer", reason && *reason->peer ? reason->peer : NULL);
	json_count(j, "ns", s->ns);
	json_count(j, "of_ns", s->end_ns - s->start_ns);
	json_count(j, "idle_ns", s->idle_ns);
	json_bool(j, "partial", s->is_partial);
}

void chain_json(const struct analysis *a, struct json_writer *j, const struct chain_step *steps,
		size_t n)
{
	json_array(j, "chain");
	for (size_t i = 0; i < n; i++) {
		const struct chain_step *s = &steps[i];

		json_object(j, NULL);
		json_string(j, "trace", s->name);
		json_string(j, "state", state_names[s->state]);
		if (s->state == CHAIN_NO_TRACE) {
			auto_free char *error = error_text(s);

			json_string(j, "error", error);
		}
		if (s->trace)
			line_json(a, j, s);
		json_object_end(j);
	}
	json_array_end(j);
}
