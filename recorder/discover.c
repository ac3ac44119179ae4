/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/discover.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/discover_private.h"
#include "recorder/proc_events.h"

/* Eight can be busy; the rest may be stuck. */
#define THREADS_MAX	   32
#define SURVEY_DEADLINE_NS NS_PER_S
/* While a look waits for a thread. */
#define RETRY_NS (20 * NS_PER_MS)
/* Then the loop gets its turn. */
#define EVENTS_AT_ONCE 256
/* A wake-up costs as much as many events: where processes come and go all the time, they wait. */
#define EVENTS_PAUSE_US 10000
/* Young processes beyond that are left to the scan. */
#define SUSPECTS_MAX 16384

uint64_t discover_now_ticks(void)
{
	uint64_t per_s = (uint64_t)sysconf(_SC_CLK_TCK);

	return clock_read_ns(CLOCK_BOOTTIME) / (NS_PER_S / per_s);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void arm_timer(struct discover *d)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t due_ns = earliest(discover_scan_due_ns(d), discover_young_due_ns(d));
	struct timeval wait = {0};

	if (!TAILQ_EMPTY(&d->waiting))
		due_ns = earliest(due_ns, now_ns + RETRY_NS);
	if (due_ns == UINT64_MAX) {
		event_del(d->timer);
		return;
	}
	if (due_ns > now_ns) {
		uint64_t wait_us = (due_ns - now_ns + NS_PER_US - 1) / NS_PER_US;

		wait.tv_sec = (time_t)(wait_us / 1000000);
		wait.tv_usec = (suseconds_t)(wait_us % 1000000);
	}
	event_add(d->timer, &wait);
}

/* Start what is due; the last step of each callback of the loop. */
static void pump(struct discover *d)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (!d->is_running)
		return;
	discover_verdict_pump(d);
	discover_young_pump(d, now_ns);
	discover_scan_pump(d, now_ns);
	arm_timer(d);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	pump(arg);
}

static void on_pool(evutil_socket_t fd, short what, void *arg)
{
	struct discover *d = arg;

	(void)fd;
	(void)what;
	look_pool_collect(d->pool);
	pump(d);
}

/* --- surveys --- */

static int run_survey(void *arg)
{
	struct survey *survey = arg;
	auto_close int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc_fd < 0)
		return -errno;
	proc_batch_read(proc_fd, &survey->batch);
	return 0;
}

static void on_survey(void *arg, int result)
{
	struct survey *survey = arg;
	struct discover *d = survey->d;
	uint32_t n_read = atomic_load_explicit(&survey->batch.n_read, memory_order_acquire);
	bool is_late = result == -ETIMEDOUT && n_read < survey->batch.n;

	if (result == -ETIMEDOUT)
		atomic_store(&survey->batch.is_cancelled, true);
	if (is_late) {
		pid_t pid = survey->batch.entries[n_read].pid;

		survey->stuck_pid = pid;
		survey->stuck_serial = discover_stuck(d, pid, clock_monotonic_ns());
	}
	if (!d->is_running)
		return;
	/* It could not even begin: no descriptors left. */
	if (survey->is_scan && result < 0 && result != -ETIMEDOUT)
		discover_scan_give_up(d);
	else if (survey->is_scan)
		discover_scan_on_survey(d, survey, n_read, is_late);
	else
		discover_young_on_survey(d, survey, n_read, is_late);
}

static void on_survey_returned(void *arg)
{
	struct survey *survey = arg;

	if (survey->stuck_pid)
		discover_stuck_returned(survey->d, survey->stuck_pid, survey->stuck_serial);
}

int discover_submit_survey(struct survey *survey)
{
	static const struct look_ops ops = {
	    .run = run_survey,
	    .done = on_survey,
	    .returned = on_survey_returned,
	    .discard = free,
	};

	survey->stuck_pid = 0;
	return look_submit(survey->d->pool, &ops, survey,
			   clock_monotonic_ns() + SURVEY_DEADLINE_NS);
}

/* --- events --- */

