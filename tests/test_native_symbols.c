/* SPDX-License-Identifier: BSD-3-Clause */
/* Symbols of a program, wherever they are: in it, beside it, packed into it. */
#include "recorder/oncpu/native_symbols.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recorder/oncpu/native_files.h"
#include "recorder/oncpu/xz_unpack.h"
#include "recorder/target/mappings.h"

static const char source[] =
    "__attribute__((noinline)) static int hidden(int n) { return n * 3; }\n"
    "__attribute__((noinline)) int shown(int n) { return hidden(n) + 1; }\n"
    "int __shown(int) __attribute__((alias(\"shown\")));\n"
    "int main(int n, char **v) { (void)v; return shown(n); }\n";

static char folder[64];

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/trackexec-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chmod(folder, 0755), 0);
}

static bool __attribute__((format(printf, 1, 2))) run(const char *fmt, ...)
{
	char command[1024];
	int n = snprintf(command, sizeof(command), "cd %s && exec 2>/dev/null; ", folder);
	va_list args;

	va_start(args, fmt);
	vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, args);
	va_end(args);
	return system(command) == 0;
}

static void teardown(void)
{
	ck_assert(run("rm -rf %s", folder));
}

/* A program with all its symbols in `whole`, and without them in `stripped`. */
static bool build(void)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/source.c", folder);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(source, f);
	fclose(f);
	if (run("cc -O1 -fno-ipa-cp -fno-inline -rdynamic -Wl,--build-id -o whole source.c && "
		"strip -o stripped whole && objcopy --only-keep-debug whole debug"))
		return true;
	fprintf(stderr, "skipped: no compiler\n");
	return false;
}

