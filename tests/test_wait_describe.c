/* SPDX-License-Identifier: BSD-3-Clause */
/* Invented threads that wait for files, sockets and the like. */
#include "recorder/oncpu/wait_decode.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "recorder/oncpu/fd_object.h"
#include "tests/support/wait_scene.h"

START_TEST(polled_descriptors_are_told)
{
	struct pollfd polled[] = {
	    {.fd = 3, .events = POLLIN}, {.fd = -1}, {.fd = 4, .events = POLLIN}, {.fd = 9}};

	put_socket(3, NET_TCP, "0: 0100007F:0050 00000000:0000 0A");
	put_link(4, "pipe:[1234]");
	put(0, polled, sizeof(polled));
	DECODE(SYS_ppoll, SCENE_START, 4, put_time(512, 2, 500000000));
	assert_reason(WAIT_POLL, "ppoll: 3 descriptors",
		      "fd 3 listener 127.0.0.1:80, fd 4 pipe, fd 9 unknown object, "
		      "timeout 2.50 s, the descriptor was closed meanwhile");
	ck_assert_uint_eq(reason.n_fds, 3);
	ck_assert_int_eq(reason.error, -EBADF);
	ck_assert(wait_is_multiplexed(&reason));
	DECODE(SYS_ppoll, SCENE_START + 2 * sizeof(polled[0]), 1, 0);
	assert_reason(WAIT_POLL, "ppoll: pipe", "fd 4, inode 1234");
	ck_assert_uint_eq(reason.inode, 1234);
	ck_assert_int_eq(reason.direction, WAIT_FOR_INPUT);
	ck_assert_int_eq(reason.fd, 4);
	ck_assert(!wait_is_multiplexed(&reason));
}
END_TEST

START_TEST(many_polled_descriptors_are_counted)
{
	struct pollfd polled[200];

	for (int i = 0; i < 200; i++)
		polled[i] = (struct pollfd){.fd = 4, .events = POLLIN};
	put_link(4, "/dev/ttyS0");
	put(0, polled, sizeof(polled));
	DECODE(SYS_ppoll, SCENE_START, 60);
	ck_assert_str_eq(reason.summary, "ppoll: 10 or more descriptors");
	ck_assert_ptr_nonnull(strstr(reason.detail, "and 52 more"));
	ck_assert_uint_eq(reason.n_fds, 60);
	DECODE(SYS_ppoll, SCENE_START, 200);
	ck_assert_str_eq(reason.summary, "ppoll: 100 or more descriptors");
	/* More than there are in memory. */
	DECODE(SYS_ppoll, SCENE_START + 8, UINT64_MAX);
	ck_assert_int_eq(reason.error, -EFAULT);
}
END_TEST

START_TEST(selected_descriptors_are_told)
{
	uint64_t reads = 1 << 3 | 1 << 4, writes = 1 << 4;

	put_link(3, "anon_inode:[eventfd]");
	put_link(4, "/tmp/x");
	put(0, &reads, 8);
	put(8, &writes, 8);
	DECODE(SYS_pselect6, 5, SCENE_START, SCENE_START + 8, 0, 0);
	assert_reason(WAIT_POLL, "pselect6: 2 descriptors", "fd 3 eventfd, fd 4 /tmp/x");
	DECODE(SYS_pselect6, 5, 0, SCENE_START + 8, 0, put_time(16, 0, 20000000));
	assert_reason(WAIT_POLL, "pselect6: /tmp/x", "fd 4, timeout 20.0 ms");
	ck_assert_int_eq(reason.direction, WAIT_FOR_OUTPUT);
	/* Bits behind the count are not asked for. */
	DECODE(SYS_pselect6, 4, SCENE_START, 0, 0, 0);
	ck_assert_str_eq(reason.summary, "pselect6: eventfd");
}
END_TEST

