/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/wait_source.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "recorder/oncpu/net_cache.h"
#include "recorder/oncpu/net_lines.h"
#include "recorder/oncpu/unix_diag.h"
#include "tests/support/waiting.h"

#define NOBODY 65534

static struct waiting target;
static struct fd_facts facts;

static void be_paused(void *ctx)
{
	(void)ctx;
	pause();
}

static int read_fd(int fd)
{
	const struct socket_sources sockets = {.diag = target.diag};

	return wait_source_read_fd(&target.id, target.tid, fd, &sockets, &facts);
}

static int connect_somewhere(int *ret_listener)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(*ret_listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(*ret_listener, 1), 0);
	ck_assert_int_eq(getsockname(*ret_listener, (struct sockaddr *)&address, &len), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	return client;
}

START_TEST(a_thread_is_read)
{
	struct thread_facts thread;
	struct wait_reason reason;
	char text[WAIT_SYSCALL_MAX];
	int fd;

	waiting_start(&target, be_paused, NULL);
#ifdef __x86_64__
	ck_assert(waiting_reason(&target, WAITING_IN(SYS_pause), &reason));
#else
	ck_assert(waiting_reason(&target, WAITING_IN(SYS_ppoll), &reason));
#endif
	ck_assert_int_eq(wait_source_read_thread(&target.id, target.tid, &thread), 0);
	ck_assert_int_eq(thread.state, 'S');
	ck_assert_ptr_nonnull(strstr(thread.syscall, " 0x"));
	fd = wait_source_open_syscall(&target.id, target.tid);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(wait_source_read_syscall(fd, text), 0);
	ck_assert_str_eq(text, thread.syscall);
	ck_assert_int_eq(wait_source_read_thread(&target.id, 0, &thread), -ESRCH);
	ck_assert_int_eq(wait_source_read_thread(&target.id, getpid(), &thread), -ESRCH);
	ck_assert_int_eq(wait_source_open_syscall(&target.id, getpid()), -ESRCH);
	kill(target.pid, SIGKILL);
	waitpid(target.pid, NULL, 0);
	ck_assert_int_eq(wait_source_read_thread(&target.id, target.tid, &thread), -ESRCH);
	ck_assert_int_eq(wait_source_read_syscall(fd, text), -ESRCH);
	ck_assert_int_eq(read_fd(0), -ESRCH);
	close(fd);
	waiting_end(&target);
}
END_TEST

START_TEST(a_file_is_read)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	waiting_start(&target, be_paused, NULL);
	ck_assert_int_eq(read_fd(fd), 0);
	ck_assert_str_eq(facts.link, "/");
	ck_assert_ptr_nonnull(strstr(facts.info, "flags:\t"));
	ck_assert_str_eq(facts.protocol, "");
	ck_assert_int_eq(facts.net_table, NET_NONE);
	ck_assert_int_eq(read_fd(-1), -EBADF);
	ck_assert_int_eq(read_fd(9999), -EBADF);
	waiting_end(&target);
	close(fd);
}
END_TEST

START_TEST(a_tcp_socket_is_read)
{
	struct net_line line;
	int listener, client = connect_somewhere(&listener);

	waiting_start(&target, be_paused, NULL);
	ck_assert_int_eq(read_fd(client), 0);
	ck_assert_int_eq(facts.net_table, NET_TCP);
	ck_assert_int_eq(net_line_parse(facts.net_line, &line), 0);
	ck_assert_int_eq(line.state, NET_ESTABLISHED);
	ck_assert_int_eq(read_fd(listener), 0);
	ck_assert_int_eq(net_line_parse(facts.net_line, &line), 0);
	ck_assert_int_eq(line.state, NET_LISTEN);
	waiting_end(&target);
	close(client);
	close(listener);
}
END_TEST

