/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stacks of CPython 3.8 to 3.10: frame objects all over the heap, linked by f_back from the
 * innermost outwards. Most calls reuse their function's parked frame object, so the same few
 * addresses come again and again: those seen lately are read at once, with the pages they lie in,
 * and the thread state is asked only where a callee may be that is not among them.
 *
 * A frame object says whether it executes; its f_back says who called it. That the caller's
 * present instruction is a call of that function is seen from the caller's operands: the callable
 * is in the place where the compiler put it (see py_depth.h). Where C code calls back, the
 * caller is looked at once more after all callees have been read.
 */
#include <errno.h>

#include "common/clock.h"
#include "recorder/python/py_object.h"
#include "recorder/python/py_opcodes.h"
#include "recorder/python/py_stacks_private.h"

/* A frame object that was not seen in so many snapshots is forgotten. */
#define KNOWN_MEMORY 64

/* Uses of a remembered callable between two verifications. */
#define CALLABLE_USES 256

#define TYPE_TP_NAME	24 /* PyTypeObject.tp_name */
#define METHOD_FUNCTION 16 /* PyMethodObject.im_func */

/* Every so many snapshots an instruction that seldom calls anything is followed up. */
#define CONSULT_EVERY 8

struct frame {
	remote_addr addr;
	const uint8_t *raw;
	uint32_t raw_len;
	struct py_code *code;
	remote_addr back;
	remote_addr generator;
	remote_addr operands;
	uint32_t unit;
	uint8_t flags;
	bool executes;
};

struct walk {
	struct py_stacks *s;
	const struct py_layout *l;
	struct frame top;
	/* The outermost caller that has to be looked at again, and why. */
	struct frame hinge;
	uint32_t n_hinge;
	remote_addr hinge_argument; /* the first local of that generator */
	bool hinge_resumes; /* a generator, which its operand proves, but perhaps recycled memory */
	uint64_t started_ns;
	bool consulted;
};

static bool raw_executes(const struct py_layout *l, const uint8_t *raw)
{
	int8_t state = (int8_t)raw[l->frame.executing];

	return l->liveness == PY_LIVE_EXECUTING ? state == 1 : state == 0;
}

static int parse_frame(const struct walk *w, remote_addr addr, const uint8_t *raw, struct frame *f)
{
	const struct py_layout *l = w->l;
	remote_addr code = raw_u64(raw, l->frame.code);
	int32_t lasti = raw_i32(raw, l->frame.ip);
	int r;

	if (!code || code & 7)
		return -EBADMSG;
	f->addr = addr;
	f->raw = raw;
	f->back = raw_u64(raw, l->frame.previous);
	f->generator = raw_u64(raw, l->frame.generator);
	f->operands = raw_u64(raw, l->frame.valuestack);
	f->executes = raw_executes(l, raw);
	r = py_stacks_code(w->s, code, &f->code);
	if (r < 0)
		return r;
	if (lasti < 0) {
		f->unit = PY_UNIT_BEFORE_START;
		f->flags = PY_OP_NO_CALLEE;
		return 0;
	}
	f->unit = (uint32_t)lasti * l->instruction_unit / 2;
	if (f->unit >= f->code->n_units)
		return -EBADMSG;
	f->flags = f->code->units[f->unit];
	return 0;
}

static void note_known(struct py_stack *stack, remote_addr addr)
{
	uint32_t oldest = 0;

	for (uint32_t i = 0; i < stack->n_known; i++) {
		if (stack->known[i].addr == addr) {
			stack->known[i].used = stack->serial;
			return;
		}
		if (stack->known[i].used < stack->known[oldest].used)
			oldest = i;
	}
	if (stack->n_known < MAX_KNOWN)
		oldest = stack->n_known++;
	stack->known[oldest] = (struct known_frame){addr, stack->serial};
}

static void forget_old(struct py_stack *stack)
{
	for (uint32_t i = 0; i < stack->n_known;) {
		if (stack->serial - stack->known[i].used > KNOWN_MEMORY)
			stack->known[i] = stack->known[--stack->n_known];
		else
			i++;
	}
}

