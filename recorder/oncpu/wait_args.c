/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/units.h"
#include "recorder/oncpu/wait_private.h"

/* A time in the target; that of all 64 bit machines. */
struct remote_time {
	int64_t s, fraction;
};

static int find_arg(const struct decoding *d, enum arg_role role)
{
	for (int i = 0; d->row && i < SYSCALL_ARGS; i++)
		if (d->row->roles[i] == role)
			return i;
	return -1;
}

bool has_arg(const struct decoding *d, enum arg_role role)
{
	return find_arg(d, role) >= 0;
}

uint64_t get_arg(const struct decoding *d, enum arg_role role)
{
	int i = find_arg(d, role);

	return i < 0 ? 0 : d->args[i];
}

int get_int_arg(const struct decoding *d, enum arg_role role)
{
	return (int)(uint32_t)get_arg(d, role);
}

void note_error(struct decoding *d, int r)
{
	if (r < 0 && d->out->error == 0)
		d->out->error = r;
}

int read_arg(struct decoding *d, remote_addr addr, void *buf, size_t len)
{
	int r = memory_read(d->mem, addr, buf, len);

	note_error(d, r);
	return r;
}

int read_string(struct decoding *d, remote_addr addr, char *buf, size_t size)
{
	const size_t page = 4096;
	size_t len = 0;

	/* Not over the end of a page at once: the next one may not be there. */
	while (len < size - 1) {
		size_t n = page - (size_t)((addr + len) % page);
		int r;

		if (n > size - 1 - len)
			n = size - 1 - len;
		r = memory_read_some(d->mem, addr + len, buf + len, n);
		if (r < 0) {
			note_error(d, r);
			buf[0] = '\0';
			return r;
		}
		if (memchr(buf + len, '\0', (size_t)r))
			return 0;
		len += (size_t)r;
	}
	buf[len] = '\0';
	return 0;
}

int describe_fd(struct decoding *d, int fd, struct fd_object *ret)
{
	int r = -EBADF;

	*ret = (struct fd_object){0};
	if (fd >= 0)
		r = d->sources->read_fd(d->sources->ctx, fd, d->fd_facts);
	if (r == 0)
		fd_object_parse(d->fd_facts, ret);
	else
		snprintf(ret->name, sizeof(ret->name), "unknown object");
	note_error(d, r);
	return r;
}

int read_child(struct decoding *d, int32_t pid, struct child_facts *ret)
{
	int r = d->sources->read_child(d->sources->ctx, pid, ret);

	note_error(d, r);
	return r;
}

