/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/peer_question.h"

#include "recorder/oncpu/fd_object.h"
#include "recorder/oncpu/wait_decode.h"

static bool ask_by_socket(const struct wait_reason *r, struct peer_question *q)
{
	if (r->peer_inode || r->peer_name.len) {
		q->kind = PEER_UNIX;
		q->inode = r->peer_inode;
		q->name = r->peer_name;
		return true;
	}
	q->kind = PEER_INET;
	q->local = r->local;
	q->peer = r->peer;
	return r->peer.port != 0;
}

static bool ask(const struct wait_reason *r, struct peer_question *q)
{
	if (r->child > 0) {
		q->kind = PEER_CHILD;
		q->child = r->child;
		return true;
	}
	if (r->n_fds != 1)
		return false;
	if (r->fd_kind != FD_PIPE)
		return ask_by_socket(r, q);
	q->kind = r->direction == WAIT_FOR_OUTPUT ? PEER_PIPE_READER : PEER_PIPE_WRITER;
	q->inode = r->inode;
	return r->inode != 0;
}

bool peer_question_make(const struct wait_reason *reason, struct peer_question *ret)
{
	struct peer_question q = {0};

	if (!ask(reason, &q))
		return false;
	*ret = q;
	return true;
}
