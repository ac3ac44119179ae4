/* SPDX-License-Identifier: BSD-3-Clause */
/* Waits for one object: a file, a socket, a path, a length of time. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/units.h"
#include "recorder/oncpu/wait_private.h"

#define DNS_PORT      53
#define PATH_READ_MAX 512

static const char *find_verb(const struct decoding *d)
{
	return d->row->verb ? d->row->verb : d->row->name;
}

const char *find_name_service(const struct fd_object *object)
{
	static const char *const resolvers[] = {
	    "/run/systemd/resolve/io.systemd.Resolve",
	    "/run/nscd/socket",
	    "/var/run/nscd/socket",
	};

	if ((object->kind == FD_UDP || object->kind == FD_TCP) && object->peer.port == DNS_PORT)
		return "DNS";
	if (object->kind != FD_UNIX || object->is_service || object->listens)
		return NULL;
	for (size_t i = 0; i < sizeof(resolvers) / sizeof(resolvers[0]); i++)
		if (strncmp(object->unix_name.bytes, resolvers[i], UNIX_NAME_MAX) == 0)
			return "name service";
	return NULL;
}

void describe_name_service(struct decoding *d, const struct fd_object *object, const char *service)
{
	char address[NET_ADDRESS_TEXT_MAX];

	d->out->kind = WAIT_NAME;
	net_address_format(&object->peer, address);
	bounded_text_add(&d->summary, "name look-up (%s) at %s", service,
			 address[0] ? address : object->name);
}

/* "recv from 10.0.0.5:5432", "read pipe" */
static void describe_transfer(struct decoding *d, const struct fd_object *object)
{
	const char *verb = find_verb(d), *service = find_name_service(object);
	bool reads = d->row->kind == WAIT_READ;

	if (service) {
		describe_name_service(d, object, service);
		return;
	}
	if (fd_object_is_socket(object)) {
		verb = reads ? "recv" : "send";
		bounded_text_add(&d->summary, "%s %s ", verb, reads ? "from" : "to");
	} else {
		bounded_text_add(&d->summary, "%s ", verb);
	}
	bounded_text_add(&d->summary, "%s", object->name);
}

static void describe_read(struct decoding *d)
{
	int fd = get_int_arg(d, ARG_FD);
	struct fd_object object;

	describe_fd(d, fd, &object);
	describe_transfer(d, &object);
	d->out->direction = WAIT_FOR_INPUT;
	take_object(d, fd, &object);
	add_timeout(d);
}

/* sendto() and sendmsg() on a socket that is not connected name the receiver. */
static bool find_receiver(struct decoding *d, struct wait_sockaddr *ret)
{
	struct {
		uint64_t name;
		uint32_t name_len, unused;
	} header;

	if (has_arg(d, ARG_SOCKADDR) && get_arg(d, ARG_SOCKADDR) != 0)
		return read_sockaddr(d, get_arg(d, ARG_SOCKADDR), get_arg(d, ARG_SOCKADDR_LEN),
				     ret) == 0;
	if (!has_arg(d, ARG_MSGHDR) ||
	    read_arg(d, get_arg(d, ARG_MSGHDR), &header, sizeof(header)) < 0 || header.name == 0)
		return false;
	return read_sockaddr(d, header.name, header.name_len, ret) == 0;
}

/* "10.0.0.5:5432", "UNIX socket /run/x" */
static void add_sockaddr(struct decoding *d, const struct wait_sockaddr *a)
{
	char text[NAME_SHOWN_MAX];

	if (a->family == AF_UNIX) {
		unix_name_format(&a->name, text, sizeof(text));
		bounded_text_add(&d->summary, "UNIX socket %s", text);
	} else if (a->net.family) {
		_Static_assert(sizeof(text) >= NET_ADDRESS_TEXT_MAX, "an address fits");
		net_address_format(&a->net, text);
		bounded_text_add(&d->summary, "%s", text);
	} else {
		bounded_text_add(&d->summary, "an address of family %u", a->family);
	}
}

