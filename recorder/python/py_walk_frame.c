/* SPDX-License-Identifier: BSD-3-Clause */
/* What one frame of a stack says, and which frames can be its callees. */
#include <errno.h>

#include "recorder/python/py_walk.h"

/* Uses of a remembered entry frame between two verifications. */
#define LINK_USES 256

/*
 * Where in its code the frame is. Returns 0, or -EBADMSG when the ip is not in that code.
 */
static int locate_instruction(const struct py_layout *l, struct frame *f, remote_addr ip)
{
	uint64_t offset = ip - f->code->start;

	if (l->ip_points_before && ip + 2 == f->code->start) {
		f->unit = PY_UNIT_BEFORE_START;
		f->flags = PY_OP_NO_CALLEE;
		return 0;
	}
	if (offset & 1 || offset / 2 >= f->code->n_units)
		return -EBADMSG;
	f->unit = (uint32_t)(offset / 2);
	f->flags = f->code->units[f->unit];
	return 0;
}

int walk_parse_frame(const struct walk *w, remote_addr addr, const uint8_t *raw, uint32_t raw_len,
		     struct frame *f)
{
	const struct py_layout *l = w->l;
	remote_addr code = untag(l, raw_u64(raw, l->frame.code));
	int r;

	if (!code || code & 7)
		return code ? -EBADMSG : -ENOENT;
	f->addr = addr;
	f->raw = raw;
	f->raw_len = raw_len;
	f->owner = raw[l->frame.owner];
	f->previous = raw_u64(raw, l->frame.previous);
	f->is_entry = l->frame.is_entry != LAYOUT_ABSENT && raw[l->frame.is_entry] == 1;
	if (f->owner > OWNED_BY_GENERATOR)
		return -EBADMSG;
	r = py_stacks_code(w->s, code, &f->code);
	if (r < 0)
		return r;
	if (l->liveness == PY_LIVE_CODE) {
		f->operands = raw_u64(raw, l->frame.stacktop);
		f->waits = f->operands != 0;
	} else {
		int32_t stacktop = raw_i32(raw, l->frame.stacktop);

		if (stacktop < -1 || (stacktop >= 0 && (uint32_t)stacktop > f->code->frame_words))
			return -EBADMSG;
		f->waits = stacktop >= 0;
		f->operands = f->waits ? addr + l->frame.size + 8 * (uint64_t)stacktop : 0;
	}
	return locate_instruction(l, f, raw_u64(raw, l->frame.ip));
}

bool walk_is_incomplete(const struct frame *f)
{
	return f->owner != OWNED_BY_GENERATOR &&
	       (f->unit == PY_UNIT_BEFORE_START || f->unit < f->code->first_traceable);
}

int walk_read_slot(struct walk *w, struct frame *f)
{
	uint32_t available;
	int error;
	const uint8_t *raw =
	    py_datastack_view(w->s, w->chunk, w->slot, header_bytes(w->l), &available, &error);

	if (!raw)
		return error < 0 ? error : -ENOENT;
	return walk_parse_frame(w, w->slot, raw, available, f);
}

remote_addr walk_operand_at(const struct walk *w, const struct frame *f, remote_addr at)
{
	uint64_t offset = at - f->addr;
	uint64_t first = w->l->frame.size + 8 * (uint64_t)f->code->nlocalsplus;
	uint64_t end =
	    w->l->frame.size + 8 * (uint64_t)(f->code->frame_words - w->l->frame_specials);

	if (offset < first || offset >= end || offset + 8 > f->raw_len || offset & 7)
		return 0;
	return untag(w->l, raw_u64(f->raw, (uint32_t)offset));
}

/*
 * Does the call that the frame waits in call this function? The operands were consumed, but a
 * function is still where it was pushed: the first of them, or the second when a method's slot
 * or self is first.
 */
static bool calls_function(const struct walk *w, const struct frame *f, remote_addr function)
{
	return walk_operand_at(w, f, f->operands) == function ||
	       walk_operand_at(w, f, f->operands + 8) == function;
}

/* --- links --- */

bool walk_is_stack_frame(const struct walk *w, remote_addr addr)
{
	return py_datastack_chunk_of(w->s->stack, addr) < w->s->stack->n_chunks;
}

static struct entry_link *link_slot(struct py_stacks *s, remote_addr entry, const struct frame *f)
{
	uint64_t h = (entry >> 4) * UINT64_C(0x9e3779b97f4a7c15) ^ (f->addr >> 3) ^ f->unit;

	return &s->links[(h ^ h >> 32) & (MAX_LINKS - 1)];
}

/* From 3.12 on: is `entry` an entry frame through which C code was called from f? */
static bool is_entry_from(struct walk *w, remote_addr entry, const struct frame *f, int *error)
{
	struct entry_link *link = link_slot(w->s, entry, f);
	const uint8_t *raw;

	*error = 0;
	if (!entry || walk_is_stack_frame(w, entry))
		return false;
	if (link->entry == entry && link->caller == f->addr && link->unit == f->unit &&
	    link->uses < LINK_USES) {
		link->uses++;
		return true;
	}
	raw = py_stacks_page(w->s, entry, header_bytes(w->l), error);
	if (!raw || raw[w->l->frame.owner] < w->l->entry_owner ||
	    raw_u64(raw, w->l->frame.previous) != f->addr)
		return false;
	*link = (struct entry_link){f->addr, entry, f->unit, 0};
	return true;
}

