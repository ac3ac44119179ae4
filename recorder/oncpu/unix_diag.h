/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel's socket monitoring interface (sock_diag(7)) says of a Unix socket: above all
 * which socket its other end is, which /proc does not tell. Only sockets of one network namespace
 * are found: of that in which the netlink socket was made. A service without a network of its own
 * can be passed one (systemd.socket(5): ListenNetlink=inet-diag).
 */
#ifndef RECORDER_ONCPU_UNIX_DIAG_H
#define RECORDER_ONCPU_UNIX_DIAG_H

#include <stdint.h>

#include "recorder/oncpu/wait_facts.h"

struct unix_diag;

/*
 * @fd  a netlink socket of family NETLINK_SOCK_DIAG, taken over; -1: make one here
 * Returns NULL, with errno set, when there is none to be had.
 */
struct unix_diag *unix_diag_new(int fd);
void unix_diag_free(struct unix_diag *diag);

/*
 * Ask about one socket and its other end. Some 10 us; does not wait. From any thread.
 * @diag  NULL: then nothing is known
 * Returns 0; -ENOENT when there is no such socket there, also when the kernel was built without the
 * interface, or another negative errno.
 */
int unix_diag_read(struct unix_diag *diag, uint64_t inode, struct unix_facts *ret);

#endif
