/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "tests/support/scratch.h"

static void must(bool ok, const char *what, const char *path)
{
	if (ok)
		return;
	fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
	abort();
}

char *tree_new(void)
{
	/* In memory if possible: thousands of small files take a disk half a minute. */
	char *root = scratch_new(access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");

	must(chmod(root, 0755) == 0, "chmod", root);
	return root;
}

void tree_free(char *root)
{
	scratch_remove(root);
	free(root);
}

static char *path_of(const char *root, const char *path)
{
	return xasprintf("%s/%s", root, path);
}

int tree_open(const char *root, const char *path)
{
	auto_free char *p = path_of(root, path);
	int fd = open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(fd >= 0, "open", p);
	return fd;
}

void tree_mkdir(const char *root, const char *path)
{
	auto_free char *p = path_of(root, path);

	must(mkdir(p, 0750) == 0 || errno == EEXIST, "mkdir", p);
}

static void make_above(const char *root, const char *path)
{
	auto_free char *above = xstrdup(path);
	char *slash = strrchr(above, '/');

	if (!slash)
		return;
	*slash = '\0';
	tree_mkdir(root, above);
}

void tree_write(const char *root, const char *path, const char *text)
{
	auto_free char *p = path_of(root, path);
	FILE *f;

	make_above(root, path);
	f = fopen(p, "we");
	must(f, "fopen", p);
	must(fputs(text, f) >= 0, "write", p);
	must(fclose(f) == 0, "write", p);
}

void tree_fill(const char *root, const char *path, size_t n)
{
	auto_free char *text = xmalloc(n + 1);

	memset(text, 'x', n);
	text[n] = '\0';
	tree_write(root, path, text);
}

void tree_link(const char *root, const char *path, const char *target)
{
	auto_free char *p = path_of(root, path);

	make_above(root, path);
	must(symlink(target, p) == 0, "symlink", p);
}

void tree_touch(const char *root, const char *path, int64_t mtime_s)
{
	const struct timespec times[2] = {{.tv_sec = mtime_s}, {.tv_sec = mtime_s}};
	auto_free char *p = path_of(root, path);

	must(utimensat(AT_FDCWD, p, times, AT_SYMLINK_NOFOLLOW) == 0, "utimensat", p);
}

bool tree_has(const char *root, const char *path)
{
	auto_free char *p = path_of(root, path);
	struct stat st;

	return lstat(p, &st) == 0;
}

const char *tree_readlink(const char *root, const char *path)
{
	static char target[PATH_MAX];
	auto_free char *p = path_of(root, path);
	ssize_t n = readlink(p, target, sizeof(target) - 1);

	target[n > 0 ? n : 0] = '\0';
	return target;
}