START_TEST(a_unix_socket_is_read)
{
	const struct socket_sources none = {0};
	struct unix_facts own;
	struct stat st;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(fstat(fds[1], &st), 0);
	waiting_start(&target, be_paused, NULL);
	ck_assert_int_eq(read_fd(fds[0]), 0);
	if (facts.unix_socket.known) {
		ck_assert_int_eq(facts.unix_socket.type, SOCK_SEQPACKET);
		ck_assert_uint_eq(facts.unix_socket.peer_inode, st.st_ino);
		ck_assert_int_eq(unix_diag_read(target.diag, st.st_ino, &own), 0);
		ck_assert_uint_eq(strtoull(facts.link + strlen("socket:["), NULL, 10),
				  own.peer_inode);
		ck_assert_int_eq(unix_diag_read(target.diag, 1, &own), -ENOENT);
		ck_assert_int_eq(unix_diag_read(target.diag, 0, &own), -ENOENT);
		ck_assert_int_eq(unix_diag_read(target.diag, UINT64_MAX, &own), -ENOENT);
	} else {
		fprintf(stderr, "skipped: no Unix socket monitoring in this kernel\n");
	}
	/* Without it: the table. */
	ck_assert_int_eq(wait_source_read_fd(&target.id, target.tid, fds[0], &none, &facts), 0);
	ck_assert_int_eq(facts.net_table, NET_UNIX);
	ck_assert(!facts.unix_socket.known);
	waiting_end(&target);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(a_passed_socket_knows_the_network_that_it_is_from)
{
	struct stat st;
	struct unix_diag *diag;
	struct unix_facts own;
	int fds[2], passed;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return;
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(fstat(fds[0], &st), 0);
	passed = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	/* As a service with PrivateNetwork= is. */
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	diag = unix_diag_new(-1);
	ck_assert_int_eq(unix_diag_read(diag, st.st_ino, &own), -ENOENT);
	unix_diag_free(diag);
	diag = unix_diag_new(passed);
	if (unix_diag_read(diag, st.st_ino, &own) == 0)
		ck_assert_uint_ne(own.peer_inode, 0);
	else
		fprintf(stderr, "skipped: no Unix socket monitoring in this kernel\n");
	unix_diag_free(diag);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(a_socket_in_no_table_is_read)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	waiting_start(&target, be_paused, NULL);
	ck_assert_int_eq(read_fd(fd), 0);
	ck_assert_int_eq(strncmp(facts.link, "socket:[", 8), 0);
	ck_assert_int_eq(facts.net_table, NET_NONE);
	ck_assert_int_eq(facts.net_error, -ENOENT);
	waiting_end(&target);
	close(fd);
}
END_TEST

START_TEST(the_tables_are_those_of_the_target)
{
	int listener, client;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return;
	}
	/* This process leaves its network; the target stays in another one, with our socket. */
	client = connect_somewhere(&listener);
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	waiting_start(&target, be_paused, NULL);
	ck_assert_int_eq(read_fd(client), 0);
	ck_assert_int_eq(facts.net_table, NET_NONE);
	ck_assert_int_eq(facts.net_error, -ENOENT);
	waiting_end(&target);
	close(client);
	close(listener);
}
END_TEST

START_TEST(long_texts_are_cut_behind_a_line)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC), first = eventfd(0, EFD_CLOEXEC);
	struct rlimit limit = {1024, 1024};
	size_t len;

	setrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = first; fd >= 0 && fd < 700; fd = dup(first))
		ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	waiting_start(&target, be_paused, NULL);
	ck_assert_int_eq(read_fd(epoll), 0);
	ck_assert_str_eq(facts.link, "anon_inode:[eventpoll]");
	len = strlen(facts.info);
	ck_assert_uint_gt(len, FD_INFO_MAX / 2);
	ck_assert_uint_lt(len, FD_INFO_MAX);
	ck_assert_int_eq(facts.info[len - 1], '\n');
	waiting_end(&target);
}
END_TEST

START_TEST(long_paths_are_cut)
{
	char name[256], path[64];
	int folder, fd;

	snprintf(path, sizeof(path), "/tmp/trackexec-deep-%d", (int)getpid());
	ck_assert_int_eq(mkdir(path, 0700), 0);
	memset(name, 'x', 255);
	name[255] = '\0';
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdirat(folder, name, 0700), 0);
	fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdirat(fd, name, 0700), 0);
	close(folder);
	folder = fd;
	fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	waiting_start(&target, be_paused, NULL);
	ck_assert_int_eq(read_fd(fd), 0);
	ck_assert_uint_eq(strlen(facts.link), FD_LINK_MAX - 1);
	waiting_end(&target);
	close(fd);
	ck_assert_int_eq(unlinkat(folder, name, AT_REMOVEDIR), 0);
	close(folder);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(unlinkat(folder, name, AT_REMOVEDIR), 0);
	close(folder);
	rmdir(path);
}
END_TEST

START_TEST(only_children_are_children)
{
	struct child_facts child;

	waiting_start(&target, be_paused, NULL);
	ck_assert_int_eq(wait_source_read_child(&target.id, getpid(), &child), -ECHILD);
	ck_assert_int_eq(wait_source_read_child(&target.id, 1, &child), -ECHILD);
	ck_assert_int_eq(wait_source_read_child(&target.id, 0, &child), -ECHILD);
	ck_assert_int_eq(wait_source_read_child(&target.id, -5, &child), -ECHILD);
	ck_assert_int_eq(wait_source_read_child(&target.id, INT32_MAX, &child), -ECHILD);
	waiting_end(&target);
}
END_TEST

/* Tells its number, as it is called here, through a socket that knows it. */
static void be_in_container(void *ctx)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0)
		_exit(1);
	if (fork() != 0) {
		pause();
		_exit(1);
	}
	/* Number 1; its child is number 2. */
	pid = fork();
	if (pid == 0) {
		execlp("sleep", "sleep", "1234", NULL);
		_exit(127);
	}
	/* The sender's number is translated on its way. */
	if (pid != 2 || write(*(const int *)ctx, "x", 1) != 1)
		_exit(1);
	pause();
}

