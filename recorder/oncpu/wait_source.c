/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/wait_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/read_fully.h"
#include "recorder/oncpu/net_cache.h"
#include "recorder/oncpu/unix_diag.h"

DEFINE_CLEANUP(DIR *, closedir)

/* The folder of a thread: it has descriptors and a network when the main thread has ended, too. */
static int open_thread(const struct identity *id, pid_t tid)
{
	char name[32];
	int fd;

	if (tid <= 0)
		return -ESRCH;
	snprintf(name, sizeof(name), "task/%d", (int)tid);
	fd = openat(id->proc_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

/* Returns the number of bytes, NUL-terminated. */
static int read_text(int dir_fd, const char *name, char *buf, size_t size)
{
	auto_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	size_t len;
	int r;

	buf[0] = '\0';
	if (fd < 0)
		return -errno;
	r = read_fully(fd, buf, size - 1, &len);
	if (r < 0)
		len = 0;
	buf[len] = '\0';
	return r < 0 ? r : (int)len;
}

static int explain_thread(int r)
{
	return r == -ENOENT ? -ESRCH : r;
}

int wait_source_open_syscall(const struct identity *id, pid_t tid)
{
	auto_close int dir = open_thread(id, tid);
	int fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, "syscall", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? explain_thread(-errno) : fd;
}

int wait_source_read_syscall(int fd, char buf[static WAIT_SYSCALL_MAX])
{
	size_t len;
	int r = read_fully(fd, buf, WAIT_SYSCALL_MAX - 1, &len);

	if (r < 0)
		return r;
	buf[len] = '\0';
	return 0;
}

static void read_state(int dir_fd, char *ret)
{
	struct process_stat stat;
	char text[1024];
	int len = read_text(dir_fd, "stat", text, sizeof(text));

	if (len > 0 && process_stat_parse(text, (size_t)len, &stat) == 0)
		*ret = stat.state;
}

int wait_source_read_thread(const struct identity *id, pid_t tid, struct thread_facts *ret)
{
	auto_close int dir = open_thread(id, tid);
	struct thread_facts facts = {0};
	int r;

	if (dir < 0)
		return dir;
	r = read_text(dir, "syscall", facts.syscall, sizeof(facts.syscall));
	if (r < 0)
		return explain_thread(r);
	read_state(dir, &facts.state);
	/* Not in every kernel; "" then. */
	read_text(dir, "wchan", facts.wchan, sizeof(facts.wchan));
	*ret = facts;
	return 0;
}

/* "socket:[1234]" */
static bool parse_socket(const char *link, uint64_t *ret_inode)
{
	unsigned long long inode;
	char end;

	if (sscanf(link, "socket:[%llu%c", &inode, &end) != 2 || end != ']')
		return false;
	*ret_inode = inode;
	return true;
}

/*
 * Sockets tell their protocol in an attribute. This follows the link to the socket's inode, which
 * is no open file: a socket that is closed meanwhile is closed at once.
 */
static void read_protocol(int dir_fd, int fd, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/fd/%d", dir_fd, fd);
	n = getxattr(path, "system.sockprotoname", buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
}

static bool begins_with(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

/* In which table to look; all of them when the protocol is not known. */
static bool is_candidate(enum net_table table, const char *protocol)
{
	static const char *const protocols[N_NET_TABLES] = {
	    [NET_TCP] = "TCP",	  [NET_TCP6] = "TCPv6", [NET_UDP] = "UDP",
	    [NET_UDP6] = "UDPv6", [NET_UNIX] = "UNIX",
	};

	if (!protocol[0])
		return true;
	/* Linux has UNIX and, since 5.14, UNIX-STREAM. */
	if (table == NET_UNIX)
		return begins_with(protocol, protocols[table]);
	return strcmp(protocol, protocols[table]) == 0;
}

static void read_net_line(int dir_fd, uint64_t inode, struct net_cache *cache,
			  struct fd_facts *facts)
{
	uint64_t now_ns = clock_monotonic_ns();

	facts->net_error = -ENOENT;
	for (int i = NET_NONE + 1; i < N_NET_TABLES; i++) {
		enum net_table table = (enum net_table)i;
		int r;

		if (!is_candidate(table, facts->protocol))
			continue;
		r = net_cache_find_inode(cache, dir_fd, table, inode, now_ns, facts->net_line,
					 sizeof(facts->net_line));
		if (r == 0) {
			facts->net_table = table;
			facts->net_error = 0;
			return;
		}
		/* The kernel may have been built without IPv6. */
		if (r != -ENOENT)
			facts->net_error = r;
	}
}

static void read_socket(int dir_fd, int fd, uint64_t inode, const struct socket_sources *sockets,
			struct fd_facts *facts)
{
	read_protocol(dir_fd, fd, facts->protocol, sizeof(facts->protocol));
	if (is_candidate(NET_UNIX, facts->protocol))
		unix_diag_read(sockets->diag, inode, &facts->unix_socket);
	if (!facts->unix_socket.known)
		read_net_line(dir_fd, inode, sockets->cache, facts);
}

/* Cut behind the last whole line, since half a number is another one. */
static void read_info(int dir_fd, int fd, char *buf, size_t size)
{
	char name[32];
	int len;

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	len = read_text(dir_fd, name, buf, size);
	while (len > 0 && buf[len - 1] != '\n')
		len--;
	if (len >= 0)
		buf[len] = '\0';
}

int wait_source_read_fd(const struct identity *id, pid_t tid, int fd,
			const struct socket_sources *sockets, struct fd_facts *ret)
{
	auto_close int dir = open_thread(id, tid);
	char name[32];
	uint64_t inode;
	ssize_t n;

	if (dir < 0)
		return dir;
	if (fd < 0)
		return -EBADF;
	memset(ret, 0, sizeof(*ret));
	snprintf(name, sizeof(name), "fd/%d", fd);
	n = readlinkat(dir, name, ret->link, sizeof(ret->link) - 1);
	if (n < 0)
		return errno == ENOENT ? -EBADF : -errno;
	ret->link[n] = '\0';
	if (parse_socket(ret->link, &inode))
		read_socket(dir, fd, inode, sockets, ret);
	else
		read_info(dir, fd, ret->info, sizeof(ret->info));
	return 0;
}

/* Of a process that is a child of the target now, and of no other that had the target's number. */
static int read_child(const struct identity *id, pid_t pid, struct child_facts *ret)
{
	auto_identity struct identity child = IDENTITY_NONE;
	struct child_facts facts = {.pid = (int32_t)pid};
	struct process_stat stat;
	int r;

	r = identity_open(pid, &child);
	if (r < 0)
		return r;
	r = identity_read_stat(&child, &stat);
	if (r < 0)
		return r;
	if (stat.parent_pid != id->pid)
		return -ECHILD;
	r = identity_read_stat(id, &stat);
	if (r < 0)
		return r;
	r = identity_read_command(&child, facts.command, sizeof(facts.command));
	if (r < 0)
		return r;
	*ret = facts;
	return 0;
}

static bool has_own_pid_namespace(const struct identity *id)
{
	char own[64], other[64];
	ssize_t own_len = readlink("/proc/self/ns/pid", own, sizeof(own));
	ssize_t len = readlinkat(id->proc_fd, "ns/pid", other, sizeof(other));

	return own_len > 0 && len > 0 && (own_len != len || memcmp(own, other, (size_t)len) != 0);
}

/* What a process is called in its own namespace: the last number of "NSpid:\t4242\t7\n". */
static bool is_called(pid_t pid, pid_t inner)
{
	char path[32], text[4096];
	char *line, *last;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	line = strstr(text, "\nNSpid:");
	if (!line)
		return false;
	line++;
	line[strcspn(line, "\n")] = '\0';
	last = strrchr(line, '\t');
	return last && atol(last + 1) == inner;
}

/* From the list of its threads, which has their numbers here. */
static pid_t translate_thread(const struct identity *id, pid_t inner)
{
	enum { MAX_THREADS = 4096 };
	int fd = openat(id->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_release(closedir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	for (int i = 0; dir && i < MAX_THREADS; i++) {
		const struct dirent *d = readdir(dir);
		long tid;

		if (!d)
			break;
		tid = strtol(d->d_name, NULL, 10);
		if (tid > 0 && tid <= INT32_MAX && is_called((pid_t)tid, inner))
			return (pid_t)tid;
	}
	return 0;
}

int wait_source_open_sched(const struct identity *id, pid_t target_tid, uint32_t *ret_tid)
{
	pid_t tid = has_own_pid_namespace(id) ? translate_thread(id, target_tid) : target_tid;
	auto_close int dir = open_thread(id, tid);
	int fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, "schedstat", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return explain_thread(-errno);
	*ret_tid = (uint32_t)tid;
	return fd;
}

/* From the list of the children of its main thread, which has their numbers here. */
static pid_t translate_child(const struct identity *id, pid_t inner)
{
	enum { MAX_CHILDREN = 256 };
	char name[48], text[4096], *at = text;

	snprintf(name, sizeof(name), "task/%d/children", (int)id->pid);
	if (read_text(id->proc_fd, name, text, sizeof(text)) < 0)
		return 0;
	for (int i = 0; i < MAX_CHILDREN; i++) {
		long pid = strtol(at, &at, 10);

		if (pid <= 0 || pid > INT32_MAX)
			return 0;
		if (is_called((pid_t)pid, inner))
			return (pid_t)pid;
	}
	return 0;
}

int wait_source_read_child(const struct identity *id, pid_t pid, struct child_facts *ret)
{
	int r;

	if (pid > 0 && has_own_pid_namespace(id))
		pid = translate_child(id, pid);
	r = read_child(id, pid, ret);
	return r == -ESRCH ? -ECHILD : r;
}
