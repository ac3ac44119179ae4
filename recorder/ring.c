/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Positions count bytes since the start and never wrap; masked they are offsets. Each side keeps
 * its own position and a copy of the other's on a cache line that only it writes, and looks at
 * the shared ones only when its copy says that the ring is full or empty.
 */
#include "recorder/ring.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/xalloc.h"

#define CACHE_LINE   64
#define RECORD_ALIGN ((size_t)8)
/*
 * An empty ring is begun anew once this part of it has been used. A consumer that keeps up then
 * never sees more of it, and what is never touched costs no memory. The positions between are
 * skipped by both sides: a pad would take their room until the consumer has come past it.
 */
#define RESTART_FROM(size) ((size) / 16)
/* With so much in the ring, a consumer that sleeps is woken. */
#define CALL_FROM(size) ((size) / 16)

/* The padding is what it is about. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct ring {
	char *data;
	size_t size;
	int fd; /* where the producer calls the consumer; -1: nowhere */
	/* Written by the producer: all before it may be read. */
	_Alignas(CACHE_LINE) _Atomic size_t published;
	_Atomic size_t restarted; /* the position where it was begun anew last, 0: never */
	_Atomic int finished;
	/* Written by the consumer: all before it may be overwritten. */
	_Alignas(CACHE_LINE) _Atomic size_t consumed;
	_Atomic bool is_asleep;
	/* The producer's own. */
	_Alignas(CACHE_LINE) size_t head;
	size_t seen_free;
	/* The consumer's own. */
	_Alignas(CACHE_LINE) size_t tail;
	size_t seen_published;
};

struct ring *ring_new(size_t size_bytes)
{
	struct ring *r;

