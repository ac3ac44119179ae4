/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/repair.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/trace_folder.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/handover.h"
#include "recorder/look.h"
#include "recorder/run_folder.h"
#include "recorder/target/identity.h"
#include "recorder/worker_process.h"

#define SEARCH_NS   (60 * NS_PER_S)
#define REPAIR_S    60
#define MAX_REPAIRS 4096

/* A trace to be given its end: its folder, locked. */
struct abandoned {
	int fd, lock_fd;
	char name[2 * FOLDER_NAME_SIZE]; /* "RUN/TRACE" */
};

/* The search for them, in a helper thread. */
struct search {
	struct repair *repair; /* NULL: nobody waits for it */
	int root_fd;	       /* its own */
	struct abandoned *found;
	size_t n, cap;
};

struct repair {
	struct event_base *base;
	struct look_pool *looks;
	uid_t worker_uid;
	gid_t worker_gid;
	struct search *search;
	struct abandoned *todo; /* the last one is next */
	size_t n_todo, n_done;
	struct worker_process worker;
	struct event *on_exit, *on_late;
};

static void abandoned_done(struct abandoned *a)
{
	close_p(&a->fd);
	close_p(&a->lock_fd);
}

/* --- the search --- */

static bool lives(const struct process_key *process)
{
	auto_identity struct identity id = IDENTITY_NONE;
	struct process_key now;

	return process_key_init(process->pid, process->start_ticks, &now) == 0 &&
	       process_key_equal(&now, process) && identity_open(process->pid, &id) == 0 &&
	       id.start_ticks == process->start_ticks;
}

