/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/wait_host.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/oncpu/peers.h"
#include "recorder/oncpu/unix_diag.h"

struct wait_host {
	_Atomic unsigned refs;
	struct unix_diag *diag;
	pthread_mutex_t lock; /* of what follows */
	struct peers *peers;
};

struct wait_host *wait_host_new(int diag_fd)
{
	struct wait_host *h = xcalloc(1, sizeof(*h));

	h->refs = 1;
	h->diag = unix_diag_new(diag_fd);
	h->peers = peers_new();
	pthread_mutex_init(&h->lock, NULL);
	return h;
}

struct wait_host *wait_host_ref(struct wait_host *h)
{
	h->refs++;
	return h;
}

void wait_host_unref(struct wait_host *h)
{
	if (!h || --h->refs > 0)
		return;
	unix_diag_free(h->diag);
	peers_free(h->peers);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

struct unix_diag *wait_host_unix_diag(const struct wait_host *h)
{
	return h->diag;
}

int wait_host_find_peer(struct wait_host *h, const struct wait_peer *peers, size_t n, size_t self,
			const struct peer_question *question)
{
	auto_free const struct identity **targets = xcalloc(n + 1, sizeof(*targets));
	size_t found = 0, n_found;

	if (n > PEERS_MAX_TARGETS)
		n = PEERS_MAX_TARGETS;
	if (self >= n)
		return -ENOENT;
	for (size_t i = 0; i < n; i++)
		targets[i] = &peers[i].target->id;
	/* Looking at the others can block; who comes meanwhile does without. */
	if (pthread_mutex_trylock(&h->lock) != 0)
		return -EBUSY;
	n_found = peers_find(h->peers, targets, n, self, question, clock_monotonic_ns(), &found, 1);
	pthread_mutex_unlock(&h->lock);
	return n_found ? (int)found : -ENOENT;
}
