/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/target/elf_image.h"

#include <check.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/target/mappings.h"
#include "tests/support/elf_builder.h"

static const struct elf_recipe recipe = {
    .symbols = {"first", "second_one", "third"},
    .n_symbols = 3,
    .has_py_runtime = 1,
};

static bool count_function(void *ctx, const struct elf_function *function)
{
	ck_assert(*function->name);
	++*(unsigned *)ctx;
	return true;
}

/* Ask everything of bytes that may be anything; only crashes and endless loops would be wrong. */
static void ask_everything(const unsigned char *bytes, size_t len)
{
	struct elf_symbol symbols[] = {{.name = "third"}, {.name = "missing"}};
	struct elf_image *image;
	struct elf_build_id id;
	unsigned n_functions = 0;
	uint64_t addr, size;
	uint32_t crc;
	char name[16];
	int fd = elf_file(bytes, len);

	if (elf_image_open(fd, &image) == 0) {
		elf_image_find_symbols(image, symbols, 2);
		elf_image_find_section(image, ".PyRuntime", &addr, &size);
		elf_image_load_bias(image, 0x7000, ELF_TEXT_OFFSET, &addr);
		elf_image_each_function(image, ELF_TABLE_DYNAMIC, count_function, &n_functions);
		elf_image_each_function(image, ELF_TABLE_FULL, count_function, &n_functions);
		elf_image_build_id(image, &id);
		elf_image_debug_link(image, name, sizeof(name), &crc);
		elf_image_close(image);
	}
	close(fd);
}

START_TEST(symbols_and_sections_are_found)
{
	struct elf_symbol symbols[] = {
	    {.name = "second_one"}, {.name = "second"}, {.name = "first"}};
	struct elf_image *image;
	uint64_t addr, size;
	size_t len;
	unsigned char *bytes = elf_build(&recipe, &len);
	int fd = elf_file(bytes, len);

	ck_assert_int_eq(elf_image_open(fd, &image), 0);
	ck_assert_int_eq(elf_image_find_symbols(image, symbols, 3), 2);
	ck_assert(symbols[0].found && !symbols[1].found && symbols[2].found);
	ck_assert_uint_eq(symbols[0].value, ELF_SYMBOL_ADDR(1));
	ck_assert_uint_eq(symbols[0].size, ELF_SYMBOL_SIZE);
	ck_assert_uint_eq(symbols[2].value, ELF_SYMBOL_ADDR(0));
	ck_assert_int_eq(elf_image_find_section(image, ".PyRuntime", &addr, &size), 0);
	ck_assert_uint_eq(addr, ELF_SECTION_ADDR);
	ck_assert_uint_eq(size, ELF_SECTION_SIZE);
	ck_assert_int_eq(elf_image_find_section(image, ".Py", &addr, &size), -ENOENT);
	elf_image_close(image);
	close(fd);
	free(bytes);
}
END_TEST

START_TEST(load_bias_comes_from_the_executable_segment)
{
	struct elf_image *image;
	uint64_t bias;
	size_t len;
	unsigned char *bytes = elf_build(&recipe, &len);
	int fd = elf_file(bytes, len);

	ck_assert_int_eq(elf_image_open(fd, &image), 0);
	ck_assert_int_eq(elf_image_load_bias(image, 0x7f0000401000, ELF_TEXT_OFFSET, &bias), 0);
	ck_assert_uint_eq(bias, 0x7f0000000000);
	ck_assert_int_eq(elf_image_load_bias(image, ELF_TEXT_VADDR, ELF_TEXT_OFFSET, &bias), 0);
	ck_assert_uint_eq(bias, 0);
	ck_assert_int_eq(elf_image_load_bias(image, 0x1000, 0x5000, &bias), -ENOENT);
	elf_image_close(image);
	close(fd);
	free(bytes);
}
END_TEST

START_TEST(other_files_are_refused)
{
	struct elf_recipe old = recipe;
	struct elf_image *image;
	size_t len;
	unsigned char *bytes;
	int fd = elf_file("#!/bin/sh\n", 10);

	ck_assert_int_eq(elf_image_open(fd, &image), -ENOEXEC);
	close(fd);
	fd = elf_file("", 0);
	ck_assert_int_eq(elf_image_open(fd, &image), -ENOEXEC);
	close(fd);
	old.elf_class = ELFCLASS32;
	bytes = elf_build(&old, &len);
	fd = elf_file(bytes, len);
	ck_assert_int_eq(elf_image_open(fd, &image), -EMEDIUMTYPE);
	close(fd);
	free(bytes);
}
END_TEST

