/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any system call, any memory and any texts of the kernel: the reason must be bounded, valid UTF-8
 * without control characters, and the same when decoded again.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "recorder/oncpu/peer_question.h"
#include "recorder/oncpu/wait_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_KINDS 8

struct input {
	const uint8_t *data;
	size_t size;
};

/* The input lies at address 0, so that small numbers in it are addresses of itself. */
static int read_input(void *ctx, remote_addr addr, void *buf, size_t len)
{
	const struct input *in = ctx;

	if (addr > in->size || in->size - addr < len)
		return -EFAULT;
	memcpy(buf, in->data + addr, len);
	return 0;
}

/* What the input has from `at` on, as a text. */
static void take_text(const struct input *in, size_t at, char *buf, size_t size)
{
	size_t len = at < in->size ? in->size - at : 0;

	if (len > size - 1)
		len = size - 1;
	memcpy(buf, in->data + (len ? at : 0), len);
	buf[len] = '\0';
}

/* The descriptor says where in the input its texts are, and what it begins with. */
static int read_fd(void *ctx, int fd, struct fd_facts *ret)
{
	static const char *const links[N_KINDS] = {
	    "",
	    "pipe:[",
	    "socket:[7]",
	    "socket:[7]",
	    "socket:[7]",
	    "anon_inode:[eventpoll]",
	    "anon_inode:[pidfd]",
	    "anon_inode:",
	};
	const struct input *in = ctx;
	unsigned kind = (unsigned)fd % N_KINDS;
	size_t at = (unsigned)fd / N_KINDS % 64;

	if (in->size == 0)
		return -EBADF;
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->link, sizeof(ret->link), "%s", links[kind]);
	take_text(in, at, ret->link + strlen(ret->link), 200);
	if (kind == 2)
		ret->net_table = (enum net_table)(at % N_NET_TABLES);
	if (kind == 3)
		take_text(in, at, ret->protocol, sizeof(ret->protocol));
	if (kind == 4) {
		size_t len = in->size < sizeof(ret->unix_socket.name)
				 ? in->size
				 : sizeof(ret->unix_socket.name);

		ret->unix_socket.known = true;
		ret->unix_socket.state = in->data[0];
		memcpy(&ret->unix_socket.name, in->data, len);
		memcpy(&ret->unix_socket.peer_name, in->data, at % 2 ? len : 0);
	}
	take_text(in, at, ret->net_line, sizeof(ret->net_line));
	take_text(in, at, ret->info, sizeof(ret->info));
	return 0;
}

static int read_child(void *ctx, int32_t pid, struct child_facts *ret)
{
	const struct input *in = ctx;

	if (pid % 2)
		return -ECHILD;
	ret->pid = pid;
	take_text(in, (size_t)pid % 64, ret->command, sizeof(ret->command));
	return 0;
}

static void check_text(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	if (len == size || !text_is_utf8(text, len))
		abort();
	while (len) {
		uint32_t c = 0;
		size_t n = text_utf8_char(text, len, &c);

		if (text_is_control(c))
			abort();
		text += n;
		len -= n;
	}
}

static void check(const struct wait_reason *r)
{
	char full[WAIT_FULL_TEXT_MAX];
	struct peer_question question;

	check_text(r->summary, sizeof(r->summary));
	check_text(r->detail, sizeof(r->detail));
	if (!r->summary[0] || r->kind >= N_WAIT_KINDS)
		abort();
	wait_reason_format(r, full);
	peer_question_make(r, &question);
}

static void decode_twice(const struct thread_facts *facts, struct input *in)
{
	const struct wait_sources sources = {read_fd, read_child, in};
	const struct wait_clock clock = {.start_ns = 1000, .to_realtime_ns = 1000000};
	struct wait_reason first, second;
	struct memory mem;

	memory_init_image(&mem, read_input, in);
	wait_decode(facts, &mem, &sources, &clock, &first);
	wait_decode(facts, &mem, &sources, &clock, &second);
	check(&first);
	if (strcmp(first.summary, second.summary) != 0 || strcmp(first.detail, second.detail) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct thread_facts facts = {0};
	struct input in;
	int len;

	if (size < 16)
		return 0;
	in = (struct input){data + 16, size - 16};
	/* A text of the kernel, well formed; its arguments are bytes of the input. */
	len = snprintf(facts.syscall, sizeof(facts.syscall), "%d", data[0] | data[1] << 8);
	for (int i = 0; i < 6; i++) {
		uint64_t value = data[2 + 2 * i] | (uint64_t)data[3 + 2 * i] << 8;

		len += snprintf(facts.syscall + len, sizeof(facts.syscall) - (size_t)len, " 0x%llx",
				(unsigned long long)value);
	}
	facts.state = "SDTtRZ"[data[14] % 6];
	decode_twice(&facts, &in);
	/* Any text. */
	take_text(&in, data[15], facts.syscall, sizeof(facts.syscall));
	take_text(&in, data[14], facts.wchan, sizeof(facts.wchan));
	decode_twice(&facts, &in);
	return 0;
}
