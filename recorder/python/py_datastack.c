/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_datastack.h"

#include <errno.h>

#include "common/clock.h"
#include "common/xalloc.h"

/* _PyStackChunk: previous, size in bytes, top, data (Include/cpython/pystate.h of 3.11). */
#define CHUNK_PREVIOUS	0
#define CHUNK_SIZE	8
#define CHUNK_DATA	24
#define MIN_CHUNK_BYTES 1024u
#define MAX_CHUNK_BYTES (8u << 20)
/* A target can claim that each of its chunks is large. */
#define MAX_COPY_BYTES (64u << 20)

/*
 * More than was needed last time: the header of one more frame, to see whether it is alive. Every
 * cache line that is read has to be fetched back by the target when it writes there again.
 */
#define WINDOW_SLACK 96u

#define MAX_REREADS 4

static void reserve_copies(struct py_stacks *s, size_t n)
{
	size_t old = s->chunks_cap;

	s->chunks = xgrow(s->chunks, &s->chunks_cap, n, sizeof(s->chunks[0]));
	for (size_t i = old; i < s->chunks_cap; i++)
		s->chunks[i] = (struct chunk_copy){0};
}

/* Extend the copy of chunk i to its first `end` bytes. */
static int extend(struct py_stacks *s, uint32_t i, uint32_t end)
{
	const struct chunk *chunk = &s->stack->chunks[i];
	struct chunk_copy *copy;
	struct region *region;
	int r;

	if (i >= s->chunks_cap)
		reserve_copies(s, i + 1u);
	copy = &s->chunks[i];
	region = &copy->region;
	while (s->n_chunks <= i)
		s->chunks[s->n_chunks++].region.len = 0;
	if (end > chunk->bytes)
		end = chunk->bytes;
	if (copy->room < chunk->bytes) {
		if (s->copy_bytes + chunk->bytes - copy->room > MAX_COPY_BYTES)
			return -EFAULT;
		s->copy_bytes += chunk->bytes - copy->room;
		region->data = xreallocarray(region->data, chunk->bytes, 1);
		copy->room = chunk->bytes;
	}
	region->start = chunk->addr;
	if (end <= region->len)
		return 0;
	r = memory_read(s->mem, chunk->addr + region->len, region->data + region->len,
			end - region->len);
	if (r < 0)
		return r;
	s->counters.bytes_read += end - region->len;
	s->extra_pages += (end - region->len) / PAGE_BYTES;
	if (region->len == 0) {
		/* Chunks come and go, also at addresses that were used before. */
		remote_addr previous = i ? s->stack->chunks[i - 1].addr : 0;

		if (raw_u64(region->data, CHUNK_PREVIOUS) != previous ||
		    raw_u64(region->data, CHUNK_SIZE) != chunk->bytes) {
			s->stack->n_chunks = i;
			return -EAGAIN;
		}
	}
	region->len = end;
	return 0;
}

static uint32_t find_chunk(const struct py_stack *stack, remote_addr addr)
{
	uint32_t i = 0;

	while (i < stack->n_chunks && stack->chunks[i].addr != addr)
		i++;
	return i;
}

int py_datastack_refresh(struct py_stacks *s, remote_addr newest)
{
	struct py_stack *stack = s->stack;
	remote_addr addr = newest;
	uint32_t n = 0, known = stack->n_chunks;

	/* Back from the newest one to one that is known. */
	for (; addr; n++) {
		uint64_t head[2];
		int r;

		known = find_chunk(stack, addr);
		if (known < stack->n_chunks)
			break;
		if (n == MAX_CHUNKS)
			return -E2BIG;
		r = memory_read(s->mem, addr, head, sizeof(head));
		if (r < 0)
			return r;
		if (head[1] < MIN_CHUNK_BYTES || head[1] > MAX_CHUNK_BYTES)
			return -EAGAIN;
		s->fresh[n] = (struct chunk){addr, (uint32_t)head[1]};
		addr = head[0];
	}
	stack->n_chunks = addr ? known + 1 : 0;
	if (s->n_chunks > stack->n_chunks)
		s->n_chunks = stack->n_chunks;
	stack->chunks = xgrow(stack->chunks, &stack->chunks_cap, (size_t)stack->n_chunks + n,
			      sizeof(stack->chunks[0]));
	while (n)
		stack->chunks[stack->n_chunks++] = s->fresh[--n];
	if (stack->n_chunks > 1)
		s->counters.multi_chunk++;
	return 0;
}

