/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walking a stack of CPython 3.11 or later from its outermost frame inwards: shared by
 * py_frames_stack.c (the steps), py_walk_frame.c (what one frame says, and which links hold),
 * py_walk_generator.c (generators) and py_walk_hinge.c (what is verified at the end).
 */
#ifndef RECORDER_PYTHON_PY_WALK_H
#define RECORDER_PYTHON_PY_WALK_H

#include "recorder/python/py_datastack.h"
#include "recorder/python/py_opcodes.h"
#include "recorder/python/py_stacks_private.h"

#define OWNED_BY_THREAD	   0
#define OWNED_BY_GENERATOR 1
#define TAG_BITS	   UINT64_C(3)

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
	remote_addr worth_end;	    /* up to where the root chunk is worth reading at first */
	bool slot_is_free;	    /* no call was in progress at slot when that was read */
	bool consulted;		    /* the thread state has been looked at */
};

enum step { STEP_LINKED, STEP_TOP, STEP_TORN };

static inline remote_addr untag(const struct py_layout *l, uint64_t ref)
{
	return l->code_is_tagged ? ref & ~TAG_BITS : ref;
}

static inline uint32_t header_bytes(const struct py_layout *l)
{
	return l->frame.size;
}

/*
 * Make sense of a frame's header. Returns 0; -ENOENT when no call is in progress there; -EBADMSG
 * when that is no frame; -EAGAIN when its code object had to be loaded first; -ESRCH.
 */
int walk_parse_frame(const struct walk *w, remote_addr addr, const uint8_t *raw, uint32_t raw_len,
		     struct frame *f);

/* Set up but not begun yet, or a frame that stands in for the interpreter's own business. */
bool walk_is_incomplete(const struct frame *f);

/* The frame that would lie at w->slot. Returns as walk_parse_frame(), -ENOENT outside the chunk. */
int walk_read_slot(struct walk *w, struct frame *f);

/* An operand of a frame, by its address; 0 when it was not read or lies outside. */
remote_addr walk_operand_at(const struct walk *w, const struct frame *f, remote_addr at);

bool walk_is_stack_frame(const struct walk *w, remote_addr addr);

/* Can C code that f called have called c? */
bool walk_links_through_c(struct walk *w, const struct frame *f, const struct frame *c, int *error);

/* Was c, a frame of the data stack, called by f's own bytecode? */
bool walk_links_inlined(const struct walk *w, const struct frame *f, const struct frame *c);

/*
 * To 3.13: a frame whose stacktop is set, but not because it waits for an inlined callee: it has
 * been left, or has been pushed and not begun (its ip is on RESUME then, or before).
 */
bool walk_is_left_or_fresh(const struct walk *w, const struct frame *f);

/* Can f have a callee at all? Returns STEP_TOP when not. */
enum step walk_may_call(const struct walk *w, const struct frame *f);

bool walk_has_inlined_callee(const struct walk *w, const struct frame *f);

/*
 * A frame that has been left keeps its place while its locals are destroyed; a finalizer then runs
 * above it. Its caller is what called the frame that was left (CPython gh-99729).
 */
bool walk_may_have_finalizer(const struct frame *left);
/* Is c that finalizer? */
bool walk_is_finalizer(struct walk *w, const struct frame *left, const struct frame *c, int *error);

/* To 3.13: a callee of C code counts only if something above it proves it, when it waits. */
void walk_note_unproven(struct walk *w, const struct frame *c);

enum generator { NOT_A_GENERATOR, SUSPENDED, EXECUTING };

/* What the generator object at `object` says: its frame in *c. */
enum generator walk_read_generator(struct walk *w, remote_addr object, struct frame *c);

/*
 * A generator that one of the operands of the innermost frame is. Looks only at memory that has
 * been read: pages where generators of this thread were before. Returns as a step: 0 or an error.
 */
int walk_step_generator(struct walk *w, enum step *ret);

/* Is this the frame of a generator that the innermost frame has as an operand? */
bool walk_resumes_operand(const struct walk *w, remote_addr frame);

/* Make c the innermost frame. Returns 0 or -E2BIG. */
int walk_accept(struct walk *w, const struct frame *c);

/* Frames that could have been left are kept only if the data stack still reaches there. */
int walk_settle_unproven(struct walk *w);

/*
 * What was read later hangs on the hinge only if that has not moved on after it was read. For a
 * generator that is not enough where loops are short: memory is recycled, and the loop may have
 * ended and begun again; there the generator must still be the same one, and the loop one that
 * stays put, unless its argument tells. Otherwise the stack ends with the hinge.
 */
int walk_verify_hinge(struct walk *w);

#endif
