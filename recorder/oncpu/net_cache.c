/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/net_cache.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash_index.h"
#include "common/xalloc.h"
#include "recorder/oncpu/net_lines.h"
#include "recorder/oncpu/net_tables.h"

#define N_SLOTS	      256
#define KEPT_LINE_MAX 192 /* one of tcp6 has 176 */

struct slot {
	uint64_t inode; /* 0: free */
	uint64_t read_ns;
	enum net_table table;
	char line[KEPT_LINE_MAX];
};

struct net_cache {
	struct slot slots[N_SLOTS]; /* by inode; the newest of those that share one */
	uint64_t pause_end_ns;
};

struct net_cache *net_cache_new(void)
{
	return xcalloc(1, sizeof(struct net_cache));
}

void net_cache_free(struct net_cache *cache)
{
	free(cache);
}

static struct slot *get_slot(struct net_cache *cache, uint64_t inode)
{
	return &cache->slots[hash_fold(hash_mix(0, inode)) % N_SLOTS];
}

static bool stays(enum net_table table, const char *line)
{
	struct net_line l;

	if ((table != NET_TCP && table != NET_TCP6) || strlen(line) >= KEPT_LINE_MAX)
		return false;
	return net_line_parse(line, &l) == 0 &&
	       (l.state == NET_ESTABLISHED || l.state == NET_LISTEN);
}

static void keep(struct net_cache *cache, enum net_table table, uint64_t inode, uint64_t now_ns,
		 const char *line)
{
	struct slot *slot = get_slot(cache, inode);

	*slot = (struct slot){.inode = inode, .read_ns = now_ns, .table = table};
	snprintf(slot->line, sizeof(slot->line), "%s", line);
}

static bool is_fresh(const struct slot *slot, enum net_table table, uint64_t inode, uint64_t now_ns)
{
	return slot->inode == inode && slot->table == table && now_ns >= slot->read_ns &&
	       now_ns - slot->read_ns < NET_CACHE_MAX_AGE_NS;
}

int net_cache_find_inode(struct net_cache *cache, int dir_fd, enum net_table table, uint64_t inode,
			 uint64_t now_ns, char *line, size_t size)
{
	const struct slot *slot;
	uint64_t start_ns, took_ns;
	int r;

	if (!cache || inode == 0)
		return net_table_find_inode(dir_fd, table, inode, line, size);
	slot = get_slot(cache, inode);
	if (is_fresh(slot, table, inode, now_ns)) {
		snprintf(line, size, "%s", slot->line);
		return 0;
	}
	if (now_ns < cache->pause_end_ns)
		return -EAGAIN;
	start_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
	r = net_table_find_inode(dir_fd, table, inode, line, size);
	took_ns = clock_read_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
	cache->pause_end_ns = now_ns + took_ns * NET_CACHE_PAUSE;
	if (r == 0 && stays(table, line))
		keep(cache, table, inode, now_ns, line);
	return r;
}
