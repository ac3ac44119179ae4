/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From snapshots to records. Records of a batch are published only after every code object that
 * was used in it has been found unchanged (see py_codes.h); young ones are checked with each
 * snapshot, because code that comes and goes mostly does so soon.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/follow.h"
#include "recorder/sampler_private.h"

/* Where older code objects turn out to go as well, they count as young for longer. */
#define YOUNG_NS     (250 * NS_PER_MS)
#define MAX_YOUNG_NS (16 * NS_PER_S)

/*
 * What can't be proven is lost whole, so a batch is short, and shorter while code objects come and
 * go; but it takes so many times as long as its proof, whose cost grows with the code in use.
 */
#define BATCH_MIN_NS	(2 * NS_PER_MS)
#define BATCH_NORMAL_NS (20 * NS_PER_MS)
#define BATCH_MAX_NS	(160 * NS_PER_MS)
#define BATCH_PROOFS	100
/*
 * And holds so many snapshots, where they are rare, unless it gets older than this: with the
 * writer's ticks, a kill loses less than two seconds.
 */
#define BATCH_SNAPSHOTS 64
#define BATCH_OLD_NS	(1200 * NS_PER_MS)
/* When all wait for so long, it is over; most programs that tick do so more often. */
#define TELL_REST_NS (550 * NS_PER_MS)
/* When all wait, it may end this part of it earlier. */
#define REST_PART 3
/* Than this, for so long after the beginning. */
#define BATCH_BEGIN_NS (200 * NS_PER_MS)
#define BEGIN_NS       (5 * NS_PER_S)

/* A batch is ended early when its stacks take so much of the ring. */
#define BATCH_MAX_BYTES ((uint64_t)512 * 1024)

/* Room that stacks leave in the ring for what tells of threads, code and gaps. */
#define RESERVE_BYTES ((size_t)64 * 1024)

static bool announce_code(struct sampler *s, struct py_code *code, uint64_t now_ns)
{
	const struct code_text text = {
	    .file = code->file,
	    .name = code->name,
	    .file_len = code->file_len,
	    .name_len = code->name_len,
	    .first_line = code->first_line,
	};

	code->id = sampler_announce_code(s, &text, now_ns);
	code->announced_in = s->batch;
	return code->id != 0;
}

bool sampler_announce_thread(struct sampler *s, struct track *t, uint64_t now_ns)
{
	struct record_thread *r = ring_append(s->ring, RECORD_THREAD, sizeof(*r));

	if (!r)
		return false;
	t->number = s->next_thread++;
	t->told_in = s->batch;
	r->h.thread = t->number;
	r->h.time_ns = now_ns;
	t->emitted_ns = now_ns;
	r->native_id = t->id.native_id;
	r->python_id = t->id.python_id;
	r->interpreter_id = t->id.interpreter;
	return true;
}

static void note_used(struct sampler *s, struct py_code *code)
{
	if (code->used_in == s->batch)
		return;
	code->used_in = s->batch;
	s->used = xgrow(s->used, &s->used_cap, s->n_used + 1, sizeof(s->used[0]));
	s->used[s->n_used++] = code;
}

bool sampler_is_followed(const struct sampler *s, const char *file, const char *name)
{
	return follow_file(s->config->follow, s->config->packages, file, name);
}

/* The followed frames of the snapshot into s->now. Returns their number, or -1: ring full. */
static int64_t collect_followed(struct sampler *s, uint64_t now_ns)
{
	uint32_t n = 0;

	s->now = xgrow(s->now, &s->now_cap, s->snap.n, sizeof(s->now[0]));
	for (uint32_t i = 0; i < s->snap.n; i++) {
		const struct py_frame *f = &s->snap.frames[i];
		struct py_code *code = f->code;
		int32_t line;

		note_used(s, code);
		if (code->followed < 0)
			code->followed = sampler_is_followed(s, code->file, code->name);
		if (!code->followed)
			continue;
		if (!code->id && !announce_code(s, code, now_ns))
			return -1;
		line = py_frame_line(s->codes, f);
		s->counters.lines_unknown += line == 0;
		s->now[n++] = (struct record_frame){code->id, line};
	}
	return n;
}

static bool is_same_frame(const struct record_frame *a, const struct record_frame *b)
{
	return a->code == b->code && a->line == b->line;
}

void sampler_note_ring_full(struct sampler *s, struct track *t, uint64_t now_ns)
{
	if (!s->full_since_ns)
		s->full_since_ns = now_ns;
	s->full_lost++;
	s->counters.dropped[DROP_RING_FULL]++;
	t->n_last = 0; /* what comes next is told whole */
}

