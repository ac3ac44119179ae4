/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/output_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/trace_schema.h"

static void explain(const char *path, int error, char *why, size_t size)
{
	switch (error) {
	case ENOTEMPTY:
		snprintf(why, size,
			 "%s exists already and is not empty: remove it, or choose another folder "
			 "with --output",
			 path);
		break;
	case EEXIST:
	case ENOTDIR:
		snprintf(why, size, "%s is not a folder: choose another one with --output", path);
		break;
	case ENOENT:
		snprintf(why, size,
			 "cannot create %s: the folder above it does not exist; create that first",
			 path);
		break;
	case EACCES:
	case EPERM:
	case EROFS:
		snprintf(why, size,
			 "cannot write to %s: %s; choose a folder that you may write to with "
			 "--output",
			 path, strerror(error));
		break;
	case ENOSPC:
	case EDQUOT:
		snprintf(why, size,
			 "cannot create %s: %s; make room, or choose a folder on another disk with "
			 "--output",
			 path, strerror(error));
		break;
	default:
		snprintf(why, size, "cannot create %s: %s", path, strerror(error));
	}
}

static int check_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = -ENOTEMPTY;
	closedir(dir);
	if (r == 0 && faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) < 0)
		r = -errno;
	return r;
}

int output_folder_prepare(const char *path, bool *ret_created, char *why, size_t why_size)
{
	int r = 0;

	*ret_created = mkdir(path, 0700) == 0;
	if (!*ret_created)
		r = errno == EEXIST ? check_empty(path) : -errno;
	if (r < 0)
		explain(path, -r, why, why_size);
	return r;
}

void output_folder_discard(const char *path, bool created)
{
	static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
	int dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	char name[64];

	if (dir < 0)
		return;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(name, sizeof(name), TRACE_FILE_NAME "%s", endings[i]);
		unlinkat(dir, name, 0);
	}
	close(dir);
	if (created)
		rmdir(path);
}
