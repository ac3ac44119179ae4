/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that the filter refuses. Those that it must allow are made in test_sandbox_recording.c. */
#include "recorder/call_filter.h"

#include <check.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "tests/support/jail.h"
#include "tests/support/tree.h"

static char *folder;

static void setup(void)
{
	folder = tree_new();
	jail_give(folder);
}

static void teardown(void)
{
	tree_free(folder);
}

static void run(const char *test, int mode, jail_fn body, void *ctx)
{
	if (!jail_possible(test, (enum jail_mode)mode))
		return;
	ck_assert_int_eq(jail_run((enum jail_mode)mode, folder, body, ctx), 0);
}

static pid_t make_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static void make_processes(void *ctx)
{
	const unsigned long thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;

	(void)ctx;
	need_refused(make_child());
	/* Invalid even where allowed: without a stack none of these would survive. */
	need_refused(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
	need_refused(syscall(SYS_clone, thread | CLONE_NEWUSER, NULL, NULL, NULL, NULL));
	need_refused(syscall(SYS_clone, thread | CLONE_PTRACE, NULL, NULL, NULL, NULL));
	need(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
}

START_TEST(no_process_can_be_made)
{
	run("no_process_can_be_made", _i, make_processes, NULL);
}
END_TEST

static void execute(void *ctx)
{
	char *argv[] = {(char[]){"true"}, NULL};
	int exe_fd = *(int *)ctx;

	need_refused(execve("/bin/true", argv, argv + 1));
	need_refused(syscall(SYS_execveat, exe_fd, "", argv, argv + 1, AT_EMPTY_PATH));
}

START_TEST(nothing_can_be_executed)
{
	auto_close int exe_fd = open("/bin/true", O_RDONLY | O_CLOEXEC);

	run("nothing_can_be_executed", _i, execute, &exe_fd);
}
END_TEST

static void make_code(void *ctx)
{
	const int rw = PROT_READ | PROT_WRITE;
	int exe_fd = *(int *)ctx;
	void *p = mmap(NULL, 4096, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(p != MAP_FAILED);
	need(mprotect(p, 4096, PROT_READ) == 0);
	need_refused(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	need_refused(
	    (intptr_t)mmap(NULL, 4096, rw | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	need_refused((intptr_t)mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE, exe_fd, 0));
	need_refused(syscall(SYS_pkey_mprotect, p, 4096, PROT_EXEC, -1));
}

START_TEST(no_memory_can_be_made_executable)
{
	auto_close int exe_fd = open("/bin/true", O_RDONLY | O_CLOEXEC);

	run("no_memory_can_be_made_executable", _i, make_code, &exe_fd);
}
END_TEST

/* --- sockets --- */

static void make_sockets(void *ctx)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "inside"};
	int sock = *(int *)ctx, pair[2];

	need_refused(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	need_refused(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	need_refused(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	need_refused(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
	need_refused(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	need_refused(bind(sock, (struct sockaddr *)&address, sizeof(address)));
	need_refused(connect(sock, (struct sockaddr *)&address, sizeof(address)));
	need_refused(listen(sock, 1));
	need_refused(sendto(sock, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)));
	need_refused(setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)));
}

START_TEST(no_socket_can_be_made)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	run("no_socket_can_be_made", _i, make_sockets, &pair[0]);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* --- other calls --- */

/* With arguments that make each fail with something else than EPERM, or do nothing, if allowed. */
static const long refused_calls[] = {
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_io_uring_setup,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_ioctl,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_memfd_create,
    SYS_chdir,
    SYS_fchmodat,
    SYS_fchownat,
    SYS_fchown,
    SYS_openat2,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_setpriority,
    SYS_sched_setscheduler,
    SYS_shmat,
    SYS_shmget,
    SYS_msgget,
    SYS_semget,
    SYS_mq_open,
    SYS_inotify_init1,
    SYS_fanotify_init,
    SYS_epoll_create1,
    SYS_timerfd_create,
    SYS_signalfd4,
    SYS_seccomp,
    SYS_landlock_create_ruleset,
    SYS_personality,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_swapon,
    SYS_quotactl,
    SYS_syslog,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_splice,
    SYS_vmsplice,
    SYS_sendfile,
    SYS_mlockall,
    SYS_fsopen,
    SYS_open_tree,
    SYS_move_mount,
    SYS_mount_setattr,
    SYS_kcmp,
    SYS_process_madvise,
    SYS_setsid,
    SYS_setpgid,
    SYS_getdents64,
    SYS_truncate,
    SYS_utimensat,
    SYS_setxattr,
    SYS_prlimit64,
};

static void call_others(void *ctx)
{
	(void)ctx;
	for (size_t i = 0; i < sizeof(refused_calls) / sizeof(refused_calls[0]); i++) {
		errno = 0;
		if (syscall(refused_calls[i], -1L, -1L, -1L, -1L, -1L, -1L) < 0 && errno == EPERM)
			continue;
		fprintf(stderr, "system call %ld: %s\n", refused_calls[i], strerror(errno));
		_exit(1);
	}
}

START_TEST(other_calls_are_refused)
{
	run("other_calls_are_refused", _i, call_others, NULL);
}
END_TEST

static void use_fcntl(void *ctx)
{
	int fd = open("new", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)ctx;
	need(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) >= 0);
	need_refused(fcntl(fd, F_SETFL, O_ASYNC));
	need_refused(fcntl(fd, F_SETOWN, getpid()));
	need_refused(fcntl(fd, F_SETSIG, SIGIO));
	need_refused(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	need_refused(fcntl(fd, F_NOTIFY, 0));
	need_refused(fchmod(fd, 04755));
	need(fchmod(fd, 0640) == 0);
}

START_TEST(descriptors_send_no_signals)
{
	run("descriptors_send_no_signals", _i, use_fcntl, NULL);
}
END_TEST

#ifdef __x86_64__
static void call_as_x32(void *ctx)
{
	(void)ctx;
	syscall(0x40000000 | SYS_getpid);
}

static void call_as_i386(void *ctx)
{
	long pid = 20; /* getpid */

	(void)ctx;
	signal(SIGSEGV, SIG_DFL); /* the address sanitizer's */
	__asm__ volatile("int $0x80" : "+a"(pid) : : "memory");
}

/* Numbers mean other calls there. */
START_TEST(another_architecture_s_calls_end_it)
{
	int status;

	if (!jail_possible("another_architecture_s_calls_end_it", (enum jail_mode)_i))
		return;
	status = jail_run((enum jail_mode)_i, folder, call_as_x32, NULL);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = jail_run((enum jail_mode)_i, folder, call_as_i386, NULL);
	/* SIGSEGV where the kernel has no such calls. */
	ck_assert(WIFSIGNALED(status));
	ck_assert(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
}
END_TEST
#endif

static void do_abort(void *ctx)
{
	(void)ctx;
	signal(SIGSEGV, SIG_DFL); /* the address sanitizer's */
	abort();
}

START_TEST(abort_ends_it)
{
	if (jail_possible("abort_ends_it", (enum jail_mode)_i))
		ck_assert(WIFSIGNALED(jail_run((enum jail_mode)_i, folder, do_abort, NULL)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("call_filter");
	TCase *tc = tcase_create("call_filter");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, no_process_can_be_made, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, nothing_can_be_executed, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, no_memory_can_be_made_executable, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, no_socket_can_be_made, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, other_calls_are_refused, 0, N_JAIL_MODES);
	tcase_add_loop_test(tc, descriptors_send_no_signals, 0, N_JAIL_MODES);
#ifdef __x86_64__
	tcase_add_loop_test(tc, another_architecture_s_calls_end_it, 0, N_JAIL_MODES);
#endif
	tcase_add_loop_test(tc, abort_ends_it, 0, N_JAIL_MODES);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
