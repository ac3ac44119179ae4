/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is recorded, and how often each is looked at. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "recorder/collector_private.h"
#include "recorder/oncpu/edge_choice.h"
#include "recorder/target/identity.h"
#include "recorder/wait_host.h"

/* --- who is not --- */

static void refused_done(struct refused *r)
{
	free(r->title);
	free(r->reason);
}

void collector_forget_refused(struct collector *c)
{
	for (size_t i = 0; i < c->n_refused; i++)
		refused_done(&c->refused[i]);
	c->n_refused = 0;
}

/* Those that have ended; a number that is in use again stays until there are many. */
static void forget_ended(struct collector *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n_refused; i++) {
		if (kill(c->refused[i].pid, 0) < 0 && errno == ESRCH)
			refused_done(&c->refused[i]);
		else
			c->refused[kept++] = c->refused[i];
	}
	c->n_refused = kept;
}

static void forget_refused(struct collector *c, pid_t pid)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n_refused; i++) {
		if (c->refused[i].pid == pid)
			refused_done(&c->refused[i]);
		else
			c->refused[kept++] = c->refused[i];
	}
	c->n_refused = kept;
}

static void refuse(struct collector *c, const struct discover_process *p, const char *reason)
{
	auto_free char *title = text_escape(p->title, p->title_len, "", TEXT_UTF8);

	for (size_t i = 0; i < c->n_refused; i++) {
		struct refused *old = &c->refused[i];

		if (old->pid == p->pid && old->start_ticks == p->start_ticks &&
		    strcmp(old->title, title) == 0 && strcmp(old->reason, reason) == 0)
			return;
	}
	forget_refused(c, p->pid);
	if (c->n_refused == REFUSED_MAX)
		forget_refused(c, c->refused[0].pid);
	log_info("process %d (%s) is not followed: %s", (int)p->pid, title, reason);
	c->refused[c->n_refused++] = (struct refused){
	    .pid = p->pid,
	    .start_ticks = p->start_ticks,
	    .uid = p->uids.real,
	    .title = xstrdup(title),
	    .reason = xstrdup(reason),
	};
}

static void on_refused(void *ctx, const struct discover_process *process, const char *reason)
{
	refuse(ctx, process, reason);
}

/* --- who is --- */

static int match(void *ctx, const char *title, size_t len)
{
	const struct collector *c = ctx;
	const struct target_config *target;
	char name[TRACE_NAME_MAX + 1];

	return config_match(c->config, title, len, &target, name, sizeof(name)) != 0;
}

static bool is_user_followed(void *ctx, uid_t uid)
{
	const struct collector *c = ctx;

	for (size_t i = 0; i < c->config->n_targets; i++) {
		if (config_user_is_allowed(&c->config->targets[i], uid))
			return true;
	}
	return false;
}

static bool are_allowed(const struct target_config *target, const struct process_uids *uids)
{
	return config_user_is_allowed(target, uids->real) &&
	       config_user_is_allowed(target, uids->effective) &&
	       config_user_is_allowed(target, uids->saved) &&
	       config_user_is_allowed(target, uids->fs);
}

bool collector_is_allowed(void *ctx, const struct session *s, const struct credentials *c)
{
	const struct collector *collector = ctx;
	const struct target_config *target;
	char name[TRACE_NAME_MAX + 1];
	struct session_status status;

	session_get_status(s, &status);
	if (config_match(collector->config, status.title, strlen(status.title), &target, name,
			 sizeof(name)) != 1)
		return false;
	return config_user_is_allowed(target, c->euid) && config_user_is_allowed(target, c->fsuid);
}

/* The session of a process that has not begun to end. */
static struct recorded *find_process(struct collector *c, const struct discover_process *p)
{
	for (size_t i = 0; i < c->n_recorded; i++) {
		struct session_status status;

		session_get_status(c->recorded[i].session, &status);
		if (status.pid == p->pid && status.start_ticks == p->start_ticks &&
		    status.state < SESSION_ENDING)
			return &c->recorded[i];
	}
	return NULL;
}

