/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/target/mappings.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int parse(const char *line, struct mapping *ret)
{
	return mappings_parse_line(line, strlen(line), ret);
}

static int text_file(const char *text, size_t len)
{
	int fd = memfd_create("maps", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	return fd;
}

START_TEST(a_mapped_file_is_parsed)
{
	struct mapping m;

	ck_assert_int_eq(
	    parse("7f1c2a000000-7f1c2a1c5000 r-xp 00026000 fe:01 1184       /usr/lib/a b.so", &m),
	    0);
	ck_assert_uint_eq(m.start, 0x7f1c2a000000);
	ck_assert_uint_eq(m.end, 0x7f1c2a1c5000);
	ck_assert_uint_eq(m.offset, 0x26000);
	ck_assert_uint_eq(m.inode, 1184);
	ck_assert_uint_eq(m.dev_major, 0xfe);
	ck_assert_uint_eq(m.dev_minor, 1);
	ck_assert(m.readable && !m.writable && m.executable && !m.deleted);
	ck_assert_str_eq(m.path, "/usr/lib/a b.so");
	free(m.path);
}
END_TEST

START_TEST(the_vdso_is_found)
{
	static const char text[] = "1000-2000 r-xp 0 08:01 7 /bin/x\n"
				   "7ffc000-7ffe000 r-xp 00000000 00:00 0       [vdso]\n"
				   "8000000-8001000 r-xp 00000000 00:00 0       [vdso]x\n";
	struct mappings maps;
	int fd = text_file(text, strlen(text));

	ck_assert_int_eq(mappings_read(fd, &maps), 0);
	ck_assert_uint_eq(maps.n, 1);
	ck_assert_uint_eq(maps.vdso_start, 0x7ffc000);
	ck_assert_uint_eq(maps.vdso_end, 0x7ffe000);
	mappings_done(&maps);
	close(fd);
}
END_TEST

START_TEST(a_deleted_file_is_told_apart)
{
	struct mapping m;

	ck_assert_int_eq(parse("1000-2000 rw-p 0 08:01 7 /tmp/x (deleted)", &m), 0);
	ck_assert(m.deleted && m.writable);
	ck_assert_str_eq(m.path, "/tmp/x");
	free(m.path);
}
END_TEST

START_TEST(an_escaped_newline_is_decoded)
{
	struct mapping m;

	ck_assert_int_eq(parse("1000-2000 r--p 0 08:01 7 /tmp/a\\012b\\01", &m), 0);
	ck_assert_str_eq(m.path, "/tmp/a\nb\\01");
	free(m.path);
}
END_TEST

START_TEST(what_is_no_file_has_no_path)
{
	static const char *const lines[] = {
	    "1000-2000 rw-p 00000000 00:00 0",
	    "1000-2000 rw-p 00000000 00:00 0 ",
	    "1000-2000 rw-p 00000000 00:00 0                          [heap]",
	    "1000-2000 rw-p 00000000 00:00 0                          /anon_hugepage (deleted)",
	    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct mapping m;

		ck_assert_int_eq(parse(lines[i], &m), 0);
		ck_assert_ptr_null(m.path);
	}
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const char *const lines[] = {
	    "",
	    "1000",
	    "1000-",
	    "1000-2000",
	    "2000-1000 r-xp 0 08:01 7 /a",
	    "1000-1000 r-xp 0 08:01 7 /a",
	    "1000-2000 r-x",
	    "1000-2000 r-xp",
	    "1000-2000 r-xp g 08:01 7 /a",
	    "1000-2000 r-xp 0 08 7 /a",
	    "1000-2000 r-xp 0 08:01 a",
	    "1000-2000 r-xp 0 fffffffff:01 7 /a",
	    "10000000000000000-2000 r-xp 0 08:01 7 /a",
	    "1000-2000 r-xp 0 08:01 99999999999999999999 /a",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct mapping m;

		ck_assert_msg(parse(lines[i], &m) == -EINVAL, "%s", lines[i]);
	}
}
END_TEST

START_TEST(only_files_are_kept_from_a_text)
{
	static const char text[] = "1000-2000 r-xp 0 08:01 7 /a\n"
				   "nonsense\n"
				   "2000-3000 rw-p 0 00:00 0 [heap]\n"
				   "3000-4000 r--p 1000 08:01 8 /b";
	int fd = text_file(text, strlen(text));
	struct mappings m;

	ck_assert_int_eq(mappings_read(fd, &m), 0);
	ck_assert_uint_eq(m.n, 2);
	ck_assert_str_eq(m.items[0].path, "/a");
	ck_assert_str_eq(m.items[1].path, "/b");
	ck_assert_ptr_eq(mappings_find(&m, 0x3000, 0x4000), &m.items[1]);
	ck_assert_ptr_null(mappings_find(&m, 0x3000, 0x4001));
	ck_assert_ptr_null(mappings_find(&m, 0x2000, 0x3000));
	ck_assert(!m.truncated);
	mappings_done(&m);
	close(fd);
}
END_TEST

START_TEST(a_line_without_end_is_survived)
{
	static const char tail[] = "\n1000-2000 r-xp 0 08:01 7 /a\n";
	size_t len = 1 << 20;
	char *text = malloc(len);
	struct mappings m;
	int fd;

	memset(text, 'a', len);
	memcpy(text + len - sizeof(tail) + 1, tail, sizeof(tail) - 1);
	fd = text_file(text, len);
	ck_assert_int_eq(mappings_read(fd, &m), 0);
	ck_assert_uint_eq(m.n, 1);
	mappings_done(&m);
	close(fd);
	free(text);
}
END_TEST

START_TEST(the_number_of_files_is_limited)
{
	size_t n = MAPPINGS_MAX + 5, len = 0;
	char *text = malloc(n * 64);
	struct mappings m;
	int fd;

	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, 64, "%zx000-%zx000 r-xp 0 08:01 7 /a\n", i + 1,
					i + 2);
	fd = text_file(text, len);
	ck_assert_int_eq(mappings_read(fd, &m), 0);
	ck_assert_uint_eq(m.n, MAPPINGS_MAX);
	ck_assert(m.truncated);
	mappings_done(&m);
	close(fd);
	free(text);
}
END_TEST

