/* SPDX-License-Identifier: BSD-3-Clause */
/* When the target's threads are on a CPU, and why they are not: what the worker gets for that. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "recorder/attach_private.h"
#include "recorder/oncpu/edge_handover.h"

static void tell_edges(struct attach *a, const char *why)
{
	if (a->told_edges)
		return;
	a->told_edges = true;
	if (a->edges.source == EDGES_COARSE)
		log_debug(
		    "process %d: waits are known to some 20 ms only, shorter ones not at all: %s",
		    pid_of(a), why);
	else
		log_debug("process %d: waits are not known, since there are no scheduler's figures "
			  "(schedstat) either: %s",
			  pid_of(a), why);
}

bool attach_send_edges(struct attach *a)
{
	char why[512];

	edge_choice_done(&a->edges);
	a->edges = edge_choice_make(a->target, a->config->edges);
	/* Its end is told elsewhere. */
	if (a->edges.status < 0 && a->edges.status != -ESRCH) {
		edge_choice_explain(a->edges.status, why, sizeof(why));
		if (a->config->edges == EDGE_WISH_EXACT) {
			attach_fail_no_edges(a, why);
			return false;
		}
		tell_edges(a, why);
	}
	edge_handover_send(a->config->sock, &a->edges);
	return true;
}

void attach_send_waits(struct attach *a)
{
	struct message m;
	int pair[2];

	if (a->waits_sock >= 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	a->waits_sock = pair[0];
	message_init(&m, MSG_WAITS);
	m.fds[0] = pair[1];
	m.n_fds = 1;
	message_send(a->config->sock, &m);
	message_close_fds(&m);
}

void attach_on_wait_asked(struct attach *a)
{
	struct wait_answer answer;
	struct wait_ask ask;
	int r = wait_link_receive(a->waits_sock, &ask);

	if (r == -EAGAIN)
		return;
	if (r == 0) {
		wait_link_answer(a->target, &a->sockets, &ask, &answer);
		r = wait_link_reply(a->waits_sock, &answer);
	}
	/* It does not ask any more; that costs reasons, not the trace. */
	if (r < 0)
		close_p(&a->waits_sock);
	if (r < 0)
		a->waits_sock = -1;
}
