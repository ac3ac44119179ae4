/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/shim_ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/xalloc.h"

#define MAGIC	UINT64_C(0x474e495243455845) /* "EXECRING" */
#define VERSION 1

/* Words of the head. */
enum {
	WORD_MAGIC,
	WORD_VERSION,
	WORD_PID,
	WORD_BYTES,
	WORD_SLOT,
	WORD_STATE,
	/* Ours. */
	WORD_UNTIL = 32,
	WORD_WANTED,
	WORD_PACKAGES, /* length, and how often they were set in the upper half */
};
#define PACKAGES_AT 1024

/*
 * Who has taken a number writes its record at once, unless it is interrupted: by another thread of
 * the interpreter, or for good.
 */
#define HOLE_NS	   (50 * NS_PER_MS)
#define HOLE_SLOTS 64

struct slot {
	_Atomic uint64_t value, frame, line_and_word, number;
};
_Static_assert(sizeof(struct slot) == SHIM_RING_SLOT_BYTES, "as the shim writes it");

struct shim_ring {
	uint8_t *base;
	size_t size; /* of all, if it was mapped here; 0: it was not */
	uint64_t mask;
	uint64_t next;		/* number of the record to read */
	uint64_t hole_since_ns; /* it is missing, though later ones are there; 0: it is not */
	uint32_t n_packages;
	bool is_wanted; /* said so */
};

static _Atomic uint64_t *word(const struct shim_ring *r, unsigned i)
{
	return (_Atomic uint64_t *)(void *)r->base + i;
}

static uint64_t get_word(const struct shim_ring *r, unsigned i)
{
	return atomic_load_explicit(word(r, i), memory_order_relaxed);
}

static void set_word(const struct shim_ring *r, unsigned i, uint64_t value)
{
	atomic_store_explicit(word(r, i), value, memory_order_release);
}

static bool is_size(uint64_t bytes)
{
	return bytes >= SHIM_RING_MIN_BYTES && bytes <= SHIM_RING_MAX_BYTES &&
	       (bytes & (bytes - 1)) == 0;
}

static struct slot *slot_at(const struct shim_ring *r, uint64_t number)
{
	return (struct slot *)(void *)(r->base + SHIM_RING_HEAD_BYTES + (number & r->mask));
}

static uint64_t number_at(const struct shim_ring *r, uint64_t number)
{
	return atomic_load_explicit(&slot_at(r, number)->number, memory_order_acquire);
}

/*
 * What was written before we came is nothing to us. Slots up to the last written are of one lap,
 * those behind it of the one before; the first is that of number 0, which does not exist.
 */
static uint64_t find_end(const struct shim_ring *r)
{
	uint64_t lap = number_at(r, 0) & ~r->mask, low = 0, high = r->mask / SHIM_RING_SLOT_BYTES;

	while (low < high) {
		uint64_t middle = low + (high - low + 1) / 2;
		uint64_t number = lap + middle * SHIM_RING_SLOT_BYTES;

		if (number_at(r, number) == number)
			low = middle;
		else
			high = middle - 1;
	}
	return lap + (low + 1) * SHIM_RING_SLOT_BYTES;
}

int shim_ring_new(void *base, size_t size, struct shim_ring **ret)
{
	struct shim_ring r = {.base = base};
	uint64_t bytes;

	if (size < SHIM_RING_HEAD_BYTES + SHIM_RING_MIN_BYTES)
		return -EBADMSG;
	/* Read once: it may change at any time. */
	bytes = get_word(&r, WORD_BYTES);
	if (get_word(&r, WORD_MAGIC) != MAGIC || get_word(&r, WORD_VERSION) != VERSION ||
	    get_word(&r, WORD_SLOT) != SHIM_RING_SLOT_BYTES || !is_size(bytes) ||
	    bytes != size - SHIM_RING_HEAD_BYTES)
		return -EBADMSG;
	r.mask = bytes - 1;
	r.next = find_end(&r);
	*ret = xcalloc(1, sizeof(r));
	**ret = r;
	return 0;
}

int shim_ring_open(int fd, struct shim_ring **ret)
{
	struct stat st;
	void *base;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < SHIM_RING_HEAD_BYTES + SHIM_RING_MIN_BYTES ||
	    st.st_size > SHIM_RING_HEAD_BYTES + SHIM_RING_MAX_BYTES)
		return -EBADMSG;
	base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	r = shim_ring_new(base, (size_t)st.st_size, ret);
	if (r < 0)
		munmap(base, (size_t)st.st_size);
	else
		(*ret)->size = (size_t)st.st_size;
	return r;
}

