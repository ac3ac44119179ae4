/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stacks of CPython 3.11 and later. A thread's frames lie one after the other in its data stack,
 * so that one read of its beginning gets most stacks whole; generators and coroutines keep their
 * frames in their own objects and are found through their callers' operands, or, where C code
 * stands between, back from the thread state.
 *
 * What the memory says about a frame (see enum py_liveness):
 *   3.11 to 3.13  stacktop -1: its bytecode, or C code that it called, is running; otherwise it
 *                 waits in an inlined call, or has been left. In 3.11 and 3.12 the ip of a frame
 *                 that waits in an inlined call is on an inline cache entry, and never else.
 *   from 3.14     stackpointer NULL: its bytecode is running; a popped frame's code is cleared.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "recorder/python/py_datastack.h"
#include "recorder/python/py_opcodes.h"
#include "recorder/python/py_stacks_private.h"

#define TSTATE_BYTES	   400
#define OWNED_BY_THREAD	   0
#define OWNED_BY_GENERATOR 1
#define TAG_BITS	   UINT64_C(3)

/* A call near the end of a chunk may have gone on in the next: frames are seldom larger. */
#define CHUNK_END_BYTES 2048

/*
 * A hinge that is found unmoved must be so within the time of so many reads more than were made
 * in between: a loop that ends, another one that runs from its beginning to where we saw it, and
 * the first one again take longer.
 */
#define HINGE_READS 2
/* Operands that can be the iterator which an instruction resumes, and are looked at early. */
#define N_EARLY 2

/* Uses of a remembered entry frame between two verifications. */
#define LINK_USES 256

/* A frame as it was read. */
struct frame {
	remote_addr addr;
	const uint8_t *raw; /* header and, as far as it was read, locals and operands */
	uint32_t raw_len;
	struct py_code *code;
	remote_addr previous;
	remote_addr operands; /* where the operand stack ends, when it waits */
	uint32_t unit;
	uint8_t flags; /* of the current instruction */
	uint8_t owner;
	bool waits;    /* for an inlined call (from 3.14: for any call), or has been left */
	bool is_entry; /* 3.11: called from C */
};

struct walk {
	struct py_stacks *s;
	const struct py_layout *l;
	struct frame top;   /* the innermost frame accepted so far; addr 0: none yet */
	struct frame below; /* its caller */
	remote_addr slot;   /* where a callee's frame in the data stack begins */
	uint32_t chunk;	    /* the chunk of slot */
	/* A callee of C code that is alive only if something above it proves it (to 3.13). */
	remote_addr unproven;
	uint32_t n_proven;
	/*
	 * What lies above the hinge was read later than it, which is verified at the end.
	 */
	struct frame hinge, above;  /* above: the frame next to it */
	remote_addr hinge_operand;  /* where the hinge has the generator that it resumes, or 0 */
	remote_addr first_read_end; /* of what was read of the root chunk at first */
	uint32_t n_hinge;	    /* frames up to the hinge */
	bool consulted;		    /* the thread state has been looked at */
};

enum step { STEP_LINKED, STEP_TOP, STEP_TORN };

static remote_addr untag(const struct py_layout *l, uint64_t ref)
{
	return l->code_is_tagged ? ref & ~TAG_BITS : ref;
}

static uint32_t header_bytes(const struct py_layout *l)
{
	return l->frame.size;
}

/* --- one frame --- */

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

/*
 * Make sense of a frame's header. Returns 0; -ENOENT when no call is in progress there; -EBADMSG
 * when that is no frame; -EAGAIN when its code object had to be loaded first; -ESRCH.
 */
static int parse_frame(const struct walk *w, remote_addr addr, const uint8_t *raw, uint32_t raw_len,
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

/* Set up but not begun yet, or a frame that stands in for the interpreter's own business. */
static bool is_incomplete(const struct frame *f)
{
	return f->owner != OWNED_BY_GENERATOR &&
	       (f->unit == PY_UNIT_BEFORE_START || f->unit < f->code->first_traceable);
}

/* The frame that would lie at w->slot. Returns as parse_frame(), -ENOENT outside the chunk. */
static int read_slot(struct walk *w, struct frame *f)
{
	uint32_t available;
	int error;
	const uint8_t *raw =
	    py_datastack_view(w->s, w->chunk, w->slot, header_bytes(w->l), &available, &error);

	if (!raw)
		return error < 0 ? error : -ENOENT;
	return parse_frame(w, w->slot, raw, available, f);
}

/* An operand of a frame, by its address; 0 when it was not read or lies outside. */
static remote_addr operand_at(const struct walk *w, const struct frame *f, remote_addr at)
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
	return operand_at(w, f, f->operands) == function ||
	       operand_at(w, f, f->operands + 8) == function;
}

