/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What others than the sampler's own looks tell of a thread. A batch holds either looks, which are
 * taken back when they can't be proven, or this: so what was told stays told.
 */
#include <assert.h>
#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/python/py_code.h"
#include "recorder/sampler_private.h"

/* A source has to tell what happened within this time: then waits are told, come what may. */
#define OVERDUE_NS NS_PER_S
/* So many waits wait for their turn. */
#define MAX_OFFS 4096

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void sampler_told_settle(struct sampler *s)
{
	uint64_t now_ns;

	if (!s->n_used)
		return;
	now_ns = clock_monotonic_ns();
	/* Of a target that is gone nothing can be proven any more, but nor can it have changed. */
	if (sampler_end_batch(s, now_ns) < 0)
		sampler_publish_batch(s, now_ns);
}

static void publish(struct sampler *s, uint64_t time_ns)
{
	sampler_publish_batch(s, larger(time_ns, s->batch_start_ns));
}

/* A source can say anything: nothing is told of the future. The clock is read once in a bunch. */
static uint64_t not_after_now(struct sampler *s, uint64_t time_ns)
{
	if (time_ns > s->told_now_ns)
		s->told_now_ns = clock_monotonic_ns();
	return time_ns < s->told_now_ns ? time_ns : s->told_now_ns;
}

static uint64_t clamp_time(struct sampler *s, const struct track *t, uint64_t time_ns)
{
	uint64_t least_ns =
	    larger(larger(s->begun_ns, t->emitted_ns), larger(s->gap_end_ns, t->gap_end_ns));

	return larger(least_ns, not_after_now(s, time_ns));
}

static size_t count_offs(const struct track *t, uint64_t until_ns)
{
	size_t n = 0;

	while (n < t->n_offs && t->offs[n].end_ns <= until_ns)
		n++;
	return n;
}

void sampler_told_flush(struct sampler *s, struct track *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sampler_append_off(s, t, t->offs[i].start_ns, t->offs[i].end_ns, t->offs[i].was,
				   false);
	t->n_offs -= n;
	if (t->n_offs)
		memmove(t->offs, t->offs + n, t->n_offs * sizeof(t->offs[0]));
}

/* The waits that were over by then. Returns whether there were any. */
static bool tell_offs(struct sampler *s, struct track *t, uint64_t until_ns)
{
	size_t n = count_offs(t, until_ns);

	if (n == 0)
		return false;
	sampler_told_settle(s);
	sampler_told_flush(s, t, n);
	return true;
}

/*
 * Of these two the batch may hold looks, and still be taken back; it can't be ended where they are
 * called.
 */
void sampler_told_gone(struct sampler *s, struct track *t)
{
	sampler_told_flush(s, t, t->n_offs);
}

void sampler_told_off(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t end_ns,
		      unsigned was)
{
	if (t->n_offs >= MAX_OFFS)
		sampler_told_flush(s, t, t->n_offs);
	t->offs = xgrow(t->offs, &t->offs_cap, t->n_offs + 1, sizeof(t->offs[0]));
	t->offs[t->n_offs++] =
	    (struct told_wait){.start_ns = start_ns, .end_ns = end_ns, .was = was};
}

void sampler_told_overdue(struct sampler *s, uint64_t now_ns)
{
	for (size_t i = 0; i < s->n_tracks; i++) {
		if (now_ns > OVERDUE_NS && tell_offs(s, s->tracks[i], now_ns - OVERDUE_NS))
			publish(s, now_ns);
	}
}

void sampler_told_begin(struct sampler *s, struct track *t, enum provenance p, uint64_t time_ns)
{
	assert(p != PROVENANCE_OBSERVED);
	/* What was seen of it so far counts, or is gone. */
	sampler_told_settle(s);
	t->told_by = p;
	t->is_told_first = true;
	t->stale = false;
	t->emitted_ns = larger(t->emitted_ns, not_after_now(s, time_ns));
}