/* A trace that was closed is one file; a -wal is left when its recorder was killed. */
static bool is_without_end(int fd)
{
	return faccessat(fd, TRACE_FILE_NAME "-wal", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	       faccessat(fd, TRACE_FILE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void examine(struct search *s, int run_fd, const char *run, const char *trace)
{
	struct abandoned a = {.fd = folder_open(run_fd, trace), .lock_fd = -1};
	struct folder_note note;

	if (a.fd >= 0 && is_without_end(a.fd) &&
	    folder_note_read(a.fd, TARGET_NOTE_NAME, &note) == 0 && !lives(&note.process))
		a.lock_fd = run_folder_lock(a.fd);
	if (a.lock_fd < 0) {
		a.lock_fd = -1;
		abandoned_done(&a);
		return;
	}
	snprintf(a.name, sizeof(a.name), "%s/%s", run, trace);
	s->found = xgrow(s->found, &s->cap, s->n + 1, sizeof(s->found[0]));
	s->found[s->n++] = a;
}

static int run(void *arg)
{
	struct search *s = arg;
	auto_folder_names struct folder_names runs = {0};
	int r = folder_names_read(s->root_fd, folder_name_is_run, RUNS_MAX, &runs);

	for (size_t i = 0; r == 0 && i < runs.n; i++) {
		auto_close int run_fd = folder_open(s->root_fd, runs.names[i]);
		auto_folder_names struct folder_names traces = {0};

		if (run_fd < 0 ||
		    folder_names_read(run_fd, folder_name_is_trace, TRACES_MAX, &traces) < 0)
			continue;
		for (size_t k = 0; k < traces.n && s->n < MAX_REPAIRS; k++)
			examine(s, run_fd, runs.names[i], traces.names[k]);
	}
	return r;
}

static void discard(void *arg)
{
	struct search *s = arg;

	for (size_t i = 0; i < s->n; i++)
		abandoned_done(&s->found[i]);
	free(s->found);
	close_p(&s->root_fd);
	free(s);
}

/* --- one after the other --- */

static void next(struct repair *r);

static void drop_worker(struct repair *r)
{
	if (r->on_exit)
		event_free(r->on_exit);
	r->on_exit = NULL;
	evtimer_del(r->on_late);
	worker_process_done(&r->worker);
}

static void on_exit_of_worker(evutil_socket_t fd, short what, void *arg)
{
	struct repair *r = arg;
	struct message m;
	int status = -ECHILD;

	(void)fd;
	(void)what;
	while (message_receive(r->worker.sock, &m) == 0) {
		message_close_fds(&m);
		if (m.type == MSG_DONE)
			status = m.status;
	}
	if (status == 0)
		log_info("%s: its recorder was killed; it is complete up to then",
			 r->todo[r->n_todo - 1].name);
	else
		log_warning("%s: cannot be given an end: %s", r->todo[r->n_todo - 1].name,
			    strerror(-status));
	abandoned_done(&r->todo[--r->n_todo]);
	drop_worker(r);
	next(r);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	struct repair *r = arg;

	(void)fd;
	(void)what;
	worker_process_kill(&r->worker);
}

static int start_worker(struct repair *r, const struct abandoned *a)
{
	struct timeval limit = {.tv_sec = REPAIR_S};
	struct message m;
	int result = worker_process_start(a->name, r->worker_uid, &r->worker);

	if (result < 0)
		return result;
	r->on_exit = event_new(r->base, r->worker.pidfd, EV_READ, on_exit_of_worker, r);
	if (!r->on_exit)
		xalloc_failed();
	event_add(r->on_exit, NULL);
	evtimer_add(r->on_late, &limit);
	message_init(&m, MSG_SETUP);
	m.setup.task = TASK_REPAIR;
	m.setup.uid = r->worker_uid;
	m.setup.gid = r->worker_gid;
	m.fds[0] = a->fd;
	m.fds[1] = a->lock_fd;
	m.n_fds = 2;
	if (message_send(r->worker.sock, &m) < 0)
		worker_process_kill(&r->worker);
	return 0;
}

static void next(struct repair *r)
{
	while (r->n_todo) {
		int result = start_worker(r, &r->todo[r->n_todo - 1]);

		if (result == 0)
			return;
		log_warning("%s: cannot start a worker to give it an end: %s",
			    r->todo[r->n_todo - 1].name, strerror(-result));
		abandoned_done(&r->todo[--r->n_todo]);
	}
	free(r->todo);
	r->todo = NULL;
}

static void done(void *arg, int result)
{
	struct search *s = arg;
	struct repair *r = s->repair;

	if (!r)
		return;
	r->search = NULL;
	s->repair = NULL;
	if (result == -ETIMEDOUT)
		return;
	r->todo = s->found;
	s->found = NULL;
	r->n_todo = s->n;
	s->n = 0;
	next(r);
}

struct repair *repair_new(struct event_base *base, struct look_pool *looks, uid_t worker_uid,
			  gid_t worker_gid)
{
	struct repair *r = xcalloc(1, sizeof(*r));

	r->base = base;
	r->looks = looks;
	r->worker_uid = worker_uid;
	r->worker_gid = worker_gid;
	r->worker = WORKER_PROCESS_NONE;
	r->on_late = evtimer_new(base, on_late, r);
	if (!r->on_late)
		xalloc_failed();
	return r;
}

void repair_stop(struct repair *r)
{
	if (r->search)
		r->search->repair = NULL;
	r->search = NULL;
	drop_worker(r);
	while (r->n_todo)
		abandoned_done(&r->todo[--r->n_todo]);
	free(r->todo);
	r->todo = NULL;
}

void repair_free(struct repair *r)
{
	if (!r)
		return;
	repair_stop(r);
	event_free(r->on_late);
	free(r);
}

void repair_start(struct repair *r, int root_fd)
{
	static const struct look_ops ops = {.run = run, .done = done, .discard = discard};
	struct search *s = xcalloc(1, sizeof(*s));

	repair_stop(r);
	s->repair = r;
	s->root_fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	if (s->root_fd < 0 ||
	    look_submit(r->looks, &ops, s, clock_monotonic_ns() + SEARCH_NS) < 0) {
		discard(s);
		return;
	}
	r->search = s;
}
