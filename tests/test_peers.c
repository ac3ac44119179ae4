/* SPDX-License-Identifier: BSD-3-Clause */
/* Real children stand in for the targets; what they hold they have from here, or open themselves.
 */
#include "recorder/oncpu/peers.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define N_TARGETS 3
#define NOTHING	  (-1)
#define NOW_NS	  (5 * NS_PER_S)

static struct identity ids[N_TARGETS];
static const struct identity *targets[N_TARGETS];
static struct peers *peers;
static size_t found[N_TARGETS];

/* A child that has just these two descriptors. */
static void start_target(int i, int fd, int other_fd)
{
	int ready[2];
	char c;
	pid_t pid;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int other = 3; other < 256; other++)
			if (other != fd && other != other_fd && other != ready[1])
				close(other);
		if (write(ready[1], "x", 1) == 1 && close(ready[1]) == 0)
			pause();
		_exit(0);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	/* Its end of this pipe is closed, too. */
	ck_assert_int_eq(read(ready[0], &c, 1), 0);
	close(ready[0]);
	ck_assert_int_eq(identity_open(pid, &ids[i]), 0);
	targets[i] = &ids[i];
}

static void end_target(int i)
{
	kill(ids[i].pid, SIGKILL);
	waitpid(ids[i].pid, NULL, 0);
}

static void setup(void)
{
	for (int i = 0; i < N_TARGETS; i++)
		ids[i] = IDENTITY_NONE;
	peers = peers_new();
}

static void teardown(void)
{
	for (int i = 0; i < N_TARGETS; i++) {
		if (ids[i].pid > 0)
			end_target(i);
		identity_close(&ids[i]);
	}
	peers_free(peers);
}

static size_t find(const struct peer_question *q, size_t self, uint64_t now_ns)
{
	return peers_find(peers, targets, N_TARGETS, self, q, now_ns, found, N_TARGETS);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

static struct net_address to_address(const struct sockaddr_in *a)
{
	return net_address_v4((const uint8_t *)&a->sin_addr, ntohs(a->sin_port));
}

static struct sockaddr_in name_of(int fd)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return a;
}

START_TEST(the_writer_of_a_pipe_is_found)
{
	struct peer_question q = {.kind = PEER_PIPE_WRITER};
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	start_target(0, fds[0], NOTHING);
	/* One that has inherited both ends is not as likely. */
	start_target(1, fds[0], fds[1]);
	start_target(2, fds[1], NOTHING);
	q.inode = inode_of(fds[0]);
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 2);
	ck_assert_uint_eq(found[0], 2);
	ck_assert_uint_eq(found[1], 1);
	q.kind = PEER_PIPE_READER;
	ck_assert_uint_eq(find(&q, 2, NOW_NS), 2);
	ck_assert_uint_eq(found[0], 0);
	q.inode++;
	ck_assert_uint_eq(find(&q, 2, NOW_NS), 0);
	q.inode = 0;
	ck_assert_uint_eq(find(&q, 2, NOW_NS), 0);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(the_other_end_of_a_socket_pair_is_found)
{
	struct peer_question q = {.kind = PEER_UNIX};
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	start_target(0, fds[0], NOTHING);
	start_target(1, fds[1], NOTHING);
	start_target(2, NOTHING, NOTHING);
	q.inode = inode_of(fds[1]);
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 1);
	ck_assert_uint_eq(found[0], 1);
	/* What it has itself is no one else's. */
	ck_assert_uint_eq(find(&q, 1, NOW_NS), 0);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(a_unix_listener_is_found_by_name)
{
	static const char name[] = "\0trackexec\0peers";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct peer_question q = {.kind = PEER_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	q.name.len = (uint8_t)(sizeof(name) - 1);
	memcpy(q.name.bytes, name, q.name.len);
	memcpy(address.sun_path, name, q.name.len);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(sizeof(address.sun_family) + q.name.len)),
			 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	start_target(0, NOTHING, NOTHING);
	start_target(1, NOTHING, NOTHING);
	start_target(2, fd, NOTHING);
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 1);
	ck_assert_uint_eq(found[0], 2);
	q.name.len--;
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 0);
	q.name.len = 255;
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 0);
	close(fd);
}
END_TEST