START_TEST(a_cut_file_is_survived)
{
	size_t len;
	unsigned char *bytes = elf_build(&recipe, &len);

	for (size_t cut = 0; cut < 0x700; cut += 7)
		ask_everything(bytes, cut);
	free(bytes);
}
END_TEST

START_TEST(changed_bytes_are_survived)
{
	size_t len;
	unsigned char *bytes = elf_build(&recipe, &len);

	for (size_t i = 0; i < 0x640; i++) {
		unsigned char old = bytes[i];

		bytes[i] = 0xff;
		ask_everything(bytes, len);
		bytes[i] = old;
	}
	free(bytes);
}
END_TEST

START_TEST(own_symbols_are_where_they_are)
{
	struct elf_symbol symbol = {.name = "main"};
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int maps_fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uint64_t here = (uint64_t)(uintptr_t)ask_everything;
	struct elf_image *image;
	struct mappings maps;
	uint64_t bias = 0;

	ck_assert_int_eq(elf_image_open(fd, &image), 0);
	ck_assert_int_eq(mappings_read(maps_fd, &maps), 0);
	for (size_t i = 0; i < maps.n; i++)
		if (here >= maps.items[i].start && here < maps.items[i].end)
			ck_assert_int_eq(elf_image_load_bias(image, maps.items[i].start,
							     maps.items[i].offset, &bias),
					 0);
	ck_assert_int_eq(elf_image_find_symbols(image, &symbol, 1), 1);
	extern int main(void);
	ck_assert_uint_eq(bias + symbol.value, (uint64_t)(uintptr_t)main);
	mappings_done(&maps);
	elf_image_close(image);
	close(maps_fd);
	close(fd);
}
END_TEST

START_TEST(build_ids_are_parsed)
{
	/* Another note, with a name of five bytes and one of content, then the build-id. */
	unsigned char notes[] = {5,   0, 0, 0, 1, 0, 0,	  0,   1,   0, 0,   0,	 'L', 'o', 'n',
				 'g', 0, 0, 0, 0, 9, 0,	  0,   0,   4, 0,   0,	 0,   3,   0,
				 0,   0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 0xa, 0xb, 0xc, 0xd, 0};
	struct elf_build_id id = {0};

	ck_assert(elf_build_id_parse(notes, sizeof(notes) - 1, &id));
	ck_assert_uint_eq(id.len, 3);
	ck_assert_uint_eq(id.bytes[2], 0xc);
	/* Cut off anywhere; lengths that make no sense. */
	for (size_t len = 0; len < 43; len++)
		ck_assert(!elf_build_id_parse(notes, len, &id));
	memset(notes + 20, 0xff, 12);
	ck_assert(!elf_build_id_parse(notes, sizeof(notes), &id));
	memset(notes, 0xff, 12);
	ck_assert(!elf_build_id_parse(notes, sizeof(notes), &id));
}
END_TEST

START_TEST(an_image_in_memory_has_functions)
{
	unsigned n = 0;
	struct elf_image *image;
	void *bytes;
	size_t len;
	FILE *f = fopen("/proc/self/exe", "re");

	ck_assert_ptr_nonnull(f);
	fseek(f, 0, SEEK_END);
	len = (size_t)ftell(f);
	rewind(f);
	bytes = malloc(len);
	ck_assert_uint_eq(fread(bytes, 1, len, f), len);
	fclose(f);
	ck_assert_int_eq(elf_image_open_bytes(bytes, len, &image), 0);
	ck_assert_int_eq(elf_image_each_function(image, ELF_TABLE_FULL, count_function, &n), 0);
	ck_assert_uint_gt(n, 50);
	elf_image_close(image);
	ck_assert_int_eq(elf_image_open_bytes(bytes, 3, &image), -ENOEXEC);
	free(bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("elf_image");
	TCase *tc = tcase_create("elf_image");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, symbols_and_sections_are_found);
	tcase_add_test(tc, load_bias_comes_from_the_executable_segment);
	tcase_add_test(tc, other_files_are_refused);
	tcase_add_test(tc, a_cut_file_is_survived);
	tcase_add_test(tc, changed_bytes_are_survived);
	tcase_add_test(tc, own_symbols_are_where_they_are);
	tcase_add_test(tc, build_ids_are_parsed);
	tcase_add_test(tc, an_image_in_memory_has_functions);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
