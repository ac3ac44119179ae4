/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/trace_profile.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/block_codec.h"
#include "common/clock.h"
#include "common/hash_index.h"
#include "common/pack.h"
#include "common/provenance_codec.h"
#include "common/xalloc.h"
#include "reader/profile_waits.h"
#include "reader/trace.h"
#include "reader/trace_seek.h"

DEFINE_CLEANUP(struct block_decoder *, block_decoder_free)

/* In intervals. */
#define LEAST_GAP 4
/* For one that came soon, so many that did not. */
#define SURE_TO_UNSURE 20

/* When something was last left, if that was in the block at hand. */
struct leaving {
	uint64_t block;
	uint64_t time_ns;
};

/* The majority of what was seen, by one vote that the others can take away. */
struct vote {
	uint32_t who;
	uint64_t n;
};

_Static_assert(PROFILE_SLICES <= 32, "a bit for each slice");

struct builder {
	struct profile profile; /* must be first: the caller frees it as what it is in */
	struct trace *trace;
	struct unpacker *unpacker;
	uint64_t start_ns, slice_ns;
	size_t cap_functions, cap_lines;
	struct hash_index function_index, line_index;
	struct hash_index call_index;
	size_t cap_calls;
	/* By function, and by line. */
	struct leaving *functions_left, *lines_left;
	struct vote *callers;
	uint32_t *last_callers; /* the pair of the latest is known */
	size_t cap_functions_left, cap_lines_left, cap_callers, cap_last_callers;
	/* Of the block at hand. */
	uint64_t block;	   /* its number, from 1 on */
	uint32_t *line_of; /* of each of its lines */
	size_t cap_line_of;
	uint32_t *stack; /* lines of the profile, outermost first */
	size_t cap_stack;
	uint64_t *began_ns; /* when each of them was called; 0: before the block */
	size_t cap_began_ns;
	bool is_told; /* the event at hand: nothing before it was missed */
};

/* --- functions and lines --- */

static bool is_same_function(struct trace *t, uint32_t known, const struct trace_code *code)
{
	const struct trace_code *k = trace_get_code(t, known);
	const struct trace_file *a, *b;

	if (!k || k->name_len != code->name_len || memcmp(k->name, code->name, k->name_len) != 0)
		return false;
	a = trace_get_file(t, k->file);
	b = trace_get_file(t, code->file);
	return a && b ? strcmp(a->path, b->path) == 0 : a == b;
}

static uint32_t find_function(struct builder *b, uint32_t id)
{
	const struct trace_code *code = trace_get_code(b->trace, id);
	struct profile *p = &b->profile;
	struct profile_function *f;
	uint32_t hash;

	if (!code)
		return PROFILE_NONE;
	hash = hash_fold(hash_bytes(code->name, code->name_len));
	HASH_INDEX_FOR_EACH(&b->function_index, hash, at, found)
	{
		f = &p->functions[found];
		if (!is_same_function(b->trace, f->code, code))
			continue;
		if (code->first_line < f->first_line)
			f->first_line = code->first_line;
		return found;
	}
	p->functions =
	    xgrow(p->functions, &b->cap_functions, p->n_functions + 1, sizeof(*p->functions));
	p->functions[p->n_functions] =
	    (struct profile_function){.code = code->id, .first_line = code->first_line};
	b->functions_left = xgrow(b->functions_left, &b->cap_functions_left, p->n_functions + 1,
				  sizeof(*b->functions_left));
	b->functions_left[p->n_functions] = (struct leaving){0};
	b->callers = xgrow(b->callers, &b->cap_callers, p->n_functions + 1, sizeof(*b->callers));
	b->callers[p->n_functions] = (struct vote){.who = PROFILE_NONE};
	b->last_callers = xgrow(b->last_callers, &b->cap_last_callers, p->n_functions + 1,
				sizeof(*b->last_callers));
	b->last_callers[p->n_functions] = PROFILE_NONE;
	hash_index_add(&b->function_index, hash, (uint32_t)p->n_functions);
	return (uint32_t)p->n_functions++;
}

