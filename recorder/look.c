/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One lock guards all. A look is in the list of those under way until it returns; then in the list
 * of those that have, until the owner collects it. The descriptor is a timer, which does for both:
 * it stands at the earliest deadline, and is set to "now" when something has returned.
 */
#include "recorder/look.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/xalloc.h"

#define IDLE_NS (5 * NS_PER_S)
/* Looks keep what is large on the heap. */
#define STACK_BYTES (256 << 10)

struct look {
	const struct look_ops *ops;
	void *arg;
	uint64_t deadline_ns;
	int result;
	bool is_late;	  /* has been told of */
	bool is_reported; /* done() is being called for it, while it may return */
	bool has_returned;
	TAILQ_ENTRY(look) entry;
};
TAILQ_HEAD(look_list, look);

struct look_thread {
	struct look_pool *pool;
	struct look *look; /* to do; NULL: idle */
	pthread_cond_t wake;
	LIST_ENTRY(look_thread) entry; /* while idle */
};
LIST_HEAD(look_thread_list, look_thread);

struct look_pool {
	pthread_mutex_t lock;
	int timer_fd;
	bool is_closed;
	unsigned max_threads;
	unsigned n_threads;
	unsigned n_stuck;
	unsigned n_users; /* the threads, the owner, and look_pool_collect() while it runs */
	struct look_thread_list idle; /* the one that was busy last comes first */
	struct look_list under_way;
	struct look_list returned;
};