void shim_ring_close(struct shim_ring *r)
{
	if (!r)
		return;
	if (r->is_wanted)
		shim_ring_want(r, SHIM_WANT_NOTHING, 0);
	if (r->size)
		munmap(r->base, r->size);
	free(r);
}

uint64_t shim_ring_pid(const struct shim_ring *r)
{
	return get_word(r, WORD_PID);
}

uint64_t shim_ring_state(const struct shim_ring *r)
{
	return get_word(r, WORD_STATE);
}

void shim_ring_want(struct shim_ring *r, enum shim_wanted wanted, uint64_t until_ns)
{
	r->is_wanted = wanted != SHIM_WANT_NOTHING;
	set_word(r, WORD_WANTED, wanted);
	set_word(r, WORD_UNTIL, wanted == SHIM_WANT_NOTHING ? 0 : until_ns);
}

void shim_ring_set_packages(struct shim_ring *r, const char *packages)
{
	size_t len = strlen(packages);

	/* Whole names only. */
	while (len > SHIM_PACKAGES_MAX || (len && len < strlen(packages) && packages[len] != ','))
		len--;
	memcpy(r->base + PACKAGES_AT, packages, len);
	r->n_packages++;
	set_word(r, WORD_PACKAGES, (uint64_t)r->n_packages << 32 | len);
}

/* Whether the record of that number is there; while it is copied it may be overwritten. */
static bool copy(const struct shim_ring *r, uint64_t number, struct shim_record *ret)
{
	struct slot *slot = slot_at(r, number);
	uint64_t line_and_word;

	if (number_at(r, number) != number)
		return false;
	ret->value = atomic_load_explicit(&slot->value, memory_order_relaxed);
	ret->frame = atomic_load_explicit(&slot->frame, memory_order_relaxed);
	line_and_word = atomic_load_explicit(&slot->line_and_word, memory_order_relaxed);
	ret->line = (uint32_t)line_and_word;
	ret->thread = (uint32_t)(line_and_word >> 40);
	ret->kind = (uint8_t)(line_and_word >> 32);
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&slot->number, memory_order_relaxed) == number;
}

/* Whether what is found there was written later than the record that should be. */
static bool is_later(const struct shim_ring *r, uint64_t found)
{
	return found > r->next && ((found - r->next) & r->mask) == 0;
}

/* Is one of the next ones there, so that the one between was begun, or is lost? */
static bool is_hole(const struct shim_ring *r)
{
	for (uint64_t i = 1; i <= HOLE_SLOTS; i++) {
		uint64_t number = r->next + i * SHIM_RING_SLOT_BYTES;

		if (number_at(r, number) == number)
			return true;
	}
	return false;
}

/* Nothing is there to read. Returns how many records are given up: then there may be. */
static uint64_t skip(struct shim_ring *r, uint64_t now_ns)
{
	uint64_t found = number_at(r, r->next), lost;

	if (is_later(r, found)) {
		/* Only that one is known to be there still; those before it are going. */
		lost = (found - r->next) / SHIM_RING_SLOT_BYTES;
		r->next = found;
		r->hole_since_ns = 0;
		return lost;
	}
	if (!is_hole(r)) {
		r->hole_since_ns = 0;
		return 0;
	}
	if (!r->hole_since_ns)
		r->hole_since_ns = now_ns;
	if (now_ns - r->hole_since_ns < HOLE_NS)
		return 0;
	r->hole_since_ns = 0;
	r->next += SHIM_RING_SLOT_BYTES;
	return 1;
}

size_t shim_ring_read(struct shim_ring *r, uint64_t now_ns, struct shim_record *ret, size_t max,
		      uint64_t *ret_lost)
{
	size_t n = 0;

	*ret_lost = 0;
	if (number_at(r, r->next) != r->next)
		*ret_lost = skip(r, now_ns);
	while (n < max && copy(r, r->next, &ret[n])) {
		r->next += SHIM_RING_SLOT_BYTES;
		r->hole_since_ns = 0;
		n++;
	}
	return n;
}

bool shim_ring_peek(const struct shim_ring *r, unsigned i, struct shim_record *ret)
{
	return copy(r, r->next + (uint64_t)i * SHIM_RING_SLOT_BYTES, ret);
}
