/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session and the shim in its target: a helper thread looks for the ring, again and again with
 * growing pauses, because a program loads its modules when it likes; the worker gets it.
 */
#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/session_private.h"
#include "recorder/shim_find.h"

#define LOOK_NS (2 * NS_PER_S)

struct shim_look {
	struct session *session; /* NULL: nobody waits for it any more */
	struct held_target *target;
	uint64_t pid; /* in its own namespace */
	int fd;
};

static int run(void *arg)
{
	struct shim_look *look = arg;

	look->fd = shim_find(&look->target->id, &look->pid);
	return look->fd < 0 ? look->fd : 0;
}

static void look_again(struct session *s)
{
	uint64_t pause_ns = shim_find_pause_ns(s->n_shim_looks++);
	struct timeval pause = {
	    .tv_sec = (time_t)(pause_ns / NS_PER_S),
	    .tv_usec = (suseconds_t)(pause_ns % NS_PER_S / 1000),
	};

	evtimer_add(s->shim_timer, &pause);
}

static void done(void *arg, int result)
{
	struct shim_look *look = arg;
	struct session *s = look->session;
	struct message m;

	look->session = NULL;
	if (!s)
		return;
	s->shim_look = NULL;
	if (result < 0) {
		look_again(s);
		session_exact_shim_looked(s);
		return;
	}
	s->has_shim = true;
	message_init(&m, MSG_SHIM);
	m.start = look->pid;
	m.fds[0] = look->fd; /* it stays the look's */
	m.n_fds = 1;
	session_send(s, &m);
	session_exact_shim_looked(s);
}

static void discard(void *arg)
{
	struct shim_look *look = arg;

	close_p(&look->fd);
	held_target_unref(look->target);
	free(look);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	static const struct look_ops ops = {.run = run, .done = done, .discard = discard};
	struct session *s = arg;
	struct shim_look *look = xcalloc(1, sizeof(*look));

	(void)fd;
	(void)what;
	look->session = s;
	look->target = held_target_ref(s->target);
	look->fd = -1;
	if (look_submit(s->ops->looks, &ops, look, clock_monotonic_ns() + LOOK_NS) == 0) {
		s->shim_look = look;
		return;
	}
	discard(look);
	look_again(s);
}

void session_open_shim(struct session *s)
{
	static const struct timeval now = {0};

	session_close_shim(s);
	s->shim_timer = evtimer_new(s->ops->base, on_timer, s);
	if (!s->shim_timer)
		xalloc_failed();
	evtimer_add(s->shim_timer, &now);
}

void session_close_shim(struct session *s)
{
	if (s->shim_look)
		s->shim_look->session = NULL;
	s->shim_look = NULL;
	if (s->shim_timer)
		event_free(s->shim_timer);
	s->shim_timer = NULL;
	s->n_shim_looks = 0;
	s->has_shim = false;
	s->exact.is_through_shim = false;
}
