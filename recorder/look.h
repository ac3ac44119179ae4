/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounded looks. Much in /proc/PID can block for as long as the process likes: reading its command
 * line, its mappings or its memory waits while it sleeps in the kernel with its memory map locked
 * (a dead NFS server), is being dumped, or lies on a file system that never answers. Such looks
 * run in helper threads; who asked is told in its own thread, in time, what came of it.
 *
 * One thread, the owner's, calls everything here; its loop watches one descriptor.
 *
 * Whose is what: from the moment that look_submit() succeeds, `arg` and all that it refers to
 * belong to the look, and stay as they are until discard(arg). That comes once for each look, when
 * run() has returned, however late. A look that is late is told of once, with -ETIMEDOUT; its
 * thread is left to itself until it comes back.
 */
#ifndef RECORDER_LOOK_H
#define RECORDER_LOOK_H

#include <stdint.h>

struct look_pool;

struct look_ops {
	/*
	 * The look itself, in a helper thread, all signals blocked. It works on what `arg` refers
	 * to and on nothing else. Returns what done() shall get.
	 */
	int (*run)(void *arg);
	/*
	 * In the owner's thread, once: with what run() returned, or with -ETIMEDOUT while run()
	 * goes on. Then only what run() leaves alone, or publishes through atomics, may be read in
	 * `arg`.
	 */
	void (*done)(void *arg, int result);
	/* In the owner's thread: a look that was given up has returned after all. May be NULL. */
	void (*returned)(void *arg);
	/*
	 * Release `arg`. In the owner's thread; but when the pool was freed meanwhile, in a helper
	 * thread: it must not use what is the owner's.
	 */
	void (*discard)(void *arg);
};

/*
 * Starts no thread yet. At most max_threads exist at a time, those that are stuck included; one
 * that had nothing to do for some seconds ends.
 * Returns NULL with errno set when there is no descriptor left.
 */
struct look_pool *look_pool_new(unsigned max_threads);

/*
 * Idle threads end at once, looks under way when they return; none of them is told of any more.
 * Does not wait. May be called from done() and returned(). NULL is accepted.
 */
void look_pool_free(struct look_pool *pool);

/* Readable when look_pool_collect() has something to do. Valid until the pool is freed. */
int look_pool_fd(const struct look_pool *pool);

/*
 * Call done(), returned() and discard() of all looks for which it is time. They may submit new
 * looks.
 */
void look_pool_collect(struct look_pool *pool);

/*
 * Start a look now.
 * @ops          valid for good
 * @deadline_ns  when it is late, on the monotonic clock
 * Returns 0; -EBUSY when all threads are busy or stuck (nothing has happened: try again when the
 * descriptor was readable, or a little later), also when the system refuses another thread.
 */
int look_submit(struct look_pool *pool, const struct look_ops *ops, void *arg,
		uint64_t deadline_ns);

/* How many looks were given up and have not returned. */
unsigned look_pool_stuck(struct look_pool *pool);

#endif
