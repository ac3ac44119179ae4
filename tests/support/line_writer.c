/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/line_writer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel rounds up to multiples of this. */
#define ALIGN 8u

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

void line_writer_init(struct line_writer *w, size_t bytes, uint64_t regs)
{
	void *map;

	*w = (struct line_writer){.bytes = bytes, .regs = regs};
	w->fd = memfd_create("line-ring", MFD_CLOEXEC);
	if (w->fd < 0 || ftruncate(w->fd, (off_t)(page_bytes() + bytes)) < 0)
		abort();
	map = mmap(NULL, page_bytes() + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	if (map == MAP_FAILED)
		abort();
	w->page = map;
	w->data = (uint8_t *)map + page_bytes();
}

void line_writer_done(struct line_writer *w)
{
	munmap(w->page, page_bytes() + w->bytes);
}

size_t line_writer_fill(const struct line_writer *w)
{
	return (size_t)(w->head - __atomic_load_n(&w->page->data_tail, __ATOMIC_ACQUIRE));
}

static void put(struct line_writer *w, const void *from, size_t len)
{
	size_t offset = (size_t)(w->head & (w->bytes - 1));
	size_t first = w->bytes - offset < len ? w->bytes - offset : len;

	memcpy(w->data + offset, from, first);
	memcpy(w->data, (const uint8_t *)from + first, len - first);
	w->head += len;
}

static void publish(struct line_writer *w)
{
	__atomic_store_n(&w->page->data_head, w->head, __ATOMIC_RELEASE);
}

bool line_writer_raw(struct line_writer *w, uint32_t type, uint16_t size, const void *body,
		     size_t len)
{
	const struct perf_event_header h = {.type = type, .size = size};

	if (len % ALIGN)
		abort();
	if (w->bytes - line_writer_fill(w) < sizeof(h) + len)
		return false;
	put(w, &h, sizeof(h));
	if (len)
		put(w, body, len);
	publish(w);
	return true;
}

bool line_writer_lost(struct line_writer *w, uint64_t lost, uint64_t time_ns)
{
	/* id, lost; then of sample_id_all: pid and tid, time, id */
	const uint64_t body[] = {1, lost, 0, time_ns, 1};

	return line_writer_raw(w, PERF_RECORD_LOST, sizeof(struct perf_event_header) + sizeof(body),
			       body, sizeof(body));
}

bool line_writer_sample(struct line_writer *w, const struct line_write *what)
{
	uint64_t body[512];
	size_t n = 0, len;

	if (w->n_lost) {
		if (!line_writer_lost(w, w->n_lost, what->time_ns)) {
			w->n_lost++;
			return false;
		}
		w->n_lost = 0;
	}
	body[n++] = what->ip;
	body[n++] = (uint64_t)what->tid << 32 | what->tid;
	body[n++] = what->time_ns;
	body[n++] = what->event;
	body[n++] = PERF_SAMPLE_REGS_ABI_64;
	for (uint64_t regs = w->regs; regs; regs &= regs - 1)
		body[n++] = what->regs[__builtin_ctzll(regs)];
	if (what->stack_len) {
		if (what->stack_len % ALIGN || what->stack_len > sizeof(body) / 2)
			abort();
		body[n++] = what->stack_len;
		memcpy(&body[n], what->stack, what->stack_len);
		n += what->stack_len / sizeof(body[0]);
		body[n++] = what->stack_len; /* how much of it is meant */
	}
	len = n * sizeof(body[0]);
	if (line_writer_raw(w, PERF_RECORD_SAMPLE,
			    (uint16_t)(sizeof(struct perf_event_header) + len), body, len))
		return true;
	w->n_lost++;
	return false;
}