/* --- links --- */

static bool is_stack_frame(const struct walk *w, remote_addr addr)
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
	if (!entry || is_stack_frame(w, entry))
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

/* Can C code that f called have called c? */
static bool links_through_c(struct walk *w, const struct frame *f, const struct frame *c,
			    int *error)
{
	*error = 0;
	if (w->l->frame.is_entry != LAYOUT_ABSENT)
		return c->is_entry && c->previous == f->addr;
	return c->previous != f->addr && is_entry_from(w, c->previous, f, error);
}

/* Was c, a frame of the data stack, called by f's own bytecode? */
static bool links_inlined(const struct walk *w, const struct frame *f, const struct frame *c)
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

/*
 * To 3.13: a frame whose stacktop is set, but not because it waits for an inlined callee: it has
 * been left, or has been pushed and not begun (its ip is on RESUME then, or before).
 */
static bool is_left_or_fresh(const struct walk *w, const struct frame *f)
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

/* Can f have a callee at all? Returns STEP_TOP when not. */
static enum step may_call(const struct walk *w, const struct frame *f)
{
	if (f->code->is_shim)
		return shim_waits(f) ? STEP_LINKED : STEP_TOP;
	if (w->l->liveness == PY_LIVE_CODE)
		return !f->waits || f->flags & PY_OP_LEAVES ? STEP_TOP : STEP_LINKED;
	if (f->waits)
		return is_left_or_fresh(w, f) ? STEP_TOP : STEP_LINKED;
	return f->flags & PY_OP_NO_CALLEE ? STEP_TOP : STEP_LINKED;
}

static bool has_inlined_callee(const struct walk *w, const struct frame *f)
{
	return w->l->liveness == PY_LIVE_STACKTOP && f->waits;
}

static bool was_read_first(const struct walk *w, const struct frame *c)
{
	return c->addr + header_bytes(w->l) <= w->first_read_end &&
	       c->addr >= w->s->stack->chunks[0].addr;
}

/* Make c the innermost frame. Returns 0 or -E2BIG. */
static int accept(struct walk *w, const struct frame *c)
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
	if (is_incomplete(c))
		return 0;
	return py_stacks_push(w->s, c->code, c->addr, c->unit);
}

/* --- callees --- */

/* A callee whose frame is next in the data stack. */
static int step_slot(struct walk *w, enum step *ret)
{
	struct frame c = {0};
	bool linked;
	int r = read_slot(w, &c), error;

	*ret = STEP_TORN;
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	if (r < 0 || c.owner != OWNED_BY_THREAD)
		return 0;
	if (links_inlined(w, &w->top, &c)) {
		*ret = STEP_LINKED;
		return accept(w, &c);
	}
	if (has_inlined_callee(w, &w->top))
		return 0;
	/*
	 * Through C. To 3.13 a frame that was left looks like one that waits; what waits is
	 * therefore believed only if the thread state or a running frame above confirms it.
	 */
	if (w->l->liveness == PY_LIVE_STACKTOP && is_left_or_fresh(w, &c))
		return 0;
	/*
	 * A frame that was left stays at its return; when the next one is pushed over it, its old
	 * code may be read together with the new mark of life. A real return is over at once.
	 */
	if (w->l->liveness == PY_LIVE_STACKTOP && !c.waits && c.flags & PY_OP_LEAVES)
		return 0;
	linked = links_through_c(w, &w->top, &c, &error);
	if (error == -ESRCH)
		return error < 0 ? error : -EFAULT;
	if (!linked)
		return 0;
	if (w->l->liveness == PY_LIVE_STACKTOP && c.waits && !w->unproven) {
		w->unproven = c.addr;
		w->n_proven = w->s->snap->n;
	}
	*ret = STEP_LINKED;
	return accept(w, &c);
}

