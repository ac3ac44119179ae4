/* SPDX-License-Identifier: BSD-3-Clause */
/* What is verified of a stack at the end of a walk: frames that were read at different moments. */
#include <errno.h>

#include "common/clock.h"
#include "recorder/python/py_walk.h"

int walk_settle_unproven(struct walk *w)
{
	remote_addr top;
	int r;

	if (!w->unproven || py_datastack_chunk_of(w->s->stack, w->unproven) != 0)
		return 0;
	r = memory_read_u64(w->s->mem, w->s->stack->tstate + w->l->thread.datastack_top, &top);
	if (r < 0)
		return r;
	if (py_datastack_chunk_of(w->s->stack, top) == 0 && top <= w->unproven)
		w->s->snap->n = w->n_proven;
	return 0;
}

/*
 * The loop whose iterator the frame resumes, or NULL. In 3.12 its ip is on the cache of the
 * instruction that begins the loop while the generator runs.
 */
static const struct py_loop *loop_of(const struct frame *f)
{
	uint32_t unit = f->unit;

	if (!(f->flags & PY_OP_RESUMES_OPERAND))
		return NULL;
	while (unit > 0 && f->code->units[unit] & PY_UNIT_IS_CACHE)
		unit--;
	return py_code_find_loop(f->code, unit);
}

/*
 * Is the hinge still in the call, or in the loop over a generator, in which it was read? What its
 * own code does in such a loop changes its locals. Returns 1, 0, or an error.
 */
static int is_hinge_unmoved(struct walk *w)
{
	const struct frame *f = &w->hinge;
	const struct py_layout *l = w->l;
	uint32_t len = l->frame.size + 8 * (f->code->frame_words - l->frame_specials);
	uint32_t at = (uint32_t)(w->hinge_operand - f->addr);
	const struct py_loop *loop = loop_of(f);
	struct frame now = {0};
	int r;

	if (len > f->raw_len)
		len = f->raw_len;
	if (len > PAGE_BYTES)
		len = PAGE_BYTES;
	r = memory_read(w->s->mem, f->addr, w->s->verify, len);
	if (r == 0)
		r = walk_parse_frame(w, f->addr, w->s->verify, len, &now);
	if (r < 0)
		return r == -ESRCH || r == -EAGAIN ? r : 0;
	if (now.code != f->code || now.previous != f->previous)
		return 0;
	if (w->hinge_operand) {
		if (at + 8 > len || memcmp(w->s->verify + at, f->raw + at, 8) != 0)
			return 0;
		if (loop && now.unit >= loop->start && now.unit < loop->end)
			return 1;
	}
	return now.unit == f->unit;
}

/* Does a constant argument of the hinge's loop show that the generator is its own? 1, 0, -1. */
static int is_own_generator(struct walk *w)
{
	uint32_t header = header_bytes(w->l);
	const struct py_loop *loop = w->hinge.addr ? loop_of(&w->hinge) : NULL;

	if (!loop || w->above.raw_len < header + 8)
		return -1;
	return py_stacks_argument(w->s, w->hinge.code, loop->start,
				  untag(w->l, raw_u64(w->above.raw, header)));
}

/*
 * Is a generator's frame still what it was, by what is at its address now: same code, and the same
 * first locals, its arguments?
 * @now  header_bytes() + 16 bytes
 */
static bool is_same_frame(const struct walk *w, remote_addr addr, const uint8_t *now)
{
	uint32_t header = header_bytes(w->l), len = header + 16;
	const uint8_t *before = py_stacks_peek(w->s, addr, len);

	if (!before) {
		len = header;
		before = py_stacks_peek(w->s, addr, len);
	}
	return before && raw_u64(now, w->l->frame.code) == raw_u64(before, w->l->frame.code) &&
	       memcmp(now + header, before + header, len - header) == 0;
}

/* The same, read now. Returns 1, 0, or -ESRCH. */
static int is_unchanged(struct walk *w, remote_addr addr)
{
	int r = memory_read(w->s->mem, addr, w->s->verify, header_bytes(w->l) + 16);

	if (r == -ESRCH)
		return r;
	return r == 0 && is_same_frame(w, addr, w->s->verify);
}

