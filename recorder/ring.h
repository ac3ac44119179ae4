/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the sampler thread tells the writer thread: a ring of variable-sized records, one producer
 * and one consumer, no locks, no waiting on either side. Records become visible to the writer
 * only when the sampler publishes them; until then it can take them back (see ring_rewind()),
 * because a snapshot counts only once its code objects have been proven unchanged after it.
 */
#ifndef RECORDER_RING_H
#define RECORDER_RING_H

#include <stddef.h>
#include <stdint.h>

#include "common/trace_schema.h"

enum record_kind {
	RECORD_STACK = 1,  /* struct record_stack: a thread's stack changed */
	RECORD_THREAD,	   /* struct record_thread: a thread appeared */
	RECORD_THREAD_END, /* struct record_header alone: a thread is gone */
	RECORD_CODE,	   /* struct record_code: a code object, before its first use */
	RECORD_GAP,	   /* struct record_gap: time in which we did not look */
	RECORD_COUNTERS,   /* struct record_counters: totals so far */
	RECORD_OFF,	   /* struct record_off: a thread was off the CPU, or still is */
	RECORD_PAD,	   /* filler at the ring's end, never seen by a consumer */
};

/* A stack entry of the followed code. */
struct record_frame {
	uint32_t code; /* id of an earlier RECORD_CODE */
	int32_t line;  /* 0: unknown */
};

/* Every record starts with this; size is a multiple of 8 and includes the header. */
struct record_header {
	uint32_t size;
	uint16_t kind;	  /* enum record_kind */
	uint16_t thread;  /* trace-local number from RECORD_THREAD, from 1; 0: none */
	uint64_t time_ns; /* CLOCK_MONOTONIC; never decreases within one thread */
};

/*
 * From time_ns on the thread's stack is: the first `keep` frames of its previous one, then
 * frames[0 .. n_frames). Outermost first. A thread starts with an empty stack. keep == 0 and
 * n_frames == 0: no followed code is running in it.
 *
 * It is an event even if all frames are as before (keep is one less than there were, and the one
 * frame that follows is the same as the last): a line that runs again. Only a record that keeps all
 * and adds none is nothing.
 */
struct record_stack {
	struct record_header h;
	uint32_t keep;
	uint32_t n_frames;
	uint16_t provenance; /* enum provenance */
	uint16_t is_first;   /* bool: a stretch of them begins: more may have been before it */
	struct record_frame frames[];
};

struct record_thread {
	struct record_header h;
	uint64_t native_id; /* kernel thread id, 0 when the interpreter does not tell */
	uint64_t python_id; /* threading.get_ident() */
	uint64_t interpreter_id;
};

/*
 * After the struct: file name (file_len bytes, as in the code object, no NUL), then qualified
 * name (name_len bytes), UTF-8. For 3.8 to 3.10 the qualified name is the plain name.
 */
struct record_code {
	struct record_header h;
	uint32_t id; /* counts from 1 */
	int32_t first_line;
	uint32_t file_len;
	uint32_t name_len;
	char text[];
};

struct record_gap {
	struct record_header h; /* time_ns: its end; thread 0: all threads */
	uint64_t start_ns;
	uint64_t lost;	 /* records or snapshots lost, 0 when not known */
	uint32_t reason; /* enum gap_reason */
	uint32_t unused;
};

/*
 * Totals since the start. A snapshot is one look at one running thread. To be sent at least once
 * a second, also when nothing changes: its time tells the writer up to when stacks are known.
 */
struct record_counters {
	struct record_header h;
	uint64_t snapshots; /* published, cut ones included */
	uint64_t cut[N_CUT_REASONS];
	uint64_t dropped[N_DROP_REASONS];
	uint64_t lines_unknown;	  /* frames published without a line */
	uint64_t names_truncated; /* names or file names longer than the limit */
	uint64_t sections, section_records,
	    section_lost; /* precise ones, as their shim told them */
	uint64_t busy_ns; /* time in which a thread was running Python code, about */
};

/*
 * From start_ns to h.time_ns (is_open: at least until then) the thread was off the CPU. Told at the
 * end, and of longer waits also, once, while they go on. Its stack did not change meanwhile.
 *
 * With coarse edges all of that is right about: it may be told late, so that stacks of times after
 * its start, and even after its end, have come before it. What counts of it is the part after the
 * last of them.
 */
struct record_off {
	struct record_header h;
	uint64_t start_ns;
	uint64_t known_place; /* it waits as it did last at this place, see wait_places.h; 0: ask */
	uint32_t state;	      /* EDGE_WAITING or EDGE_READY, see oncpu/edge_events.h */
	uint32_t is_open;     /* bool */
};

struct ring;

/* @size_bytes a power of two, at least 64 KiB. */
struct ring *ring_new(size_t size_bytes);
void ring_free(struct ring *r);

/* --- producer (sampler thread) --- */

/*
 * Room for a record of size bytes (rounded up to 8; at most a quarter of the ring), its header's
 * size and kind filled in; NULL when the ring is full. Not visible to the consumer yet.
 */
void *ring_append(struct ring *r, uint16_t kind, size_t size);
/* Bytes that can still be appended, for keeping a reserve for what must not be lost. */
size_t ring_room(const struct ring *r);
/* Make all appended records visible. A consumer that sleeps is woken once there is much for it. */
void ring_publish(struct ring *r);
/* Wake the consumer, if it sleeps: there may be little, but it is to be taken now. */
void ring_call(struct ring *r);
/* Take back all records appended since the last ring_publish(). */
void ring_rewind(struct ring *r);
/* No record follows; the consumer sees it once it has consumed all. */
void ring_finish(struct ring *r);

/* --- consumer (writer thread) --- */

/* The oldest published record, lent until ring_consume(); NULL when there is none now. */
const struct record_header *ring_peek(struct ring *r);
void ring_consume(struct ring *r);
int ring_is_finished(const struct ring *r); /* bool: finished and all consumed */
/*
 * Before and after waiting for ring_fd(), which is readable when the producer wants the consumer to
 * come: between the two alone does it say so. -1: it can't.
 */
void ring_sleep(struct ring *r);
void ring_wake_up(struct ring *r);
int ring_fd(const struct ring *r);

#endif