/* What the generator object at `object` says: its frame in *c. */
enum generator { NOT_A_GENERATOR, SUSPENDED, EXECUTING };

static enum generator read_generator(struct walk *w, remote_addr object, struct frame *c)
{
	const struct py_layout *l = w->l;
	uint32_t len = l->gen.iframe + header_bytes(l);
	const uint8_t *raw = object & 7 ? NULL : py_stacks_peek(w->s, object, len);
	uint32_t available;

	if (!raw)
		return NOT_A_GENERATOR;
	/* Its locals and operands as well, when they were read too. */
	for (available = header_bytes(l); available < PAGE_BYTES; available += 64) {
		if (!py_stacks_peek(w->s, object, l->gen.iframe + available + 64))
			break;
	}
	if (parse_frame(w, object + l->gen.iframe, raw + l->gen.iframe, available, c) < 0 ||
	    c->owner != OWNED_BY_GENERATOR)
		return NOT_A_GENERATOR;
	return (int8_t)raw[l->gen.frame_state] == l->gen_executing ? EXECUTING : SUSPENDED;
}

/*
 * Which operands of the frame can be the iterator that its instruction resumes, as slot numbers
 * [*first, *end) behind its locals: one, when the depth of its operand stack is known.
 */
static void find_operands(const struct walk *w, const struct frame *f, uint32_t *first,
			  uint32_t *end)
{
	uint32_t n = f->code->frame_words - w->l->frame_specials - f->code->nlocalsplus;
	remote_addr base = f->addr + w->l->frame.size + 8 * (uint64_t)f->code->nlocalsplus;
	int64_t depth = f->unit < f->code->n_units ? f->code->depth[f->unit] : -1;

	*first = 0;
	*end = n;
	if (f->waits)
		depth = (int64_t)((f->operands - base) / 8);
	if (depth < 0 || depth > n)
		return;
	*end = (uint32_t)depth;
	/* What is sent in, or the index of a loop, may lie above it. */
	if (f->flags & PY_OP_RESUMES_OPERAND)
		*first = depth > 2 ? (uint32_t)depth - 2 : 0;
}

/*
 * A generator that one of the operands of the innermost frame is. Looks only at memory that has
 * been read: pages where generators of this thread were before.
 */
static int step_generator(struct walk *w, enum step *ret)
{
	const struct frame *f = &w->top;
	remote_addr base = f->addr + w->l->frame.size + 8 * (uint64_t)f->code->nlocalsplus;
	uint32_t first, end;
	bool suspended = false;
	uint64_t early[N_EARLY] = {0};
	struct frame c = {0};

	*ret = STEP_TORN;
	if (!w->s->stack->n_pages)
		return 0;
	find_operands(w, f, &first, &end);
	/*
	 * The outermost generator is read before what hangs on it, and verified after it, so that
	 * all of that belongs to it.
	 */
	for (uint32_t i = first; i < end && !w->above.addr; i++) {
		remote_addr object = operand_at(w, f, base + 8 * (uint64_t)i);

		/* Even one page takes so long to copy that it can hold two moments. */
		if (i - first < N_EARLY &&
		    (!object ||
		     memory_read_u64(w->s->mem, object + w->l->gen.iframe + header_bytes(w->l),
				     &early[i - first]) < 0))
			early[i - first] = 0;
		py_stacks_read_early(w->s, object);
	}
	py_stacks_prefetch(w->s);
	for (uint32_t i = end; i-- > first;) {
		remote_addr object = operand_at(w, f, base + 8 * (uint64_t)i);
		int error;

		if (!object)
			continue;
		switch (read_generator(w, object, &c)) {
		case NOT_A_GENERATOR:
			break;
		case SUSPENDED:
			suspended = true;
			break;
		case EXECUTING:
			if (c.previous != f->addr && !links_through_c(w, f, &c, &error))
				break;
			*ret = STEP_LINKED;
			/* Keep its page among those to read in advance. */
			py_stacks_page(w->s, c.addr, header_bytes(w->l), &error);
			if (!w->above.addr) {
				w->hinge_operand = base + 8 * (uint64_t)i;
				if (i - first < N_EARLY && c.raw_len >= header_bytes(w->l) + 8 &&
				    early[i - first] != raw_u64(c.raw, header_bytes(w->l))) {
					*ret = STEP_TORN;
					w->consulted = true;
					return 0;
				}
			}
			return accept(w, &c);
		}
	}
	/* The iterator is there and does not run: nothing is above. */
	if (suspended && f->flags & PY_OP_RESUMES_OPERAND)
		*ret = STEP_TOP;
	return 0;
}