START_TEST(watched_descriptors_are_told)
{
	put_link(5, "anon_inode:[eventpoll]");
	snprintf(fds[5].info, sizeof(fds[5].info),
		 "pos:\t0\nflags:\t02\n"
		 "tfd:        3 events:       19 data:   3  pos:0 ino:1b8 sdev:9\n"
		 "tfd:        4 events:       19 data:   4  pos:0 ino:77 sdev:e\n");
	put_socket(3, NET_TCP6,
		   "0: 00000000000000000000000000000000:1F90 "
		   "00000000000000000000000000000000:0000 0A");
	/* What had this number is closed; another one has it. */
	put_link(4, "pipe:[1234]");
	DECODE(SYS_epoll_pwait, 5, SCENE_NOWHERE, 10, 1500);
	assert_reason(WAIT_POLL, "epoll_pwait: 2 descriptors",
		      "fd 5, fd 3 listener [::]:8080, fd 4 unknown object, timeout 1.50 s");
	ck_assert(wait_is_multiplexed(&reason));
	ck_assert_uint_eq(reason.timeout_ns, 1500 * NS_PER_MS);
	DECODE(SYS_epoll_pwait, 5, SCENE_NOWHERE, 10, -1);
	ck_assert_uint_eq(reason.timeout_ns, WAIT_NO_TIMEOUT);
}
END_TEST

START_TEST(reading_names_the_object)
{
	put_link(5, "pipe:[1234]");
	put_link(6, "/srv/a\nb\xff");
	put_socket(7, NET_TCP, "0: 0500000A:9C40 0501000A:1538 01");
	put_socket(8, NET_TCP, "0: 0500000A:1F90 0501000A:9C40 01");
	DECODE(SYS_read, 5);
	assert_reason(WAIT_READ, "read pipe", "fd 5, inode 1234");
	ck_assert_int_eq(reason.direction, WAIT_FOR_INPUT);
	DECODE(SYS_preadv, 6);
	assert_reason(WAIT_READ, "read /srv/a?b?", "fd 6");
	DECODE(SYS_recvfrom, 7);
	assert_reason(WAIT_READ, "recv from 10.0.1.5:5432",
		      "fd 7, inode 440, 10.0.0.5:40000 to 10.0.1.5:5432");
	ck_assert_uint_eq(reason.peer.port, 5432);
	ck_assert_uint_eq(reason.local.port, 40000);
	DECODE(SYS_recvmsg, 8);
	ck_assert_str_eq(reason.summary, "recv from client of 10.0.0.5:8080");
	DECODE(SYS_read, 9);
	assert_reason(WAIT_READ, "read unknown object",
		      "fd 9, the descriptor was closed meanwhile");
	ck_assert_int_eq(reason.error, -EBADF);
	DECODE(SYS_read, -1);
	ck_assert_int_eq(reason.error, -EBADF);
}
END_TEST

START_TEST(unix_sockets_have_the_name_of_the_server)
{
	put_unix(5, "", "/run/db.sock", 3);
	put_unix(6, "/run/db.sock", "", 3);
	put_unix(7, "", "", 3);
	put_unix(8, "/run/db.sock", "", NET_LISTEN);
	DECODE(SYS_read, 5);
	assert_reason(WAIT_READ, "recv from UNIX socket /run/db.sock", "fd 5, inode 441");
	ck_assert_uint_eq(reason.peer_inode, 442);
	DECODE(SYS_write, 6);
	ck_assert_str_eq(reason.summary, "send to client of UNIX socket /run/db.sock");
	DECODE(SYS_read, 7);
	ck_assert_str_eq(reason.summary, "recv from UNIX socket");
	DECODE(SYS_accept4, 8);
	assert_reason(WAIT_ACCEPT, "accept at UNIX listener /run/db.sock", "fd 8, inode 441");
}
END_TEST

START_TEST(writing_names_the_receiver)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(514)};
	struct {
		uint64_t name;
		uint32_t len, unused;
	} header = {.name = SCENE_START, .len = sizeof(to)};

	to.sin_addr.s_addr = htonl(0x0a000005);
	put(0, &to, sizeof(to));
	put(64, &header, sizeof(header));
	put_socket(5, NET_UDP, "0: 00000000:9C40 00000000:0000 07");
	put_link(6, "pipe:[99]");
	DECODE(SYS_sendto, 5, SCENE_NOWHERE, 10, 0, SCENE_START, sizeof(to));
	ck_assert_str_eq(reason.summary, "send to 10.0.0.5:514");
	ck_assert_uint_eq(reason.peer.port, 514);
	DECODE(SYS_sendmsg, 5, SCENE_START + 64);
	ck_assert_str_eq(reason.summary, "send to 10.0.0.5:514");
	DECODE(SYS_writev, 6);
	assert_reason(WAIT_WRITE, "write pipe", "fd 6, inode 99");
	ck_assert_int_eq(reason.direction, WAIT_FOR_OUTPUT);
	put_link(7, "/srv/film");
	DECODE(SYS_sendfile, 6, 7);
	assert_reason(WAIT_WRITE, "sendfile from /srv/film to pipe", "fd 6, inode 99, from fd 7");
	DECODE(SYS_splice, 7, 0, 6);
	ck_assert_str_eq(reason.summary, "splice from /srv/film to pipe");
}
END_TEST

