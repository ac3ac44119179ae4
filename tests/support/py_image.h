/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An invented process: memory in which a test lays out objects, threads and frames as an
 * interpreter of some version would. Mistakes of the test abort.
 */
#ifndef TESTS_SUPPORT_PY_IMAGE_H
#define TESTS_SUPPORT_PY_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/python/py_layout.h"
#include "recorder/target/memory.h"

#define IMAGE_MAX_REGIONS 64
#define IMAGE_HEAP	  UINT64_C(0x7f1000000000)
#define IMAGE_HEAP_BYTES  (UINT64_C(256) * 1024)
#define IMAGE_TSTATE	  UINT64_C(0x7f2000000000)
#define IMAGE_C_STACK	  UINT64_C(0x7f3000000000) /* entry frames */
#define IMAGE_CHUNK	  UINT64_C(0x7f4000000000) /* the root chunk of the data stack */
#define IMAGE_CHUNK_BYTES 16384u

struct image_region {
	remote_addr start;
	uint32_t len;
	uint8_t *data;
};

struct py_image {
	struct memory mem;
	struct py_layout l;
	struct image_region regions[IMAGE_MAX_REGIONS];
	unsigned n_regions;
	remote_addr heap_end;
	remote_addr code_type;
	bool gone; /* every read then fails with -ESRCH */
	/* Called before each read, when set. */
	void (*before_read)(struct py_image *im, remote_addr addr, size_t len);
	/* Called after each read, when set, with what was read. */
	void (*after_read)(struct py_image *im, remote_addr addr, uint8_t *buf, size_t len);
	void *ctx;
};

/* With a heap, a C stack, a thread state and an empty root chunk. */
void py_image_init(struct py_image *im, unsigned minor);
void py_image_done(struct py_image *im);

/* Memory of zeros; whole pages. */
void py_image_map(struct py_image *im, remote_addr start, uint32_t len);
void py_image_unmap(struct py_image *im, remote_addr start);
/* The bytes at addr, to be changed. */
uint8_t *py_image_at(struct py_image *im, remote_addr addr, uint32_t len);
void py_image_put(struct py_image *im, remote_addr addr, uint64_t value); /* eight bytes */
void py_image_put32(struct py_image *im, remote_addr addr, uint32_t value);
uint64_t py_image_get(struct py_image *im, remote_addr addr);

/* --- objects; each returns its address in the heap --- */

remote_addr py_image_alloc(struct py_image *im, uint32_t len);
remote_addr py_image_ascii(struct py_image *im, const char *s);
/* n characters of `kind` bytes each, not ASCII. */
remote_addr py_image_wide(struct py_image *im, const void *chars, uint32_t n, unsigned kind);
remote_addr py_image_bytes(struct py_image *im, const void *data, uint32_t len);

remote_addr py_image_tuple(struct py_image *im, const remote_addr *items, uint32_t n);
/* An object of a type of this name. */
remote_addr py_image_typed(struct py_image *im, const char *type_name);

/* Instructions by name: their numbers are other ones in each version. */
enum image_op {
	IMAGE_RESUME, /* to 3.10: NOP */
	IMAGE_LOAD_FAST,
	IMAGE_LOAD_CONST,
	IMAGE_LOAD_SMALL_INT, /* from 3.14 */
	IMAGE_STORE_FAST,
	IMAGE_LOAD_ATTR,
	IMAGE_COMPARE_OP,
	IMAGE_PRECALL,	   /* 3.11 */
	IMAGE_CALL,	   /* to 3.10: CALL_FUNCTION */
	IMAGE_CALL_METHOD, /* to 3.10 */
	IMAGE_CALL_FUNCTION_EX,
	IMAGE_INSTRUMENTED_CALL, /* from 3.12 */
	IMAGE_GET_ITER,
	IMAGE_FOR_ITER,
	IMAGE_YIELD_VALUE,
	IMAGE_RETURN_VALUE,
	IMAGE_EXIT_INIT_CHECK, /* from 3.13 */
	IMAGE_EXTENDED_ARG,
	IMAGE_END, /* of a list of them */
};
#define IMAGE_MAX_OPS	12
#define IMAGE_MAX_UNITS (IMAGE_MAX_OPS * 12u) /* caches included */

uint8_t py_image_opcode(const struct py_image *im, enum image_op op);

struct image_code {
	const char *file, *name;
	enum image_op
	    ops[IMAGE_MAX_OPS]; /* IMAGE_END behind the last; default: a function that calls */
	uint8_t args[IMAGE_MAX_OPS];
	uint32_t nlocalsplus, stacksize; /* to 3.10 the locals are those of the frame, too */
	uint32_t first_traceable;	 /* from 3.11 */
	int32_t first_line;
	uint32_t version;   /* from 3.12; default: a new one */
	remote_addr consts; /* a tuple */
};

/* A function object, its code, and where in it each of its instructions is. */
struct image_function {
	remote_addr code, object;
	uint32_t at[IMAGE_MAX_OPS]; /* code units */
	uint32_t n_units, frame_words;
};

/* @addr  of the code object; 0: a new place */
struct image_function py_image_function(struct py_image *im, remote_addr addr,
					const struct image_code *about);
/* RESUME, LOAD_FAST, CALL, LOAD_FAST, RETURN_VALUE: instruction numbers of the default function. */
enum { AT_RESUME, AT_LOAD, AT_CALL, AT_LOAD_AGAIN, AT_RETURN };
/* The unit on which its ip stands while instruction i waits for an inlined callee. */
uint32_t py_image_waiting(const struct py_image *im, const struct image_function *f, unsigned i);

/* --- frames of 3.11 and later --- */

#define IMAGE_OWNED_BY_GENERATOR 1
#define IMAGE_BEFORE_START	 UINT32_MAX

struct image_frame {
	remote_addr addr, previous;
	const struct image_function *function;
	uint32_t unit;
	bool waits;	     /* for an inlined callee; from 3.14 for any */
	uint32_t n_operands; /* when it waits */
	bool is_entry;	     /* 3.11 */
	uint8_t owner;
};

void py_image_frame(struct py_image *im, const struct image_frame *f);
/* From 3.12: an entry frame on the C stack, called from the frame at `previous`. */
void py_image_entry(struct py_image *im, remote_addr addr, remote_addr previous);
/* From 3.14: what popping leaves of it. */
void py_image_pop(struct py_image *im, remote_addr frame);
remote_addr py_image_operand(struct py_image *im, const struct image_frame *f, uint32_t i);
/* A generator whose frame is at the address that is returned, its object before it. */
remote_addr py_image_generator(struct py_image *im, bool executing);
remote_addr py_image_generator_object(const struct py_image *im, remote_addr frame);

/* --- frames to 3.10: objects, allocated by the test --- */

#define IMAGE_HEAP_FRAME_BYTES 512 /* that fit the frames of small functions */

struct image_heap_frame {
	remote_addr addr, back;
	const struct image_function *function;
	uint32_t unit;
	bool executes;
	remote_addr generator; /* whose frame this is */
};

void py_image_heap_frame(struct py_image *im, const struct image_heap_frame *f);
remote_addr py_image_heap_operand(struct py_image *im, const struct image_heap_frame *f,
				  uint32_t i);

/* --- the thread --- */

/* A further chunk, the newest one from now on. Returns where its first frame begins. */
remote_addr py_image_chunk(struct py_image *im, remote_addr addr, remote_addr previous);
/* What the thread state says: its innermost frame, and, from 3.11, where the data stack ends. */
void py_image_thread(struct py_image *im, remote_addr current_frame, remote_addr top);

#endif