/* --- the thread state --- */

struct tstate {
	remote_addr newest_chunk, top, current_frame;
};

static int read_tstate(struct walk *w, struct tstate *ret)
{
	const struct py_layout *l = w->l;
	uint8_t raw[TSTATE_BYTES];
	uint32_t len = l->thread.datastack_limit + 8;
	int r;

	if (len > sizeof(raw) || l->thread.interp + 8 > len)
		return -EBADMSG;
	r = memory_read(w->s->mem, w->s->stack->tstate, raw, len);
	if (r < 0)
		return r;
	ret->newest_chunk = raw_u64(raw, l->thread.datastack_chunk);
	ret->top = raw_u64(raw, l->thread.datastack_top);
	if (l->thread.current_frame != LAYOUT_ABSENT) {
		ret->current_frame = raw_u64(raw, l->thread.current_frame);
		return 0;
	}
	return memory_read_u64(w->s->mem, raw_u64(raw, l->thread.cframe) + l->cframe.current_frame,
			       &ret->current_frame);
}

/* A frame anywhere, as it is now. Returns as parse_frame(); -ENXIO for an entry frame. */
static int read_frame(struct walk *w, remote_addr addr, struct frame *f)
{
	const struct py_layout *l = w->l;
	uint32_t i = py_datastack_chunk_of(w->s->stack, addr), available;
	const uint8_t *raw;
	int error = -EFAULT, r;

	if (i < w->s->stack->n_chunks) {
		raw = py_datastack_view(w->s, i, addr, header_bytes(l), &available, &error);
		if (!raw)
			return error < 0 ? error : -EBADMSG;
		return parse_frame(w, addr, raw, available, f);
	}
	raw = py_stacks_page(w->s, addr, header_bytes(l), &error);
	if (!raw)
		return error < 0 ? error : -EFAULT;
	if (raw[l->frame.owner] >= l->entry_owner) {
		f->previous = raw_u64(raw, l->frame.previous);
		return -ENXIO;
	}
	r = parse_frame(w, addr, raw, header_bytes(l), f);
	if (r == 0 && f->owner == OWNED_BY_GENERATOR &&
	    read_generator(w, addr - l->gen.iframe, f) != EXECUTING)
		return -ENOENT;
	return r;
}

static bool is_in_snapshot(const struct walk *w, remote_addr addr)
{
	for (uint32_t i = w->s->snap->n; i > 0; i--) {
		if (w->s->snap->frames[i - 1].addr == addr)
			return true;
	}
	return false;
}

/*
 * From the innermost frame back to the one that we have. Returns the number of frames between,
 * in s->tail innermost first; 0 when there are none (any more); -EFAULT when the way was lost.
 */
static int follow_back(struct walk *w, remote_addr current)
{
	remote_addr mark = 1;
	int n = 0;

	for (unsigned hops = 0; hops < 2 * MAX_TAIL; hops++) {
		struct frame f = {0};
		int r;

		if (current == w->top.addr)
			return n;
		/* What was read at different moments can form a ring. */
		if (current == mark)
			return -EFAULT;
		if ((hops & (hops - 1)) == 0)
			mark = current;
		if (!current || is_in_snapshot(w, current))
			return n ? -EFAULT : 0; /* it went on meanwhile */
		r = read_frame(w, current, &f);
		if (r == -EAGAIN || r == -ESRCH)
			return r;
		if (r == 0) {
			if (n == MAX_TAIL)
				return -EFAULT;
			w->s->tail[n++] = current;
		} else if (r != -ENXIO) {
			return -EFAULT;
		}
		current = f.previous;
	}
	return -EFAULT;
}

/* May c be what runs above f? The links are checked again from the outermost one on. */
static bool links(struct walk *w, const struct frame *f, const struct frame *c)
{
	int error;

	if (!f->addr)
		return true;
	if (may_call(w, f) == STEP_TOP)
		return false;
	if (c->owner == OWNED_BY_THREAD && links_inlined(w, f, c))
		return true;
	if (c->owner == OWNED_BY_GENERATOR && c->previous == f->addr)
		return true;
	return links_through_c(w, f, c, &error);
}