static uint32_t find_line(struct builder *b, struct block_line line)
{
	uint32_t function = find_function(b, line.code);
	uint32_t hash = hash_fold(hash_mix(hash_mix(0, function), (uint32_t)line.line));
	struct profile *p = &b->profile;

	HASH_INDEX_FOR_EACH(&b->line_index, hash, at, id)
	{
		if (p->lines[id].function == function && p->lines[id].line == line.line)
			return id;
	}
	p->lines = xgrow(p->lines, &b->cap_lines, p->n_lines + 1, sizeof(*p->lines));
	p->lines[p->n_lines] = (struct profile_line){.function = function, .line = line.line};
	b->lines_left =
	    xgrow(b->lines_left, &b->cap_lines_left, p->n_lines + 1, sizeof(*b->lines_left));
	b->lines_left[p->n_lines] = (struct leaving){0};
	hash_index_add(&b->line_index, hash, (uint32_t)p->n_lines);
	return (uint32_t)p->n_lines++;
}

/* --- adding up --- */

static size_t slice_at(const struct builder *b, uint64_t time_ns)
{
	uint64_t slice = time_ns > b->start_ns ? (time_ns - b->start_ns) / b->slice_ns : 0;

	return slice < PROFILE_SLICES ? (size_t)slice : PROFILE_SLICES - 1;
}

static void add_time(struct builder *b, uint32_t line, uint64_t start_ns, uint64_t end_ns)
{
	struct profile_sums *s = &b->profile.lines[line].sums;

	for (size_t i = slice_at(b, start_ns); start_ns < end_ns; i++) {
		uint64_t to_ns = b->start_ns + (i + 1) * b->slice_ns;

		if (to_ns > end_ns || i + 1 >= PROFILE_SLICES)
			to_ns = end_ns;
		s->ns += (double)(to_ns - start_ns);
		s->slice_ns[i] += (double)(to_ns - start_ns);
		start_ns = to_ns;
	}
}

static void count(struct builder *b, struct profile_sums *s, const struct leaving *left,
		  uint64_t time_ns)
{
	double gap_ns = (double)(time_ns - left->time_ns);

	s->slices_begun |= UINT32_C(1) << slice_at(b, time_ns);
	if (!b->is_told && left->block == b->block && gap_ns < LEAST_GAP * b->profile.interval_ns) {
		s->n_unsure++;
		return;
	}
	s->n++;
	s->slice_n[slice_at(b, time_ns)]++;
}

static void vote(struct vote *v, uint32_t who)
{
	if (v->n == 0)
		v->who = who;
	if (v->who == who)
		v->n++;
	else
		v->n--;
}

static void note_call(struct builder *b, uint32_t caller, uint32_t callee)
{
	struct profile *p = &b->profile;
	uint32_t hash = hash_fold(hash_mix(hash_mix(0, caller), callee));

	if (caller == PROFILE_NONE || b->last_callers[callee] == caller)
		return;
	b->last_callers[callee] = caller;
	HASH_INDEX_FOR_EACH(&b->call_index, hash, at, id)
	{
		if (p->calls[id].caller == caller && p->calls[id].callee == callee)
			return;
	}
	p->calls = xgrow(p->calls, &b->cap_calls, p->n_calls + 1, sizeof(*p->calls));
	p->calls[p->n_calls] = (struct profile_call){.caller = caller, .callee = callee};
	hash_index_add(&b->call_index, hash, (uint32_t)p->n_calls++);
}

static uint32_t function_at(const struct builder *b, size_t depth)
{
	return b->profile.lines[b->stack[depth]].function;
}

/* Frames from depth on are left; if the function of the first one goes on, only its line is. */
static void pop(struct builder *b, size_t depth, uint32_t n, bool goes_on, uint64_t time_ns)
{
	const struct leaving left = {.block = b->block, .time_ns = time_ns};

	for (size_t i = depth; i < depth + n; i++) {
		uint32_t function = function_at(b, i);

		b->lines_left[b->stack[i]] = left;
		if (function == PROFILE_NONE || (goes_on && i == depth))
			continue;
		b->functions_left[function] = left;
		if (b->began_ns[i]) {
			b->profile.functions[function].sums.n_whole++;
			b->profile.functions[function].sums.whole_ns +=
			    (double)(time_ns - b->began_ns[i]);
		}
	}
}

