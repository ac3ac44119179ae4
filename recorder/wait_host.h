/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What looks into waits of all targets share: the kernel's word on Unix sockets, and who has the
 * other end of what. Held by each look, since a look can outlive whoever asked for it.
 */
#ifndef RECORDER_WAIT_HOST_H
#define RECORDER_WAIT_HOST_H

#include <stddef.h>

#include "recorder/oncpu/peer_question.h"
#include "recorder/run_folder.h"
#include "recorder/session_look.h"

struct unix_diag;
struct wait_host;

/* A target that may be at the other end. */
struct wait_peer {
	struct held_target *target;
	char name[FOLDER_NAME_SIZE]; /* of its trace */
};

/* @diag_fd  see unix_diag_new(); taken over */
struct wait_host *wait_host_new(int diag_fd);
struct wait_host *wait_host_ref(struct wait_host *h);
void wait_host_unref(struct wait_host *h); /* NULL is accepted */

/* NULL: there is none. */
struct unix_diag *wait_host_unix_diag(const struct wait_host *h);

/*
 * Who of the peers, except self, is at the other end. In a helper thread.
 * Returns its index; -ENOENT: nobody, or that can't be told; -EBUSY: somebody else asks just now.
 */
int wait_host_find_peer(struct wait_host *h, const struct wait_peer *peers, size_t n, size_t self,
			const struct peer_question *question);

#endif