/*
 * The whole frame object, locals and operands included, as it was at one moment: what crosses the
 * end of a page is read on its own.
 */
static int read_frame(struct walk *w, remote_addr addr, struct frame *f)
{
	uint32_t len = w->l->frame.size;
	int error = -EFAULT;
	const uint8_t *raw = py_stacks_page(w->s, addr, len, &error);
	uint64_t n_slots;

	if (!raw)
		return error < 0 ? error : -EFAULT;
	n_slots = raw_u64(raw, PY_OB_SIZE);
	if (n_slots > (PAGE_BYTES - len) / 8)
		n_slots = (PAGE_BYTES - len) / 8;
	len += (uint32_t)n_slots * 8;
	raw = py_stacks_page(w->s, addr, len, &error);
	if (!raw)
		return error < 0 ? error : -EFAULT;
	f->raw_len = len;
	return parse_frame(w, addr, raw, f);
}

static int accept(struct walk *w, const struct frame *c)
{
	note_known(w->s->stack, c->addr);
	w->top = *c;
	w->consulted = false;
	return py_stacks_push(w->s, c->code, c->addr, c->unit);
}

/* --- is this callee what the caller's instruction calls? --- */

/* An operand of f; 0 when it was not read. The value stack is part of the frame object. */
static remote_addr operand(const struct walk *w, const struct frame *f, int slot)
{
	uint64_t offset = f->operands + 8 * (uint64_t)slot - f->addr;

	if (offset < w->l->frame.size || offset + 8 > f->raw_len || offset & 7)
		return 0;
	return raw_u64(f->raw, (uint32_t)offset);
}

/* The code of a function or bound method, 0 when the object is neither or can't be read. */
static remote_addr read_callable(struct walk *w, remote_addr object, bool is_method)
{
	const struct py_layout *l = w->l;
	remote_addr code, type = 0;

	if (is_method) {
		if (memory_read_u64(w->s->mem, object + METHOD_FUNCTION, &object) < 0)
			return 0;
	}
	if (object & 7 || memory_read_u64(w->s->mem, object + l->function.code, &code) < 0 ||
	    code & 7 || memory_read_u64(w->s->mem, code + PY_OB_TYPE, &type) < 0)
		return 0;
	return type && type == py_codes_type(w->s->codes) ? code : 0;
}

static const struct callable *find_callable(struct walk *w, remote_addr object)
{
	struct callable *c = &w->s->callables[object >> 4 & (MAX_CALLABLES - 1)];

	if (c->addr == object && c->uses < CALLABLE_USES) {
		c->uses++;
		return c;
	}
	c->addr = object;
	c->uses = 0;
	c->code = read_callable(w, object, false);
	c->is_method = !c->code;
	if (!c->code)
		c->code = read_callable(w, object, true);
	return c;
}

enum proof { REFUTED, UNPROVEN, PROVEN };

/*
 * The arguments of a call stay on the caller's value stack until it is over. Where the callee has
 * kept its first one, that tells this call from another one of the same function.
 */
static bool has_other_argument(const struct walk *w, const struct frame *f, int first_slot,
			       const struct frame *c)
{
	remote_addr given = operand(w, f, first_slot);
	remote_addr kept = raw_u64(c->raw, w->l->frame.size);

	return c->code->keeps_first_local && c->code->nlocalsplus &&
	       c->raw_len >= w->l->frame.size + 8 && given && kept && given != kept;
}

/*
 * Is this an iterator over a built-in container or range, which calls no Python code, or a
 * generator, which would be the callee itself? By its type's name: range_iterator, list_iterator …
 */