static void push(struct builder *b, size_t depth, uint32_t line, bool goes_on, uint64_t time_ns)
{
	struct profile *p = &b->profile;
	uint32_t function = p->lines[line].function, caller;

	b->stack[depth] = line;
	count(b, &p->lines[line].sums, &b->lines_left[line], time_ns);
	if (goes_on)
		return;
	b->began_ns[depth] = time_ns;
	if (function == PROFILE_NONE)
		return;
	count(b, &p->functions[function].sums, &b->functions_left[function], time_ns);
	caller = depth ? function_at(b, depth - 1) : PROFILE_NONE;
	vote(&b->callers[function], caller);
	note_call(b, caller, function);
}

static void grow_stack(struct builder *b, size_t n)
{
	b->stack = xgrow(b->stack, &b->cap_stack, n, sizeof(*b->stack));
	b->began_ns = xgrow(b->began_ns, &b->cap_began_ns, n, sizeof(*b->began_ns));
}

/* Of the first frame that comes in place of one of the same function, only the line changes. */
static size_t apply(struct builder *b, size_t depth, const struct block_event *e, uint64_t time_ns)
{
	bool goes_on;

	depth -= e->pop;
	grow_stack(b, depth + e->n_pushed + 1);
	goes_on = e->pop && e->n_pushed &&
		  function_at(b, depth) == b->profile.lines[b->line_of[e->pushed[0]]].function;
	pop(b, depth, e->pop, goes_on, time_ns);
	for (uint32_t i = 0; i < e->n_pushed; i++)
		push(b, depth + i, b->line_of[e->pushed[i]], goes_on && i == 0, time_ns);
	return depth + e->n_pushed;
}

static int add_events(struct builder *b, struct block_decoder *d, const struct trace_block *block,
		      const struct provenance_runs *known)
{
	uint64_t last_ns = block->first_ns;
	struct block_event event;
	uint32_t start_depth, i = 0;
	const uint32_t *start = block_decoder_stack(d, &start_depth);
	size_t depth = start_depth;
	int r;

	grow_stack(b, depth + 1);
	for (size_t k = 0; k < depth; k++) {
		b->stack[k] = b->line_of[start[k]];
		b->began_ns[k] = 0;
	}
	while ((r = block_decoder_next(d, &event)) == 1) {
		uint64_t time_ns = block->first_ns + event.offset_ns;

		if (event.offset_ns > block->last_ns - block->first_ns)
			return -EBADMSG;
		if (depth)
			add_time(b, b->stack[depth - 1], last_ns, time_ns);
		last_ns = time_ns;
		b->is_told = provenance_is_complete(provenance_runs_find(known, i++).provenance);
		depth = apply(b, depth, &event, time_ns);
	}
	if (r == 0 && depth)
		add_time(b, b->stack[depth - 1], last_ns, block->last_ns);
	return r;
}

static int add_block(struct builder *b, const struct trace_block *block)
{
	auto_release(block_decoder_free) struct block_decoder *d = NULL;
	const struct block_line *lines;
	struct provenance_runs known;
	uint32_t n_lines;
	int r = block_decoder_new(b->unpacker, block->data, block->data_len, &d);

	if (r < 0)
		return r;
	if (block->last_ns < block->first_ns)
		return -EBADMSG;
	lines = block_decoder_lines(d, &n_lines);
	b->line_of = xgrow(b->line_of, &b->cap_line_of, n_lines, sizeof(*b->line_of));
	for (uint32_t i = 0; i < n_lines; i++)
		b->line_of[i] = find_line(b, lines[i]);
	b->profile.observed_ns += (double)(block->last_ns - block->first_ns);
	r = trace_decode_provenance(b->trace, block->id, block->n_events, &known);
	if (r == 0)
		r = add_events(b, d, block, &known);
	provenance_runs_done(&known);
	return r;
}

static int on_block(void *ctx, const struct trace_block *block)
{
	struct builder *b = ctx;

	b->block++;
	/* Each block stands alone: one that is damaged takes no other with it. */
	if (add_block(b, block) < 0)
		b->profile.n_lost_blocks++;
	return 0;
}

/* --- the whole --- */

static int compare_lines(const void *a, const void *b)
{
	const struct profile_line *x = a, *y = b;

	if (x->function != y->function)
		return x->function < y->function ? -1 : 1;
	return (x->line > y->line) - (x->line < y->line);
}

