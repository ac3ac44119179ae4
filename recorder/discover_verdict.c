/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a title that matches to a verdict: the process and its parent are looked at closely, and
 * the owner is told. Also, what becomes of processes that can't be looked at.
 */
#include "recorder/discover_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"

#define LOOK_DEADLINE_NS NS_PER_S
#define LOOKS_AT_ONCE	 4
/* A child that carries its parent's title for less is on its way to exec. */
#define TELL_AFTER_NS (200 * NS_PER_MS)
/* Between looks at a process that can't be looked at. */
#define PAUSE_MIN_NS NS_PER_S
#define PAUSE_MAX_NS (60 * NS_PER_S)

struct close_look {
	struct discover *d; /* not for the helper thread */
	pid_t pid;
	uint64_t serial;
	pid_t avoid;
	_Atomic pid_t at;
	pid_t stuck_pid; /* once it is late */
	uint64_t stuck_serial;
	struct examined seen;
};

uint64_t discover_stuck(struct discover *d, pid_t pid, uint64_t now_ns)
{
	struct suspect *s = suspects_get(&d->suspects, pid, now_ns);
	bool is_new = !s->is_stuck;
	uint64_t serial = s->serial;

	s->n_stuck_looks++;
	s->pause_ns = is_new ? PAUSE_MIN_NS : s->pause_ns * 2;
	if (s->pause_ns > PAUSE_MAX_NS)
		s->pause_ns = PAUSE_MAX_NS;
	s->retry_ns = now_ns + s->pause_ns;
	if (is_new) {
		s->is_stuck = true;
		d->n_stuck_suspects++;
		d->callbacks->on_stuck(d->ctx, pid);
	}
	return serial;
}

void discover_stuck_returned(struct discover *d, pid_t pid, uint64_t serial)
{
	struct suspect *s = suspects_find(&d->suspects, pid);

	if (s && s->serial == serial)
		s->n_stuck_looks--;
}

static void clear_stuck(struct discover *d, struct suspect *s)
{
	d->n_stuck_suspects -= s->is_stuck;
	s->is_stuck = false;
}

void discover_unstuck(struct discover *d, struct suspect *s)
{
	if (!s->is_stuck)
		return;
	clear_stuck(d, s);
	if (s->is_wanted_again && !s->is_examined) {
		s->is_wanted_again = false;
		discover_examine(d, s);
	}
}

bool discover_is_needless(const struct suspect *s)
{
	return s->step == SUSPECT_NO_STEP && !s->is_looked_at && !s->is_waiting &&
	       !s->is_examined && !s->has_failed && !s->is_stuck && s->n_stuck_looks == 0 &&
	       s->verdict == VERDICT_NONE && !s->previous_hash && !s->inherited_hash;
}

void discover_drop(struct discover *d, struct suspect *s)
{
	discover_young_unwatch(d, s);
	clear_stuck(d, s);
	if (s->is_waiting)
		TAILQ_REMOVE(&d->waiting, s, waiting_entry);
	suspects_remove(&d->suspects, s, discover_now_ticks());
}

static int match(struct discover *d, const char *title, size_t len)
{
	char text[PROC_TITLE_MAX + 1];

	if (len == 0)
		return 0;
	memcpy(text, title, len);
	text[len] = '\0';
	return d->callbacks->match(d->ctx, text, len);
}

void discover_on_title(struct discover *d, pid_t pid, const char *title, size_t len, bool is_scan)
{
	bool matches = match(d, title, len) > 0;
	struct suspect *s = suspects_find(&d->suspects, pid);

	/* What was read may be older than what is known by now: a close look decides. */
	if (!matches) {
		if (s && s->verdict != VERDICT_NONE)
			discover_examine(d, s);
		return;
	}
	if (!s)
		s = suspects_get(&d->suspects, pid, clock_monotonic_ns());
	/* What the scan calls new may be another process with the same id. */
	if (is_scan || s->verdict != VERDICT_TARGET || s->title_hash != proc_title_hash(title, len))
		discover_examine(d, s);
}

static void describe(const struct examined *e, char *title, struct discover_process *ret)
{
	memcpy(title, e->title, e->title_len);
	title[e->title_len] = '\0';
	*ret = (struct discover_process){
	    .pid = e->pid,
	    .start_ticks = e->start_ticks,
	    .parent_pid = e->parent_pid,
	    .uids = e->uids,
	    .title = title,
	    .title_len = e->title_len,
	};
}

static void tell_target(struct discover *d, const struct examined *e)
{
	char title[PROC_TITLE_MAX + 1];
	struct discover_process process;

	describe(e, title, &process);
	d->callbacks->on_candidate(d->ctx, &process);
}

static void tell_child(struct discover *d, const struct examined *e)
{
	char title[PROC_TITLE_MAX + 1], reason[128];
	struct discover_process process;

	describe(e, title, &process);
	if (e->parent_title_hash == e->title_hash)
		snprintf(reason, sizeof(reason),
			 "it was forked from process %d and still carries its title",
			 (int)e->parent_pid);
	else
		snprintf(reason, sizeof(reason),
			 "it was forked from another target and still carries its title");
	d->callbacks->on_refused(d->ctx, &process, reason);
}

