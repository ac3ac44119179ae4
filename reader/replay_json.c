/* SPDX-License-Identifier: BSD-3-Clause */
/* The answers of replay as JSON lines. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/xalloc.h"
#include "reader/replay_batch.h"
#include "reader/replay_words.h"
#include "reader/trace.h"

/* Bytes that are not UTF-8 must not get lost: escaped as everywhere, but "" for what is not there.
 */
static void put_location(struct json_writer *j, struct replay *r, uint32_t code, int32_t line)
{
	auto_free char *path = replay_path(r, replay_file_of(r, code), "", TEXT_UTF8);
	auto_free char *function = replay_function(r, code, "", TEXT_UTF8);

	json_string(j, "file", code ? path : NULL);
	if (code && line > 0)
		json_int(j, "line", line);
	else
		json_null(j, "line");
	json_string(j, "function", code ? function : NULL);
}

static void put_time(struct json_writer *j, struct replay *r, const char *key, uint64_t time_ns)
{
	char time[CLOCK_TEXT_SIZE];

	clock_map_format_exact(replay_clock(r), time_ns, time);
	json_string(j, key, time);
}

static const char *ending_name(enum ending e)
{
	return e == ENDING_EVENT ? "event" : e == ENDING_GAP ? "gap" : "unknown";
}

static void put_state(struct json_writer *j, const struct thread_state *s)
{
	auto_free char *reason = text_escape(s->reason, strlen(s->reason), "", TEXT_UTF8);

	json_object(j, "state");
	json_string(j, "activity", thread_activity_name(s->activity));
	json_string(j, "reason", *reason ? reason : NULL);
	if (s->end_ns > s->start_ns)
		json_count(j, "length_ns", s->end_ns - s->start_ns);
	else
		json_null(j, "length_ns");
	json_bool(j, "idle", s->is_idle);
	json_object_end(j);
}

static void put_place(struct json_writer *j, struct replay *r)
{
	const char *flags[REPLAY_FLAGS_MAX];
	struct place p;
	size_t n;

	if (replay_place(r, &p) != 1) {
		json_null(j, "time");
		return;
	}
	put_time(j, r, "time", p.time_ns);
	put_location(j, r, p.code, p.line);
	json_count(j, "depth", p.depth - p.frame);
	json_count(j, "thread", p.thread);
	json_string(j, "provenance", provenance_name(p.provenance));
	json_array(j, "flags");
	n = replay_flags(r, &p, flags);
	for (size_t i = 0; i < n; i++)
		json_string(j, NULL, flags[i]);
	json_array_end(j);
	json_count(j, "frame", p.frame);
	json_count(j, "monotonic_ns", p.time_ns);
	json_count(j, "into_ns", p.at_ns > p.time_ns ? p.at_ns - p.time_ns : 0);
	json_count(j, "lasts_ns", p.until_ns > p.time_ns ? p.until_ns - p.time_ns : 0);
	json_string(j, "ends_with", ending_name(p.ending));
	put_state(j, &p.state);
}

