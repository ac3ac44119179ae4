/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An invented thread that waits: its system call, memory, descriptors and child. It has state and
 * functions of its own, so it is for the one file of a test program.
 */
#ifndef TESTS_SUPPORT_WAIT_SCENE_H
#define TESTS_SUPPORT_WAIT_SCENE_H

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"
#include "recorder/oncpu/wait_decode.h"

#define SCENE_START   0x10000u
#define SCENE_BYTES   8192u
#define SCENE_FDS     16
#define SCENE_NOWHERE 0x900000u

static uint8_t bytes[SCENE_BYTES];
static struct fd_facts fds[SCENE_FDS];
static struct memory mem;
static struct wait_reason reason;
static struct wait_clock wait_clock;

static inline int read_bytes(void *ctx, remote_addr addr, void *buf, size_t len)
{
	(void)ctx;
	if (addr < SCENE_START || addr - SCENE_START > SCENE_BYTES ||
	    SCENE_BYTES - (addr - SCENE_START) < len)
		return -EFAULT;
	memcpy(buf, bytes + (addr - SCENE_START), len);
	return 0;
}

static inline int read_fd(void *ctx, int fd, struct fd_facts *ret)
{
	(void)ctx;
	if (fd >= SCENE_FDS || !fds[fd].link[0])
		return -EBADF;
	*ret = fds[fd];
	return 0;
}

static inline int read_child(void *ctx, int32_t pid, struct child_facts *ret)
{
	(void)ctx;
	if (pid != 4242)
		return -ECHILD;
	*ret = (struct child_facts){.pid = 4242, .command = "sleep 100"};
	return 0;
}

static inline void scene_setup(void)
{
	memset(bytes, 0, sizeof(bytes));
	memset(fds, 0, sizeof(fds));
	memory_init_image(&mem, read_bytes, NULL);
	wait_clock = (struct wait_clock){.start_ns = 1000 * NS_PER_S,
					 .to_realtime_ns = 1700000000 * (int64_t)NS_PER_S};
}

/* --- what the target has --- */

static inline void put_link(int fd, const char *link)
{
	snprintf(fds[fd].link, sizeof(fds[fd].link), "%s", link);
}

static inline void put_socket(int fd, enum net_table table, const char *line)
{
	put_link(fd, "socket:[440]");
	fds[fd].net_table = table;
	snprintf(fds[fd].net_line, sizeof(fds[fd].net_line),
		 "%s 00000000:00000000 00:00000000 00000000     0        0 440 1", line);
}

static inline void put_unix(int fd, const char *name, const char *peer_name, uint8_t state)
{
	struct unix_facts *u = &fds[fd].unix_socket;

	put_link(fd, "socket:[441]");
	*u = (struct unix_facts){.known = true, .state = state, .peer_inode = 442};
	u->name.len = (uint8_t)strlen(name);
	memcpy(u->name.bytes, name, strlen(name));
	u->peer_name.len = (uint8_t)strlen(peer_name);
	memcpy(u->peer_name.bytes, peer_name, strlen(peer_name));
}

static inline uint64_t put(uint32_t at, const void *data, size_t len)
{
	ck_assert_uint_le(at + len, SCENE_BYTES);
	memcpy(bytes + at, data, len);
	return SCENE_START + at;
}

static inline uint64_t put_text(uint32_t at, const char *text)
{
	return put(at, text, strlen(text) + 1);
}

static inline uint64_t put_time(uint32_t at, int64_t s, int64_t fraction)
{
	return put(at, (const int64_t[]){s, fraction}, 16);
}

/* --- what is asked --- */

static inline void decode_text(const char *syscall, char state, const char *wchan)
{
	struct thread_facts facts = {.state = state};
	const struct wait_sources sources = {.read_fd = read_fd, .read_child = read_child};

	snprintf(facts.syscall, sizeof(facts.syscall), "%s", syscall);
	snprintf(facts.wchan, sizeof(facts.wchan), "%s", wchan);
	wait_decode(&facts, &mem, &sources, &wait_clock, &reason);
	ck_assert(text_is_utf8(reason.summary, strlen(reason.summary)));
	ck_assert(text_is_utf8(reason.detail, strlen(reason.detail)));
}

/* The arguments as uint64_t, six of them. */
static inline void decode(long number, ...)
{
	char text[256];
	va_list args;
	int len = snprintf(text, sizeof(text), "%ld", number);

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, " 0x%" PRIx64,
				va_arg(args, uint64_t));
	va_end(args);
	snprintf(text + len, sizeof(text) - (size_t)len, " 0x7ffd0000 0x7f120000\n");
	decode_text(text, 'S', "0");
}

#define ARG(value) ((uint64_t)(int64_t)(value))
/* One to six arguments. */
#define DECODE(number, ...) DECODE_(number, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define DECODE_(number, a, b, c, d, e, f, ...) \
	decode(number, ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f))

#define assert_reason(expected_kind, expected_summary, expected_detail) \
	do {                                                            \
		ck_assert_str_eq(reason.summary, expected_summary);     \
		ck_assert_str_eq(reason.detail, expected_detail);       \
		ck_assert_int_eq(reason.kind, expected_kind);           \
	} while (0)

#endif
