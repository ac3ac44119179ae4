/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks that lie in the stretch as a whole are summed up by their index; of the others, which are
 * two at most, events and waits are decoded.
 */
#include "reader/stall_cost.h"

#include <errno.h>
#include <stdlib.h>

#include "common/hash_index.h"
#include "common/xalloc.h"
#include "reader/block_cache.h"
#include "reader/trace.h"
#include "reader/trace_turns.h"
#include "reader/trace_waits.h"
#include "reader/wait_states_private.h"

#define NOT_SEEN UINT64_MAX

struct line_cost {
	uint32_t file;
	int32_t line;
	uint64_t ns;
	uint64_t at_ns; /* when it was first seen on it, or NOT_SEEN */
	uint64_t ready_ns, waiting_ns;
};

/* How long a line waited for something. */
struct wait_cost {
	uint32_t line; /* index */
	uint32_t reason;
	uint64_t ns;
};

struct stall_costs {
	struct trace *trace;
	struct block_cache *cache;
	/* Of the stretch at hand. */
	struct line_cost *lines;
	size_t n_lines, cap_lines;
	struct hash_index line_index;
	struct wait_cost *waits;
	size_t n_waits, cap_waits;
	struct hash_index wait_index;
};

struct stall_costs *stall_costs_new(struct trace *t)
{
	struct stall_costs *c = xcalloc(1, sizeof(*c));

	c->trace = t;
	c->cache = block_cache_new(t);
	return c;
}

static void clear(struct stall_costs *c)
{
	hash_index_done(&c->line_index);
	hash_index_done(&c->wait_index);
	c->n_lines = c->n_waits = 0;
}

void stall_costs_free(struct stall_costs *c)
{
	if (!c)
		return;
	clear(c);
	block_cache_free(c->cache);
	free(c->lines);
	free(c->waits);
	free(c);
}

static uint32_t find_line(struct stall_costs *c, uint32_t file, int32_t line)
{
	uint32_t hash = hash_fold(hash_mix(hash_mix(0, file), (uint32_t)line));

	HASH_INDEX_FOR_EACH(&c->line_index, hash, at, id)
	{
		if (c->lines[id].file == file && c->lines[id].line == line)
			return id;
	}
	c->lines = xgrow(c->lines, &c->cap_lines, c->n_lines + 1, sizeof(*c->lines));
	c->lines[c->n_lines] = (struct line_cost){.file = file, .line = line, .at_ns = NOT_SEEN};
	hash_index_add(&c->line_index, hash, (uint32_t)c->n_lines);
	return (uint32_t)c->n_lines++;
}

static void add_waiting(struct stall_costs *c, uint32_t line, uint32_t reason, uint64_t ns)
{
	uint32_t hash = hash_fold(hash_mix(hash_mix(0, line), reason));

	HASH_INDEX_FOR_EACH(&c->wait_index, hash, at, id)
	{
		if (c->waits[id].line == line && c->waits[id].reason == reason) {
			c->waits[id].ns += ns;
			return;
		}
	}
	c->waits = xgrow(c->waits, &c->cap_waits, c->n_waits + 1, sizeof(*c->waits));
	c->waits[c->n_waits] = (struct wait_cost){.line = line, .reason = reason, .ns = ns};
	hash_index_add(&c->wait_index, hash, (uint32_t)c->n_waits++);
}

static void add_wait(struct stall_costs *c, const struct wait_kind *kind, uint64_t ns)
{
	const struct trace_reason *reason = trace_get_reason(c->trace, kind->reason);
	uint32_t line;

	if (kind->idle || !ns)
		return;
	line = find_line(c, kind->file, kind->line);
	if (kind->state == WAIT_FOR_CPU) {
		c->lines[line].ready_ns += ns;
		return;
	}
	c->lines[line].waiting_ns += ns;
	add_waiting(c, line, reason ? reason->same_as : 0, ns);
}

/* --- a block that lies in the stretch as a whole --- */

static int on_line(void *ctx, const struct trace_block_line *line)
{
	struct stall_costs *c = ctx;
	uint32_t found = find_line(c, line->file, line->line);

	c->lines[found].ns += line->self_ns;
	return 0;
}

static int on_wait(void *ctx, const struct wait_kind *kind, uint64_t ns)
{
	add_wait(ctx, kind, ns);
	return 0;
}

static int add_whole(struct stall_costs *c, const struct block_row *row)
{
	int r = trace_each_block_line(c->trace, row->id, on_line, c);

	return r < 0 ? r : trace_each_block_wait(c->trace, row->id, on_wait, c);
}

/* --- a block of which it has a part --- */

static void add_time(struct stall_costs *c, const struct cached_block *b, uint32_t top,
		     uint64_t start_ns, uint64_t end_ns)
{
	const struct trace_code *code = NULL;
	struct block_line at = {0};
	struct line_cost *l;
	uint32_t found;

	if (end_ns <= start_ns)
		return;
	if (top < b->n_lines) {
		at = b->lines[top];
		code = trace_get_code(c->trace, at.code);
	}
	found = find_line(c, code ? code->file : 0, at.line);
	l = &c->lines[found];
	l->ns += end_ns - start_ns;
	if (l->at_ns == NOT_SEEN)
		l->at_ns = start_ns;
}