/* Is this the frame of a generator that the innermost frame has as an operand? */
static bool resumes_operand(const struct walk *w, remote_addr frame)
{
	const struct frame *f = &w->top;
	uint32_t first, end;

	if (!f->addr || is_stack_frame(w, frame))
		return false;
	find_operands(w, f, &first, &end);
	for (uint32_t i = first; i < end; i++) {
		remote_addr at =
		    f->addr + w->l->frame.size + 8 * ((uint64_t)f->code->nlocalsplus + i);

		if (operand_at(w, f, at) + w->l->gen.iframe == frame)
			return true;
	}
	return false;
}

/* Frames that only the thread state leads to: generators called by C code, and what is above. */
static int step_tail(struct walk *w, remote_addr current, enum step *ret)
{
	int n;

	*ret = STEP_TORN;
	w->s->counters.tail_walks++;
	/* What lies above in the data stack was read earlier than what leads to it. */
	py_datastack_forget_above(w->s, w->chunk, w->slot);
	if (w->chunk == 0 && w->slot < w->first_read_end)
		w->first_read_end = w->slot;
	n = follow_back(w, current);
	if (n == -EFAULT)
		return 0;
	if (n <= 0) {
		*ret = STEP_TOP;
		return n;
	}
	/* Found from its end, read at the wrong moments; but its pages are known from now on. */
	if (resumes_operand(w, w->s->tail[n - 1]))
		return 0;
	while (n--) {
		struct frame c = {0};
		int r = read_frame(w, w->s->tail[n], &c);

		if (r == -EAGAIN || r == -ESRCH)
			return r;
		if (r < 0 || !links(w, &w->top, &c))
			return 0;
		if (is_stack_frame(w, c.addr))
			w->chunk = py_datastack_chunk_of(w->s->stack, c.addr);
		r = accept(w, &c);
		if (r < 0)
			return r;
	}
	*ret = STEP_LINKED;
	return 0;
}

/* Nothing was found above; can something be hidden there? */
static bool may_hide_callee(const struct walk *w)
{
	const struct chunk *chunk = &w->s->stack->chunks[w->chunk];

	if (!w->top.addr || has_inlined_callee(w, &w->top) || w->top.flags & PY_OP_ITERATES)
		return true;
	return chunk->addr + chunk->bytes - w->slot < CHUNK_END_BYTES ||
	       w->chunk + 1 < w->s->stack->n_chunks;
}

/* Ask the thread state what is above, once for each innermost frame. */
static int step_consult(struct walk *w, enum step *ret)
{
	struct tstate t;
	int r;

	*ret = has_inlined_callee(w, &w->top) ? STEP_TORN : STEP_TOP;
	if (w->consulted || !may_hide_callee(w))
		return 0;
	w->consulted = true;
	r = read_tstate(w, &t);
	if (r < 0)
		return r;
	if (t.newest_chunk != w->s->stack->chunks[w->s->stack->n_chunks - 1].addr) {
		struct chunk here = w->s->stack->chunks[w->chunk];

		r = py_datastack_refresh(w->s, t.newest_chunk);
		if (r == -EFAULT) { /* unmapped meanwhile, so there was a call above */
			*ret = STEP_TORN;
			return 0;
		}
		if (r < 0)
			return r;
		/* The copies that the frames so far point into are those of the old chunks. */
		if (w->chunk >= w->s->stack->n_chunks ||
		    here.addr != w->s->stack->chunks[w->chunk].addr ||
		    here.bytes != w->s->stack->chunks[w->chunk].bytes)
			return -EAGAIN;
	}
	if (w->chunk + 1 < w->s->stack->n_chunks) {
		remote_addr slot = w->slot;

		w->slot = py_datastack_first(w->s->stack, ++w->chunk);
		r = step_slot(w, ret);
		if (r < 0 || *ret == STEP_LINKED)
			return r;
		w->slot = slot;
		w->chunk--;
	}
	if (t.current_frame == w->top.addr) {
		/* To 3.13 a call has returned meanwhile; it was the state that we have all the
		 * same. */
		*ret = STEP_TOP;
		return 0;
	}
	return step_tail(w, t.current_frame, ret);
}

