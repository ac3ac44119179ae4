/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The listening Unix socket of a daemon, as a file: made where only we can have put it, in place
 * of one that a daemon that is dead has left, never of one at which somebody still answers.
 */
#ifndef RECORDER_CONTROL_SOCKET_H
#define RECORDER_CONTROL_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

struct control_socket {
	int fd; /* listens; does not block */
	int folder_fd;
	char *name; /* in the folder */
	dev_t device;
	ino_t inode;
};

/*
 * Its mode is 0660 before anyone can connect. Its folder is made if need be (0755), but not what
 * is above that.
 * @path  absolute
 * @gid   whose members may connect; (gid_t)-1: our own group
 * @ret   the caller's, to be closed with control_socket_close()
 * Returns 0, or with a sentence for the user in `why`:
 * -EADDRINUSE  somebody answers there: another collector runs
 * -EEXIST      there is something of that name that is no socket
 * -EPERM       others than root and we can write in the folder
 * -EOPNOTSUPP  its file system does not keep the socket's group or mode
 * or another negative errno.
 */
int control_socket_open(const char *path, gid_t gid, struct control_socket *ret, char *why,
			size_t why_size);

/* Removes the file, unless it is another one by now. */
void control_socket_close(struct control_socket *s);

#endif
