/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the file system can, the file has no name while it is written (O_TMPFILE), so that
 * nothing is left of it even when the program is killed.
 */
#include "reader/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

#define NEW_FILE_MODE 0666
#define NAME_TRIES    100

struct output_file {
	FILE *stream;
	bool is_stdout;
	char *path;	 /* where it will be; NULL: it is there already */
	char *temporary; /* its name until then; NULL: it has none */
};

/* The folder that a file is in; the caller frees. */
static char *folder_of(const char *path)
{
	auto_free char *copy = xstrdup(path);

	return xstrdup(dirname(copy));
}

/* That of what it replaces, or as a new file gets it. Where it fails, it stays the user's own. */
static void set_mode(int fd, const char *path)
{
	mode_t mask = umask(0);
	struct stat st;

	umask(mask);
	if (fchmod(fd, stat(path, &st) == 0 ? st.st_mode & 07777 : NEW_FILE_MODE & ~mask) < 0)
		return;
}

static int open_temporary(struct output_file *o)
{
	auto_free char *folder = folder_of(o->path);
	int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, NEW_FILE_MODE);

	if (fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return -errno;
	if (fd >= 0) {
		set_mode(fd, o->path);
		return fd;
	}
	o->temporary = xasprintf("%s.XXXXXX", o->path);
	fd = mkostemp(o->temporary, O_CLOEXEC);
	if (fd < 0) {
		fd = -errno;
		free(steal_ptr(o->temporary));
		return fd;
	}
	set_mode(fd, o->path);
	return fd;
}

/* Where a file that is replaced really is: a symbolic link to it stays one. */
static char *real_path(const char *path)
{
	char *resolved = realpath(path, NULL);

	return resolved ? resolved : xstrdup(path);
}

static int open_descriptor(struct output_file *o, const char *path)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0 || S_ISREG(st.st_mode)) {
		o->path = real_path(path);
		return open_temporary(o);
	}
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

DEFINE_CLEANUP(struct output_file *, output_file_free)

int output_file_open(const char *path, struct output_file **ret)
{
	auto_release(output_file_free) struct output_file *o = xcalloc(1, sizeof(*o));
	auto_close int fd = -1;

	if (strcmp(path, "-") == 0) {
		o->stream = stdout;
		o->is_stdout = true;
		*ret = steal_ptr(o);
		return 0;
	}
	fd = open_descriptor(o, path);
	if (fd < 0)
		return fd;
	o->stream = fdopen(fd, "w");
	if (!o->stream)
		return -errno;
	steal_fd(&fd);
	*ret = steal_ptr(o);
	return 0;
}

FILE *output_file_stream(struct output_file *o)
{
	return o->stream;
}

/* Give what has no name one. */
static int link_temporary(struct output_file *o)
{
	auto_free char *self = xasprintf("/proc/self/fd/%d", fileno(o->stream));

	for (unsigned i = 0; i < NAME_TRIES; i++) {
		auto_free char *name = xasprintf("%s.%d.%u", o->path, (int)getpid(), i);

		if (linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
			o->temporary = steal_ptr(name);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return -errno;
}

int output_file_commit(struct output_file *o)
{
	int r = 0;

	if (fflush(o->stream) != 0 || ferror(o->stream))
		return errno ? -errno : -EIO;
	if (o->is_stdout)
		return 0;
	/* On the disk before it has its name: after a crash, too, it is whole. */
	if (o->path && fsync(fileno(o->stream)) < 0)
		return -errno;
	if (o->path && !o->temporary)
		r = link_temporary(o);
	if (r < 0)
		return r;
	if (fclose(steal_ptr(o->stream)) != 0)
		return -errno;
	if (o->path && rename(o->temporary, o->path) < 0)
		return -errno;
	free(steal_ptr(o->temporary));
	return 0;
}

void output_file_free(struct output_file *o)
{
	if (!o)
		return;
	if (o->stream && !o->is_stdout)
		fclose(o->stream);
	if (o->temporary)
		unlink(o->temporary);
	free(o->temporary);
	free(o->path);
	free(o);
}