START_TEST(connecting_names_the_server)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(5432)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/x.sock"};
	char full_text[WAIT_FULL_TEXT_MAX];
	struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0bus"};

	put_link(7, "socket:[440]");
	v4.sin_addr.s_addr = htonl(0x0a000005);
	v6.sin6_addr = in6addr_loopback;
	put(0, &v4, sizeof(v4));
	DECODE(SYS_connect, 7, SCENE_START, sizeof(v4));
	assert_reason(WAIT_CONNECT, "connect to 10.0.0.5:5432", "fd 7, inode 440");
	ck_assert_uint_eq(reason.peer.port, 5432);
	wait_reason_format(&reason, full_text);
	ck_assert_str_eq(full_text, "connect to 10.0.0.5:5432 (fd 7, inode 440)");
	put(0, &v6, sizeof(v6));
	DECODE(SYS_connect, 7, SCENE_START, sizeof(v6));
	ck_assert_str_eq(reason.summary, "connect to [::1]:80");
	put(0, &un, sizeof(un));
	DECODE(SYS_connect, 7, SCENE_START, sizeof(un));
	ck_assert_str_eq(reason.summary, "connect to UNIX socket /run/x.sock");
	ck_assert_str_eq(reason.peer_name.bytes, "/run/x.sock");
	put(0, &abstract, sizeof(abstract));
	DECODE(SYS_connect, 7, SCENE_START, 2 + 4);
	ck_assert_str_eq(reason.summary, "connect to UNIX socket @bus");
	put(0, &(uint16_t){AF_NETLINK}, 2);
	DECODE(SYS_connect, 7, SCENE_START, 12);
	ck_assert_str_eq(reason.summary, "connect to an address of family 16");
	DECODE(SYS_connect, 7, SCENE_NOWHERE, sizeof(v4));
	assert_reason(WAIT_CONNECT, "connect to socket",
		      "fd 7, inode 440, its memory can't be read there");
	DECODE(SYS_connect, 7, SCENE_START, 1u << 31);
	ck_assert_int_eq(reason.error, -EBADMSG);
}
END_TEST

START_TEST(name_lookups_are_told)
{
	struct pollfd polled[] = {{.fd = 3, .events = POLLIN}, {.fd = 4, .events = POLLIN}};

	put_socket(3, NET_UDP, "0: 0500000A:9C40 01010101:0035 01");
	put_socket(4, NET_UDP, "0: 0500000A:9C41 01010101:0035 01");
	put(0, polled, sizeof(polled));
	DECODE(SYS_ppoll, SCENE_START, 1, put_time(512, 5, 0));
	assert_reason(WAIT_NAME, "name look-up (DNS) at 1.1.1.1:53",
		      "fd 3, inode 440, 10.0.0.5:40000 to 1.1.1.1:53, timeout 5.00 s");
	DECODE(SYS_ppoll, SCENE_START, 2, 0);
	assert_reason(WAIT_NAME, "name look-up (DNS) at 1.1.1.1:53",
		      "fd 3 UDP 1.1.1.1:53, fd 4 UDP 1.1.1.1:53");
	DECODE(SYS_recvfrom, 3);
	ck_assert_int_eq(reason.kind, WAIT_NAME);
	put_unix(5, "", "/run/systemd/resolve/io.systemd.Resolve", 3);
	DECODE(SYS_recvmsg, 5);
	ck_assert_int_eq(reason.kind, WAIT_NAME);
	/* A name server waits for a client. */
	put_socket(3, NET_UDP, "0: 01010101:0035 00000000:0000 07");
	DECODE(SYS_recvfrom, 3);
	assert_reason(WAIT_READ, "recv from UDP port 1.1.1.1:53", "fd 3, inode 440");
}
END_TEST

