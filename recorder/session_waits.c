/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session and why its target waits: the worker asks, a helper thread looks, and this passes the
 * answer on. One question at a time; what takes too long, or finds no thread, is answered so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/oncpu/net_cache.h"
#include "recorder/oncpu/wait_link.h"
#include "recorder/oncpu/wait_source.h"
#include "recorder/session_private.h"
#include "recorder/wait_host.h"

/* A thread that waits for less is none that one asks about for long. */
#define LOOK_NS NS_PER_S

struct wait_look {
	struct session *session; /* NULL: nobody waits for the answer any more */
	struct held_target *target;
	struct net_cache *cache; /* the session's, while this is under way */
	struct wait_host *host;
	struct wait_peer *peers; /* for WAIT_ASK_PEER */
	size_t n_peers;
	struct wait_ask ask;
	struct wait_answer answer;
};

static void find_peer(struct wait_look *look)
{
	struct wait_answer *answer = &look->answer;
	size_t self = 0;
	int r;

	while (self < look->n_peers && look->peers[self].target != look->target)
		self++;
	r = wait_host_find_peer(look->host, look->peers, look->n_peers, self, &look->ask.peer);
	answer->status = r < 0 ? r : 0;
	if (r < 0)
		return;
	snprintf(answer->facts.peer, sizeof(answer->facts.peer), "%s", look->peers[r].name);
	answer->len = sizeof(answer->facts.peer);
}

static int run(void *arg)
{
	struct wait_look *look = arg;
	const struct socket_sources sockets = {
	    .cache = look->cache,
	    .diag = wait_host_unix_diag(look->host),
	};

	if (look->ask.question == WAIT_ASK_PEER)
		find_peer(look);
	else
		wait_link_answer(&look->target->id, &sockets, &look->ask, &look->answer);
	return 0;
}

static void reply(struct session *s, struct wait_answer *answer)
{
	if (s->waits_sock >= 0 && wait_link_reply(s->waits_sock, answer) < 0)
		session_close_waits(s);
}

static void done(void *arg, int result)
{
	struct wait_look *look = arg;
	struct wait_answer late = {.status = result, .file = -1};
	struct session *s = look->session;

	look->session = NULL;
	if (!s)
		return;
	s->wait_look = NULL;
	if (result < 0) {
		reply(s, &late);
		return;
	}
	s->net_cache = steal_ptr(look->cache);
	reply(s, &look->answer);
}

static void discard(void *arg)
{
	struct wait_look *look = arg;

	close_p(&look->answer.file);
	net_cache_free(look->cache);
	for (size_t i = 0; i < look->n_peers; i++)
		held_target_unref(look->peers[i].target);
	free(look->peers);
	held_target_unref(look->target);
	wait_host_unref(look->host);
	free(look);
}

static void start_look(struct session *s, const struct wait_ask *ask)
{
	static const struct look_ops ops = {.run = run, .done = done, .discard = discard};
	struct wait_look *look = xcalloc(1, sizeof(*look));
	int r;

	look->session = s;
	look->target = held_target_ref(s->target);
	look->cache = s->net_cache ? steal_ptr(s->net_cache) : net_cache_new();
	look->host = wait_host_ref(s->ops->wait_host);
	look->ask = *ask;
	if (ask->question == WAIT_ASK_PEER)
		look->n_peers = s->ops->list_peers(s->ops->ctx, &look->peers);
	look->answer.file = -1;
	r = look_submit(s->ops->looks, &ops, look, clock_monotonic_ns() + LOOK_NS);
	if (r == 0) {
		s->wait_look = look;
		return;
	}
	look->session = NULL;
	discard(look);
	reply(s, &(struct wait_answer){.status = r, .file = -1});
}

static void on_asked(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	struct wait_ask ask;
	int r = wait_link_receive(s->waits_sock, &ask);

	(void)fd;
	(void)what;
	if (r == -EAGAIN)
		return;
	/* It waits for the answer before it asks again. */
	if (r < 0 || s->wait_look || !s->target)
		session_close_waits(s);
	else
		start_look(s, &ask);
}

void session_open_waits(struct session *s)
{
	struct message m;
	int pair[2];

	session_close_waits(s);
	/* Without it, reasons are missing, but nothing else. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	s->waits_sock = pair[0];
	s->on_asked = event_new(s->ops->base, s->waits_sock, EV_READ | EV_PERSIST, on_asked, s);
	if (!s->on_asked)
		xalloc_failed();
	event_add(s->on_asked, NULL);
	message_init(&m, MSG_WAITS);
	m.fds[0] = pair[1];
	m.n_fds = 1;
	session_send(s, &m);
	close(pair[1]);
}

void session_close_waits(struct session *s)
{
	if (s->wait_look)
		s->wait_look->session = NULL;
	s->wait_look = NULL;
	if (s->on_asked)
		event_free(s->on_asked);
	s->on_asked = NULL;
	close_p(&s->waits_sock);
	s->waits_sock = -1;
	net_cache_free(s->net_cache);
	s->net_cache = NULL;
}

bool session_as_peer(const struct session *s, struct wait_peer *ret)
{
	if (!s->target || s->folder.fd < 0)
		return false;
	ret->target = held_target_ref(s->target);
	snprintf(ret->name, sizeof(ret->name), "%s", s->folder.name);
	return true;
}
