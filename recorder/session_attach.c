/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session and its target: hands over what the target is now, answers what the worker asks for,
 * and tries again when there is nothing to read, or not any more.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "recorder/oncpu/edge_handover.h"
#include "recorder/session_private.h"

/* A target that is young, or executes another program, gets ready within this time mostly. */
#define PATIENCE_NS  (2 * NS_PER_S)
#define SOON_MIN_NS  (1 * NS_PER_MS)
#define SOON_MAX_NS  (20 * NS_PER_MS)
#define LATER_MIN_NS (1 * NS_PER_S)
#define LATER_MAX_NS (60 * NS_PER_S)

/* Text from a target: nothing of it may reach a log or a terminal as a command. */
static void keep_text(char *buf, size_t size, const char *text)
{
	auto_free char *escaped = text_escape(text, strlen(text), "", TEXT_UTF8);

	snprintf(buf, size, "%s", escaped);
}

static void try_later(struct session *s)
{
	bool is_soon = clock_monotonic_ns() - s->attach_since_ns < PATIENCE_NS;

	if (!is_soon)
		s->state = SESSION_WAITING;
	session_set_next(s, NEXT_TARGET,
			 is_soon ? session_next_pause(s, SOON_MIN_NS, SOON_MAX_NS)
				 : session_next_pause(s, LATER_MIN_NS, LATER_MAX_NS));
}

/* While it may only be getting ready there is nothing to complain about. */
static bool is_patient(const struct session *s)
{
	return clock_monotonic_ns() - s->attach_since_ns < PATIENCE_NS;
}

static void on_target(struct session *s, struct session_look *look, int result)
{
	struct message m;

	s->look = NULL;
	if (s->state >= SESSION_ENDING || s->worker.pid == 0)
		return;
	if (result == 0 && !s->ops->is_allowed(s->ops->ctx, s, &look->credentials)) {
		session_note_error(
		    s, -EPERM,
		    "it runs as a user whose processes are not followed now (Users= in "
		    "the configuration)");
		try_later(s);
		return;
	}
	if (result < 0) {
		/* Its end is told by its pidfd. */
		if (result != -ESRCH && !is_patient(s))
			session_note_error(s, result, "cannot open its memory: %s",
					   result == -ETIMEDOUT ? "it hangs in the kernel"
								: strerror(-result));
		try_later(s);
		return;
	}
	/* Those of an address space before this one end here. */
	edge_choice_done(&s->edges);
	s->edges = look->edges;
	look->edges = EDGE_CHOICE_NONE;
	/* That it has ended is told by its pidfd. */
	if (s->edges.status < 0 && s->edges.status != -ESRCH && s->ops->on_inexact)
		s->ops->on_inexact(s->ops->ctx, s, s->edges.source, s->edges.status);
	/* A worker that can't take it is noticed by what follows. */
	edge_handover_send(s->worker.sock, &s->edges);
	message_init(&m, MSG_TARGET);
	snprintf(m.text, sizeof(m.text), "%s", look->text);
	snprintf(m.path, sizeof(m.path), "%s", look->path);
	memcpy(m.fds, look->fds, sizeof(look->fds));
	m.n_fds = TARGET_FDS;
	session_send(s, &m); /* the descriptors stay the look's */
	s->awaits_reply = true;
	s->heard_ns = clock_monotonic_ns();
}

void session_attach_again(struct session *s)
{
	struct session_look *look;

	if (s->look || s->waiting || s->awaits_reply)
		return;
	if (s->state != SESSION_WAITING)
		s->state = SESSION_ATTACHING;
	look = session_look_new(s, LOOK_TARGET, s->target);
	look->done = on_target;
	session_submit(s, look);
}

void session_attach(struct session *s)
{
	s->state = SESSION_ATTACHING;
	s->attach_since_ns = clock_monotonic_ns();
	s->pause_ns = 0;
	session_attach_again(s);
}

