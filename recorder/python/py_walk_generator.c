/* SPDX-License-Identifier: BSD-3-Clause */
/* Generators, found as operands of the frames that resume them. */
#include "recorder/python/py_walk.h"

/* Operands that can be the iterator which an instruction resumes, and are looked at early. */
#define N_EARLY 2

enum generator walk_read_generator(struct walk *w, remote_addr object, struct frame *c)
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

int walk_step_generator(struct walk *w, enum step *ret)
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
		switch (walk_read_generator(w, object, &c)) {
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

bool walk_resumes_operand(const struct walk *w, remote_addr frame)
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
