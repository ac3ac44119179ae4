/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/target/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/read_fully.h"

/* include/linux/sched.h; part of what /proc/PID/stat shows for good. */
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

bool process_is_kernel_thread(const struct process_stat *stat)
{
	return stat->flags & PF_KTHREAD;
}

bool process_is_exiting(const struct process_stat *stat)
{
	return stat->flags & PF_EXITING || stat->state == 'Z' || stat->state == 'X';
}

/*
 * 4242 (a (b) c) S 1 4242 4242 0 -1 4194560 … : the name ends at the last parenthesis, since it
 * may hold any; field 3 follows.
 */
int process_stat_parse(const char *text, size_t len, struct process_stat *ret)
{
	struct process_stat stat = {0};
	char buf[1024];
	char *open, *close;
	size_t comm_len;
	unsigned long flags;
	unsigned long long start, stack = 0;
	int pid, parent;

	if (len >= sizeof(buf))
		len = sizeof(buf) - 1;
	memcpy(buf, text, len);
	buf[len] = '\0';
	open = strchr(buf, '(');
	close = strrchr(buf, ')');
	if (!open || !close || close < open || sscanf(buf, "%d", &pid) != 1)
		return -EINVAL;
	/* Fields 3, 4, 9, 22 and 28. */
	if (sscanf(close + 1,
		   " %c %d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu"
		   " %*u %*d %*u %*u %*u %llu",
		   &stat.state, &parent, &flags, &start, &stack) < 4)
		return -EINVAL;
	comm_len = (size_t)(close - open - 1);
	if (comm_len >= sizeof(stat.comm))
		comm_len = sizeof(stat.comm) - 1;
	memcpy(stat.comm, open + 1, comm_len);
	stat.pid = pid;
	stat.parent_pid = parent;
	stat.flags = (uint32_t)flags;
	stat.start_ticks = start;
	stat.start_stack = stack;
	*ret = stat;
	return 0;
}

/* Read up to size - 1 bytes of a file in the process's folder; returns how many, NUL-terminated. */
static int read_text(const struct identity *id, const char *name, char *buf, size_t size)
{
	auto_close int fd = openat(id->proc_fd, name, O_RDONLY | O_CLOEXEC);
	size_t len;
	int r;

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = read_fully(fd, buf, size - 1, &len);
	if (r < 0)
		return r;
	buf[len] = '\0';
	return (int)len;
}

int identity_read_stat(const struct identity *id, struct process_stat *ret)
{
	struct process_stat stat;
	char text[1024];
	int r;

	r = read_text(id, "stat", text, sizeof(text));
	if (r < 0)
		return r;
	r = process_stat_parse(text, (size_t)r, &stat);
	if (r < 0)
		return r;
	if (id->start_ticks && stat.start_ticks != id->start_ticks)
		return -ESRCH;
	*ret = stat;
	return 0;
}

bool identity_has_ended(const struct identity *id)
{
	struct pollfd p = {.fd = id->pidfd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* There is no folder for it: no such process, or one that is hidden from us. */
static int explain_missing(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM ? -EACCES : -ESRCH;
}

int identity_open(pid_t pid, struct identity *ret)
{
	auto_identity struct identity id = IDENTITY_NONE;
	struct process_stat stat;
	char path[32];
	int r;

	if (pid <= 0)
		return -ESRCH;
	id.pid = pid;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	id.proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (id.proc_fd < 0)
		return errno == ENOENT ? explain_missing(pid) : -errno;
	id.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (id.pidfd < 0)
		/* EINVAL: that is the id of a thread, not of a process. */
		return errno == EINVAL ? -ESRCH : -errno;
	/*
	 * The folder was there before the pidfd; that its stat can still be read now proves that
	 * both are of the same process.
	 */
	r = identity_read_stat(&id, &stat);
	if (r == -EPERM || r == -EACCES)
		return -EACCES;
	/* A folder that is hidden from us can be opened as a path, but seems to be empty. */
	if (r == -ESRCH && !identity_has_ended(&id))
		return -EACCES;
	if (r < 0)
		return r;
	id.start_ticks = stat.start_ticks;
	*ret = id;
	id = IDENTITY_NONE;
	return 0;
}

void identity_close(struct identity *id)
{
	if (id->proc_fd >= 0)
		close(id->proc_fd);
	if (id->pidfd >= 0)
		close(id->pidfd);
	*id = IDENTITY_NONE;
}

/* Find "\nKEY:" and return what follows it. */
static const char *find_field(const char *text, const char *key)
{
	const char *p = strstr(text, key);

	return p ? p + strlen(key) : NULL;
}

int credentials_parse(const char *text, struct credentials *ret)
{
	const char *uid = find_field(text, "\nUid:");
	const char *gid = find_field(text, "\nGid:");
	const char *groups = find_field(text, "\nGroups:");
	struct credentials c = {0};
	char *end;

	/* Real, effective, saved, file system. */
	if (!uid || sscanf(uid, "%*u %u %*u %u", &c.euid, &c.fsuid) != 2)
		return -EINVAL;
	if (!gid || sscanf(gid, "%*u %*u %*u %u", &c.fsgid) != 1)
		return -EINVAL;
	while (groups && c.n_groups < sizeof(c.groups) / sizeof(c.groups[0])) {
		unsigned long group;

		groups += strspn(groups, " \t");
		if (*groups < '0' || *groups > '9')
			break;
		group = strtoul(groups, &end, 10);
		c.groups[c.n_groups++] = (gid_t)group;
		groups = end;
	}
	*ret = c;
	return 0;
}

int identity_read_credentials(const struct identity *id, struct credentials *ret)
{
	char text[8192];
	int r;

	r = read_text(id, "status", text, sizeof(text));
	return r < 0 ? r : credentials_parse(text, ret);
}

int identity_read_command(const struct identity *id, char *buf, size_t size)
{
	struct process_stat stat;
	int len, r;

	len = read_text(id, "cmdline", buf, size);
	if (len < 0)
		return len;
	while (len > 0 && (buf[len - 1] == '\0' || buf[len - 1] == ' '))
		len--;
	for (int i = 0; i < len; i++)
		if (buf[i] == '\0')
			buf[i] = ' ';
	buf[len] = '\0';
	if (len > 0)
		return 0;
	r = identity_read_stat(id, &stat);
	if (r < 0)
		return r;
	snprintf(buf, size, "[%s]", stat.comm);
	return 0;
}

void identity_read_executable(const struct identity *id, char buf[static PATH_MAX])
{
	ssize_t n = readlinkat(id->proc_fd, "exe", buf, PATH_MAX - 1);

	buf[n > 0 ? n : 0] = '\0';
}

void identity_base_name(const char *command, char *buf, size_t size)
{
	size_t len = strcspn(command, " ");
	const char *name = command;
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		if (command[i] == '/' && i + 1 < len)
			name = command + i + 1;
	len -= (size_t)(name - command);
	if (len > 1 && *name == '-') {
		name++;
		len--;
	}
	for (; n < len && n < size - 1; n++) {
		unsigned char c = (unsigned char)name[n];

		buf[n] = name[n];
		if (c < 0x20 || c == 0x7f || c == '/')
			buf[n] = '_';
	}
	buf[n] = '\0';
	if (n == 0 || strcmp(buf, ".") == 0 || strcmp(buf, "..") == 0)
		snprintf(buf, size, "%s", "process");
}
