/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/replay_batch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "reader/replay_words.h"
#include "reader/trace.h"

/* A blank ends a field. */
static char *path_word(struct replay *r, uint32_t file)
{
	return replay_path(r, file, " ", TEXT_UTF8);
}

static char *function_word(struct replay *r, uint32_t code)
{
	return replay_function(r, code, " ", TEXT_UTF8);
}

/* FILE:LINE FUNCTION */
static void print_location(struct replay *r, uint32_t code, int32_t line, FILE *out)
{
	auto_free char *path = path_word(r, replay_file_of(r, code));
	auto_free char *function = function_word(r, code);

	if (code && line > 0)
		fprintf(out, "%s:%" PRId32 " %s", path, line, function);
	else if (code)
		fprintf(out, "%s:? %s", path, function);
	else
		fputs("- -", out);
}

static void print_wait(const struct thread_state *s, FILE *out)
{
	auto_free char *reason = text_escape(s->reason, strlen(s->reason), " ", TEXT_UTF8);

	if (s->activity != ACTIVITY_WAITING && s->activity != ACTIVITY_READY)
		return;
	fprintf(out, " wait_ns=%" PRIu64, s->end_ns > s->start_ns ? s->end_ns - s->start_ns : 0);
	if (*reason)
		fprintf(out, " reason=%s", reason);
}

static void print_place(struct replay *r, const struct answer *a, FILE *out)
{
	const char *flags[REPLAY_FLAGS_MAX];
	char time[CLOCK_TEXT_SIZE];
	struct place p;
	size_t n;

	if (replay_place(r, &p) != 1) {
		fprintf(out, "- - - depth=0 thread=0 provenance=none%s%s%s\n", a->note ? " (" : "",
			a->note ? a->note : "", a->note ? ")" : "");
		return;
	}
	clock_map_format_exact(replay_clock(r), p.time_ns, time);
	fprintf(out, "%s ", time);
	print_location(r, p.code, p.line, out);
	fprintf(out, " depth=%" PRIu32 " thread=%u provenance=%s", p.depth - p.frame, p.thread,
		provenance_name(p.provenance));
	n = replay_flags(r, &p, flags);
	for (size_t i = 0; i < n; i++)
		fprintf(out, " %s", flags[i]);
	if (p.frame)
		fprintf(out, " frame=%" PRIu32, p.frame);
	if (p.at_ns > p.time_ns)
		fprintf(out, " into_ns=%" PRIu64, p.at_ns - p.time_ns);
	print_wait(&p.state, out);
	if (a->breakpoint)
		fprintf(out, " breakpoint=%u", a->breakpoint);
	if (a->note)
		fprintf(out, " (%s)", a->note);
	putc('\n', out);
}

static void print_stack(struct replay *r, FILE *out)
{
	uint32_t depth;
	const struct cursor_frame *stack = replay_stack(r, &depth);
	struct place p;

	replay_place(r, &p);
	for (uint32_t i = 0; i < depth; i++) {
		const struct cursor_frame *f = &stack[depth - 1 - i];

		fprintf(out, "%c#%-3" PRIu32 " ", i == p.frame ? '>' : ' ', i);
		print_location(r, f->code, f->line, out);
		putc('\n', out);
	}
	if (!depth)
		fputs("no followed code is running\n", out);
}

static bool is_current(struct replay *r, int32_t line)
{
	struct place p;

	return replay_place(r, &p) == 1 && p.line == line && p.file == replay_shown_file(r);
}

static char *source_line(struct replay *r, int32_t line)
{
	const struct source_text *s = replay_source(r);
	size_t len;
	const char *text = s ? source_text_line(s, line, &len) : NULL;

	return text ? text_plain(text, len, TEXT_UTF8) : xstrdup("");
}

static void print_source(struct replay *r, const struct answer *a, FILE *out)
{
	for (int32_t line = a->first; line <= a->last; line++) {
		auto_free char *text = source_line(r, line);

		fprintf(out, "%c%c %5" PRId32 "  %s\n", replay_has_breakpoint(r, line) ? 'b' : ' ',
			is_current(r, line) ? '>' : ' ', line, text);
	}
}

static void print_threads(struct replay *r, FILE *out)
{
	size_t n;
	const struct trace_thread *threads = cursor_threads(replay_cursor(r), &n);
	struct place p;

	replay_place(r, &p);
	for (size_t i = 0; i < n; i++) {
		struct cursor_frame *stack = NULL, top = {0};
		struct spot spot = {0};

		if (cursor_peek(replay_cursor(r), threads[i].id, &spot, &stack) == 1 && spot.depth)
			top = stack[spot.depth - 1];
		free(stack);
		fprintf(out, "%c thread=%u native=%" PRIu64 " ",
			threads[i].id == p.thread ? '>' : ' ', threads[i].id, threads[i].native_id);
		print_location(r, top.code, top.line, out);
		fprintf(out, " depth=%" PRIu32 "\n", spot.depth);
	}
}

