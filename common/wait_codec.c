/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layout, all numbers as put_number() writes them, in one packed piece:
 *
 *	format, time shift
 *	n_kinds, of each: file, line, reason, native, state + 2 * idle
 *	n_items, then of each its kind and flags (kind * 4 + flags),
 *	then of each the units from the end of the one before (the block's start),
 *	then of each its length in units
 */
#include "common/wait_codec.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/numbers.h"
#include "common/pack.h"
#include "common/xalloc.h"

#define WAIT_FORMAT 1
/* What a decoder accepts at most, decompressed. */
#define MAX_BYTES ((size_t)16 << 20)
#define MAX_LINE  ((uint64_t)INT32_MAX + 1)

static uint64_t units(uint64_t ns)
{
	return ns >> WAIT_TIME_SHIFT;
}

void wait_codec_encode(struct packer *packer, const struct wait_kind *kinds, size_t n_kinds,
		       const struct wait_item *items, size_t n_items, uint8_t **ret,
		       size_t *ret_len)
{
	struct bytes b = {0};
	uint64_t end = 0;

	put_number(&b, WAIT_FORMAT);
	put_number(&b, WAIT_TIME_SHIFT);
	put_number(&b, n_kinds);
	for (size_t i = 0; i < n_kinds; i++) {
		put_number(&b, kinds[i].file);
		put_number(&b, (uint32_t)kinds[i].line);
		put_number(&b, kinds[i].reason);
		put_number(&b, kinds[i].native);
		put_number(&b, kinds[i].state + 2 * kinds[i].idle);
	}
	put_number(&b, n_items);
	for (size_t i = 0; i < n_items; i++)
		put_number(&b, (uint64_t)items[i].kind * 4 + items[i].flags);
	for (size_t i = 0; i < n_items; i++) {
		put_number(&b, units(items[i].start_ns) - end);
		end = units(items[i].start_ns + items[i].length_ns);
	}
	for (size_t i = 0; i < n_items; i++)
		put_number(&b, units(items[i].start_ns + items[i].length_ns) -
				   units(items[i].start_ns));
	*ret = xmalloc(pack_bound(b.len));
	*ret_len = pack_bytes(packer, b.data, b.len, *ret);
	free(b.data);
}

static int get_kind(struct input *in, struct wait_kind *k)
{
	uint32_t line, state;

	if (get_below(in, UINT32_MAX, &k->file) < 0 || get_below(in, MAX_LINE, &line) < 0 ||
	    get_below(in, UINT32_MAX, &k->reason) < 0 ||
	    get_below(in, UINT32_MAX, &k->native) < 0 ||
	    get_below(in, (uint64_t)2 * N_WAIT_STATES, &state) < 0)
		return -EBADMSG;
	k->line = (int32_t)line;
	k->state = state & 1;
	k->idle = state >> 1;
	return 0;
}

/* A count of things that take at least so many bytes each. */
static int get_count(struct input *in, uint64_t bytes, size_t *ret)
{
	uint64_t n;

	if (get_number(in, &n) < 0 || n > (uint64_t)(in->end - in->at) / bytes)
		return -EBADMSG;
	*ret = (size_t)n;
	return 0;
}

static int get_items(struct input *in, unsigned shift, struct wait_list *ret)
{
	/* Sums of times stay far below overflow. */
	const uint64_t limit = (UINT64_C(1) << 62) >> shift;
	uint64_t value, at = 0, total = 0;

	for (size_t i = 0; i < ret->n_items; i++) {
		if (get_number(in, &value) < 0 || value / 4 >= ret->n_kinds)
			return -EBADMSG;
		ret->items[i].kind = (uint32_t)(value / 4);
		ret->items[i].flags = (uint32_t)(value % 4);
	}
	/* For now, the distance to the one before. */
	for (size_t i = 0; i < ret->n_items; i++) {
		if (get_number(in, &ret->items[i].start_ns) < 0)
			return -EBADMSG;
	}
	for (size_t i = 0; i < ret->n_items; i++) {
		uint64_t length;

		if (get_number(in, &length) < 0 || length >= limit ||
		    ret->items[i].start_ns >= limit)
			return -EBADMSG;
		total = at + ret->items[i].start_ns + length;
		if (total >= limit)
			return -EBADMSG;
		ret->items[i].start_ns = (at + ret->items[i].start_ns) << shift;
		ret->items[i].length_ns = length << shift;
		at = total;
	}
	return in->at == in->end ? 0 : -EBADMSG;
}

static int decode(struct input *in, struct wait_list *ret)
{
	uint32_t format, shift;

	if (get_below(in, WAIT_FORMAT + 1, &format) < 0 || format != WAIT_FORMAT ||
	    get_below(in, 32, &shift) < 0 || get_count(in, 5, &ret->n_kinds) < 0)
		return -EBADMSG;
	ret->kinds = xcalloc(ret->n_kinds, sizeof(*ret->kinds));
	for (size_t i = 0; i < ret->n_kinds; i++) {
		if (get_kind(in, &ret->kinds[i]) < 0)
			return -EBADMSG;
	}
	if (get_count(in, 3, &ret->n_items) < 0)
		return -EBADMSG;
	ret->items = xcalloc(ret->n_items, sizeof(*ret->items));
	return get_items(in, shift, ret);
}

int wait_codec_decode(struct unpacker *unpacker, const void *data, size_t len,
		      struct wait_list *ret)
{
	auto_free uint8_t *bytes = NULL;
	size_t n;
	int r;

	*ret = (struct wait_list){0};
	r = unpack_bytes(unpacker, data, len, MAX_BYTES, &bytes, &n);
	if (r == 0)
		r = decode(&(struct input){.at = bytes, .end = bytes + n}, ret);
	if (r < 0) {
		ret->n_kinds = ret->kinds ? ret->n_kinds : 0;
		ret->n_items = 0;
	}
	return r;
}

void wait_list_done(struct wait_list *list)
{
	free(list->kinds);
	free(list->items);
	*list = (struct wait_list){0};
}
