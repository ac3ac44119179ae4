/* SPDX-License-Identifier: BSD-3-Clause */
/* Between wait_decode.c, wait_args.c and the wait_describe*.c files. */
#ifndef RECORDER_ONCPU_WAIT_PRIVATE_H
#define RECORDER_ONCPU_WAIT_PRIVATE_H

#include "recorder/oncpu/bounded_text.h"
#include "recorder/oncpu/fd_object.h"
#include "recorder/oncpu/syscall_table.h"
#include "recorder/oncpu/wait_decode.h"

#define NAME_SHOWN_MAX 130

/* One call of wait_decode(). */
struct decoding {
	const struct thread_facts *facts;
	struct memory *mem;
	const struct wait_sources *sources;
	const struct wait_clock *clock;
	const struct syscall_row *row;
	uint64_t args[SYSCALL_ARGS];
	struct wait_reason *out;
	struct bounded_text summary, detail;
	struct fd_facts *fd_facts; /* room for the answer */
};

/* --- wait_args.c --- */

bool has_arg(const struct decoding *d, enum arg_role role);
/* 0 when the call has no such argument. */
uint64_t get_arg(const struct decoding *d, enum arg_role role);
int get_int_arg(const struct decoding *d, enum arg_role role);

/* Keep the first thing that went wrong. */
void note_error(struct decoding *d, int r);

/* Each of these returns 0 or a negative errno, which it has noted. */
int read_arg(struct decoding *d, remote_addr addr, void *buf, size_t len);
/* A string; @size of buf. Longer ones are cut. */
int read_string(struct decoding *d, remote_addr addr, char *buf, size_t size);
int describe_fd(struct decoding *d, int fd, struct fd_object *ret);
int read_child(struct decoding *d, int32_t pid, struct child_facts *ret);

struct wait_sockaddr {
	uint16_t family;
	struct net_address net;
	struct unix_name name; /* AF_UNIX */
};
int read_sockaddr(struct decoding *d, remote_addr addr, uint64_t len, struct wait_sockaddr *ret);

/* The timeout that the call has by any of its arguments; WAIT_NO_TIMEOUT when it has none. */
void read_timeout(struct decoding *d);
/* A struct timespec at addr; @clock_id CLOCK_REALTIME, CLOCK_MONOTONIC or another one. */
void read_length(struct decoding *d, remote_addr addr, uint64_t ns_per_fraction);
void read_deadline(struct decoding *d, remote_addr addr, int clock_id);

/* --- texts --- */

/* Adds ", " first when there is something before. */
void add_detail(struct decoding *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void add_timeout(struct decoding *d);
/* "fd 7, inode 1234", and keep it in the reason. */
void take_object(struct decoding *d, int fd, const struct fd_object *object);

/* --- wait_describe.c --- */

typedef void (*describe_fn)(struct decoding *d);
describe_fn describe_find(enum wait_kind kind);

/* "sleep 5 s", of timeout_ns. */
void add_sleep(struct decoding *d);
/* The name service behind a socket, or NULL. */
const char *find_name_service(const struct fd_object *object);
void describe_name_service(struct decoding *d, const struct fd_object *object, const char *service);

/* --- wait_describe_poll.c, wait_describe_task.c: kinds that need more than an object --- */

void describe_poll(struct decoding *d);
void describe_futex(struct decoding *d);
void describe_child(struct decoding *d);

#endif
