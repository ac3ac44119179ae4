/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/now.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/pack.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/line_text.h"
#include "reader/trace_waits.h"
#include "reader/wait_text.h"

/* Blocks in which nothing happens are stored every other second or so; older than that is lost. */
#define LOST_NS (5 * NS_PER_S)

DEFINE_CLEANUP(struct block_decoder *, block_decoder_free)

struct collector {
	struct trace *trace;
	struct unpacker *unpacker;
	bool has_edges;
	uint64_t known_until_ns;
	struct now *now;
	size_t cap;
	int error;
};

static void note(int *error, int r)
{
	if (r < 0 && *error == 0)
		*error = r;
}

/* Where it stands after the last event. Returns 1, 0 when no followed code runs, or an error. */
static int find_line(struct collector *c, const struct trace_block *block, struct now_thread *ret)
{
	auto_release(block_decoder_free) struct block_decoder *d = NULL;
	const struct trace_code *code;
	const struct block_line *lines;
	const uint32_t *stack;
	struct block_event event;
	uint32_t n_lines, depth;
	int r = block_decoder_new(c->unpacker, block->data, block->data_len, &d);

	if (r < 0)
		return r;
	ret->since_ns = block->first_ns;
	while ((r = block_decoder_next(d, &event)) == 1)
		ret->since_ns = block->first_ns + event.offset_ns;
	if (r < 0)
		return r;
	if (ret->since_ns < block->first_ns || ret->since_ns > block->last_ns)
		return -EBADMSG;
	stack = block_decoder_stack(d, &depth);
	lines = block_decoder_lines(d, &n_lines);
	if (depth == 0)
		return 0;
	ret->code = lines[stack[depth - 1]].code;
	ret->wait.line = lines[stack[depth - 1]].line;
	code = trace_get_code(c->trace, ret->code);
	ret->wait.file = code ? code->file : 0;
	return 1;
}

/* The last wait, when it goes on. */
static int find_wait(struct collector *c, const struct trace_block *block, struct now_thread *ret)
{
	struct wait_list list;
	const struct wait_item *last;
	int r = 0;

	if (!block->waits)
		return 0;
	r = wait_codec_decode(c->unpacker, block->waits, block->waits_len, &list);
	last = r == 0 && list.n_items ? &list.items[list.n_items - 1] : NULL;
	if (last && last->flags & WAIT_GOES_ON) {
		ret->wait = list.kinds[last->kind];
		ret->state = ret->wait.state == WAIT_FOR_CPU ? NOW_READY : NOW_WAITING;
		ret->since_ns = block->first_ns + last->start_ns;
		/* Where it began is in an earlier block. */
		if (last->flags & WAIT_BEGAN_BEFORE)
			r = trace_wait_start(c->trace, block->id, &ret->since_ns);
		if (r == 0 && ret->since_ns > block->last_ns)
			r = -EBADMSG;
	}
	wait_list_done(&list);
	return r == -ENOENT ? 0 : r;
}

static int on_thread(void *ctx, const struct trace_live *live)
{
	struct collector *c = ctx;
	const struct trace_block *block = &live->block;
	struct now_thread thread = {
	    .thread = live->thread,
	    .native_id = live->native_id,
	    .state = c->has_edges ? NOW_RUNNING : NOW_UNKNOWN,
	    .until_ns = block->last_ns,
	};
	int r = find_line(c, block, &thread), r_wait;
	struct now_thread with_line = thread;

	note(&c->error, r);
	if (r <= 0)
		return 0;
	r_wait = find_wait(c, block, &thread);
	note(&c->error, r_wait);
	if (r_wait < 0) {
		thread = with_line;
		thread.state = NOW_UNKNOWN;
	}
	if (c->known_until_ns > block->last_ns) {
		thread.lost_ns = c->known_until_ns - block->last_ns;
		/* A block in which nothing happens is not stored as often as what is known. */
		if (thread.lost_ns <= LOST_NS) {
			thread.lost_ns = 0;
			thread.until_ns = c->known_until_ns;
		} else {
			thread.state = NOW_UNKNOWN;
		}
	}
	c->now->threads = xgrow(c->now->threads, &c->cap, c->now->n + 1, sizeof(thread));
	c->now->threads[c->now->n++] = thread;
	return 0;
}

int now_read(struct trace *t, struct now *ret)
{
	struct collector c = {.trace = t, .now = ret, .has_edges = trace_has_edges(t) == 1};
	uint64_t start_ns;

	*ret = (struct now){0};
	if (trace_has_ended(t) != 0)
		return 0;
	note(&c.error, trace_span(t, &start_ns, &c.known_until_ns));
	c.unpacker = unpacker_new();
	note(&c.error, trace_each_live(t, on_thread, &c));
	unpacker_free(c.unpacker);
	return c.error;
}

