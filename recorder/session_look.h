/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session looks at of its target and of the disk, in helper threads (look.h): all of it can
 * block as long as the target, or a file system, likes.
 */
#ifndef RECORDER_SESSION_LOOK_H
#define RECORDER_SESSION_LOOK_H

#include <limits.h>
#include <stdint.h>

#include "recorder/handover.h"
#include "recorder/look.h"
#include "recorder/oncpu/edge_choice.h"
#include "recorder/run_folder.h"
#include "recorder/target/identity.h"
#include "recorder/trace_name.h"

struct session;

/* A target held fast, by its session and by looks under way. */
struct held_target {
	struct identity id;
	_Atomic unsigned refs;
};

struct held_target *held_target_ref(struct held_target *t);
void held_target_unref(struct held_target *t); /* NULL is accepted */

enum session_look_kind {
	LOOK_OPEN,   /* hold the process fast, open or make the folders of its trace */
	LOOK_TARGET, /* open what is read of it */
	LOOK_IMAGE,  /* open the file behind a mapping */
	LOOK_SOURCE, /* open a source file */
};

struct session_look {
	struct session *session; /* who waits for it; NULL: nobody any more */
	void (*done)(struct session *s, struct session_look *look, int result);
	enum session_look_kind kind;
	struct held_target *target; /* found by LOOK_OPEN */

	/* For LOOK_OPEN. */
	pid_t pid, parent_pid;
	uint64_t start_ticks;
	int root_fd; /* its own */
	struct folder_access access;
	char name[TRACE_NAME_MAX + 1];
	/* For LOOK_IMAGE. */
	uint64_t start, end;
	/* Of LOOK_SOURCE what to open, from LOOK_TARGET the executable. */
	char path[PATH_MAX];

	/* What came of it; its own until it is taken. */
	int fds[TARGET_FDS];	     /* -1: none */
	struct edge_choice edges;    /* of LOOK_TARGET */
	char text[MESSAGE_TEXT_MAX]; /* the command line, or why it failed */
	struct credentials credentials;
	struct run_folder run;
	struct trace_folder folder;
};

/* An empty look; submit it, or release it with session_look_free(). */
struct session_look *session_look_new(struct session *s, enum session_look_kind kind,
				      struct held_target *target);
void session_look_free(struct session_look *look);

/*
 * Start it; from then on the pool releases it. Returns 0 or -EBUSY.
 * @deadline_ns  on the monotonic clock
 */
int session_look_submit(struct session_look *look, struct look_pool *pool, uint64_t deadline_ns);

#endif