START_TEST(both_ends_of_a_connection_are_found)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct peer_question q = {.kind = PEER_INET};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;
	struct net_address end[2];

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
	address = name_of(listener);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	server = accept(listener, NULL, NULL);
	start_target(0, client, NOTHING);
	start_target(1, listener, NOTHING);
	start_target(2, server, NOTHING);
	address = name_of(client);
	end[0] = to_address(&address);
	address = name_of(server);
	end[1] = to_address(&address);
	q.local = end[0];
	q.peer = end[1];
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 1);
	ck_assert_uint_eq(found[0], 2);
	/* It was searched for a moment ago. */
	ck_assert_uint_eq(find(&q, 0, NOW_NS + 1), 0);
	q.local = end[1];
	q.peer = end[0];
	ck_assert_uint_eq(find(&q, 2, NOW_NS + NS_PER_S), 1);
	ck_assert_uint_eq(found[0], 0);
	/* While it is not connected, it waits for who listens. */
	q.local = (struct net_address){0};
	q.peer = end[1];
	ck_assert_uint_eq(find(&q, 0, NOW_NS + 2 * NS_PER_S), 1);
	ck_assert_uint_eq(found[0], 1);
	q.peer.port = 0;
	ck_assert_uint_eq(find(&q, 0, NOW_NS + 3 * NS_PER_S), 0);
	close(listener);
	close(client);
	close(server);
}
END_TEST

START_TEST(a_child_that_is_a_target_is_found)
{
	struct peer_question q = {.kind = PEER_CHILD};

	for (int i = 0; i < N_TARGETS; i++)
		start_target(i, NOTHING, NOTHING);
	q.child = ids[1].pid;
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 1);
	ck_assert_uint_eq(found[0], 1);
	ck_assert_uint_eq(find(&q, 1, NOW_NS), 0);
	q.child = getpid();
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 0);
	ck_assert_uint_eq(find(&q, N_TARGETS, NOW_NS), 0);
}
END_TEST

START_TEST(who_has_ended_has_nothing)
{
	struct peer_question q = {.kind = PEER_PIPE_WRITER};
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	start_target(0, fds[0], NOTHING);
	start_target(1, fds[1], NOTHING);
	start_target(2, NOTHING, NOTHING);
	q.inode = inode_of(fds[0]);
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 1);
	end_target(1);
	ids[1].pid = 0;
	ck_assert_uint_eq(find(&q, 0, NOW_NS + PEERS_MAX_AGE_NS), 0);
	/* Another one in its place is looked at at once. */
	identity_close(&ids[1]);
	start_target(1, fds[1], NOTHING);
	ck_assert_uint_eq(find(&q, 0, NOW_NS + PEERS_MAX_AGE_NS), 1);
	ck_assert_uint_eq(found[0], 1);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(what_has_changed_is_seen_a_second_later)
{
	struct peer_question q = {.kind = PEER_PIPE_WRITER};
	struct identity self = IDENTITY_NONE;
	int fds[2];

	/* This process is a target, too: it can be made to open and close. */
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	start_target(0, fds[0], NOTHING);
	start_target(2, NOTHING, NOTHING);
	ck_assert_int_eq(identity_open(getpid(), &self), 0);
	targets[1] = &self;
	q.inode = inode_of(fds[0]);
	ck_assert_uint_eq(find(&q, 0, NOW_NS), 1);
	close(fds[1]);
	ck_assert_uint_eq(find(&q, 0, NOW_NS + PEERS_MAX_AGE_NS - 1), 1);
	ck_assert_uint_eq(find(&q, 0, NOW_NS + PEERS_MAX_AGE_NS), 0);
	identity_close(&self);
	close(fds[0]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("peers");
	TCase *tc = tcase_create("peers");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_writer_of_a_pipe_is_found);
	tcase_add_test(tc, the_other_end_of_a_socket_pair_is_found);
	tcase_add_test(tc, a_unix_listener_is_found_by_name);
	tcase_add_test(tc, both_ends_of_a_connection_are_found);
	tcase_add_test(tc, a_child_that_is_a_target_is_found);
	tcase_add_test(tc, who_has_ended_has_nothing);
	tcase_add_test(tc, what_has_changed_is_seen_a_second_later);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