static bool is_generator_above(const struct walk *w, uint32_t i)
{
	return !walk_is_stack_frame(w, w->s->snap->frames[i].addr);
}

/*
 * Generators above the outermost one may have been read at other moments, and what links them,
 * addresses, is the same in every loop that recycles their memory. So they are read once more, as
 * many as fit into one read with the outermost one: two loops can be mixed up only if one begins
 * anew while that read goes on. (To read them one after the other is not enough, however often: of
 * a program whose two loops took about as long as a few reads, one snapshot in 10,000 was mixed.)
 * The stack ends before the first that has changed, or lies too far away. Returns 0 or -ESRCH.
 */
static int verify_generators(struct walk *w)
{
	struct py_snapshot *snap = w->s->snap;
	uint32_t len = header_bytes(w->l) + 16, i;
	remote_addr low = w->above.addr, high = low;
	int r;

	for (i = w->n_hinge + 1; i < snap->n; i++) {
		remote_addr addr = snap->frames[i].addr;

		if (!is_generator_above(w, i))
			continue;
		if ((addr < low ? high - addr : addr - low) + len > VERIFY_BYTES)
			break;
		low = addr < low ? addr : low;
		high = addr > high ? addr : high;
	}
	if (low == high && i == snap->n)
		return 0;
	r = memory_read(w->s->mem, low, w->s->verify, high - low + len);
	if (r == -ESRCH)
		return r;
	for (uint32_t k = w->n_hinge; k < i; k++) {
		if (is_generator_above(w, k) &&
		    (r < 0 || !is_same_frame(w, snap->frames[k].addr,
					     w->s->verify + (snap->frames[k].addr - low))))
			i = k;
	}
	if (i < snap->n) {
		snap->n = i;
		snap->cut = PY_CUT_TORN;
	}
	return 0;
}

/* What was read late enough may belong to a moment after which all was as before again. */
static bool is_late(const struct walk *w)
{
	return clock_monotonic_ns() - w->s->first_read_ns > py_stacks_fair_ns(w->s);
}

/* @moved  whether something was seen to have changed, so that looking again can't confirm it */
static void cut_at_hinge(struct walk *w, enum py_cut reason, bool moved)
{
	struct py_snapshot *snap = w->s->snap;

	snap->n_seen = moved ? 0 : snap->n;
	snap->n = w->n_hinge;
	snap->cut = reason;
}

/* The outermost generator is its loop's own one, as a constant argument tells. */
static int verify_own_generator(struct walk *w)
{
	int same = is_unchanged(w, w->above.addr);

	if (same < 0)
		return same;
	if (!same || is_late(w)) {
		cut_at_hinge(w, PY_CUT_TORN, !same);
		return 0;
	}
	return verify_generators(w);
}

int walk_verify_hinge(struct walk *w)
{
	bool is_generator = w->above.owner == OWNED_BY_GENERATOR, unsteady = false, late;
	int same = 1, own;

	if (w->s->is_still)
		return 0;
	w->s->counters.reread++;
	own = is_generator ? is_own_generator(w) : -1;
	if (own == 1)
		return verify_own_generator(w);
	if (own == 0) {
		cut_at_hinge(w, PY_CUT_TORN, true);
		return 0;
	}
	if (w->hinge.addr)
		same = is_hinge_unmoved(w);
	late = is_late(w);
	if (same == 1 && is_generator)
		same = is_unchanged(w, w->above.addr);
	if (same < 0)
		return same;
	if (w->hinge.addr && is_generator)
		unsteady = !py_sites_is_steady(w->s->sites, w->hinge.code->serial, w->hinge.unit,
					       same && !late);
	if (!same || late || unsteady) {
		cut_at_hinge(w, unsteady ? PY_CUT_UNSTEADY : PY_CUT_TORN, !same);
		return 0;
	}
	return is_generator ? verify_generators(w) : 0;
}
