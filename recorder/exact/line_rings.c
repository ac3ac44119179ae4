/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/line_rings.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/exact/line_events.h"

/* No record that we ask for is larger; one that is makes no sense and is left out. */
#define RECORD_MAX 4096
/* So much younger than what is asked for, a record's time is looked at more closely. */
#define YOUNG_NS (10 * NS_PER_S)

/* Nothing in its memory is trusted, nor to be the same when it is read again. */
struct line_ring {
	int fd;
	struct perf_event_mmap_page *page;
	const uint8_t *data;
	uint64_t head, tail; /* read up to tail; head as it was seen last */
	uint64_t time_ns;    /* of the record at the tail; UINT64_MAX: not known, or none */
	uint32_t type;	     /* of that record, and its size */
	uint16_t size;
	bool is_peeked;
	bool is_torn; /* what was at the tail made no sense, and is dropped */
};

struct line_rings {
	struct line_ring *rings;
	unsigned n;
	size_t bytes; /* of each */
	uint64_t regs;
	uint64_t record[RECORD_MAX / 8];
};

DEFINE_CLEANUP(struct line_rings *, line_rings_free)

/* As they lie in a ring, after struct perf_event_header. */
struct raw_sample {
	uint64_t ip;
	uint32_t pid, tid;
	uint64_t time_ns;
	uint64_t id;
	uint64_t abi;
	/* then the registers, then size, bytes, and used size of the stack */
};

struct raw_lost {
	uint64_t id, lost;
	uint32_t pid, tid;
	uint64_t time_ns;
};

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

void line_rings_free(struct line_rings *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < r->n; i++) {
		if (r->rings[i].page)
			munmap(r->rings[i].page, page_bytes() + r->bytes);
		close_p(&r->rings[i].fd);
	}
	free(r->rings);
	free(r);
}

