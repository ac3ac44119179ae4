/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions about a sleeping child, asked by a thread and answered by this one. */
#include "recorder/oncpu/wait_link.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/oncpu/wait_source.h"
#include "recorder/target/mappings.h"

#define DEADLINE_MS 20000

static int ends[2]; /* the worker's, the attacher's */
static pid_t child;
static int held; /* a pipe end that the child has, too */
static struct identity id = {.proc_fd = -1, .pidfd = -1};

static void setup(void)
{
	int pipes[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(pipe(pipes), 0);
	held = pipes[0];
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		close(ends[1]);
		for (;;)
			pause();
	}
	ck_assert_int_eq(identity_open(child, &id), 0);
}

static void teardown(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	identity_close(&id);
	close(ends[0]);
	close(ends[1]);
}

/* What a thread asks; it puts the result here. */
struct question {
	void (*ask)(struct question *q);
	int result;
	struct thread_facts thread;
	struct fd_facts fd;
	char peer[WAIT_PEER_MAX];
};

static void *ask_it(void *arg)
{
	struct question *q = arg;

	q->ask(q);
	return NULL;
}

static int receive(struct wait_ask *ask)
{
	struct pollfd p = {.fd = ends[1], .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, DEADLINE_MS), 1);
	return wait_link_receive(ends[1], ask);
}

static void answer_one(struct question *q)
{
	struct socket_sources sockets = {0};
	struct wait_answer answer;
	struct wait_ask ask;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, ask_it, q), 0);
	ck_assert_int_eq(receive(&ask), 0);
	wait_link_answer(&id, &sockets, &ask, &answer);
	ck_assert_int_eq(wait_link_reply(ends[1], &answer), 0);
	ck_assert_int_eq(answer.file, -1);
	pthread_join(thread, NULL);
}

static void ask_thread(struct question *q)
{
	q->result = wait_link_thread(ends[0], (uint32_t)child, &q->thread);
}

START_TEST(a_thread_s_system_call)
{
	struct question q = {.ask = ask_thread};
	uint64_t end = clock_monotonic_ns() + DEADLINE_MS * NS_PER_MS;

	do {
		ck_assert_uint_lt(clock_monotonic_ns(), end);
		answer_one(&q);
	} while (q.result == 0 && q.thread.state != 'S');
	if (q.result == -EPERM || q.result == -EACCES)
		return; /* nobody may read that here */
	ck_assert_int_eq(q.result, 0);
	ck_assert_int_eq(atoi(q.thread.syscall), SYS_pause);
}
END_TEST

static void ask_wrong_thread(struct question *q)
{
	q->result = wait_link_thread(ends[0], 1, &q->thread);
}

/* Thread ids are looked up below the target only. */
START_TEST(another_process_is_not_told_of)
{
	struct question q = {.ask = ask_wrong_thread};

	answer_one(&q);
	ck_assert_int_eq(q.result, -ESRCH);
}
END_TEST

static void ask_fd(struct question *q)
{
	q->result = wait_link_fd(ends[0], (uint32_t)child, held, &q->fd);
}

START_TEST(a_descriptor)
{
	struct question q = {.ask = ask_fd};

	answer_one(&q);
	if (q.result == -EPERM || q.result == -EACCES)
		return;
	ck_assert_int_eq(q.result, 0);
	ck_assert_int_eq(strncmp(q.fd.link, "pipe:[", 6), 0);
	/* Only what there is of the last field was sent. */
	ck_assert_ptr_nonnull(strstr(q.fd.info, "flags:"));
}
END_TEST

static void ask_peer(struct question *q)
{
	struct peer_question peer = {.kind = PEER_PIPE_WRITER, .inode = 1};

	q->result = wait_link_peer(ends[0], &peer, q->peer);
}

/* Here nobody knows other targets. */
START_TEST(no_peer)
{
	struct question q = {.ask = ask_peer};

	answer_one(&q);
	ck_assert_int_eq(q.result, -ENOENT);
}
END_TEST

static void ask_file(struct question *q)
{
	char path[] = "/nowhere/lib.so";
	struct mapping mapping = {.start = 4096, .end = 8192, .path = path};
	struct native_file file = {.kind = NATIVE_FILE_IMAGE, .mapping = &mapping};

	q->result = wait_link_file(ends[0], &file);
	if (q->result >= 0)
		close(q->result);
}

START_TEST(a_file_that_is_not_mapped)
{
	struct question q = {.ask = ask_file};

	answer_one(&q);
	ck_assert_int_lt(q.result, 0);
}
END_TEST

/* What does not make sense as a question ends the link, and its descriptors are closed. */
START_TEST(no_question)
{
	struct wait_ask ask = {.question = N_WAIT_QUESTIONS};
	static const size_t lengths[] = {1, 4, offsetof(struct wait_ask, file_kind), sizeof(ask)};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ck_assert_int_eq(send(ends[0], &ask, lengths[i], 0), (ssize_t)lengths[i]);
		ck_assert_int_eq(receive(&ask), -EBADMSG);
		ask = (struct wait_ask){.question = N_WAIT_QUESTIONS};
	}
	/* A long question in the place of a short one, and the other way round. */
	ask = (struct wait_ask){.question = WAIT_ASK_THREAD};
	ck_assert_int_eq(send(ends[0], &ask, sizeof(ask), 0), sizeof(ask));
	ck_assert_int_eq(receive(&ask), -EBADMSG);
	ask = (struct wait_ask){.question = WAIT_ASK_FILE};
	ck_assert_int_eq(send(ends[0], &ask, 16, 0), 16);
	ck_assert_int_eq(receive(&ask), -EBADMSG);
	ck_assert_int_eq(wait_link_receive(ends[1], &ask), -EAGAIN);
	close(ends[0]);
	ends[0] = -1;
	ck_assert_int_eq(receive(&ask), -EPIPE);
}
END_TEST

/* Answers that lie about their length are none. */
START_TEST(no_answer)
{
	struct question q = {.ask = ask_thread};
	struct wait_answer answer = {.len = 3};
	struct wait_ask ask;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, ask_it, &q), 0);
	ck_assert_int_eq(receive(&ask), 0);
	ck_assert_int_gt(send(ends[1], &answer, offsetof(struct wait_answer, facts), 0), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(q.result, -EBADMSG);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_it, &q), 0);
	ck_assert_int_eq(receive(&ask), 0);
	shutdown(ends[1], SHUT_RDWR);
	pthread_join(thread, NULL);
	ck_assert_int_eq(q.result, -EPIPE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_link");
	TCase *tc = tcase_create("wait_link");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_thread_s_system_call);
	tcase_add_test(tc, another_process_is_not_told_of);
	tcase_add_test(tc, a_descriptor);
	tcase_add_test(tc, no_peer);
	tcase_add_test(tc, a_file_that_is_not_mapped);
	tcase_add_test(tc, no_question);
	tcase_add_test(tc, no_answer);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
