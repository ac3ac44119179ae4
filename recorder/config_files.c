/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything is opened relative to a folder that has been checked, and checked again through its
 * descriptor: what is judged is what is read.
 */
#include "recorder/config_files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

#define ENDING	  ".conf"
#define MASK_PATH "/dev/null"

/* One folder with configuration files in it. */
struct folder {
	int fd; /* -1: there is none, or it can't be used */
	char *path;
};

struct drop_in {
	const struct folder *folder; /* lent */
	char *name;
};

struct drop_ins {
	struct drop_in *items;
	size_t n, cap;
	bool is_full; /* there are more, which has been told */
	struct config_errors *errors;
};

static void complain(struct config_errors *errors, const char *path, int error)
{
	config_errors_add(errors, path, 0, "cannot be read: %s", strerror(error));
}

/* Nobody else can change it. */
static bool is_safe(const struct stat *st, const char *path, struct config_errors *errors)
{
	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		config_errors_add(
		    errors, path, 0,
		    "belongs to user %u: it must belong to root, as after `chown root`",
		    (unsigned)st->st_uid);
		return false;
	}
	if (st->st_mode & (S_IWGRP | S_IWOTH)) {
		config_errors_add(errors, path, 0,
				  "others can write to it: take that away with `chmod go-w`");
		return false;
	}
	return true;
}

/* @flags  O_NOFOLLOW or 0 */
static void open_folder(int at, const char *name, int flags, struct config_errors *errors,
			struct folder *f)
{
	struct stat st;

	f->fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
	if (f->fd < 0) {
		if (errno != ENOENT)
			complain(errors, f->path, errno);
		return;
	}
	if (fstat(f->fd, &st) == 0 && is_safe(&st, f->path, errors))
		return;
	close(f->fd);
	f->fd = -1;
}

static void close_folder(struct folder *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
}

static bool read_all(int fd, char *buf, size_t size, size_t *ret_len)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return true;
}

/* The text of an open file. NULL when it can't be used. */
static char *read_text(int fd, const char *path, struct config_errors *errors, size_t *ret_len)
{
	auto_free char *text = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0) {
		complain(errors, path, errno);
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		config_errors_add(errors, path, 0, "is not a regular file");
		return NULL;
	}
	if (!is_safe(&st, path, errors))
		return NULL;
	/* One byte more: it may grow while we read. */
	text = xmalloc(CONFIG_FILE_MAX_BYTES + 1);
	if (!read_all(fd, text, CONFIG_FILE_MAX_BYTES + 1, ret_len)) {
		complain(errors, path, errno);
		return NULL;
	}
	if (*ret_len > CONFIG_FILE_MAX_BYTES) {
		config_errors_add(errors, path, 0, "is larger than 1 MiB");
		return NULL;
	}
	/* Shrinks to what is needed. */
	return xreallocarray(steal_ptr(text), *ret_len, 1);
}

/* A link to /dev/null hides what has the same name elsewhere. Others are not followed. */
static bool is_masked(const struct folder *f, const char *name)
{
	char target[sizeof(MASK_PATH) + 1];
	ssize_t n = readlinkat(f->fd, name, target, sizeof(target));

	return n == (ssize_t)strlen(MASK_PATH) && memcmp(target, MASK_PATH, (size_t)n) == 0;
}

/* Returns false when there is no such file. */
static bool read_file(const struct folder *f, const char *name, struct config_errors *errors,
		      struct config_files *files)
{
	auto_free char *path = xasprintf("%s/%s", f->path, name);
	auto_free char *text = NULL;
	auto_close int fd = -1;
	size_t len = 0;

