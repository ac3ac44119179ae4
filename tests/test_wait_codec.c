/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/wait_codec.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/numbers.h"
#include "common/pack.h"
#include "common/xalloc.h"

#define UNIT_NS (UINT64_C(1) << WAIT_TIME_SHIFT)

static struct packer *packer;
static struct unpacker *unpacker;

static void setup(void)
{
	packer = packer_new();
	unpacker = unpacker_new();
}

static void teardown(void)
{
	packer_free(packer);
	unpacker_free(unpacker);
}

static const struct wait_kind kinds[] = {
    {.file = 1, .line = 12, .reason = 3, .native = 4},
    {.file = 1, .line = 0, .state = WAIT_FOR_CPU},
    {.file = UINT32_MAX - 1, .line = INT32_MAX, .reason = 7, .idle = 1},
};
#define N_KINDS 3

static void assert_round_trip(const struct wait_item *items, size_t n)
{
	auto_free uint8_t *bytes = NULL;
	struct wait_list list;
	size_t len;

	wait_codec_encode(packer, kinds, N_KINDS, items, n, &bytes, &len);
	ck_assert_int_eq(wait_codec_decode(unpacker, bytes, len, &list), 0);
	ck_assert_uint_eq(list.n_kinds, N_KINDS);
	ck_assert_int_eq(memcmp(list.kinds, kinds, sizeof(kinds)), 0);
	ck_assert_uint_eq(list.n_items, n);
	for (size_t i = 0; i < n; i++) {
		uint64_t end_ns = items[i].start_ns + items[i].length_ns;

		/* Both ends are rounded down, each for itself. */
		ck_assert_uint_eq(list.items[i].start_ns, items[i].start_ns / UNIT_NS * UNIT_NS);
		ck_assert_uint_eq(list.items[i].start_ns + list.items[i].length_ns,
				  end_ns / UNIT_NS * UNIT_NS);
		ck_assert_uint_eq(list.items[i].kind, items[i].kind);
		ck_assert_uint_eq(list.items[i].flags, items[i].flags);
	}
	wait_list_done(&list);
	ck_assert_ptr_null(list.items);
}

START_TEST(what_goes_in_comes_out)
{
	static const struct wait_item items[] = {
	    {.start_ns = 0, .length_ns = 1000001, .kind = 2, .flags = WAIT_BEGAN_BEFORE},
	    {.start_ns = 1000001, .length_ns = 5, .kind = 0},
	    {.start_ns = 1000007, .length_ns = 0, .kind = 1},
	    {.start_ns = UINT64_C(1) << 50, .length_ns = UINT64_C(1) << 55, .kind = 1},
	    {.start_ns = UINT64_C(1) << 56, .length_ns = 3, .kind = 0, .flags = WAIT_GOES_ON},
	};

	assert_round_trip(items, sizeof(items) / sizeof(items[0]));
}
END_TEST

START_TEST(no_waits_are_some_too)
{
	assert_round_trip(NULL, 0);
}
END_TEST

/* Errors of rounding do not add up. */
START_TEST(many_waits_stay_where_they_are)
{
	enum { N = 20000 };
	auto_free struct wait_item *items = xcalloc(N, sizeof(*items));
	uint64_t at_ns = 0;
	unsigned seed = 7;

	for (size_t i = 0; i < N; i++) {
		seed = seed * 1664525u + 1013904223u;
		at_ns += seed % 1000;
		items[i] = (struct wait_item){
		    .start_ns = at_ns,
		    .length_ns = (seed >> 8) % 100000,
		    .kind = (seed >> 4) % N_KINDS,
		    .flags = (seed >> 6) % 4,
		};
		at_ns += items[i].length_ns;
	}
	assert_round_trip(items, N);
}
END_TEST

/* Packed numbers; returns what the decoder says. */
static int decode_numbers(const uint64_t *numbers, size_t n)
{
	struct bytes b = {0};
	auto_free uint8_t *packed = NULL;
	struct wait_list list;
	size_t len;
	int r;

	for (size_t i = 0; i < n; i++)
		put_number(&b, numbers[i]);
	packed = xmalloc(pack_bound(b.len));
	len = pack_bytes(packer, b.data, b.len, packed);
	free(b.data);
	r = wait_codec_decode(unpacker, packed, len, &list);
	if (r < 0)
		ck_assert_uint_eq(list.n_items, 0);
	wait_list_done(&list);
	return r;
}

