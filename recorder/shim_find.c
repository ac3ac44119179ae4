/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/shim_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/read_fully.h"
#include "recorder/shim_ring.h"

/* A target with more descriptors has its ring among these, or none for us. */
#define DESCRIPTORS_MAX 4096

#define PAUSE_MIN_NS NS_PER_S
#define PAUSE_MAX_NS (10 * NS_PER_S)

#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW)

static void close_dir(DIR *dir)
{
	closedir(dir);
}
DEFINE_CLEANUP(DIR *, close_dir)

uint64_t shim_find_pause_ns(unsigned n_looks)
{
	uint64_t pause_ns = PAUSE_MIN_NS << (n_looks < 4 ? n_looks : 4);

	return pause_ns < PAUSE_MAX_NS ? pause_ns : PAUSE_MAX_NS;
}

/* The last number of "NSpid:	4242	17". */
static uint64_t read_own_pid(const struct identity *id)
{
	auto_close int fd = openat(id->proc_fd, "status", O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *line, *end;
	char *rest;
	uint64_t pid = (uint64_t)id->pid;

	if (n <= 0)
		return pid;
	text[n] = '\0';
	line = strstr(text, "\nNSpid:");
	if (!line)
		return pid;
	line += 7;
	end = line + strcspn(line, "\n");
	while (line < end) {
		pid = strtoull(line, &rest, 10);
		line = rest + strspn(rest, "\t ");
	}
	return pid;
}

/* Whether it is what the shim makes: opened by name only, so that nothing happens to it so far. */
static int open_ring(int dir_fd, const char *name)
{
	auto_close int path_fd = openat(dir_fd, name, O_PATH | O_CLOEXEC);
	auto_close int fd = -1;
	char path[32];
	struct stat st;
	int seals;

	if (path_fd < 0 || fstat(path_fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 0 ||
	    st.st_size < SHIM_RING_HEAD_BYTES + SHIM_RING_MIN_BYTES ||
	    st.st_size > SHIM_RING_HEAD_BYTES + SHIM_RING_MAX_BYTES)
		return -ENOENT;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED)
		return -ENOENT;
	return steal_fd(&fd);
}

static bool is_ring(int dir_fd, const char *name)
{
	char link[sizeof(SHIM_RING_LINK)];
	ssize_t n = readlinkat(dir_fd, name, link, sizeof(link));

	return n == (ssize_t)sizeof(link) - 1 && memcmp(link, SHIM_RING_LINK, (size_t)n) == 0;
}

int shim_find(const struct identity *id, uint64_t *ret_pid)
{
	auto_close int dir_fd = openat(id->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_release(close_dir) DIR *dir = NULL;
	const struct dirent *entry;
	int fd;

	if (dir_fd < 0)
		return -errno;
	dir = fdopendir(dir_fd);
	if (!dir)
		return -errno;
	(void)steal_fd(&dir_fd); /* it is the folder's */
	for (unsigned i = 0; i < DESCRIPTORS_MAX && (entry = readdir(dir)); i++) {
		if (!is_ring(dirfd(dir), entry->d_name))
			continue;
		fd = open_ring(dirfd(dir), entry->d_name);
		if (fd < 0)
			continue;
		*ret_pid = read_own_pid(id);
		return fd;
	}
	return -ENOENT;
}

bool shim_tells_lines(const char *python)
{
	unsigned minor;

	return sscanf(python, "3.%u", &minor) == 1 && minor >= 12;
}

void shim_ask_for_lines(struct message *ret, bool is_wanted)
{
	message_init(ret, MSG_SHIM);
	ret->end = is_wanted;
}
