/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/handover.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int pair[2];

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void teardown(void)
{
	close(pair[0]);
	close(pair[1]);
}

/* The descriptor that would be opened next. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

START_TEST(a_message_arrives_with_its_descriptors)
{
	struct message m, got;
	struct stat st;

	message_init(&m, MSG_TARGET);
	m.status = -EAGAIN;
	m.totals.bytes = 7;
	strcpy(m.text, "python3 app.py");
	strcpy(m.path, "/usr/bin/python3");
	m.fds[0] = open("/dev/null", O_RDONLY);
	m.fds[1] = open("/", O_RDONLY);
	m.n_fds = 2;
	ck_assert_int_eq(message_send(pair[0], &m), 0);
	message_close_fds(&m);
	ck_assert_int_eq(message_receive(pair[1], &got), 0);
	ck_assert_uint_eq(got.type, MSG_TARGET);
	ck_assert_int_eq(got.status, -EAGAIN);
	ck_assert_uint_eq(got.totals.bytes, 7);
	ck_assert_str_eq(got.text, "python3 app.py");
	ck_assert_str_eq(got.path, "/usr/bin/python3");
	ck_assert_int_eq(got.n_fds, 2);
	ck_assert_int_eq(fstat(got.fds[0], &st), 0);
	ck_assert(S_ISCHR(st.st_mode));
	ck_assert_int_eq(fstat(got.fds[1], &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	ck_assert_int_eq(fcntl(got.fds[0], F_GETFD), FD_CLOEXEC);
	message_close_fds(&got);
}
END_TEST

START_TEST(strings_are_terminated)
{
	struct message m, got;

	message_init(&m, MSG_ATTACHED);
	memset(m.text, 'x', sizeof(m.text));
	memset(m.path, 'y', sizeof(m.path));
	ck_assert_int_eq(message_send(pair[0], &m), 0);
	ck_assert_int_eq(message_receive(pair[1], &got), 0);
	ck_assert_uint_eq(strlen(got.text), sizeof(got.text) - 1);
	ck_assert_uint_eq(strlen(got.path), sizeof(got.path) - 1);
}
END_TEST

/* Whoever reports it changes its sign. */
START_TEST(a_status_is_an_errno_or_not_negative)
{
	static const int32_t sent[] = {INT32_MIN, -4096, -4095, 0, INT32_MAX};
	static const int32_t expected[] = {-EBADMSG, -EBADMSG, -4095, 0, INT32_MAX};

	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		struct message m, got;

		message_init(&m, MSG_DONE);
		m.status = sent[i];
		ck_assert_int_eq(message_send(pair[0], &m), 0);
		ck_assert_int_eq(message_receive(pair[1], &got), 0);
		ck_assert_int_eq(got.status, expected[i]);
	}
}
END_TEST

START_TEST(another_size_is_no_message)
{
	static char bytes[sizeof(struct message) + 64];
	struct message got;

	ck_assert_int_eq(send(pair[0], bytes, 10, 0), 10);
	ck_assert_int_eq(message_receive(pair[1], &got), -EBADMSG);
	ck_assert_int_eq(send(pair[0], bytes, sizeof(bytes), 0), (ssize_t)sizeof(bytes));
	ck_assert_int_eq(message_receive(pair[1], &got), -EBADMSG);
}
END_TEST

START_TEST(too_many_descriptors_are_all_closed)
{
	int fds[20], before = next_fd();
	char bytes[1] = {0};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {0};
	struct iovec iov = {.iov_base = bytes, .iov_len = 1};
	struct msghdr header = {.msg_iov = &iov,
				.msg_iovlen = 1,
				.msg_control = control.bytes,
				.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);
	struct message got;

	for (size_t i = 0; i < 20; i++)
		fds[i] = 0;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	ck_assert_int_eq(sendmsg(pair[0], &header, 0), 1);
	ck_assert_int_eq(message_receive(pair[1], &got), -EBADMSG);
	ck_assert_int_eq(got.n_fds, 0);
	ck_assert_int_eq(next_fd(), before);
}
END_TEST

START_TEST(the_end_of_the_other_side_is_told)
{
	struct message m, got;

	message_init(&m, MSG_STOP);
	close(pair[1]);
	pair[1] = -1;
	ck_assert_int_eq(message_send(pair[0], &m), -EPIPE);
	ck_assert_int_eq(message_receive(pair[0], &got), -EPIPE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("handover");
	TCase *tc = tcase_create("handover");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_message_arrives_with_its_descriptors);
	tcase_add_test(tc, strings_are_terminated);
	tcase_add_test(tc, a_status_is_an_errno_or_not_negative);
	tcase_add_test(tc, another_size_is_no_message);
	tcase_add_test(tc, too_many_descriptors_are_all_closed);
	tcase_add_test(tc, the_end_of_the_other_side_is_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
