/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/trace_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

#define GROUP	    "trackexec"
#define DEFINITIONS "uprobe_events"

/* Mounted, but in no folder: gone with the descriptor. */
static int mount_for_us(void)
{
	auto_close int fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	long dir;

	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	dir = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	return dir < 0 ? -errno : (int)dir;
}

int trace_fs_owner(const char *line, char ret_name[static TRACE_FS_NAME_MAX])
{
	char name[TRACE_FS_NAME_MAX];
	int pid;

	/* "p:trackexec/p4242_1 /usr/bin/python3.11:0x…" */
	if (sscanf(line, "p:" GROUP "/%63[a-z0-9_]", name) != 1 || sscanf(name, "p%d_", &pid) != 1)
		return 0;
	snprintf(ret_name, TRACE_FS_NAME_MAX, "%s", name);
	return pid > 0 ? pid : 0;
}

static bool is_dead(int pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static void remove_left_behind(int dir_fd)
{
	char line[512], name[TRACE_FS_NAME_MAX];
	auto_fclose FILE *f = NULL;
	int fd = openat(dir_fd, DEFINITIONS, O_RDONLY | O_CLOEXEC);

	f = fd < 0 ? NULL : fdopen(fd, "r");
	while (f && fgets(line, sizeof(line), f)) {
		int pid = trace_fs_owner(line, name);

		if (pid && is_dead(pid))
			trace_fs_remove(dir_fd, name);
	}
}

/* Whether definitions can be made there. */
static bool is_usable(int dir_fd)
{
	auto_close int fd = openat(dir_fd, DEFINITIONS, O_WRONLY | O_APPEND | O_CLOEXEC);

	return fd >= 0;
}

int trace_fs_open(void)
{
	static const char *const paths[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	int dir = -1;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		dir = open(paths[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0 && is_usable(dir))
			break;
		close_p(&dir);
		dir = -1;
	}
	if (dir < 0)
		dir = mount_for_us();
	if (dir >= 0)
		remove_left_behind(dir);
	return dir;
}

void trace_fs_clean(void)
{
	auto_close int dir = trace_fs_open();

	(void)dir;
}

static int write_definition(int dir_fd, const char *text)
{
	auto_close int fd = openat(dir_fd, DEFINITIONS, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int read_id(int dir_fd, const char *name, uint64_t *ret)
{
	char path[sizeof("events/" GROUP "/") + TRACE_FS_NAME_MAX + sizeof("/id")], text[32];
	auto_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "events/" GROUP "/%s/id", name);
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	*ret = strtoull(text, NULL, 10);
	return 0;
}

int trace_fs_define(int dir_fd, int fd, uint64_t offset, uint64_t semaphore,
		    char ret_name[static TRACE_FS_NAME_MAX], uint64_t *ret_id)
{
	static atomic_uint n_defined;
	char text[256], reference[32] = "";
	int r;

	snprintf(ret_name, TRACE_FS_NAME_MAX, "p%d_%u", (int)getpid(),
		 atomic_fetch_add(&n_defined, 1));
	if (semaphore)
		snprintf(reference, sizeof(reference), "(0x%llx)", (unsigned long long)semaphore);
	/* A link to the file itself, whatever its name means to whom by now. */
	snprintf(text, sizeof(text), "p:" GROUP "/%s /proc/self/fd/%d:0x%llx%s\n", ret_name, fd,
		 (unsigned long long)offset, reference);
	r = write_definition(dir_fd, text);
	if (r < 0)
		return r;
	r = read_id(dir_fd, ret_name, ret_id);
	if (r < 0)
		trace_fs_remove(dir_fd, ret_name);
	return r;
}

void trace_fs_remove(int dir_fd, const char *name)
{
	char text[TRACE_FS_NAME_MAX + sizeof("-:" GROUP "/\n")];

	snprintf(text, sizeof(text), "-:" GROUP "/%s\n", name);
	write_definition(dir_fd, text);
}