START_TEST(no_text_means_no_address_space)
{
	int fd = text_file("", 0);
	struct mappings m;

	ck_assert_int_eq(mappings_read(fd, &m), -ESRCH);
	ck_assert_int_eq(mappings_read(-1, &m), -EBADF);
	close(fd);
}
END_TEST

START_TEST(own_program_is_found)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uint64_t here = (uint64_t)(uintptr_t)text_file;
	struct mappings m;
	int n_found = 0;

	ck_assert_int_eq(mappings_read(fd, &m), 0);
	for (size_t i = 0; i < m.n; i++)
		n_found += here >= m.items[i].start && here < m.items[i].end &&
			   m.items[i].executable && strstr(m.items[i].path, "test_mappings");
	ck_assert_int_eq(n_found, 1);
	mappings_done(&m);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mappings");
	TCase *tc = tcase_create("mappings");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, a_mapped_file_is_parsed);
	tcase_add_test(tc, the_vdso_is_found);
	tcase_add_test(tc, a_deleted_file_is_told_apart);
	tcase_add_test(tc, an_escaped_newline_is_decoded);
	tcase_add_test(tc, what_is_no_file_has_no_path);
	tcase_add_test(tc, nonsense_is_refused);
	tcase_add_test(tc, only_files_are_kept_from_a_text);
	tcase_add_test(tc, a_line_without_end_is_survived);
	tcase_add_test(tc, the_number_of_files_is_limited);
	tcase_add_test(tc, no_text_means_no_address_space);
	tcase_add_test(tc, own_program_is_found);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