static void put_stack(struct json_writer *j, struct replay *r)
{
	uint32_t depth;
	const struct cursor_frame *stack = replay_stack(r, &depth);

	json_array(j, "frames");
	for (uint32_t i = 0; i < depth; i++) {
		json_object(j, NULL);
		json_count(j, "frame", i);
		put_location(j, r, stack[depth - 1 - i].code, stack[depth - 1 - i].line);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_source(struct json_writer *j, struct replay *r, const struct answer *a)
{
	const struct source_text *s = replay_source(r);
	uint32_t file = replay_shown_file(r);
	auto_free char *path = replay_path(r, file, "", TEXT_UTF8);
	struct place p;

	replay_place(r, &p);
	json_string(j, "file", path);
	json_array(j, "lines");
	for (int32_t line = a->first; s && line <= a->last; line++) {
		size_t len = 0;
		const char *text = source_text_line(s, line, &len);
		auto_free char *copy = xstrndup(text ? text : "", len);

		json_object(j, NULL);
		json_int(j, "line", line);
		json_string(j, "text", copy);
		json_bool(j, "is_current", p.line == line && p.file == file);
		json_bool(j, "has_breakpoint", replay_has_breakpoint(r, line));
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_threads(struct json_writer *j, struct replay *r)
{
	size_t n;
	const struct trace_thread *threads = cursor_threads(replay_cursor(r), &n);

	json_array(j, "threads");
	for (size_t i = 0; i < n; i++) {
		struct cursor_frame *stack = NULL, top = {0};
		struct spot spot = {0};

		if (cursor_peek(replay_cursor(r), threads[i].id, &spot, &stack) == 1 && spot.depth)
			top = stack[spot.depth - 1];
		free(stack);
		json_object(j, NULL);
		json_count(j, "thread", threads[i].id);
		json_count(j, "native_id", threads[i].native_id);
		put_location(j, r, top.code, top.line);
		json_count(j, "depth", spot.depth);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_breakpoints(struct json_writer *j, struct replay *r)
{
	size_t n;
	const struct breakpoint *b = replay_breakpoints(r, &n);

	json_array(j, "breakpoints");
	for (size_t i = 0; i < n; i++) {
		json_object(j, NULL);
		json_count(j, "breakpoint", b[i].number);
		json_string(j, "at", b[i].what);
		if (b[i].stop.thread)
			json_count(j, "thread", b[i].stop.thread);
		else
			json_null(j, "thread");
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_bookmarks(struct json_writer *j, struct replay *r)
{
	size_t n;
	const struct bookmark *b = replay_bookmarks(r, &n);

	json_array(j, "bookmarks");
	for (size_t i = 0; i < n; i++) {
		json_object(j, NULL);
		json_string(j, "name", b[i].name);
		put_time(j, r, "time", b[i].time_ns);
		json_count(j, "thread", b[i].thread);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_files(struct json_writer *j, struct replay *r)
{
	json_array(j, "files");
	for (size_t i = 0; i < trace_n_files(replay_trace(r)); i++) {
		const struct trace_file *f = trace_file_nth(replay_trace(r), i);
		auto_free char *path = replay_path(r, f->id, "", TEXT_UTF8);

		json_object(j, NULL);
		json_string(j, "file", path);
		json_string(j, "state", file_state_name(f->state));
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_help(struct json_writer *j)
{
	json_array(j, "commands");
	for (size_t i = 0; i < n_replay_commands; i++) {
		const struct replay_command *c = &replay_commands[i];

		if (!c->names || !c->help)
			continue;
		json_object(j, NULL);
		json_string(j, "names", c->names);
		json_string(j, "args", c->args);
		json_string(j, "keys", c->keys);
		json_string(j, "help", c->help);
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_answer(struct json_writer *j, struct replay *r, const struct answer *a)
{
	switch (a->kind) {
	case ANSWER_ERROR:
		json_string(j, "error", a->note);
		break;
	case ANSWER_TEXT:
		json_string(j, "text", a->note);
		break;
	case ANSWER_STACK:
		put_stack(j, r);
		break;
	case ANSWER_SOURCE:
		put_source(j, r, a);
		break;
	case ANSWER_THREADS:
		put_threads(j, r);
		break;
	case ANSWER_BREAKPOINTS:
		put_breakpoints(j, r);
		break;
	case ANSWER_BOOKMARKS:
		put_bookmarks(j, r);
		break;
	case ANSWER_FILES:
		put_files(j, r);
		break;
	case ANSWER_HELP:
		put_help(j);
		break;
	case ANSWER_QUIT:
		break;
	case ANSWER_PLACE:
	case ANSWER_SCREEN:
		put_place(j, r);
		if (a->breakpoint)
			json_count(j, "breakpoint", a->breakpoint);
		json_string(j, "note", a->note);
	}
}

void replay_batch_print_json(struct replay *r, const struct answer *a, FILE *out)
{
	struct json_writer j;

	if (a->kind == ANSWER_QUIT)
		return;
	json_begin_line(&j, out);
	put_answer(&j, r, a);
	json_end(&j);
}
