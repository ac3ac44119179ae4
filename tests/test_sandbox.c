/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process in the sandbox can't reach. What calls it can't make is in test_call_filter.c,
 * and what it can do in test_sandbox_recording.c.
 */
#include "recorder/sandbox.h"

#include <check.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/privileges.h"
#include "tests/support/jail.h"
#include "tests/support/tree.h"

static char *top, *folder;

/* top/outside and top/trace, which is the folder; with links that lead out of it. */
static void setup(void)
{
	top = tree_new();
	folder = xasprintf("%s/trace", top);
	tree_mkdir(top, "trace");
	tree_write(top, "outside", "secret");
	tree_write(top, "trace/inside", "known");
	tree_link(top, "trace/absolute", "/etc/passwd");
	tree_link(top, "trace/relative", "../outside");
	jail_give(folder);
}

static void teardown(void)
{
	free(folder);
	tree_free(top);
}

static void run(const char *test, int mode, jail_fn body, void *ctx)
{
	if (!jail_possible(test, (enum jail_mode)mode))
		return;
	ck_assert_int_eq(jail_run((enum jail_mode)mode, folder, body, ctx), 0);
}

/* --- files --- */

static bool can_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void name_files(void *ctx)
{
	static const char *const foreign[] = {
	    "/etc/passwd", "/etc",     "/proc/self/mem", "/dev/null",
	    "../outside",  "absolute", "relative",	 "../../../../../../etc/passwd"};
	int root_fd = *(int *)ctx;

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		need(!can_open(foreign[i], O_RDONLY));
		need(!can_open(foreign[i], O_WRONLY));
	}
	need(unlink("../outside") < 0);
	need(can_open("inside", O_RDONLY));
	need(can_open("new", O_RDWR | O_CREAT | O_EXCL));
	need(unlink("new") == 0);
	need_refused(open("setuid", O_RDWR | O_CREAT | O_CLOEXEC, 04755));
	need_refused(openat(root_fd, "etc/passwd", O_RDONLY | O_CLOEXEC));
	need_refused(unlinkat(AT_FDCWD, "inside", AT_REMOVEDIR));
	need_refused(fchdir(root_fd));
	need_refused(chroot("."));
	need_refused(link("inside", "other"));
	need_refused(symlink("/etc/passwd", "other"));
	need_refused(rename("inside", "other"));
	need_refused(mkdir("other", 0700));
	need_refused(mknod("other", S_IFIFO | 0600, 0));
}

START_TEST(nothing_outside_the_folder_can_be_opened)
{
	auto_close int root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (jail_hides_files("nothing_outside_the_folder_can_be_opened", (enum jail_mode)_i))
		run("nothing_outside_the_folder_can_be_opened", _i, name_files, &root_fd);
	ck_assert(tree_has(top, "outside"));
}
END_TEST

static void look_around(void *ctx)
{
	struct stat here, above;

	(void)ctx;
	need(stat("/", &here) == 0 && stat("..", &above) == 0);
	need(here.st_ino == above.st_ino && here.st_dev == above.st_dev);
	need(access("/inside", R_OK) == 0);
	need(access("/etc/passwd", F_OK) < 0 && errno == ENOENT);
}

START_TEST(the_folder_is_the_root)
{
	run("the_folder_is_the_root", JAIL_ROOT, look_around, NULL);
}
END_TEST

/* --- processes --- */

/* One of the user that the sandboxed process acts as; waits to be killed. */
static pid_t start_victim(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		jail_become_user(JAIL_USER);
		for (;;)
			pause();
	}
	return pid;
}

struct victim {
	pid_t pid, parent;
	int pidfd;
};