static void describe_copy(struct decoding *d, int fd, const struct fd_object *object)
{
	int from_fd = get_int_arg(d, ARG_FD_FROM);
	struct fd_object from;

	describe_fd(d, from_fd, &from);
	bounded_text_add(&d->summary, "%s from %s to %s", find_verb(d), from.name, object->name);
	take_object(d, fd, object);
	add_detail(d, "from fd %d", from_fd);
	d->out->n_fds = 2;
}

static void describe_write(struct decoding *d)
{
	int fd = get_int_arg(d, ARG_FD);
	struct wait_sockaddr receiver;
	struct fd_object object;

	describe_fd(d, fd, &object);
	d->out->direction = WAIT_FOR_OUTPUT;
	if (has_arg(d, ARG_FD_FROM)) {
		describe_copy(d, fd, &object);
		return;
	}
	if (object.peer.port == 0 && fd_object_is_socket(&object) && find_receiver(d, &receiver)) {
		object.peer = receiver.net;
		bounded_text_add(&d->summary, "send to ");
		add_sockaddr(d, &receiver);
	} else {
		describe_transfer(d, &object);
	}
	take_object(d, fd, &object);
}

static void describe_connect(struct decoding *d)
{
	int fd = get_int_arg(d, ARG_FD);
	struct wait_sockaddr to;
	struct fd_object object;
	bool is_known;

	is_known =
	    read_sockaddr(d, get_arg(d, ARG_SOCKADDR), get_arg(d, ARG_SOCKADDR_LEN), &to) == 0;
	describe_fd(d, fd, &object);
	bounded_text_add(&d->summary, "connect to ");
	if (is_known) {
		object.peer = to.net;
		add_sockaddr(d, &to);
		if (to.family == AF_UNIX)
			d->out->peer_name = to.name;
	} else {
		bounded_text_add(&d->summary, "%s", object.name);
	}
	object.detail[0] = '\0';
	take_object(d, fd, &object);
}

/* One that is not waited on in either direction: fsync, flock, ioctl … */
static void describe_object(struct decoding *d)
{
	int fd = get_int_arg(d, ARG_FD);
	struct fd_object object;

	bounded_text_add(&d->summary, "%s", find_verb(d));
	if (!has_arg(d, ARG_FD))
		return;
	describe_fd(d, fd, &object);
	bounded_text_add(&d->summary, " %s", object.name);
	take_object(d, fd, &object);
	add_timeout(d);
}

static void describe_accept(struct decoding *d)
{
	int fd = get_int_arg(d, ARG_FD);
	struct fd_object object;

	describe_fd(d, fd, &object);
	bounded_text_add(&d->summary, "accept at %s", object.name);
	take_object(d, fd, &object);
}

/* Two digits below 100 s, so that random delays do not make as many reasons. */
void add_sleep(struct decoding *d)
{
	static const struct {
		uint64_t ns;
		const char *name;
	} units[] = {{NS_PER_S, "s"}, {NS_PER_MS, "ms"}, {NS_PER_US, "us"}, {1, "ns"}};
	uint64_t ns = d->out->timeout_ns;
	unsigned long long tenths;
	char text[UNITS_MAX];
	size_t i = 0;

	if (ns == WAIT_NO_TIMEOUT) {
		bounded_text_add(&d->summary, "sleep");
		return;
	}
	if (ns >= 100 * NS_PER_S) {
		format_duration(ns, "u", text);
		bounded_text_add(&d->summary, "sleep %s", text);
		return;
	}
	/* 999.9 ms is a second. */
	while (units[i].ns > 1 && ns < units[i].ns - units[i].ns / 200)
		i++;
	tenths = (ns * 10 + units[i].ns / 2) / units[i].ns;
	if (tenths >= 100 || tenths % 10 == 0)
		bounded_text_add(&d->summary, "sleep %llu %s", (tenths + 5) / 10, units[i].name);
	else
		bounded_text_add(&d->summary, "sleep %llu.%llu %s", tenths / 10, tenths % 10,
				 units[i].name);
}

static void describe_sleep(struct decoding *d)
{
	if (has_arg(d, ARG_FLAGS) && get_int_arg(d, ARG_FLAGS) & TIMER_ABSTIME) {
		d->out->timeout_ns = WAIT_NO_TIMEOUT;
		read_deadline(d, get_arg(d, ARG_TIMESPEC), get_int_arg(d, ARG_CLOCK));
		if (d->out->timeout_ns == WAIT_NO_TIMEOUT) {
			bounded_text_add(&d->summary, "sleep until a set time");
			return;
		}
	}
	add_sleep(d);
}