bool sampler_tell_full_gap(struct sampler *s, uint64_t now_ns)
{
	uint64_t start = s->full_since_ns;

	if (!start)
		return true;
	if (ring_room(s->ring) < 4 * RESERVE_BYTES)
		return false;
	s->full_since_ns = 0;
	for (size_t i = 0; i < s->n_tracks; i++) {
		s->tracks[i]->n_last = 0;
		s->tracks[i]->is_told_first = true;
	}
	sampler_emit_gap(s, start, now_ns > start ? now_ns : start, GAP_RING_FULL, s->full_lost);
	s->full_lost = 0;
	return true;
}

struct record_stack *sampler_append_stack(struct sampler *s, uint32_t n_frames)
{
	struct record_stack *r;
	size_t size = sizeof(*r) + n_frames * sizeof(r->frames[0]);

	if (ring_room(s->ring) < size + RESERVE_BYTES)
		return NULL;
	r = ring_append(s->ring, RECORD_STACK, size);
	if (r)
		s->batch_bytes += size;
	return r;
}

static bool append_stack(struct sampler *s, struct track *t, uint32_t n, uint64_t now_ns)
{
	uint32_t keep = 0;
	struct record_stack *r;

	while (keep < n && keep < t->n_last && is_same_frame(&s->now[keep], &t->last[keep]))
		keep++;
	t->changed = keep < n || keep < t->n_last;
	if (!t->changed)
		return true;
	sampler_stack_changed(s, t, now_ns);
	r = sampler_append_stack(s, n - keep);
	if (!r)
		return false;
	r->h.thread = t->number;
	r->h.time_ns = now_ns;
	r->keep = keep;
	r->n_frames = n - keep;
	r->provenance = PROVENANCE_OBSERVED;
	r->is_first = false;
	t->emitted_ns = now_ns;
	memcpy(r->frames, s->now + keep, (n - keep) * sizeof(r->frames[0]));
	t->last = xgrow(t->last, &t->last_cap, n, sizeof(t->last[0]));
	memcpy(t->last + keep, s->now + keep, (n - keep) * sizeof(t->last[0]));
	t->n_last = n;
	return true;
}

void sampler_emit(struct sampler *s, struct track *t, uint64_t time_ns, uint64_t now_ns,
		  bool is_unseen)
{
	int64_t n;

	/* One that has not begun: not even what it is called is certain. */
	if (!t->told_in && (!s->snap.n || sampler_has_others_id(s, t)))
		return;
	if (!t->told_in)
		time_ns = now_ns;
	if (!sampler_tell_full_gap(s, now_ns) ||
	    (!t->told_in && !sampler_announce_thread(s, t, now_ns))) {
		sampler_note_ring_full(s, t, now_ns);
		return;
	}
	/* Nothing is known of a gap. */
	if (time_ns < s->gap_end_ns)
		time_ns = s->gap_end_ns;
	if (time_ns < t->gap_end_ns)
		time_ns = t->gap_end_ns;
	n = collect_followed(s, now_ns);
	sampler_tell_unseen(s, t, n > 0 ? (uint32_t)n : 0, is_unseen ? time_ns : 0);
	if (n < 0 || !append_stack(s, t, (uint32_t)n, time_ns))
		sampler_note_ring_full(s, t, now_ns);
}

bool sampler_append_off(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t end_ns,
			unsigned was, bool is_open)
{
	struct record_off *r;

	if (!t->told_in)
		return false;
	r = ring_append(s->ring, RECORD_OFF, sizeof(*r));
	if (!r)
		return false;
	if (t->emitted_ns < end_ns && !is_open)
		t->emitted_ns = end_ns;
	r->h.thread = t->number;
	r->h.time_ns = end_ns;
	r->start_ns = start_ns;
	r->known_place = t->known_place;
	r->state = was;
	r->is_open = is_open;
	return true;
}

bool sampler_emit_off(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t end_ns,
		      unsigned was, bool is_open)
{
	bool has_turn = t->told_by == PROVENANCE_OBSERVED && !t->unseen_ns;

	if (!has_turn && t->told_in && !is_open) {
		sampler_told_off(s, t, start_ns, end_ns, was);
		return true;
	}
	return sampler_append_off(s, t, start_ns, end_ns, was, is_open);
}

