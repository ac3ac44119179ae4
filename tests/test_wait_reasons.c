/* SPDX-License-Identifier: BSD-3-Clause */
/* Real children, blocked in each way that can be had, read and decoded as the recorder does it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/oncpu/fd_object.h"
#include "tests/support/waiting.h"

#ifdef __x86_64__
#define CALLS_POLL   WAITING_IN(SYS_ppoll, SYS_poll)
#define CALLS_SELECT WAITING_IN(SYS_pselect6, SYS_select)
#else
#define CALLS_POLL   WAITING_IN(SYS_ppoll)
#define CALLS_SELECT WAITING_IN(SYS_pselect6)
#endif

static struct waiting target;
static struct wait_reason reason;

/* Start a child and say why it waits; the test ends it. */
static void look_at(void (*body)(void *ctx), void *ctx, const long *calls)
{
	waiting_start(&target, body, ctx);
	ck_assert(waiting_reason(&target, calls, &reason));
	ck_assert_int_eq(reason.error, 0);
}

#define assert_summary(expected_kind, expected)               \
	do {                                                  \
		ck_assert_str_eq(reason.summary, expected);   \
		ck_assert_int_eq(reason.kind, expected_kind); \
	} while (0)

static void be_asleep(void *ctx)
{
	(void)ctx;
	syscall(SYS_nanosleep, &(struct timespec){77, 0}, NULL);
}

START_TEST(nanosleep_is_a_sleep)
{
	look_at(be_asleep, NULL, WAITING_IN(SYS_nanosleep));
	assert_summary(WAIT_SLEEP, "sleep 77 s");
	ck_assert_uint_eq(reason.timeout_ns, 77 * NS_PER_S);
	waiting_end(&target);
}
END_TEST

static void be_asleep_until(void *ctx)
{
	clockid_t id = *(const clockid_t *)ctx;
	struct timespec ts;

	clock_gettime(id, &ts);
	ts.tv_sec += 300;
	clock_nanosleep(id, TIMER_ABSTIME, &ts, NULL);
}

START_TEST(a_sleep_until_a_time_has_a_length)
{
	clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME};

	for (int i = 0; i < 2; i++) {
		look_at(be_asleep_until, &clocks[i], WAITING_IN(SYS_clock_nanosleep));
		ck_assert_int_eq(reason.kind, WAIT_SLEEP);
		/* It was not seen when it began. */
		ck_assert_uint_le(reason.timeout_ns, 300 * NS_PER_S);
		ck_assert_uint_ge(reason.timeout_ns, 270 * NS_PER_S);
		waiting_end(&target);
	}
}
END_TEST

static void be_polling(void *ctx)
{
	const int *fds = ctx;
	struct pollfd polled[2] = {{.fd = fds[0], .events = POLLIN},
				   {.fd = fds[1], .events = POLLIN}};

	poll(polled, 2, 100000);
}

