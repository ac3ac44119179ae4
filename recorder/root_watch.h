/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Watches for the root of all traces: it appears, it goes away, another folder takes its place,
 * it becomes unsafe or safe again (see root_open.h). Sleeps in the kernel (inotify) until
 * something happens to one of the names on the way to it, or something is mounted: waiting costs
 * nothing, however many folders of the path are missing.
 */
#ifndef RECORDER_ROOT_WATCH_H
#define RECORDER_ROOT_WATCH_H

struct event_base;
struct root_watch;

/*
 * Called from the event loop, in an order that makes sense: on_gone only after on_appeared, a
 * replacement is on_gone and then on_appeared. None of them may free the watch.
 */
struct root_watch_ops {
	/* @root_fd  lent until on_gone has returned */
	void (*on_appeared)(void *ctx, int root_fd);
	void (*on_gone)(void *ctx);
	/*
	 * It exists but can't be used; `why` says what to do. Told once, until it changes. It is
	 * looked at again when attributes or names on the way change.
	 */
	void (*on_refused)(void *ctx, int error, const char *why);
};

/*
 * The first look is taken as soon as the loop runs.
 * @path  absolute
 * Returns 0 or a negative errno (-EMFILE: too many inotify instances, see
 * fs.inotify.max_user_instances).
 */
int root_watch_new(struct event_base *base, const char *path, const struct root_watch_ops *ops,
		   void *ctx, struct root_watch **ret);
/* Does not call on_gone. */
void root_watch_free(struct root_watch *w);

#endif