/* The lines of each function together, and their time as that of the function. */
static void gather(struct profile *p)
{
	if (p->n_lines)
		qsort(p->lines, p->n_lines, sizeof(*p->lines), compare_lines);
	while (p->n_lines && p->lines[p->n_lines - 1].function == PROFILE_NONE)
		p->n_lines--;
	for (size_t i = 0; i < p->n_lines; i++) {
		const struct profile_line *l = &p->lines[i];
		struct profile_function *f = &p->functions[l->function];

		if (f->n_lines++ == 0)
			f->first = i;
		f->sums.ns += l->sums.ns;
		f->sums.wait_ns += l->sums.wait_ns;
		f->sums.n_waits += l->sums.n_waits;
		f->sums.outside_ns += l->sums.outside_ns;
		if (l->sums.longest_wait_ns > f->sums.longest_wait_ns)
			f->sums.longest_wait_ns = l->sums.longest_wait_ns;
		for (size_t s = 0; s < PROFILE_SLICES; s++)
			f->sums.slice_ns[s] += l->sums.slice_ns[s];
	}
}

static double cut_part(struct trace *t, uint64_t n_looks)
{
	uint64_t n_cut = 0;

	for (unsigned i = 0; i < N_CUT_REASONS; i++) {
		auto_free char *name = xasprintf(COUNTER_CUT "%s", cut_reason_name(i));
		uint64_t n = 0;

		trace_counter(t, name, &n);
		n_cut += n < n_looks ? n : n_looks;
	}
	return n_looks ? fmin((double)n_cut / (double)n_looks, 1) : 0;
}

/* By the sums of the index. */
static int measure_interval(struct builder *b, const struct trace_line *lines, size_t n_lines)
{
	struct trace_summary summary;
	uint64_t n_looks = 0;
	int r = trace_summarise(b->trace, &summary), r_looks;
	double running_ns = (double)summary.observed_ns, ready_ns = 0;

	for (size_t i = 0; i < n_lines; i++) {
		running_ns -= (double)lines[i].wait_ns + (double)lines[i].ready_ns;
		ready_ns += (double)lines[i].ready_ns;
	}
	if (running_ns > 0)
		b->profile.starved = ready_ns / (running_ns + ready_ns);
	r_looks = trace_counter(b->trace, COUNTER_SNAPSHOTS, &n_looks);
	b->profile.cut = cut_part(b->trace, n_looks);
	if (n_looks && running_ns > 0)
		b->profile.interval_ns = running_ns / (double)n_looks;
	return r < 0 ? r : r_looks;
}

static int build(struct builder *b)
{
	auto_free struct trace_line *lines = NULL;
	uint64_t end_ns = 0;
	size_t n_lines = 0;
	int r = trace_bounds(b->trace, &b->start_ns, &end_ns), error = r;

	b->slice_ns = end_ns > b->start_ns ? (end_ns - b->start_ns) / PROFILE_SLICES + 1 : 1;
	r = trace_sum_lines(b->trace, &lines, &n_lines);
	error = error < 0 ? error : r;
	r = measure_interval(b, lines, n_lines);
	error = error < 0 ? error : r;
	r = trace_each_block(b->trace, on_block, b);
	error = error < 0 ? error : r;
	r = profile_leave_out(&b->profile, b->trace, lines, n_lines);
	return error < 0 ? error : r;
}

int profile_new(struct trace *t, struct profile **ret)
{
	struct builder *b = xcalloc(1, sizeof(*b));
	int r;

	*ret = &b->profile;
	b->trace = t;
	b->unpacker = unpacker_new();
	r = build(b);
	for (size_t i = 0; i < b->profile.n_functions; i++)
		b->profile.functions[i].caller = b->callers[i].who;
	gather(&b->profile);
	unpacker_free(b->unpacker);
	hash_index_done(&b->function_index);
	hash_index_done(&b->line_index);
	hash_index_done(&b->call_index);
	free(b->functions_left);
	free(b->lines_left);
	free(b->callers);
	free(b->last_callers);
	free(b->line_of);
	free(b->stack);
	free(b->began_ns);
	return r < 0 ? r : b->profile.n_lost_blocks ? -EBADMSG : 0;
}

bool profile_is_counted(const struct profile_sums *s)
{
	return s->n / SURE_TO_UNSURE >= s->n_unsure;
}

void profile_free(struct profile *p)
{
	if (!p)
		return;
	free(p->functions);
	free(p->lines);
	free(p->calls);
	free(p);
}