/*
 * A frame that has been left keeps its place while its locals are destroyed; a finalizer then
 * runs above it, but its caller is the frame below (CPython gh-99729).
 */
static int step_finalizer(struct walk *w, enum step *ret)
{
	struct frame c = {0}, left = w->top;
	int r, error;

	*ret = STEP_TOP;
	if (!left.waits || !(left.flags & PY_OP_LEAVES) || left.owner != OWNED_BY_THREAD ||
	    !w->below.addr || is_incomplete(&left))
		return 0;
	r = read_slot(w, &c);
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	if (r < 0 || c.owner != OWNED_BY_THREAD ||
	    (w->l->liveness == PY_LIVE_STACKTOP && c.waits) ||
	    !links_through_c(w, &w->below, &c, &error))
		return 0;
	w->s->snap->n--;
	w->top = w->below;
	*ret = STEP_LINKED;
	return accept(w, &c);
}

static int step(struct walk *w, enum step *ret)
{
	int r;

	if (w->top.addr && may_call(w, &w->top) == STEP_TOP)
		return step_finalizer(w, ret);
	r = step_slot(w, ret);
	if (r < 0 || *ret == STEP_LINKED)
		return r;
	if (w->top.addr && w->top.flags & PY_OP_ITERATES) {
		r = step_generator(w, ret);
		if (r < 0 || *ret != STEP_TORN)
			return r;
	}
	return step_consult(w, ret);
}

/* The outermost frame: there is nothing that it could be linked to. */
static int step_root(struct walk *w, enum step *ret)
{
	struct frame c = {0};
	int r = read_slot(w, &c);

	*ret = STEP_TOP;
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	if (r < 0)
		return step_consult(w, ret);
	if (w->l->liveness == PY_LIVE_STACKTOP && c.waits) {
		if (is_left_or_fresh(w, &c))
			return 0;
		w->unproven = c.addr;
		w->n_proven = 0;
	}
	*ret = STEP_LINKED;
	return accept(w, &c);
}

/* --- the end --- */

/* Frames that could have been left are kept only if the data stack still reaches there. */
static int settle_unproven(struct walk *w)
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
		r = parse_frame(w, f->addr, w->s->verify, len, &now);
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

/*
 * What was read later hangs on the hinge only if that has not moved on after it was read. For a
 * generator that is not enough where loops are short: memory is recycled, and the loop may have
 * ended and begun again; there the generator must still be the same one, and the loop one that
 * stays put, unless its argument tells. Otherwise the stack ends with the hinge.
 */
static int verify_hinge(struct walk *w)
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

int py_stack_read_data(struct py_stacks *s)
{
	struct walk w = {.s = s, .l = s->l};
	enum step what;
	int r;

	r = py_datastack_begin(s);
	if (r == 1)
		return 0;
	if (r < 0) {
		s->stack->n_chunks = 0;
		return r;
	}
	w.slot = py_datastack_first(s->stack, 0);
	w.first_read_end = s->chunks[0].region.start + s->chunks[0].region.len;
	r = step_root(&w, &what);
	while (r == 0 && what == STEP_LINKED)
		r = step(&w, &what);
	if (r == 0) {
		if (what == STEP_TORN)
			s->snap->cut = PY_CUT_TORN;
		r = settle_unproven(&w);
	} else if (r == -E2BIG) {
		s->snap->cut = PY_CUT_DEPTH;
		r = 0;
	} else if (r == -EFAULT || r == -EBADMSG) {
		s->snap->cut = r == -EFAULT ? PY_CUT_UNREADABLE : PY_CUT_CODE;
		r = 0;
	}
	if (r == 0 && w.above.addr && s->snap->n > w.n_hinge)
		r = verify_hinge(&w);
	if (r == -EAGAIN && w.above.addr)
		s->snap->n = w.n_hinge;
	if (r == -EAGAIN && w.unproven && s->snap->n > w.n_proven)
		s->snap->n = w.n_proven;
	if (s->n_chunks)
		py_datastack_end(
		    s, (uint32_t)((w.chunk ? s->stack->chunks[0].addr + s->stack->chunks[0].bytes
					   : w.slot) -
				  s->stack->chunks[0].addr));
	return r;
}