static void on_attached(struct session *s, const struct message *m)
{
	s->awaits_reply = false;
	if (s->state >= SESSION_ENDING)
		return;
	if (m->status == 0) {
		keep_text(s->python, sizeof(s->python), m->text);
		session_clear_error(s);
		s->n_failures = 0;
		s->pause_ns = 0;
		if (!s->has_trace)
			log_info("%s: recording process %d (CPython %s) to %s/%s", s->name,
				 (int)s->pid, s->python, s->run.name, s->folder.name);
		s->has_trace = true;
		s->state = SESSION_RECORDING;
		session_open_shim(s);
		session_exact_attached(s, m);
		return;
	}
	if (m->status == -EOPNOTSUPP && !is_patient(s)) {
		char found[256];

		keep_text(found, sizeof(found), m->text);
		session_note_error(s, m->status, "it is not a CPython 3.8 to 3.15: found %s",
				   found);
	} else if (!is_patient(s)) {
		session_note_error(s, m->status, "cannot read it: %s",
				   m->status == -EAGAIN ? "its interpreter is not initialised"
							: strerror(-m->status));
	}
	try_later(s);
}

static void answer_file(struct session *s, struct session_look *look, int result)
{
	struct message m;

	s->look = NULL;
	if (s->worker.pid == 0)
		return;
	message_init(&m, MSG_FILE);
	m.status = result;
	if (result == 0) {
		m.fds[0] = look->fds[0];
		m.n_fds = 1;
	}
	session_send(s, &m);
}

static void on_file_wanted(struct session *s, const struct message *m)
{
	struct session_look *look;

	/* It waits for the answer before it asks again. */
	if (s->look || s->waiting) {
		worker_process_kill(&s->worker);
		return;
	}
	look = session_look_new(s, m->type == MSG_WANT_IMAGE ? LOOK_IMAGE : LOOK_SOURCE, s->target);
	look->done = answer_file;
	look->start = m->start;
	look->end = m->end;
	snprintf(look->path, sizeof(look->path), "%s", m->path);
	session_submit(s, look);
}

static void on_progress(struct session *s, const struct message *m)
{
	uint64_t elapsed_ns = m->totals.elapsed_ns - s->totals.elapsed_ns;

	if (s->has_totals && m->totals.elapsed_ns > s->totals.elapsed_ns &&
	    m->totals.snapshots >= s->totals.snapshots)
		s->reached_hz =
		    (double)(m->totals.snapshots - s->totals.snapshots) * 1e9 / (double)elapsed_ns;
	s->totals = m->totals;
	s->has_totals = true;
	if (m->status < 0)
		session_note_error(s, m->status,
				   "its trace cannot be written: %s; what is lost becomes a gap",
				   strerror(-m->status));
	else if (s->state == SESSION_RECORDING)
		session_clear_error(s);
}

static void on_gone(struct session *s)
{
	session_close_shim(s);
	if (s->state != SESSION_RECORDING)
		return;
	session_exact_gone(s);
	session_attach(s);
}

void session_on_message(struct session *s, struct message *m)
{
	/* A worker has no descriptor to give. */
	message_close_fds(m);
	s->heard_ns = clock_monotonic_ns();
	switch (m->type) {
	case MSG_WANT_IMAGE:
	case MSG_WANT_SOURCE:
		on_file_wanted(s, m);
		break;
	case MSG_ATTACHED:
		on_attached(s, m);
		break;
	case MSG_PROGRESS:
		on_progress(s, m);
		break;
	case MSG_GONE:
		on_gone(s);
		break;
	case MSG_DONE:
		/* Its exit follows, and says the rest. */
		if (m->status < 0) {
			char what[256];

			keep_text(what, sizeof(what), m->text);
			/* Of its sandbox the worker says it all. */
			if (strstr(what, strerror(-m->status)))
				session_note_error(s, m->status, "%s", what);
			else
				session_note_error(s, m->status, "%s: %s", what,
						   strerror(-m->status));
		}
		break;
	default:
		break;
	}
}

void session_try_now(struct session *s)
{
	if (s->state == SESSION_WAITING && s->worker.pid)
		session_attach(s);
}