static bool is_plain_iterator(struct walk *w, remote_addr object)
{
	remote_addr type, name_addr;
	char name[32];
	size_t len, slot;

	if (object & 7 || memory_read_u64(w->s->mem, object + PY_OB_TYPE, &type) < 0)
		return false;
	slot = type >> 4 & (MAX_ITERATORS - 1);
	if (w->s->iterators[slot].type == type)
		return w->s->iterators[slot].is_plain;
	if (memory_read_u64(w->s->mem, type + TYPE_TP_NAME, &name_addr) < 0 ||
	    memory_read(w->s->mem, name_addr, name, sizeof(name)) < 0)
		return false;
	name[sizeof(name) - 1] = '\0';
	len = strlen(name);
	w->s->iterators[slot].type = type;
	w->s->iterators[slot].is_plain =
	    strcmp(name, "generator") == 0 || strcmp(name, "coroutine") == 0 ||
	    (len > 8 && strcmp(name + len - 8, "iterator") == 0 &&
	     strcmp(name, "callable_iterator") != 0 && !strchr(name, '.'));
	return w->s->iterators[slot].is_plain;
}

static bool is_dunder(const struct py_code *code)
{
	return strncmp(code->name, "__", 2) == 0;
}

static enum proof prove_call(struct walk *w, const struct frame *f, const struct frame *c)
{
	int slot = f->unit < f->code->n_units ? f->code->called[f->unit] : -1;
	bool known = false;

	if (!(f->flags & PY_UNIT_CALLS_ANYTHING) && (c->generator || !is_dunder(c->code)))
		return REFUTED;
	if (slot < 0)
		return UNPROVEN;
	/* A method call leaves NULL below what it calls when that is not a plain function. */
	for (int i = 0; i < 2; i++) {
		remote_addr object = operand(w, f, slot + i);
		const struct callable *callable;

		if (!object)
			continue;
		if (c->generator && object == c->generator)
			return PROVEN;
		if (f->flags & PY_OP_RESUMES_OPERAND)
			return is_plain_iterator(w, object) ? REFUTED : UNPROVEN;
		callable = find_callable(w, object);
		if (callable->code == c->code->addr)
			return f->flags & PY_UNIT_CALLS_PLAINLY && !callable->is_method &&
				       slot + i + 1 < f->code->depth[f->unit] &&
				       has_other_argument(w, f, slot + i + 1, c)
				   ? REFUTED
				   : PROVEN;
		if (i == 0 && callable->code)
			known = true;
	}
	/* It calls another function than the one whose frame this is. */
	return known ? REFUTED : UNPROVEN;
}

/* Try to put c above the innermost frame. Returns 1 when that is done, 0 when not, or an error. */
static int link_callee(struct walk *w, const struct frame *c)
{
	enum proof proof;
	int r;

	if (c->back != w->top.addr || !c->executes || w->top.flags & PY_OP_NO_CALLEE)
		return 0;
	proof = prove_call(w, &w->top, c);
	if (proof == REFUTED)
		return 0;
	if ((proof == UNPROVEN || (c->generator && !w->top.generator)) && !w->hinge.addr) {
		w->hinge = w->top;
		w->n_hinge = w->s->snap->n;
		w->hinge_resumes = proof == PROVEN;
		w->hinge_argument =
		    c->raw_len >= w->l->frame.size + 8 ? raw_u64(c->raw, w->l->frame.size) : 0;
	}
	r = accept(w, c);
	return r < 0 ? r : 1;
}

/* --- steps --- */

/* A callee among the frames seen lately. Returns as link_callee(). */
static int step_known(struct walk *w)
{
	const struct py_stack *stack = w->s->stack;

	for (uint32_t i = 0; i < stack->n_known; i++) {
		const uint8_t *raw = py_stacks_peek(w->s, stack->known[i].addr, w->l->frame.size);
		struct frame c = {0};
		int r;

		if (!raw || raw_u64(raw, w->l->frame.previous) != w->top.addr)
			continue;
		r = read_frame(w, stack->known[i].addr, &c);
		if (r == -EAGAIN || r == -ESRCH)
			return r;
		if (r == 0)
			r = link_callee(w, &c);
		if (r != 0)
			return r;
	}
	return 0;
}

/*
 * From the innermost frame back to the one that we have (or to the outermost, when we have none).
 * Returns the number of frames found, innermost first in s->tail; 0 when the target went on
 * meanwhile; -EPROTO when the way was lost; or an error of reading the thread state.
 */
