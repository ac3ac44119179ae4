/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "recorder/target/identity.h"

/* How often a parent may change while we look. */
#define TRIES 3

/* A small file, relative to `dir`. Returns its length, NUL-terminated, or a negative errno. */
static int read_text(int dir, const char *name, char *buf, size_t size)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	do
		n = read(fd, buf, size - 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return (int)n;
}

/* An open folder stays with its process. */
static int open_process(int proc_fd, pid_t pid)
{
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "%d", (int)pid);
	fd = openat(proc_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

static int read_stat(int dir, struct process_stat *ret)
{
	char text[1024];
	int n = read_text(dir, "stat", text, sizeof(text));

	return n < 0 ? n : process_stat_parse(text, (size_t)n, ret);
}

static int read_title(int dir, pid_t pid, _Atomic pid_t *ret_at, char buf[static PROC_TITLE_MAX],
		      uint64_t *ret_hash)
{
	char text[PROC_TITLE_MAX + 1];
	size_t len;
	int n;

	atomic_store(ret_at, pid);
	n = read_text(dir, "cmdline", text, sizeof(text));
	if (n < 0)
		return n;
	len = proc_title_clean(text, (size_t)n);
	memcpy(buf, text, len);
	*ret_hash = proc_title_hash(buf, len);
	return (int)len;
}

int process_uids_parse(const char *text, struct process_uids *ret)
{
	const char *line = strstr(text, "\nUid:");
	struct process_uids uids;

	if (!line || sscanf(line + 5, "%u %u %u %u", &uids.real, &uids.effective, &uids.saved,
			    &uids.fs) != 4)
		return -EINVAL;
	*ret = uids;
	return 0;
}

static int read_uids(int dir, struct process_uids *ret)
{
	/* The line is among the first. */
	char text[1024];
	int n = read_text(dir, "status", text, sizeof(text));

	return n < 0 ? n : process_uids_parse(text, ret);
}

int process_uids_read(int proc_fd, pid_t pid, struct process_uids *ret)
{
	auto_close int dir = open_process(proc_fd, pid);

	return dir < 0 ? dir : read_uids(dir, ret);
}

/* Without randomised addresses, that two stacks begin at the same place says nothing. */
static bool is_randomized(int proc_fd)
{
	char text[16] = "";

	return read_text(proc_fd, "sys/kernel/randomize_va_space", text, sizeof(text)) < 0 ||
	       text[0] != '0';
}

/* What can't be read of it is not known; it may have ended already. */
static void read_parent(int proc_fd, pid_t avoid, _Atomic pid_t *ret_at, struct examined *e)
{
	auto_close int dir = open_process(proc_fd, e->parent_pid);
	char title[PROC_TITLE_MAX];
	struct process_stat stat = {0};

	e->parent_stack = 0;
	e->parent_title_hash = 0;
	if (dir < 0 || read_stat(dir, &stat) < 0)
		return;
	/* Its id was given to another process meanwhile: a parent is not younger. */
	if (stat.start_ticks > e->start_ticks)
		return;
	e->parent_stack = stat.start_stack;
	if (e->parent_pid != avoid)
		read_title(dir, e->parent_pid, ret_at, title, &e->parent_title_hash);
}

static int read_self(int dir, _Atomic pid_t *ret_at, struct examined *e)
{
	struct process_stat stat = {0};
	int r;

	r = read_stat(dir, &stat);
	if (r < 0)
		return r;
	if (process_is_exiting(&stat))
		return -ESRCH;
	e->start_ticks = stat.start_ticks;
	e->stack = stat.start_stack;
	e->parent_pid = stat.parent_pid;
	r = read_uids(dir, &e->uids);
	if (r < 0)
		return r;
	r = read_title(dir, e->pid, ret_at, e->title, &e->title_hash);
	if (r < 0)
		return r;
	e->title_len = (size_t)r;
	return 0;
}

int examine_read(int proc_fd, pid_t pid, pid_t avoid, _Atomic pid_t *ret_at, struct examined *ret)
{
	auto_close int dir = open_process(proc_fd, pid);
	struct process_stat again = {0};
	int r;

	if (dir < 0)
		return dir;
	ret->pid = pid;
	for (int i = 0; i < TRIES; i++) {
		r = read_self(dir, ret_at, ret);
		if (r < 0)
			return r;
		read_parent(proc_fd, avoid, ret_at, ret);
		/* All of one moment, as far as it matters: no exec and no new parent in between. */
		r = read_stat(dir, &again);
		if (r < 0)
			return r;
		if (again.parent_pid == ret->parent_pid && again.start_stack == ret->stack)
			break;
	}
	if (!is_randomized(proc_fd)) {
		ret->stack = 0;
		ret->parent_stack = 0;
	}
	return 0;
}
