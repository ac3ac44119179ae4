/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/read_fully.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"

static int file_of(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	return fd;
}

START_TEST(a_file_is_read_from_its_beginning)
{
	auto_close int fd = file_of("some text");
	char buf[32];
	size_t len;

	/* Its own offset is at the end, and stays there. */
	ck_assert_int_eq(read_fully(fd, buf, sizeof(buf), &len), 0);
	ck_assert_uint_eq(len, 9);
	ck_assert_int_eq(memcmp(buf, "some text", 9), 0);
	ck_assert_int_eq((int)lseek(fd, 0, SEEK_CUR), 9);
}
END_TEST

START_TEST(no_more_is_read_than_there_is_room_for)
{
	auto_close int fd = file_of("some text");
	char buf[8] = "xxxxxxx";
	size_t len;

	ck_assert_int_eq(read_fully(fd, buf, 4, &len), 0);
	ck_assert_uint_eq(len, 4);
	ck_assert_str_eq(buf, "somexxx");
	ck_assert_int_eq(read_fully(fd, buf, 0, &len), 0);
	ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(an_empty_file_has_no_bytes)
{
	auto_close int fd = file_of("");
	size_t len = 7;
	char buf[8];

	ck_assert_int_eq(read_fully(fd, buf, sizeof(buf), &len), 0);
	ck_assert_uint_eq(len, 0);
}
END_TEST

/* The kernel gives out its texts in pieces of at most a page. */
START_TEST(pieces_are_put_together)
{
	auto_close int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	static char buf[1 << 20];
	size_t len;

	if (fd < 0)
		return; /* a kernel without it */
	ck_assert_int_eq(read_fully(fd, buf, sizeof(buf), &len), 0);
	ck_assert_uint_gt(len, 4096);
}
END_TEST

START_TEST(what_cannot_be_read_is_told)
{
	auto_close int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t len = 7;
	char buf[8];

	ck_assert_int_eq(read_fully(fd, buf, sizeof(buf), &len), -EISDIR);
	ck_assert_int_eq(read_fully(-1, buf, sizeof(buf), &len), -EBADF);
	ck_assert_uint_eq(len, 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("read_fully");
	TCase *tc = tcase_create("read_fully");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, a_file_is_read_from_its_beginning);
	tcase_add_test(tc, no_more_is_read_than_there_is_room_for);
	tcase_add_test(tc, an_empty_file_has_no_bytes);
	tcase_add_test(tc, pieces_are_put_together);
	tcase_add_test(tc, what_cannot_be_read_is_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