static int follow_back(struct walk *w)
{
	remote_addr at, mark = 1;
	uint32_t n = 0;
	int r = memory_read_u64(w->s->mem, w->s->stack->tstate + w->l->thread.frame, &at);

	if (r < 0)
		return r;
	while (at != w->top.addr) {
		struct frame f = {0};

		/* Frames that were read at different moments can form a ring. */
		if (at == mark)
			return -EPROTO;
		if ((n & (n - 1)) == 0)
			mark = at;
		if (!at)
			return 0;
		if (n == MAX_TAIL)
			return -E2BIG;
		r = read_frame(w, at, &f);
		if (r < 0)
			return r == -EBADMSG || r == -EFAULT ? -EPROTO : r;
		w->s->tail[n++] = at;
		at = f.back;
	}
	return (int)n;
}

/*
 * Is there a frame of this code, or of this generator, that does not run? The next call would use
 * it, so no unknown one does.
 */
static bool is_known_callee(struct walk *w, remote_addr code, remote_addr generator)
{
	const struct py_stack *stack = w->s->stack;

	for (uint32_t i = 0; i < stack->n_known; i++) {
		const uint8_t *raw = py_stacks_peek(w->s, stack->known[i].addr, w->l->frame.size);

		if (raw && !raw_executes(w->l, raw) &&
		    ((code && raw_u64(raw, w->l->frame.code) == code) ||
		     (generator && raw_u64(raw, w->l->frame.generator) == generator)))
			return true;
	}
	return false;
}

/*
 * Can a callee be running whose frame is not known? Nearly every instruction can call something in
 * the end; those that seldom do are only followed up now and then, and what that finds is known
 * from then on.
 */
static bool may_hide_callee(struct walk *w)
{
	const struct frame *f = &w->top;
	remote_addr object = 0;

	if (f->flags & PY_OP_LEAVES)
		return false;
	if (!(f->flags & (PY_OP_CALLS_OPERAND | PY_OP_ITERATES)))
		return w->s->stack->serial % CONSULT_EVERY == 0;
	if (f->unit < f->code->n_units && f->code->called[f->unit] >= 0)
		object = operand(w, f, f->code->called[f->unit]);
	if (!object)
		return true;
	if (f->flags & PY_OP_RESUMES_OPERAND)
		return !is_known_callee(w, 0, object);
	return !is_known_callee(w, find_callable(w, object)->code, 0);
}

/* Ask the thread state what is above the innermost frame. Returns as link_callee(). */
static int step_consult(struct walk *w)
{
	int n, r;

	if (w->consulted || !may_hide_callee(w))
		return 0;
	w->consulted = true;
	w->s->counters.tail_walks++;
	n = follow_back(w);
	if (n <= 0)
		return n == -EFAULT ? -EPROTO : n;
	for (int i = n - 1; i >= 0; i--) {
		struct frame c = {0};

		r = read_frame(w, w->s->tail[i], &c);
		if (r < 0)
			return r == -EBADMSG || r == -EFAULT ? -EPROTO : r;
		r = link_callee(w, &c);
		if (r <= 0) {
			/* Known from now on, so that it is read together with its caller. */
			note_known(w->s->stack, c.addr);
			return r < 0 ? r : -EPROTO;
		}
	}
	w->consulted = true;
	return 1;
}

static int step_root(struct walk *w)
{
	struct py_stack *stack = w->s->stack;
	struct frame c = {0};
	int n, r;

	if (stack->root && read_frame(w, stack->root, &c) == 0 && c.executes && !c.back)
		return accept(w, &c);
	stack->root = 0;
	n = follow_back(w);
	if (n <= 0)
		return n == 0 ? 1 : n == -EPROTO ? -EAGAIN : n;
	r = read_frame(w, w->s->tail[n - 1], &c);
	if (r < 0)
		return r;
	for (int i = n - 1; i >= 0 && i >= n - MAX_KNOWN / 2; i--)
		note_known(stack, w->s->tail[i]);
	if (!c.executes || c.back)
		return -EAGAIN;
	stack->root = c.addr;
	return accept(w, &c);
}