void now_done(struct now *now)
{
	free(now->threads);
	*now = (struct now){0};
}

/* --- for people --- */

static const char *micro(void)
{
	return text_locale_charset() == TEXT_UTF8 ? "\u00b5" : "u";
}

/* "waiting for 3.20 s: recv from 10.0.0.5:5432" */
static char *state_text(struct trace *t, const struct now_thread *n)
{
	auto_free char *reason = wait_reason_text(t, &n->wait, text_locale_charset());
	char time[UNITS_MAX], lost[UNITS_MAX];

	format_duration(n->until_ns - n->since_ns, micro(), time);
	if (n->lost_ns) {
		format_duration(n->lost_ns, micro(), lost);
		return xasprintf("not observed for %s, then on this line for %s", lost, time);
	}
	switch (n->state) {
	case NOW_RUNNING:
		return xasprintf("running, on this line for %s", time);
	case NOW_READY:
		return xasprintf("waiting for a CPU for %s", time);
	case NOW_WAITING:
		return xasprintf("%s for %s: %s", n->wait.idle ? "idle" : "waiting", time, reason);
	default:
		return xasprintf("on this line for %s", time);
	}
}

/*
 * "/app/app.py:12 in fetch: self.sock.recv(4096)"; on a terminal, a long path is cut at its start,
 * so that the rest can be seen.
 */
static char *line_text(struct trace *t, const struct now_thread *n, size_t width)
{
	enum text_charset charset = text_locale_charset();
	const struct trace_code *code = trace_get_code(t, n->code);
	auto_free char *whole = line_location(t, n->wait.file, n->wait.line, charset);
	auto_free char *location = text_cut_left(whole, width ? width / 3 : SIZE_MAX, charset);
	auto_free char *function =
	    code ? text_escape(code->name, code->name_len, "", charset) : xstrdup("?");
	auto_free char *source = line_source(t, n->wait.file, n->wait.line, charset);

	return source ? xasprintf("%s in %s: %s", location, function, source)
		      : xasprintf("%s in %s", location, function);
}

static void print_row(const char *before, const char *text, size_t width)
{
	size_t used = text_width(before);
	auto_free char *cut = text_cut_right(text,
					     width == 0	    ? SIZE_MAX
					     : width > used ? width - used
							    : 1,
					     text_locale_charset());

	printf("%s%s\n", before, cut);
}

void now_print(struct trace *t, const struct now *now, const char *label, size_t max, size_t width)
{
	auto_free char *blanks = xasprintf("%*s", (int)text_width(label), "");

	for (size_t i = 0; i < now->n && i < max; i++) {
		const struct now_thread *n = &now->threads[i];
		auto_free char *state = state_text(t, n);
		auto_free char *line = line_text(t, n, width);
		auto_free char *name =
		    n->native_id ? xasprintf("thread %" PRIu64 "  %s", n->native_id, state)
				 : xasprintf("thread number %u  %s", (unsigned)n->thread, state);
		auto_free char *indented = xasprintf("  %s", line);

		print_row(i ? blanks : label, name, width);
		print_row(blanks, indented, width);
	}
	if (now->n > max)
		printf("%sand %zu more threads\n", blanks, now->n - max);
}

/* --- JSON --- */

static const char *state_name(enum now_state state)
{
	switch (state) {
	case NOW_RUNNING:
		return "running";
	case NOW_WAITING:
		return "waiting";
	case NOW_READY:
		return "ready";
	default:
		return "unknown";
	}
}

void now_json_thread(struct trace *t, const struct now_thread *n, struct json_writer *j)
{
	bool is_off = n->state == NOW_WAITING || n->state == NOW_READY;
	const struct trace_file *file = trace_get_file(t, n->wait.file);
	const struct trace_code *code = trace_get_code(t, n->code);
	const struct trace_reason *reason =
	    n->state == NOW_WAITING ? trace_get_reason(t, n->wait.reason) : NULL;
	int64_t since_ns;

	json_int(j, "thread", n->thread);
	json_count(j, "native_id", n->native_id);
	json_string(j, "state", state_name(n->state));
	if (trace_realtime(t, n->since_ns, &since_ns) == 0)
		json_real(j, "since", (double)since_ns / (double)NS_PER_S, 6);
	else
		json_null(j, "since");
	json_string(j, "file", file ? file->path : NULL);
	if (n->wait.line)
		json_int(j, "line", n->wait.line);
	else
		json_null(j, "line");
	json_string(j, "function", code ? code->name : NULL);
	json_string(j, "reason", reason ? reason->what : NULL);
	json_string(j, "peer", reason && *reason->peer ? reason->peer : NULL);
	json_bool(j, "idle", n->state == NOW_WAITING && n->wait.idle);
	if (is_off)
		json_count(j, "wait_ns", n->until_ns - n->since_ns);
	else
		json_null(j, "wait_ns");
}