START_TEST(poll_tells_its_descriptors)
{
	int fds[2] = {eventfd(0, EFD_CLOEXEC),
		      timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
	char expected[WAIT_TEXT_MAX];

	look_at(be_polling, fds, CALLS_POLL);
	ck_assert_ptr_nonnull(strstr(reason.summary, "poll: 2 descriptors"));
	snprintf(expected, sizeof(expected), "fd %d eventfd, fd %d timerfd, timeout 1 min 40 s",
		 fds[0], fds[1]);
	ck_assert_str_eq(reason.detail, expected);
	ck_assert(wait_is_multiplexed(&reason));
	waiting_end(&target);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static void be_selecting(void *ctx)
{
	int fd = *(const int *)ctx;
	struct timeval timeout = {50, 0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	select(fd + 1, &set, NULL, NULL, &timeout);
}

START_TEST(select_tells_its_descriptors)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	look_at(be_selecting, &fds[0], CALLS_SELECT);
	ck_assert_ptr_nonnull(strstr(reason.summary, ": pipe"));
	ck_assert_ptr_nonnull(strstr(reason.detail, "timeout 50.0 s"));
	ck_assert_int_eq(reason.fd, fds[0]);
	ck_assert_int_eq(reason.direction, WAIT_FOR_INPUT);
	waiting_end(&target);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static void be_reading(void *ctx)
{
	char c;

	if (read(*(const int *)ctx, &c, 1) < 0)
		perror("read");
}

START_TEST(reading_a_pipe_is_told)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	look_at(be_reading, &fds[0], WAITING_IN(SYS_read));
	assert_summary(WAIT_READ, "read pipe");
	ck_assert_uint_ne(reason.inode, 0);
	waiting_end(&target);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static void be_writing(void *ctx)
{
	char buf[65536] = {0};

	while (write(*(const int *)ctx, buf, sizeof(buf)) > 0)
		;
}

START_TEST(writing_to_a_full_pipe_is_told)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	look_at(be_writing, &fds[1], WAITING_IN(SYS_write));
	assert_summary(WAIT_WRITE, "write pipe");
	ck_assert_int_eq(reason.direction, WAIT_FOR_OUTPUT);
	waiting_end(&target);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static char lock_path[64];

static int open_lock_file(void)
{
	int fd;

	snprintf(lock_path, sizeof(lock_path), "/tmp/trackexec-lock-XXXXXX");
	fd = mkostemp(lock_path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void be_in_flock(void *ctx)
{
	flock(*(const int *)ctx, LOCK_EX);
}

static void be_in_record_lock(void *ctx)
{
	struct flock lock = {.l_type = F_WRLCK};

	(void)ctx;
	fcntl(open(lock_path, O_RDWR | O_CLOEXEC), F_SETLKW, &lock);
}

START_TEST(locks_of_files_are_told)
{
	struct flock lock = {.l_type = F_WRLCK};
	int fd = open_lock_file(), again = open(lock_path, O_RDWR | O_CLOEXEC);
	char expected[128];

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	look_at(be_in_flock, &again, WAITING_IN(SYS_flock));
	snprintf(expected, sizeof(expected), "flock %s", lock_path);
	assert_summary(WAIT_LOCK_FILE, expected);
	waiting_end(&target);
	ck_assert_int_eq(fcntl(fd, F_SETLK, &lock), 0);
	look_at(be_in_record_lock, NULL, WAITING_IN(SYS_fcntl));
	snprintf(expected, sizeof(expected), "fcntl %s", lock_path);
	assert_summary(WAIT_LOCK_FILE, expected);
	waiting_end(&target);
	/* A deleted file is told as such. */
	unlink(lock_path);
	look_at(be_in_flock, &again, WAITING_IN(SYS_flock));
	snprintf(expected, sizeof(expected), "flock %s (deleted)", lock_path);
	assert_summary(WAIT_LOCK_FILE, expected);
	waiting_end(&target);
	close(again);
	close(fd);
}
END_TEST

static void *lock_mutex(void *mutex)
{
	pthread_mutex_lock(mutex);
	return NULL;
}

static void be_locking(void *ctx)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	(void)ctx;
	pthread_mutex_lock(&mutex);
	lock_mutex(&mutex);
}

START_TEST(a_mutex_is_a_lock)
{
	look_at(be_locking, NULL, WAITING_IN(SYS_futex));
	assert_summary(WAIT_FUTEX, "lock (mutex)");
	ck_assert_uint_ne(reason.futex, 0);
	waiting_end(&target);
}
END_TEST

static pid_t start_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("sleep", "sleep", "4321", NULL);
		_exit(127);
	}
	return pid;
}

static void be_parent(void *ctx)
{
	pid_t pid = start_sleeper();

	(void)ctx;
	waitpid(pid, NULL, 0);
}

static void be_parent_by_pidfd(void *ctx)
{
	int fd = (int)syscall(SYS_pidfd_open, start_sleeper(), 0);
	siginfo_t info;

	(void)ctx;
	waitid((idtype_t)3, (id_t)fd, &info, WEXITED);
}

/* Its command line changes when it has executed sleep. */
static void assert_waits_for_sleep(const long *calls)
{
	uint64_t end_ns = clock_monotonic_ns() + 20 * NS_PER_S;

	do
		ck_assert(waiting_reason(&target, calls, &reason));
	while (strcmp(reason.summary, "wait for child: sleep 4321") != 0 &&
	       clock_monotonic_ns() < end_ns);
	assert_summary(WAIT_CHILD, "wait for child: sleep 4321");
	ck_assert_int_gt(reason.child, 0);
	kill(reason.child, SIGKILL);
}

START_TEST(children_are_told_with_their_command)
{
	waiting_start(&target, be_parent, NULL);
	assert_waits_for_sleep(WAITING_IN(SYS_wait4));
	waiting_end(&target);
	waiting_start(&target, be_parent_by_pidfd, NULL);
	assert_waits_for_sleep(WAITING_IN(SYS_waitid));
	waiting_end(&target);
}
END_TEST

static void be_first_of_container(void *ctx)
{
	(void)ctx;
	if (unshare(CLONE_NEWPID) < 0)
		_exit(1);
	be_parent(NULL);
}

START_TEST(a_child_in_another_container_is_found)
{
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return;
	}
	/* This one is not in the namespace itself; its child is, but is called as here. */
	waiting_start(&target, be_first_of_container, NULL);
	assert_waits_for_sleep(WAITING_IN(SYS_wait4));
	waiting_end(&target);
}
END_TEST

static void be_waiting_for_signal(void *ctx)
{
	sigset_t set;

	(void)ctx;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigtimedwait(&set, NULL, &(struct timespec){60, 0});
}

START_TEST(waiting_for_a_signal_is_told)
{
	look_at(be_waiting_for_signal, NULL, WAITING_IN(SYS_rt_sigtimedwait));
	assert_summary(WAIT_SIGNAL, "wait for a signal");
	ck_assert_str_eq(reason.detail, "set 0x200, timeout 1 min 00 s");
	waiting_end(&target);
}
END_TEST

struct closing {
	int fd, order; /* it is closed when something can be read from the other */
};

static void *close_when_told(void *ctx)
{
	const struct closing *c = ctx;
	char order;

	if (read(c->order, &order, 1) == 1)
		close(c->fd);
	return NULL;
}

static void be_reading_what_is_closed(void *ctx)
{
	struct closing *c = ctx;
	pthread_t thread;

	pthread_create(&thread, NULL, close_when_told, ctx);
	be_reading(&c->fd);
}

START_TEST(a_closed_descriptor_is_unknown)
{
	uint64_t end_ns = clock_monotonic_ns() + 20 * NS_PER_S;
	int fds[2], orders[2];
	struct closing closing;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(orders, O_CLOEXEC), 0);
	closing = (struct closing){.fd = fds[0], .order = orders[0]};
	look_at(be_reading_what_is_closed, &closing, WAITING_IN(SYS_read));
	ck_assert_int_eq(write(orders[1], "x", 1), 1);
	do
		ck_assert(waiting_reason(&target, WAITING_IN(SYS_read), &reason));
	while (reason.error != -EBADF && clock_monotonic_ns() < end_ns);
	assert_summary(WAIT_READ, "read unknown object");
	ck_assert_ptr_nonnull(strstr(reason.detail, "closed meanwhile"));
	waiting_end(&target);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(orders[i]);
	}
}
END_TEST