#define DECODE(...)                                     \
	decode_numbers((const uint64_t[]){__VA_ARGS__}, \
		       sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

START_TEST(what_makes_no_sense_is_damage)
{
	const uint64_t huge = UINT64_C(1) << 61;

	/* format, shift, 1 kind, 1 item: kind and flags, start, length */
	ck_assert_int_eq(DECODE(1, 10, 1, 1, 2, 3, 4, 0, 1, 0, 5, 6), 0);
	ck_assert_int_eq(DECODE(1, 10, 0, 0), 0);
	/* Formats and shifts that are not known. */
	ck_assert_int_eq(DECODE(0, 10, 0, 0), -EBADMSG);
	ck_assert_int_eq(DECODE(2, 10, 0, 0), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 32, 0, 0), -EBADMSG);
	/* More of them than there is room for. */
	ck_assert_int_eq(DECODE(1, 10, 1000, 1, 2, 3, 4, 0, 0), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 10, 0, UINT64_MAX), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 10, UINT64_MAX, 0), -EBADMSG);
	/* A kind that is not there, in items and beyond states. */
	ck_assert_int_eq(DECODE(1, 10, 1, 1, 2, 3, 4, 0, 1, 4, 5, 6), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 10, 0, 1, 0, 5, 6), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 10, 1, 1, 2, 3, 4, 4, 1, 0, 5, 6), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 10, 1, 1, UINT32_MAX, 3, 4, 0, 1, 0, 5, 6), -EBADMSG);
	/* Times that overflow, alone or together. */
	ck_assert_int_eq(DECODE(1, 0, 1, 1, 2, 3, 4, 0, 1, 0, huge * 2, 0), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 0, 1, 1, 2, 3, 4, 0, 1, 0, huge, huge), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 10, 1, 1, 2, 3, 4, 0, 1, 0, 0, huge), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 0, 1, 1, 2, 3, 4, 0, 2, 0, 0, huge - 1, huge - 1, 1, 1),
			 -EBADMSG);
	/* Too little, too much. */
	ck_assert_int_eq(DECODE(1, 10, 1, 1, 2, 3, 4, 0, 1, 0, 5), -EBADMSG);
	ck_assert_int_eq(DECODE(1, 10, 1, 1, 2, 3, 4, 0, 1, 0, 5, 6, 7), -EBADMSG);
	ck_assert_int_eq(DECODE(1), -EBADMSG);
}
END_TEST

/* Any single byte changed, or the end missing: told, or something that can be read. */
START_TEST(damaged_bytes_do_no_harm)
{
	static const struct wait_item items[] = {
	    {.start_ns = 5000000, .length_ns = 2000000, .kind = 0},
	    {.start_ns = 9000000, .length_ns = 3000000, .kind = 1, .flags = WAIT_GOES_ON},
	};
	auto_free uint8_t *bytes = NULL;
	struct wait_list list;
	size_t len, n_told = 0;

	wait_codec_encode(packer, kinds, N_KINDS, items, 2, &bytes, &len);
	for (size_t i = 0; i < len; i++) {
		bytes[i] ^= 0x55;
		n_told += wait_codec_decode(unpacker, bytes, len, &list) < 0;
		wait_list_done(&list);
		bytes[i] ^= 0x55;
		ck_assert_int_eq(wait_codec_decode(unpacker, bytes, i, &list), -EBADMSG);
		wait_list_done(&list);
	}
	/* There is a checksum. */
	ck_assert_uint_eq(n_told, len);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_codec");
	TCase *tc = tcase_create("wait_codec");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_goes_in_comes_out);
	tcase_add_test(tc, no_waits_are_some_too);
	tcase_add_test(tc, many_waits_stay_where_they_are);
	tcase_add_test(tc, what_makes_no_sense_is_damage);
	tcase_add_test(tc, damaged_bytes_do_no_harm);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
