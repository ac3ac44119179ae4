/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel says of a thread that waits and of the descriptors and children that it waits
 * for: raw, as read by the half of the recorder that may (wait_source.h), to be understood by the
 * other half (wait_decode.h, fd_object.h). Plain values, every text NUL-terminated; the texts hold
 * names that the target chose, so any bytes.
 */
#ifndef RECORDER_ONCPU_WAIT_FACTS_H
#define RECORDER_ONCPU_WAIT_FACTS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define WAIT_SYSCALL_MAX 256

struct thread_facts {
	char syscall[WAIT_SYSCALL_MAX]; /* "202 0x7f… 0x189 … SP PC", "-1 SP PC", "running" */
	char wchan[64]; /* the kernel's function that it sleeps in; "" or "0": not told */
	char state;	/* S, D, T …; 0: not told */
};

/* bool: it is on a CPU, or only waits for one. */
static inline bool wait_facts_is_running(const struct thread_facts *f)
{
	return strncmp(f->syscall, "running", 7) == 0;
}

/* The tables of /proc/PID/net that describe a socket. */
enum net_table { NET_NONE, NET_TCP, NET_TCP6, NET_UDP, NET_UDP6, NET_UNIX, N_NET_TABLES };

#define UNIX_NAME_MAX 108 /* sizeof(sockaddr_un.sun_path) */

struct unix_name {
	uint8_t len; /* 0: no name */
	char bytes[UNIX_NAME_MAX];
	/* A path, maybe with a NUL behind it; or a NUL and then an abstract name. */
};

/* From the socket monitoring interface (unix(7), sock_diag(7)). */
struct unix_facts {
	bool known; /* whether the socket was found there; else all below is 0 */
	uint8_t state, type;
	uint64_t peer_inode; /* 0: none */
	struct unix_name name, peer_name;
};

#define FD_LINK_MAX	512
#define FD_PROTOCOL_MAX 32
#define FD_INFO_MAX	16384
#define NET_LINE_MAX	320

struct fd_facts {
	char link[FD_LINK_MAX];		/* "/var/lib/x.db", "pipe:[1234]", "anon_inode:[eventfd]" */
	char protocol[FD_PROTOCOL_MAX]; /* of a socket: "TCP", "UNIX-STREAM", …; "": not told */
	enum net_table net_table;	/* where net_line is from */
	int net_error;			/* why there is no net_line: a negative errno */
	char net_line[NET_LINE_MAX];
	struct unix_facts unix_socket;
	char info[FD_INFO_MAX]; /* of fdinfo; cut behind a line */
};

struct child_facts {
	int32_t pid; /* as this process sees it */
	char command[256];
};

#endif
