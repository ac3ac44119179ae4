/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/target_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/trace_schema.h"
#include "recorder/act_as.h"
#include "recorder/target/mappings.h"

int target_open_memory(const struct identity *id, int *ret_mem, int *ret_maps)
{
	auto_close int mem = -1;
	auto_close int maps = -1;
	struct process_stat stat;
	int r;

	mem = openat(id->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (mem < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	/* In this order: should it execute another program in between, mem is the one to be dead.
	 */
	maps = openat(id->proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	if (maps < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = identity_read_stat(id, &stat);
	if (r < 0)
		return r;
	*ret_mem = steal_fd(&mem);
	*ret_maps = steal_fd(&maps);
	return 0;
}

/* From a descriptor that only names a file (O_PATH) to one that reads it, if it is a regular one.
 */
static int open_regular(int path_fd, struct stat *ret_stat)
{
	char path[32];
	int fd;

	if (fstat(path_fd, ret_stat) < 0)
		return -errno;
	if (!S_ISREG(ret_stat->st_mode))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_below(int root_fd, const char *path)
{
	struct open_how how = {
	    .flags = O_PATH | O_CLOEXEC,
	    .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/*
 * Open for reading if it is the file with that inode number. Device numbers are not compared: in
 * another mount namespace, and on overlayfs and btrfs, those of a mapping and of stat() differ.
 */
static int open_same_inode(int path_fd, uint64_t inode)
{
	struct stat st;

	if (fstat(path_fd, &st) < 0)
		return -errno;
	if (st.st_ino != inode)
		return -ESTALE;
	return open_regular(path_fd, &st);
}

/*
 * The kernel gives paths of mappings and links as they look from our root folder. For a target in
 * a chroot they begin with the path of its own root: take that away.
 */
static void strip_root(const struct identity *id, char *path)
{
	char root[PATH_MAX];
	ssize_t len = readlinkat(id->proc_fd, "root", root, sizeof(root));

	if (len <= 1 || len == (ssize_t)sizeof(root) || strncmp(path, root, (size_t)len) != 0)
		return;
	if (path[len] == '/' || path[len] == '\0')
		memmove(path, path + len, strlen(path + len) + 1);
}

/* Only what it executes: nothing else is needed, so a worker that went astray gets nothing else. */
static int check_mapping(const struct mapping *map)
{
	if (!map)
		return -ENOENT;
	return map->executable ? 0 : -EACCES;
}

static int read_own_mappings(const struct identity *id, struct mappings *ret)
{
	auto_close int fd = openat(id->proc_fd, "maps", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : mappings_read(fd, ret);
}

int target_open_image(const struct identity *id, uint64_t start, uint64_t end)
{
	auto_mappings struct mappings maps = {0};
	auto_close int exe = -1;
	auto_close int root = -1;
	auto_close int named = -1;
	auto_close int mapped = -1;
	struct mapping *map;
	char name[64];
	int fd, r;

	r = read_own_mappings(id, &maps);
	if (r < 0)
		return r;
	map = mappings_find(&maps, start, end);
	r = check_mapping(map);
	if (r < 0)
		return r;
	exe = openat(id->proc_fd, "exe", O_PATH | O_CLOEXEC);
	fd = exe < 0 ? -errno : open_same_inode(exe, map->inode);
	if (fd >= 0)
		return fd;
	root = openat(id->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0) {
		strip_root(id, map->path);
		named = open_below(root, map->path);
		fd = named < 0 ? named : open_same_inode(named, map->inode);
		if (fd >= 0)
			return fd;
	}
	/* Deleted or replaced; following this link takes privilege. */
	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)start,
		 (unsigned long long)end);
	mapped = openat(id->proc_fd, name, O_PATH | O_CLOEXEC);
	if (mapped < 0)
		return fd;
	return open_same_inode(mapped, map->inode);
}

/*
 * Take the target's rights for files, so that a root recorder can't be made to read what the
 * target could not read itself. An unprivileged recorder keeps its own.
 */
static int assume_rights(const struct identity *id, struct act_as *ret)
{
	struct credentials target;
	struct actor actor;
	int r;

	if (geteuid() != 0)
		return 0;
	r = identity_read_credentials(id, &target);
	if (r < 0 || target.fsuid == 0)
		return r;
	actor = (struct actor){
	    .uid = target.fsuid,
	    .gid = target.fsgid,
	    .groups = target.groups,
	    .n_groups = target.n_groups,
	};
	return act_as_begin(&actor, ret);
}

static int read_working_folder(const struct identity *id, char buf[static PATH_MAX])
{
	ssize_t len = readlinkat(id->proc_fd, "cwd", buf, PATH_MAX - 1);

	if (len < 0)
		return -errno;
	buf[len] = '\0';
	strip_root(id, buf);
	return 0;
}

static int absolute_path(const struct identity *id, const char *path, char buf[static PATH_MAX])
{
	size_t len;
	int n, r;

	/* <string>, <frozen …>: names that the interpreter gives to code without a file. */
	if (path[0] == '\0' || path[0] == '<')
		return -EINVAL;
	if (path[0] == '/') {
		n = snprintf(buf, PATH_MAX, "%s", path);
		return n < PATH_MAX ? 0 : -ENAMETOOLONG;
	}
	r = read_working_folder(id, buf);
	if (r < 0)
		return r;
	len = strlen(buf);
	n = snprintf(buf + len, PATH_MAX - len, "/%s", path);
	return (size_t)n < PATH_MAX - len ? 0 : -ENAMETOOLONG;
}

static int open_source_below(int root, const char *path)
{
	auto_close int named = open_below(root, path);
	auto_close int fd = -1;
	struct statfs fs;
	struct stat st;

	if (named < 0)
		return named;
	/* /proc/self would be this process. */
	if (fstatfs(named, &fs) < 0)
		return -errno;
	if (fs.f_type == PROC_SUPER_MAGIC)
		return -EINVAL;
	fd = open_regular(named, &st);
	if (fd < 0)
		return fd;
	if (st.st_size > SOURCE_MAX_BYTES)
		return -EFBIG;
	return steal_fd(&fd);
}

int target_open_source(const struct identity *id, const char *path)
{
	auto_close int root = -1;
	auto_act_as struct act_as rights = {0};
	char full[PATH_MAX];
	int r;

	r = absolute_path(id, path, full);
	if (r < 0)
		return r;
	root = openat(id->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	r = assume_rights(id, &rights);
	return r < 0 ? r : open_source_below(root, full);
}
