/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/html_pack.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/cleanup.h"

#define MANY 300000

DEFINE_CLEANUP(struct html_pack *, html_pack_free)

/* Unpacked, the caller frees. */
static uint8_t *unpack(const uint8_t *data, size_t len, size_t room, size_t *ret_len)
{
	uint8_t *out = malloc(room);
	z_stream z = {.avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)room};

	ck_assert_ptr_nonnull(out);
	memcpy(&z.next_in, &data, sizeof(data));
	/* With a gzip header, as browsers want it. */
	ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
	ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
	*ret_len = room - z.avail_out;
	inflateEnd(&z);
	return out;
}

START_TEST(numbers_have_seven_bits_a_byte)
{
	static const uint8_t expected[] = {
	    0, 1, 127, 0x80, 1,	   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    1, 0, 1,   2,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
	auto_release(html_pack_free) struct html_pack *p = html_pack_new();
	auto_free uint8_t *out = NULL;
	const uint8_t *data;
	size_t len, n;

	html_pack_number(p, 0);
	html_pack_number(p, 1);
	html_pack_number(p, 127);
	html_pack_number(p, 128);
	html_pack_number(p, UINT64_MAX);
	html_pack_signed(p, 0);
	html_pack_signed(p, -1);
	html_pack_signed(p, 1);
	html_pack_signed(p, INT64_MIN);
	data = html_pack_finish(p, &len);
	out = unpack(data, len, 1000, &n);
	ck_assert_uint_eq(n, sizeof(expected));
	ck_assert_mem_eq(out, expected, n);
}
END_TEST

START_TEST(more_than_its_buffers_comes_back)
{
	auto_release(html_pack_free) struct html_pack *p = html_pack_new();
	auto_free uint8_t *in = malloc(MANY);
	auto_free uint8_t *out = NULL;
	const uint8_t *data;
	uint32_t random = 1;
	size_t len, n;

	/* Nothing that can be packed well: the output fills its buffers, too. */
	for (size_t i = 0; i < MANY; i++) {
		random = random * 1664525 + 1013904223;
		in[i] = (uint8_t)(random >> 24);
	}
	html_pack_bytes(p, in, MANY);
	data = html_pack_finish(p, &len);
	out = unpack(data, len, MANY + 1, &n);
	ck_assert_uint_eq(n, MANY);
	ck_assert_mem_eq(out, in, n);
}
END_TEST

START_TEST(nothing_packed_is_still_gzip)
{
	auto_release(html_pack_free) struct html_pack *p = html_pack_new();
	size_t len, n;
	const uint8_t *data = html_pack_finish(p, &len);

	free(unpack(data, len, 1, &n));
	ck_assert_uint_eq(n, 0);
}
END_TEST

static const struct {
	const char *bytes, *text;
} base64_cases[] = {{"", ""},
		    {"f", "Zg=="},
		    {"fo", "Zm8="},
		    {"foo", "Zm9v"},
		    {"foob", "Zm9vYg=="},
		    {"fooba", "Zm9vYmE="},
		    {"foobar", "Zm9vYmFy"},
		    {"\xff\xfe\xfd\xfb\xef\xbe", "//79++++"}};

START_TEST(base64_is_that_of_the_rfc)
{
	auto_free char *text = html_base64(base64_cases[_i].bytes, strlen(base64_cases[_i].bytes));

	ck_assert_str_eq(text, base64_cases[_i].text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("html_pack");
	TCase *tc = tcase_create("pack");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, numbers_have_seven_bits_a_byte);
	tcase_add_test(tc, more_than_its_buffers_comes_back);
	tcase_add_test(tc, nothing_packed_is_still_gzip);
	tcase_add_loop_test(tc, base64_is_that_of_the_rfc, 0,
			    sizeof(base64_cases) / sizeof(base64_cases[0]));
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
