/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines of /proc/PID/net/{tcp,tcp6,udp,udp6,unix}, and addresses of sockets. Parsing only.
 */
#ifndef RECORDER_ONCPU_NET_LINES_H
#define RECORDER_ONCPU_NET_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/oncpu/wait_facts.h"

/* An IPv4 address that is written as an IPv6 one (::ffff:10.0.0.5) is an IPv4 address here. */
struct net_address {
	uint8_t family; /* AF_INET, AF_INET6; 0: none */
	uint8_t ip[16]; /* network byte order; 4 bytes for AF_INET, the others are 0 */
	uint16_t port;
};

struct net_address net_address_v4(const uint8_t ip[static 4], uint16_t port);
struct net_address net_address_v6(const uint8_t ip[static 16], uint16_t port);
bool net_address_equal(const struct net_address *a, const struct net_address *b);
/* Whether it is 0.0.0.0 or ::, which stand for any. */
bool net_address_is_any(const struct net_address *a);

#define NET_ADDRESS_TEXT_MAX 64
/* "10.0.0.5:5432", "[fe80::1]:80"; "" for none. */
void net_address_format(const struct net_address *a, char buf[static NET_ADDRESS_TEXT_MAX]);
/* The same without the port. */
void net_address_format_host(const struct net_address *a, char buf[static NET_ADDRESS_TEXT_MAX]);

/* States that matter, of TCP (include/net/tcp_states.h); UDP has ESTABLISHED and CLOSE. */
enum {
	NET_ESTABLISHED = 1,
	NET_SYN_SENT = 2,
	NET_LISTEN = 10,
};

struct net_line {
	struct net_address local, peer;
	unsigned state;
	uint64_t inode; /* 0: of a connection that no process has any more */
};

/*
 * "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 440 1 …", with
 * 32 digits an address in the tables for IPv6. Returns 0 or -EINVAL, also for the headline.
 */
int net_line_parse(const char *line, struct net_line *ret);

struct net_unix_line {
	uint64_t inode;
	bool listens;
	const char *name; /* within the line, "" when it has none; '@' in place of each NUL */
	size_t name_len;
};

/* "00000000ec7454a6: 00000003 00000000 00010000 0001 03 1454738 /run/x.sock". Returns as above. */
int net_unix_line_parse(const char *line, struct net_unix_line *ret);

/* The inode of a line of that table. Quick. Returns 0 or -EINVAL. */
int net_line_inode(enum net_table table, const char *line, uint64_t *ret);

#endif
