/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "recorder/act_as.h"

#define SOCKET_MODE 0660
/* Who waits for being accepted; `trackexec status` is short. */
#define BACKLOG 32

static int explain(const char *path, int r, const char *problem, char *why, size_t size)
{
	auto_free char *shown = text_escape(path, strlen(path), "", TEXT_UTF8);

	snprintf(why, size, "%s: %s", shown, problem);
	return r;
}

static int explain_error(const char *path, int r, const char *what, char *why, size_t size)
{
	auto_free char *problem = xasprintf("%s: %s", what, strerror(-r));

	return explain(path, r, problem, why, size);
}

/* Who can write there could put another socket in our place, and answer instead of us. */
static int check_folder(int fd, const char *path, char *why, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return explain_error(path, -errno, "cannot be looked at", why, size);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return explain(path, -EPERM,
			       "belongs to someone else, who could put another socket there; give "
			       "it to root, or set Socket=",
			       why, size);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return explain(path, -EPERM,
			       "others can write there, and put another socket there; "
			       "`chmod go-w` it, or set Socket=",
			       why, size);
	return 0;
}

/* Returns a descriptor. */
static int open_folder(const char *path, char *why, size_t size)
{
	bool made = mkdir(path, 0755) == 0;
	auto_close int fd = -1;
	int r;

	if (!made && errno != EEXIST)
		return explain_error(path, -errno, "cannot make this folder for the socket", why,
				     size);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return explain_error(path, -errno, "cannot open this folder for the socket", why,
				     size);
	/* Whatever the umask says. */
	if (made && fchmod(fd, 0755) < 0)
		return explain_error(path, -errno, "cannot set its mode", why, size);
	r = check_folder(fd, path, why, size);
	return r < 0 ? r : steal_fd(&fd);
}

/* A name in an open folder: its path may be too long for an address, or lead elsewhere by now. */
static void address_of(int folder_fd, const char *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", folder_fd, name);
}

/* Returns 1 or 0, or a negative errno. */
static int is_answered(const struct sockaddr_un *address)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 1;
	/* More than it can take wait already. */
	if (errno == EAGAIN)
		return 1;
	return errno == ECONNREFUSED || errno == ENOENT ? 0 : -errno;
}

/*
 * Two that start at once must not both find a dead socket, and one remove what the other has just
 * made. The lock's file is for us alone: a folder can be locked by whoever can read it.
 * Returns a descriptor.
 */
static int lock_folder(int folder_fd, const char *name)
{
	auto_free char *lock = xasprintf("%s.lock", name);
	auto_close int fd =
	    openat(folder_fd, lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
	return steal_fd(&fd);
}

static int remove_dead(int folder_fd, const char *name, const struct sockaddr_un *address)
{
	struct stat st;
	int r;

	if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	r = is_answered(address);
	if (r != 0)
		return r < 0 ? r : -EADDRINUSE;
	return unlinkat(folder_fd, name, 0) < 0 ? -errno : 0;
}

/* A folder that is set-group-ID gives it another group: its owner may change that to his own. */
static int set_access(const struct control_socket *s, gid_t gid)
{
	struct stat st;

	if (fstatat(s->folder_fd, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (gid != (gid_t)-1 && st.st_gid != gid &&
	    fchownat(s->folder_fd, s->name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (fchmodat(s->folder_fd, s->name, SOCKET_MODE, 0) < 0)
		return -errno;
	if (fstatat(s->folder_fd, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if ((st.st_mode & 07777) != SOCKET_MODE || (gid != (gid_t)-1 && st.st_gid != gid))
		return -EOPNOTSUPP;
	return 0;
}

/* In the name of the group. The mode of an unbound socket becomes that of the file. */
static int bind_for(struct control_socket *s, const struct sockaddr_un *address, gid_t gid)
{
	const struct actor owner = {.uid = (uid_t)-1, .gid = gid};
	auto_act_as struct act_as scope = {0};
	struct stat st;
	int r = act_as_begin(&owner, &scope);

	if (r < 0)
		return r;
	if (fchmod(s->fd, 0600) < 0 ||
	    bind(s->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    fstatat(s->folder_fd, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	s->device = st.st_dev;
	s->inode = st.st_ino;
	return set_access(s, gid);
}

static int bind_and_listen(struct control_socket *s, const struct sockaddr_un *address, gid_t gid)
{
	int r = bind_for(s, address, gid);

	if (r < 0)
		return r;
	return listen(s->fd, BACKLOG) < 0 ? -errno : 0;
}

static int make(struct control_socket *s, gid_t gid)
{
	auto_close int lock_fd = lock_folder(s->folder_fd, s->name);
	struct sockaddr_un address;
	int r;

	if (lock_fd < 0)
		return lock_fd;
	address_of(s->folder_fd, s->name, &address);
	r = remove_dead(s->folder_fd, s->name, &address);
	if (r < 0)
		return r;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return s->fd < 0 ? -errno : bind_and_listen(s, &address, gid);
}

static int explain_make(const char *path, int r, char *why, size_t size)
{
	if (r == -EADDRINUSE)
		return explain(path, r,
			       "another collector answers there; stop that one, or give this one "
			       "another Socket=",
			       why, size);
	if (r == -EEXIST)
		return explain(
		    path, r, "is there and is not a socket; remove it, or set Socket=", why, size);
	if (r == -EOPNOTSUPP)
		return explain(path, r,
			       "that file system does not keep the group and mode that the socket "
			       "needs; set Socket= to a path below /run",
			       why, size);
	return explain_error(path, r, "cannot make the socket", why, size);
}

int control_socket_open(const char *path, gid_t gid, struct control_socket *ret, char *why,
			size_t why_size)
{
	const char *slash = strrchr(path, '/');
	auto_free char *folder = slash ? xstrndup(path, (size_t)(slash - path)) : NULL;
	struct control_socket s = {.fd = -1};
	int r;

	/* With what address_of() puts before it. */
	if (path[0] != '/' || !slash || !slash[1] ||
	    strlen(slash + 1) > sizeof(struct sockaddr_un) - 32)
		return explain(path, -EINVAL, "is not the path of a socket", why, why_size);
	s.folder_fd = open_folder(folder[0] ? folder : "/", why, why_size);
	if (s.folder_fd < 0)
		return s.folder_fd;
	s.name = xstrdup(slash + 1);
	r = make(&s, gid);
	if (r < 0) {
		control_socket_close(&s);
		return explain_make(path, r, why, why_size);
	}
	*ret = s;
	return 0;
}

void control_socket_close(struct control_socket *s)
{
	struct stat st;

	if (s->inode && fstatat(s->folder_fd, s->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_dev == s->device && st.st_ino == s->inode)
		unlinkat(s->folder_fd, s->name, 0);
	if (s->fd >= 0)
		close(s->fd);
	if (s->folder_fd >= 0)
		close(s->folder_fd);
	free(s->name);
	*s = (struct control_socket){.fd = -1, .folder_fd = -1};
}
