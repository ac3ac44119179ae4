/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's life: configuration, root, signals, and the order in which things begin and end. */
#include "recorder/collector.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "recorder/accounts.h"
#include "recorder/collector_private.h"
#include "recorder/exact/line_endings.h"
#include "recorder/exact/trace_fs.h"
#include "recorder/wait_host.h"
#include "recorder/notify.h"

#define LOOK_THREADS_MAX 24
/* Sessions end within 1.5 seconds; should one not, the daemon goes all the same. */
#define STOP_S 1.9
/* Seconds between two lines for the service manager. */
#define TELL_TICKS 5

static const char *root_path(const struct collector *c)
{
	return c->options.root ? c->options.root : c->config->root;
}

/* --- events --- */

static void on_looks(evutil_socket_t fd, short what, void *arg)
{
	struct collector *c = arg;

	(void)fd;
	(void)what;
	look_pool_collect(c->looks);
}

static void set_ticking(struct collector *c, bool ticking)
{
	struct timeval second = {.tv_sec = 1};

	if (!ticking) {
		evtimer_del(c->on_tick);
	} else if (!evtimer_pending(c->on_tick, NULL)) {
		c->tick_ns = clock_monotonic_ns();
		c->own_cpu_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
		evtimer_add(c->on_tick, &second);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct collector *c = arg;

	(void)fd;
	(void)what;
	collector_tick(c);
	if (c->n_ticks % TELL_TICKS == 0)
		collector_tell_status(c);
}

/* The loop runs, and a worker that makes no progress was killed: that is what is watched. */
static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	const struct collector *c = arg;

	(void)fd;
	(void)what;
	/* With sessions there is a tick every second, which looks at each of them. */
	if (c->n_recorded == 0 || clock_monotonic_ns() - c->tick_ns < 5 * NS_PER_S)
		notify_watchdog();
}

/* Sessions that are over are freed here, where none of their functions is running. */
static void on_over_event(evutil_socket_t fd, short what, void *arg)
{
	struct collector *c = arg;
	size_t kept = 0;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < c->n_recorded; i++) {
		struct session_status status;

		session_get_status(c->recorded[i].session, &status);
		if (status.state == SESSION_OVER)
			session_free(c->recorded[i].session);
		else
			c->recorded[kept++] = c->recorded[i];
	}
	c->n_recorded = kept;
	if (kept)
		return;
	if (c->is_stopping)
		event_base_loopbreak(c->base);
	else if (c->root_fd < 0)
		set_ticking(c, false);
}

static void on_over(void *ctx, struct session *s)
{
	struct collector *c = ctx;

	(void)s;
	event_active(c->on_over, EV_TIMEOUT, 0);
}

static int get_root(void *ctx)
{
	return ((const struct collector *)ctx)->root_fd;
}

static void on_shrink(void *ctx, const char *run, const char *trace, uint64_t bytes)
{
	struct recorded *r = collector_find(ctx, run, trace);

	if (r)
		session_trim(r->session, bytes);
}

static void on_growth(void *ctx, bool may_grow)
{
	struct collector *c = ctx;

	c->may_grow = may_grow;
	for (size_t i = 0; i < c->n_recorded; i++)
		session_set_growth(c->recorded[i].session, may_grow);
}

/* --- the root --- */

static struct retention_limits limits_of(const struct collector *c)
{
	return (struct retention_limits){
	    .max_use_bytes = c->config->max_use_bytes,
	    .keep_free_bytes = c->config->keep_free_bytes,
	    .max_age_s = c->config->max_age_ns / NS_PER_S,
	};
}

static void forget_why(struct collector *c)
{
	free(c->root_why);
	c->root_why = NULL;
}

static void on_root_appeared(void *ctx, int root_fd)
{
	struct collector *c = ctx;
	struct retention_limits limits = limits_of(c);
	int r;

	if (c->is_stopping)
		return;
	forget_why(c);
	c->root_fd = root_fd;
	log_info("%s is there: recording", root_path(c));
	storage_start(c->storage, root_fd, &limits);
	repair_start(c->repair, root_fd);
	set_ticking(c, true);
	r = discover_start(c->discover);
	if (r < 0)
		log_error("cannot look for processes: %s", strerror(-r));
	collector_tell_status(c);
}

static void on_root_gone(void *ctx)
{
	struct collector *c = ctx;

	log_info("%s is gone: nothing is recorded until it is there again", root_path(c));
	discover_stop(c->discover);
	repair_stop(c->repair);
	storage_stop(c->storage);
	collector_stop_all(c, "folder removed");
	collector_forget_refused(c);
	c->root_fd = -1;
	if (c->n_recorded == 0)
		set_ticking(c, false);
	collector_tell_status(c);
}