START_TEST(files_are_named)
{
	uint64_t path = put_text(0, "/srv/data.txt"), relative = put_text(64, "a/b");

	put_link(7, "/var/lib/x.db");
	put_link(8, "/srv");
	DECODE(SYS_fsync, 7);
	assert_reason(WAIT_SYNC, "fsync /var/lib/x.db", "fd 7");
	DECODE(SYS_flock, 7, 2);
	assert_reason(WAIT_LOCK_FILE, "flock /var/lib/x.db", "fd 7");
	DECODE(SYS_fcntl, 7, F_SETLKW, SCENE_NOWHERE);
	assert_reason(WAIT_LOCK_FILE, "fcntl /var/lib/x.db", "fd 7");
	DECODE(SYS_fcntl, 7, F_OFD_SETLKW, SCENE_NOWHERE);
	ck_assert_int_eq(reason.kind, WAIT_LOCK_FILE);
	DECODE(SYS_fcntl, 7, F_GETFL);
	assert_reason(WAIT_OTHER, "fcntl /var/lib/x.db", "command 3, fd 7");
	DECODE(SYS_ioctl, 7, 0x5401);
	assert_reason(WAIT_OTHER, "ioctl /var/lib/x.db", "request 0x5401, fd 7");
	DECODE(SYS_openat, AT_FDCWD, path, O_RDONLY);
	assert_reason(WAIT_FILE, "open /srv/data.txt", "");
	DECODE(SYS_openat, 8, relative, O_RDONLY);
	assert_reason(WAIT_FILE, "open /srv/a/b", "");
	DECODE(SYS_newfstatat, AT_FDCWD, relative);
	assert_reason(WAIT_FILE, "stat a/b", "");
	DECODE(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, relative);
	assert_reason(WAIT_FILE, "rename /srv/data.txt to a/b", "");
	DECODE(SYS_getdents64, 8);
	assert_reason(WAIT_FILE, "list /srv", "fd 8");
	DECODE(SYS_openat, AT_FDCWD, SCENE_NOWHERE);
	assert_reason(WAIT_FILE, "open unknown object", "its memory can't be read there");
	DECODE(SYS_sync, 0);
	assert_reason(WAIT_SYNC, "sync", "");
	DECODE(SYS_execve, path);
	assert_reason(WAIT_START, "execute /srv/data.txt", "");
}
END_TEST

START_TEST(long_and_hostile_names_are_bounded)
{
	char path[4000];

	memset(path, 'x', sizeof(path));
	memcpy(path, "/\033[2J", 5);
	path[sizeof(path) - 1] = '\0';
	put(0, path, sizeof(path));
	DECODE(SYS_openat, AT_FDCWD, SCENE_START);
	ck_assert_uint_lt(strlen(reason.summary), 150);
	memcpy(bytes, "/\033[2J\xe2\x80\xae", 9);
	DECODE(SYS_openat, AT_FDCWD, SCENE_START);
	ck_assert_str_eq(reason.summary, "open /?[2J?");
	/* Without an end: as far as there is memory. */
	memset(bytes + SCENE_BYTES - 10, 'y', 10);
	DECODE(SYS_openat, AT_FDCWD, SCENE_START + SCENE_BYTES - 10);
	ck_assert_int_eq(reason.error, -EFAULT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait_describe");
	TCase *tc = tcase_create("wait_describe");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, scene_setup, NULL);
	tcase_add_test(tc, polled_descriptors_are_told);
	tcase_add_test(tc, many_polled_descriptors_are_counted);
	tcase_add_test(tc, selected_descriptors_are_told);
	tcase_add_test(tc, watched_descriptors_are_told);
	tcase_add_test(tc, reading_names_the_object);
	tcase_add_test(tc, unix_sockets_have_the_name_of_the_server);
	tcase_add_test(tc, writing_names_the_receiver);
	tcase_add_test(tc, connecting_names_the_server);
	tcase_add_test(tc, name_lookups_are_told);
	tcase_add_test(tc, files_are_named);
	tcase_add_test(tc, long_and_hostile_names_are_bounded);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
