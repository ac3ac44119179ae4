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
 * Is the hinge still in the call, or in the loop over a generator, in which it was read? What its
 * own code does in such a loop changes its locals. Returns 1, 0, or an error.
 */
static int is_hinge_unmoved(struct walk *w)
{
	const struct frame *f = &w->hinge;
	const struct py_layout *l = w->l;
	uint32_t len = l->frame.size + 8 * (f->code->frame_words - l->frame_specials);
	uint32_t at = (uint32_t)(w->hinge_operand - f->addr);
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
		if (f->flags & PY_OP_RESUMES_OPERAND && now.unit > f->unit &&
		    now.unit < py_code_loop_end(f->code, f->unit))
			return 1;
	}
	return now.unit == f->unit;
}

/* Does a constant argument of the hinge's loop show that the generator is its own? 1, 0, -1. */
static int is_own_generator(struct walk *w)
{
	uint32_t header = header_bytes(w->l);

	if (!w->hinge.addr || !(w->hinge.flags & PY_OP_RESUMES_OPERAND) ||
	    w->above.raw_len < header + 8)
		return -1;
	return py_stacks_argument(w->s, w->hinge.code, w->hinge.unit,
				  untag(w->l, raw_u64(w->above.raw, header)));
}

/* Is the generator still what it was: same code, and the same first arguments? 1, 0, or -ESRCH. */
static int is_same_generator(struct walk *w)
{
	uint32_t header = header_bytes(w->l);
	uint32_t len = header + (w->above.raw_len >= header + 16 ? 16 : 0);
	int r = memory_read(w->s->mem, w->above.addr, w->s->verify, len);

	if (r == -ESRCH)
		return r;
	return r == 0 &&
	       raw_u64(w->s->verify, w->l->frame.code) == raw_u64(w->above.raw, w->l->frame.code) &&
	       memcmp(w->s->verify + header, w->above.raw + header, len - header) == 0;
}

/*
 * Of a loop that is over within a few reads, what lies in another page than its generator was read
 * too much later than that: the stack ends before it, unless the loop has shown to stay put.
 */
static void end_with_page(struct walk *w)
{
	struct py_snapshot *snap = w->s->snap;
	remote_addr page = w->above.addr & ~(remote_addr)(PAGE_BYTES - 1);
	uint32_t n = w->n_hinge;

	while (n < snap->n && snap->frames[n].addr - page < PAGE_BYTES)
		n++;
	if (n == snap->n || py_sites_is_steady(w->s->sites, w->hinge.code->serial, w->hinge.unit,
					       is_hinge_unmoved(w) == 1))
		return;
	snap->n_seen = snap->n;
	snap->n = n;
	snap->cut = PY_CUT_UNSTEADY;
}

int walk_verify_hinge(struct walk *w)
{
	bool is_generator = w->above.owner == OWNED_BY_GENERATOR, unsteady = false;
	struct py_snapshot *snap = w->s->snap;
	int r = 1, own;

	w->s->counters.reread++;
	own = is_generator ? is_own_generator(w) : -1;
	/* What hangs on it was read between two looks at it. */
	if (own == 1)
		own = is_same_generator(w);
	if (own == 1) {
		end_with_page(w);
		return 0;
	}
	if (own == 0) {
		snap->n = w->n_hinge;
		snap->cut = PY_CUT_TORN;
		return 0;
	}
	if (w->hinge.addr)
		r = is_hinge_unmoved(w);
	/* Late enough, it may have left and come back. */
	if (r == 1 && clock_monotonic_ns() - w->s->first_read_ns > py_stacks_fair_ns(w->s))
		r = 0;
	if (r == 1 && is_generator)
		r = is_same_generator(w);
	if (r < 0)
		return r;
	if (w->hinge.addr && is_generator)
		unsteady =
		    !py_sites_is_steady(w->s->sites, w->hinge.code->serial, w->hinge.unit, r == 1);
	if (r == 0 || unsteady) {
		snap->n_seen = snap->n;
		snap->n = w->n_hinge;
		snap->cut = unsteady ? PY_CUT_UNSTEADY : PY_CUT_TORN;
	}
	return 0;
}
