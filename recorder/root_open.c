/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/root_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "common/xalloc.h"

struct walk {
	root_folder_fn on_folder;
	void *ctx;
	char *so_far; /* path of the folder that is looked at, for messages */
	size_t so_far_len;
	int unsafe; /* the first negative errno of a check, told only when the root exists */
	char *why;
	size_t why_size;
};

static char *shown_path(const struct walk *w)
{
	return w->so_far_len ? text_escape(w->so_far, w->so_far_len, "", TEXT_UTF8) : xstrdup("/");
}

static int refuse(const struct walk *w, int r, const char *problem, const char *advice)
{
	auto_free char *path = shown_path(w);

	snprintf(w->why, w->why_size, "%s %s: %s", path, problem, advice);
	return r;
}

static bool is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* A folder above the root: who may rename what is in it could put another root in its place. */
static int check_above(const struct walk *w, const struct stat *st)
{
	auto_free char *path = shown_path(w);
	auto_free char *advice = NULL;

	if (!is_ours(st)) {
		advice = xasprintf("its owner could replace what is in it; `chown root: %s`, or "
				   "choose another root folder",
				   path);
		return refuse(w, -EPERM, "belongs to someone else", advice);
	}
	if (st->st_mode & S_IWOTH && !(st->st_mode & S_ISVTX)) {
		advice =
		    xasprintf("they could replace what is in it; `chmod o-w %s` (or +t)", path);
		return refuse(w, -EPERM, "is writable by all", advice);
	}
	return 0;
}

static int check_root(const struct walk *w, const struct stat *st)
{
	auto_free char *path = shown_path(w);
	auto_free char *advice = NULL;

	if (!is_ours(st)) {
		advice = xasprintf("traces must be safe from its owner; `chown root: %s`", path);
		return refuse(w, -EPERM, "belongs to someone else", advice);
	}
	if (st->st_mode & (S_IWGRP | S_IWOTH)) {
		advice = xasprintf("traces must be safe from them; `chmod go-w %s`", path);
		return refuse(w, -EPERM, "is writable by others than its owner", advice);
	}
	return 0;
}

/* on_folder, then the check, whose result is kept for the end. */
static int visit(struct walk *w, int fd, const char *next)
{
	struct stat st;
	int r = w->on_folder ? w->on_folder(w->ctx, fd, next) : 0;

	if (r < 0)
		return refuse(w, r, "cannot be watched", strerror(-r));
	if (fstat(fd, &st) < 0)
		return refuse(w, -errno, "cannot be looked at", strerror(errno));
	if (w->unsafe == 0)
		w->unsafe = next ? check_above(w, &st) : check_root(w, &st);
	return 0;
}

static int explain_missing(struct walk *w, int parent_fd, const char *name, int r)
{
	struct stat st;

	if (r == -ENOENT)
		return refuse(w, r, "does not exist", "create it to have traces in it");
	if (r == -ENOTDIR && fstatat(parent_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode))
		return refuse(w, -ELOOP, "is a symbolic link",
			      "give the path that it leads to, or make a folder of it");
	if (r == -ENOTDIR)
		return refuse(w, r, "is not a folder", "make a folder of it");
	if (r == -EACCES)
		return refuse(w, r, "cannot be opened", "run as root");
	return refuse(w, r, "cannot be opened", strerror(-r));
}

static void append(struct walk *w, const char *name)
{
	w->so_far[w->so_far_len++] = '/';
	memcpy(w->so_far + w->so_far_len, name, strlen(name) + 1);
	w->so_far_len += strlen(name);
}

/* The one after the next slashes, and after "." */
static char *next_component(char **rest)
{
	char *name;

	do {
		name = strtok_r(NULL, "/", rest);
	} while (name && strcmp(name, ".") == 0);
	return name;
}

/* From an open "/" down. Returns the root's descriptor, O_PATH. */
static int descend(struct walk *w, int slash_fd, char *path)
{
	auto_close int fd = slash_fd;
	char *rest = path, *name = next_component(&rest);
	int below_fd, r, depth = 0;

	while (name) {
		r = visit(w, fd, name);
		if (r < 0)
			return r;
		append(w, name);
		if (strcmp(name, "..") == 0 || ++depth > ROOT_DEPTH_MAX)
			return refuse(w, -EINVAL, "cannot be used",
				      "give a path without '..', at most 64 folders deep");
		below_fd = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below_fd < 0)
			return explain_missing(w, fd, name, -errno);
		close(fd);
		fd = below_fd;
		name = next_component(&rest);
	}
	if (depth == 0)
		return refuse(w, -EINVAL, "cannot be the folder of traces", "give another one");
	r = visit(w, fd, NULL);
	return r < 0 ? r : steal_fd(&fd);
}

static int open_slash(struct walk *w)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? refuse(w, -errno, "cannot be opened", strerror(errno)) : fd;
}

int root_walk(const char *path, root_folder_fn on_folder, void *ctx, int *ret_fd, char *why,
	      size_t why_size)
{
	auto_free char *so_far = xcalloc(1, strlen(path) + 2);
	auto_free char *copy = xstrdup(path);
	auto_close int path_fd = -1;
	struct walk w = {
	    .on_folder = on_folder,
	    .ctx = ctx,
	    .so_far = so_far,
	    .why = why,
	    .why_size = why_size,
	};
	int fd;

	if (path[0] != '/') {
		auto_free char *name = text_escape(path, strlen(path), "", TEXT_UTF8);

		snprintf(why, why_size, "%s is not an absolute path: begin it with '/'", name);
		return -EINVAL;
	}
	fd = open_slash(&w);
	path_fd = fd < 0 ? fd : descend(&w, fd, copy);
	if (path_fd < 0)
		return path_fd;
	if (w.unsafe < 0)
		return w.unsafe;
	fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return explain_missing(&w, path_fd, ".", -errno);
	*ret_fd = fd;
	return 0;
}

int root_open(const char *path, int *ret_fd, char *why, size_t why_size)
{
	return root_walk(path, NULL, NULL, ret_fd, why, why_size);
}