static void take_verdict(struct suspect *s, const struct examined *e, enum verdict verdict,
			 uint64_t now_ns)
{
	bool is_known = suspect_is_judged(s, e);

	if (s->title_hash != e->title_hash)
		suspect_forget_title(s, discover_now_ticks());
	if (!is_known) {
		s->n_checks = 0;
		s->is_told = false;
		s->child_since_ns = now_ns;
	}
	s->n_checks++;
	s->verdict = verdict;
	s->title_hash = e->title_hash;
	s->start_ticks = e->start_ticks;
	s->stack = e->stack;
}

static void judge(struct discover *d, struct suspect *s, const struct examined *e)
{
	uint64_t now_ns = clock_monotonic_ns();
	enum verdict verdict;
	bool is_known;

	/* Another process with the same id. */
	if (s->start_ticks && s->start_ticks != e->start_ticks) {
		pid_t pid = s->pid;

		discover_drop(d, s);
		s = suspects_get(&d->suspects, pid, now_ns);
	}
	is_known = suspect_is_judged(s, e);
	verdict = suspects_judge(&d->suspects, s, e);
	take_verdict(s, e, verdict, now_ns);
	if (verdict == VERDICT_TARGET && (!is_known || s->is_told_anew)) {
		s->is_told_anew = false;
		tell_target(d, e);
	} else if (verdict == VERDICT_CHILD && !s->is_told &&
		   now_ns - s->child_since_ns >= TELL_AFTER_NS) {
		s->is_told = true;
		tell_child(d, e);
	}
}

static void on_seen(struct discover *d, struct suspect *s, const struct examined *e)
{
	bool is_wanted_again = s->is_wanted_again;

	s->is_wanted_again = false;
	clear_stuck(d, s);
	if (match(d, e->title, e->title_len) > 0)
		judge(d, s, e);
	else
		suspect_forget_title(s, discover_now_ticks());
	/* The owner may have stopped us; and s may be another one by now. */
	if (!d->is_running || !is_wanted_again)
		return;
	s = suspects_find(&d->suspects, e->pid);
	if (s)
		discover_examine(d, s);
}

static void on_late(struct discover *d, struct close_look *look, struct suspect *s)
{
	pid_t at = atomic_load(&look->at);

	look->stuck_pid = at > 0 ? at : look->pid;
	/* If it is the parent, what else is known of it must do. */
	if (s && look->stuck_pid != look->pid) {
		s->avoid = look->stuck_pid;
		discover_examine(d, s);
	} else if (s) {
		s->is_wanted_again = true;
	}
	look->stuck_serial = discover_stuck(d, look->stuck_pid, clock_monotonic_ns());
}

static void on_close_look(void *arg, int result)
{
	struct close_look *look = arg;
	struct discover *d = look->d;
	struct suspect *s = suspects_find(&d->suspects, look->pid);

	d->n_close_looks--;
	if (s && s->serial != look->serial)
		s = NULL;
	if (s)
		s->is_examined = s->has_failed = false;
	if (result == -ETIMEDOUT)
		on_late(d, look, s);
	else if (s && result == -ESRCH)
		discover_drop(d, s);
	else if (s && result < 0)
		s->has_failed = true;
	else if (s)
		on_seen(d, s, &look->seen);
}

static void on_close_look_returned(void *arg)
{
	struct close_look *look = arg;

	discover_stuck_returned(look->d, look->stuck_pid, look->stuck_serial);
}

static int run_close_look(void *arg)
{
	struct close_look *look = arg;
	auto_close int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc_fd < 0)
		return -errno;
	return examine_read(proc_fd, look->pid, look->avoid, &look->at, &look->seen);
}

/* Returns 0 or -EBUSY. */
static int submit(struct discover *d, struct suspect *s)
{
	static const struct look_ops ops = {
	    .run = run_close_look,
	    .done = on_close_look,
	    .returned = on_close_look_returned,
	    .discard = free,
	};
	const struct suspect *avoid = suspects_find(&d->suspects, s->avoid);
	struct close_look *look;
	int r;

	if (d->n_close_looks >= LOOKS_AT_ONCE)
		return -EBUSY;
	look = xcalloc(1, sizeof(*look));
	look->d = d;
	look->pid = s->pid;
	look->serial = s->serial;
	look->avoid = avoid && avoid->is_stuck ? s->avoid : 0;
	r = look_submit(d->pool, &ops, look, clock_monotonic_ns() + LOOK_DEADLINE_NS);
	if (r < 0) {
		free(look);
		return r;
	}
	s->is_examined = true;
	d->n_close_looks++;
	return 0;
}

void discover_examine(struct discover *d, struct suspect *s)
{
	if (s->is_examined) {
		s->is_wanted_again = true;
		return;
	}
	if (s->is_waiting)
		return;
	s->is_waiting = true;
	TAILQ_INSERT_TAIL(&d->waiting, s, waiting_entry);
}

void discover_verdict_pump(struct discover *d)
{
	struct suspect *s;

	while ((s = TAILQ_FIRST(&d->waiting))) {
		if (s->is_stuck)
			s->is_wanted_again = true;
		else if (submit(d, s) < 0)
			return;
		TAILQ_REMOVE(&d->waiting, s, waiting_entry);
		s->is_waiting = false;
	}
}
