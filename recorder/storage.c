/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/storage.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/latest_link.h"
#include "recorder/look.h"

#define INTERVAL_S 10
/* What began with the collector is nothing at its first look, so the next ones come sooner. */
#define FIRST_INTERVAL_S 1
/* A disk that takes longer than this for one turn is told of; the turn goes on. */
#define LATE_NS (60 * NS_PER_S)

/*
 * What is written from one look to the next is less than this part of MaxUse. Where that is little,
 * a trace's -wal counts, which grows up to a mebibyte between its checkpoints.
 */
#define AHEAD_PART	64
#define AHEAD_BYTES	(UINT64_C(1) << 20)
#define AHEAD_PART_MOST 8

/* One turn, in a helper thread. */
struct turn {
	struct storage *storage; /* NULL: it is gone, or has another root by now */
	int root_fd;		 /* its own */
	struct retention_limits limits;
	bool is_stopped;
	struct retention_scan scan;
	struct retention_plan plan;
};

struct storage {
	struct look_pool *looks;
	const struct storage_ops *ops;
	struct event *timer;
	int root_fd; /* its own; -1: stopped */
	struct retention_limits limits;
	struct turn *turn;   /* under way */
	unsigned interval_s; /* before the next turn */
	bool is_known, is_stopped, was_late;
	uint64_t use_bytes, free_bytes;
};

uint64_t storage_threshold(uint64_t max_use_bytes)
{
	uint64_t ahead = max_use_bytes / AHEAD_PART_MOST;

	if (ahead > AHEAD_BYTES)
		ahead = AHEAD_BYTES;
	if (ahead < max_use_bytes / AHEAD_PART)
		ahead = max_use_bytes / AHEAD_PART;
	return max_use_bytes - ahead;
}

static int run(void *arg)
{
	struct turn *t = arg;
	int r = retention_scan(t->root_fd, NULL, 0, &t->scan);

	if (r < 0)
		return r;
	retention_plan(&t->scan, &t->limits, time(NULL), t->is_stopped, &t->plan);
	for (size_t i = 0; i < t->plan.n_deletions; i++)
		retention_delete(t->root_fd, &t->plan.deletions[i], &retention_log_ops, NULL);
	if (t->plan.n_deletions)
		latest_link_repair(t->root_fd);
	return 0;
}

static void set_growth(struct storage *s, const struct retention_plan *plan)
{
	char left[UNITS_MAX], keep[UNITS_MAX];

	if (plan->stop_growing == s->is_stopped)
		return;
	s->is_stopped = plan->stop_growing;
	format_bytes(plan->free_bytes, left);
	format_bytes(s->limits.keep_free_bytes, keep);
	if (s->is_stopped)
		log_warning("only %s are free where the traces are, KeepFree is %s: recording goes "
			    "on, but traces do not grow until there is room again",
			    left, keep);
	else
		log_info("%s are free again where the traces are: traces grow again", left);
	s->ops->on_growth(s->ops->ctx, !s->is_stopped);
}

static void wait_for_next(struct storage *s)
{
	struct timeval interval = {.tv_sec = s->interval_s};

	evtimer_add(s->timer, &interval);
	s->interval_s = 2 * s->interval_s < INTERVAL_S ? 2 * s->interval_s : INTERVAL_S;
}

static void done(void *arg, int result)
{
	struct turn *t = arg;
	struct storage *s = t->storage;

	if (!s)
		return;
	if (result == -ETIMEDOUT) {
		if (!s->was_late)
			log_warning("the disk that the traces are on does not answer");
		s->was_late = true;
		return; /* done() comes no more, returned() does */
	}
	s->turn = NULL;
	s->was_late = false;
	if (result == 0) {
		s->is_known = true;
		s->use_bytes = t->plan.left_bytes;
		s->free_bytes = t->plan.free_bytes;
		set_growth(s, &t->plan);
		for (size_t i = 0; i < t->plan.n_shrinks; i++)
			s->ops->on_shrink(s->ops->ctx, t->plan.shrinks[i].run,
					  t->plan.shrinks[i].trace, t->plan.shrinks[i].lose_bytes);
	}
	wait_for_next(s);
}

/* A turn that was late is over; what it found is old. */
static void returned(void *arg)
{
	struct turn *t = arg;

	if (!t->storage)
		return;
	t->storage->turn = NULL;
	wait_for_next(t->storage);
}

static void discard(void *arg)
{
	struct turn *t = arg;

	close_p(&t->root_fd);
	retention_plan_done(&t->plan);
	retention_scan_done(&t->scan);
	free(t);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	static const struct look_ops ops = {
	    .run = run,
	    .done = done,
	    .returned = returned,
	    .discard = discard,
	};
	struct storage *s = arg;
	struct turn *t;

	(void)fd;
	(void)what;
	if (s->root_fd < 0 || s->turn)
		return;
	t = xcalloc(1, sizeof(*t));
	t->storage = s;
	t->limits = s->limits;
	t->limits.max_use_bytes = storage_threshold(s->limits.max_use_bytes);
	t->is_stopped = s->is_stopped;
	t->root_fd = fcntl(s->root_fd, F_DUPFD_CLOEXEC, 0);
	if (t->root_fd >= 0 &&
	    look_submit(s->looks, &ops, t, clock_monotonic_ns() + LATE_NS) == 0) {
		s->turn = t;
		return;
	}
	discard(t);
	wait_for_next(s);
}

struct storage *storage_new(struct event_base *base, struct look_pool *looks,
			    const struct storage_ops *ops)
{
	struct storage *s = xcalloc(1, sizeof(*s));

	s->looks = looks;
	s->ops = ops;
	s->root_fd = -1;
	s->timer = evtimer_new(base, on_timer, s);
	if (!s->timer)
		xalloc_failed();
	return s;
}

/* No more turns; whether traces may grow stays as it is. */
static void halt(struct storage *s)
{
	if (s->turn)
		s->turn->storage = NULL;
	s->turn = NULL;
	evtimer_del(s->timer);
	close_p(&s->root_fd);
	s->root_fd = -1;
	s->is_known = false;
}

void storage_stop(struct storage *s)
{
	halt(s);
	if (s->is_stopped)
		s->ops->on_growth(s->ops->ctx, true);
	s->is_stopped = false;
}

void storage_free(struct storage *s)
{
	if (!s)
		return;
	storage_stop(s);
	event_free(s->timer);
	free(s);
}

void storage_start(struct storage *s, int root_fd, const struct retention_limits *limits)
{
	struct timeval now = {0};

	/* With other limits the disk is still as full as it was: the next turn decides. */
	halt(s);
	s->limits = *limits;
	s->interval_s = FIRST_INTERVAL_S;
	s->root_fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	evtimer_add(s->timer, &now);
}

void storage_get_status(const struct storage *s, struct storage_status *ret)
{
	*ret = (struct storage_status){
	    .is_known = s->is_known,
	    .use_bytes = s->use_bytes,
	    .free_bytes = s->free_bytes,
	    .may_grow = !s->is_stopped,
	};
}
