/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session and exact mode: the interpreter's probes are set when somebody asks for it, and the
 * worker knows the interpreter; again for each program that the target executes; and taken away
 * when the time is over, nobody wants it any more, or the session ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "recorder/exact/line_endings.h"
#include "recorder/exact/line_handover.h"
#include "recorder/session_private.h"
#include "recorder/shim_find.h"

/* Setting a probe takes some milliseconds, for each thread and CPU. */
#define LOOK_NS (10 * NS_PER_S)

struct lines_look {
	struct session *session; /* NULL: nobody waits for it any more */
	struct held_target *target;
	struct line_endings *endings;
	struct line_request request;
	struct line_events *events;
};

static void note_exact_error(struct session *s, const char *text)
{
	snprintf(s->exact.error, sizeof(s->exact.error), "%s", text);
	log_warning("%s: process %d: no exact mode: %s", s->name, (int)s->pid, text);
}

/* --- setting them --- */

static int run(void *arg)
{
	struct lines_look *look = arg;

	return line_events_open(&look->target->id, &look->request, &look->events);
}

static void done(void *arg, int result)
{
	struct lines_look *look = arg;
	struct session *s = look->session;
	char why[256];

	look->session = NULL;
	if (!s)
		return;
	s->exact.look = NULL;
	if (!s->exact.is_wanted || s->state != SESSION_RECORDING)
		return;
	if (result < 0) {
		/* Its end is told elsewhere. */
		if (result == -ESRCH)
			return;
		line_events_explain(result, why, sizeof(why));
		note_exact_error(s, why);
		s->exact.is_wanted = false;
		return;
	}
	s->exact.events = steal_ptr(look->events);
	line_handover_send(s->worker.sock, s->exact.events);
	if (!line_events_are_inherited(s->exact.events))
		log_warning("%s: process %d: threads that it starts from now on are only looked "
			    "at: " LINE_EVENTS_LACK,
			    s->name, (int)s->pid);
	log_info("%s: process %d: exact mode: each line is recorded", s->name, (int)s->pid);
}

/* When nobody took the events, they end. */
static void discard(void *arg)
{
	struct lines_look *look = arg;

	line_endings_add(look->endings, look->events);
	line_endings_unref(look->endings);
	held_target_unref(look->target);
	free(look);
}

static void open_lines(struct session *s)
{
	static const struct look_ops ops = {.run = run, .done = done, .discard = discard};
	struct lines_look *look;

	if (s->exact.look || s->exact.events)
		return;
	look = xcalloc(1, sizeof(*look));
	look->session = s;
	look->target = held_target_ref(s->target);
	look->endings = line_endings_ref(s->ops->line_endings);
	look->request = s->exact.request;
	if (look_submit(s->ops->looks, &ops, look, clock_monotonic_ns() + LOOK_NS) == 0) {
		s->exact.look = look;
		return;
	}
	look->session = NULL;
	discard(look);
	note_exact_error(s, "the collector is too busy: try again");
	s->exact.is_wanted = false;
}

/* Say why this one has no probes. */
static void explain_lack(struct session *s)
{
	char why[256];

	if (s->exact.lack == -ENOENT)
		snprintf(why, sizeof(why),
			 "its interpreter (CPython %s) was built without the probe python:line, "
			 "which only 3.8 to 3.11 built --with-dtrace have; from 3.12 on the shim "
			 "can tell each line: load it there",
			 s->python);
	else
		snprintf(why, sizeof(why),
			 "the probes of its interpreter (CPython %s) are not understood: %s",
			 s->python, strerror(-s->exact.lack));
	note_exact_error(s, why);
}

/* Where there are no probes, a shim that is loaded can tell each line instead. */
static bool has_telling_shim(const struct session *s)
{
	return s->has_shim && shim_tells_lines(s->python);
}

static void ask_shim(struct session *s, bool is_wanted)
{
	struct message m;

	shim_ask_for_lines(&m, is_wanted);
	s->exact.is_through_shim = is_wanted;
	if (s->worker.sock >= 0)
		session_send(s, &m);
	log_info("%s: process %d: %s", s->name, (int)s->pid,
		 is_wanted ? "exact mode: its shim tells each line from the next section on"
			   : "exact mode is over");
}

/* Begin, if all that it takes is there. */
static void begin(struct session *s)
{
	if (!s->exact.is_wanted || s->state != SESSION_RECORDING || s->exact.is_through_shim)
		return;
	if (s->exact.request.n_probes) {
		open_lines(s);
		return;
	}
	if (has_telling_shim(s)) {
		ask_shim(s, true);
		return;
	}
	/* It is being looked for. */
	if (s->shim_timer && !s->has_shim && s->n_shim_looks == 0)
		return;
	explain_lack(s);
	s->exact.is_wanted = false;
}

/* --- taking them away --- */

static void end(struct session *s)
{
	if (s->exact.look)
		s->exact.look->session = NULL;
	s->exact.look = NULL;
	if (s->exact.is_through_shim)
		ask_shim(s, false);
	if (!s->exact.events)
		return;
	line_endings_add(s->ops->line_endings, steal_ptr(s->exact.events));
	if (s->worker.sock >= 0)
		line_handover_send(s->worker.sock, NULL);
	log_info("%s: process %d: exact mode is over", s->name, (int)s->pid);
}

static void on_time_over(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	session_set_exact(s, false, 0);
}

void session_set_exact(struct session *s, bool is_wanted, uint64_t duration_ns)
{
	struct timeval time = {
	    .tv_sec = (time_t)(duration_ns / NS_PER_S),
	    .tv_usec = (suseconds_t)(duration_ns % NS_PER_S / 1000),
	};

	if (!s->exact.timer)
		s->exact.timer = evtimer_new(s->ops->base, on_time_over, s);
	if (!s->exact.timer)
		xalloc_failed();
	evtimer_del(s->exact.timer);
	s->exact.is_wanted = is_wanted && s->state < SESSION_ENDING;
	s->exact.until_ns = 0;
	s->exact.error[0] = '\0';
	if (!s->exact.is_wanted) {
		end(s);
		return;
	}
	if (duration_ns) {
		s->exact.until_ns = (int64_t)(clock_realtime_ns() + duration_ns);
		evtimer_add(s->exact.timer, &time);
	}
	begin(s);
}

void session_set_mode(struct session *s, enum sampling_mode mode)
{
	if (s->mode == mode)
		return;
	s->mode = mode;
	session_set_exact(s, mode == SAMPLING_EXACT, 0);
}

void session_exact_attached(struct session *s, const struct message *m)
{
	s->exact.request = m->lines;
	s->exact.lack = m->end > 0 && m->end < 4096 ? -(int)m->end : -ENOENT;
	begin(s);
}

void session_exact_shim_looked(struct session *s)
{
	/* One that comes later is as good. */
	if (s->mode == SAMPLING_EXACT && has_telling_shim(s) && !s->exact.events)
		s->exact.is_wanted = true;
	if (s->exact.is_wanted && has_telling_shim(s))
		s->exact.error[0] = '\0';
	begin(s);
}

void session_exact_gone(struct session *s)
{
	end(s);
}

void session_exact_done(struct session *s)
{
	s->exact.is_wanted = false;
	end(s);
	if (s->exact.timer)
		event_free(s->exact.timer);
	s->exact.timer = NULL;
}
