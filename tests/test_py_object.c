/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/python/py_object.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/py_image.h"

#define BEHIND_MINOR (PY_MINOR_MAX + 1)

static struct py_image im;

static int read_str(remote_addr at, char *buf, size_t size, bool *truncated)
{
	return py_object_read_str(&im.mem, &im.l, at, buf, size, truncated);
}

START_TEST(strings_of_all_widths_become_utf8)
{
	static const uint8_t latin1[] = {'n', 0xe9, 'e'};
	static const uint16_t ucs2[] = {'x', 0x4e2d, 0xd800, 0x7ff};
	static const uint32_t ucs4[] = {0x1f40d, 'z', 0x10ffff};
	char buf[64];
	bool truncated = true;

	py_image_init(&im, (unsigned)_i);
	ck_assert_int_eq(read_str(py_image_ascii(&im, "spam"), buf, sizeof(buf), &truncated), 4);
	ck_assert_str_eq(buf, "spam");
	ck_assert(!truncated);
	ck_assert_int_eq(read_str(py_image_ascii(&im, ""), buf, sizeof(buf), NULL), 0);
	ck_assert_str_eq(buf, "");
	ck_assert_int_eq(read_str(py_image_wide(&im, latin1, 3, 1), buf, sizeof(buf), NULL), 4);
	ck_assert_str_eq(buf, "n\xc3\xa9"
			      "e");
	/* A surrogate alone is no character. */
	ck_assert_int_eq(read_str(py_image_wide(&im, ucs2, 4, 2), buf, sizeof(buf), NULL), 9);
	ck_assert_str_eq(buf, "x\xe4\xb8\xad\xef\xbf\xbd\xdf\xbf");
	ck_assert_int_eq(read_str(py_image_wide(&im, ucs4, 3, 4), buf, sizeof(buf), NULL), 9);
	ck_assert_str_eq(buf, "\xf0\x9f\x90\x8dz\xf4\x8f\xbf\xbf");
	py_image_done(&im);
}
END_TEST

START_TEST(a_string_of_another_place_is_followed)
{
	remote_addr at, data;
	char buf[16];

	py_image_init(&im, (unsigned)_i);
	at = py_image_ascii(&im, "abc");
	data = py_image_bytes(&im, "xyz", 3) + im.l.bytes.data;
	/* Neither compact nor ASCII: a pointer to the characters. */
	*py_image_at(&im, at + im.l.unicode.state, 1) = 1 << 2;
	py_image_alloc(&im, 64);
	py_image_put(&im, at + im.l.unicode.compact_data, data);
	ck_assert_int_eq(read_str(at, buf, sizeof(buf), NULL), 3);
	ck_assert_str_eq(buf, "xyz");
	py_image_done(&im);
}
END_TEST

START_TEST(long_strings_are_cut_between_characters)
{
	static const uint16_t wide[] = {'a', 0x4e2d, 'b'};
	bool truncated = false;
	remote_addr at;
	char buf[16];

	py_image_init(&im, (unsigned)_i);
	at = py_image_ascii(&im, "0123456789");
	ck_assert_int_eq(read_str(at, buf, 11, &truncated), 10);
	ck_assert(!truncated);
	ck_assert_int_eq(read_str(at, buf, 10, &truncated), 9);
	ck_assert_str_eq(buf, "012345678");
	ck_assert(truncated);
	at = py_image_wide(&im, wide, 3, 2);
	ck_assert_int_eq(read_str(at, buf, 4, &truncated), 1);
	ck_assert_str_eq(buf, "a");
	ck_assert(truncated);
	ck_assert_int_eq(read_str(at, buf, 6, &truncated), 5);
	ck_assert(!truncated);
	py_image_done(&im);
}
END_TEST