static void be_stopped(void *ctx)
{
	(void)ctx;
	raise(SIGSTOP);
}

START_TEST(a_stopped_process_is_told)
{
	waiting_start(&target, be_stopped, NULL);
	ck_assert_int_eq(waitpid(target.pid, NULL, WUNTRACED), target.pid);
	ck_assert(waiting_reason(&target, WAITING_IN(SYS_tgkill, SYS_tkill, SYS_kill), &reason));
	assert_summary(WAIT_STOPPED, "stopped by a signal");
	waiting_end(&target);
}
END_TEST

/* Touches memory whose pages someone else has to provide, and does not. */
static void be_at_fault(void *ctx)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	volatile char *page;

	(void)ctx;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	range.range.start = (uintptr_t)page;
	range.range.len = 4096;
	if (ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &range) == 0) {
		page[0] = 1;
	}
}

START_TEST(a_page_fault_is_told)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "skipped: no userfaultfd here, or not allowed\n");
		return;
	}
	look_at(be_at_fault, &fd, WAITING_IN_NO_CALL);
	ck_assert_int_eq(reason.kind, WAIT_FAULT);
	ck_assert_int_eq(reason.syscall, WAIT_NO_SYSTEM_CALL);
	/* Unless the kernel does not tell its functions. */
	if (reason.detail[0])
		assert_summary(WAIT_FAULT, "page fault, userfaultfd");
	waiting_end(&target);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_reasons");
	TCase *tc = tcase_create("wait_reasons");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nanosleep_is_a_sleep);
	tcase_add_test(tc, a_sleep_until_a_time_has_a_length);
	tcase_add_test(tc, poll_tells_its_descriptors);
	tcase_add_test(tc, select_tells_its_descriptors);
	tcase_add_test(tc, reading_a_pipe_is_told);
	tcase_add_test(tc, writing_to_a_full_pipe_is_told);
	tcase_add_test(tc, locks_of_files_are_told);
	tcase_add_test(tc, a_mutex_is_a_lock);
	tcase_add_test(tc, children_are_told_with_their_command);
	tcase_add_test(tc, a_child_in_another_container_is_found);
	tcase_add_test(tc, waiting_for_a_signal_is_told);
	tcase_add_test(tc, a_closed_descriptor_is_unknown);
	tcase_add_test(tc, a_stopped_process_is_told);
	tcase_add_test(tc, a_page_fault_is_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
