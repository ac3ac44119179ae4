/* SPDX-License-Identifier: BSD-3-Clause */
/* Real children that wait for sockets, read and decoded as the recorder does it. */
#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/waiting.h"

#ifdef __x86_64__
#define CALLS_POLL  WAITING_IN(SYS_ppoll, SYS_poll)
#define CALLS_EPOLL WAITING_IN(SYS_epoll_pwait, SYS_epoll_wait)
#else
#define CALLS_POLL  WAITING_IN(SYS_ppoll)
#define CALLS_EPOLL WAITING_IN(SYS_epoll_pwait)
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

static const char *with_number(const char *format, unsigned number)
{
	static char text[WAIT_TEXT_MAX];

	snprintf(text, sizeof(text), "%s%u", format, number);
	return text;
}

/* A listener on a port of 127.0.0.1 that no one chose. Returns its descriptor. */
static int listen_somewhere(int backlog, struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET};
	ret->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)ret, sizeof(*ret)), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)ret, &len), 0);
	return fd;
}

static void be_receiving(void *ctx)
{
	char c;

	if (recv(*(const int *)ctx, &c, 1, 0) < 0)
		perror("recv");
}

START_TEST(a_socket_pair_tells_its_other_end)
{
	struct stat st;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(fstat(fds[1], &st), 0);
	look_at(be_receiving, &fds[0], WAITING_IN(SYS_recvfrom));
	assert_summary(WAIT_READ, "recv from UNIX socket");
	/* 0 where the kernel does not tell: no sock_diag. */
	if (reason.peer_inode)
		ck_assert_uint_eq(reason.peer_inode, st.st_ino);
	else
		fprintf(stderr, "skipped: no Unix socket monitoring in this kernel\n");
	waiting_end(&target);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(a_unix_client_waits_for_the_server_by_name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len;
	int accepted;

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "trackexec-test-%d",
		 (int)getpid());
	len = (socklen_t)(sizeof(address.sun_family) + 1 + strlen(address.sun_path + 1));
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, len), 0);
	accepted = accept(listener, NULL, NULL);
	look_at(be_receiving, &accepted, WAITING_IN(SYS_recvfrom));
	ck_assert_str_eq(
	    reason.summary,
	    with_number("recv from client of UNIX socket @trackexec-test-", (unsigned)getpid()));
	waiting_end(&target);
	look_at(be_receiving, &client, WAITING_IN(SYS_recvfrom));
	if (reason.peer_inode)
		ck_assert_str_eq(
		    reason.summary,
		    with_number("recv from UNIX socket @trackexec-test-", (unsigned)getpid()));
	waiting_end(&target);
	close(accepted);
	close(client);
	close(listener);
}
END_TEST

START_TEST(a_tcp_socket_tells_both_addresses)
{
	struct sockaddr_in address;
	int listener = listen_somewhere(4, &address);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	look_at(be_receiving, &client, WAITING_IN(SYS_recvfrom));
	/* Both ports are of those that the kernel chooses, unless it was told to choose others. */
	ck_assert_ptr_nonnull(strstr(reason.summary, "recv from"));
	ck_assert_ptr_nonnull(strstr(reason.summary, "127.0.0.1"));
	ck_assert_uint_eq(reason.peer.port, ntohs(address.sin_port));
	ck_assert_ptr_nonnull(
	    strstr(reason.detail, with_number("to 127.0.0.1:", ntohs(address.sin_port))));
	waiting_end(&target);
	close(client);
	close(listener);
}
END_TEST

static void be_resolving(void *ctx)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
	struct pollfd polled = {.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
				.events = POLLIN};

	(void)ctx;
	/* Nothing is sent. */
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(polled.fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		poll(&polled, 1, 5000 * 10);
}

START_TEST(a_name_lookup_is_told)
{
	look_at(be_resolving, NULL, CALLS_POLL);
	assert_summary(WAIT_NAME, "name look-up (DNS) at 127.0.0.1:53");
	ck_assert_ptr_nonnull(strstr(reason.detail, "timeout 50.0 s"));
	waiting_end(&target);
}
END_TEST

static void be_connecting(void *ctx)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, ctx, sizeof(struct sockaddr_in)) == 0) {
		fprintf(stderr, "connected, although the backlog is full\n");
		pause();
	}
}

