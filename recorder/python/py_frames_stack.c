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
#define CHUNK_END_BYTES	  2048
#define MAX_C_STACK_BYTES (64u << 20) /* threads seldom have more */

/* --- callees --- */

/* Can it be that C code called this frame, judged by itself? */
static bool may_be_called_by_c(const struct walk *w, const struct frame *f)
{
	return w->l->frame.is_entry != LAYOUT_ABSENT ? f->is_entry
						     : !walk_is_stack_frame(w, f->previous);
}

/*
 * Is it worth a closer look whether these bytes, often what earlier frames left, are a finalizer's
 * frame? From 3.12 on its entry frame lies deeper in the C stack than that of the frame left.
 */
static bool may_be_finalizer(const struct py_layout *l, const struct frame *left,
			     const uint8_t *raw)
{
	remote_addr previous = raw_u64(raw, l->frame.previous);

	if (l->frame.is_entry != LAYOUT_ABSENT)
		return raw[l->frame.is_entry] == 1 && previous == left->previous;
	return previous < left->previous && left->previous - previous < MAX_C_STACK_BYTES;
}

/*
 * To 3.13: what C code called may have been left, and a finalizer run above it. That is looked for
 * only in what has been read anyway, and read at first from the next snapshot on: it must be of one
 * moment with the caller, as for any call.
 */
static int step_above_left(struct walk *w, const struct frame *left, enum step *ret)
{
	remote_addr end = left->addr + 8 * (uint64_t)left->code->frame_words;
	uint32_t available;
	const uint8_t *raw;
	struct frame c = {0};
	int r, error;

	*ret = STEP_TORN;
	if (!walk_may_have_finalizer(left) || !may_be_called_by_c(w, left))
		return 0;
	if (w->chunk == 0)
		w->worth_end = end + header_bytes(w->l);
	raw = py_datastack_peek(w->s, w->chunk, end, header_bytes(w->l), &available);
	if (!raw || !may_be_finalizer(w->l, left, raw))
		return 0;
	r = walk_parse_frame(w, end, raw, available, &c);
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	if (r < 0 || !walk_is_finalizer(w, left, &c, &error) ||
	    !walk_links_through_c(w, &w->top, left, &error))
		return 0;
	walk_note_unproven(w, &c);
	*ret = STEP_LINKED;
	return walk_accept(w, &c);
}

/* A callee whose frame is next in the data stack. */
static int step_slot(struct walk *w, enum step *ret)
{
	struct frame c = {0};
	bool linked;
	int r = walk_read_slot(w, &c), error;

	*ret = STEP_TORN;
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	w->slot_is_free = r == -ENOENT;
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
	w->slot_is_free = w->l->liveness == PY_LIVE_STACKTOP && walk_is_left_or_fresh(w, &c);
	if (w->slot_is_free)
		return step_above_left(w, &c, ret);
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
	walk_note_unproven(w, &c);
	*ret = STEP_LINKED;
	return walk_accept(w, &c);
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
	    walk_read_generator(w, addr - l->gen.iframe, f) != EXECUTING)
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

/*
 * Has the innermost frame called c only since the data stack was read? All its callees there lie
 * at one place, where none was; wherever c lies, the caller at this address may be another one by
 * now. (That the caller is found unmoved at last does not tell: a loop that takes as long as the
 * way back is then seen at its first call, at its second one, and at the first one again.)
 */
static bool was_called_since(const struct walk *w, const struct frame *c)
{
	return w->top.addr && c->owner == OWNED_BY_THREAD;
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
	if (walk_resumes_operand(w, w->s->tail[n - 1]))
		return 0;
	for (bool outermost = true; n--; outermost = false) {
		struct frame c = {0};
		int r = read_frame(w, w->s->tail[n], &c);

		if (r == -EAGAIN || r == -ESRCH)
			return r;
		if (r < 0)
			return 0;
		if (outermost && was_called_since(w, &c)) {
			if (w->slot_is_free && !walk_has_inlined_callee(w, &w->top))
				*ret = STEP_TOP;
			return 0;
		}
		if (!links(w, &w->top, &c))
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

/* A callee whose frame is the first of the next chunk: the rest of this one has no room for it. */
static int step_next_chunk(struct walk *w, enum step *ret)
{
	const struct chunk *chunk = &w->s->stack->chunks[w->chunk];
	uint64_t room = chunk->addr + chunk->bytes - w->slot;
	remote_addr slot = w->slot;
	bool slot_is_free = w->slot_is_free;
	struct frame c = {0};
	int r;

	*ret = STEP_TORN;
	if (w->chunk + 1 >= w->s->stack->n_chunks)
		return 0;
	w->slot = py_datastack_first(w->s->stack, ++w->chunk);
	r = walk_read_slot(w, &c);
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	if (r == 0 && 8 * (uint64_t)c.code->frame_words >= room) {
		r = step_slot(w, ret);
		if (r < 0 || *ret == STEP_LINKED)
			return r;
		slot_is_free = slot_is_free && w->slot_is_free;
	}
	w->slot = slot;
	w->slot_is_free = slot_is_free;
	w->chunk--;
	return 0;
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
	r = step_next_chunk(w, ret);
	if (r < 0 || *ret == STEP_LINKED)
		return r;
	if (t.current_frame == w->top.addr) {
		/* To 3.13 a call has returned meanwhile; it was the state that we have all the
		 * same. */
		*ret = STEP_TOP;
		return 0;
	}
	return step_tail(w, t.current_frame, ret);
}

/* A finalizer above the innermost frame, which has been left: it replaces that. */
static int step_finalizer(struct walk *w, enum step *ret)
{
	struct frame c = {0}, left = w->top;
	int r, error;

	*ret = STEP_TOP;
	if (!w->below.addr || !walk_may_have_finalizer(&left))
		return 0;
	r = walk_read_slot(w, &c);
	if (r == -EAGAIN || r == -ESRCH)
		return r;
	if (r < 0 || !walk_is_finalizer(w, &left, &c, &error))
		return 0;
	w->s->snap->n--;
	w->top = w->below;
	walk_note_unproven(w, &c);
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
		r = walk_step_generator(w, ret);
		if (r < 0 || *ret != STEP_TORN)
			return r;
	}
	return step_consult(w, ret);
}

/*
 * To 3.13: an outermost frame that seems to have been left. If the data stack does not end there,
 * its words are those of different moments, or it is only just being set up or taken down.
 */
static int step_left_root(struct walk *w, remote_addr root, enum step *ret)
{
	remote_addr top;
	int r = memory_read_u64(w->s->mem, w->s->stack->tstate + w->l->thread.datastack_top, &top);

	*ret = r == 0 && py_datastack_chunk_of(w->s->stack, top) == 0 && top <= root ? STEP_TOP
										     : STEP_TORN;
	return r;
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
			return step_left_root(w, c.addr, ret);
		w->unproven = c.addr;
		w->n_proven = 0;
	}
	*ret = STEP_LINKED;
	return walk_accept(w, &c);
}

/* Bytes of the root chunk that were needed. */
static uint32_t used_of_root(const struct walk *w)
{
	const struct chunk *root = &w->s->stack->chunks[0];
	remote_addr end = w->slot > w->worth_end ? w->slot : w->worth_end;

	if (w->chunk || end - root->addr > root->bytes)
		return root->bytes;
	return (uint32_t)(end - root->addr);
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
		/* More chunks than any thread has: a ring of them. */
		return r == -E2BIG ? -EFAULT : r;
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
		py_datastack_end(s, used_of_root(&w));
	return r;
}
