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
	/* Of each line. */
	double *left;	      /* of its time, as a part of it */
	double *all_ns;	      /* its waits, without idle ones */
	double *explained_ns; /* those of them that have a reason */
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

static void add_to(struct reduction *r, double *sums, uint32_t file, int32_t line, double ns)
{
	uint32_t hash = place_hash(r->trace, file, line);

	HASH_INDEX_FOR_EACH(&r->places, hash, at, id)
	{
		if (is_place(r, &r->profile->lines[id], file, line))
			sums[id] += ns;
	}
}

/* Whether one waited for files or for memory. */
static bool is_outside(const struct trace_reason *reason)
{
	static const char *const kinds[] = {"sync", "file", "fault"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(reason->kind, kinds[i]) == 0)
			return true;
	}
	return false;
}

static void explain(struct reduction *r, const struct trace_wait *w)
{
	const struct trace_reason *reason =
	    w->kind.reason ? trace_get_reason(r->trace, w->kind.reason) : NULL;
	struct profile_line *lines = r->profile->lines;
	uint32_t hash = place_hash(r->trace, w->kind.file, w->kind.line);

	if (w->kind.idle) {
		add_to(r, r->all_ns, w->kind.file, w->kind.line, -(double)w->total_ns);
		return;
	}
	if (!reason || strcmp(reason->kind, "unknown") == 0)
		return;
	add_to(r, r->explained_ns, w->kind.file, w->kind.line, (double)w->total_ns);
	if (!is_outside(reason))
		return;
	HASH_INDEX_FOR_EACH(&r->places, hash, at, id)
	{
		if (is_place(r, &lines[id], w->kind.file, w->kind.line))
			lines[id].sums.outside_ns += (double)w->total_ns;
	}
}

/* What has no reason, or was too short to be listed, is as the rest; without one it is outside. */
static void share_out(struct profile_sums *s, double all_ns, double explained_ns)
{
	if (explained_ns > 0)
		s->outside_ns *= fmax(all_ns / explained_ns, 1);
	else
		s->outside_ns = all_ns;
	s->outside_ns = fmax(0, fmin(s->outside_ns, s->ns));
}

int profile_leave_out(struct profile *p, struct trace *t, const struct trace_line *lines,
		      size_t n_lines)
{
	auto_free double *left = xcalloc(p->n_lines + 1, sizeof(*left));
	auto_free double *all_ns = xcalloc(p->n_lines + 1, sizeof(*all_ns));
	auto_free double *explained_ns = xcalloc(p->n_lines + 1, sizeof(*explained_ns));
	auto_free struct trace_wait *waits = NULL;
	struct reduction reduction = {
	    .profile = p, .trace = t, .left = left, .all_ns = all_ns, .explained_ns = explained_ns};
	size_t n_waits = 0;
	int r = trace_sum_waits(t, &waits, &n_waits);

	index_places(&reduction);
	if (!reduction.places.n)
		return r;
	for (size_t i = 0; i < n_lines; i++) {
		if (lines[i].ready_ns)
			reduce(&reduction, lines[i].file, lines[i].line, lines[i].ready_ns);
		add_to(&reduction, all_ns, lines[i].file, lines[i].line, (double)lines[i].wait_ns);
	}
	for (size_t i = 0; i < n_waits; i++) {
		take_wait(&reduction, &waits[i]);
		if (waits[i].kind.state != WAIT_FOR_CPU)
			explain(&reduction, &waits[i]);
	}
	for (size_t i = 0; i < p->n_lines; i++) {
		scale(&p->lines[i].sums, left[i] > 0 ? left[i] : 0);
		share_out(&p->lines[i].sums, all_ns[i], explained_ns[i]);
	}
	hash_index_done(&reduction.places);
	return r;
}
