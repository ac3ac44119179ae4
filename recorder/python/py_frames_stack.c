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

#include "recorder/python/py_walk.h"

#define TSTATE_BYTES 400
/* A call near the end of a chunk may have gone on in the next: frames are seldom larger. */
#define CHUNK_END_BYTES 2048
/* Operands that can be the iterator which an instruction resumes, and are looked at early. */
#define N_EARLY 2

/* --- callees --- */

/* A callee whose frame is next in the data stack. */
static int step_slot(struct walk *w, enum step *ret)
{
	struct frame c = {0};
	bool linked;
	int r = walk_read_slot(w, &c), error;

	*ret = STEP_TORN;
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	if (r < 0 || c.owner != OWNED_BY_THREAD)
		return 0;
	if (walk_links_inlined(w, &w->top, &c)) {
		*ret = STEP_LINKED;
		return walk_accept(w, &c);
	}
	if (walk_has_inlined_callee(w, &w->top))
		return 0;
	/*
	 * Through C. To 3.13 a frame that was left looks like one that waits; what waits is
	 * therefore believed only if the thread state or a running frame above confirms it.
	 */
	if (w->l->liveness == PY_LIVE_STACKTOP && walk_is_left_or_fresh(w, &c))
		return 0;
	/*
	 * A frame that was left stays at its return; when the next one is pushed over it, its old
	 * code may be read together with the new mark of life. A real return is over at once.
	 */
	if (w->l->liveness == PY_LIVE_STACKTOP && !c.waits && c.flags & PY_OP_LEAVES)
		return 0;
	linked = walk_links_through_c(w, &w->top, &c, &error);
	if (error == -ESRCH)
		return error < 0 ? error : -EFAULT;
	if (!linked)
		return 0;
	if (w->l->liveness == PY_LIVE_STACKTOP && c.waits && !w->unproven) {
		w->unproven = c.addr;
		w->n_proven = w->s->snap->n;
	}
	*ret = STEP_LINKED;
	return walk_accept(w, &c);
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
	if (walk_parse_frame(w, object + l->gen.iframe, raw + l->gen.iframe, available, c) < 0 ||
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
		remote_addr object = walk_operand_at(w, f, base + 8 * (uint64_t)i);

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
		remote_addr object = walk_operand_at(w, f, base + 8 * (uint64_t)i);
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
			if (c.previous != f->addr && !walk_links_through_c(w, f, &c, &error))
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
			return walk_accept(w, &c);
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

/* A frame anywhere, as it is now. Returns as walk_parse_frame(); -ENXIO for an entry frame. */
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
		return walk_parse_frame(w, addr, raw, available, f);
	}
	raw = py_stacks_page(w->s, addr, header_bytes(l), &error);
	if (!raw)
		return error < 0 ? error : -EFAULT;
	if (raw[l->frame.owner] >= l->entry_owner) {
		f->previous = raw_u64(raw, l->frame.previous);
		return -ENXIO;
	}
	r = walk_parse_frame(w, addr, raw, header_bytes(l), f);
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
	if (walk_may_call(w, f) == STEP_TOP)
		return false;
	if (c->owner == OWNED_BY_THREAD && walk_links_inlined(w, f, c))
		return true;
	if (c->owner == OWNED_BY_GENERATOR && c->previous == f->addr)
		return true;
	return walk_links_through_c(w, f, c, &error);
}

/* Is this the frame of a generator that the innermost frame has as an operand? */
static bool resumes_operand(const struct walk *w, remote_addr frame)
{
	const struct frame *f = &w->top;
	uint32_t first, end;

	if (!f->addr || walk_is_stack_frame(w, frame))
		return false;
	find_operands(w, f, &first, &end);
	for (uint32_t i = first; i < end; i++) {
		remote_addr at =
		    f->addr + w->l->frame.size + 8 * ((uint64_t)f->code->nlocalsplus + i);

		if (walk_operand_at(w, f, at) + w->l->gen.iframe == frame)
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
		if (walk_is_stack_frame(w, c.addr))
			w->chunk = py_datastack_chunk_of(w->s->stack, c.addr);
		r = walk_accept(w, &c);
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

	if (!w->top.addr || walk_has_inlined_callee(w, &w->top) || w->top.flags & PY_OP_ITERATES)
		return true;
	return chunk->addr + chunk->bytes - w->slot < CHUNK_END_BYTES ||
	       w->chunk + 1 < w->s->stack->n_chunks;
}

/* Ask the thread state what is above, once for each innermost frame. */
static int step_consult(struct walk *w, enum step *ret)
{
	struct tstate t;
	int r;

	*ret = walk_has_inlined_callee(w, &w->top) ? STEP_TORN : STEP_TOP;
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
	    !w->below.addr || walk_is_incomplete(&left))
		return 0;
	r = walk_read_slot(w, &c);
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	if (r < 0 || c.owner != OWNED_BY_THREAD ||
	    (w->l->liveness == PY_LIVE_STACKTOP && c.waits) ||
	    !walk_links_through_c(w, &w->below, &c, &error))
		return 0;
	w->s->snap->n--;
	w->top = w->below;
	*ret = STEP_LINKED;
	return walk_accept(w, &c);
}

static int step(struct walk *w, enum step *ret)
{
	int r;

	if (w->top.addr && walk_may_call(w, &w->top) == STEP_TOP)
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
	int r = walk_read_slot(w, &c);

	*ret = STEP_TOP;
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	if (r < 0)
		return step_consult(w, ret);
	if (w->l->liveness == PY_LIVE_STACKTOP && c.waits) {
		if (walk_is_left_or_fresh(w, &c))
			return 0;
		w->unproven = c.addr;
		w->n_proven = 0;
	}
	*ret = STEP_LINKED;
	return walk_accept(w, &c);
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
		r = walk_settle_unproven(&w);
	} else if (r == -E2BIG) {
		s->snap->cut = PY_CUT_DEPTH;
		r = 0;
	} else if (r == -EFAULT || r == -EBADMSG) {
		s->snap->cut = r == -EFAULT ? PY_CUT_UNREADABLE : PY_CUT_CODE;
		r = 0;
	}
	if (r == 0 && w.above.addr && s->snap->n > w.n_hinge)
		r = walk_verify_hinge(&w);
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