void sampler_emit_end(struct sampler *s, struct track *t, uint64_t now_ns)
{
	struct record_header *h;

	if (!t->told_in)
		return;
	sampler_told_gone(s, t);
	h = ring_append(s->ring, RECORD_THREAD_END, sizeof(*h));
	if (!h)
		return; /* the trace then shows it as it was last seen */
	h->thread = t->number;
	h->time_ns = now_ns;
}

/* @thread  0: all */
static bool append_gap(struct sampler *s, uint16_t thread, uint64_t start_ns, uint64_t end_ns,
		       uint32_t reason, uint64_t lost)
{
	struct record_gap *r = ring_append(s->ring, RECORD_GAP, sizeof(*r));

	if (!r)
		return false;
	r->h.thread = thread;
	r->h.time_ns = end_ns;
	r->start_ns = start_ns;
	r->reason = reason;
	r->lost = lost;
	r->unused = 0;
	return true;
}

void sampler_emit_thread_gap(struct sampler *s, struct track *t, uint64_t start_ns, uint64_t end_ns,
			     uint32_t reason, uint64_t lost)
{
	if (t->told_in && append_gap(s, t->number, start_ns, end_ns, reason, lost))
		t->gap_end_ns = end_ns;
}

/* Of threads that others tell us of, nothing is lost when looks are. */
static void emit_gap_of_looks(struct sampler *s, uint64_t start_ns, uint64_t end_ns,
			      uint32_t reason, uint64_t lost)
{
	for (size_t i = 0; i < s->n_tracks; i++) {
		struct track *t = s->tracks[i];

		if (t->told_by != PROVENANCE_OBSERVED || !t->told_in ||
		    !append_gap(s, t->number, start_ns, end_ns, reason, lost))
			continue;
		t->gap_end_ns = end_ns;
		lost = 0;
	}
}

void sampler_emit_gap(struct sampler *s, uint64_t start_ns, uint64_t end_ns, uint32_t reason,
		      uint64_t lost)
{
	bool is_told = false;

	for (size_t i = 0; i < s->n_tracks; i++)
		is_told |= s->tracks[i]->told_by != PROVENANCE_OBSERVED;
	if (is_told && reason != GAP_RING_FULL)
		emit_gap_of_looks(s, start_ns, end_ns, reason, lost);
	else if (append_gap(s, 0, start_ns, end_ns, reason, lost))
		s->gap_end_ns = end_ns;
}

static bool is_young(const struct sampler *s, const struct py_code *code, uint64_t now_ns)
{
	return now_ns - code->loaded_ns <= (YOUNG_NS << s->young_doublings);
}

/*
 * Old, and in use all the time: the end of the batch will show it unchanged. What has not been used
 * for a while can have gone, and its address belong to another one.
 */
static bool is_proven_by_batch(const struct sampler *s, const struct py_code *code, uint64_t now_ns)
{
	return !is_young(s, code, now_ns) && now_ns - code->checked_ns < 2 * BATCH_OLD_NS;
}

uint32_t sampler_prove_young(struct sampler *s, uint64_t now_ns)
{
	const struct py_code *previous = NULL;

	for (uint32_t i = 0; i < s->snap.n; i++) {
		struct py_code *code = s->snap.frames[i].code;

		if (code->replaced)
			return i;
		/* A recursion need not be checked frame by frame. */
		if (code == previous || is_proven_by_batch(s, code, now_ns))
			continue;
		previous = code;
		if (py_codes_check(s->codes, code, now_ns, false) != 1)
			return i;
	}
	return s->snap.n;
}

/* Nothing of this batch may be published: as if it had not been. */
static void take_back(struct sampler *s, uint64_t now_ns)
{
	ring_rewind(s->ring);
	s->counters.snapshots = s->batch_counters.snapshots;
	memcpy(s->counters.cut, s->batch_counters.cut, sizeof(s->counters.cut));
	s->counters.dropped[DROP_CODE] += s->batch_snapshots;
	s->next_code = s->batch_next_code;
	s->next_thread = s->batch_next_thread;
	for (size_t i = 0; i < s->n_tracks; i++) {
		s->tracks[i]->is_off_told = false;
		/* What is told by others has been published. */
		if (s->tracks[i]->told_by == PROVENANCE_OBSERVED) {
			s->tracks[i]->n_last = 0;
			s->tracks[i]->stale = true;
		}
		s->maybe_stale = true;
		s->off_due_ns = 0;
		if (s->tracks[i]->told_in == s->batch)
			s->tracks[i]->told_in = 0;
	}
	for (size_t i = 0; i < s->n_used; i++) {
		if (s->used[i]->announced_in == s->batch)
			s->used[i]->id = 0;
	}
	memset(s->names.slots, 0, s->names.n_slots * sizeof(s->names.slots[0]));
	s->names.n_used = 0;
	sampler_emit_gap(s, s->batch_start_ns, now_ns, GAP_CODE_REPLACED, s->batch_snapshots);
}