/* Is the hinge where it was, or, resuming a generator, still in that loop? 1, 0 or -ESRCH. */
static int is_hinge_unmoved(struct walk *w)
{
	const struct frame *f = &w->hinge;
	uint32_t from = w->l->frame.ip, to = w->l->frame.executing + 1;
	uint8_t now[256];
	uint32_t unit;
	int r;

	r = memory_read(w->s->mem, f->addr + from, now, to - from);
	if (r == -ESRCH)
		return r;
	if (r < 0)
		return 0;
	if (memcmp(now, f->raw + from, to - from) == 0)
		return 1;
	unit = (uint32_t)raw_i32(now, 0) * w->l->instruction_unit / 2;
	return w->hinge_resumes && now[to - from - 1] == f->raw[to - 1] &&
	       f->flags & PY_OP_RESUMES_OPERAND && unit > f->unit &&
	       unit < py_code_loop_end(f->code, f->unit);
}

/*
 * A call that its operands do not prove: the caller must still be at it after the callees have
 * been read, soon enough not to have left and come back.
 */
static int verify_hinge(struct walk *w)
{
	struct py_snapshot *snap = w->s->snap;
	const struct frame *f = &w->hinge;
	bool unsteady, late;
	int same, own;

	if (w->s->is_still)
		return 0;
	same = is_hinge_unmoved(w);
	late = clock_monotonic_ns() - w->started_ns > py_stacks_fair_ns(w->s);
	w->s->counters.reread++;
	if (same < 0)
		return same;
	own = w->hinge_resumes ? py_stacks_argument(w->s, f->code, f->unit, w->hinge_argument) : -1;
	if (own == 1)
		return 0;
	unsteady = own < 0 && w->hinge_resumes &&
		   !py_sites_is_steady(w->s->sites, f->code->serial, f->unit, same && !late);
	if (own == 0 || !same || late || unsteady) {
		/* What was seen to move can't be confirmed by looking again. */
		snap->n_seen = own == 0 || !same ? 0 : snap->n;
		snap->n = w->n_hinge;
		snap->cut = unsteady ? PY_CUT_UNSTEADY : PY_CUT_TORN;
	}
	return 0;
}

/* What one page takes to read when nothing interrupts it. */
static void note_time(struct py_stacks *s, uint64_t started_ns)
{
	uint64_t took;

	if (!s->n_pages)
		return;
	took = (clock_monotonic_ns() - started_ns) / s->n_pages;
	if (took < s->typical_ns || !s->typical_ns)
		s->typical_ns = took;
	else
		s->typical_ns += s->typical_ns / 512 + 1;
}

int py_stack_read_heap(struct py_stacks *s)
{
	struct walk w = {.s = s, .l = s->l, .started_ns = clock_monotonic_ns()};
	int r;

	forget_old(s->stack);
	py_stacks_prefetch(s);
	note_time(s, w.started_ns);
	r = step_root(&w);
	if (r == 1)
		return 0; /* no Python code runs in it */
	if (r == 0)
		r = 1;
	while (r == 1 && !(w.top.flags & PY_OP_NO_CALLEE)) {
		r = step_known(&w);
		if (r == 0)
			r = step_consult(&w);
	}
	if (r == -EPROTO) {
		s->snap->cut = PY_CUT_TORN;
	} else if (r == -E2BIG) {
		s->snap->cut = PY_CUT_DEPTH;
	} else if (r < 0) {
		if (r != -EFAULT && r != -EBADMSG)
			return r;
		if (!s->snap->n)
			return r == -EFAULT ? r : -EAGAIN;
		s->snap->cut = r == -EFAULT ? PY_CUT_UNREADABLE : PY_CUT_CODE;
	}
	if (w.hinge.addr && s->snap->n > w.n_hinge)
		return verify_hinge(&w);
	return 0;
}
