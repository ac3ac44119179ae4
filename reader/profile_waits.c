/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/profile_waits.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "reader/trace.h"
#include "reader/trace_profile.h"
#include "reader/trace_waits.h"

static void scale(struct profile_sums *s, double by)
{
	s->ns *= by;
	for (size_t i = 0; i < PROFILE_SLICES; i++)
		s->slice_ns[i] *= by;
}

struct reduction {
	struct profile *profile;
	struct trace *trace;
	struct hash_index places; /* to lines */
	double *left;		  /* of each line's time, as a part of it */
};

/* Lines of all files of a path are one. */
static uint32_t place_hash(struct trace *t, uint32_t file, int32_t line)
{
	const struct trace_file *f = trace_get_file(t, file);

	return hash_fold(hash_mix(f ? hash_bytes(f->path, f->path_len) : 0, (uint32_t)line));
}

static bool is_place(const struct reduction *r, const struct profile_line *l, uint32_t file,
		     int32_t line)
{
	const struct trace_code *code;
	const struct trace_file *x, *y;

	if (l->line != line || l->function == PROFILE_NONE)
		return false;
	code = trace_get_code(r->trace, r->profile->functions[l->function].code);
	x = code ? trace_get_file(r->trace, code->file) : NULL;
	y = trace_get_file(r->trace, file);
	return x && y && strcmp(x->path, y->path) == 0;
}

static void reduce(struct reduction *r, uint32_t file, int32_t line, uint64_t ns)
{
	const struct profile_line *lines = r->profile->lines;
	uint32_t hash = place_hash(r->trace, file, line);

	HASH_INDEX_FOR_EACH(&r->places, hash, at, id)
	{
		if (is_place(r, &lines[id], file, line) && lines[id].sums.ns > 0)
			r->left[id] -= (double)ns / lines[id].sums.ns;
	}
}

static void take_wait(struct reduction *r, const struct trace_wait *w)
{
	struct profile_line *lines = r->profile->lines;
	uint32_t hash = place_hash(r->trace, w->kind.file, w->kind.line);

	if (w->kind.state == WAIT_FOR_CPU)
		return;
	if (w->kind.idle) {
		reduce(r, w->kind.file, w->kind.line, w->total_ns);
		return;
	}
	HASH_INDEX_FOR_EACH(&r->places, hash, at, id)
	{
		if (!is_place(r, &lines[id], w->kind.file, w->kind.line))
			continue;
		lines[id].sums.wait_ns += (double)w->total_ns;
		lines[id].sums.n_waits += w->n;
		if ((double)w->longest_ns > lines[id].sums.longest_wait_ns)
			lines[id].sums.longest_wait_ns = (double)w->longest_ns;
	}
}

static void index_places(struct reduction *r)
{
	const struct profile *p = r->profile;

	for (size_t i = 0; i < p->n_lines; i++) {
		const struct trace_code *code = NULL;

		r->left[i] = 1;
		if (p->lines[i].function != PROFILE_NONE)
			code = trace_get_code(r->trace, p->functions[p->lines[i].function].code);
		if (code)
			hash_index_add(&r->places,
				       place_hash(r->trace, code->file, p->lines[i].line),
				       (uint32_t)i);
	}
}

/*
 * Of the waits of a line, those that are listed and have a reason that is the program's are not for
 * things outside. What is not listed, because it was short, has no reason.
 */
static void count_outside(struct reduction *r, uint32_t file, int32_t line, double ns)
{
	struct profile_line *lines = r->profile->lines;
	uint32_t hash = place_hash(r->trace, file, line);

	HASH_INDEX_FOR_EACH(&r->places, hash, at, id)
	{
		if (is_place(r, &lines[id], file, line))
			lines[id].sums.outside_ns += ns;
	}
}

/* Whether one waited for files, for memory, or nobody knows for what. */
static bool is_outside(struct trace *t, const struct trace_wait *w)
{
	static const char *const kinds[] = {"unknown", "running", "sync", "file", "fault"};
	const struct trace_reason *reason =
	    w->kind.reason ? trace_get_reason(t, w->kind.reason) : NULL;

	if (w->kind.idle)
		return false;
	for (size_t i = 0; reason && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(reason->kind, kinds[i]) == 0)
			return true;
	}
	return !reason;
}

int profile_leave_out(struct profile *p, struct trace *t, const struct trace_line *lines,
		      size_t n_lines)
{
	auto_free double *left = xcalloc(p->n_lines + 1, sizeof(*left));
	auto_free struct trace_wait *waits = NULL;
	struct reduction reduction = {.profile = p, .trace = t, .left = left};
	size_t n_waits = 0;
	int r = trace_sum_waits(t, &waits, &n_waits);

	index_places(&reduction);
	for (size_t i = 0; i < n_lines; i++) {
		if (lines[i].ready_ns)
			reduce(&reduction, lines[i].file, lines[i].line, lines[i].ready_ns);
		count_outside(&reduction, lines[i].file, lines[i].line, (double)lines[i].wait_ns);
	}
	for (size_t i = 0; i < n_waits; i++) {
		const struct trace_wait *w = &waits[i];

		take_wait(&reduction, w);
		if (w->kind.state != WAIT_FOR_CPU && !is_outside(t, w))
			count_outside(&reduction, w->kind.file, w->kind.line, -(double)w->total_ns);
	}
	for (size_t i = 0; i < p->n_lines; i++) {
		struct profile_sums *s = &p->lines[i].sums;

		scale(s, left[i] > 0 ? left[i] : 0);
		s->outside_ns = fmax(0, fmin(s->outside_ns, s->ns));
	}
	hash_index_done(&reduction.places);
	return r;
}
