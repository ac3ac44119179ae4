/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is to be known of a wait to find out who is at its other end. Asked by the half of the
 * recorder that has understood the wait, answered by the one that may look (peers.h).
 */
#ifndef RECORDER_ONCPU_PEER_QUESTION_H
#define RECORDER_ONCPU_PEER_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/oncpu/net_lines.h"
#include "recorder/oncpu/wait_facts.h"

struct wait_reason;

enum peer_kind {
	PEER_PIPE_WRITER, /* waits for input from it */
	PEER_PIPE_READER, /* waits for room in it */
	PEER_UNIX,
	PEER_INET, /* TCP, or UDP that is connected */
	PEER_CHILD,
	N_PEER_KINDS
};

struct peer_question {
	enum peer_kind kind;
	uint64_t inode;			/* pipe: its own; Unix socket: of the other end */
	struct unix_name name;		/* Unix socket, when there is no inode: of a listener */
	struct net_address local, peer; /* local: none while it is not connected */
	int32_t child;
};

/*
 * Returns false when there is no one other end: a sleep, a file, a lock, a listener, several
 * descriptors, or when it is not known.
 */
bool peer_question_make(const struct wait_reason *reason, struct peer_question *ret);

#endif