static void begin_session(struct collector *c, const struct discover_process *p, const char *name,
			  const struct target_config *target)
{
	struct session_target what = {
	    .pid = p->pid,
	    .start_ticks = p->start_ticks,
	    .parent_pid = p->parent_pid,
	    .title = p->title,
	    .name = name,
	    .follow = target->follow,
	    .packages_text = target->packages_text,
	    .rate_asked_hz = target->rate_hz,
	    .mode = target->mode,
	    .min_wait_ns = c->config->min_wait_ns,
	    .access = c->access,
	    .worker_gid = c->worker_gid,
	};
	struct recorded *r;

	c->recorded =
	    xgrow(c->recorded, &c->cap_recorded, c->n_recorded + 1, sizeof(c->recorded[0]));
	r = &c->recorded[c->n_recorded++];
	*r = (struct recorded){.budget = {.rate_asked_hz = target->rate_hz}};
	r->session = session_new(&c->session_ops, &what);
	session_set_growth(r->session, c->may_grow);
	session_set_rate(r->session, budget_first_rate(target->rate_hz, c->n_recorded,
						       c->config->cpu_budget_percent));
}

static void on_candidate(void *ctx, const struct discover_process *process)
{
	struct collector *c = ctx;
	const struct target_config *target;
	struct recorded *known = find_process(c, process);
	char name[TRACE_NAME_MAX + 1], reason[160];
	struct session_status status;
	int r = config_match(c->config, process->title, process->title_len, &target, name,
			     sizeof(name));

	if (r == 0)
		return;
	if (r < 0) {
		refuse(c, process, "no folder can have the name that its title asks for");
		return;
	}
	if (!are_allowed(target, &process->uids)) {
		snprintf(reason, sizeof(reason),
			 "it runs as user %u, who is not among Users= of its [Target]",
			 (unsigned)process->uids.real);
		if (known)
			session_stop(known->session, "user is not followed any more");
		refuse(c, process, reason);
		return;
	}
	if (known) {
		session_get_status(known->session, &status);
		if (strcmp(status.title, process->title) == 0) {
			session_try_now(known->session);
			return;
		}
		session_stop(known->session, "renamed");
	}
	forget_refused(c, process->pid);
	begin_session(c, process, name, target);
}

static void on_stuck(void *ctx, pid_t pid)
{
	(void)ctx;
	log_warning("process %d cannot be looked at, it hangs in the kernel: left out until it can",
		    (int)pid);
}

const struct discover_callbacks collector_discover_callbacks = {
    .match = match,
    .on_candidate = on_candidate,
    .on_refused = on_refused,
    .on_stuck = on_stuck,
    .is_user_followed = is_user_followed,
};

void collector_stop_all(struct collector *c, const char *reason)
{
	/* A session that is over is only marked as such. */
	for (size_t i = 0; i < c->n_recorded; i++)
		session_stop(c->recorded[i].session, reason);
}

/* Whether a session is what the configuration asks for; users are checked by the scan below. */
static bool goes_on(const struct collector *c, struct recorded *r)
{
	const struct target_config *target;
	char name[TRACE_NAME_MAX + 1];
	struct session_status status;

	session_get_status(r->session, &status);
	if (config_match(c->config, status.title, strlen(status.title), &target, name,
			 sizeof(name)) != 1 ||
	    !session_goes_on(r->session, name, target->follow, target->packages_text,
			     target->rate_hz))
		return false;
	r->budget.rate_asked_hz = target->rate_hz;
	session_set_mode(r->session, target->mode);
	return true;
}

void collector_apply_targets(struct collector *c)
{
	for (size_t i = 0; i < c->n_recorded; i++) {
		if (!goes_on(c, &c->recorded[i]))
			session_stop(c->recorded[i].session, "configuration changed");
	}
	/* What is to be recorded at all, or anew, is found by the scan that follows. */
	collector_forget_refused(c);
	discover_rescan(c->discover);
}

struct recorded *collector_find(struct collector *c, const char *run, const char *trace)
{
	for (size_t i = 0; i < c->n_recorded; i++) {
		struct session_status status;

		session_get_status(c->recorded[i].session, &status);
		if (strcmp(status.run, run) == 0 && strcmp(status.name, trace) == 0 &&
		    status.state < SESSION_OVER)
			return &c->recorded[i];
	}
	return NULL;
}

/* --- how often --- */

/* CPU time of another process, 0 when it is gone. */
static uint64_t cpu_time_of(pid_t pid)
{
	clockid_t clock;

	return pid > 0 && clock_getcpuclockid(pid, &clock) == 0 ? clock_read_ns(clock) : 0;
}

