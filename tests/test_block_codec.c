/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/block_codec.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/pack.h"
#include "common/xalloc.h"

DEFINE_CLEANUP(struct block_decoder *, block_decoder_free)
#define auto_decoder auto_release(block_decoder_free)

static struct packer *packer;
static struct unpacker *unpacker;
static struct block_encoder *encoder;

static void setup(void)
{
	packer = packer_new();
	unpacker = unpacker_new();
	encoder = block_encoder_new();
}

static void teardown(void)
{
	packer_free(packer);
	unpacker_free(unpacker);
	block_encoder_free(encoder);
}

static uint32_t line(uint32_t code, int32_t number)
{
	return block_encoder_line(encoder, (struct block_line){.code = code, .line = number});
}

/* A random walk over stacks, kept beside the encoder to compare with. */
struct walk {
	uint32_t stack[4096];
	uint32_t depth;
	uint64_t units;
	unsigned seed;
};

static uint32_t random_below(struct walk *w, uint32_t limit)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)w->seed * limit >> 32);
}

static void step(struct walk *w, uint32_t n_lines, uint32_t *ret_pop, uint32_t *ret_pushed)
{
	uint64_t largest = UINT64_C(1) << random_below(w, 40);

	*ret_pop = random_below(w, (w->depth < 5 ? w->depth : 5) + 1);
	*ret_pushed = random_below(w, 4);
	/* Now and then a deep one. */
	if (random_below(w, 100) == 0)
		*ret_pushed = random_below(w, 500);
	if (w->depth - *ret_pop + *ret_pushed > 4000)
		*ret_pushed = 0;
	w->units += random_below(w, UINT32_MAX) % largest;
	w->depth -= *ret_pop;
	for (uint32_t i = 0; i < *ret_pushed; i++)
		w->stack[w->depth++] = line(random_below(w, n_lines / 4 + 1) + 1,
					    (int32_t)random_below(w, 4) * 500000000);
}

static uint32_t top(const struct walk *w)
{
	return w->depth ? w->stack[w->depth - 1] : BLOCK_NO_LINE;
}

static void encode_walk(struct walk *w, uint32_t n_lines, uint32_t n_events, uint8_t **ret,
			size_t *ret_len)
{
	uint32_t pop, pushed;

	for (int i = 0; i < 3; i++)
		w->stack[w->depth++] = line(1, i);
	block_encoder_start(encoder, w->stack, w->depth);
	for (uint32_t i = 0; i < n_events; i++) {
		uint32_t before = top(w);

		step(w, n_lines, &pop, &pushed);
		block_encoder_append(encoder, w->units, before, pop, w->stack + w->depth - pushed,
				     pushed);
	}
	ck_assert_uint_eq(block_encoder_n_events(encoder), n_events);
	block_encoder_encode(encoder, packer, ret, ret_len);
}

START_TEST(a_block_without_events_has_its_stack)
{
	auto_decoder struct block_decoder *d = NULL;
	auto_free uint8_t *data = NULL;
	struct block_event event;
	size_t len;
	uint32_t n;

	block_encoder_start(encoder, (const uint32_t[]){line(7, 3), line(8, 0), line(7, 3)}, 3);
	block_encoder_encode(encoder, packer, &data, &len);
	ck_assert_int_eq(block_decoder_new(unpacker, data, len, &d), 0);
	ck_assert_uint_eq(block_decoder_n_events(d), 0);
	ck_assert_uint_eq(block_decoder_stack(d, &n)[1], 1);
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(block_decoder_lines(d, &n)[0].code, 7);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(block_decoder_next(d, &event), 0);
}
END_TEST

