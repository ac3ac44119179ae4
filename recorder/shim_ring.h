/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ring in which the shim (recorder/shim/trackexec.py) tells what runs in precise sections:
 * shared memory that a target writes and that we read, so nothing in it is trusted. Its layout is
 * in docs/shim-ring.md. Parsing only: what a record means is sampler_precise.c's.
 */
#ifndef RECORDER_SHIM_RING_H
#define RECORDER_SHIM_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What /proc/PID/fd says of its descriptor. */
#define SHIM_RING_LINK "/memfd:trackexec-ring (deleted)"

#define SHIM_RING_HEAD_BYTES 4096u
#define SHIM_RING_SLOT_BYTES 32u
#define SHIM_RING_MIN_BYTES  (64u << 10) /* of all slots */
#define SHIM_RING_MAX_BYTES  (64u << 20)
#define SHIM_PACKAGES_MAX    2048

enum shim_state {
	SHIM_READY = 1,	 /* nothing is told */
	SHIM_TRACING,	 /* through sys.settrace, while a section is open */
	SHIM_MONITORING, /* through sys.monitoring */
	SHIM_ASIDE,	 /* another tracer is there: sections have begin and end only */
};

enum shim_wanted {
	SHIM_WANT_NOTHING,
	SHIM_WANT_PRECISE, /* sections */
	SHIM_WANT_EXACT,   /* all followed code, all the time */
};

/* Kinds of records. `value` is a time, CLOCK_MONOTONIC, unless something else is said. */
enum shim_kind {
	SHIM_THREAD = 1, /* value: its threading.get_ident(), frame: its kernel id */
	SHIM_FRAME, /* value: code object, frame, line: of the stack that is told, outermost first
		     */
	SHIM_ENTER, /* a section begins on these frames; frame: the innermost, line: how many */
	SHIM_LINE, /* a line begins. Outside a section, in the frame of the last ENTER: it begins */
	SHIM_AT,   /* a frame goes on within this line */
	SHIM_CALL, /* value: code object, frame: a frame begins, or goes on; its line follows */
	SHIM_RETURN,	 /* a frame is left, for good or not */
	SHIM_LEAVE,	 /* the section ends */
	SHIM_FORGET,	 /* of all threads: addresses of code objects may mean others from now on */
	SHIM_EXACT = 11, /* as SHIM_ENTER: from here on all followed code is told */
	SHIM_RESUME = 10, /* as SHIM_ENTER: the function that opened it goes on within its line */
};

struct shim_record {
	uint64_t value;
	uint64_t frame; /* its address, which is only compared */
	uint32_t line;
	uint32_t thread; /* the shim's number for it */
	uint8_t kind;	 /* enum shim_kind, or anything */
};

struct shim_ring; /* one reader, one thread */

/*
 * @base       head and slots, mapped or not; lent, must outlive the ring
 * @size       of them
 * Returns 0 and a reader of what is written from now on, or -EBADMSG: it is none, or of another
 * version.
 */
int shim_ring_new(void *base, size_t size, struct shim_ring **ret);
/* Map it: fd must be sealed against getting smaller. The descriptor stays the caller's. */
int shim_ring_open(int fd, struct shim_ring **ret);
/* Says that nobody reads any more. NULL is accepted. */
void shim_ring_close(struct shim_ring *r);

/* The process that it says it belongs to, in its own PID namespace. */
uint64_t shim_ring_pid(const struct shim_ring *r);
/* enum shim_state, or anything. */
uint64_t shim_ring_state(const struct shim_ring *r);

/*
 * What the shim shall do, until until_ns: to be renewed before that.
 * @packages  as in worker_config.packages_text
 */
void shim_ring_want(struct shim_ring *r, enum shim_wanted wanted, uint64_t until_ns);
void shim_ring_set_packages(struct shim_ring *r, const char *packages);

/*
 * The next records, at most max of them.
 * @now_ns    to see how long a record has been missing
 * @ret_lost  how many were overwritten before they could be read: before the first of these
 * Returns how many there are; 0 with *ret_lost 0: no more at present.
 */
size_t shim_ring_read(struct shim_ring *r, uint64_t now_ns, struct shim_record *ret, size_t max,
		      uint64_t *ret_lost);
/* The i-th record that is to be read next, if it is there. */
bool shim_ring_peek(const struct shim_ring *r, unsigned i, struct shim_record *ret);

#endif
