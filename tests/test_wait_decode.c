/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Invented threads: those that wait for a time, a lock or a child. For objects:
 * test_wait_describe.c; real ones: test_wait_reasons.c.
 */
#include "recorder/oncpu/wait_decode.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/support/wait_scene.h"

START_TEST(sleeps_have_a_length)
{
	uint64_t length = put_time(0, 2, 500000000);

	DECODE(SYS_nanosleep, length);
	assert_reason(WAIT_SLEEP, "sleep 2.5 s", "");
	ck_assert_uint_eq(reason.timeout_ns, 2500 * NS_PER_MS);
	ck_assert_int_eq(reason.error, 0);
	ck_assert_str_eq(reason.syscall_name, "nanosleep");
	DECODE(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, length);
	ck_assert_str_eq(reason.summary, "sleep 2.5 s");
	/* An old way to sleep. */
	DECODE(SYS_pselect6, 0, 0, 0, 0, length);
	assert_reason(WAIT_SLEEP, "sleep 2.5 s", "");
}
END_TEST

START_TEST(lengths_of_sleeps_have_few_digits)
{
	static const struct {
		int64_t s, ns;
		const char *text;
	} cases[] = {
	    {0, 0, "sleep 0 ns"},	   {0, 999, "sleep 1 us"},	 {0, 60000, "sleep 60 us"},
	    {0, 1234567, "sleep 1.2 ms"},  {0, 999900000, "sleep 1 s"},	 {5, 0, "sleep 5 s"},
	    {12, 345678900, "sleep 12 s"}, {125, 0, "sleep 2 min 05 s"}, {INT64_MAX, 0, "sleep"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		DECODE(SYS_nanosleep, put_time(0, cases[i].s, cases[i].ns));
		ck_assert_str_eq(reason.summary, cases[i].text);
	}
}
END_TEST

START_TEST(deadlines_become_lengths)
{
	/* It began to wait 40 us after it had computed its deadline. */
	uint64_t monotonic = put_time(0, 1004, 999960000);
	uint64_t realtime = put_time(16, 1700001000 + 3, 0);

	DECODE(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, monotonic);
	assert_reason(WAIT_SLEEP, "sleep 5 s", "");
	ck_assert_uint_eq(reason.timeout_ns, 5 * NS_PER_S);
	DECODE(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, realtime);
	ck_assert_str_eq(reason.summary, "sleep 3 s");
	DECODE(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, put_time(0, 1, 0));
	ck_assert_str_eq(reason.summary, "sleep 0 ns");
	DECODE(SYS_clock_nanosleep, CLOCK_TAI, TIMER_ABSTIME, realtime);
	ck_assert_str_eq(reason.summary, "sleep until a set time");
	wait_clock = (struct wait_clock){0};
	DECODE(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, realtime);
	ck_assert_str_eq(reason.summary, "sleep until a set time");
	ck_assert_uint_eq(reason.timeout_ns, WAIT_NO_TIMEOUT);
}
END_TEST

START_TEST(locks_are_told)
{
	uint64_t length = put_time(0, 0, 250000000), deadline = put_time(16, 1001, 0);
	uint64_t date = put_time(32, 1700001000 + 2, 0);
	unsigned absolute = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG;

	DECODE(SYS_futex, 0x7f0010, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, 0);
	assert_reason(WAIT_FUTEX, "lock (mutex)", "futex 0x7f0010");
	ck_assert_uint_eq(reason.futex, 0x7f0010);
	ck_assert_uint_eq(reason.futex_value, 2);
	DECODE(SYS_futex, 0x7f0010, FUTEX_WAIT, 0, length);
	assert_reason(WAIT_FUTEX, "lock or condition (futex)", "futex 0x7f0010, timeout 250 ms");
	DECODE(SYS_futex, 0x7f0010, absolute, 0, deadline);
	ck_assert_uint_eq(reason.timeout_ns, NS_PER_S);
	DECODE(SYS_futex, 0x7f0010, absolute | FUTEX_CLOCK_REALTIME, 0, date);
	ck_assert_uint_eq(reason.timeout_ns, 2 * NS_PER_S);
	DECODE(SYS_futex, 0x7f0010, FUTEX_LOCK_PI, 0, date);
	assert_reason(WAIT_FUTEX, "lock (futex, priority inheritance)",
		      "futex 0x7f0010, timeout 2.00 s");
	DECODE(SYS_futex, 0x7f0010, absolute, 0, 0);
	ck_assert_uint_eq(reason.timeout_ns, WAIT_NO_TIMEOUT);
	put(64, (const uint64_t[]){7, 0x7f0020, 0}, 24);
	DECODE(SYS_futex_waitv, SCENE_START + 64, 3, 0, deadline, CLOCK_MONOTONIC);
	assert_reason(WAIT_FUTEX, "any of several locks (futex_waitv)",
		      "3 futexes, timeout 1.00 s");
	ck_assert_uint_eq(reason.futex, 0x7f0020);
}
END_TEST

START_TEST(children_have_a_command)
{
	put_link(5, "anon_inode:[pidfd]");
	snprintf(fds[5].info, sizeof(fds[5].info),
		 "pos:\t0\nflags:\t02000002\nPid:\t9999\nNSpid:\t9999\t4242\n");
	DECODE(SYS_wait4, 4242);
	assert_reason(WAIT_CHILD, "wait for child: sleep 100", "pid 4242");
	ck_assert_int_eq(reason.child, 4242);
	DECODE(SYS_wait4, 4243);
	assert_reason(WAIT_CHILD, "wait for child", "pid 4243, there is no such child any more");
	DECODE(SYS_wait4, -1);
	assert_reason(WAIT_CHILD, "wait for any child", "");
	DECODE(SYS_wait4, -77);
	assert_reason(WAIT_CHILD, "wait for a child of a process group", "group 77");
	DECODE(SYS_waitid, 1, 4242);
	ck_assert_str_eq(reason.summary, "wait for child: sleep 100");
	DECODE(SYS_waitid, 3, 5);
	assert_reason(WAIT_CHILD, "wait for child: sleep 100", "pid 4242, fd 5");
	DECODE(SYS_waitid, 3, 6);
	ck_assert_str_eq(reason.summary, "wait for child (pidfd)");
	DECODE(SYS_waitid, 0, 0);
	ck_assert_str_eq(reason.summary, "wait for any child");
	/* An event loop's watcher. */
	put(0, &(struct pollfd){.fd = 5, .events = POLLIN}, sizeof(struct pollfd));
	DECODE(SYS_ppoll, SCENE_START, 1);
	ck_assert_str_eq(reason.summary, "ppoll: pidfd");
	ck_assert_int_eq(reason.child, 9999);
}
END_TEST

START_TEST(other_calls_are_named)
{
	put_link(3, "/queue");
	DECODE(SYS_rt_sigtimedwait, put(0, &(uint64_t){0x200}, 8), 0, put_time(16, 1, 0));
	assert_reason(WAIT_SIGNAL, "wait for a signal", "set 0x200, timeout 1.00 s");
	DECODE(SYS_rt_sigsuspend, 0);
	assert_reason(WAIT_SIGNAL, "wait for a signal", "");
	DECODE(SYS_msgrcv, 17);
	assert_reason(WAIT_IPC, "receive, message queue (System V)", "id 17");
	DECODE(SYS_semtimedop, 18, 0, 0, put_time(16, 1, 0));
	assert_reason(WAIT_IPC, "semaphores (System V)", "id 18, timeout 1.00 s");
	DECODE(SYS_mq_timedreceive, 3, 0, 0, 0, put_time(16, 1700001000 + 4, 0));
	assert_reason(WAIT_IPC, "receive /queue", "fd 3, timeout 4.00 s");
	DECODE(SYS_clone, 0);
	assert_reason(WAIT_START, "start a process", "");
	DECODE(SYS_restart_syscall, 0);
	assert_reason(WAIT_OTHER, "restarted call", "");
	DECODE(SYS_getrandom, 0);
	assert_reason(WAIT_OTHER, "random numbers", "");
	DECODE(SYS_getpid, 0);
	assert_reason(WAIT_OTHER, "getpid, unknown object", "");
	put_link(4, "anon_inode:[io_uring]");
	DECODE(SYS_io_uring_enter, 4);
	assert_reason(WAIT_POLL, "io_uring_enter: [io_uring]", "fd 4");
	DECODE(99999, 0);
	assert_reason(WAIT_OTHER, "system call 99999", "");
	ck_assert_ptr_null(reason.syscall_name);
}
END_TEST

START_TEST(no_system_call_is_told)
{
	decode_text("running\n", 'R', "0");
	assert_reason(WAIT_RUNNING, "running", "");
	decode_text("-1 0x7ffd0000 0x7f120000\n", 'D', "folio_wait_bit_common");
	assert_reason(WAIT_FAULT, "page fault, reading from the disk", "in folio_wait_bit_common");
	ck_assert_int_eq(reason.syscall, WAIT_NO_SYSTEM_CALL);
	decode_text("-1 0x7ffd0000 0x7f120000\n", 'D', "0");
	assert_reason(WAIT_FAULT, "no system call (page fault or disk)", "");
	decode_text("0 0x3 0 0 0 0 0 0x7ffd0000 0x7f120000\n", 'T', "do_signal_stop");
	assert_reason(WAIT_STOPPED, "stopped by a signal", "");
	decode_text("0 0x3 0 0 0 0 0 0x7ffd0000 0x7f120000\n", 't', "ptrace_stop");
	ck_assert_str_eq(reason.summary, "stopped by a debugger");
	decode_text("0 0x3 0 0 0 0 0 0x7ffd0000 0x7f120000\n", 'S', "do_freezer_trap");
	assert_reason(WAIT_STOPPED, "frozen (cgroup)", "");
}
END_TEST

START_TEST(nonsense_is_unknown)
{
	static const char *const texts[] = {
	    "",
	    "x",
	    "0",
	    "0 0x1 0x2",
	    "-2 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8",
	    "-",
	    "0x",
	    "99999999999999999999 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		decode_text(texts[i], 'S', "");
		assert_reason(WAIT_UNKNOWN, "unknown", "its arguments make no sense");
		ck_assert_int_eq(reason.error, -EBADMSG);
	}
}
END_TEST

#ifdef __x86_64__
START_TEST(calls_of_old_are_told)
{
	put_link(4, "anon_inode:[eventpoll]");
	put(0, &(struct pollfd){.fd = 4, .events = POLLIN}, sizeof(struct pollfd));
	DECODE(SYS_poll, SCENE_START, 1, 250);
	assert_reason(WAIT_POLL, "poll: epoll", "fd 4, timeout 250 ms");
	DECODE(SYS_epoll_wait, 4, SCENE_NOWHERE, 1, 0);
	assert_reason(WAIT_POLL, "epoll_wait: 0 descriptors", "fd 4, timeout 0 ns");
	DECODE(SYS_select, 0, 0, 0, 0, put_time(0, 1, 500000));
	assert_reason(WAIT_SLEEP, "sleep 1.5 s", "");
	DECODE(SYS_open, put_text(64, "/x"));
	assert_reason(WAIT_FILE, "open /x", "");
	DECODE(SYS_rename, SCENE_START + 64, put_text(96, "/y"));
	assert_reason(WAIT_FILE, "rename /x to /y", "");
	DECODE(SYS_pause, 0);
	assert_reason(WAIT_SIGNAL, "wait for a signal", "");
	DECODE(SYS_vfork, 0);
	assert_reason(WAIT_START, "start a process", "");
}
END_TEST
#endif

START_TEST(every_kind_has_a_name)
{
	for (int i = 0; i < N_WAIT_KINDS; i++)
		ck_assert_ptr_nonnull(wait_kind_name((enum wait_kind)i));
	ck_assert_str_eq(wait_kind_name(N_WAIT_KINDS), "unknown");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_decode");
	TCase *tc = tcase_create("wait_decode");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, scene_setup, NULL);
	tcase_add_test(tc, sleeps_have_a_length);
	tcase_add_test(tc, lengths_of_sleeps_have_few_digits);
	tcase_add_test(tc, deadlines_become_lengths);
	tcase_add_test(tc, locks_are_told);
	tcase_add_test(tc, children_have_a_command);
	tcase_add_test(tc, other_calls_are_named);
	tcase_add_test(tc, no_system_call_is_told);
	tcase_add_test(tc, nonsense_is_unknown);
#ifdef __x86_64__
	tcase_add_test(tc, calls_of_old_are_told);
#endif
	tcase_add_test(tc, every_kind_has_a_name);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
