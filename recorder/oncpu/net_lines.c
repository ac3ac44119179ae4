/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/net_lines.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fields are counted from 0. */
#define INET_INODE_FIELD 9
#define UNIX_INODE_FIELD 6

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

struct net_address net_address_v4(const uint8_t ip[static 4], uint16_t port)
{
	struct net_address a = {.family = AF_INET, .port = port};

	memcpy(a.ip, ip, 4);
	return a;
}

struct net_address net_address_v6(const uint8_t ip[static 16], uint16_t port)
{
	struct net_address a = {.family = AF_INET6, .port = port};

	if (memcmp(ip, v4_mapped, sizeof(v4_mapped)) == 0)
		return net_address_v4(ip + sizeof(v4_mapped), port);
	memcpy(a.ip, ip, 16);
	return a;
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && a->port == b->port &&
	       memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool net_address_is_any(const struct net_address *a)
{
	static const uint8_t any[16];

	return memcmp(a->ip, any, sizeof(any)) == 0;
}

void net_address_format_host(const struct net_address *a, char buf[static NET_ADDRESS_TEXT_MAX])
{
	bool is_ip = a->family == AF_INET || a->family == AF_INET6;

	if (!is_ip || !inet_ntop(a->family, a->ip, buf, NET_ADDRESS_TEXT_MAX))
		buf[0] = '\0';
}

void net_address_format(const struct net_address *a, char buf[static NET_ADDRESS_TEXT_MAX])
{
	char host[NET_ADDRESS_TEXT_MAX];

	net_address_format_host(a, host);
	if (!host[0])
		buf[0] = '\0';
	else if (a->family == AF_INET6)
		snprintf(buf, NET_ADDRESS_TEXT_MAX, "[%.46s]:%u", host, (unsigned)a->port);
	else
		snprintf(buf, NET_ADDRESS_TEXT_MAX, "%.46s:%u", host, (unsigned)a->port);
}

static const char *find_field(const char *line, unsigned field)
{
	line += strspn(line, " ");
	while (field-- && *line) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	return line;
}

/* A number that ends where the field does. */
static int parse_inode(const char *field, uint64_t *ret)
{
	char *end;
	unsigned long long value;

	if (*field < '0' || *field > '9')
		return -EINVAL;
	value = strtoull(field, &end, 10);
	if (*end != ' ' && *end != '\n' && *end != '\0')
		return -EINVAL;
	*ret = value;
	return 0;
}

int net_line_inode(enum net_table table, const char *line, uint64_t *ret)
{
	return parse_inode(
	    find_field(line, table == NET_UNIX ? UNIX_INODE_FIELD : INET_INODE_FIELD), ret);
}

/* Each word of an address is printed as a number in the byte order of the machine. */
static int parse_address(const char *text, size_t n_words, uint16_t port, struct net_address *ret)
{
	uint8_t ip[16];

	for (size_t i = 0; i < n_words; i++) {
		char digits[9] = {0};
		uint32_t word;

		memcpy(digits, text + 8 * i, 8);
		word = (uint32_t)strtoul(digits, NULL, 16);
		memcpy(ip + 4 * i, &word, sizeof(word));
	}
	*ret = n_words == 1 ? net_address_v4(ip, port) : net_address_v6(ip, port);
	return 0;
}

static int parse_endpoint(const char *hex, unsigned port, struct net_address *ret)
{
	size_t len = strlen(hex);

	if ((len != 8 && len != 32) || port > UINT16_MAX)
		return -EINVAL;
	return parse_address(hex, len / 8, (uint16_t)port, ret);
}

int net_line_parse(const char *line, struct net_line *ret)
{
	struct net_line l;
	char local[33], peer[33];
	unsigned local_port, peer_port;

	if (sscanf(line, " %*d: %32[0-9A-F]:%4X %32[0-9A-F]:%4X %2X", local, &local_port, peer,
		   &peer_port, &l.state) != 5)
		return -EINVAL;
	if (parse_endpoint(local, local_port, &l.local) < 0 ||
	    parse_endpoint(peer, peer_port, &l.peer) < 0)
		return -EINVAL;
	if (parse_inode(find_field(line, INET_INODE_FIELD), &l.inode) < 0)
		return -EINVAL;
	*ret = l;
	return 0;
}

int net_unix_line_parse(const char *line, struct net_unix_line *ret)
{
	const unsigned long accepts = 1ul << 16; /* __SO_ACCEPTCON */
	struct net_unix_line l = {0};
	const char *inode = find_field(line, UNIX_INODE_FIELD);

	if (parse_inode(inode, &l.inode) < 0)
		return -EINVAL;
	l.listens = strtoul(find_field(line, 3), NULL, 16) & accepts;
	l.name = inode + strspn(inode, "0123456789");
	if (*l.name == ' ')
		l.name++;
	l.name_len = strcspn(l.name, "\n");
	*ret = l;
	return 0;
}