/*
 * Read the root chunk's first bytes in one go. The copy itself takes a fraction of a microsecond,
 * in which at most one call happens; but an interrupt in the middle of it lets the target run on
 * for long, and the two halves belong to different moments. Such a read takes visibly longer, so it
 * is done again: when depends on the interrupt, not on what the target does, which keeps this fair.
 */
static int read_undisturbed(struct py_stacks *s)
{
	int r;

	for (int i = 0; i < MAX_REREADS; i++) {
		uint64_t start = clock_monotonic_ns(), took;

		s->n_chunks = 0;
		s->extra_pages = 0;
		s->reads_before = s->mem->n_reads;
		s->first_read_ns = start;
		r = extend(s, 0, s->stack->window);
		if (r < 0)
			return r;
		if (s->is_still)
			return 0;
		took = clock_monotonic_ns() - start;
		if (took < s->typical_ns || !s->typical_ns)
			s->typical_ns = took;
		if (took <= s->typical_ns + s->typical_ns / 2) {
			s->typical_ns++;
			return 0;
		}
		/* Slowly up again: a CPU that has become slower must not look disturbed for ever.
		 */
		s->typical_ns += s->typical_ns / 32 + 1;
		s->counters.disturbed++;
	}
	return -EAGAIN;
}

int py_datastack_begin(struct py_stacks *s)
{
	struct py_stack *stack = s->stack;
	remote_addr newest;
	int r;

	s->n_chunks = 0;
	if (stack->n_chunks == 0) {
		r = memory_read_u64(s->mem, stack->tstate + s->l->thread.datastack_chunk, &newest);
		if (r < 0)
			return r;
		if (!newest)
			return 1;
		r = py_datastack_refresh(s, newest);
		if (r < 0)
			return r;
	}
	return read_undisturbed(s);
}

void py_datastack_end(struct py_stacks *s, uint32_t used_bytes)
{
	struct py_stack *stack = s->stack;

	used_bytes += WINDOW_SLACK;
	if (used_bytes >= stack->window)
		stack->window = used_bytes;
	else
		stack->window -= (stack->window - used_bytes) / 64;
}

const uint8_t *py_datastack_view(struct py_stacks *s, uint32_t i, remote_addr addr, uint32_t len,
				 uint32_t *available, int *error)
{
	const struct chunk *chunk;
	const struct region *region;
	uint64_t at;

	*error = 0;
	if (i >= s->stack->n_chunks)
		return NULL;
	chunk = &s->stack->chunks[i];
	at = addr - chunk->addr;
	if (at >= chunk->bytes || chunk->bytes - at < len)
		return NULL;
	if (i >= s->n_chunks || s->chunks[i].region.len < at + len) {
		/* The root chunk's window is tuned; of the others everything is needed sooner or
		 * later. */
		uint32_t end = i ? chunk->bytes : (uint32_t)at + len + WINDOW_SLACK;

		*error = extend(s, i, end);
		if (*error < 0)
			return NULL;
	}
	region = &s->chunks[i].region;
	*available = region->len - (uint32_t)at;
	return region->data + at;
}

const uint8_t *py_datastack_peek(const struct py_stacks *s, uint32_t i, remote_addr addr,
				 uint32_t len, uint32_t *available)
{
	const struct region *region;
	uint64_t at;

	if (i >= s->n_chunks)
		return NULL;
	region = &s->chunks[i].region;
	at = addr - region->start;
	if (at >= region->len || region->len - at < len)
		return NULL;
	*available = region->len - (uint32_t)at;
	return region->data + at;
}

void py_datastack_forget_above(struct py_stacks *s, uint32_t i, remote_addr addr)
{
	if (i < s->n_chunks) {
		uint64_t at = addr - s->chunks[i].region.start;

		if (s->chunks[i].region.len > at)
			s->chunks[i].region.len = (uint32_t)at;
		s->n_chunks = i + 1;
	}
}

uint32_t py_datastack_chunk_of(const struct py_stack *stack, remote_addr addr)
{
	uint32_t i = 0;

	while (i < stack->n_chunks && addr - stack->chunks[i].addr >= stack->chunks[i].bytes)
		i++;
	return i;
}

remote_addr py_datastack_first(const struct py_stack *stack, uint32_t i)
{
	/* data[0] of the root chunk is left free (push_chunk() in Python/pystate.c). */
	return stack->chunks[i].addr + CHUNK_DATA + (i ? 0 : 8);
}