static void on_fork(struct discover *d, const struct process_event *e, uint64_t now_ns)
{
	const struct suspect *parent = suspects_find(&d->suspects, e->parent_pid);
	struct suspect *s = suspects_find(&d->suspects, e->pid);
	uint64_t heritage = parent ? suspect_heritage(parent) : 0;

	/* Its id had belonged to another one. */
	if (s)
		discover_drop(d, s);
	if (!heritage && d->suspects.n >= SUSPECTS_MAX)
		return;
	s = suspects_get(&d->suspects, e->pid, now_ns);
	s->inherited_hash = heritage;
	discover_young_watch(d, s, now_ns);
}

/* Its title may be another one by now, or will be soon. */
static void on_changed(struct discover *d, const struct process_event *e, uint64_t now_ns)
{
	struct suspect *s = suspects_find(&d->suspects, e->pid);

	if (!s && d->suspects.n >= SUSPECTS_MAX)
		return;
	s = suspects_get(&d->suspects, e->pid, now_ns);
	if (e->kind == PROCESS_EXECED) {
		s->inherited_hash = 0;
		if (s->verdict != VERDICT_NONE)
			discover_examine(d, s);
	}
	discover_young_watch(d, s, now_ns);
}

static void on_end(struct discover *d, const struct process_event *e)
{
	struct suspect *s = suspects_find(&d->suspects, e->pid);

	if (s)
		discover_drop(d, s);
}

static void on_event(struct discover *d, const struct process_event *e, uint64_t now_ns)
{
	d->counters.n_events++;
	if (e->kind == PROCESS_EVENTS_LOST) {
		/* The next scan, in less than an interval, sees what we missed. */
		d->counters.n_lost++;
		if (d->next_scan_ns > now_ns + d->scan_interval_ns)
			d->next_scan_ns = now_ns + d->scan_interval_ns;
		return;
	}
	if (e->tid != e->pid)
		return;
	if (e->kind == PROCESS_FORKED)
		on_fork(d, e, now_ns);
	else if (e->kind == PROCESS_ENDED)
		on_end(d, e);
	else
		on_changed(d, e, now_ns);
}

static void close_events(struct discover *d, int error)
{
	if (d->events_event)
		event_free(d->events_event);
	if (d->events_pause)
		event_free(d->events_pause);
	d->events_event = d->events_pause = NULL;
	proc_events_close(d->events_fd);
	d->events_fd = -1;
	d->events_error = error;
}

static void on_events(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval events_pause = {.tv_usec = EVENTS_PAUSE_US};
	struct discover *d = arg;
	uint64_t now_ns = clock_monotonic_ns();
	int r = 0;

	(void)fd;
	(void)what;
	for (int i = 0; i < EVENTS_AT_ONCE && r >= 0; i++) {
		struct process_event e;

		r = proc_events_read(d->events_fd, &e);
		if (r > 0)
			on_event(d, &e, now_ns);
	}
	if (r == -EAGAIN) {
		/* Not for each of them: the kernel keeps what comes meanwhile. */
		event_del(d->events_event);
		evtimer_add(d->events_pause, &events_pause);
	} else if (r < 0) {
		/* From here on by scans alone, and more of them. */
		d->next_scan_ns = 0;
		close_events(d, r);
	}
	pump(d);
}

static void on_events_pause(evutil_socket_t fd, short what, void *arg)
{
	struct discover *d = arg;

	(void)fd;
	(void)what;
	event_add(d->events_event, NULL);
}

static int watch(struct discover *d, int fd, event_callback_fn callback, struct event **ret)
{
	struct event *event = event_new(d->base, fd, EV_READ | EV_PERSIST, callback, d);

	if (!event)
		return -ENOMEM;
	if (event_add(event, NULL) < 0) {
		event_free(event);
		return -EIO;
	}
	*ret = event;
	return 0;
}

/* Closed when discovery stops, while the one that was passed is kept for the next start. */
static int adopt(int passed_fd)
{
	auto_close int fd = fcntl(passed_fd, F_DUPFD_CLOEXEC, 0);
	int r = fd < 0 ? -errno : proc_events_begin(fd);

	return r < 0 ? r : steal_fd(&fd);
}

