/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes are those of the examples in the published description of the encoding. */
#include "common/protobuf.h"

#include <check.h>
#include <string.h>

static void assert_bytes(struct protobuf *m, const char *expected, size_t len)
{
	ck_assert_uint_eq(m->len, len);
	ck_assert_mem_eq(m->bytes, expected, len);
	protobuf_done(m);
}

#define ASSERT_BYTES(m, text) assert_bytes(m, text, sizeof(text) - 1)

START_TEST(numbers_are_varints)
{
	struct protobuf m = {0};

	protobuf_number(&m, 1, 150);
	ASSERT_BYTES(&m, "\x08\x96\x01");
	protobuf_number(&m, 1, (uint64_t)-2);
	ASSERT_BYTES(&m, "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	protobuf_number(&m, 16, 1);
	ASSERT_BYTES(&m, "\x80\x01\x01");
}
END_TEST

START_TEST(what_is_0_is_left_out)
{
	struct protobuf m = {0};

	protobuf_number(&m, 3, 0);
	protobuf_packed(&m, 4, NULL, 0);
	ck_assert_uint_eq(m.len, 0);
	/* But not from a list. */
	protobuf_bytes(&m, 6, "", 0);
	ASSERT_BYTES(&m, "\x32\x00");
}
END_TEST

START_TEST(texts_messages_and_lists_have_their_length_before_them)
{
	static const uint64_t values[] = {3, 270, 86942};
	struct protobuf m = {0}, inner = {0};

	protobuf_bytes(&m, 2, "testing", 7);
	ASSERT_BYTES(&m, "\x12\x07testing");
	protobuf_number(&inner, 1, 150);
	protobuf_message(&m, 3, &inner);
	ASSERT_BYTES(&m, "\x1a\x03\x08\x96\x01");
	protobuf_done(&inner);
	protobuf_packed(&m, 6, values, 3);
	ASSERT_BYTES(&m, "\x32\x06\x03\x8e\x02\x9e\xa7\x05");
}
END_TEST

START_TEST(a_message_can_be_used_again)
{
	struct protobuf m = {0};

	for (int i = 0; i < 1000; i++)
		protobuf_bytes(&m, 2, "testing", 7);
	ck_assert_uint_eq(m.len, 9000);
	protobuf_clear(&m);
	protobuf_number(&m, 1, 1);
	ASSERT_BYTES(&m, "\x08\x01");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("protobuf");
	TCase *tc = tcase_create("protobuf");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, numbers_are_varints);
	tcase_add_test(tc, what_is_0_is_left_out);
	tcase_add_test(tc, texts_messages_and_lists_have_their_length_before_them);
	tcase_add_test(tc, a_message_can_be_used_again);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
