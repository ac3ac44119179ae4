/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two kinds of reading: the stack goes upwards through one window that moves along; all else
 * (unwind tables, ELF headers) hits pages here and there, kept by the low bits of their numbers.
 */
#include "recorder/oncpu/native_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"

#define PAGE_BYTES 4096u
#define N_PAGES	   32u
/* Thirty frames of an interpreter take about 8 KiB. */
#define WINDOW_BYTES (16u << 10)
/* An address so far above the window is still taken for the stack. */
#define STACK_MAX_BYTES (UINT64_C(8) << 20)

struct page {
	uint64_t addr;
	uint64_t unwind; /* of which unwind it is */
	unsigned char bytes[PAGE_BYTES];
};

struct native_memory {
	struct memory *mem;
	uint64_t unwind;
	unsigned n_reads, n_words;
	uint64_t window;    /* address of its first byte */
	size_t window_len;  /* bytes in it */
	uint64_t stack_end; /* of what may be the stack */
	struct page pages[N_PAGES];
	unsigned char window_bytes[WINDOW_BYTES];
};

struct native_memory *native_memory_new(struct memory *mem)
{
	struct native_memory *m = xcalloc(1, sizeof(*m));

	m->mem = mem;
	return m;
}

void native_memory_free(struct native_memory *m)
{
	free(m);
}

static int read_target(struct native_memory *m, uint64_t addr, void *buf, size_t len)
{
	if (m->n_reads++ >= NATIVE_MEMORY_MAX_READS)
		return -ELOOP;
	return memory_read_some(m->mem, addr, buf, len);
}

/* Move the window up to addr. */
static int move_window(struct native_memory *m, uint64_t addr)
{
	/* From there to the end of a page: the last read then ends where the mapping does. */
	size_t len = WINDOW_BYTES - (addr & (PAGE_BYTES - 1));
	int n = read_target(m, addr, m->window_bytes, len);

	m->window = addr;
	m->window_len = n < 0 ? 0 : (size_t)n;
	return n < 0 ? n : 0;
}

void native_memory_begin(struct native_memory *m, uint64_t sp)
{
	m->unwind++;
	m->n_reads = 0;
	m->n_words = 0;
	m->stack_end = sp > UINT64_MAX - STACK_MAX_BYTES ? UINT64_MAX : sp + STACK_MAX_BYTES;
	/* Should it not be readable, whoever asks for it is told. */
	move_window(m, sp & ~UINT64_C(7));
}

static int load_page(struct native_memory *m, uint64_t addr, struct page **ret)
{
	struct page *page = &m->pages[addr / PAGE_BYTES % N_PAGES];
	int n;

	if (page->unwind != m->unwind || page->addr != addr) {
		page->unwind = 0;
		n = read_target(m, addr, page->bytes, PAGE_BYTES);
		if (n < 0)
			return n;
		/* Images in tests may end anywhere; processes do at pages. */
		if (n < (int)PAGE_BYTES)
			return -EFAULT;
		page->unwind = m->unwind;
		page->addr = addr;
	}
	*ret = page;
	return 0;
}

static bool is_in_window(const struct native_memory *m, uint64_t addr, size_t len)
{
	return addr >= m->window && addr - m->window < m->window_len &&
	       m->window_len - (addr - m->window) >= len;
}

int native_memory_read(struct native_memory *m, remote_addr addr, void *buf, size_t len)
{
	unsigned char *to = buf;

	if (is_in_window(m, addr, len)) {
		memcpy(buf, m->window_bytes + (addr - m->window), len);
		return 0;
	}
	if (addr > UINT64_MAX - len)
		return -EFAULT;
	while (len > 0) {
		size_t at = addr % PAGE_BYTES;
		size_t n = PAGE_BYTES - at < len ? PAGE_BYTES - at : len;
		struct page *page;
		int r;

		r = load_page(m, addr - at, &page);
		if (r < 0)
			return r;
		memcpy(to, page->bytes + at, n);
		to += n;
		addr += n;
		len -= n;
	}
	return 0;
}

int native_memory_read_word(struct native_memory *m, remote_addr addr, uint64_t *ret)
{
	int r;

	if (m->n_words++ >= NATIVE_MEMORY_MAX_WORDS)
		return -ELOOP;
	if (!is_in_window(m, addr, sizeof(*ret)) && addr > m->window && addr < m->stack_end) {
		r = move_window(m, addr);
		if (r < 0)
			return r;
	}
	return native_memory_read(m, addr, ret, sizeof(*ret));
}