bool walk_links_through_c(struct walk *w, const struct frame *f, const struct frame *c, int *error)
{
	*error = 0;
	if (w->l->frame.is_entry != LAYOUT_ABSENT)
		return c->is_entry && c->previous == f->addr;
	return c->previous != f->addr && is_entry_from(w, c->previous, f, error);
}

bool walk_links_inlined(const struct walk *w, const struct frame *f, const struct frame *c)
{
	if (c->previous != f->addr || c->is_entry || !f->waits)
		return false;
	if (f->code->is_shim)
		return true;
	if (f->flags & PY_OP_CALLS_OPERAND && !c->code->is_shim)
		return calls_function(w, f, untag(w->l, raw_u64(c->raw, w->l->frame.function)));
	return f->flags & (PY_OP_CALLS_OPERAND | PY_OP_INLINES | PY_OP_HIDES);
}

/*
 * The frame between a class call and __init__ waits before its first instruction, which comes
 * when __init__ has returned (CALL_ALLOC_AND_ENTER_INIT in Python/bytecodes.c).
 */
static bool shim_waits(const struct frame *f)
{
	return f->waits && f->unit == 0;
}

/* 3.12's CALL_FUNCTION_EX: it has no cache entry on which the ip could be. */
static bool is_cacheless_call(const struct frame *f)
{
	return f->flags & PY_OP_CALLS_OPERAND && f->unit < f->code->n_units &&
	       (f->unit + 1 == f->code->n_units ||
		!(f->code->units[f->unit + 1] & PY_UNIT_IS_CACHE));
}

bool walk_is_left_or_fresh(const struct walk *w, const struct frame *f)
{
	if (!f->waits)
		return false;
	if (f->code->is_shim)
		return !shim_waits(f);
	if (w->l->call_ip_is_last_cache)
		return !(f->flags & PY_UNIT_IS_CACHE) && !is_cacheless_call(f);
	return f->flags & PY_OP_LEAVES ||
	       (f->owner == OWNED_BY_THREAD && f->unit <= f->code->first_traceable);
}

enum step walk_may_call(const struct walk *w, const struct frame *f)
{
	if (f->code->is_shim)
		return shim_waits(f) ? STEP_LINKED : STEP_TOP;
	if (w->l->liveness == PY_LIVE_CODE)
		return !f->waits || f->flags & PY_OP_LEAVES ? STEP_TOP : STEP_LINKED;
	if (f->waits)
		return walk_is_left_or_fresh(w, f) ? STEP_TOP : STEP_LINKED;
	return f->flags & PY_OP_NO_CALLEE ? STEP_TOP : STEP_LINKED;
}

bool walk_has_inlined_callee(const struct walk *w, const struct frame *f)
{
	return w->l->liveness == PY_LIVE_STACKTOP && f->waits;
}

bool walk_may_have_finalizer(const struct frame *left)
{
	return left->waits && left->flags & PY_OP_LEAVES && left->owner == OWNED_BY_THREAD &&
	       !walk_is_incomplete(left);
}

bool walk_is_finalizer(struct walk *w, const struct frame *left, const struct frame *c, int *error)
{
	/* From 3.12 on that is an entry frame, where C code called the frame that was left. */
	struct frame caller = {.addr = left->previous, .unit = left->unit};

	*error = 0;
	if (c->owner != OWNED_BY_THREAD)
		return false;
	if (w->l->liveness == PY_LIVE_STACKTOP && walk_is_left_or_fresh(w, c))
		return false;
	return walk_links_through_c(w, &caller, c, error);
}

void walk_note_unproven(struct walk *w, const struct frame *c)
{
	if (w->l->liveness == PY_LIVE_STACKTOP && c->waits && !w->unproven) {
		w->unproven = c->addr;
		w->n_proven = w->s->snap->n;
	}
}

static bool was_read_first(const struct walk *w, const struct frame *c)
{
	return c->addr + header_bytes(w->l) <= w->first_read_end &&
	       c->addr >= w->s->stack->chunks[0].addr;
}

int walk_accept(struct walk *w, const struct frame *c)
{
	if (!w->above.addr && !was_read_first(w, c)) {
		w->hinge = w->top;
		w->above = *c;
		w->n_hinge = w->s->snap->n;
	}
	if (c->owner == OWNED_BY_THREAD)
		w->slot = c->addr + 8 * (uint64_t)c->code->frame_words;
	w->below = w->top;
	w->top = *c;
	w->consulted = false;
	if (!c->waits)
		w->unproven = 0;
	if (walk_is_incomplete(c))
		return 0;
	return py_stacks_push(w->s, c->code, c->addr, c->unit);
}