/* A relative path begins at a folder, which is told unless it is the working folder. */
static void add_path(struct decoding *d, enum arg_role role)
{
	char path[PATH_READ_MAX];
	struct fd_object object;
	int fd = has_arg(d, ARG_FOLDER) ? get_int_arg(d, ARG_FOLDER) : AT_FDCWD;

	if (read_string(d, get_arg(d, role), path, sizeof(path)) < 0) {
		bounded_text_add(&d->summary, " unknown object");
		return;
	}
	bounded_text_add(&d->summary, " ");
	/* "" and AT_EMPTY_PATH: the descriptor itself. */
	if (role == ARG_PATH && fd != AT_FDCWD && path[0] != '/') {
		describe_fd(d, fd, &object);
		bounded_text_add(&d->summary, "%s%s", object.name, path[0] ? "/" : "");
	}
	bounded_text_add_foreign(&d->summary, path, strlen(path), NAME_SHOWN_MAX);
}

static void describe_path(struct decoding *d)
{
	if (!has_arg(d, ARG_PATH)) {
		describe_object(d);
		return;
	}
	bounded_text_add(&d->summary, "%s", find_verb(d));
	add_path(d, ARG_PATH);
	if (has_arg(d, ARG_PATH_TO)) {
		bounded_text_add(&d->summary, " to");
		add_path(d, ARG_PATH_TO);
	}
}

static bool is_lock_command(int command)
{
	return command == F_SETLKW || command == F_OFD_SETLKW;
}

static void describe_other(struct decoding *d)
{
	int command = get_int_arg(d, ARG_COMMAND);

	/* The same call does many things. */
	if (has_arg(d, ARG_COMMAND) && strcmp(d->row->name, "fcntl") == 0) {
		if (is_lock_command(command))
			d->out->kind = WAIT_LOCK_FILE;
		else
			add_detail(d, "command %d", command);
	} else if (has_arg(d, ARG_COMMAND)) {
		add_detail(d, "request 0x%x", (unsigned)command);
	}
	describe_object(d);
	if (!d->row->verb && !has_arg(d, ARG_FD))
		bounded_text_add(&d->summary, ", unknown object");
}

static void describe_signal(struct decoding *d)
{
	uint64_t set = 0;

	bounded_text_add(&d->summary, "wait for a signal");
	if (has_arg(d, ARG_SIGNALS) && read_arg(d, get_arg(d, ARG_SIGNALS), &set, sizeof(set)) == 0)
		add_detail(d, "set 0x%" PRIx64, set);
	add_timeout(d);
}

static void describe_ipc(struct decoding *d)
{
	if (has_arg(d, ARG_FD)) {
		describe_object(d);
		return;
	}
	if (strcmp(find_verb(d), "semaphores") == 0)
		bounded_text_add(&d->summary, "semaphores (System V)");
	else
		bounded_text_add(&d->summary, "%s, message queue (System V)", find_verb(d));
	add_detail(d, "id %d", get_int_arg(d, ARG_ID));
	add_timeout(d);
}

describe_fn describe_find(enum wait_kind kind)
{
	static const describe_fn functions[N_WAIT_KINDS] = {
	    [WAIT_SLEEP] = describe_sleep,	[WAIT_POLL] = describe_poll,
	    [WAIT_READ] = describe_read,	[WAIT_WRITE] = describe_write,
	    [WAIT_CONNECT] = describe_connect,	[WAIT_ACCEPT] = describe_accept,
	    [WAIT_FUTEX] = describe_futex,	[WAIT_CHILD] = describe_child,
	    [WAIT_LOCK_FILE] = describe_object, [WAIT_SYNC] = describe_object,
	    [WAIT_FILE] = describe_path,	[WAIT_START] = describe_path,
	    [WAIT_SIGNAL] = describe_signal,	[WAIT_IPC] = describe_ipc,
	};

	return functions[kind] ? functions[kind] : describe_other;
}
