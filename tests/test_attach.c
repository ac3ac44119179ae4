/* SPDX-License-Identifier: BSD-3-Clause */
/* The attacher with an invented worker at the other end, well-behaved or not. */
#include "recorder/attach.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/log.h"

static pid_t target_pid;
static int signals[2];

static void start_target(void)
{
	target_pid = fork();
	if (target_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
}

static void setup(void)
{
	log_set_verbosity(-1);
	ck_assert_int_eq(pipe2(signals, O_CLOEXEC), 0);
	start_target();
}

static void teardown(void)
{
	kill(target_pid, SIGKILL);
	waitpid(target_pid, NULL, 0);
}

/* --- the worker's side: each function is the life of one --- */

static void reply(int sock, enum message_type type, int status, const char *text)
{
	struct message m;

	message_init(&m, type);
	m.status = status;
	snprintf(m.text, sizeof(m.text), "%s", text);
	message_send(sock, &m);
}

static bool is_before_target(const struct message *m)
{
	return m->type == MSG_EDGES || m->type == MSG_WAITS;
}

/* The next message of that type; ends the worker, which is a failure, when there is none. */
static void expect(int sock, enum message_type type, struct message *ret)
{
	/* What comes before the target is of no use here. */
	do {
		if (message_receive(sock, ret) < 0)
			_exit(1);
		if (is_before_target(ret))
			message_close_fds(ret);
	} while (is_before_target(ret));
	if (ret->type != type)
		_exit(1);
}

/* Wait to be stopped for that reason, and be done. */
static void expect_stop(int sock, const char *reason)
{
	struct message m;

	expect(sock, MSG_STOP, &m);
	reply(sock, MSG_DONE, strcmp(m.text, reason) == 0 ? 0 : -EPROTO, m.text);
}

static void attach_at_once(int sock)
{
	struct message m;

	expect(sock, MSG_TARGET, &m);
	if (m.n_fds != 2)
		_exit(1);
	message_close_fds(&m);
	reply(sock, MSG_ATTACHED, 0, "3.11.2");
}

static void end_target(void)
{
	kill(target_pid, SIGKILL);
}

static void worker_until_target_ends(int sock)
{
	attach_at_once(sock);
	end_target();
	expect_stop(sock, "target exited");
}

static void worker_until_signal(int sock)
{
	struct signalfd_siginfo info = {.ssi_signo = SIGINT};

	attach_at_once(sock);
	if (write(signals[1], &info, sizeof(info)) == sizeof(info))
		expect_stop(sock, "stopped by user");
}

static void worker_until_duration(int sock)
{
	attach_at_once(sock);
	expect_stop(sock, "duration reached");
}

static void worker_that_dies(int sock)
{
	attach_at_once(sock);
}

static void worker_that_dies_early(int sock)
{
	(void)sock;
}

static void worker_with_full_disk(int sock)
{
	struct message m;

	expect(sock, MSG_TARGET, &m);
	message_close_fds(&m);
	reply(sock, MSG_DONE, -ENOSPC, "cannot create the trace");
}

static void answer_always(int sock, int status, const char *text)
{
	struct message m;

	while (message_receive(sock, &m) == 0 && (m.type == MSG_TARGET || is_before_target(&m))) {
		message_close_fds(&m);
		if (m.type == MSG_TARGET)
			reply(sock, MSG_ATTACHED, status, text);
	}
	reply(sock, MSG_DONE, 0, "");
}

static void worker_without_python(int sock)
{
	answer_always(sock, -EOPNOTSUPP, "PyPy\033[2J");
}

static void worker_not_initialised(int sock)
{
	answer_always(sock, -EAGAIN, "");
}

static void worker_after_exec(int sock)
{
	attach_at_once(sock);
	reply(sock, MSG_GONE, -ESRCH, "");
	attach_at_once(sock);
	reply(sock, MSG_GONE, -ESRCH, "");
	answer_always(sock, -EOPNOTSUPP, "no Python interpreter");
}

/* Ask for what is not to be had; each time the answer must be an error without a descriptor. */
static void worker_that_asks_too_much(int sock)
{
	struct message m;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	attach_at_once(sock);
	message_init(&m, MSG_WANT_IMAGE);
	m.start = 1;
	m.end = UINT64_MAX;
	message_send(sock, &m);
	expect(sock, MSG_FILE, &m);
	if (m.status >= 0 || m.n_fds)
		_exit(1);
	message_init(&m, MSG_WANT_SOURCE);
	snprintf(m.path, sizeof(m.path), "/dev/zero");
	message_send(sock, &m);
	expect(sock, MSG_FILE, &m);
	if (m.status >= 0 || m.n_fds)
		_exit(1);
	/* What only the attacher says, what nobody says, and descriptors that nobody wants. */
	message_init(&m, MSG_TARGET);
	m.fds[0] = null;
	m.n_fds = 1;
	message_send(sock, &m);
	m.type = 4711;
	message_send(sock, &m);
	reply(sock, MSG_ATTACHED, 0, "again");
	end_target();
	expect_stop(sock, "target exited");
}

/* --- the attacher's side --- */

static struct attach_result run(void (*worker)(int), bool is_command, uint64_t duration_ns)
{
	struct attach_config config = {
	    .is_command = is_command,
	    .duration_ns = duration_ns,
	    .quiet = true,
	    .folder = "/tmp/trace",
	    .signal_fd = signals[0],
	};
	struct attach_result result;
	struct identity id;
	int pair[2];

	ck_assert_int_eq(identity_open(target_pid, &id), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	config.target = &id;
	config.sock = pair[0];
	config.worker = fork();
	if (config.worker == 0) {
		close(pair[0]);
		worker(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	attach_run(&config, &result);
	identity_close(&id);
	return result;
}

static void assert_result(struct attach_result r, int status, bool has_trace)
{
	ck_assert_int_eq(r.exit_status, status);
	ck_assert_int_eq(r.has_trace, has_trace);
}

START_TEST(end_of_the_target_ends_the_trace)
{
	assert_result(run(worker_until_target_ends, false, 0), EXIT_OK, true);
}
END_TEST

START_TEST(status_of_a_command_is_passed_on)
{
	assert_result(run(worker_until_target_ends, true, 0), 128 + SIGKILL, true);
}
END_TEST

START_TEST(a_signal_ends_the_trace_only)
{
	assert_result(run(worker_until_signal, false, 0), EXIT_OK, true);
	ck_assert_int_eq(kill(target_pid, 0), 0);
}
END_TEST

START_TEST(a_duration_ends_the_trace)
{
	assert_result(run(worker_until_duration, false, 50000000), EXIT_OK, true);
	ck_assert_int_eq(kill(target_pid, 0), 0);
}
END_TEST

START_TEST(a_worker_that_dies_is_an_error)
{
	assert_result(run(worker_that_dies, false, 0), EXIT_FAILED, true);
	assert_result(run(worker_that_dies_early, false, 0), EXIT_FAILED, false);
}
END_TEST

START_TEST(a_trace_that_cannot_be_created_is_an_error)
{
	assert_result(run(worker_with_full_disk, false, 0), EXIT_FAILED, false);
}
END_TEST

START_TEST(no_python_is_told)
{
	assert_result(run(worker_without_python, false, 0), EXIT_NO_PYTHON, false);
}
END_TEST

START_TEST(an_interpreter_that_never_starts_is_told)
{
	assert_result(run(worker_not_initialised, false, 0), EXIT_NO_PYTHON, false);
}
END_TEST

START_TEST(a_target_that_executes_is_attached_again)
{
	assert_result(run(worker_after_exec, false, 0), EXIT_FAILED, true);
}
END_TEST

START_TEST(a_worker_gets_only_what_is_the_targets)
{
	assert_result(run(worker_that_asks_too_much, false, 0), EXIT_OK, true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("attach");
	TCase *tc = tcase_create("attach");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, end_of_the_target_ends_the_trace);
	tcase_add_test(tc, status_of_a_command_is_passed_on);
	tcase_add_test(tc, a_signal_ends_the_trace_only);
	tcase_add_test(tc, a_duration_ends_the_trace);
	tcase_add_test(tc, a_worker_that_dies_is_an_error);
	tcase_add_test(tc, a_trace_that_cannot_be_created_is_an_error);
	tcase_add_test(tc, no_python_is_told);
	tcase_add_test(tc, an_interpreter_that_never_starts_is_told);
	tcase_add_test(tc, a_target_that_executes_is_attached_again);
	tcase_add_test(tc, a_worker_gets_only_what_is_the_targets);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
