/* SPDX-License-Identifier: BSD-3-Clause */
/* What a descriptor of the target is, out of what the kernel says of it. Parsing only. */
#ifndef RECORDER_ONCPU_FD_OBJECT_H
#define RECORDER_ONCPU_FD_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/oncpu/net_lines.h"
#include "recorder/oncpu/wait_facts.h"

enum fd_kind {
	FD_UNKNOWN,
	FD_FILE, /* all that has a path: also devices, terminals, named pipes, message queues */
	FD_PIPE,
	FD_TCP,
	FD_UDP,
	FD_UNIX,
	FD_SOCKET, /* another one, or one that the kernel does not tell more of */
	FD_EVENTFD,
	FD_TIMERFD,
	FD_SIGNALFD,
	FD_EPOLL,
	FD_INOTIFY,
	FD_PIDFD,
	FD_ANONYMOUS, /* another file of the kernel's own */
};

#define FD_NAME_MAX 200

struct fd_object {
	enum fd_kind kind;
	bool listens;	 /* a socket that accepts connections */
	bool is_service; /* a socket at whose other end is a client, judged by the ports */
	uint64_t inode;	 /* of a pipe or socket, else 0 */
	struct net_address local, peer;
	uint64_t peer_inode;	    /* of a Unix socket; 0: not known */
	struct unix_name unix_name; /* of the peer where it has one, else its own */
	int32_t pid;		    /* of a pidfd, as this machine's /proc has it; 0: not told */
	int32_t inner_pid;	    /* the same as its own container calls it */
	/*
	 * For people, and the same for all that play the same part: "10.0.0.5:5432", "client of
	 * 0.0.0.0:80", "pipe", "UNIX socket /run/x", "/var/lib/x.db". Safe to show.
	 */
	char name[FD_NAME_MAX];
	/* What tells this one from others of that name: "10.1.1.1:40001 to 10.0.0.5:5432". */
	char detail[FD_NAME_MAX];
};

void fd_object_parse(const struct fd_facts *facts, struct fd_object *ret);

/* Whether reading from it is receiving, and writing to it sending. */
bool fd_object_is_socket(const struct fd_object *object);

/* The name of a Unix socket for people: "/run/x", "@abstract". At most `size` - 1 bytes. */
void unix_name_format(const struct unix_name *name, char *buf, size_t size);

/* A descriptor that an epoll watches. */
struct epoll_watch {
	int32_t fd;	/* its number when it was added */
	uint64_t inode; /* 0: not told (before Linux 5.3) */
};

/*
 * "tfd:        5 events:       19 data:                5  pos:0 ino:162b58 sdev:9" lines of the
 * fdinfo of an epoll.
 * @watches, @max  the first of them; may be NULL, 0
 * Returns how many there are in the text, which can be cut.
 */
uint32_t epoll_watches_parse(const char *info, struct epoll_watch *watches, uint32_t max);

#endif