static void open_events(struct discover *d)
{
	int r;

	d->events_error = -ECANCELED;
	if (d->without_events)
		return;
	d->events_fd = d->passed_fd > 0 ? adopt(d->passed_fd) : proc_events_open();
	if (d->events_fd < 0) {
		d->events_error = d->events_fd;
		d->events_fd = -1;
		return;
	}
	d->events_error = 0;
	d->events_pause = evtimer_new(d->base, on_events_pause, d);
	r = d->events_pause ? watch(d, d->events_fd, on_events, &d->events_event) : -ENOMEM;
	if (r < 0)
		close_events(d, r);
}

/* --- start and stop --- */

static void reset(struct discover *d)
{
	d->counters = (struct discover_status){0};
	d->n_stuck_suspects = 0;
	d->is_rescan_wanted = false;
	d->is_scanning = false;
	d->is_scan_waiting = false;
	d->next_scan_ns = 0;
	for (int i = 0; i < YOUNG_STEPS; i++)
		TAILQ_INIT(&d->young[i]);
	d->n_young_looks = 0;
	d->next_young_ns = 0;
	d->tokens = 0;
	d->tokens_ns = clock_monotonic_ns();
	TAILQ_INIT(&d->waiting);
	d->n_close_looks = 0;
}

struct discover *discover_new(struct event_base *base, const struct discover_callbacks *callbacks,
			      void *ctx, const struct discover_options *options)
{
	struct discover *d = xcalloc(1, sizeof(*d));

	d->base = base;
	d->callbacks = callbacks;
	d->ctx = ctx;
	d->without_events = options && options->without_events;
	d->passed_fd = options ? options->events_fd : 0;
	d->scan_interval_ns =
	    options && options->scan_interval_ns ? options->scan_interval_ns : NS_PER_S;
	d->proc_fd = -1;
	d->events_fd = -1;
	d->events_error = -ECANCELED;
	suspects_init(&d->suspects);
	reset(d);
	return d;
}

void discover_free(struct discover *d)
{
	if (!d)
		return;
	discover_stop(d);
	free(d);
}

static int start(struct discover *d)
{
	int r;

	d->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->proc_fd < 0)
		return -errno;
	d->pool = look_pool_new(THREADS_MAX);
	if (!d->pool)
		return -errno;
	r = watch(d, look_pool_fd(d->pool), on_pool, &d->pool_event);
	if (r < 0)
		return r;
	d->timer = evtimer_new(d->base, on_timer, d);
	if (!d->timer)
		return -ENOMEM;
	/* Before the first scan: what begins in between is seen by one of them. */
	open_events(d);
	return 0;
}

int discover_start(struct discover *d)
{
	int r;

	if (d->is_running)
		return 0;
	reset(d);
	r = start(d);
	d->is_running = true;
	if (r < 0) {
		discover_stop(d);
		return r;
	}
	pump(d);
	return 0;
}

void discover_stop(struct discover *d)
{
	if (!d->is_running)
		return;
	d->is_running = false;
	close_events(d, -ECANCELED);
	if (d->timer)
		event_free(d->timer);
	d->timer = NULL;
	if (d->pool_event)
		event_free(d->pool_event);
	d->pool_event = NULL;
	look_pool_free(d->pool);
	d->pool = NULL;
	if (d->proc_fd >= 0)
		close(d->proc_fd);
	d->proc_fd = -1;
	suspects_done(&d->suspects);
	proc_table_done(&d->table);
	reset(d);
}

void discover_rescan(struct discover *d)
{
	struct suspect *s;

	/* Verdicts stay, they do not depend on which titles match; but all are told once more. */
	TAILQ_FOREACH(s, &d->suspects.all, entry)
	{
		s->is_told_anew = true;
		s->is_told = false;
	}
	d->is_rescan_wanted = true;
	d->next_scan_ns = 0;
	pump(d);
}

void discover_get_status(const struct discover *d, struct discover_status *ret)
{
	*ret = d->counters;
	ret->is_running = d->is_running;
	ret->events_error = d->events_error;
	ret->n_suspects = d->suspects.n;
	ret->n_stuck = d->pool ? look_pool_stuck(d->pool) : 0;
}
