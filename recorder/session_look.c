/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/session_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "recorder/latest_link.h"
#include "recorder/target_files.h"

struct held_target *held_target_ref(struct held_target *t)
{
	if (t)
		atomic_fetch_add(&t->refs, 1);
	return t;
}

void held_target_unref(struct held_target *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	identity_close(&t->id);
	free(t);
}

struct session_look *session_look_new(struct session *s, enum session_look_kind kind,
				      struct held_target *target)
{
	struct session_look *look = xcalloc(1, sizeof(*look));

	look->session = s;
	look->kind = kind;
	look->target = held_target_ref(target);
	look->root_fd = -1;
	for (int i = 0; i < TARGET_FDS; i++)
		look->fds[i] = -1;
	look->run = RUN_FOLDER_NONE;
	look->folder = TRACE_FOLDER_NONE;
	return look;
}

void session_look_free(struct session_look *look)
{
	if (!look)
		return;
	for (int i = 0; i < TARGET_FDS; i++)
		close_p(&look->fds[i]);
	close_p(&look->root_fd);
	edge_choice_done(&look->edges);
	trace_folder_close(&look->folder);
	run_folder_close(&look->run);
	held_target_unref(look->target);
	free(look);
}

/* --- in a helper thread --- */

static int hold(struct session_look *look)
{
	struct identity id = IDENTITY_NONE;
	int r = identity_open(look->pid, &id);

	if (r < 0) {
		snprintf(look->text, sizeof(look->text), "cannot look at it");
		return r;
	}
	/* Another process has its number by now. */
	if (id.start_ticks != look->start_ticks) {
		identity_close(&id);
		return -ESRCH;
	}
	look->target = xcalloc(1, sizeof(*look->target));
	look->target->id = id;
	look->target->refs = 1;
	return identity_read_credentials(&look->target->id, &look->credentials);
}

/*
 * The run is that of the daemon, the parent. A process that has none but init (it is a daemon
 * itself, or its parent has gone) is a run by itself.
 */
static uint64_t run_of(const struct session_look *look, pid_t *ret_pid)
{
	auto_identity struct identity parent = IDENTITY_NONE;

	if (look->parent_pid > 1 && identity_open(look->parent_pid, &parent) == 0 &&
	    parent.start_ticks <= look->start_ticks) {
		*ret_pid = look->parent_pid;
		return parent.start_ticks;
	}
	*ret_pid = look->pid;
	return look->start_ticks;
}

static int open_folders(struct session_look *look)
{
	struct process_key run, target;
	uint64_t started;
	int64_t started_s = 0;
	pid_t pid;
	int r;

	started = run_of(look, &pid);
	r = process_key_init(pid, started, &run);
	if (r == 0)
		r = process_key_init(look->pid, look->start_ticks, &target);
	if (r == 0)
		r = process_start_realtime(started, &started_s);
	if (r < 0) {
		snprintf(look->text, sizeof(look->text), "cannot tell when it started");
		return r;
	}
	r = run_folder_open(look->root_fd, &run, started_s, &look->access, &look->run, look->text,
			    sizeof(look->text));
	if (r < 0)
		return r;
	r = run_folder_open_trace(&look->run, look->name, &target, &look->access, &look->folder,
				  look->text, sizeof(look->text));
	if (r < 0)
		return r;
	/* A link that can't be made costs nobody a trace. */
	latest_link_update(look->root_fd, look->run.name, look->run.started_s, look->text,
			   sizeof(look->text));
	return 0;
}

static int open_target(struct session_look *look)
{
	const struct identity *id = &look->target->id;
	int r;

	r = identity_read_credentials(id, &look->credentials);
	if (r == 0)
		r = target_open_memory(id, &look->fds[0], &look->fds[1]);
	if (r < 0)
		return r;
	look->fds[2] = openat(id->proc_fd, "stat", O_RDONLY | O_CLOEXEC);
	if (look->fds[2] < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	look->edges = edge_choice_make(id, EDGE_WISH_AUTO);
	identity_read_command(id, look->text, sizeof(look->text));
	identity_read_executable(id, look->path);
	return 0;
}

static int run(void *arg)
{
	struct session_look *look = arg;
	int r;

	switch (look->kind) {
	case LOOK_OPEN:
		r = hold(look);
		return r < 0 ? r : open_folders(look);
	case LOOK_TARGET:
		return open_target(look);
	case LOOK_IMAGE:
		look->fds[0] = target_open_image(&look->target->id, look->start, look->end);
		break;
	case LOOK_SOURCE:
		look->fds[0] = target_open_source(&look->target->id, look->path);
		break;
	}
	r = look->fds[0];
	if (r < 0)
		look->fds[0] = -1;
	return r < 0 ? r : 0;
}

/* --- in the owner's thread --- */

static void done(void *arg, int result)
{
	struct session_look *look = arg;

	if (look->session)
		look->done(look->session, look, result);
	look->session = NULL;
}

static void discard(void *arg)
{
	session_look_free(arg);
}

int session_look_submit(struct session_look *look, struct look_pool *pool, uint64_t deadline_ns)
{
	static const struct look_ops ops = {.run = run, .done = done, .discard = discard};

	return look_submit(pool, &ops, look, deadline_ns);
}
