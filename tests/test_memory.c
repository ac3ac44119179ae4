/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/target/memory.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void open_process(pid_t pid, struct memory *ret)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	memory_init_fd(ret, fd);
}

static remote_addr address_of(const void *p)
{
	return (remote_addr)(uintptr_t)p;
}

START_TEST(memory_of_a_process_is_read)
{
	uint64_t here = UINT64_C(0x1122334455667788), value;
	struct memory mem;
	uint32_t half;

	open_process(getpid(), &mem);
	ck_assert_int_eq(memory_read_u64(&mem, address_of(&here), &value), 0);
	ck_assert_uint_eq(value, here);
	ck_assert_int_eq(memory_read_u32(&mem, address_of(&here), &half), 0);
	ck_assert_uint_eq(half, (uint32_t)here);
	ck_assert_uint_eq(mem.n_reads, 2);
	memory_done(&mem);
}
END_TEST

START_TEST(a_read_stops_at_an_unmapped_page)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages =
	    mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char buf[64];
	struct memory mem;

	ck_assert_ptr_ne(pages, MAP_FAILED);
	munmap(pages + page, page);
	memset(pages, 'x', page);
	open_process(getpid(), &mem);
	ck_assert_int_eq(memory_read_some(&mem, address_of(pages + page - 5), buf, sizeof(buf)), 5);
	ck_assert_int_eq(memcmp(buf, "xxxxx", 5), 0);
	ck_assert_int_eq(memory_read(&mem, address_of(pages + page - 5), buf, sizeof(buf)),
			 -EFAULT);
	ck_assert_int_eq(memory_read_some(&mem, address_of(pages + page), buf, 1), -EFAULT);
	memory_done(&mem);
	munmap(pages, page);
}
END_TEST

START_TEST(addresses_that_cannot_be_are_refused)
{
	struct memory mem;
	char buf[8];

	open_process(getpid(), &mem);
	ck_assert_int_eq(memory_read(&mem, 0, buf, sizeof(buf)), -EFAULT);
	ck_assert_int_eq(memory_read(&mem, UINT64_MAX, buf, sizeof(buf)), -EFAULT);
	ck_assert_int_eq(memory_read(&mem, UINT64_C(1) << 63, buf, sizeof(buf)), -EFAULT);
	ck_assert_int_eq(memory_read(&mem, INT64_MAX, buf, sizeof(buf)), -EFAULT);
	ck_assert_int_eq(memory_read(&mem, address_of(buf), buf, 0), -EFAULT);
	memory_done(&mem);
}
END_TEST

/* A child that waits, and then executes something else or ends. */
static pid_t start_child(int *ret_go, char *const *argv)
{
	int go[2];
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (read(go[0], &c, 1) == 1 && argv)
			execv(argv[0], argv);
		_exit(0);
	}
	close(go[0]);
	*ret_go = go[1];
	return pid;
}

START_TEST(a_process_that_has_ended_is_gone)
{
	static const uint64_t here = 42;
	struct memory mem;
	uint64_t value;
	int go;
	pid_t pid = start_child(&go, NULL);

	open_process(pid, &mem);
	ck_assert_int_eq(memory_read_u64(&mem, address_of(&here), &value), 0);
	ck_assert_uint_eq(value, 42);
	ck_assert_int_eq(write(go, "x", 1), 1);
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(memory_read_u64(&mem, address_of(&here), &value), -ESRCH);
	memory_done(&mem);
	close(go);
}
END_TEST

START_TEST(an_address_space_that_was_replaced_is_gone)
{
	static const uint64_t here = 42;
	static char sleep_path[] = "/bin/sleep", seconds[] = "60";
	char *const argv[] = {sleep_path, seconds, NULL};
	struct memory mem;
	uint64_t value;
	int go, r;
	pid_t pid = start_child(&go, argv);

	open_process(pid, &mem);
	ck_assert_int_eq(write(go, "x", 1), 1);
	/* Check's own time limit is the deadline. */
	do
		r = memory_read_u64(&mem, address_of(&here), &value);
	while (r == 0);
	ck_assert_int_eq(r, -ESRCH);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	memory_done(&mem);
	close(go);
}
END_TEST

static int read_fake(void *ctx, remote_addr addr, void *buf, size_t len)
{
	const char *text = ctx;

	if (addr + len > strlen(text))
		return -EFAULT;
	memcpy(buf, text + addr, len);
	return 0;
}

START_TEST(an_image_stands_in_for_a_process)
{
	char text[] = "0123456789";
	struct memory mem;
	char buf[4];

	memory_init_image(&mem, read_fake, text);
	ck_assert_int_eq(memory_read(&mem, 3, buf, 4), 0);
	ck_assert_int_eq(memcmp(buf, "3456", 4), 0);
	ck_assert_int_eq(memory_read(&mem, 8, buf, 4), -EFAULT);
	memory_done(&mem);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory");
	TCase *tc = tcase_create("memory");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, memory_of_a_process_is_read);
	tcase_add_test(tc, a_read_stops_at_an_unmapped_page);
	tcase_add_test(tc, addresses_that_cannot_be_are_refused);
	tcase_add_test(tc, a_process_that_has_ended_is_gone);
	tcase_add_test(tc, an_address_space_that_was_replaced_is_gone);
	tcase_add_test(tc, an_image_stands_in_for_a_process);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