static void print_breakpoints(struct replay *r, FILE *out)
{
	size_t n;
	const struct breakpoint *b = replay_breakpoints(r, &n);

	for (size_t i = 0; i < n; i++) {
		fprintf(out, "breakpoint %u at %s", b[i].number, b[i].what);
		if (b[i].stop.thread)
			fprintf(out, " thread %u", b[i].stop.thread);
		putc('\n', out);
	}
	if (!n)
		fputs("no breakpoints\n", out);
}

static void print_bookmarks(struct replay *r, FILE *out)
{
	size_t n;
	const struct bookmark *b = replay_bookmarks(r, &n);
	char time[CLOCK_TEXT_SIZE];

	for (size_t i = 0; i < n; i++) {
		clock_map_format_exact(replay_clock(r), b[i].time_ns, time);
		fprintf(out, "bookmark %s at %s thread %u\n", b[i].name, time, b[i].thread);
	}
	if (!n)
		fputs("no bookmarks\n", out);
}

static void print_files(struct replay *r, FILE *out)
{
	for (size_t i = 0; i < trace_n_files(replay_trace(r)); i++) {
		const struct trace_file *f = trace_file_nth(replay_trace(r), i);
		auto_free char *path = path_word(r, f->id);

		fprintf(out, "%s %s\n", path, file_state_name(f->state));
	}
}

static void print_help(FILE *out)
{
	for (size_t i = 0; i < n_replay_commands; i++) {
		const struct replay_command *c = &replay_commands[i];

		if (c->names && c->help)
			fprintf(out, "%-18s %-28s %s\n", c->names, c->args ? c->args : "", c->help);
	}
}

void replay_batch_print(struct replay *r, const struct answer *a, FILE *out)
{
	switch (a->kind) {
	case ANSWER_ERROR:
		fprintf(out, "error: %s\n", a->note);
		break;
	case ANSWER_TEXT:
		fprintf(out, "%s\n", a->note);
		break;
	case ANSWER_STACK:
		print_stack(r, out);
		break;
	case ANSWER_SOURCE:
		print_source(r, a, out);
		break;
	case ANSWER_THREADS:
		print_threads(r, out);
		break;
	case ANSWER_BREAKPOINTS:
		print_breakpoints(r, out);
		break;
	case ANSWER_BOOKMARKS:
		print_bookmarks(r, out);
		break;
	case ANSWER_FILES:
		print_files(r, out);
		break;
	case ANSWER_HELP:
		print_help(out);
		break;
	case ANSWER_QUIT:
		break;
	case ANSWER_PLACE:
	case ANSWER_SCREEN:
		print_place(r, a, out);
	}
}

/* Notes and names are what users typed or the trace holds: nothing of them may end a line. */
static void make_harmless(struct answer *a)
{
	char *note;

	if (!a->note)
		return;
	note = text_plain(a->note, strlen(a->note), TEXT_UTF8);
	free(a->note);
	a->note = note;
}

/* Returns false at the end of the input, or when it is to be left. */
static bool answer_line(struct replay *r, char *line, FILE *out, bool as_json, bool *all_well)
{
	auto_answer struct answer a = {0};
	int e = replay_refresh(r);

	line[strcspn(line, "\n")] = 0;
	if (e < 0) {
		a.kind = ANSWER_ERROR;
		a.note = xasprintf("cannot read the trace: %s", strerror(-e));
	} else {
		replay_command(r, line, &a);
	}
	if (a.kind == ANSWER_SCREEN) {
		a.kind = ANSWER_ERROR;
		free(a.note);
		a.note = xstrdup("only a screen can do that");
	}
	make_harmless(&a);
	if (as_json)
		replay_batch_print_json(r, &a, out);
	else
		replay_batch_print(r, &a, out);
	/* Who waits for this answer does so now. */
	fflush(out);
	replay_release(r);
	*all_well = *all_well && a.kind != ANSWER_ERROR;
	return a.kind != ANSWER_QUIT;
}

bool replay_batch(struct replay *r, FILE *in, FILE *out, bool as_json)
{
	auto_free char *line = NULL;
	bool all_well = true;
	size_t cap = 0;

	replay_release(r);
	while (getline(&line, &cap, in) > 0) {
		const char *start = line + strspn(line, " \t\r\n");

		if (!*start || *start == '#')
			continue;
		if (!answer_line(r, line, out, as_json, &all_well))
			break;
	}
	return all_well;
}
