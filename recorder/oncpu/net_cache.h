/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding the addresses of sockets without walking over the kernel's tables each time: that takes
 * milliseconds on a machine with much memory, however few sockets there are. The addresses of a
 * TCP socket that is connected or listens are kept for a while, and the rest of the searches is
 * limited to a share of one CPU.
 *
 * One for each target; used by one thread at a time.
 */
#ifndef RECORDER_ONCPU_NET_CACHE_H
#define RECORDER_ONCPU_NET_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/oncpu/wait_facts.h"

struct net_cache;

/* A socket can be taken apart and connected anew. */
#define NET_CACHE_MAX_AGE_NS UINT64_C(10000000000)
/* Searching pauses for so many times as long as it took: 2 % of a CPU. */
#define NET_CACHE_PAUSE 50

struct net_cache *net_cache_new(void);
void net_cache_free(struct net_cache *cache);

/*
 * As net_table_find_inode().
 * @cache   NULL: none, each call searches
 * @now_ns  monotonic
 * Returns 0; -EAGAIN when it would have to be searched for, but not now, or another negative errno.
 */
int net_cache_find_inode(struct net_cache *cache, int dir_fd, enum net_table table, uint64_t inode,
			 uint64_t now_ns, char *line, size_t size);

#endif