static void signal_others(void *ctx)
{
	const struct victim *v = ctx;
	siginfo_t info = {.si_code = SI_QUEUE};

	need_refused(kill(v->pid, SIGTERM));
	need_refused(kill(v->parent, SIGTERM));
	need_refused(kill(getpid(), 0));
	need_refused(kill(-1, 0));
	need_refused(syscall(SYS_tgkill, v->pid, v->pid, SIGTERM));
	need_refused(syscall(SYS_tkill, v->pid, SIGTERM));
	need_refused(syscall(SYS_rt_sigqueueinfo, v->pid, SIGTERM, &info));
	need_refused(syscall(SYS_pidfd_send_signal, v->pidfd, SIGTERM, NULL, 0));
	need_refused(syscall(SYS_pidfd_open, v->pid, 0));
	need_refused(syscall(SYS_pidfd_getfd, v->pidfd, 0, 0));
}

START_TEST(no_process_can_be_signalled)
{
	struct victim v = {.pid = start_victim(), .parent = getpid()};

	v.pidfd = (int)syscall(SYS_pidfd_open, v.pid, 0);
	ck_assert_int_ge(v.pidfd, 0);
	run("no_process_can_be_signalled", _i, signal_others, &v);
	ck_assert_int_eq(waitpid(v.pid, NULL, WNOHANG), 0);
	kill(v.pid, SIGKILL);
	waitpid(v.pid, NULL, 0);
	close(v.pidfd);
}
END_TEST

/* --- privileges --- */

