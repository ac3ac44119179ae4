/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/net_tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "recorder/oncpu/net_lines.h"

static const char *const table_names[N_NET_TABLES] = {
    [NET_TCP] = "net/tcp",   [NET_TCP6] = "net/tcp6", [NET_UDP] = "net/udp",
    [NET_UDP6] = "net/udp6", [NET_UNIX] = "net/unix",
};

/* Lines that are whole; what is left over moves to the front. */
static bool match_lines(char *buf, size_t *len, bool (*match)(const char *line, void *ctx),
			void *ctx)
{
	char *line = buf, *end;

	while ((end = memchr(line, '\n', *len - (size_t)(line - buf)))) {
		*end = '\0';
		if (match(line, ctx))
			return true;
		line = end + 1;
	}
	*len -= (size_t)(line - buf);
	memmove(buf, line, *len);
	return false;
}

int net_table_search(int dir_fd, enum net_table table, bool (*match)(const char *line, void *ctx),
		     void *ctx)
{
	auto_close int fd = openat(dir_fd, table_names[table], O_RDONLY | O_CLOEXEC);
	char buf[16384];
	size_t len = 0, total = 0;

	if (fd < 0)
		return -errno;
	while (total < NET_TABLE_MAX_BYTES) {
		ssize_t n = read(fd, buf + len, sizeof(buf) - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOENT;
		total += (size_t)n;
		len += (size_t)n;
		if (match_lines(buf, &len, match, ctx))
			return 0;
		/* No line is that long: forget it. */
		if (len == sizeof(buf))
			len = 0;
	}
	return -E2BIG;
}

struct inode_search {
	enum net_table table;
	uint64_t inode;
	char *line;
	size_t size;
};

static bool match_inode(const char *line, void *ctx)
{
	const struct inode_search *s = ctx;
	uint64_t inode;

	if (net_line_inode(s->table, line, &inode) < 0 || inode != s->inode)
		return false;
	snprintf(s->line, s->size, "%s", line);
	return true;
}

int net_table_find_inode(int dir_fd, enum net_table table, uint64_t inode, char *line, size_t size)
{
	struct inode_search s = {.table = table, .inode = inode, .line = line, .size = size};

	/* That of all the connections that no process has any more. */
	if (inode == 0)
		return -ENOENT;
	return net_table_search(dir_fd, table, match_inode, &s);
}
