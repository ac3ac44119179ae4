/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/fd_object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "recorder/oncpu/bounded_text.h"

/* Where Linux begins to choose ports by itself (ip_local_port_range), unless told otherwise. */
#define FIRST_EPHEMERAL_PORT 32768
#define PATH_SHOWN_MAX	     150
/* TCP's number of a state, which Unix sockets use, too. */
#define UNIX_LISTENS NET_LISTEN

static bool begins_with(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

/* "pipe:[1234]" */
static uint64_t parse_link_inode(const char *link)
{
	const char *number = strchr(link, '[');

	return number ? strtoull(number + 1, NULL, 10) : 0;
}

void unix_name_format(const struct unix_name *name, char *buf, size_t size)
{
	struct bounded_text text = bounded_text_init(buf, size);
	const char *bytes = name->bytes;
	size_t len = name->len;

	if (len > sizeof(name->bytes))
		len = sizeof(name->bytes);
	if (len > 0 && bytes[0] == '\0') {
		bounded_text_add(&text, "@");
		bytes++;
		len--;
	} else {
		len = strnlen(bytes, len);
	}
	bounded_text_add_foreign(&text, bytes, len, size);
}

static bool is_service_port(uint16_t port)
{
	return port != 0 && port < FIRST_EPHEMERAL_PORT;
}

static void put_pair(struct fd_object *o, const char *local, const char *peer)
{
	snprintf(o->detail, sizeof(o->detail), "%s to %s", local, peer);
}

/*
 * A client's port is another one with each connection, so it is no part of the name. Which end is
 * the client is not told; a port that the kernel chose tells.
 */
static void name_connection(struct fd_object *o)
{
	char local[NET_ADDRESS_TEXT_MAX], peer[NET_ADDRESS_TEXT_MAX], host[NET_ADDRESS_TEXT_MAX];

	net_address_format(&o->local, local);
	net_address_format(&o->peer, peer);
	net_address_format_host(&o->peer, host);
	put_pair(o, local, peer);
	if (is_service_port(o->peer.port)) {
		snprintf(o->name, sizeof(o->name), "%s", peer);
	} else if (is_service_port(o->local.port)) {
		o->is_service = true;
		snprintf(o->name, sizeof(o->name), "client of %s", local);
	} else {
		snprintf(o->name, sizeof(o->name), "%s", host);
	}
}

static void name_tcp(struct fd_object *o)
{
	char local[NET_ADDRESS_TEXT_MAX];

	net_address_format(&o->local, local);
	if (o->listens)
		snprintf(o->name, sizeof(o->name), "listener %s", local);
	else if (o->peer.port)
		name_connection(o);
	else
		snprintf(o->name, sizeof(o->name), "TCP socket");
}

static void name_udp(struct fd_object *o)
{
	char local[NET_ADDRESS_TEXT_MAX], connection[FD_NAME_MAX];

	net_address_format(&o->local, local);
	if (o->peer.port) {
		name_connection(o);
		memcpy(connection, o->name, sizeof(connection));
		snprintf(o->name, sizeof(o->name), "UDP %.*s", FD_NAME_MAX - 5, connection);
	} else if (is_service_port(o->local.port)) {
		snprintf(o->name, sizeof(o->name), "UDP port %s", local);
	} else {
		snprintf(o->name, sizeof(o->name), "UDP socket");
		if (o->local.port)
			snprintf(o->detail, sizeof(o->detail), "%s", local);
	}
}

static bool parse_inet(const struct fd_facts *facts, struct fd_object *o)
{
	struct net_line line;

	if (net_line_parse(facts->net_line, &line) < 0)
		return false;
	o->local = line.local;
	o->peer = line.peer;
	if (facts->net_table == NET_UDP || facts->net_table == NET_UDP6) {
		o->kind = FD_UDP;
		name_udp(o);
		return true;
	}
	o->kind = FD_TCP;
	o->listens = line.state == NET_LISTEN;
	name_tcp(o);
	return true;
}

/* A socket that accepted a connection has the name of its listener, and the client none. */
static void name_unix(struct fd_object *o, bool name_is_own)
{
	char name[PATH_SHOWN_MAX];
	const char *part = "UNIX socket";

	unix_name_format(&o->unix_name, name, sizeof(name));
	if (o->listens)
		part = "UNIX listener";
	else if (name_is_own && o->unix_name.len) {
		o->is_service = true;
		part = "client of UNIX socket";
	}
	snprintf(o->name, sizeof(o->name), "%s%s%s", part, name[0] ? " " : "", name);
}

static void parse_unix_line(const struct fd_facts *facts, struct fd_object *o)
{
	struct net_unix_line line;

	if (net_unix_line_parse(facts->net_line, &line) < 0)
		return;
	o->listens = line.listens;
	if (line.name_len > sizeof(o->unix_name.bytes))
		line.name_len = sizeof(o->unix_name.bytes);
	memcpy(o->unix_name.bytes, line.name, line.name_len);
	o->unix_name.len = (uint8_t)line.name_len;
	/* There NULs are shown as '@'. */
	if (line.name_len && o->unix_name.bytes[0] == '@')
		o->unix_name.bytes[0] = '\0';
}

static void parse_unix(const struct fd_facts *facts, struct fd_object *o)
{
	const struct unix_facts *u = &facts->unix_socket;
	bool name_is_own = true;

	o->kind = FD_UNIX;
	if (!u->known) {
		parse_unix_line(facts, o);
	} else {
		o->listens = u->state == UNIX_LISTENS;
		o->peer_inode = u->peer_inode;
		name_is_own = u->peer_name.len == 0;
		o->unix_name = name_is_own ? u->name : u->peer_name;
	}
	name_unix(o, name_is_own);
}

static void parse_socket(const struct fd_facts *facts, struct fd_object *o)
{
	struct bounded_text name = bounded_text_init(o->name, sizeof(o->name));

	o->kind = FD_SOCKET;
	o->inode = parse_link_inode(facts->link);
	if (facts->unix_socket.known || facts->net_table == NET_UNIX ||
	    begins_with(facts->protocol, "UNIX")) {
		parse_unix(facts, o);
		return;
	}
	if (facts->net_table != NET_NONE && parse_inet(facts, o))
		return;
	/* One that was never bound is in no table, as is one of another network. */
	if (facts->protocol[0]) {
		bounded_text_add_foreign(&name, facts->protocol, strlen(facts->protocol), 24);
		bounded_text_add(&name, " ");
	}
	bounded_text_add(&name, "socket");
	if (begins_with(facts->protocol, "TCP"))
		o->kind = FD_TCP;
	else if (begins_with(facts->protocol, "UDP"))
		o->kind = FD_UDP;
	if (facts->net_error == -EAGAIN)
		snprintf(o->detail, sizeof(o->detail), "its addresses were not looked up");
	else if (facts->net_error && facts->net_error != -ENOENT)
		snprintf(o->detail, sizeof(o->detail), "its addresses can't be read: %s",
			 strerror(-facts->net_error));
}

/* "Pid:\t4242\nNSpid:\t4242\t7\n": the last one is what it is called in its own container. */
static void parse_pids(const char *info, struct fd_object *o)
{
	const char *line = strstr(info, "\nPid:");
	const char *inner = strstr(info, "\nNSpid:");
	long pid = line ? strtol(line + strlen("\nPid:"), NULL, 10) : 0;

	/* 0 in another container, -1 for a process that was waited for. */
	if (pid <= 0 || pid > INT32_MAX)
		return;
	o->pid = (int32_t)pid;
	o->inner_pid = o->pid;
	if (!inner)
		return;
	inner += strlen("\nNSpid:");
	while (*inner == '\t') {
		pid = strtol(inner + 1, NULL, 10);
		if (pid > 0 && pid <= INT32_MAX)
			o->inner_pid = (int32_t)pid;
		inner += 1 + strspn(inner + 1, "0123456789");
	}
}

/* "anon_inode:[eventfd]", "anon_inode:inotify" */
static void parse_anonymous(const struct fd_facts *facts, struct fd_object *o)
{
	static const struct {
		const char *name, *shown;
		enum fd_kind kind;
	} kinds[] = {
	    {"[eventfd]", "eventfd", FD_EVENTFD},    {"[timerfd]", "timerfd", FD_TIMERFD},
	    {"[signalfd]", "signalfd", FD_SIGNALFD}, {"[eventpoll]", "epoll", FD_EPOLL},
	    {"inotify", "inotify", FD_INOTIFY},	     {"[pidfd]", "pidfd", FD_PIDFD},
	};
	const char *what = facts->link + strlen("anon_inode:");
	struct bounded_text name = bounded_text_init(o->name, sizeof(o->name));

	o->kind = FD_ANONYMOUS;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(what, kinds[i].name) == 0) {
			o->kind = kinds[i].kind;
			what = kinds[i].shown;
			break;
		}
	}
	if (o->kind == FD_PIDFD)
		parse_pids(facts->info, o);
	bounded_text_add_foreign(&name, what, strlen(what), 64);
}

