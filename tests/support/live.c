/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "recorder/target/mappings.h"

#define PATIENCE_NS (10 * NS_PER_S)

static int open_image(void *ctx, const struct mapping *mapping)
{
	char path[PATH_MAX + 64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/root%s", *(int *)ctx, mapping->path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* In a chroot the kernel names the file as we see it, not as the target does. */
	if (fd < 0)
		fd = open(mapping->path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int try_open(int pid, struct memory *mem, struct py_runtime *py, char *found,
		    size_t found_size)
{
	auto_mappings struct mappings maps = {0};
	auto_close int maps_fd = -1;
	struct py_location where;
	char path[64];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	memory_init_fd(mem, fd);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps_fd = open(path, O_RDONLY | O_CLOEXEC);
	r = maps_fd < 0 ? -errno : mappings_read(maps_fd, &maps);
	if (r == 0)
		r = py_locate(&maps, open_image, &pid, &where, found, found_size);
	if (r == 0)
		r = py_runtime_open(mem, &where, py, found, found_size);
	if (r < 0)
		memory_done(mem);
	return r;
}

int live_open(int pid, struct memory *mem, struct py_runtime *py, char *found, size_t found_size)
{
	uint64_t start = clock_monotonic_ns();
	int r;

	snprintf(found, found_size, "nothing");
	do {
		r = try_open(pid, mem, py, found, found_size);
		if (r != -EAGAIN && r != -EOPNOTSUPP && r != -EFAULT)
			break;
		poll(NULL, 0, 5);
	} while (clock_monotonic_ns() - start < PATIENCE_NS);
	return r;
}