START_TEST(connecting_to_a_full_listener_is_told)
{
	struct sockaddr_in address;
	int listener = listen_somewhere(0, &address), clients[4];

	for (int i = 0; i < 4; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(clients[i], (struct sockaddr *)&address, sizeof(address));
	}
	look_at(be_connecting, &address, WAITING_IN(SYS_connect));
	assert_summary(WAIT_CONNECT, with_number("connect to 127.0.0.1:", ntohs(address.sin_port)));
	waiting_end(&target);
	for (int i = 0; i < 4; i++)
		close(clients[i]);
	close(listener);
}
END_TEST

static void be_accepting(void *ctx)
{
	accept(*(const int *)ctx, NULL, NULL);
}

START_TEST(accepting_tells_the_listener)
{
	struct sockaddr_in address;
	int listener = listen_somewhere(1, &address);

	look_at(be_accepting, &listener, WAITING_IN(SYS_accept, SYS_accept4));
	assert_summary(WAIT_ACCEPT,
		       with_number("accept at listener 127.0.0.1:", ntohs(address.sin_port)));
	waiting_end(&target);
	close(listener);
}
END_TEST

static void be_in_another_network(void *ctx)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7777)};
	int fd = -1;

	(void)ctx;
	if (unshare(CLONE_NEWNET) == 0)
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		be_receiving(&fd);
}

START_TEST(sockets_of_another_network_are_told)
{
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return;
	}
	look_at(be_in_another_network, NULL, WAITING_IN(SYS_recvfrom));
	assert_summary(WAIT_READ, "recv from UDP port 0.0.0.0:7777");
	waiting_end(&target);
}
END_TEST

static void be_in_another_network_by_unix(void *ctx)
{
	int fds[2];

	(void)ctx;
	if (unshare(CLONE_NEWNET) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0)
		be_receiving(&fds[0]);
}

START_TEST(unix_sockets_of_another_network_are_unix_sockets)
{
	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return;
	}
	look_at(be_in_another_network_by_unix, NULL, WAITING_IN(SYS_recvfrom));
	assert_summary(WAIT_READ, "recv from UNIX socket");
	ck_assert_uint_eq(reason.peer_inode, 0);
	waiting_end(&target);
}
END_TEST

static void be_in_event_loop(void *ctx)
{
	const int *fds = ctx;
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event);
	epoll_ctl(epoll, EPOLL_CTL_ADD, fds[1], &event);
	epoll_ctl(epoll, EPOLL_CTL_ADD, fds[2], &event);
	/* Still watched through the copy, under the number that it had. */
	dup2(fds[2], 200);
	close(fds[2]);
	dup2(fds[0], fds[2]);
	epoll_wait(epoll, &event, 1, 90000);
}

START_TEST(epoll_tells_its_descriptors)
{
	struct sockaddr_in address;
	int pair[2], fds[3];
	char expected[64];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fds[0] = listen_somewhere(1, &address);
	fds[1] = pair[0];
	fds[2] = dup(pair[1]);
	look_at(be_in_event_loop, fds, CALLS_EPOLL);
	ck_assert_ptr_nonnull(strstr(reason.summary, "wait: 3 descriptors"));
	snprintf(expected, sizeof(expected), "fd %d listener 127.0.0.1:%u", fds[0],
		 ntohs(address.sin_port));
	ck_assert_ptr_nonnull(strstr(reason.detail, expected));
	ck_assert_ptr_nonnull(strstr(reason.detail, "timeout 1 min 30 s"));
	snprintf(expected, sizeof(expected), "fd %d unknown object", fds[2]);
	ck_assert_ptr_nonnull(strstr(reason.detail, expected));
	ck_assert_uint_eq(reason.n_fds, 3);
	ck_assert(wait_is_multiplexed(&reason));
	waiting_end(&target);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	close(pair[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_sockets");
	TCase *tc = tcase_create("wait_sockets");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_socket_pair_tells_its_other_end);
	tcase_add_test(tc, a_unix_client_waits_for_the_server_by_name);
	tcase_add_test(tc, a_tcp_socket_tells_both_addresses);
	tcase_add_test(tc, a_name_lookup_is_told);
	tcase_add_test(tc, connecting_to_a_full_listener_is_told);
	tcase_add_test(tc, accepting_tells_the_listener);
	tcase_add_test(tc, sockets_of_another_network_are_told);
	tcase_add_test(tc, unix_sockets_of_another_network_are_unix_sockets);
	tcase_add_test(tc, epoll_tells_its_descriptors);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
