/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Searching the tables of sockets of a process's network namespace, a piece at a time. A table can
 * be long, and the kernel takes its time to write it (about 1 us per socket, and it walks over all
 * of its hash table), so this is for helper threads.
 */
#ifndef RECORDER_ONCPU_NET_TABLES_H
#define RECORDER_ONCPU_NET_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/oncpu/wait_facts.h"

/* So much of a table is looked through, some 50,000 sockets. */
#define NET_TABLE_MAX_BYTES (8u << 20)

/*
 * Call match() with the lines of a table, without their newline, until it returns true.
 * @dir_fd  a folder /proc/PID or /proc/PID/task/TID
 * Returns 0 when a line matched; -ENOENT when none does, -E2BIG when none does in what was looked
 * through, or another negative errno.
 */
int net_table_search(int dir_fd, enum net_table table, bool (*match)(const char *line, void *ctx),
		     void *ctx);

/* The line of one socket, cut at size - 1 bytes. Returns as above. */
int net_table_find_inode(int dir_fd, enum net_table table, uint64_t inode, char *line, size_t size);

#endif