void fd_object_parse(const struct fd_facts *facts, struct fd_object *ret)
{
	struct fd_object o = {0};
	struct bounded_text name = bounded_text_init(o.name, sizeof(o.name));

	if (begins_with(facts->link, "pipe:[")) {
		o.kind = FD_PIPE;
		o.inode = parse_link_inode(facts->link);
		bounded_text_add(&name, "pipe");
	} else if (begins_with(facts->link, "socket:[")) {
		parse_socket(facts, &o);
	} else if (begins_with(facts->link, "anon_inode:")) {
		parse_anonymous(facts, &o);
	} else if (facts->link[0]) {
		o.kind = facts->link[0] == '/' ? FD_FILE : FD_ANONYMOUS;
		bounded_text_add_foreign(&name, facts->link, strlen(facts->link), PATH_SHOWN_MAX);
	} else {
		bounded_text_add(&name, "unknown object");
	}
	*ret = o;
}

bool fd_object_is_socket(const struct fd_object *object)
{
	return object->kind == FD_TCP || object->kind == FD_UDP || object->kind == FD_UNIX ||
	       object->kind == FD_SOCKET;
}

uint32_t epoll_watches_parse(const char *info, struct epoll_watch *watches, uint32_t max)
{
	uint32_t n = 0;

	for (const char *line = info; line && *line; line = strchr(line, '\n')) {
		struct epoll_watch w = {0};
		const char *inode;
		size_t len;

		line += *line == '\n';
		if (!begins_with(line, "tfd:"))
			continue;
		if (n < max) {
			len = strcspn(line, "\n");
			inode = memmem(line, len, " ino:", 5);
			w.fd = (int32_t)strtol(line + 4, NULL, 10);
			w.inode = inode ? strtoull(inode + 5, NULL, 16) : 0;
			watches[n] = w;
		}
		n++;
	}
	return n;
}
