/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a session: folders, a worker, another worker when that dies, the end. What concerns
 * the target is in session_attach.c.
 */
#include "recorder/session.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/session_private.h"
#include "recorder/shim_ring.h"

/* What can block in a look mostly does not take a millisecond. */
#define LOOK_NS	      (2 * NS_PER_S)
#define LOOK_RETRY_NS (20 * NS_PER_MS)
#define RETRY_MIN_NS  (100 * NS_PER_MS)
#define RETRY_MAX_NS  (60 * NS_PER_S)
/* A worker writes the end of a trace; the whole daemon is to end within two seconds. */
#define END_NS (1500 * NS_PER_MS)
/* It says something every second while it records, and answers at once otherwise. */
#define SILENCE_MAX_NS (15 * NS_PER_S)

const char *session_state_name(enum session_state state)
{
	static const char *const names[] = {
	    [SESSION_STARTING] = "starting",   [SESSION_ATTACHING] = "attaching",
	    [SESSION_RECORDING] = "recording", [SESSION_WAITING] = "waiting",
	    [SESSION_ENDING] = "ending",       [SESSION_OVER] = "over",
	};

	return names[state];
}

/* --- errors --- */

void session_note_error(struct session *s, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
	if (s->told == error)
		return;
	s->told = error;
	log_warning("%s: process %d: %s", s->name, (int)s->pid, s->error);
}

void session_clear_error(struct session *s)
{
	if (s->told)
		log_info("%s: process %d: goes on", s->name, (int)s->pid);
	s->told = 0;
	s->error[0] = '\0';
}

/* --- waiting --- */

uint64_t session_next_pause(struct session *s, uint64_t min_ns, uint64_t max_ns)
{
	s->pause_ns *= 2;
	if (s->pause_ns < min_ns)
		s->pause_ns = min_ns;
	if (s->pause_ns > max_ns)
		s->pause_ns = max_ns;
	return s->pause_ns;
}

void session_set_next(struct session *s, enum session_next next, uint64_t pause_ns)
{
	struct timeval pause = {
	    .tv_sec = (time_t)(pause_ns / NS_PER_S),
	    .tv_usec = (suseconds_t)(pause_ns % NS_PER_S / 1000),
	};

	s->next = next;
	if (next == NEXT_NOTHING)
		evtimer_del(s->timer);
	else
		evtimer_add(s->timer, &pause);
}

void session_submit(struct session *s, struct session_look *look)
{
	s->waiting = NULL;
	if (session_look_submit(look, s->ops->looks, clock_monotonic_ns() + LOOK_NS) == 0) {
		s->look = look;
		return;
	}
	/* All threads are busy. */
	s->waiting = look;
	session_set_next(s, NEXT_LOOK, LOOK_RETRY_NS);
}

/* Nobody waits for it any more; its thread, or the session, releases it. */
static void drop_looks(struct session *s)
{
	if (s->look)
		s->look->session = NULL;
	s->look = NULL;
	session_look_free(s->waiting);
	s->waiting = NULL;
}

void session_send(struct session *s, struct message *m)
{
	if (s->worker.sock >= 0 && message_send(s->worker.sock, m) < 0)
		worker_process_kill(&s->worker);
}

/* --- the end --- */

