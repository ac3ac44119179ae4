/* SPDX-License-Identifier: BSD-3-Clause */
/* A child stands in for the target, in a folder and with rights of its own. */
#include "recorder/target_files.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/trace_schema.h"
#include "recorder/target/mappings.h"
#include "tests/support/scratch.h"

#define NOBODY 65534

static char *folder;
static pid_t child;
static struct identity target;

static void write_file(const char *name, const char *text)
{
	int dir = open(folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	close(dir);
}

static const char *in_folder(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

enum child_kind {
	CHILD_PLAIN,  /* works in the folder */
	CHILD_CHROOT, /* the folder is its root, sub its working folder */
	CHILD_NOBODY, /* another user, in the folder */
};

static void be_target(enum child_kind kind, int ready)
{
	int ok = chdir(folder) == 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (kind == CHILD_CHROOT)
		ok = ok && chroot(".") == 0 && chdir("/sub") == 0;
	if (kind == CHILD_NOBODY)
		ok = ok && setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
	if (ok && write(ready, "x", 1) == 1)
		pause();
	_exit(0);
}

static void start_target(enum child_kind kind)
{
	int ready[2];
	char c;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (child == 0)
		be_target(kind, ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	ck_assert_int_eq(identity_open(child, &target), 0);
}

static void end_target(void)
{
	identity_close(&target);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void setup(void)
{
	folder = scratch_new("/tmp");
	ck_assert_int_eq(chmod(folder, 0755), 0);
	ck_assert_int_eq(mkdir(in_folder("sub"), 0755), 0);
	write_file("a.py", "print(1)\n");
	write_file("sub/b.py", "print(2)\n");
}

static void teardown(void)
{
	scratch_remove(folder);
	free(folder);
}

static int open_and_read(const char *path, char *buf, size_t size)
{
	int fd = target_open_source(&target, path);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, buf, size - 1);
	ck_assert_int_ge(n, 0);
	buf[n] = '\0';
	close(fd);
	return 0;
}

#define assert_source(path, text)                                             \
	do {                                                                  \
		char buf_[64];                                                \
		ck_assert_int_eq(open_and_read(path, buf_, sizeof(buf_)), 0); \
		ck_assert_str_eq(buf_, text);                                 \
	} while (0)

START_TEST(sources_are_found_by_absolute_and_relative_names)
{
	start_target(CHILD_PLAIN);
	assert_source(in_folder("a.py"), "print(1)\n");
	assert_source("a.py", "print(1)\n");
	assert_source("sub/b.py", "print(2)\n");
	assert_source("sub/../a.py", "print(1)\n");
	ck_assert_int_eq(symlink("a.py", in_folder("link.py")), 0);
	assert_source("link.py", "print(1)\n");
	ck_assert_int_eq(target_open_source(&target, "missing.py"), -ENOENT);
	end_target();
}
END_TEST

START_TEST(what_is_no_source_is_refused)
{
	start_target(CHILD_PLAIN);
	ck_assert_int_eq(target_open_source(&target, ""), -EINVAL);
	ck_assert_int_eq(target_open_source(&target, "<string>"), -EINVAL);
	ck_assert_int_eq(target_open_source(&target, "<frozen importlib._bootstrap>"), -EINVAL);
	ck_assert_int_eq(target_open_source(&target, "/dev/null"), -EINVAL);
	ck_assert_int_eq(target_open_source(&target, "sub"), -EINVAL);
	/* Opening it would wait for a writer. */
	ck_assert_int_eq(mkfifo(in_folder("fifo.py"), 0644), 0);
	ck_assert_int_eq(target_open_source(&target, "fifo.py"), -EINVAL);
	write_file("large.py", "");
	ck_assert_int_eq(truncate(in_folder("large.py"), SOURCE_MAX_BYTES + 1), 0);
	ck_assert_int_eq(target_open_source(&target, "large.py"), -EFBIG);
	ck_assert_int_eq(target_open_source(&target, "/proc/self/root/etc/passwd"), -ELOOP);
	ck_assert_int_eq(target_open_source(&target, "/proc/self/environ"), -EINVAL);
	end_target();
}
END_TEST

START_TEST(names_are_resolved_below_the_root_of_the_target)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(symlink("/etc/passwd", in_folder("passwd.py")), 0);
	start_target(CHILD_CHROOT);
	assert_source("/a.py", "print(1)\n");
	assert_source("b.py", "print(2)\n");
	assert_source("../a.py", "print(1)\n");
	assert_source("../../../a.py", "print(1)\n");
	ck_assert_int_eq(target_open_source(&target, "/etc/passwd"), -ENOENT);
	ck_assert_int_eq(target_open_source(&target, "/passwd.py"), -ENOENT);
	ck_assert_int_eq(target_open_source(&target, "../../../../etc/passwd"), -ENOENT);
	end_target();
}
END_TEST

START_TEST(sources_are_read_with_the_rights_of_the_target)
{
	gid_t groups_before[64], groups_after[64];
	int n_before;

	if (geteuid() != 0)
		return;
	write_file("secret.py", "secret\n");
	ck_assert_int_eq(chmod(in_folder("secret.py"), 0600), 0);
	n_before = getgroups(64, groups_before);
	start_target(CHILD_NOBODY);
	ck_assert_int_eq(target_open_source(&target, in_folder("secret.py")), -EACCES);
	ck_assert_int_eq(target_open_source(&target, "/etc/shadow"), -EACCES);
	assert_source("a.py", "print(1)\n");
	end_target();
	/* Afterwards everything is as before. */
	ck_assert_int_eq(getgroups(64, groups_after), n_before);
	ck_assert_mem_eq(groups_before, groups_after, (size_t)n_before * sizeof(gid_t));
	ck_assert_int_eq(access("/etc/shadow", R_OK), 0);
	start_target(CHILD_PLAIN);
	assert_source(in_folder("secret.py"), "secret\n");
	end_target();
}
END_TEST

START_TEST(memory_and_mappings_are_opened)
{
	static const char here[] = "abcdefg";
	char buf[sizeof(here)];
	struct mappings maps;
	int mem, maps_fd;

	start_target(CHILD_PLAIN);
	ck_assert_int_eq(target_open_memory(&target, &mem, &maps_fd), 0);
	ck_assert_int_eq(fcntl(mem, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(pread(mem, buf, sizeof(buf), (off_t)(uintptr_t)here), sizeof(buf));
	ck_assert_str_eq(buf, here);
	ck_assert_int_eq(mappings_read(maps_fd, &maps), 0);
	ck_assert_uint_gt(maps.n, 0);
	mappings_done(&maps);
	close(mem);
	close(maps_fd);
	end_target();
}
END_TEST

START_TEST(memory_of_an_ended_or_another_process_is_refused)
{
	int mem, maps_fd;

	start_target(CHILD_PLAIN);
	target.start_ticks--;
	ck_assert_int_eq(target_open_memory(&target, &mem, &maps_fd), -ESRCH);
	target.start_ticks++;
	kill(child, SIGKILL);
	waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT);
	ck_assert_int_lt(target_open_memory(&target, &mem, &maps_fd), 0);
	waitpid(child, NULL, 0);
	ck_assert_int_eq(target_open_memory(&target, &mem, &maps_fd), -ESRCH);
	identity_close(&target);
}
END_TEST

/* Our own mapping of a file, that a forked child has as well. */
static void *map_file(const char *name, int protection)
{
	int fd = open(in_folder(name), O_RDONLY | O_CLOEXEC);
	void *p = mmap(NULL, 4096, protection, MAP_PRIVATE, fd, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	close(fd);
	return p;
}

static int open_mapped(const void *p)
{
	uint64_t start = (uint64_t)(uintptr_t)p;

	return target_open_image(&target, start, start + 4096);
}

static void assert_text(int fd, const char *text)
{
	char buf[64] = "";

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(read(fd, buf, sizeof(buf) - 1), 0);
	ck_assert_str_eq(buf, text);
	close(fd);
}

START_TEST(mapped_files_are_opened)
{
	void *p = map_file("a.py", PROT_READ | PROT_EXEC);

	start_target(CHILD_PLAIN);
	assert_text(open_mapped(p), "print(1)\n");
	ck_assert_int_eq(target_open_image(&target, 0x1000, 0x2000), -ENOENT);
	ck_assert_int_eq(open_mapped((char *)p + 4096), -ENOENT);
	end_target();
	munmap(p, 4096);
}
END_TEST

START_TEST(mapped_data_is_refused)
{
	void *p = map_file("a.py", PROT_READ);

	start_target(CHILD_PLAIN);
	ck_assert_int_eq(open_mapped(p), -EACCES);
	end_target();
	munmap(p, 4096);
}
END_TEST

START_TEST(mapped_files_of_a_chroot_are_opened)
{
	void *p;

	if (geteuid() != 0)
		return;
	p = map_file("sub/b.py", PROT_READ | PROT_EXEC);
	start_target(CHILD_CHROOT);
	assert_text(open_mapped(p), "print(2)\n");
	end_target();
	munmap(p, 4096);
}
END_TEST

START_TEST(another_file_under_the_name_is_never_opened)
{
	void *p = map_file("a.py", PROT_READ | PROT_EXEC);
	int fd;

	write_file("other.py", "other\n");
	start_target(CHILD_PLAIN);
	ck_assert_int_eq(rename(in_folder("other.py"), in_folder("a.py")), 0);
	fd = open_mapped(p);
	/* Through map_files, which takes privilege. */
	if (fd >= 0)
		assert_text(fd, "print(1)\n");
	else
		ck_assert_int_ne(geteuid(), 0);
	end_target();
	munmap(p, 4096);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("target_files");
	TCase *tc = tcase_create("target_files");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, sources_are_found_by_absolute_and_relative_names);
	tcase_add_test(tc, what_is_no_source_is_refused);
	tcase_add_test(tc, names_are_resolved_below_the_root_of_the_target);
	tcase_add_test(tc, sources_are_read_with_the_rights_of_the_target);
	tcase_add_test(tc, memory_and_mappings_are_opened);
	tcase_add_test(tc, memory_of_an_ended_or_another_process_is_refused);
	tcase_add_test(tc, mapped_files_are_opened);
	tcase_add_test(tc, mapped_data_is_refused);
	tcase_add_test(tc, mapped_files_of_a_chroot_are_opened);
	tcase_add_test(tc, another_file_under_the_name_is_never_opened);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