void sampler_told_end(struct sampler *s, struct track *t, uint64_t time_ns)
{
	if (tell_offs(s, t, UINT64_MAX))
		publish(s, t->emitted_ns);
	t->told_by = PROVENANCE_OBSERVED;
	t->stale = true;
	s->maybe_stale = true;
	/* Until then it is known. */
	t->looked_ns = larger(t->looked_ns, not_after_now(s, time_ns));
}

void sampler_told_until(struct sampler *s, struct track *t, uint64_t time_ns)
{
	/* It ran, whatever its figures said so far. */
	if (t->emitted_ns > t->coarse_ns)
		sampler_stack_changed(s, t, clock_monotonic_ns());
	t->coarse_ns = t->emitted_ns;
	time_ns = not_after_now(s, time_ns);
	if (tell_offs(s, t, time_ns))
		publish(s, time_ns);
}

uint32_t sampler_told_code(struct sampler *s, const char *file, size_t file_len, const char *name,
			   size_t name_len, int32_t first_line, uint64_t now_ns)
{
	const struct code_text text = {
	    .file = file,
	    .name = name,
	    .file_len = file_len < PY_MAX_FILE_NAME ? file_len : PY_MAX_FILE_NAME,
	    .name_len = name_len < PY_MAX_QUALNAME ? name_len : PY_MAX_QUALNAME,
	    .first_line = first_line,
	};
	uint32_t id;

	sampler_told_settle(s);
	now_ns = not_after_now(s, now_ns);
	id = sampler_announce_code(s, &text, now_ns);
	publish(s, now_ns);
	return id;
}

static bool append(struct sampler *s, struct track *t, uint64_t time_ns, uint32_t keep,
		   const struct record_frame *frames, uint32_t n_frames)
{
	struct record_stack *r = sampler_append_stack(s, n_frames);

	if (!r)
		return false;
	r->h.thread = t->number;
	r->h.time_ns = time_ns;
	r->keep = keep;
	r->n_frames = n_frames;
	r->provenance = (uint16_t)t->told_by;
	r->is_first = t->is_told_first;
	t->last = xgrow(t->last, &t->last_cap, (size_t)keep + n_frames, sizeof(t->last[0]));
	if (n_frames) {
		memcpy(r->frames, frames, n_frames * sizeof(*frames));
		memcpy(t->last + keep, frames, n_frames * sizeof(*frames));
	}
	t->n_last = keep + n_frames;
	t->emitted_ns = time_ns;
	t->is_told_first = false;
	return true;
}

bool sampler_told_stack(struct sampler *s, struct track *t, uint64_t time_ns, uint32_t keep,
			const struct record_frame *frames, uint32_t n_frames)
{
	struct record_frame again;
	bool is_told;

	assert(t->told_by != PROVENANCE_OBSERVED);
	/* One that has not begun. */
	if (!t->told_in && keep == 0 && n_frames == 0)
		return true;
	s->is_quiet = false;
	sampler_told_settle(s);
	time_ns = clamp_time(s, t, time_ns);
	if (!sampler_tell_full_gap(s, time_ns) ||
	    (!t->told_in && !sampler_announce_thread(s, t, time_ns))) {
		sampler_note_ring_full(s, t, time_ns);
		return false;
	}
	if (keep > t->n_last || n_frames > PY_MAX_FRAMES || keep + n_frames > PY_MAX_FRAMES) {
		t->n_last = 0;
		t->is_told_first = true;
		publish(s, time_ns);
		return false;
	}
	time_ns = clamp_time(s, t, time_ns);
	tell_offs(s, t, time_ns);
	if (keep && keep == t->n_last && n_frames == 0) {
		again = t->last[--keep];
		frames = &again;
		n_frames = 1;
	}
	is_told = append(s, t, time_ns, keep, frames, n_frames);
	if (!is_told)
		sampler_note_ring_full(s, t, time_ns);
	publish(s, time_ns);
	return is_told;
}