static void regain(void *ctx)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.permitted = 1, .effective = 1}};

	(void)ctx;
	need(getuid() != 0 && geteuid() != 0 && getgid() != 0 && getegid() != 0);
	/* Not through glibc, which would ask its other threads first. */
	need_refused(syscall(SYS_setuid, 0));
	need_refused(syscall(SYS_setresuid, 0, 0, 0));
	need_refused(syscall(SYS_setresgid, 0, 0, 0));
	need_refused(syscall(SYS_setgroups, 0, NULL));
	need_refused(syscall(SYS_setfsuid, 0));
	need_refused(syscall(SYS_capset, &header, data));
	need_refused(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	need_refused(prctl(PR_SET_SECCOMP, 0, 0, 0, 0));
	need_refused(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
}

START_TEST(privileges_do_not_come_back)
{
	/* As somebody, not root, who runs this test. */
	run("privileges_do_not_come_back", _i, regain, NULL);
}
END_TEST

static void wait_for_end(void *ctx)
{
	struct pollfd p = {.fd = ((int *)ctx)[1], .events = POLLIN};

	need(write(p.fd, "", 1) == 1);
	need(poll(&p, 1, -1) == 1);
}

/* What the kernel says of a sandboxed process, in /proc/PID/status. */
static char *status_of_sandboxed(enum jail_mode mode)
{
	auto_fclose FILE *f = NULL;
	char path[64], byte, *text = NULL;
	size_t size = 0;
	int pair[2];
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = jail_start(mode, folder, wait_for_end, pair);
	ck_assert_int_eq(read(pair[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_gt(getdelim(&text, &size, 0, f), 0);
	ck_assert_int_eq(write(pair[0], "", 1), 1);
	ck_assert_int_eq(jail_wait(pid), 0);
	close(pair[0]);
	close(pair[1]);
	return text;
}

START_TEST(the_kernel_agrees)
{
	static const char *const both[] = {"\nCapInh:\t0000000000000000\n",
					   "\nCapPrm:\t0000000000000000\n",
					   "\nCapEff:\t0000000000000000\n",
					   "\nCapAmb:\t0000000000000000\n",
					   "\nNoNewPrivs:\t1\n",
					   "\nSeccomp:\t2\n"};
	static const char *const root[] = {"\nCapBnd:\t0000000000000000\n", "\nGroups:\t \n",
					   "\nUid:\t65534\t65534\t65534\t65534\n",
					   "\nGid:\t65534\t65534\t65534\t65534\n"};
	auto_free char *text = NULL;

	if (!jail_possible("the_kernel_agrees", (enum jail_mode)_i))
		return;
	text = status_of_sandboxed((enum jail_mode)_i);
	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
		ck_assert_msg(strstr(text, both[i]), "no %s in %s", both[i], text);
	for (size_t i = 0; _i == JAIL_ROOT && i < sizeof(root) / sizeof(root[0]); i++)
		ck_assert_msg(strstr(text, root[i]), "no %s in %s", root[i], text);
}
END_TEST

static void use_up_descriptors(void *ctx)
{
	int fd, last = -1;

	(void)ctx;
	while ((fd = open("inside", O_RDONLY | O_CLOEXEC)) >= 0)
		last = fd;
	need(errno == EMFILE && last > 8 && last < 64 + 2 * 1024);
	/* To look at it takes the same call as to change it. */
	need_refused(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, NULL));
}

START_TEST(descriptors_are_few)
{
	run("descriptors_are_few", _i, use_up_descriptors, NULL);
}
END_TEST

/* --- what it says --- */

/* What sandbox_enter() returns in a child that was root, or somebody. */
static void assert_enter(bool as_root, uid_t uid, gid_t gid, int expected, const char *word)
{
	pid_t pid = fork();

	if (pid == 0) {
		char why[256] = "x";
		int fd, r;

		if (!as_root)
			jail_become_user(JAIL_USER);
		fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = sandbox_enter(fd, uid, gid, why, sizeof(why));
		if (r != expected || !strstr(why, word))
			fprintf(stderr, "%d: %s\n", r, why);
		_exit(r == expected && strstr(why, word) ? 0 : 1);
	}
	ck_assert_int_eq(jail_wait(pid), 0);
}

/* As a filter of a container, or of a unit, does. */
static void deny_chroot(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	need(filter != NULL);
	need(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(chroot), 0) == 0);
	need(seccomp_load(filter) == 0);
	seccomp_release(filter);
	need(privileges_have(CAP_SYS_CHROOT));
	need_refused(chroot("."));
}

START_TEST(landlock_does_where_chroot_is_denied)
{
	auto_free char *secret = xasprintf("%s/outside", top);
	bool has_landlock;
	pid_t pid;

	if (!jail_possible("landlock_does_where_chroot_is_denied", JAIL_ROOT))
		return;
	has_landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
	pid = fork();
	if (pid == 0) {
		char why[512];
		int r;

		deny_chroot();
		r = jail_enter(JAIL_ROOT, folder, why, sizeof(why));
		if (!has_landlock) {
			need(r == -EPERM && strstr(why, "allow CAP_SYS_CHROOT"));
			_exit(0);
		}
		need(r == 0 && !why[0]);
		need(!can_open(secret, O_RDONLY));
		need(!can_open("../outside", O_RDONLY) && !can_open("/etc/passwd", O_RDONLY));
		need(can_open("inside", O_RDONLY) && can_open("new", O_RDWR | O_CREAT));
		_exit(0);
	}
	ck_assert_int_eq(jail_wait(pid), 0);
}
END_TEST

START_TEST(root_is_no_user_for_a_worker)
{
	assert_enter(true, 0, JAIL_GID, -EINVAL, "must not be root");
	assert_enter(true, JAIL_UID, 0, -EINVAL, "must not be root");
	assert_enter(true, JAIL_UID, (gid_t)-1, -EINVAL, "must not be root");
}
END_TEST

/* A daemon without the capabilities for it must not go on half protected. */
START_TEST(a_user_cannot_become_the_worker_s)
{
	assert_enter(false, JAIL_UID, JAIL_GID, -EPERM, "cannot become the worker");
}
END_TEST

START_TEST(root_that_stays_is_told)
{
	if (jail_possible("root_that_stays_is_told", JAIL_ROOT))
		assert_enter(true, (uid_t)-1, 0, 0, "user is root");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox");
	TCase *tc = tcase_create("sandbox");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, nothing_outside_the_folder_can_be_opened, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, no_process_can_be_signalled, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, privileges_do_not_come_back, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, the_kernel_agrees, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, descriptors_are_few, 0, N_JAIL_MODES);
	tcase_add_test(tc, the_folder_is_the_root);
	tcase_add_test(tc, landlock_does_where_chroot_is_denied);
	tcase_add_test(tc, root_is_no_user_for_a_worker);
	tcase_add_test(tc, a_user_cannot_become_the_worker_s);
	tcase_add_test(tc, root_that_stays_is_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
