/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Three things in turn, by the first byte: the rest is decoded as the waits of a block; or packed
 * before, so that the fuzzer need not find checksums; or it makes waits, and what is decoded must
 * be what was encoded.
 */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/pack.h"
#include "common/wait_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Kept over all inputs, as a reader keeps them over all blocks. */
static struct packer *packer;
static struct unpacker *unpacker;

static void decode(const uint8_t *data, size_t size)
{
	struct wait_list list;
	uint64_t end_ns = 0;

	if (wait_codec_decode(unpacker, data, size, &list) < 0 && list.n_items)
		abort();
	for (size_t i = 0; i < list.n_items; i++) {
		const struct wait_item *w = &list.items[i];

		if (w->kind >= list.n_kinds || w->flags > 3 || w->start_ns < end_ns ||
		    w->length_ns > UINT64_MAX / 2)
			abort();
		end_ns = w->start_ns + w->length_ns;
	}
	for (size_t i = 0; i < list.n_kinds; i++) {
		if (list.kinds[i].state >= N_WAIT_STATES || list.kinds[i].idle > 1)
			abort();
	}
	wait_list_done(&list);
}

static void decode_packed(const uint8_t *data, size_t size)
{
	auto_free uint8_t *packed = malloc(pack_bound(size));

	if (!packed)
		abort();
	decode(packed, pack_bytes(packer, data, size, packed));
}

#define N_KINDS 8
#define N_ITEMS 1024

/* Three bytes a wait: its kind and flags, how much later, and how long. */
static void round_trip(const uint8_t *data, size_t size)
{
	static struct wait_item items[N_ITEMS];
	struct wait_kind kinds[N_KINDS];
	auto_free uint8_t *bytes = NULL;
	struct wait_list list;
	uint64_t at_ns = 0;
	size_t n = 0, len;

	for (uint32_t i = 0; i < N_KINDS; i++)
		kinds[i] = (struct wait_kind){.file = i, .line = (int32_t)i, .state = i % 2};
	for (; 3 * n + 2 < size && n < N_ITEMS; n++) {
		const uint8_t *in = data + 3 * n;

		at_ns += (uint64_t)in[1] << (in[0] >> 5) * 3 << WAIT_TIME_SHIFT;
		items[n] = (struct wait_item){
		    .start_ns = at_ns,
		    .length_ns = (uint64_t)in[2] << WAIT_TIME_SHIFT,
		    .kind = in[0] % N_KINDS,
		    .flags = in[0] >> 3 & 3u,
		};
		at_ns += items[n].length_ns;
	}
	wait_codec_encode(packer, kinds, N_KINDS, items, n, &bytes, &len);
	if (wait_codec_decode(unpacker, bytes, len, &list) < 0 || list.n_items != n ||
	    list.n_kinds != N_KINDS || memcmp(list.kinds, kinds, sizeof(kinds)) != 0)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (list.items[i].start_ns != items[i].start_ns ||
		    list.items[i].length_ns != items[i].length_ns ||
		    list.items[i].kind != items[i].kind || list.items[i].flags != items[i].flags)
			abort();
	}
	wait_list_done(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!packer) {
		packer = packer_new();
		unpacker = unpacker_new();
	}
	if (size == 0)
		return 0;
	switch (data[0] % 3) {
	case 0:
		decode(data + 1, size - 1);
		break;
	case 1:
		decode_packed(data + 1, size - 1);
		break;
	default:
		round_trip(data + 1, size - 1);
	}
	return 0;
}