START_TEST(every_event_comes_back)
{
	static const uint32_t n_lines[] = {1, 8, 40, 3000};
	auto_decoder struct block_decoder *d = NULL;
	auto_free uint8_t *data = NULL;
	struct walk w = {.seed = (unsigned)_i}, again = {.seed = (unsigned)_i};
	struct block_event event;
	const uint32_t *stack;
	uint32_t depth, pop, pushed, unused;
	size_t len;

	encode_walk(&w, n_lines[_i], 20000, &data, &len);
	ck_assert_int_eq(block_decoder_new(unpacker, data, len, &d), 0);
	ck_assert_uint_eq(block_decoder_n_events(d), 20000);
	/* The same walk with the same indexes: the encoder knows all lines already. */
	block_decoder_stack(d, &depth);
	ck_assert_uint_eq(depth, 3);
	for (int i = 0; i < 3; i++)
		again.stack[again.depth++] = line(1, i);
	for (uint32_t i = 0; i < 20000; i++) {
		step(&again, n_lines[_i], &pop, &pushed);
		ck_assert_int_eq(block_decoder_next(d, &event), 1);
		ck_assert_uint_eq(event.offset_ns, again.units << BLOCK_TIME_SHIFT);
		ck_assert_uint_eq(event.pop, pop);
		ck_assert_uint_eq(event.n_pushed, pushed);
		stack = block_decoder_stack(d, &depth);
		ck_assert_uint_eq(depth, again.depth);
		ck_assert(depth == 0 || !memcmp(stack, again.stack, depth * sizeof(*stack)));
	}
	ck_assert_int_eq(block_decoder_next(d, &event), 0);
	ck_assert_int_ge(block_decoder_lines(d, &unused)[0].line, 0);
}
END_TEST

/* Decode all there is into a hash of it; must not do harm whatever the bytes are. */
static int decode_hash(const uint8_t *data, size_t len, uint64_t *ret_hash)
{
	auto_decoder struct block_decoder *d = NULL;
	struct block_event event;
	int r = block_decoder_new(unpacker, data, len, &d);

	*ret_hash = 0;
	while (r == 0 && (r = block_decoder_next(d, &event)) == 1) {
		*ret_hash = hash_mix(hash_mix(*ret_hash, event.offset_ns), event.pop);
		for (uint32_t i = 0; i < event.n_pushed; i++)
			*ret_hash = hash_mix(*ret_hash, event.pushed[i]);
		r = 0;
	}
	return r;
}

static int decode(const uint8_t *data, size_t len)
{
	uint64_t hash;

	return decode_hash(data, len, &hash);
}

/* From any event on, without moving the other one. */
START_TEST(a_copy_goes_on_by_itself)
{
	auto_decoder struct block_decoder *d = NULL;
	auto_free uint8_t *data = NULL;
	struct walk w = {.seed = 5};
	struct block_event event, copied;
	size_t len;

	encode_walk(&w, 40, 2000, &data, &len);
	ck_assert_int_eq(block_decoder_new(unpacker, data, len, &d), 0);
	for (uint32_t i = 0; i <= 2000; i += 500) {
		auto_decoder struct block_decoder *copy = block_decoder_copy(d);
		uint32_t n_copied = 0, depth;
		int r;

		while ((r = block_decoder_next(copy, &copied)) == 1)
			n_copied++;
		ck_assert_int_eq(r, 0);
		ck_assert_uint_eq(n_copied, 2000 - i);
		block_decoder_stack(copy, &depth);
		ck_assert_uint_eq(depth, w.depth);
		for (int k = 0; k < 500 && i < 2000; k++)
			ck_assert_int_eq(block_decoder_next(d, &event), 1);
	}
	ck_assert_uint_eq(event.offset_ns, copied.offset_ns);
}
END_TEST

START_TEST(a_block_that_is_cut_off_is_refused)
{
	auto_free uint8_t *data = NULL;
	struct walk w = {.seed = 5};
	size_t len;

	encode_walk(&w, 20, 200, &data, &len);
	ck_assert_int_eq(decode(data, len), 0);
	for (size_t cut = 0; cut < len; cut++) {
		/* Of its own, so that reading behind the end is noticed by a sanitizer. */
		auto_free uint8_t *copy = xmalloc(cut);

		memcpy(copy, data, cut);
		ck_assert_int_eq(decode(copy, cut), -EBADMSG);
	}
}
END_TEST

