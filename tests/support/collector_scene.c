/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/collector_scene.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recorder/wait_host.h"
#include "common/clock.h"
#include "tests/support/jail.h"
#include "tests/support/tree.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "collector_scene: %s\n", what);
	abort();
}

static struct collector_config *parse(const char *text)
{
	auto_config_errors struct config_errors errors = {0};
	struct collector_config *config = NULL;

	if (collector_config_parse("test", text, strlen(text), &config, &errors) < 0)
		must(false, errors.n ? errors.lines[0] : "a bad configuration");
	return config;
}

static void on_looks(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look_pool_collect(arg);
}

static int get_root(void *ctx)
{
	return ((struct collector_scene *)ctx)->c.root_fd;
}

static bool is_allowed(void *ctx, const struct session *s, const struct credentials *c)
{
	return collector_is_allowed(&((struct collector_scene *)ctx)->c, s, c);
}

static void on_over(void *ctx, struct session *s)
{
	(void)s;
	((struct collector_scene *)ctx)->n_over++;
}

static void ignore_shrink(void *ctx, const char *run, const char *trace, uint64_t bytes)
{
	(void)ctx;
	(void)run;
	(void)trace;
	(void)bytes;
}

static void ignore_growth(void *ctx, bool may_grow)
{
	(void)ctx;
	(void)may_grow;
}

void collector_scene_begin(struct collector_scene *s, const char *config)
{
	const bool is_root = geteuid() == 0;
	struct collector *c = &s->c;

	signal(SIGCHLD, SIG_IGN);
	*s = (struct collector_scene){.root = tree_new()};
	s->root_fd = tree_open(s->root, ".");
	c->options.root = s->root;
	c->config = parse(config);
	c->root_fd = s->root_fd;
	c->events_fd = -1;
	c->may_grow = true;
	c->since_ns = (int64_t)clock_realtime_ns();
	c->tick_ns = clock_monotonic_ns();
	c->base = event_base_new();
	c->looks = look_pool_new(4);
	must(c->base && c->looks, "no loop");
	c->on_looks =
	    event_new(c->base, look_pool_fd(c->looks), EV_READ | EV_PERSIST, on_looks, c->looks);
	event_add(c->on_looks, NULL);
	c->session_ops = (struct session_ops){
	    .wait_host = wait_host_new(-1),
	    .list_peers = collector_list_peers,
	    .base = c->base,
	    .looks = c->looks,
	    .get_root = get_root,
	    .is_allowed = is_allowed,
	    .on_over = on_over,
	    .ctx = s,
	};
	c->storage_ops =
	    (struct storage_ops){.on_shrink = ignore_shrink, .on_growth = ignore_growth};
	c->storage = storage_new(c->base, c->looks, &c->storage_ops);
	c->discover = discover_new(c->base, &collector_discover_callbacks, c,
				   &(struct discover_options){.without_events = true});
	c->access = (struct folder_access){
	    .worker_uid = is_root ? JAIL_UID : (uid_t)-1,
	    .gid = (gid_t)-1,
	};
	c->worker_gid = is_root ? JAIL_GID : (gid_t)-1;
}

void collector_scene_end(struct collector_scene *s)
{
	struct collector *c = &s->c;

	for (size_t i = 0; i < c->n_recorded; i++)
		session_free(c->recorded[i].session);
	free(c->recorded);
	collector_forget_refused(c);
	discover_free(c->discover);
	storage_free(c->storage);
	event_free(c->on_looks);
	look_pool_free(c->looks);
	event_base_free(c->base);
	collector_config_free(c->config);
	free(c->root_why);
	close(s->root_fd);
	tree_free(s->root);
}

void collector_scene_configure(struct collector_scene *s, const char *config)
{
	collector_config_free(s->c.config);
	s->c.config = parse(config);
}

void collector_scene_turn(struct collector_scene *s)
{
	struct timeval moment = {.tv_usec = 5000};

	event_base_loopexit(s->c.base, &moment);
	event_base_dispatch(s->c.base);
}