static int open_in(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Which file stands for which; NULL: there is none. */
struct files {
	const char *image, *by_id, *by_link;
	unsigned asked_by_id, asked_by_link;
};

static int on_open(void *ctx, const struct native_file *file)
{
	struct files *files = ctx;
	const char *name = files->image;

	if (file->kind == NATIVE_FILE_BUILD_ID) {
		ck_assert_uint_gt(file->build_id->len, 0);
		files->asked_by_id++;
		name = files->by_id;
	} else if (file->kind == NATIVE_FILE_LINK) {
		files->asked_by_link++;
		name = files->by_link;
	}
	return name ? open_in(name) : -ENOENT;
}

static struct native_symbols *load(struct files *files)
{
	const struct elf_build_id none = {0};
	const struct mapping map = {.executable = true};

	return native_symbols_load(&map, &none, on_open, files);
}

/* The address of a function, which is given its whole program. */
static uint64_t address_of(const char *name)
{
	struct elf_symbol symbol = {.name = name};
	struct elf_image *image;
	int fd = open_in("whole");

	ck_assert_int_eq(elf_image_open(fd, &image), 0);
	ck_assert_int_eq(elf_image_find_symbols(image, &symbol, 1), 1);
	elf_image_close(image);
	close(fd);
	return symbol.value;
}

static void assert_name(const struct native_symbols *s, const char *symbol, const char *wanted)
{
	uint64_t addr = address_of(symbol) + 1, offset = 0;
	const char *name = native_symbols_find(s, addr, addr, &offset);

	if (!wanted) {
		ck_assert_ptr_null(name);
		return;
	}
	ck_assert_ptr_nonnull(name);
	ck_assert_str_eq(name, wanted);
	ck_assert_uint_eq(offset, 1);
}

START_TEST(all_functions_of_a_program_are_named)
{
	struct files files = {.image = "whole"};
	struct native_symbols *s;

	if (!build())
		return;
	s = load(&files);
	assert_name(s, "hidden", "hidden");
	/* The plainest of its names. */
	assert_name(s, "__shown", "shown");
	ck_assert_uint_eq(files.asked_by_id, 0);
	native_symbols_free(s);
}
END_TEST

START_TEST(what_no_symbol_covers_has_no_name)
{
	struct files files = {.image = "stripped"};
	struct native_symbols *s;
	uint64_t offset;

	if (!build())
		return;
	s = load(&files);
	assert_name(s, "shown", "shown");
	assert_name(s, "hidden", NULL);
	ck_assert_uint_eq(files.asked_by_id, 1);
	ck_assert_ptr_null(native_symbols_find(s, 0, 0, &offset));
	ck_assert_ptr_null(native_symbols_find(s, UINT64_MAX, 0, &offset));
	native_symbols_free(s);
}
END_TEST

START_TEST(debug_files_have_the_rest)
{
	struct files files = {.image = "stripped", .by_id = "debug"};
	struct native_symbols *s;

	if (!build())
		return;
	s = load(&files);
	assert_name(s, "hidden", "hidden");
	native_symbols_free(s);
	/* By its name, with the right CRC; the link is only there when it was added. */
	files = (struct files){.image = "linked", .by_link = "debug"};
	ck_assert(run("cp stripped linked && objcopy --add-gnu-debuglink=debug linked"));
	s = load(&files);
	assert_name(s, "hidden", "hidden");
	ck_assert_uint_eq(files.asked_by_link, 1);
	native_symbols_free(s);
}
END_TEST

START_TEST(other_files_are_not_believed)
{
	struct files files = {.image = "stripped", .by_id = "other"};
	const struct mapping map = {.executable = true};
	const struct elf_build_id id = {.len = 4, .bytes = "abc"};
	struct native_symbols *s;

	if (!build())
		return;
	ck_assert(run("cc -O2 -DN=1 -Wl,--build-id -o other source.c && "
		      "cp stripped linked && objcopy --add-gnu-debuglink=debug linked && "
		      "cp debug changed && echo >>changed"));
	s = load(&files);
	assert_name(s, "hidden", NULL);
	native_symbols_free(s);
	/* Another CRC. */
	files = (struct files){.image = "linked", .by_link = "changed"};
	s = load(&files);
	ck_assert_uint_eq(files.asked_by_link, 1);
	assert_name(s, "hidden", NULL);
	native_symbols_free(s);
	/* What is in memory is another program. */
	files = (struct files){.image = "whole"};
	s = native_symbols_load(&map, &id, on_open, &files);
	ck_assert_uint_eq(native_symbols_count(s), 0);
	native_symbols_free(s);
	/* Not ELF; no file. */
	files = (struct files){.image = "source.c"};
	s = load(&files);
	ck_assert_uint_eq(native_symbols_count(s), 0);
	native_symbols_free(s);
	files = (struct files){.image = "missing"};
	s = load(&files);
	ck_assert_uint_eq(native_symbols_count(s), 0);
	native_symbols_free(s);
}
END_TEST

START_TEST(packed_symbols_are_found)
{
	struct files files = {.image = "packed"};
	struct native_symbols *s;

	if (!build())
		return;
	if (!run("xz -k debug && cp stripped packed && "
		 "objcopy --add-section .gnu_debugdata=debug.xz packed")) {
		fprintf(stderr, "skipped: no xz\n");
		return;
	}
	s = load(&files);
	assert_name(s, "hidden", "hidden");
	native_symbols_free(s);
	/* Damaged. */
	ck_assert(
	    run("printf xxxx | dd of=debug.xz bs=1 seek=100 conv=notrunc && "
		"cp stripped packed && objcopy --add-section .gnu_debugdata=debug.xz packed"));
	s = load(&files);
	assert_name(s, "hidden", NULL);
	assert_name(s, "shown", "shown");
	native_symbols_free(s);
}
END_TEST

START_TEST(unpacking_has_limits)
{
	unsigned char packed[65536], *bytes;
	size_t packed_len, len;
	int fd;

	if (!run("head -c 1000000 /dev/zero | xz >zeros.xz")) {
		fprintf(stderr, "skipped: no xz\n");
		return;
	}
	fd = open_in("zeros.xz");
	packed_len = (size_t)read(fd, packed, sizeof(packed));
	close(fd);
	/* Unpacking alone takes 9 MB. */
	ck_assert_int_eq(xz_unpack(packed, packed_len, 64u << 20, &bytes, &len), 0);
	ck_assert_uint_eq(len, 1000000);
	free(bytes);
	ck_assert_int_eq(xz_unpack(packed, packed_len, 1u << 20, &bytes, &len), -EFBIG);
	ck_assert_int_eq(xz_unpack(packed, packed_len - 1, 64u << 20, &bytes, &len), -EBADMSG);
	ck_assert_int_eq(xz_unpack(packed, 0, 64u << 20, &bytes, &len), -EBADMSG);
	ck_assert_int_eq(xz_unpack("text", 4, 64u << 20, &bytes, &len), -EBADMSG);
}
END_TEST

START_TEST(debug_files_are_opened_by_id_and_by_link)
{
	const struct elf_build_id id = {.len = 3, .bytes = {0xab, 0x01, 0xfe}};
	const struct elf_build_id other = {.len = 3, .bytes = {0xab, 0x01, 0xff}};
	const struct elf_build_id none = {0};
	int fd;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: debug files belong to root\n");
		return;
	}
	ck_assert(run("mkdir -p .build-id/ab usr/bin && echo x >.build-id/ab/01fe.debug && "
		      "echo y >usr/bin/p.debug && echo z >outside && "
		      "ln -s %s/outside usr/bin/absolute && ln -s p.debug usr/bin/link && "
		      "mkfifo usr/bin/fifo && echo w >usr/bin/open && chmod 666 usr/bin/open",
		      folder));
	fd = debug_file_open_by_id(folder, &id);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(debug_file_open_by_id(folder, &other), -ENOENT);
	ck_assert_int_eq(debug_file_open_by_id(folder, &none), -EINVAL);
	fd = debug_file_open_by_link(folder, "/usr/bin/p", "p.debug");
	ck_assert_int_ge(fd, 0);
	close(fd);
	fd = debug_file_open_by_link(folder, "/usr/bin/p", "link");
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(debug_file_open_by_link(folder, "/usr/bin/p", "../p"), -EINVAL);
	ck_assert_int_eq(debug_file_open_by_link(folder, "/usr/bin/p", ".."), -EINVAL);
	ck_assert_int_eq(debug_file_open_by_link(folder, "usr/bin/p", "p.debug"), -EINVAL);
	ck_assert_int_lt(debug_file_open_by_link(folder, "/../../../etc/p", "passwd"), 0);
	/* Out of the folder, not a regular file, writable by others. */
	ck_assert_int_lt(debug_file_open_by_link(folder, "/usr/bin/p", "absolute"), 0);
	ck_assert_int_eq(debug_file_open_by_link(folder, "/usr/bin/p", "fifo"), -EPERM);
	ck_assert_int_eq(debug_file_open_by_link(folder, "/usr/bin/p", "open"), -EPERM);
	ck_assert_int_eq(chmod(folder, 0777), 0);
	ck_assert_int_eq(debug_file_open_by_id(folder, &id), -EPERM);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("native_symbols");
	TCase *tc = tcase_create("native_symbols");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, all_functions_of_a_program_are_named);
	tcase_add_test(tc, what_no_symbol_covers_has_no_name);
	tcase_add_test(tc, debug_files_have_the_rest);
	tcase_add_test(tc, other_files_are_not_believed);
	tcase_add_test(tc, packed_symbols_are_found);
	tcase_add_test(tc, unpacking_has_limits);
	tcase_add_test(tc, debug_files_are_opened_by_id_and_by_link);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