START_TEST(a_changed_byte_in_a_stream_is_noticed)
{
	auto_free uint8_t *data = NULL;
	struct walk w = {.seed = 6};
	uint64_t hash, changed;
	size_t len;

	encode_walk(&w, 20, 200, &data, &len);
	ck_assert_int_eq(decode_hash(data, len, &hash), 0);
	/* The header has no checksum: there a change must only do no harm. */
	for (size_t i = 0; i < 8; i++) {
		data[i] ^= 0x55;
		decode(data, len);
		data[i] ^= 0x55;
	}
	for (size_t i = 12; i < len; i++) {
		data[i] ^= 0x01;
		/* A few bits of a compressed stream make no difference. */
		if (decode_hash(data, len, &changed) == 0)
			ck_assert_uint_eq(changed, hash);
		data[i] ^= 0x01;
	}
}
END_TEST

START_TEST(a_block_gets_full)
{
	uint32_t one = line(1, 1), other = line(1, 2);

	block_encoder_start(encoder, &one, 1);
	for (uint32_t i = 0; i < BLOCK_MAX_EVENTS; i++) {
		ck_assert(!block_encoder_is_full(encoder));
		block_encoder_append(encoder, i, i % 2 ? other : one, 1, i % 2 ? &one : &other, 1);
	}
	ck_assert(block_encoder_is_full(encoder));
}
END_TEST

START_TEST(deep_stacks_that_differ_fill_a_block_early)
{
	uint32_t deep[5000], none = BLOCK_NO_LINE;
	uint32_t n = 0;

	for (uint32_t i = 0; i < 5000; i++)
		deep[i] = line(1, (int32_t)i);
	block_encoder_start(encoder, NULL, 0);
	for (; !block_encoder_is_full(encoder); n++) {
		deep[0] = line(2, (int32_t)n);
		block_encoder_append(encoder, n, none, 0, deep, 5000);
		block_encoder_append(encoder, n, deep[4999], 5000, NULL, 0);
	}
	ck_assert_uint_lt(n, 100);
}
END_TEST

START_TEST(tight_calls_take_less_than_one_and_a_half_bytes_per_event)
{
	auto_free uint8_t *data = NULL;
	struct walk w = {.seed = 1};
	uint32_t states[15], last = 0;
	size_t len;

	for (uint32_t i = 0; i < 15; i++)
		states[i] = line(i % 4 + 1, (int32_t)i);
	block_encoder_start(encoder, states, 1);
	for (uint32_t i = 0; i < BLOCK_MAX_EVENTS; i++) {
		uint32_t next = (last + 1 + random_below(&w, 14)) % 15;

		w.units += (2000 + random_below(&w, 3000)) >> BLOCK_TIME_SHIFT;
		block_encoder_append(encoder, w.units, states[last], 1, &states[next], 1);
		last = next;
	}
	block_encoder_encode(encoder, packer, &data, &len);
	ck_assert_uint_lt(len, BLOCK_MAX_EVENTS * 3 / 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block_codec");
	TCase *tc = tcase_create("block_codec");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_block_without_events_has_its_stack);
	tcase_add_loop_test(tc, every_event_comes_back, 0, 4);
	tcase_add_test(tc, a_copy_goes_on_by_itself);
	tcase_add_test(tc, a_block_that_is_cut_off_is_refused);
	tcase_add_test(tc, a_changed_byte_in_a_stream_is_noticed);
	tcase_add_test(tc, a_block_gets_full);
	tcase_add_test(tc, deep_stacks_that_differ_fill_a_block_early);
	tcase_add_test(tc, tight_calls_take_less_than_one_and_a_half_bytes_per_event);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
