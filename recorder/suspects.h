/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What discovery remembers of single processes: of those that are young, of those whose title is
 * or was that of a target, and of those that can't be looked at; and from that the verdict whether
 * a process with a target's title is one, or only a child that still carries its parent's.
 * Knows nothing of files, timers and threads.
 */
#ifndef RECORDER_SUSPECTS_H
#define RECORDER_SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "recorder/examine.h"

enum verdict {
	VERDICT_NONE, /* its title is no target's, or was not judged yet */
	VERDICT_TARGET,
	VERDICT_CHILD, /* forked from a process whose title it still carries */
};

#define SUSPECT_NO_STEP (-1)

struct suspect {
	pid_t pid;
	uint64_t serial; /* of this record; tells it from an older one with the same process id */
	uint64_t since_ns;

	/* What was judged. */
	enum verdict verdict;
	uint64_t title_hash;
	uint64_t start_ticks; /* 0: not known yet */
	uint64_t stack;
	/* The target's title that it had before, and until when at most. */
	uint64_t previous_hash;
	uint64_t previous_ticks;
	/* The target's title that the process which forked it had then, as far as we saw that. */
	uint64_t inherited_hash;
	uint64_t child_since_ns; /* VERDICT_CHILD: first seen */
	bool is_told;		 /* VERDICT_CHILD: the owner knows */
	bool is_told_anew;	 /* VERDICT_TARGET: the owner has to be told once more */
	unsigned n_checks;	 /* how often it was judged since the title changed */

	/* Looks while it is young. */
	int step;	    /* SUSPECT_NO_STEP: none any more */
	uint64_t due_ns;    /* of the next */
	uint64_t seen_hash; /* title at the last one */
	bool is_queued, is_looked_at, is_restarted;
	TAILQ_ENTRY(suspect) queue_entry;

	/* Close looks. */
	bool is_waiting, is_examined, is_wanted_again;
	bool has_failed; /* for want of descriptors, say: to be tried again */
	pid_t avoid;	 /* a parent that could not be looked at */
	TAILQ_ENTRY(suspect) waiting_entry;

	/* Its title can't be read. */
	bool is_stuck;
	unsigned n_stuck_looks; /* given up and not returned */
	uint64_t pause_ns, retry_ns;

	LIST_ENTRY(suspect) bucket_entry;
	TAILQ_ENTRY(suspect) entry;
};
TAILQ_HEAD(suspect_list, suspect);
LIST_HEAD(suspect_bucket, suspect);

#define SUSPECT_BUCKETS 1024
/* Targets that have ended, the last ones. */
#define SUSPECT_GHOSTS 64

struct ghost {
	uint64_t title_hash, stack, start_ticks, end_ticks;
};

struct suspects {
	struct suspect_list all;
	size_t n;
	uint64_t last_serial;
	struct suspect_bucket buckets[SUSPECT_BUCKETS];
	struct ghost ghosts[SUSPECT_GHOSTS];
	unsigned n_ghosts; /* ever; the newest is at (n_ghosts - 1) % SUSPECT_GHOSTS */
};

void suspects_init(struct suspects *all);
/* The queues of the caller must be empty, or not be used any more. */
void suspects_done(struct suspects *all);

struct suspect *suspects_find(const struct suspects *all, pid_t pid);
/* Find one, or add it. Valid until it is removed. */
struct suspect *suspects_get(struct suspects *all, pid_t pid, uint64_t now_ns);
/* @now_ticks  in clock ticks after boot: a target that ends is remembered with it */
void suspects_remove(struct suspects *all, struct suspect *s, uint64_t now_ticks);

/* What this process's children inherit when they are forked now: 0, or a target's title. */
uint64_t suspect_heritage(const struct suspect *s);

/* Its title is no target's any more, or another one's. */
void suspect_forget_title(struct suspect *s, uint64_t now_ticks);

/* Judge a process whose title is a target's. Changes nothing. */
enum verdict suspects_judge(const struct suspects *all, const struct suspect *s,
			    const struct examined *e);

/* Whether this was judged already, and nothing in it has changed. */
bool suspect_is_judged(const struct suspect *s, const struct examined *e);

#endif