static int map_ring(struct line_ring *ring, size_t bytes)
{
	void *map =
	    mmap(NULL, page_bytes() + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	ring->page = map;
	ring->data = (const uint8_t *)map + page_bytes();
	ring->head = ring->tail = ring->page->data_tail;
	return 0;
}

int line_rings_new(const int *fds, unsigned n, size_t ring_bytes, uint64_t regs,
		   struct line_rings **ret)
{
	auto_release(line_rings_free) struct line_rings *r = xcalloc(1, sizeof(*r));
	int error = 0;

	r->rings = xcalloc(n, sizeof(*r->rings));
	r->n = n;
	r->bytes = ring_bytes;
	r->regs = regs;
	for (unsigned i = 0; i < n; i++)
		r->rings[i].fd = fds[i];
	if (ring_bytes < page_bytes() || ring_bytes > LINE_RING_BYTES ||
	    (ring_bytes & (ring_bytes - 1)))
		return -EBADMSG;
	for (unsigned i = 0; error == 0 && i < n; i++)
		error = map_ring(&r->rings[i], ring_bytes);
	if (error < 0)
		return error;
	*ret = steal_ptr(r);
	return 0;
}

unsigned line_rings_n_cpus(const struct line_rings *r)
{
	return r->n;
}

static void copy(const struct line_rings *r, const struct line_ring *ring, uint64_t at, void *buf,
		 size_t len)
{
	size_t offset = (size_t)(at & (r->bytes - 1));
	size_t first = r->bytes - offset < len ? r->bytes - offset : len;

	memcpy(buf, ring->data + offset, first);
	memcpy((uint8_t *)buf + first, ring->data, len - first);
}

static void skip_to(struct line_ring *ring, uint64_t tail)
{
	ring->tail = tail;
	ring->is_peeked = false;
	__atomic_store_n(&ring->page->data_tail, ring->tail, __ATOMIC_RELEASE);
}

static void skip(struct line_ring *ring, size_t size)
{
	skip_to(ring, ring->tail + size);
}

/* All that is there up to then makes no sense: it counts as lost. */
static void drop(struct line_ring *ring, uint64_t tail, uint64_t time_ns)
{
	skip_to(ring, tail);
	ring->time_ns = time_ns;
	ring->is_torn = ring->is_peeked = true;
}

/*
 * Find out the time of the record at the tail; what is of no interest is taken away. Without one,
 * time_ns is UINT64_MAX.
 */
static void peek(const struct line_rings *r, struct line_ring *ring, uint64_t until_ns)
{
	struct perf_event_header h;

	while (!ring->is_peeked) {
		ring->time_ns = UINT64_MAX;
		if (ring->head - ring->tail < sizeof(h))
			ring->head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
		/* The kernel does not write over what was not taken, nor takes anything back. */
		if (ring->head - ring->tail > r->bytes) {
			drop(ring, ring->head, until_ns);
			return;
		}
		if (ring->head - ring->tail < sizeof(h))
			return;
		copy(r, ring, ring->tail, &h, sizeof(h));
		if (h.size < sizeof(h) || h.size > ring->head - ring->tail) {
			drop(ring, ring->head, until_ns);
			return;
		}
		ring->type = h.type;
		ring->size = h.size;
		if (h.type == PERF_RECORD_SAMPLE && h.size <= RECORD_MAX &&
		    h.size >= sizeof(h) + sizeof(struct raw_sample)) {
			copy(r, ring, ring->tail + sizeof(h) + offsetof(struct raw_sample, time_ns),
			     &ring->time_ns, sizeof(ring->time_ns));
		} else if (h.type == PERF_RECORD_LOST &&
			   h.size >= sizeof(h) + sizeof(struct raw_lost)) {
			copy(r, ring, ring->tail + sizeof(h) + offsetof(struct raw_lost, time_ns),
			     &ring->time_ns, sizeof(ring->time_ns));
		} else {
			skip(ring, h.size);
			continue;
		}
		ring->is_peeked = true;
	}
}

static bool parse_sample(const struct line_rings *r, const uint64_t *words, size_t n,
			 struct line_sample *ret)
{
	const uint64_t *end = words + n;
	struct raw_sample raw;

	memcpy(&raw, words, sizeof(raw));
	words += sizeof(raw) / sizeof(*words);
	ret->ip = raw.ip;
	ret->tid = raw.tid;
	ret->event = raw.id;
	if (raw.abi == PERF_SAMPLE_REGS_ABI_NONE)
		return false;
	for (uint64_t regs = r->regs; regs; regs &= regs - 1) {
		unsigned reg = (unsigned)__builtin_ctzll(regs);

		if (words == end)
			return false;
		if (reg < USDT_REGS_MAX)
			ret->state.regs[reg] = *words;
		words++;
	}
	ret->state.stack = NULL;
	ret->state.stack_len = 0;
	if (words < end && *words <= (size_t)(end - words - 1) * sizeof(*words)) {
		ret->state.stack = (const uint8_t *)(words + 1);
		ret->state.stack_len = (size_t)*words;
		ret->state.stack_start = ret->state.regs[usdt_stack_pointer(USDT_MACHINE)];
	}
	return true;
}

/* The record at the tail, which is taken away. */
static enum line_record take(struct line_rings *r, struct line_ring *ring, struct line_sample *ret)
{
	const size_t header = sizeof(struct perf_event_header);
	struct raw_lost lost;
	size_t len;

	ret->time_ns = ring->time_ns;
	ret->cpu = (unsigned)(ring - r->rings);
	if (ring->is_torn) {
		ring->is_torn = ring->is_peeked = false;
		ret->lost = 1; /* at least */
		return LINE_LOST;
	}
	if (ring->type == PERF_RECORD_LOST) {
		copy(r, ring, ring->tail + header, &lost, sizeof(lost));
		ret->lost = lost.lost == 0 ? 1 : lost.lost < UINT32_MAX ? lost.lost : UINT32_MAX;
		skip(ring, ring->size);
		return LINE_LOST;
	}
	len = ring->size - header;
	copy(r, ring, ring->tail + header, r->record, len);
	skip(ring, ring->size);
	return parse_sample(r, r->record, len / sizeof(*r->record), ret) ? LINE_REACHED
									 : LINE_NOTHING;
}

/* A time that has not come yet would keep all behind it waiting. */
static bool is_in_future(uint64_t time_ns, uint64_t until_ns)
{
	return time_ns > until_ns && time_ns - until_ns > YOUNG_NS &&
	       time_ns > clock_monotonic_ns();
}

enum line_record line_rings_next(struct line_rings *r, uint64_t until_ns, struct line_sample *ret)
{
	for (;;) {
		struct line_ring *first = NULL;
		enum line_record kind;

		for (unsigned i = 0; i < r->n; i++) {
			struct line_ring *ring = &r->rings[i];

			if (!ring->is_peeked)
				peek(r, ring, until_ns);
			if (ring->is_peeked && is_in_future(ring->time_ns, until_ns))
				drop(ring, ring->tail + ring->size, until_ns);
			if (ring->is_peeked && ring->time_ns <= until_ns &&
			    (!first || ring->time_ns < first->time_ns))
				first = ring;
		}
		if (!first)
			return LINE_NOTHING;
		kind = take(r, first, ret);
		if (kind != LINE_NOTHING)
			return kind;
	}
}

size_t line_rings_fill(const struct line_rings *r, size_t *ret_of)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < r->n; i++) {
		const struct line_ring *ring = &r->rings[i];
		uint64_t fill =
		    __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE) - ring->tail;

		if (fill > r->bytes)
			fill = r->bytes;
		if (fill > most)
			most = fill;
	}
	*ret_of = r->bytes;
	return (size_t)most;
}