START_TEST(what_is_no_string_is_refused)
{
	static const uint32_t beyond[] = {0x110000, 0xffffffff};
	remote_addr at;
	char buf[16];

	py_image_init(&im, (unsigned)_i);
	at = py_image_ascii(&im, "abc");
	*py_image_at(&im, at + im.l.unicode.state, 1) = 3 << 2 | 1 << 5; /* characters of 3 bytes */
	ck_assert_int_eq(read_str(at, buf, sizeof(buf), NULL), -EBADMSG);
	at = py_image_ascii(&im, "abc");
	py_image_put(&im, at + im.l.unicode.length, UINT64_MAX);
	ck_assert_int_eq(read_str(at, buf, sizeof(buf), NULL), -EBADMSG);
	ck_assert_int_eq(read_str(0x1000, buf, sizeof(buf), NULL), -EFAULT);
	/* Numbers that are no characters. */
	at = py_image_wide(&im, beyond, 2, 4);
	ck_assert_int_eq(read_str(at, buf, sizeof(buf), NULL), 6);
	ck_assert_str_eq(buf, "\xef\xbf\xbd\xef\xbf\xbd");
	im.gone = true;
	ck_assert_int_eq(read_str(at, buf, sizeof(buf), NULL), -ESRCH);
	py_image_done(&im);
}
END_TEST

START_TEST(bytes_are_read_up_to_a_limit)
{
	uint8_t *bytes = NULL;
	size_t len = 0;
	remote_addr at;

	py_image_init(&im, (unsigned)_i);
	at = py_image_bytes(&im, "\0\1\2", 3);
	ck_assert_int_eq(py_object_read_bytes(&im.mem, &im.l, at, 3, &bytes, &len), 0);
	ck_assert_uint_eq(len, 3);
	ck_assert_mem_eq(bytes, "\0\1\2", 3);
	free(bytes);
	ck_assert_int_eq(py_object_read_bytes(&im.mem, &im.l, at, 2, &bytes, &len), -EBADMSG);
	ck_assert_uint_eq(len, 3);
	at = py_image_bytes(&im, "", 0);
	ck_assert_int_eq(py_object_read_bytes(&im.mem, &im.l, at, 2, &bytes, &len), 0);
	ck_assert_uint_eq(len, 0);
	free(bytes);
	py_image_put(&im, at + im.l.bytes.size, UINT64_MAX); /* a negative size */
	ck_assert_int_eq(py_object_read_bytes(&im.mem, &im.l, at, 64, &bytes, &len), -EBADMSG);
	py_image_done(&im);
}
END_TEST

/* However much is read ahead: short and long ones, and such that end where the memory does. */
START_TEST(objects_of_any_length_at_any_place_are_read)
{
	const remote_addr heap_end = IMAGE_HEAP + IMAGE_HEAP_BYTES;
	char text[1001] = "", buf[1001];
	uint8_t *bytes = NULL;
	size_t len = 0;

	py_image_init(&im, (unsigned)_i);
	for (uint32_t n = 0; n < sizeof(text) - 1; n++) {
		remote_addr end = heap_end - (remote_addr)1000 * (n / 2 % 3), at;

		im.heap_end = end - im.l.unicode.compact_data - n - 16;
		at = py_image_ascii(&im, text);
		ck_assert_int_eq(read_str(at, buf, sizeof(buf), NULL), (int)n);
		ck_assert_str_eq(buf, text);
		im.heap_end = end - im.l.bytes.data - n - 16;
		at = py_image_bytes(&im, text, n);
		ck_assert_int_eq(py_object_read_bytes(&im.mem, &im.l, at, n, &bytes, &len), 0);
		ck_assert_uint_eq(len, n);
		ck_assert_mem_eq(bytes, text, n);
		free(bytes);
		text[n] = (char)('a' + n % 26);
	}
	py_image_done(&im);
}
END_TEST

START_TEST(what_is_short_takes_one_read)
{
	uint8_t *bytes = NULL;
	remote_addr str, data;
	uint64_t before;
	char buf[16];
	size_t len;

	py_image_init(&im, (unsigned)_i);
	str = py_image_ascii(&im, "abc");
	data = py_image_bytes(&im, "xyz", 3);
	before = im.mem.n_reads;
	ck_assert_int_eq(read_str(str, buf, sizeof(buf), NULL), 3);
	ck_assert_uint_eq(im.mem.n_reads - before, 1);
	ck_assert_int_eq(py_object_read_bytes(&im.mem, &im.l, data, 3, &bytes, &len), 0);
	ck_assert_uint_eq(im.mem.n_reads - before, 2);
	free(bytes);
	py_image_done(&im);
}
END_TEST