static void on_root_refused(void *ctx, int error, const char *why)
{
	struct collector *c = ctx;

	(void)error;
	forget_why(c);
	c->root_why = xstrdup(why);
	log_warning("nothing is recorded: %s", why);
}

static int watch_root(struct collector *c)
{
	static const struct root_watch_ops ops = {
	    .on_appeared = on_root_appeared,
	    .on_gone = on_root_gone,
	    .on_refused = on_root_refused,
	};
	int r = root_watch_new(c->base, root_path(c), &ops, c, &c->root_watch);

	if (r < 0)
		log_error("cannot watch for %s: %s%s", root_path(c), strerror(-r),
			  r == -EMFILE ? " (see sysctl fs.inotify.max_user_instances)" : "");
	return r;
}

/* --- configuration --- */

static int load_config(const struct collector_options *options, struct collector_config **ret)
{
	auto_config_errors struct config_errors errors = {0};
	int r = collector_config_load(options->config_folders, ret, &errors);

	for (size_t i = 0; i < errors.n; i++)
		log_error("%s", errors.lines[i]);
	if (errors.n_more)
		log_error("and %zu more", errors.n_more);
	return r;
}

/* An unprivileged user's own daemon records as that user. */
static int find_accounts(struct collector *c)
{
	const char *user = c->options.user ? c->options.user : c->config->user;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	int r = 0;

	if (geteuid() == 0)
		r = account_find_user(user, &uid);
	if (r < 0) {
		log_error("there is no user %s to run the workers: create it (`systemd-sysusers`, "
			  "or `useradd --system %s`), or name another one with User= in "
			  "collector.conf or with --user",
			  user, user);
		return r;
	}
	if (geteuid() == 0)
		r = account_find_group(c->config->group, &gid);
	if (r < 0) {
		log_error("there is no group %s that may read the traces: name another one with "
			  "Group= in collector.conf",
			  c->config->group);
		return r;
	}
	c->access = (struct folder_access){.worker_uid = uid, .gid = gid};
	c->worker_gid = gid;
	return 0;
}

static int open_control(struct collector *c)
{
	const char *path = c->options.socket ? c->options.socket : c->config->socket;
	char why[512];
	int r = control_new(c->base, path, c->access.gid, collector_on_request, c, &c->control, why,
			    sizeof(why));

	if (r < 0)
		log_error("%s", why);
	return r;
}

static void apply_config(struct collector *c, struct collector_config *config)
{
	struct collector_config *old = c->config;
	bool other_root = !c->options.root && strcmp(old->root, config->root) != 0;
	bool other_socket = !c->options.socket && strcmp(old->socket, config->socket) != 0;
	struct retention_limits limits;

	c->config = config;
	find_accounts(c);
	if (other_socket) {
		control_free(c->control);
		c->control = NULL;
		open_control(c);
	}
	if (other_root) {
		if (c->root_fd >= 0)
			on_root_gone(c);
		root_watch_free(c->root_watch);
		c->root_watch = NULL;
		forget_why(c);
		watch_root(c);
	} else if (c->root_fd >= 0) {
		limits = limits_of(c);
		storage_start(c->storage, c->root_fd, &limits);
		collector_apply_targets(c);
	}
	collector_config_free(old);
}

static void on_hup(evutil_socket_t fd, short what, void *arg)
{
	struct collector *c = arg;
	struct collector_config *config;

	(void)fd;
	(void)what;
	notify_reloading();
	if (load_config(&c->options, &config) < 0) {
		log_error("the configuration stays as it was");
	} else {
		apply_config(c, config);
		log_info("configuration reloaded");
	}
	notify_ready();
}

/* --- beginning and end --- */

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct collector *c = arg;
	struct timeval limit = {.tv_sec = (time_t)STOP_S,
				.tv_usec = (suseconds_t)((STOP_S - (time_t)STOP_S) * 1e6)};

	(void)fd;
	(void)what;
	if (c->is_stopping)
		return;
	c->is_stopping = true;
	notify_stopping();
	discover_stop(c->discover);
	repair_stop(c->repair);
	storage_stop(c->storage);
	collector_stop_all(c, "recorder stopped");
	event_base_loopexit(c->base, &limit);
	if (c->n_recorded == 0)
		event_base_loopbreak(c->base);
}

static struct event *watch_signal(struct collector *c, int number, event_callback_fn callback)
{
	struct event *event = evsignal_new(c->base, number, callback, c);

	if (!event || evsignal_add(event, NULL) < 0)
		xalloc_failed();
	return event;
}

