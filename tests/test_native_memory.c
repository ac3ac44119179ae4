/* SPDX-License-Identifier: BSD-3-Clause */
/* What an unwind reads of a target, and how often. */
#include "recorder/oncpu/native_memory.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#define PAGE  UINT64_C(4096)
#define START UINT64_C(0x10000)
#define BYTES (64 * PAGE)

/* Words that hold their own address, up to `end`; as a process has it, whole pages are mapped. */
struct image {
	struct memory mem;
	uint64_t end;
	int error; /* instead of what is there */
};

static struct image image;
static struct native_memory *memory;

static int read_image(void *ctx, remote_addr addr, void *buf, size_t len)
{
	const struct image *im = ctx;
	unsigned char *to = buf;

	if (im->error)
		return im->error;
	if (addr < START || addr >= im->end || im->end - addr < len)
		return -EFAULT;
	for (size_t i = 0; i < len; i++) {
		uint64_t word = (addr + i) & ~UINT64_C(7);

		to[i] = ((const unsigned char *)&word)[(addr + i) & 7];
	}
	return 0;
}

static void setup(void)
{
	image = (struct image){.end = START + BYTES};
	memory_init_image(&image.mem, read_image, &image);
	memory = native_memory_new(&image.mem);
}

static void teardown(void)
{
	native_memory_free(memory);
}

static void assert_word(uint64_t addr)
{
	uint64_t word = 0;

	ck_assert_int_eq(native_memory_read_word(memory, addr, &word), 0);
	ck_assert_uint_eq(word, addr);
}

START_TEST(the_stack_is_read_once)
{
	native_memory_begin(memory, START + 0x108);
	for (uint64_t at = START + 0x108; at < START + 3 * PAGE; at += 8)
		assert_word(at);
	ck_assert_uint_eq(image.mem.n_reads, 1);
	/* Further up there is more of it. */
	for (uint64_t at = START + 3 * PAGE; at < START + BYTES - 4 * PAGE; at += 8)
		assert_word(at);
	ck_assert_uint_lt(image.mem.n_reads, 20);
	/* A new unwind reads it anew. */
	image.mem.n_reads = 0;
	native_memory_begin(memory, START + 0x108);
	ck_assert_uint_eq(image.mem.n_reads, 1);
}
END_TEST

START_TEST(other_pages_are_read_once)
{
	unsigned char bytes[2 * PAGE];
	uint64_t word;

	native_memory_begin(memory, START + 40 * PAGE);
	image.mem.n_reads = 0;
	ck_assert_int_eq(native_memory_read(memory, START + 100, bytes, sizeof(bytes)), 0);
	ck_assert_uint_eq(image.mem.n_reads, 3);
	for (size_t i = 4; i + 8 <= sizeof(bytes); i += 8) {
		memcpy(&word, bytes + i, sizeof(word));
		ck_assert_uint_eq(word, START + 100 + i);
	}
	/* Words across pages, too. */
	ck_assert_int_eq(native_memory_read(memory, START + PAGE - 4, &word, sizeof(word)), 0);
	ck_assert_uint_eq(image.mem.n_reads, 3);
}
END_TEST

START_TEST(what_is_not_there_is_told)
{
	unsigned char bytes[16];
	uint64_t word;

	native_memory_begin(memory, START);
	ck_assert_int_eq(native_memory_read(memory, START + BYTES - 8, bytes, 16), -EFAULT);
	ck_assert_int_eq(native_memory_read(memory, UINT64_MAX - 4, bytes, 16), -EFAULT);
	ck_assert_int_eq(native_memory_read_word(memory, UINT64_MAX, &word), -EFAULT);
	ck_assert_int_eq(native_memory_read_word(memory, 0, &word), -EFAULT);
	image.error = -ESRCH;
	ck_assert_int_eq(native_memory_read(memory, START + 60 * PAGE, bytes, 16), -ESRCH);
	/* Not even the stack. */
	native_memory_begin(memory, START);
	ck_assert_int_eq(native_memory_read_word(memory, START, &word), -ESRCH);
	native_memory_begin(memory, UINT64_MAX);
	ck_assert_int_lt(native_memory_read_word(memory, UINT64_MAX, &word), 0);
}
END_TEST

START_TEST(an_unwind_gets_only_so_much)
{
	unsigned n = 0;
	uint64_t word;
	int r = 0;

	/* Two pages that take each other's place. */
	native_memory_begin(memory, START + 60 * PAGE);
	while (r == 0 && n <= NATIVE_MEMORY_MAX_READS)
		r = native_memory_read(memory, START + (n++ % 2 ? 32 * PAGE : 0), &word,
				       sizeof(word));
	ck_assert_int_eq(r, -ELOOP);
	native_memory_begin(memory, START);
	for (n = 0; n < NATIVE_MEMORY_MAX_WORDS; n++)
		r = native_memory_read_word(memory, START, &word);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(native_memory_read_word(memory, START, &word), -ELOOP);
	/* The next one gets its own. */
	native_memory_begin(memory, START);
	assert_word(START);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("native_memory");
	TCase *tc = tcase_create("native_memory");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_stack_is_read_once);
	tcase_add_test(tc, other_pages_are_read_once);
	tcase_add_test(tc, what_is_not_there_is_told);
	tcase_add_test(tc, an_unwind_gets_only_so_much);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