/* A folder in which no trace came to be is taken back. */
static void discard_folder(struct session *s)
{
	if (s->folder.fd < 0 || s->has_trace ||
	    faccessat(s->folder.fd, TRACE_FILE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	unlinkat(s->folder.fd, TARGET_NOTE_NAME, 0);
	unlinkat(s->run.fd, s->folder.name, AT_REMOVEDIR);
}

static void release(struct session *s)
{
	drop_looks(s);
	session_set_next(s, NEXT_NOTHING, 0);
	if (s->on_exit)
		event_free(s->on_exit);
	s->on_exit = NULL;
	edge_choice_done(&s->edges);
	session_exact_done(s);
	session_close_waits(s);
	session_close_shim(s);
	discard_folder(s);
	trace_folder_close(&s->folder);
	run_folder_close(&s->run);
	held_target_unref(s->target);
	s->target = NULL;
}

static void be_over(struct session *s)
{
	if (s->state == SESSION_OVER)
		return;
	release(s);
	s->state = SESSION_OVER;
	s->ops->on_over(s->ops->ctx, s);
}

void session_stop(struct session *s, const char *reason)
{
	struct message m;

	if (s->state >= SESSION_ENDING)
		return;
	if (s->has_trace)
		log_info("%s: process %d: its recording ends: %s", s->name, (int)s->pid, reason);
	s->state = SESSION_ENDING;
	/* What the probes told until now is still read. */
	session_exact_done(s);
	drop_looks(s);
	if (s->worker.pid == 0) {
		be_over(s);
		return;
	}
	message_init(&m, MSG_STOP);
	snprintf(m.text, sizeof(m.text), "%s", reason);
	session_send(s, &m);
	session_set_next(s, NEXT_KILL, END_NS);
}

static void on_target_exit(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	event_del(s->on_exit);
	session_stop(s, "target exited");
}

/* --- the worker --- */

static void drop_worker_events(struct session *s)
{
	if (s->on_message)
		event_free(s->on_message);
	if (s->on_worker_exit)
		event_free(s->on_worker_exit);
	s->on_message = s->on_worker_exit = NULL;
}

static void on_message(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	struct message m;
	int r = message_receive(s->worker.sock, &m);

	(void)fd;
	(void)what;
	if (r == -EAGAIN)
		return;
	if (r < 0) {
		/* It closed its end; that it has exited is seen at its pidfd. */
		event_del(s->on_message);
		if (r == -EPIPE)
			return;
		session_note_error(s, r,
				   "its worker does not make sense and is killed; another one "
				   "goes on with the trace");
		worker_process_kill(&s->worker);
		return;
	}
	session_on_message(s, &m);
}

static void add_counts(struct record_totals *sum, const struct record_totals *part)
{
	sum->snapshots += part->snapshots;
	sum->cut += part->cut;
	sum->dropped += part->dropped;
	sum->transitions += part->transitions;
	sum->gaps += part->gaps;
	sum->sections += part->sections;
	sum->section_lost += part->section_lost;
	sum->lines += part->lines;
	sum->lines_lost += part->lines_lost;
}

/* The next one counts from 0, and its trace has a gap from this one on. */
static void keep_counts(struct session *s)
{
	add_counts(&s->earlier, &s->totals);
	s->earlier.gaps += s->has_trace;
	s->totals = (struct record_totals){0};
	s->has_totals = false;
}

static void on_worker_exit(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	struct message m;

	(void)fd;
	(void)what;
	/* What it said last. */
	while (s->worker.sock >= 0 && message_receive(s->worker.sock, &m) == 0)
		session_on_message(s, &m);
	drop_worker_events(s);
	drop_looks(s);
	session_close_waits(s);
	session_exact_gone(s);
	session_close_shim(s);
	worker_process_done(&s->worker);
	s->awaits_reply = false;
	if (s->state >= SESSION_ENDING) {
		be_over(s);
		return;
	}
	keep_counts(s);
	if (!s->told)
		session_note_error(s, -ECHILD,
				   "its worker ended unexpectedly; another one goes on "
				   "with the trace");
	s->state = SESSION_WAITING;
	s->n_restarts++;
	s->pause_ns = RETRY_MIN_NS << (s->n_failures < 9 ? s->n_failures : 9);
	s->n_failures++;
	session_set_next(s, NEXT_WORKER, s->pause_ns / 2);
}

static int dup_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

/* Names, rights, and how to record. */
static int send_setup(struct session *s)
{
	struct message m;
	int r;

	message_init(&m, MSG_SETUP);
	m.setup = (struct worker_setup){
	    .start_ticks = s->start_ticks,
	    .rate_hz = s->rate_hz,
	    .min_wait_ns = s->min_wait_ns,
	    .pid = s->pid,
	    .follow = (int32_t)s->follow,
	    .uid = s->access.worker_uid,
	    .gid = s->worker_gid,
	    .task = TASK_RECORD,
	};
	snprintf(m.text, sizeof(m.text), "%s", s->name);
	snprintf(m.path, sizeof(m.path), "%s", s->packages_text);
	m.fds[0] = dup_fd(s->folder.fd);
	m.fds[1] = dup_fd(s->folder.lock_fd);
	m.n_fds = 2;
	r = m.fds[0] < 0 ? m.fds[0] : m.fds[1] < 0 ? m.fds[1] : message_send(s->worker.sock, &m);
	for (int i = 0; i < 2; i++)
		close_p(&m.fds[i]);
	return r;
}

static int start_worker(struct session *s)
{
	int r = worker_process_start(s->name, s->access.worker_uid, &s->worker);

	if (r < 0)
		return r;
	s->on_message =
	    event_new(s->ops->base, s->worker.sock, EV_READ | EV_PERSIST, on_message, s);
	s->on_worker_exit = event_new(s->ops->base, s->worker.pidfd, EV_READ, on_worker_exit, s);
	if (!s->on_message || !s->on_worker_exit)
		xalloc_failed();
	event_add(s->on_message, NULL);
	event_add(s->on_worker_exit, NULL);
	s->heard_ns = clock_monotonic_ns();
	r = send_setup(s);
	if (r < 0)
		worker_process_kill(&s->worker);
	else
		session_set_growth(s, s->may_grow);
	session_open_waits(s);
	return r;
}

static void begin_with_worker(struct session *s)
{
	int r = start_worker(s);

	if (r < 0 && s->worker.pid == 0) {
		session_note_error(s, r, "cannot start a worker: %s", strerror(-r));
		session_set_next(s, NEXT_WORKER, session_next_pause(s, RETRY_MIN_NS, RETRY_MAX_NS));
	} else if (r == 0) {
		session_attach(s);
	}
}

/* --- the folders --- */

static void open_folders(struct session *s);

static void take_opened(struct session *s, struct session_look *look)
{
	s->target = held_target_ref(look->target);
	s->run = look->run;
	look->run = RUN_FOLDER_NONE;
	s->folder = look->folder;
	look->folder = TRACE_FOLDER_NONE;
	s->has_trace = s->folder.state == TRACE_FOLDER_CONTINUE;
	s->on_exit = event_new(s->ops->base, s->target->id.pidfd, EV_READ, on_target_exit, s);
	if (!s->on_exit)
		xalloc_failed();
	event_add(s->on_exit, NULL);
}

static void on_opened(struct session *s, struct session_look *look, int result)
{
	s->look = NULL;
	if (s->state >= SESSION_ENDING)
		return;
	if (result == -ESRCH) {
		be_over(s);
		return;
	}
	if (result < 0) {
		/* An earlier worker may still be writing the end. */
		if (result != -EBUSY || s->pause_ns >= NS_PER_S)
			session_note_error(s, result, "%s: %s",
					   *look->text ? look->text : "cannot make its folder",
					   result == -ETIMEDOUT ? "the disk, or the process, hangs"
								: strerror(-result));
		session_set_next(s, NEXT_OPEN, session_next_pause(s, RETRY_MIN_NS, RETRY_MAX_NS));
		return;
	}
	take_opened(s, look);
	/* With the folder, which is taken back. */
	if (!s->ops->is_allowed(s->ops->ctx, s, &look->credentials)) {
		be_over(s);
		return;
	}
	s->pause_ns = 0;
	begin_with_worker(s);
}

static void open_folders(struct session *s)
{
	struct session_look *look = session_look_new(s, LOOK_OPEN, NULL);
	int root_fd = s->ops->get_root(s->ops->ctx);

	look->done = on_opened;
	look->pid = s->pid;
	look->parent_pid = s->parent_pid;
	look->start_ticks = s->start_ticks;
	look->access = s->access;
	snprintf(look->name, sizeof(look->name), "%s", s->name);
	look->root_fd = root_fd < 0 ? -1 : dup_fd(root_fd);
	if (look->root_fd < 0) {
		/* No root: whoever watches it ends this session. */
		look->root_fd = -1;
		session_look_free(look);
		session_set_next(s, NEXT_OPEN, RETRY_MIN_NS);
		return;
	}
	session_submit(s, look);
}

/* --- from outside --- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	enum session_next next = s->next;

	(void)fd;
	(void)what;
	s->next = NEXT_NOTHING;
	switch (next) {
	case NEXT_OPEN:
		open_folders(s);
		break;
	case NEXT_WORKER:
		begin_with_worker(s);
		break;
	case NEXT_TARGET:
		session_attach_again(s);
		break;
	case NEXT_LOOK:
		session_submit(s, s->waiting);
		break;
	case NEXT_KILL:
		log_warning("%s: the worker of process %d does not end: killed", s->name,
			    (int)s->pid);
		worker_process_kill(&s->worker);
		break;
	case NEXT_NOTHING:
		break;
	}
}

struct session *session_new(const struct session_ops *ops, const struct session_target *target)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->ops = ops;
	s->pid = target->pid;
	s->parent_pid = target->parent_pid;
	s->start_ticks = target->start_ticks;
	s->title = xstrdup(target->title);
	snprintf(s->name, sizeof(s->name), "%s", target->name);
	s->follow = target->follow;
	s->packages_text = xstrdup(target->packages_text);
	s->rate_asked_hz = s->rate_hz = target->rate_asked_hz;
	s->mode = target->mode;
	s->exact.is_wanted = s->mode == SAMPLING_EXACT;
	s->min_wait_ns = target->min_wait_ns;
	s->access = target->access;
	s->worker_gid = target->worker_gid;
	s->may_grow = true;
	s->since_ns = (int64_t)clock_realtime_ns();
	s->run = RUN_FOLDER_NONE;
	s->folder = TRACE_FOLDER_NONE;
	s->worker = WORKER_PROCESS_NONE;
	s->waits_sock = -1;
	s->timer = evtimer_new(ops->base, on_timer, s);
	if (!s->timer)
		xalloc_failed();
	open_folders(s);
	return s;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	if (s->state != SESSION_OVER)
		release(s);
	drop_worker_events(s);
	worker_process_done(&s->worker);
	event_free(s->timer);
	free(s->title);
	free(s->packages_text);
	free(s);
}

/* Was the folder removed by hand? Then what is written goes nowhere. */
static bool is_folder_gone(const struct session *s)
{
	struct stat st;

	return s->folder.fd >= 0 && fstat(s->folder.fd, &st) == 0 && st.st_nlink == 0;
}

void session_check(struct session *s)
{
	if (s->state >= SESSION_ENDING)
		return;
	if (s->worker.pid && (s->state == SESSION_RECORDING || s->awaits_reply) &&
	    clock_monotonic_ns() - s->heard_ns > SILENCE_MAX_NS) {
		session_note_error(s, -ETIMEDOUT, "its worker hangs and is killed");
		worker_process_kill(&s->worker);
	}
	if (is_folder_gone(s)) {
		log_info("%s: the folder of process %d was removed; its trace ends", s->name,
			 (int)s->pid);
		session_stop(s, "folder removed");
	}
}

bool session_goes_on(struct session *s, const char *name, enum follow_mode follow,
		     const char *packages_text, double rate_asked_hz)
{
	if (strcmp(s->name, name) != 0 || s->follow != follow ||
	    strcmp(s->packages_text, packages_text) != 0)
		return false;
	s->rate_asked_hz = rate_asked_hz;
	return true;
}

void session_set_rate(struct session *s, double rate_hz)
{
	struct message m;

	if (s->rate_hz == rate_hz)
		return;
	s->rate_hz = rate_hz;
	message_init(&m, MSG_RATE);
	m.setup.rate_hz = rate_hz;
	session_send(s, &m);
}

void session_set_growth(struct session *s, bool may_grow)
{
	struct message m;

	s->may_grow = may_grow;
	message_init(&m, MSG_GROWTH);
	m.status = may_grow;
	session_send(s, &m);
}

void session_trim(struct session *s, uint64_t bytes)
{
	struct message m;

	message_init(&m, MSG_TRIM);
	m.start = bytes;
	session_send(s, &m);
}

/* It was asked to tell each line, and said why it does not. */
static bool is_shim_aside(const struct session *s)
{
	return s->exact.is_through_shim && s->has_totals && s->totals.shim_state == SHIM_ASIDE;
}

void session_get_status(const struct session *s, struct session_status *ret)
{
	*ret = (struct session_status){
	    .state = s->state,
	    .pid = s->pid,
	    .worker_pid = s->worker.pid,
	    .start_ticks = s->start_ticks,
	    .name = s->folder.fd >= 0 ? s->folder.name : s->name,
	    .run = s->run.fd >= 0 ? s->run.name : "",
	    .title = s->title,
	    .python = s->python,
	    .since_realtime_ns = s->since_ns,
	    .rate_asked_hz = s->rate_asked_hz,
	    .rate_allowed_hz = s->rate_hz,
	    .rate_hz = s->reached_hz,
	    .totals = s->totals,
	    .has_totals = s->has_totals,
	    .n_restarts = s->n_restarts,
	    .edges = s->edges.source,
	    .is_exact_wanted = s->exact.is_wanted,
	    .is_exact = (s->exact.is_through_shim && !is_shim_aside(s)) ||
			(s->exact.events && s->has_totals && s->totals.is_exact),
	    .is_exact_through_shim = s->exact.is_through_shim,
	    .exact_until_ns = s->exact.until_ns,
	    .exact_error =
		is_shim_aside(s)
		    ? "its shim has stepped aside, for a debugger or another tracer in the "
		      "process: of sections it tells begin and end only"
		    : s->exact.error,
	    .has_shim = s->has_shim,
	    .error = s->error,
	};
	add_counts(&ret->totals, &s->earlier);
}
