/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/wait_queue.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/xalloc.h"

#define N_SLOTS 256u

struct wait_queue {
	struct wait_notice slots[N_SLOTS];
	_Atomic uint32_t n_put, n_taken; /* since the beginning */
	int fd;
};

struct wait_queue *wait_queue_new(void)
{
	struct wait_queue *q = xcalloc(1, sizeof(*q));

	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->fd >= 0)
		return q;
	free(q);
	return NULL;
}

void wait_queue_free(struct wait_queue *q)
{
	if (!q)
		return;
	close(q->fd);
	free(q);
}

int wait_queue_fd(const struct wait_queue *q)
{
	return q->fd;
}

void wait_queue_wake(struct wait_queue *q)
{
	uint64_t one = 1;

	/* Can fail only when it is awake already. */
	if (write(q->fd, &one, sizeof(one)) < 0)
		return;
}

bool wait_queue_put(struct wait_queue *q, const struct wait_notice *notice)
{
	uint32_t n = atomic_load_explicit(&q->n_put, memory_order_relaxed);

	if (n - atomic_load_explicit(&q->n_taken, memory_order_acquire) == N_SLOTS)
		return false;
	q->slots[n % N_SLOTS] = *notice;
	atomic_store_explicit(&q->n_put, n + 1, memory_order_release);
	wait_queue_wake(q);
	return true;
}

void wait_queue_begin(struct wait_queue *q)
{
	uint64_t n;

	/* Nothing is in it mostly: that is an error that means nothing. */
	if (read(q->fd, &n, sizeof(n)) < 0)
		return;
}

bool wait_queue_take(struct wait_queue *q, struct wait_notice *ret)
{
	uint32_t n = atomic_load_explicit(&q->n_taken, memory_order_relaxed);

	if (n == atomic_load_explicit(&q->n_put, memory_order_acquire))
		return false;
	*ret = q->slots[n % N_SLOTS];
	atomic_store_explicit(&q->n_taken, n + 1, memory_order_release);
	return true;
}