	assert(size_bytes >= 65536 && !(size_bytes & (size_bytes - 1)));
	r = aligned_alloc(CACHE_LINE, sizeof(*r));
	if (!r)
		xalloc_failed();
	*r = (struct ring){
	    .data = xcalloc(1, size_bytes),
	    .size = size_bytes,
	    .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	return r;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	free(r->data);
	free(r);
}

static struct record_header *record_at(const struct ring *r, size_t position)
{
	/* Every record starts at a multiple of 8, where data itself is aligned for any type. */
	return (struct record_header *)(void *)(r->data + (position & (r->size - 1)));
}

/* --- producer --- */

/* All before it is free: consumed, or skipped. */
static size_t free_until(const struct ring *r)
{
	size_t consumed = atomic_load_explicit(&r->consumed, memory_order_acquire);
	/* Only this thread writes it. */
	size_t restarted = atomic_load_explicit(&r->restarted, memory_order_relaxed);

	return consumed > restarted ? consumed : restarted;
}

/* Room for need bytes, having looked again at how far the consumer is when needed. */
static size_t room_for(struct ring *r, size_t need)
{
	if (r->size - (r->head - r->seen_free) < need)
		r->seen_free = free_until(r);
	return r->size - (r->head - r->seen_free);
}

/* At its beginning, if nothing at all is in it and enough of it has been used. */
static void restart(struct ring *r)
{
	size_t offset = r->head & (r->size - 1);

	if (offset < RESTART_FROM(r->size) ||
	    r->head != atomic_load_explicit(&r->published, memory_order_relaxed))
		return;
	r->seen_free = free_until(r);
	if (r->seen_free != r->head)
		return;
	r->head += r->size - offset;
	r->seen_free = r->head;
	atomic_store_explicit(&r->restarted, r->head, memory_order_relaxed);
	atomic_store_explicit(&r->published, r->head, memory_order_release);
}

void *ring_append(struct ring *r, uint16_t kind, size_t size)
{
	size_t to_end, pad;
	struct record_header *h;

	assert(size >= sizeof(*h) && size <= r->size / 4);
	size = (size + RECORD_ALIGN - 1) & ~(RECORD_ALIGN - 1);
	restart(r);
	/* A record is never split: what does not fit before the end is filled. */
	to_end = r->size - (r->head & (r->size - 1));
	pad = size > to_end ? to_end : 0;
	if (room_for(r, pad + size) < pad + size)
		return NULL;
	if (pad) {
		/* Only size and kind: there may be no room for more than those 8 bytes. */
		h = record_at(r, r->head);
		h->size = (uint32_t)pad;
		h->kind = RECORD_PAD;
		r->head += pad;
	}
	h = record_at(r, r->head);
	h->size = (uint32_t)size;
	h->kind = kind;
	r->head += size;
	return h;
}

size_t ring_room(const struct ring *r)
{
	return r->size - (r->head - free_until(r));
}

void ring_call(struct ring *r)
{
	uint64_t one = 1;

	/* Only whoever ends its sleep writes; that it is full means that it has been called. */
	if (atomic_exchange(&r->is_asleep, false) && write(r->fd, &one, sizeof(one)) < 0)
		return;
}

void ring_publish(struct ring *r)
{
	atomic_store_explicit(&r->published, r->head, memory_order_release);
	if (r->size - room_for(r, r->size) < CALL_FROM(r->size))
		return;
	/* See ring_sleep(): one of the two sees what the other has written. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&r->is_asleep, memory_order_relaxed))
		ring_call(r);
}

int ring_has_unpublished(const struct ring *r)
{
	/* Only this thread writes it. */
	return r->head != atomic_load_explicit(&r->published, memory_order_relaxed);
}

void ring_rewind(struct ring *r)
{
	/* Only this thread writes it. */
	r->head = atomic_load_explicit(&r->published, memory_order_relaxed);
}

void ring_finish(struct ring *r)
{
	atomic_store_explicit(&r->finished, 1, memory_order_release);
}

/* --- consumer --- */

/* Where the next record is once so much is published, read with acquire. */
static size_t next_tail(const struct ring *r, size_t published)
{
	size_t restarted = atomic_load_explicit(&r->restarted, memory_order_relaxed);

	/*
	 * While the tail is behind what is published the ring is not begun anew again; without
	 * anything published, what is read here may be newer than that.
	 */
	return r->tail != published && r->tail < restarted ? restarted : r->tail;
}

static int is_empty(struct ring *r)
{
	if (r->tail == r->seen_published) {
		r->seen_published = atomic_load_explicit(&r->published, memory_order_acquire);
		r->tail = next_tail(r, r->seen_published);
	}
	return r->tail == r->seen_published;
}

const struct record_header *ring_peek(struct ring *r)
{
	const struct record_header *h;

	if (is_empty(r))
		return NULL;
	h = record_at(r, r->tail);
	if (h->kind != RECORD_PAD)
		return h;
	/* A pad is always published together with the record that did not fit. */
	r->tail += h->size;
	return record_at(r, r->tail);
}

void ring_consume(struct ring *r)
{
	r->tail += record_at(r, r->tail)->size;
	atomic_store_explicit(&r->consumed, r->tail, memory_order_release);
}

int ring_is_finished(const struct ring *r)
{
	size_t published;

	/* In this order: what was published before the finish is then seen below. */
	if (!atomic_load_explicit(&r->finished, memory_order_acquire))
		return 0;
	published = atomic_load_explicit(&r->published, memory_order_acquire);
	return next_tail(r, published) == published;
}

int ring_fd(const struct ring *r)
{
	return r->fd;
}

void ring_sleep(struct ring *r)
{
	size_t published;

	atomic_store_explicit(&r->is_asleep, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	published = atomic_load_explicit(&r->published, memory_order_acquire);
	if (published - next_tail(r, published) >= CALL_FROM(r->size))
		ring_call(r);
}

void ring_wake_up(struct ring *r)
{
	uint64_t n;

	atomic_store_explicit(&r->is_asleep, false, memory_order_relaxed);
	/* Nothing is in it when it was not called, or is about to be: then the next sleep is short.
	 */
	if (read(r->fd, &n, sizeof(n)) < 0)
		return;
}