/* Longer again after a success, up to what the proof's cost asks for. */
static void lengthen_batch(struct sampler *s, uint64_t proof_ns)
{
	uint64_t limit_ns = BATCH_PROOFS * proof_ns;

	if (limit_ns < BATCH_NORMAL_NS)
		limit_ns = BATCH_NORMAL_NS;
	if (limit_ns > BATCH_MAX_NS)
		limit_ns = BATCH_MAX_NS;
	s->batch_length_ns += s->batch_length_ns / 8;
	if (s->batch_length_ns > limit_ns)
		s->batch_length_ns = limit_ns;
}

/*
 * A program that starts has much code that is gone soon, such as that of modules: what is lost with
 * it shall be little.
 */
static uint64_t oldest_batch_ns(const struct sampler *s)
{
	return s->batch_start_ns - s->begun_ns < BEGIN_NS ? BATCH_BEGIN_NS : BATCH_OLD_NS;
}

/* Whoever asks where a thread hangs now is not to wait for a whole batch. */
static uint64_t rest_due_ns(const struct sampler *s)
{
	if (!s->idle_since_ns ||
	    (!ring_has_unpublished(s->ring) && s->called_ns >= s->idle_since_ns))
		return UINT64_MAX;
	return s->idle_since_ns + TELL_REST_NS;
}

bool sampler_is_rest_due(const struct sampler *s, uint64_t now_ns)
{
	return now_ns >= rest_due_ns(s);
}

bool sampler_is_batch_over(const struct sampler *s, uint64_t now_ns)
{
	uint64_t age_ns = now_ns - s->batch_start_ns, next_ns = s->pace.interval_ns;

	if (sampler_is_rest_due(s, now_ns))
		return true;
	/* Better now, being awake, than to wake up for it. */
	if (sampler_may_rest(s))
		next_ns = oldest_batch_ns(s) / REST_PART;
	/* In a program's first seconds much is taken back: its waits shall not be. */
	if (sampler_may_rest(s) && s->batch_start_ns - s->begun_ns < BEGIN_NS)
		next_ns = oldest_batch_ns(s) - BATCH_NORMAL_NS;
	/* The next round would be too late. */
	if (age_ns + next_ns > oldest_batch_ns(s) || s->batch_bytes > BATCH_MAX_BYTES)
		return true;
	/* Where code comes and goes, waiting for more would lose them all. */
	return age_ns >= s->batch_length_ns &&
	       (s->batch_snapshots >= BATCH_SNAPSHOTS || s->batch_length_ns < BATCH_NORMAL_NS);
}

uint64_t sampler_batch_due_ns(const struct sampler *s)
{
	/* Counters are told with it, even when nothing else is. */
	uint64_t due_ns = s->batch_start_ns + oldest_batch_ns(s);

	return due_ns < rest_due_ns(s) ? due_ns : rest_due_ns(s);
}

void sampler_publish_batch(struct sampler *s, uint64_t now_ns)
{
	ring_publish(s->ring);
	/* The writer reads the source of new code, which may not be there for long. */
	if (s->next_code != s->batch_next_code)
		ring_call(s->ring);
	s->batch++;
	s->batch_start_ns = now_ns;
	s->batch_snapshots = 0;
	s->batch_counters = s->counters;
	s->batch_bytes = 0;
	s->n_used = 0;
	s->batch_next_code = s->next_code;
	s->batch_next_thread = s->next_thread;
}

int sampler_end_batch(struct sampler *s, uint64_t now_ns)
{
	bool proven = true;

	for (size_t i = 0; i < s->n_used; i++) {
		struct py_code *code = s->used[i];
		int r;

		/* Replaced while young: what used it before was proven at that time. */
		if (code->replaced || is_young(s, code, now_ns))
			continue;
		r = py_codes_check(s->codes, code, now_ns, true);
		if (r < 0)
			return r;
		proven &= r == 1;
	}
	if (proven) {
		lengthen_batch(s, clock_monotonic_ns() - now_ns);
	} else {
		s->batch_length_ns = BATCH_MIN_NS;
		s->young_doublings += (YOUNG_NS << s->young_doublings) < MAX_YOUNG_NS;
		take_back(s, now_ns);
	}
	sampler_publish_batch(s, now_ns);
	py_codes_collect(s->codes);
	return 0;
}