/* The line on top of the stack after an event. */
static uint32_t top_after(const struct cached_block *b, int64_t event)
{
	uint32_t depth = cached_block_depth(b, event);
	auto_free uint32_t *stack = NULL;

	if (!depth)
		return BLOCK_NO_LINE;
	if (event >= 0 && b->events[event].n_pushed)
		return b->events[event].pushed[b->events[event].n_pushed - 1];
	stack = xreallocarray(NULL, depth, sizeof(*stack));
	cached_block_stack(b, event, stack);
	return stack[depth - 1];
}

static int add_events(struct stall_costs *c, const struct block_row *row, uint64_t start_ns,
		      uint64_t end_ns)
{
	const struct cached_block *b;
	int r = block_cache_get(c->cache, row, &b);
	int64_t event;

	if (r < 0)
		return r;
	event = cached_block_find(b, start_ns);
	while (start_ns < end_ns) {
		bool is_last = event + 1 >= (int64_t)b->n_events;
		uint64_t next_ns = is_last ? end_ns : b->events[event + 1].time_ns;

		if (is_last && b->is_damaged)
			return -EBADMSG;
		if (next_ns > end_ns)
			next_ns = end_ns;
		add_time(c, b, top_after(b, event), start_ns, next_ns);
		if (next_ns > start_ns)
			start_ns = next_ns;
		event++;
	}
	return 0;
}

static int add_waits(struct stall_costs *c, const struct block_row *row, uint64_t start_ns,
		     uint64_t end_ns)
{
	auto_waits struct wait_list list = {0};
	int r = trace_decode_waits(c->trace, row->id, &list);

	for (size_t i = 0; r == 0 && i < list.n_items; i++) {
		uint64_t from_ns = row->first_ns + list.items[i].start_ns;
		uint64_t to_ns = wait_item_end(row, &list.items[i]);

		from_ns = from_ns > start_ns ? from_ns : start_ns;
		to_ns = to_ns < end_ns ? to_ns : end_ns;
		if (from_ns < to_ns)
			add_wait(c, &list.kinds[list.items[i].kind], to_ns - from_ns);
	}
	return r;
}

static int add_part(struct stall_costs *c, const struct block_row *row, uint64_t start_ns,
		    uint64_t end_ns)
{
	int r, r_waits;

	start_ns = start_ns > row->first_ns ? start_ns : row->first_ns;
	end_ns = end_ns < row->last_ns ? end_ns : row->last_ns;
	r = add_events(c, row, start_ns, end_ns);
	if (r < 0 && r != -EBADMSG)
		return r;
	r_waits = add_waits(c, row, start_ns, end_ns);
	return r_waits < 0 ? r_waits : r;
}

/* --- the answer --- */

static void find_cause(const struct stall_costs *c, uint32_t line, struct stall *ret)
{
	const struct line_cost *l = &c->lines[line];
	uint64_t off_ns = l->ready_ns + l->waiting_ns, most_ns;

	ret->cause = STALL_ON_CPU;
	most_ns = l->ns > off_ns ? l->ns - off_ns : 0;
	if (l->ready_ns > most_ns) {
		ret->cause = STALL_READY;
		most_ns = l->ready_ns;
	}
	for (size_t i = 0; i < c->n_waits; i++) {
		if (c->waits[i].line != line || c->waits[i].ns <= most_ns)
			continue;
		ret->cause = STALL_WAITING;
		ret->reason = c->waits[i].reason;
		most_ns = c->waits[i].ns;
	}
}

static void choose(const struct stall_costs *c, struct stall *ret)
{
	uint32_t most = 0;

	ret->at_ns = ret->start_ns;
	if (!c->n_lines)
		return;
	for (uint32_t i = 1; i < c->n_lines; i++) {
		if (c->lines[i].ns > c->lines[most].ns)
			most = i;
	}
	ret->file = c->lines[most].file;
	ret->line = c->lines[most].line;
	ret->line_ns = c->lines[most].ns;
	if (c->lines[most].at_ns != NOT_SEEN)
		ret->at_ns = c->lines[most].at_ns;
	find_cause(c, most, ret);
}

int stall_costs_find(struct stall_costs *c, struct stall *stall)
{
	struct block_row row;
	int r = trace_block_at(c->trace, stall->thread, stall->start_ns, &row), error = 0;

	clear(c);
	while (r == 1 && row.first_ns < stall->end_ns) {
		if (row.first_ns >= stall->start_ns && row.last_ns <= stall->end_ns)
			r = add_whole(c, &row);
		else
			r = add_part(c, &row, stall->start_ns, stall->end_ns);
		if (r == -EBADMSG)
			error = r;
		else if (r < 0)
			return r;
		r = trace_block_beside(c->trace, &row, FORWARDS, &row);
	}
	choose(c, stall);
	return r < 0 ? r : error;
}
