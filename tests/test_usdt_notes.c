/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/usdt_notes.h"

#include <check.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/exact/line_plan.h"
#include "recorder/exact/trace_fs.h"
#include "recorder/target/mappings.h"

#define PYTHON311 "/usr/bin/python3.11"

struct notes {
	uint8_t bytes[4096];
	size_t len;
};

static void put(struct notes *n, const void *bytes, size_t len)
{
	memcpy(n->bytes + n->len, bytes, len);
	n->len += len;
}

static void pad(struct notes *n)
{
	while (n->len % 4)
		n->bytes[n->len++] = 0;
}

static void add_note(struct notes *n, const char *provider, const char *name, const char *text,
		     uint64_t pc, uint64_t base, uint64_t semaphore)
{
	const uint64_t words[] = {pc, base, semaphore};
	const Elf64_Nhdr header = {
	    .n_namesz = 8,
	    .n_descsz =
		(uint32_t)(sizeof(words) + strlen(provider) + strlen(name) + strlen(text) + 3),
	    .n_type = 3,
	};

	put(n, &header, sizeof(header));
	put(n, "stapsdt", 8);
	put(n, words, sizeof(words));
	put(n, provider, strlen(provider) + 1);
	put(n, name, strlen(name) + 1);
	put(n, text, strlen(text) + 1);
	pad(n);
}

static struct usdt_probe probes[8];

START_TEST(notes_of_one_provider)
{
	struct notes n = {.len = 0};

	add_note(&n, "libc", "setjmp", "8@%rdi", 0x1000, 0x9000, 0);
	add_note(&n, "python", "line", "8@%r14 8@%rax -4@%ebp", 0x2000, 0x9000, 0xa000);
	add_note(&n, "python", "odd", "8@%xmm0", 0x3000, 0x9000, 0);
	ck_assert_int_eq(usdt_notes_parse(n.bytes, n.len, "python", 0x9000, probes, 8), 2);
	ck_assert_str_eq(probes[0].name, "line");
	ck_assert_uint_eq(probes[0].pc, 0x2000);
	ck_assert_uint_eq(probes[0].semaphore, 0xa000);
	ck_assert_int_eq(probes[0].n_args, USDT_MACHINE == USDT_X86_64 ? 3 : -EOPNOTSUPP);
	ck_assert_int_lt(probes[1].n_args, 0);
	/* Moved since. */
	ck_assert_int_eq(usdt_notes_parse(n.bytes, n.len, "python", 0x9100, probes, 1), 2);
	ck_assert_uint_eq(probes[0].pc, 0x2100);
	ck_assert_uint_eq(probes[0].semaphore, 0xa100);
}
END_TEST

START_TEST(notes_that_lie)
{
	struct notes n = {.len = 0};
	char name[USDT_NAME_MAX + 8];

	add_note(&n, "python", "line", "8@%r14", 0x2000, 0x9000, 0xa000);
	for (size_t cut = 0; cut < n.len; cut++) {
		/* At the end of memory of its own, so that a sanitizer sees a read too far. */
		uint8_t *copy = malloc(cut + 1);

		memcpy(copy, n.bytes, cut);
		usdt_notes_parse(copy, cut, "python", 0, probes, 8);
		free(copy);
	}
	/* Strings without an end: the text's last byte is no NUL. */
	memset(n.bytes + n.len - 4, 'x', 4);
	ck_assert_int_eq(usdt_notes_parse(n.bytes, n.len, "python", 0, probes, 8), 0);
	/* Sizes that do not fit. */
	memset(n.bytes, 0xff, 8);
	ck_assert_int_eq(usdt_notes_parse(n.bytes, n.len, "python", 0, probes, 8), -EBADMSG);
	/* A name that is too long. */
	n.len = 0;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	add_note(&n, "python", name, "8@%r14", 0, 0, 0);
	ck_assert_int_eq(usdt_notes_parse(n.bytes, n.len, "python", 0, probes, 8), 0);
}
END_TEST

START_TEST(plan_of_an_interpreter)
{
	struct mapping map = {.start = 0x400000, .end = 0x900000, .executable = true};
	struct elf_image *image;
	struct line_plan plan;
	struct line_event event;
	struct line_sample sample = {0};
	int fd = open(PYTHON311, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return; /* not here */
	ck_assert_int_eq(elf_image_open(fd, &image), 0);
	/* The first byte of its code: whatever that is. */
	for (map.offset = 0; map.offset < 0x100000; map.offset += 0x1000) {
		if (line_plan_make(image, &map, &plan) == 0)
			break;
	}
	if (plan.request.n_probes == 0) {
		/* Another build, without the probes. */
		elf_image_close(image);
		close(fd);
		return;
	}
	ck_assert_uint_ge(plan.request.n_probes, 3);
	ck_assert_int_eq(plan.probes[0].kind, PROBE_LINE);
	ck_assert_uint_ne(plan.request.probes[0].semaphore, 0);
	sample.ip = plan.probes[0].ip;
	for (unsigned i = 0; i < USDT_REGS_MAX; i++)
		sample.state.regs[i] = 1000 + i;
	ck_assert_int_eq(line_plan_decode(&plan, &sample, &event), 0);
	ck_assert_int_eq(event.kind, PROBE_LINE);
	ck_assert_int_ge(event.line, 1000);
	sample.ip++;
	ck_assert_int_eq(line_plan_decode(&plan, &sample, &event), -ENOENT);
	elf_image_close(image);
	close(fd);
}
END_TEST

START_TEST(definitions_have_an_owner)
{
	char name[TRACE_FS_NAME_MAX];

	ck_assert_int_eq(trace_fs_owner("p:trackexec/p4242_7 /usr/bin/python3.11:0x1", name), 4242);
	ck_assert_str_eq(name, "p4242_7");
	ck_assert_int_eq(trace_fs_owner("p:uprobes/p4242_7 /bin/x:0x1", name), 0);
	ck_assert_int_eq(trace_fs_owner("p:trackexec/other /bin/x:0x1", name), 0);
	ck_assert_int_eq(trace_fs_owner("p:trackexec/p-5_1 /bin/x:0x1", name), 0);
	ck_assert_int_eq(trace_fs_owner("", name), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("usdt_notes");
	TCase *tc = tcase_create("usdt_notes");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, notes_of_one_provider);
	tcase_add_test(tc, notes_that_lie);
	tcase_add_test(tc, plan_of_an_interpreter);
	tcase_add_test(tc, definitions_have_an_owner);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
