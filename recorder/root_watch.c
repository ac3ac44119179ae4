/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each folder on the way that exists is watched, from "/" down to the root or to the last that is
 * there. A folder is watched before the next name is looked up in it, so that whatever is created
 * after that look-up is an event: nothing can be missed between the two. Any event that can
 * concern us leads to a new walk from "/", which alone decides what is the case; so bursts need no
 * care.
 *
 * The root is kept open while it is in use. Hence no other folder can have its inode number, and
 * by that it is told from a new one of the same path. An open folder is also why it is not enough
 * to watch it itself: its removal is told by the folder above only.
 */
#include "recorder/root_watch.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/root_open.h"

#define ABOVE_MASK                                                                          \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | \
	 IN_MOVE_SELF)
#define ROOT_MASK (IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

struct watched {
	int wd;
	char next[NAME_MAX + 1]; /* the name in it that matters; "" in the root */
};

struct watched_folders {
	struct watched list[ROOT_DEPTH_MAX + 2];
	size_t n;
};

struct root_watch {
	const struct root_watch_ops *ops;
	void *ctx;
	char *path;
	int inotify_fd;
	int mounts_fd;
	struct event *on_inotify;
	struct event *on_mounts;
	struct watched_folders now, before;
	int root_fd; /* -1 while there is none that is used */
	char refused[1024];
};

static bool is_watched(const struct watched_folders *folders, int wd, const char **ret_next)
{
	for (size_t i = 0; i < folders->n; i++) {
		if (folders->list[i].wd == wd) {
			*ret_next = folders->list[i].next;
			return true;
		}
	}
	return false;
}

/* For root_walk(). The path leads to the open folder itself, whatever has its name by now. */
static int on_folder(void *ctx, int folder_fd, const char *next)
{
	struct root_watch *w = ctx;
	struct watched *watched = &w->now.list[w->now.n];
	char path[40];

	if (w->now.n == sizeof(w->now.list) / sizeof(w->now.list[0]))
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", folder_fd);
	watched->wd = inotify_add_watch(w->inotify_fd, path, next ? ABOVE_MASK : ROOT_MASK);
	if (watched->wd < 0)
		return -errno;
	snprintf(watched->next, sizeof(watched->next), "%s", next ? next : "");
	w->now.n++;
	return 0;
}

static void drop_stale_watches(struct root_watch *w)
{
	const char *next;

	for (size_t i = 0; i < w->before.n; i++) {
		if (!is_watched(&w->now, w->before.list[i].wd, &next))
			inotify_rm_watch(w->inotify_fd, w->before.list[i].wd);
	}
}

static bool is_same_folder(int a, int b)
{
	struct stat st_a, st_b;

	return a >= 0 && b >= 0 && fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 &&
	       st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
}

static void leave_root(struct root_watch *w)
{
	if (w->root_fd < 0)
		return;
	w->ops->on_gone(w->ctx);
	close(w->root_fd);
	w->root_fd = -1;
}

static void refuse(struct root_watch *w, int error, const char *why)
{
	if (strcmp(w->refused, why) == 0)
		return;
	snprintf(w->refused, sizeof(w->refused), "%s", why);
	w->ops->on_refused(w->ctx, error, why);
}

static void look(struct root_watch *w)
{
	char why[sizeof(w->refused)] = "";
	auto_close int fd = -1;
	int r;

	w->before = w->now;
	w->now.n = 0;
	r = root_walk(w->path, on_folder, w, &fd, why, sizeof(why));
	drop_stale_watches(w);
	if (r == 0 && is_same_folder(fd, w->root_fd))
		return;
	leave_root(w);
	if (r < 0 && r != -ENOENT) {
		refuse(w, r, why);
		return;
	}
	w->refused[0] = '\0';
	if (r < 0)
		return;
	w->root_fd = steal_fd(&fd);
	w->ops->on_appeared(w->ctx, w->root_fd);
}

/* Whether an event can change where the path leads, or whether that is safe. */
static bool concerns_us(const struct root_watch *w, const struct inotify_event *event)
{
	const char *next;

	if (event->mask & IN_Q_OVERFLOW)
		return true;
	/* Of a watch that was removed: IN_IGNORED, and what came before it. */
	if (!is_watched(&w->now, event->wd, &next) || event->mask & IN_IGNORED)
		return false;
	return event->len == 0 || strcmp(event->name, next) == 0;
}

/* Read all events. Returns whether one of them concerns us. */
static bool drain(struct root_watch *w)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool found = false;
	ssize_t n;

	while ((n = read(w->inotify_fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(buf + at);

			found |= concerns_us(w, event);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
	return found;
}

static void on_inotify(evutil_socket_t fd, short what, void *ctx)
{
	struct root_watch *w = ctx;

	(void)fd;
	/* EV_TIMEOUT: the first look. */
	if (drain(w) || what & EV_TIMEOUT)
		look(w);
}

static void on_mounts(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	look(ctx);
}

/*
 * A mount over a folder of the path is no inotify event, but wakes whoever polls this file, which
 * is always readable: hence edge-triggered. Where the loop can't do that (not epoll), mounts are
 * seen with the next event only.
 */
static void watch_mounts(struct root_watch *w, struct event_base *base)
{
	if (!(event_base_get_features(base) & EV_FEATURE_ET))
		return;
	w->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (w->mounts_fd < 0)
		return;
	w->on_mounts = event_new(base, w->mounts_fd, EV_READ | EV_ET | EV_PERSIST, on_mounts, w);
	if (!w->on_mounts)
		xalloc_failed();
	event_add(w->on_mounts, NULL);
}

DEFINE_CLEANUP(struct root_watch *, root_watch_free)

int root_watch_new(struct event_base *base, const char *path, const struct root_watch_ops *ops,
		   void *ctx, struct root_watch **ret)
{
	auto_release(root_watch_free) struct root_watch *w = xcalloc(1, sizeof(*w));

	*w = (struct root_watch){.ops = ops, .ctx = ctx, .mounts_fd = -1, .root_fd = -1};
	w->path = xstrdup(path);
	w->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->inotify_fd < 0)
		return -errno;
	w->on_inotify = event_new(base, w->inotify_fd, EV_READ | EV_PERSIST, on_inotify, w);
	if (!w->on_inotify)
		xalloc_failed();
	if (event_add(w->on_inotify, NULL) < 0)
		return -EIO;
	watch_mounts(w, base);
	event_active(w->on_inotify, EV_TIMEOUT, 0);
	*ret = steal_ptr(w);
	return 0;
}

void root_watch_free(struct root_watch *w)
{
	if (!w)
		return;
	if (w->on_inotify)
		event_free(w->on_inotify);
	if (w->on_mounts)
		event_free(w->on_mounts);
	if (w->inotify_fd >= 0)
		close(w->inotify_fd);
	if (w->mounts_fd >= 0)
		close(w->mounts_fd);
	if (w->root_fd >= 0)
		close(w->root_fd);
	free(w->path);
	free(w);
}