static uint16_t get_port(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

int read_sockaddr(struct decoding *d, remote_addr addr, uint64_t len, struct wait_sockaddr *ret)
{
	struct wait_sockaddr a = {0};
	uint8_t bytes[128] = {0};
	int r;

	if (len < sizeof(a.family) || len > sizeof(bytes)) {
		note_error(d, -EBADMSG);
		return -EBADMSG;
	}
	r = read_arg(d, addr, bytes, (size_t)len);
	if (r < 0)
		return r;
	memcpy(&a.family, bytes, sizeof(a.family));
	if (a.family == AF_INET) {
		a.net = net_address_v4(bytes + 4, get_port(bytes + 2));
	} else if (a.family == AF_INET6) {
		a.net = net_address_v6(bytes + 8, get_port(bytes + 2));
	} else if (a.family == AF_UNIX) {
		size_t n = (size_t)len - sizeof(a.family);

		a.name.len = (uint8_t)(n < UNIX_NAME_MAX ? n : UNIX_NAME_MAX);
		memcpy(a.name.bytes, bytes + sizeof(a.family), a.name.len);
	}
	*ret = a;
	return 0;
}

static bool to_ns(const struct remote_time *t, uint64_t ns_per_fraction, uint64_t *ret)
{
	if (t->s < 0 || t->fraction < 0 || (uint64_t)t->fraction > NS_PER_S / ns_per_fraction)
		return false;
	/* Longer than any machine runs: for ever. */
	if ((uint64_t)t->s > INT64_MAX / NS_PER_S - 1)
		*ret = WAIT_NO_TIMEOUT;
	else
		*ret = (uint64_t)t->s * NS_PER_S + (uint64_t)t->fraction * ns_per_fraction;
	return true;
}

void read_length(struct decoding *d, remote_addr addr, uint64_t ns_per_fraction)
{
	struct remote_time t;

	if (addr == 0 || read_arg(d, addr, &t, sizeof(t)) < 0)
		return;
	if (!to_ns(&t, ns_per_fraction, &d->out->timeout_ns))
		note_error(d, -EBADMSG);
}

/*
 * When the thread began to wait some time had passed since the deadline was computed, a few
 * microseconds as a rule: round it, or no two sleeps of a second would look alike.
 */
static uint64_t round_length(uint64_t ns)
{
	const uint64_t step = 100 * NS_PER_US;

	return ns < step ? ns : (ns + step - 1) / step * step;
}

void read_deadline(struct decoding *d, remote_addr addr, int clock_id)
{
	struct remote_time t;
	uint64_t deadline, now;

	if (addr == 0 || read_arg(d, addr, &t, sizeof(t)) < 0)
		return;
	if (!to_ns(&t, 1, &deadline)) {
		note_error(d, -EBADMSG);
		return;
	}
	if (!d->clock || d->clock->start_ns == 0 || deadline == WAIT_NO_TIMEOUT)
		return;
	if (clock_id == CLOCK_MONOTONIC)
		now = d->clock->start_ns;
	else if (clock_id == CLOCK_REALTIME)
		now = d->clock->start_ns + (uint64_t)d->clock->to_realtime_ns;
	else
		return;
	d->out->timeout_ns = deadline > now ? round_length(deadline - now) : 0;
}

void read_timeout(struct decoding *d)
{
	int clock_id = has_arg(d, ARG_CLOCK) ? get_int_arg(d, ARG_CLOCK) : CLOCK_REALTIME;

	if (has_arg(d, ARG_TIMEOUT_MS)) {
		int ms = get_int_arg(d, ARG_TIMEOUT_MS);

		if (ms >= 0)
			d->out->timeout_ns = (uint64_t)ms * NS_PER_MS;
	} else if (has_arg(d, ARG_TIMESPEC)) {
		read_length(d, get_arg(d, ARG_TIMESPEC), 1);
	} else if (has_arg(d, ARG_TIMEVAL)) {
		read_length(d, get_arg(d, ARG_TIMEVAL), NS_PER_US);
	} else if (has_arg(d, ARG_DEADLINE)) {
		read_deadline(d, get_arg(d, ARG_DEADLINE), clock_id);
	}
}

void add_detail(struct decoding *d, const char *fmt, ...)
{
	char words[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(words, sizeof(words), fmt, args);
	va_end(args);
	bounded_text_add(&d->detail, "%s", d->detail.len ? ", " : "");
	/* What was cut may have been cut within a character. */
	bounded_text_add_foreign(&d->detail, words, strlen(words), sizeof(words));
}

void add_timeout(struct decoding *d)
{
	char text[UNITS_MAX];

	if (d->out->timeout_ns == WAIT_NO_TIMEOUT)
		return;
	format_duration(d->out->timeout_ns, "u", text);
	add_detail(d, "timeout %s", text);
}

void take_object(struct decoding *d, int fd, const struct fd_object *object)
{
	d->out->fd = fd;
	d->out->n_fds = 1;
	d->out->fd_kind = (uint8_t)object->kind;
	d->out->inode = object->inode;
	d->out->peer_inode = object->peer_inode;
	d->out->local = object->local;
	d->out->peer = object->peer;
	if (object->kind == FD_PIDFD)
		d->out->child = object->pid;
	add_detail(d, "fd %d", fd);
	if (object->inode)
		add_detail(d, "inode %llu", (unsigned long long)object->inode);
	if (object->detail[0])
		add_detail(d, "%s", object->detail);
}
