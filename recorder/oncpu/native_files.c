/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/native_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder/target/mappings.h"
#include "recorder/target_files.h"

static bool is_roots_own(const struct stat *st)
{
	return st->st_uid == 0 && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* Links may lead to other places below the folder: some distributions have them there. */
static int open_below(int folder, const char *path)
{
	struct open_how how = {
	    .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int open_debug_file(const char *folder, const char *path)
{
	auto_close int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_close int fd = -1;
	struct stat st;

	if (dir < 0 || fstat(dir, &st) < 0)
		return -errno;
	if (!is_roots_own(&st))
		return -EPERM;
	fd = open_below(dir, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || !is_roots_own(&st))
		return -EPERM;
	return steal_fd(&fd);
}

int debug_file_open_by_id(const char *folder, const struct elf_build_id *id)
{
	char path[sizeof(".build-id/xx/.debug") + 2ul * ELF_BUILD_ID_MAX];
	size_t len;

	if (id->len < 2 || id->len > ELF_BUILD_ID_MAX)
		return -EINVAL;
	len = (size_t)snprintf(path, sizeof(path), ".build-id/%02x/", id->bytes[0]);
	for (size_t i = 1; i < id->len; i++)
		len += (size_t)snprintf(path + len, sizeof(path) - len, "%02x", id->bytes[i]);
	snprintf(path + len, sizeof(path) - len, ".debug");
	return open_debug_file(folder, path);
}

int debug_file_open_by_link(const char *folder, const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	char full[PATH_MAX];
	int n;

	if (path[0] != '/' || !*name || strchr(name, '/') || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return -EINVAL;
	/* Below the folder, so without the leading slash; its own folder may be the root. */
	n = snprintf(full, sizeof(full), "%.*s%s", (int)(slash - path), path + 1, name);
	if (n < 0 || (size_t)n >= sizeof(full))
		return -ENAMETOOLONG;
	return open_debug_file(folder, full);
}

int native_file_open(const struct identity *id, const struct native_file *file)
{
	switch (file->kind) {
	case NATIVE_FILE_IMAGE:
		return target_open_image(id, file->mapping->start, file->mapping->end);
	case NATIVE_FILE_BUILD_ID:
		return debug_file_open_by_id(DEBUG_FILES_FOLDER, file->build_id);
	case NATIVE_FILE_LINK:
		return debug_file_open_by_link(DEBUG_FILES_FOLDER, file->mapping->path, file->link);
	}
	return -EINVAL;
}
