/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps the storage limits while the collector runs: looks every ten seconds, in a helper thread,
 * for a disk can hang; deletes what is over the limits (retention.h), and says which traces have to
 * get smaller and whether they may grow at all.
 */
#ifndef RECORDER_STORAGE_H
#define RECORDER_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/retention.h"

struct event_base;
struct look_pool;
struct storage;

struct storage_ops {
	/* A trace that is being recorded is to lose so many bytes of its oldest blocks. */
	void (*on_shrink)(void *ctx, const char *run, const char *trace, uint64_t bytes);
	/* Traces must not grow from now on, or may again. Told when it changes. */
	void (*on_growth)(void *ctx, bool may_grow);
	void *ctx;
};

/* @base, @looks, @ops  lent */
struct storage *storage_new(struct event_base *base, struct look_pool *looks,
			    const struct storage_ops *ops);
void storage_free(struct storage *s); /* NULL is accepted */

/*
 * From now on, at once for the first time, and soon again; with another root or other limits as
 * well.
 */
void storage_start(struct storage *s, int root_fd, const struct retention_limits *limits);
/* The root is gone. */
void storage_stop(struct storage *s);

/* From how much on something is deleted: what is written until the next look still fits. */
uint64_t storage_threshold(uint64_t max_use_bytes);

struct storage_status {
	bool is_known; /* the other values are */
	uint64_t use_bytes, free_bytes;
	bool may_grow;
};
void storage_get_status(const struct storage *s, struct storage_status *ret);

#endif