/* What the worker used since the last tick. */
static void measure(struct recorded *r, const struct session_status *status, uint64_t window_ns)
{
	uint64_t cpu_ns = cpu_time_of(status->worker_pid);
	uint64_t used_ns = cpu_ns;

	if (status->worker_pid == r->worker_pid)
		used_ns = cpu_ns > r->cpu_ns ? cpu_ns - r->cpu_ns : 0;
	r->worker_pid = status->worker_pid;
	r->cpu_ns = cpu_ns;
	r->cpu_percent = 100 * (double)used_ns / (double)window_ns;
	/* What exact mode takes was asked for, and no other rate would make it less. */
	r->is_beyond_budget = status->is_exact;
	r->budget.cpu_ns = status->is_exact ? 0 : used_ns;
	r->budget.reached_hz = status->rate_hz;
	r->budget.is_resting = !status->has_totals || status->totals.is_resting || status->is_exact;
	r->budget.rate_hz = status->rate_allowed_hz;
}

static void note_cpu(struct collector *c, uint64_t own_ns, uint64_t window_ns)
{
	double sum = 100 * (double)own_ns / (double)window_ns;

	for (size_t i = 0; i < c->n_recorded; i++) {
		if (!c->recorded[i].is_beyond_budget)
			sum += c->recorded[i].cpu_percent;
	}
	c->cpu_percent[c->n_ticks++ % CPU_TICKS] = sum;
}

/* CPU that all used in the last seconds, for which the budget is to hold together with the next. */
static uint64_t spent_ns(const struct collector *c)
{
	double percent = 0;

	for (unsigned i = 1; i < BUDGET_SPAN_S && i <= c->n_ticks; i++)
		percent += c->cpu_percent[(c->n_ticks - i) % CPU_TICKS];
	return (uint64_t)(percent / 100 * 1e9);
}

/*
 * To tell a worker wakes it up, and what it uses is never as even as that; when its target rests,
 * the rate is of no use before that goes on.
 */
static bool is_worth_telling(const struct budget_target *t, double told_hz)
{
	double less = t->is_resting ? 0.6 : 0.95, more = t->is_resting ? 1.6 : 1.1;

	return t->rate_hz < less * told_hz || t->rate_hz > more * told_hz;
}

void collector_tick(struct collector *c)
{
	auto_free struct budget_target *budget = xcalloc(c->n_recorded + 1, sizeof(*budget));
	double told_hz;
	uint64_t now_ns = clock_monotonic_ns(), own_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
	uint64_t window_ns = now_ns - c->tick_ns, used_ns = own_ns - c->own_cpu_ns;

	c->tick_ns = now_ns;
	c->own_cpu_ns = own_ns;
	for (size_t i = 0; i < c->n_recorded; i++) {
		struct session_status status;

		session_check(c->recorded[i].session);
		session_get_status(c->recorded[i].session, &status);
		measure(&c->recorded[i], &status, window_ns);
		budget[i] = c->recorded[i].budget;
	}
	note_cpu(c, used_ns, window_ns);
	budget_share(budget, c->n_recorded, window_ns, used_ns, spent_ns(c),
		     c->config->cpu_budget_percent);
	for (size_t i = 0; i < c->n_recorded; i++) {
		told_hz = c->recorded[i].budget.rate_hz;
		c->recorded[i].budget = budget[i];
		if (is_worth_telling(&budget[i], told_hz))
			session_set_rate(c->recorded[i].session, budget[i].rate_hz);
	}
	forget_ended(c);
}

void collector_on_inexact(void *ctx, const struct session *s, enum edge_source source, int status)
{
	struct collector *c = ctx;
	char why[512];

	(void)s;
	if (c->is_inexact_told)
		return;
	c->is_inexact_told = true;
	edge_choice_explain(status, why, sizeof(why));
	log_warning("%s: %s",
		    source == EDGES_COARSE
			? "waits are known to some 20 ms only, shorter ones not at all"
			: "waits are not known, since there are no scheduler's figures either",
		    why);
}

size_t collector_list_peers(void *ctx, struct wait_peer **ret)
{
	const struct collector *c = ctx;
	struct wait_peer *peers = xcalloc(c->n_recorded + 1, sizeof(*peers));
	size_t n = 0;

	for (size_t i = 0; i < c->n_recorded; i++)
		n += session_as_peer(c->recorded[i].session, &peers[n]);
	*ret = peers;
	return n;
}
