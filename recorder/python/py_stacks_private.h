/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by py_frames.c, py_frames_stack.c (3.11 and later) and py_frames_heap.c (to 3.10). */
#ifndef RECORDER_PYTHON_PY_STACKS_PRIVATE_H
#define RECORDER_PYTHON_PY_STACKS_PRIVATE_H

#include <string.h>

#include "recorder/python/py_frames.h"
#include "recorder/python/py_sites.h"

#define MAX_CHUNKS    4096 /* of one data stack: 64 MiB of frames */
#define MAX_PAGES     1024 /* other regions looked at in one snapshot */
#define MAX_KEPT      32   /* pages that are read in advance */
#define PAGE_BYTES    4096u
#define VERIFY_BYTES  ((size_t)3 * PAGE_BYTES)
#define MAX_LINKS     256	    /* remembered entry frames; a power of two */
#define MAX_KNOWN     64	    /* frame objects of a thread, to 3.10 */
#define MAX_CALLABLES 1024	    /* a power of two */
#define MAX_ITERATORS 64	    /* a power of two */
#define MAX_TAIL      PY_MAX_FRAMES /* frames followed back from the innermost one */

/* A piece of the target's memory as it was read for this snapshot. */
struct region {
	remote_addr start;
	uint32_t len; /* valid bytes */
	uint8_t *data;
};

/*
 * A call through C from Python to Python leaves an entry frame on the C stack, from 3.12 on. That
 * this entry frame belongs to this instruction of this frame has been read once and is remembered,
 * because the same call path puts it at the same place again.
 */
struct entry_link {
	remote_addr caller, entry;
	uint32_t unit;
	uint32_t uses;
};

/* A chunk of a data stack: where it lies and how large it is. */
struct chunk {
	remote_addr addr;
	uint32_t bytes;
};

/* To 3.10: which code a function, or a bound method, was seen to have. */
struct callable {
	remote_addr addr, code;
	uint32_t uses;
	bool is_method;
};

struct py_stack {
	remote_addr tstate;
	/* To 3.10: addresses of frame objects seen lately, and when. */
	struct known_frame {
		remote_addr addr;
		uint32_t used; /* serial of the snapshot */
	} known[MAX_KNOWN];
	uint32_t n_known;
	remote_addr root;
	/* 3.11 and later: the data stack's chunks, root first, as last seen. */
	struct chunk *chunks;
	uint32_t n_chunks;
	size_t chunks_cap;
	uint32_t window; /* bytes of the root chunk worth reading at first */
	/* Pages of the heap or the C stack that the last snapshots needed. */
	remote_addr pages[MAX_KEPT];
	uint32_t page_used[MAX_KEPT]; /* serial of the snapshot that last did */
	uint32_t n_pages;
	uint32_t serial;
};

struct py_stacks {
	struct memory *mem;
	const struct py_layout *l;
	struct py_codes *codes;
	bool is_not_loading;
	bool is_still; /* see py_stacks_set_still() */
	uint64_t now_ns;
	uint64_t reads_before;	/* of the memory, when this snapshot began */
	uint64_t extra_pages;	/* read in one go with another one */
	uint64_t first_read_ns; /* when the first read of this snapshot began */
	uint64_t
	    typical_ns; /* what the first read of a snapshot takes when nothing interrupts it */
	struct py_stacks_counters counters;

	/* The snapshot in progress. */
	struct py_stack *stack;
	struct py_snapshot *snap;
	struct region pages[MAX_PAGES];
	uint32_t n_pages;
	bool prefetched;
	uint8_t *page_data; /* MAX_PAGES * PAGE_BYTES */
	struct chunk_copy {
		struct region region; /* the chunk's beginning */
		size_t room;	      /* bytes of region.data */
	} * chunks;		      /* parallel to stack->chunks */
	size_t chunks_cap;
	size_t copy_bytes;   /* of all of them together */
	uint32_t n_chunks;   /* of which something has been read */
	struct chunk *fresh; /* MAX_CHUNKS */
	uint8_t *verify;     /* VERIFY_BYTES, for reading a piece again */
	remote_addr *tail;   /* MAX_TAIL */
	struct entry_link links[MAX_LINKS];
	struct callable callables[MAX_CALLABLES];
	struct {
		remote_addr type;
		bool is_plain;
	} iterators[MAX_ITERATORS]; /* to 3.10: types of iterators, by their address */

	struct py_sites *sites;
	struct py_snapshot last;   /* the last one, as far as its links were settled */
	struct py_snapshot second; /* a second look */
};

static inline uint64_t raw_u64(const uint8_t *p, uint32_t offset)
{
	uint64_t v;

	memcpy(&v, p + offset, sizeof(v));
	return v;
}

static inline int32_t raw_i32(const uint8_t *p, uint32_t offset)
{
	int32_t v;

	memcpy(&v, p + offset, sizeof(v));
	return v;
}

/*
 * len bytes at addr as of this snapshot: from what has been read already, or read now (a whole
 * page, when it lies within one). Lent until the snapshot ends. NULL with *error set to -EFAULT
 * or -ESRCH. len <= PAGE_BYTES.
 */
const uint8_t *py_stacks_page(struct py_stacks *s, remote_addr addr, uint32_t len, int *error);
/* The same, without reading: NULL when it has not been read. */
const uint8_t *py_stacks_peek(const struct py_stacks *s, remote_addr addr, uint32_t len);
/* Read the pages that the last snapshots of this thread needed; once per snapshot. */
void py_stacks_prefetch(struct py_stacks *s);

/*
 * Of the pages that the last snapshots needed, read the one in which addr lies, if it is one of
 * them, before all others.
 */
void py_stacks_read_early(struct py_stacks *s, remote_addr addr);

/* Append a frame; 0, or -E2BIG at PY_MAX_FRAMES. */
int py_stacks_push(struct py_stacks *s, struct py_code *code, remote_addr addr, uint32_t unit);

/* The code object at addr, loaded when it is new: then -EAGAIN. -EBADMSG when it is none. */
int py_stacks_code(struct py_stacks *s, remote_addr addr, struct py_code **ret);

/* In which time what has been read in this snapshot can have been read without interruption. */
uint64_t py_stacks_fair_ns(const struct py_stacks *s);

/*
 * Is a generator whose first local is `local` the one that the loop of this instruction runs over,
 * judged by a constant that the loop gives it? 1 yes, 0 no (or it has changed the local), -1 the
 * loop gives it no constant.
 */
int py_stacks_argument(struct py_stacks *s, const struct py_code *code, uint32_t unit,
		       remote_addr local);

int py_stack_read_data(struct py_stacks *s); /* 3.11 and later */
int py_stack_read_heap(struct py_stacks *s); /* to 3.10 */

#endif
