/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose fault: which other target is at the other end of what a thread waits for. For the half of
 * the recorder that may read all targets' descriptors; in helper threads, since that can block
 * (see recorder/look.h), but only in one at a time.
 */
#ifndef RECORDER_ONCPU_PEERS_H
#define RECORDER_ONCPU_PEERS_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/oncpu/peer_question.h"
#include "recorder/target/identity.h"

struct peers;

/* So many descriptors of a target are looked at, and so many targets. */
#define PEERS_MAX_FDS	  4096
#define PEERS_MAX_TARGETS 256
/* What is known of a target's descriptors is read anew after so long. */
#define PEERS_MAX_AGE_NS UINT64_C(1000000000)

struct peers *peers_new(void);
void peers_free(struct peers *p);

/*
 * Find the other targets that have the other end.
 * @targets, @n  all of them, at most PEERS_MAX_TARGETS; lent for this call
 * @self         the one that waits, an index
 * @now_ns       monotonic
 * @question     foreign, so all of it may be wrong
 * @ret, @max    indexes of those found, the likeliest first: who can do nothing but what is waited
 *               for comes before who has both ends of a pipe
 * Returns how many, 0 when none of them has it or that can't be told: also when it was opened less
 * than PEERS_MAX_AGE_NS ago, or addresses were searched for too lately (NET_CACHE_PAUSE); so ask
 * again while the wait goes on. That a target can't be read (any more) is no error; it has nothing
 * then.
 */
size_t peers_find(struct peers *p, const struct identity *const *targets, size_t n, size_t self,
		  const struct peer_question *question, uint64_t now_ns, size_t *ret, size_t max);

#endif
