/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/edge_inbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

/* Nobody asks for so many at a time. */
#define DELIVERIES_MAX 256

struct edge_inbox {
	_Atomic unsigned n; /* changed with the lock only */
	pthread_mutex_t lock;
	struct edge_delivery items[DELIVERIES_MAX];
};

struct edge_inbox *edge_inbox_new(void)
{
	struct edge_inbox *box = xcalloc(1, sizeof(*box));

	pthread_mutex_init(&box->lock, NULL);
	return box;
}

void edge_inbox_free(struct edge_inbox *box)
{
	struct edge_delivery d;

	if (!box)
		return;
	while (edge_inbox_take(box, &d))
		close_p(&d.fd);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

void edge_inbox_put(struct edge_inbox *box, const struct edge_delivery *d)
{
	bool has_room;

	pthread_mutex_lock(&box->lock);
	has_room = box->n < DELIVERIES_MAX;
	if (has_room) {
		box->items[box->n] = *d;
		box->n++;
	}
	pthread_mutex_unlock(&box->lock);
	if (!has_room && d->fd >= 0)
		close(d->fd);
}

bool edge_inbox_take(struct edge_inbox *box, struct edge_delivery *ret)
{
	bool has_one;

	if (atomic_load_explicit(&box->n, memory_order_acquire) == 0)
		return false;
	pthread_mutex_lock(&box->lock);
	has_one = box->n > 0;
	if (has_one) {
		box->n--;
		*ret = box->items[box->n];
	}
	pthread_mutex_unlock(&box->lock);
	return has_one;
}