START_TEST(ints_have_one_or_two_digits)
{
	remote_addr at;
	uint64_t value;

	py_image_init(&im, 8);
	at = py_image_alloc(&im, 32);
	ck_assert_int_eq(py_object_read_int(&im.mem, at, &value), 0);
	ck_assert_uint_eq(value, 0);
	py_image_put(&im, at + PY_OB_SIZE, 2);
	py_image_put32(&im, at + 24, 5);
	py_image_put32(&im, at + 28, 3);
	ck_assert_int_eq(py_object_read_int(&im.mem, at, &value), 0);
	ck_assert_uint_eq(value, UINT64_C(3) << 30 | 5);
	py_image_put(&im, at + PY_OB_SIZE, (uint64_t)-1); /* a negative number */
	ck_assert_int_eq(py_object_read_int(&im.mem, at, &value), -EBADMSG);
	py_image_done(&im);
}
END_TEST

/* To 3.10: the entries follow the indexes, whose width depends on how many there are. */
static remote_addr make_dict(uint64_t size, uint32_t index_bytes, remote_addr *ret_entries)
{
	remote_addr dict = py_image_alloc(&im, 48);
	remote_addr keys = py_image_alloc(&im, 40 + (uint32_t)size * index_bytes + 5 * 24);

	py_image_put(&im, dict + 32, keys);
	py_image_put(&im, keys + 8, size);
	py_image_put(&im, keys + 32, 5);
	*ret_entries = keys + 40 + size * index_bytes;
	return dict;
}

START_TEST(a_dict_is_searched)
{
	uint64_t size = _i == 1 ? 8 : 512;
	remote_addr dict, entries, value;

	py_image_init(&im, 9);
	dict = make_dict(size, (uint32_t)_i, &entries);
	/* Deleted entries, and keys that are no strings, are passed over. */
	py_image_put(&im, entries + 24 + 8, py_image_ascii(&im, "gone"));
	py_image_put(&im, entries + 48 + 8, py_image_alloc(&im, 80));
	py_image_put(&im, entries + 48 + 16, 1);
	py_image_put(&im, entries + 96 + 8, py_image_ascii(&im, "key"));
	py_image_put(&im, entries + 96 + 16, 4711);
	ck_assert_int_eq(py_object_dict_get(&im.mem, &im.l, dict, "key", &value), 0);
	ck_assert_uint_eq(value, 4711);
	ck_assert_int_eq(py_object_dict_get(&im.mem, &im.l, dict, "gone", &value), -ENOENT);
	ck_assert_int_eq(py_object_dict_get(&im.mem, &im.l, dict, "other", &value), -ENOENT);
	py_image_done(&im);
}
END_TEST

START_TEST(a_dict_too_large_to_be_one_is_refused)
{
	remote_addr dict, entries, value;

	py_image_init(&im, 9);
	dict = make_dict(8, 1, &entries);
	py_image_put(&im, py_image_get(&im, dict + 32) + 32, UINT64_MAX);
	ck_assert_int_eq(py_object_dict_get(&im.mem, &im.l, dict, "key", &value), -EBADMSG);
	py_image_done(&im);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("py_object");
	TCase *tc = tcase_create("py_object");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, strings_of_all_widths_become_utf8, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, a_string_of_another_place_is_followed, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, long_strings_are_cut_between_characters, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, what_is_no_string_is_refused, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, bytes_are_read_up_to_a_limit, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_loop_test(tc, objects_of_any_length_at_any_place_are_read, PY_MINOR_MIN,
			    BEHIND_MINOR);
	tcase_add_loop_test(tc, what_is_short_takes_one_read, PY_MINOR_MIN, BEHIND_MINOR);
	tcase_add_test(tc, ints_have_one_or_two_digits);
	tcase_add_loop_test(tc, a_dict_is_searched, 1, 3);
	tcase_add_test(tc, a_dict_too_large_to_be_one_is_refused);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
