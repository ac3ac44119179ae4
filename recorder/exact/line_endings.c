/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/line_endings.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "recorder/exact/line_events.h"

struct line_endings {
	pthread_mutex_t lock;
	pthread_cond_t less; /* n has become less */
	unsigned n;	     /* that have not ended yet */
	atomic_uint n_refs;
};

struct ending {
	struct line_endings *endings;
	struct line_events *events;
};

struct line_endings *line_endings_new(void)
{
	struct line_endings *e = xcalloc(1, sizeof(*e));

	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->less, NULL);
	atomic_init(&e->n_refs, 1);
	return e;
}

struct line_endings *line_endings_ref(struct line_endings *e)
{
	if (e)
		atomic_fetch_add(&e->n_refs, 1);
	return e;
}

void line_endings_unref(struct line_endings *e)
{
	if (!e || atomic_fetch_sub(&e->n_refs, 1) > 1)
		return;
	pthread_cond_destroy(&e->less);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void count(struct line_endings *e, int by)
{
	pthread_mutex_lock(&e->lock);
	e->n += (unsigned)by;
	pthread_cond_broadcast(&e->less);
	pthread_mutex_unlock(&e->lock);
}

static void *end_events(void *arg)
{
	struct ending *ending = arg;

	line_events_free(ending->events);
	count(ending->endings, -1);
	line_endings_unref(ending->endings);
	free(ending);
	return NULL;
}

void line_endings_add(struct line_endings *e, struct line_events *events)
{
	struct ending *ending;
	pthread_t thread;
	sigset_t all, old;
	int r;

	if (!e || !events) {
		line_events_free(events);
		return;
	}
	ending = xcalloc(1, sizeof(*ending));
	ending->endings = line_endings_ref(e);
	ending->events = events;
	count(e, 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, NULL, end_events, ending);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		pthread_detach(thread);
	else
		end_events(ending);
}

void line_endings_wait(struct line_endings *e)
{
	pthread_mutex_lock(&e->lock);
	while (e->n)
		pthread_cond_wait(&e->less, &e->lock);
	pthread_mutex_unlock(&e->lock);
}