	if (is_masked(f, name))
		return true;
	/* Neither does a FIFO keep us, nor does a terminal become ours. */
	fd = openat(f->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return false;
	if (fd < 0 && errno == ELOOP) {
		config_errors_add(errors, path, 0,
				  "is a symbolic link: only those to " MASK_PATH
				  ", which hide a file, are followed");
		return true;
	}
	if (fd < 0) {
		complain(errors, path, errno);
		return true;
	}
	text = read_text(fd, path, errors, &len);
	if (text)
		files->items[files->n++] = (struct config_file){
		    .path = steal_ptr(path),
		    .text = steal_ptr(text),
		    .len = len,
		};
	return true;
}

static bool is_drop_in(const char *name)
{
	size_t len = strlen(name);

	return name[0] != '.' && len > strlen(ENDING) &&
	       strcmp(name + len - strlen(ENDING), ENDING) == 0;
}

static bool is_known(const struct drop_ins *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->items[i].name, name) == 0)
			return true;
	}
	return false;
}

static void add_drop_in(struct drop_ins *d, const struct folder *f, const char *name)
{
	if (!is_drop_in(name) || is_known(d, name) || d->is_full)
		return;
	/* One stays for collector.conf. */
	if (d->n == CONFIG_FILES_MAX - 1) {
		d->is_full = true;
		config_errors_add(d->errors, f->path, 0, "there are more than %d files",
				  CONFIG_FILES_MAX);
		return;
	}
	d->items = xgrow(d->items, &d->cap, d->n + 1, sizeof(*d->items));
	d->items[d->n++] = (struct drop_in){.folder = f, .name = xstrdup(name)};
}

/* Add what a folder has and the ones before did not. */
static void list_drop_ins(struct drop_ins *d, const struct folder *f)
{
	const struct dirent *entry;
	/* The list takes the descriptor with it when it is closed. */
	int fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		complain(d->errors, f->path, errno);
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		add_drop_in(d, f, entry->d_name);
	closedir(dir);
}

static int compare_names(const void *a, const void *b)
{
	const struct drop_in *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static void read_drop_ins(const struct folder *folders, size_t n, struct config_errors *errors,
			  struct config_files *files)
{
	struct drop_ins d = {.errors = errors};

	for (size_t i = 0; i < n; i++) {
		if (folders[i].fd >= 0)
			list_drop_ins(&d, &folders[i]);
	}
	if (d.n)
		qsort(d.items, d.n, sizeof(*d.items), compare_names);
	for (size_t i = 0; i < d.n; i++) {
		read_file(d.items[i].folder, d.items[i].name, errors, files);
		free(d.items[i].name);
	}
	free(d.items);
}

void config_files_read(const char *const *folders, struct config_errors *errors,
		       struct config_files *ret)
{
	struct folder mains[CONFIG_FOLDERS_MAX], drop_ins[CONFIG_FOLDERS_MAX];
	struct config_files files = {0};
	bool has_main = false;
	size_t n = 0;

	files.items = xcalloc(CONFIG_FILES_MAX, sizeof(*files.items));
	for (; folders[n]; n++) {
		assert(n < CONFIG_FOLDERS_MAX);
		mains[n] = (struct folder){-1, xstrdup(folders[n])};
		drop_ins[n] =
		    (struct folder){-1, xasprintf("%s/" CONFIG_DROP_INS_NAME, folders[n])};
		open_folder(AT_FDCWD, folders[n], 0, errors, &mains[n]);
		if (mains[n].fd < 0)
			continue;
		open_folder(mains[n].fd, CONFIG_DROP_INS_NAME, O_NOFOLLOW, errors, &drop_ins[n]);
		if (!has_main)
			has_main = read_file(&mains[n], CONFIG_FILE_NAME, errors, &files);
	}
	read_drop_ins(drop_ins, n, errors, &files);
	for (size_t i = 0; i < n; i++) {
		close_folder(&mains[i]);
		close_folder(&drop_ins[i]);
	}
	*ret = files;
}

void config_files_done(struct config_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->items[i].path);
		free(files->items[i].text);
	}
	free(files->items);
	*files = (struct config_files){0};
}