static void set_up_events(struct collector *c)
{
	uint64_t watchdog_ns = notify_watchdog_interval_ns() / 3;
	struct timeval interval = {
	    .tv_sec = (time_t)(watchdog_ns / NS_PER_S),
	    .tv_usec = (suseconds_t)(watchdog_ns % NS_PER_S / 1000),
	};

	/* Workers are not waited for; what a client that went away is told is not missed. */
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	c->on_looks = event_new(c->base, look_pool_fd(c->looks), EV_READ | EV_PERSIST, on_looks, c);
	c->on_tick = event_new(c->base, -1, EV_PERSIST, on_tick, c);
	c->on_over = evtimer_new(c->base, on_over_event, c);
	c->on_watchdog = event_new(c->base, -1, EV_PERSIST, on_watchdog, c);
	if (!c->on_looks || !c->on_tick || !c->on_over || !c->on_watchdog)
		xalloc_failed();
	event_add(c->on_looks, NULL);
	if (watchdog_ns)
		evtimer_add(c->on_watchdog, &interval);
	c->on_term = watch_signal(c, SIGTERM, on_stop);
	c->on_int = watch_signal(c, SIGINT, on_stop);
	c->on_hup = watch_signal(c, SIGHUP, on_hup);
}

static int set_up(struct collector *c)
{
	int r = load_config(&c->options, &c->config), diag_fd;

	if (r < 0 || !c->config)
		return -EINVAL;
	r = find_accounts(c);
	if (r < 0)
		return r;
	c->base = event_base_new();
	c->looks = look_pool_new(LOOK_THREADS_MAX);
	if (!c->base || !c->looks) {
		log_error("cannot set up the daemon: no memory or descriptors are left");
		return -ENOMEM;
	}
	set_up_events(c);
	trace_fs_clean();
	diag_fd = notify_take_descriptor(NOTIFY_SOCKET_DIAG);
	if (diag_fd < 0)
		diag_fd = -1;
	c->session_ops = (struct session_ops){
	    .on_inexact = collector_on_inexact,
	    .base = c->base,
	    .looks = c->looks,
	    .line_endings = line_endings_new(),
	    .get_root = get_root,
	    .is_allowed = collector_is_allowed,
	    .on_over = on_over,
	    .wait_host = wait_host_new(diag_fd),
	    .list_peers = collector_list_peers,
	    .ctx = c,
	};
	c->storage_ops =
	    (struct storage_ops){.on_shrink = on_shrink, .on_growth = on_growth, .ctx = c};
	c->storage = storage_new(c->base, c->looks, &c->storage_ops);
	c->repair = repair_new(c->base, c->looks, c->access.worker_uid, c->worker_gid);
	c->events_fd = notify_take_descriptor(NOTIFY_PROCESS_EVENTS);
	c->discover = discover_new(
	    c->base, &collector_discover_callbacks, c,
	    &(struct discover_options){.events_fd = c->events_fd > 0 ? c->events_fd : 0});
	r = open_control(c);
	return r < 0 ? r : watch_root(c);
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

static void tear_down(struct collector *c)
{
	for (size_t i = 0; i < c->n_recorded; i++)
		session_free(c->recorded[i].session);
	free(c->recorded);
	collector_forget_refused(c);
	control_free(c->control);
	discover_free(c->discover);
	close_p(&c->events_fd);
	repair_free(c->repair);
	storage_free(c->storage);
	root_watch_free(c->root_watch);
	forget_why(c);
	free_event(c->on_looks);
	free_event(c->on_tick);
	free_event(c->on_over);
	free_event(c->on_watchdog);
	free_event(c->on_term);
	free_event(c->on_int);
	free_event(c->on_hup);
	look_pool_free(c->looks);
	/* Until no probe is left that we have set. */
	if (c->session_ops.line_endings)
		line_endings_wait(c->session_ops.line_endings);
	line_endings_unref(c->session_ops.line_endings);
	wait_host_unref(c->session_ops.wait_host);
	if (c->base)
		event_base_free(c->base);
	collector_config_free(c->config);
}

int collector_run(const struct collector_options *options)
{
	struct collector c = {
	    .options = *options,
	    .root_fd = -1,
	    .events_fd = -1,
	    .may_grow = true,
	    .since_ns = (int64_t)clock_realtime_ns(),
	};
	int r = set_up(&c);

	if (r == 0) {
		log_info("waiting for %s", root_path(&c));
		notify_ready();
		collector_tell_status(&c);
		event_base_dispatch(c.base);
	}
	tear_down(&c);
	switch (r) {
	case 0:
		return EXIT_OK;
	case -EINVAL: /* of the configuration: another try does not help */
	case -ENOENT:
		return EXIT_USAGE;
	case -EACCES:
	case -EPERM:
		return EXIT_NOT_ALLOWED;
	default:
		return EXIT_FAILED;
	}
}