/* Set the timer to what comes next. */
static void arm(struct look_pool *pool)
{
	struct itimerspec at = {0};
	uint64_t next_ns = UINT64_MAX;
	const struct look *look;

	if (pool->is_closed)
		return;
	TAILQ_FOREACH(look, &pool->under_way, entry)
	if (!look->is_late && look->deadline_ns < next_ns)
		next_ns = look->deadline_ns;
	if (!TAILQ_EMPTY(&pool->returned))
		next_ns = 1;
	if (next_ns != UINT64_MAX) {
		/* All zeros would stop it. */
		next_ns = next_ns ? next_ns : 1;
		at.it_value.tv_sec = (time_t)(next_ns / NS_PER_S);
		at.it_value.tv_nsec = (long)(next_ns % NS_PER_S);
	}
	timerfd_settime(pool->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* With the lock held, which is released; the last user frees the pool. */
static void leave(struct look_pool *pool)
{
	bool is_last = --pool->n_users == 0;

	pthread_mutex_unlock(&pool->lock);
	if (!is_last)
		return;
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static void discard(struct look *look)
{
	look->ops->discard(look->arg);
	free(look);
}

/* With the lock held, which is given up in between. */
static void take_back(struct look_pool *pool, struct look *look)
{
	TAILQ_REMOVE(&pool->under_way, look, entry);
	if (look->is_late)
		pool->n_stuck--;
	look->has_returned = true;
	if (!pool->is_closed) {
		TAILQ_INSERT_TAIL(&pool->returned, look, entry);
		arm(pool);
		return;
	}
	if (look->is_reported)
		return; /* whoever reports it discards it */
	pthread_mutex_unlock(&pool->lock);
	discard(look);
	pthread_mutex_lock(&pool->lock);
}

/* Wait for the next look; NULL when there is none for long. With the lock held. */
static struct look *wait_for_look(struct look_thread *t)
{
	uint64_t end_ns = clock_monotonic_ns() + IDLE_NS;
	struct timespec end = {.tv_sec = (time_t)(end_ns / NS_PER_S),
			       .tv_nsec = (long)(end_ns % NS_PER_S)};
	struct look_pool *pool = t->pool;
	struct look *look;

	if (!t->look) {
		LIST_INSERT_HEAD(&pool->idle, t, entry);
		while (!t->look && !pool->is_closed)
			if (pthread_cond_timedwait(&t->wake, &pool->lock, &end) == ETIMEDOUT)
				break;
		/* Who gave us a look has taken us off the list. */
		if (!t->look)
			LIST_REMOVE(t, entry);
	}
	look = t->look;
	t->look = NULL;
	return look;
}

static void *thread_main(void *arg)
{
	struct look_thread *t = arg;
	struct look_pool *pool = t->pool;
	struct look *look;

	pthread_mutex_lock(&pool->lock);
	while ((look = wait_for_look(t))) {
		int r;

		pthread_mutex_unlock(&pool->lock);
		r = look->ops->run(look->arg);
		pthread_mutex_lock(&pool->lock);
		look->result = r;
		take_back(pool, look);
		if (pool->is_closed)
			break;
	}
	pool->n_threads--;
	pthread_cond_destroy(&t->wake);
	free(t);
	leave(pool);
	return NULL;
}

static int start_thread(struct look_thread *t)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t id;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&id, &attr, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

/* With the lock held. */
static int add_thread(struct look_pool *pool, struct look *look)
{
	struct look_thread *t;
	pthread_condattr_t attr;
	int r;

	if (pool->n_threads >= pool->max_threads)
		return -EBUSY;
	t = xcalloc(1, sizeof(*t));
	t->pool = pool;
	t->look = look;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	r = start_thread(t);
	if (r < 0) {
		pthread_cond_destroy(&t->wake);
		free(t);
		return -EBUSY;
	}
	pool->n_threads++;
	pool->n_users++;
	return 0;
}

/* With the lock held. */
static int assign(struct look_pool *pool, struct look *look)
{
	struct look_thread *t = LIST_FIRST(&pool->idle);

	if (!t)
		return add_thread(pool, look);
	LIST_REMOVE(t, entry);
	t->look = look;
	pthread_cond_signal(&t->wake);
	return 0;
}

int look_submit(struct look_pool *pool, const struct look_ops *ops, void *arg, uint64_t deadline_ns)
{
	struct look *look = xcalloc(1, sizeof(*look));
	int r;

	look->ops = ops;
	look->arg = arg;
	look->deadline_ns = deadline_ns;
	pthread_mutex_lock(&pool->lock);
	r = assign(pool, look);
	if (r == 0) {
		TAILQ_INSERT_TAIL(&pool->under_way, look, entry);
		arm(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	if (r < 0)
		free(look);
	return r;
}

static void report_returned(struct look_pool *pool, struct look *look)
{
	TAILQ_REMOVE(&pool->returned, look, entry);
	pthread_mutex_unlock(&pool->lock);
	if (!look->is_late)
		look->ops->done(look->arg, look->result);
	else if (look->ops->returned)
		look->ops->returned(look->arg);
	discard(look);
	pthread_mutex_lock(&pool->lock);
}

static void report_late(struct look_pool *pool, struct look *look)
{
	look->is_late = true;
	look->is_reported = true;
	pool->n_stuck++;
	pthread_mutex_unlock(&pool->lock);
	look->ops->done(look->arg, -ETIMEDOUT);
	pthread_mutex_lock(&pool->lock);
	look->is_reported = false;
	/* Otherwise it is under way, or waits among those that have returned. */
	if (!look->has_returned || !pool->is_closed)
		return;
	pthread_mutex_unlock(&pool->lock);
	discard(look);
	pthread_mutex_lock(&pool->lock);
}

static struct look *find_late(const struct look_pool *pool, uint64_t now_ns)
{
	struct look *look;

	TAILQ_FOREACH(look, &pool->under_way, entry)
	if (!look->is_late && look->deadline_ns <= now_ns)
		return look;
	return NULL;
}

void look_pool_collect(struct look_pool *pool)
{
	uint64_t n_expired, now_ns = clock_monotonic_ns();
	struct look *look;

	pthread_mutex_lock(&pool->lock);
	pool->n_users++;
	if (read(pool->timer_fd, &n_expired, sizeof(n_expired)) < 0)
		n_expired = 0; /* called without need: as well */
	while (!pool->is_closed) {
		if ((look = TAILQ_FIRST(&pool->returned)))
			report_returned(pool, look);
		else if ((look = find_late(pool, now_ns)))
			report_late(pool, look);
		else
			break;
	}
	arm(pool);
	leave(pool);
}

struct look_pool *look_pool_new(unsigned max_threads)
{
	struct look_pool *pool;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return NULL;
	pool = xcalloc(1, sizeof(*pool));
	pool->timer_fd = fd;
	pool->max_threads = max_threads;
	pool->n_users = 1;
	pthread_mutex_init(&pool->lock, NULL);
	LIST_INIT(&pool->idle);
	TAILQ_INIT(&pool->under_way);
	TAILQ_INIT(&pool->returned);
	return pool;
}

void look_pool_free(struct look_pool *pool)
{
	struct look_list returned = TAILQ_HEAD_INITIALIZER(returned);
	struct look_thread *t;
	struct look *look;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_closed = true;
	for (t = LIST_FIRST(&pool->idle); t; t = LIST_NEXT(t, entry))
		pthread_cond_signal(&t->wake);
	TAILQ_CONCAT(&returned, &pool->returned, entry);
	close(pool->timer_fd);
	pool->timer_fd = -1;
	/* One that is being reported right now, and has returned, is discarded there. */
	while ((look = TAILQ_FIRST(&returned))) {
		TAILQ_REMOVE(&returned, look, entry);
		if (!look->is_reported)
			discard(look);
	}
	leave(pool);
}

int look_pool_fd(const struct look_pool *pool)
{
	return pool->timer_fd;
}

unsigned look_pool_stuck(struct look_pool *pool)
{
	unsigned n;

	pthread_mutex_lock(&pool->lock);
	n = pool->n_stuck;
	pthread_mutex_unlock(&pool->lock);
	return n;
}