static pid_t receive_pid(int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
	char c;
	struct iovec data = {&c, 1};
	struct msghdr msg = {.msg_iov = &data,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	const struct cmsghdr *header;
	struct ucred who;

	ck_assert_int_eq(recvmsg(fd, &msg, 0), 1);
	header = CMSG_FIRSTHDR(&msg);
	ck_assert_ptr_nonnull(header);
	memcpy(&who, CMSG_DATA(header), sizeof(who));
	return who.pid;
}

START_TEST(a_child_in_a_container_is_found_by_its_number_there)
{
	uint64_t end_ns = clock_monotonic_ns() + 20 * NS_PER_S;
	struct child_facts child = {0};
	struct identity inner;
	int fds[2], on = 1;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return;
	}
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	waiting_start(&target, be_in_container, &fds[1]);
	ck_assert_int_eq(identity_open(receive_pid(fds[0]), &inner), 0);
	/* Until it has executed sleep. */
	do
		ck_assert_int_eq(wait_source_read_child(&inner, 2, &child), 0);
	while (strcmp(child.command, "sleep 1234") != 0 && clock_monotonic_ns() < end_ns);
	ck_assert_str_eq(child.command, "sleep 1234");
	ck_assert_int_ne(child.pid, 2);
	ck_assert_int_eq(wait_source_read_child(&inner, child.pid, &child), -ECHILD);
	ck_assert_int_eq(wait_source_read_child(&inner, 3, &child), -ECHILD);
	kill(inner.pid, SIGKILL);
	identity_close(&inner);
	waiting_end(&target);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(what_may_not_be_read_is_refused)
{
	const struct socket_sources none = {0};
	struct thread_facts thread;
	struct identity id;

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: needs root\n");
		return;
	}
	waiting_start(&target, be_paused, NULL);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, 0), 0);
	ck_assert_int_eq(identity_open(target.pid, &id), 0);
	ck_assert_int_lt(wait_source_read_thread(&id, target.tid, &thread), 0);
	ck_assert_int_eq(wait_source_read_fd(&id, target.tid, 0, &none, &facts), -EACCES);
	identity_close(&id);
	ck_assert_int_eq(setresuid(0, 0, 0), 0);
	waiting_end(&target);
}
END_TEST

START_TEST(addresses_are_kept_for_a_while)
{
	struct net_cache *cache = net_cache_new();
	int listener, client = connect_somewhere(&listener);
	const uint64_t start_ns = 100 * NS_PER_S;
	int folder = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char line[NET_LINE_MAX], again[NET_LINE_MAX];
	struct stat st;

	ck_assert_int_eq(fstat(client, &st), 0);
	ck_assert_int_eq(
	    net_cache_find_inode(cache, folder, NET_TCP, st.st_ino, start_ns, line, sizeof(line)),
	    0);
	/* What is not known would take a search, too soon after the one before. */
	ck_assert_int_eq(net_cache_find_inode(cache, folder, NET_TCP, st.st_ino + 1, start_ns + 1,
					      again, sizeof(again)),
			 -EAGAIN);
	close(client);
	ck_assert_int_eq(net_cache_find_inode(cache, folder, NET_TCP, st.st_ino, start_ns + 1,
					      again, sizeof(again)),
			 0);
	ck_assert_str_eq(again, line);
	ck_assert_int_eq(net_cache_find_inode(cache, folder, NET_TCP, st.st_ino,
					      start_ns + NET_CACHE_MAX_AGE_NS, again,
					      sizeof(again)),
			 -ENOENT);
	ck_assert_int_eq(
	    net_cache_find_inode(cache, folder, NET_TCP, 0, start_ns, again, sizeof(again)),
	    -ENOENT);
	net_cache_free(cache);
	net_cache_free(NULL);
	close(folder);
	close(listener);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_source");
	TCase *tc = tcase_create("wait_source");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_thread_is_read);
	tcase_add_test(tc, a_file_is_read);
	tcase_add_test(tc, a_tcp_socket_is_read);
	tcase_add_test(tc, a_unix_socket_is_read);
	tcase_add_test(tc, a_passed_socket_knows_the_network_that_it_is_from);
	tcase_add_test(tc, a_socket_in_no_table_is_read);
	tcase_add_test(tc, the_tables_are_those_of_the_target);
	tcase_add_test(tc, long_texts_are_cut_behind_a_line);
	tcase_add_test(tc, long_paths_are_cut);
	tcase_add_test(tc, only_children_are_children);
	tcase_add_test(tc, a_child_in_a_container_is_found_by_its_number_there);
	tcase_add_test(tc, what_may_not_be_read_is_refused);
	tcase_add_test(tc, addresses_are_kept_for_a_while);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
