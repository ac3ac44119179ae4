/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/attach_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "recorder/exact/line_handover.h"
#include "recorder/oncpu/net_cache.h"
#include "recorder/oncpu/unix_diag.h"
#include "recorder/shim_find.h"
#include "recorder/target_files.h"

/* How long a target that executes another program, or that is being set up, may take for it. */
#define PATIENCE_NS (2 * NS_PER_S)
/* A process younger than this may not have loaded its interpreter yet. */
#define YOUNG_NS     (1 * NS_PER_S)
#define RETRY_MIN_NS (1 * NS_PER_MS)
#define RETRY_MAX_NS (20 * NS_PER_MS)

void attach_stop(struct attach *a, const char *reason)
{
	struct message m;

	if (a->phase >= ENDING)
		return;
	/* What the probes told until now is still read. */
	line_events_free(a->lines);
	a->lines = NULL;
	message_init(&m, MSG_STOP);
	snprintf(m.text, sizeof(m.text), "%s", reason);
	message_send(a->config->sock, &m);
	a->phase = ENDING;
}

void attach_keep_text(char *buf, size_t size, const char *text)
{
	auto_free char *escaped = text_escape(text, strlen(text), "", TEXT_UTF8);

	snprintf(buf, size, "%s", escaped);
}

static void fail_no_probes(struct attach *a, const char *python)
{
	char version[64];

	attach_keep_text(version, sizeof(version), python);
	progress_clear(&a->progress);
	log_error("process %d cannot be recorded with --mode exact: its interpreter (CPython %s) "
		  "was built without the probe python:line, which only CPython 3.8 to 3.11 built "
		  "--with-dtrace have (Debian's do)%s",
		  pid_of(a), version,
		  shim_tells_lines(python)
		      ? ", and there is no shim in it that could tell each line instead: let it "
			"import the shim and call record(), or record it with --mode sample"
		      : ". Record it with --mode sample, and load the shim in it for sections in "
			"which each line counts");
	attach_note_failure(a, EXIT_FAILED);
	attach_stop(a, "no exact mode");
}

/* A program that has just begun may load a shim. */
static bool may_load_shim(const struct attach *a, const char *python)
{
	return shim_tells_lines(python) && (a->config->is_command || a->phase == REATTACHING);
}

/* There are no probes: the shim tells each line. */
static void open_shim_lines(struct attach *a)
{
	struct message m;

	shim_ask_for_lines(&m, true);
	message_send(a->config->sock, &m);
	progress_clear(&a->progress);
	log_info("process %d: exact mode goes through its shim, from the next section on that it "
		 "opens: its interpreter (CPython %s) has no probe python:line",
		 pid_of(a), a->python);
}

/* The interpreter's probes begin to tell each line. */
static void open_lines(struct attach *a, const struct line_request *request)
{
	char why[512];
	int r;

	line_events_free(a->lines);
	a->lines = NULL;
	r = line_events_open(a->target, request, &a->lines);
	if (r == 0)
		r = line_handover_send(a->config->sock, a->lines);
	if (r == 0 && !line_events_are_inherited(a->lines))
		log_warning("process %d: threads that it starts from now on are only looked "
			    "at: " LINE_EVENTS_LACK,
			    pid_of(a));
	if (r == 0 || r == -ESRCH) /* its end is told elsewhere */
		return;
	line_events_explain(r, why, sizeof(why));
	progress_clear(&a->progress);
	log_error("process %d cannot be recorded with --mode exact: %s", pid_of(a), why);
	attach_note_failure(a, r == -EACCES || r == -EPERM ? EXIT_NOT_ALLOWED : EXIT_FAILED);
	attach_stop(a, "no exact mode");
}

static void retry_later(struct attach *a, uint64_t now)
{
	a->retry_at_ns = now + a->retry_delay_ns;
	a->retry_delay_ns *= 2;
	if (a->retry_delay_ns > RETRY_MAX_NS)
		a->retry_delay_ns = RETRY_MAX_NS;
}

static bool is_young(const struct attach *a)
{
	uint64_t now = clock_read_ns(CLOCK_BOOTTIME);
	uint64_t start = a->target->start_ticks * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));

	return start + YOUNG_NS > now;
}

static bool has_shim(const struct attach *a)
{
	uint64_t pid;
	auto_close int fd = shim_find(a->target, &pid);

	return fd >= 0;
}

/* Then its files in /proc belong to root already. */
static bool is_ending(const struct attach *a)
{
	struct process_stat stat;

	return identity_read_stat(a->target, &stat) < 0 || process_is_exiting(&stat);
}

/* Hand over what the target is now. A failure is kept in last_status. */
static void send_target(struct attach *a, uint64_t now)
{
	struct message m;
	int r;

	message_init(&m, MSG_TARGET);
	r = target_open_memory(a->target, &m.fds[0], &m.fds[1]);
	if (r < 0) {
		a->last_status = r;
		if ((r == -EACCES || r == -EPERM) && !is_ending(a))
			attach_fail_not_allowed(a);
		else
			retry_later(a, now);
		return;
	}
	m.n_fds = 2;
	attach_send_waits(a);
	if (!attach_send_edges(a)) {
		message_close_fds(&m);
		return;
	}
	m.start = a->config->is_exact && has_shim(a);
	identity_read_command(a->target, m.text, sizeof(m.text));
	identity_read_executable(a->target, m.path);
	r = message_send(a->config->sock, &m);
	message_close_fds(&m);
	/* A worker that is gone is noticed when its socket is read. */
	a->awaits_reply = r == 0;
	a->retry_at_ns = UINT64_MAX;
}

static void on_attached(struct attach *a, const struct message *m)
{
	uint64_t now = clock_monotonic_ns();

	a->awaits_reply = false;
	if (m->status == 0 && !a->has_trace) {
		a->has_trace = true;
		attach_keep_text(a->python, sizeof(a->python), m->text);
	}
	if (a->phase >= ENDING)
		return;
	a->last_status = m->status;
	if (m->status == -EOPNOTSUPP) {
		attach_keep_text(a->found, sizeof(a->found), m->text);
		if (a->phase == ATTACHING && !a->config->is_command && !is_young(a)) {
			attach_fail_no_python(a);
			return;
		}
	}
	if (m->status == -ENOPROTOOPT && !may_load_shim(a, m->text)) {
		fail_no_probes(a, m->text);
		return;
	}
	if (m->status == -ENOPROTOOPT)
		attach_keep_text(a->python, sizeof(a->python), m->text);
	if (m->status < 0) {
		retry_later(a, now);
		return;
	}
	if (a->config->is_exact && m->lines.n_probes)
		open_lines(a, &m->lines);
	else if (a->config->is_exact)
		open_shim_lines(a);
	if (a->phase >= ENDING)
		return;
	log_debug("process %d: CPython %s, recording to %s", pid_of(a), a->python,
		  a->config->folder);
	if (a->phase == ATTACHING && a->config->duration_ns)
		a->end_at_ns = now + a->config->duration_ns;
	a->phase = RECORDING;
	a->shim_at_ns = now;
	a->n_shim_looks = 0;
}

static void on_gone(struct attach *a, const struct message *m)
{
	uint64_t now = clock_monotonic_ns();

	if (a->phase != RECORDING)
		return;
	a->phase = REATTACHING;
	line_events_free(a->lines);
	a->lines = NULL;
	a->last_status = m->status;
	a->retry_at_ns = now;
	a->retry_delay_ns = RETRY_MIN_NS;
	a->give_up_at_ns = now + PATIENCE_NS;
}

static void answer_file(struct attach *a, int fd)
{
	struct message m;

	message_init(&m, MSG_FILE);
	if (fd >= 0) {
		m.fds[0] = fd;
		m.n_fds = 1;
	} else {
		m.status = fd;
	}
	message_send(a->config->sock, &m);
	message_close_fds(&m);
}

static void on_done(struct attach *a, const struct message *m)
{
	a->phase = OVER;
	a->totals = m->totals;
	if (m->status == 0)
		return;
	progress_clear(&a->progress);
	if (m->status == -ENOSPC || m->status == -EDQUOT)
		log_error("%s in %s: %s; make room, or choose a folder on another disk with "
			  "--output",
			  m->text, a->config->folder, strerror(-m->status));
	else
		log_error("%s in %s: %s", m->text, a->config->folder, strerror(-m->status));
	attach_note_failure(a, m->status == -EACCES ? EXIT_NOT_ALLOWED : EXIT_FAILED);
}

static void on_worker_lost(struct attach *a)
{
	progress_clear(&a->progress);
	log_error("the recording process ended unexpectedly%s",
		  a->has_trace ? ": the trace holds what was written until then" : "");
	attach_note_failure(a, EXIT_FAILED);
	a->phase = OVER;
}

static void on_worker_message(struct attach *a)
{
	struct message m;

	if (message_receive(a->config->sock, &m) < 0) {
		on_worker_lost(a);
		return;
	}
	message_close_fds(&m);
	switch (m.type) {
	case MSG_WANT_IMAGE:
		answer_file(a, target_open_image(a->target, m.start, m.end));
		break;
	case MSG_WANT_SOURCE:
		answer_file(a, target_open_source(a->target, m.path));
		break;
	case MSG_ATTACHED:
		on_attached(a, &m);
		break;
	case MSG_PROGRESS:
		if (m.status < 0)
			attach_warn_disk(a, m.status);
		progress_show(&a->progress, &m.totals);
		break;
	case MSG_GONE:
		on_gone(a, &m);
		break;
	case MSG_DONE:
		on_done(a, &m);
		break;
	default:
		log_debug("message %u from the recording process makes no sense", m.type);
	}
}

static void on_signal(struct attach *a)
{
	struct signalfd_siginfo info;

	if (read(a->config->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	a->stopped_by_user = true;
	attach_stop(a, "stopped by user");
}

static void on_target_over(struct attach *a)
{
	int status;

	a->target_over = true;
	if (!a->config->is_command)
		return;
	while (waitpid(a->target->pid, &status, 0) < 0)
		if (errno != EINTR)
			return;
	a->command_over = true;
	a->command_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void look_for_shim(struct attach *a, uint64_t now)
{
	struct message m;
	int fd;

	message_init(&m, MSG_SHIM);
	fd = shim_find(a->target, &m.start);
	if (fd < 0) {
		a->shim_at_ns = now + shim_find_pause_ns(a->n_shim_looks++);
		return;
	}
	a->shim_at_ns = 0;
	m.fds[0] = fd;
	m.n_fds = 1;
	message_send(a->config->sock, &m);
	message_close_fds(&m);
}

/* What follows from the present time and from what is known by now. */
static void decide(struct attach *a, uint64_t now)
{
	if (a->phase >= ENDING || a->awaits_reply)
		return;
	if (a->target_over) {
		if (a->phase == ATTACHING)
			attach_fail_ended_early(a);
		else
			attach_stop(a, "target exited");
	} else if (a->end_at_ns && now >= a->end_at_ns) {
		attach_stop(a, "duration reached");
	} else if (a->phase != RECORDING && now >= a->give_up_at_ns) {
		struct process_stat stat;

		if (identity_read_stat(a->target, &stat) == 0 && process_is_exiting(&stat))
			a->give_up_at_ns = now + PATIENCE_NS; /* its end is on the way */
		else if (a->last_status == -ENOPROTOOPT)
			fail_no_probes(a, a->python);
		else if (a->phase == REATTACHING)
			attach_fail_after_exec(a);
		else if (a->config->is_command)
			attach_warn_waiting(a);
		else if (a->last_status == -EOPNOTSUPP)
			attach_fail_no_python(a);
		else
			attach_fail_not_ready(a);
	}
	if ((a->phase == ATTACHING || a->phase == REATTACHING) && now >= a->retry_at_ns)
		send_target(a, now);
	if (a->phase == RECORDING && a->shim_at_ns && now >= a->shim_at_ns)
		look_for_shim(a, now);
}

static int wait_ms(const struct attach *a, uint64_t now)
{
	uint64_t until = UINT64_MAX;

	if (a->phase < ENDING && !a->awaits_reply) {
		if (a->end_at_ns)
			until = a->end_at_ns;
		if (a->phase != RECORDING && a->retry_at_ns < until)
			until = a->retry_at_ns;
		if (a->phase == RECORDING && a->shim_at_ns && a->shim_at_ns < until)
			until = a->shim_at_ns;
	}
	if (until == UINT64_MAX)
		return -1;
	return until <= now ? 0 : (int)((until - now + NS_PER_MS - 1) / NS_PER_MS);
}

static bool is_finished(const struct attach *a)
{
	return a->phase == OVER && (!a->config->is_command || a->command_over);
}

static void wait_for_events(struct attach *a)
{
	struct pollfd p[] = {
	    {.fd = a->config->signal_fd, .events = POLLIN},
	    {.fd = a->phase == OVER ? -1 : a->config->sock, .events = POLLIN},
	    {.fd = a->target_over ? -1 : a->target->pidfd, .events = POLLIN},
	    {.fd = a->waits_sock, .events = POLLIN},
	};

	if (poll(p, sizeof(p) / sizeof(p[0]), wait_ms(a, clock_monotonic_ns())) <= 0)
		return;
	if (p[0].revents)
		on_signal(a);
	if (p[1].revents)
		on_worker_message(a);
	if (p[3].revents)
		attach_on_wait_asked(a);
	if (p[2].revents)
		on_target_over(a);
}

/* The trace is there before the command ends: say so, the terminal would look stuck otherwise. */
static void report(struct attach *a)
{
	progress_clear(&a->progress);
	if (a->has_trace)
		progress_summary(&a->totals, pid_of(a), a->python, a->config->folder);
	else if (a->stopped_by_user && a->status == EXIT_OK) {
		log_error("stopped before a Python was found in process %d: nothing was recorded",
			  pid_of(a));
		attach_note_failure(a, EXIT_FAILED);
	}
	if (a->config->is_command && !a->command_over)
		log_info("waiting for process %d to end", pid_of(a));
}

static void reap_worker(const struct attach *a)
{
	close(a->config->sock);
	while (waitpid(a->config->worker, NULL, 0) < 0 && errno == EINTR)
		;
}

void attach_run(const struct attach_config *config, struct attach_result *ret)
{
	uint64_t now = clock_monotonic_ns();
	struct attach a = {
	    .config = config,
	    .target = config->target,
	    .retry_at_ns = now,
	    .retry_delay_ns = RETRY_MIN_NS,
	    .give_up_at_ns = now + PATIENCE_NS,
	    .waits_sock = -1,
	    .sockets = {.cache = net_cache_new(), .diag = unix_diag_new(-1)},
	};

	progress_init(&a.progress, config->quiet);
	while (a.phase != OVER) {
		decide(&a, clock_monotonic_ns());
		wait_for_events(&a);
	}
	reap_worker(&a);
	edge_choice_done(&a.edges);
	line_events_free(a.lines);
	net_cache_free(a.sockets.cache);
	unix_diag_free(a.sockets.diag);
	close_p(&a.waits_sock);
	a.waits_sock = -1;
	/* It may have ended a moment ago. */
	if (!a.target_over && identity_has_ended(a.target))
		on_target_over(&a);
	report(&a);
	while (!is_finished(&a))
		wait_for_events(&a);
	ret->has_trace = a.has_trace;
	ret->exit_status = a.command_status ? a.command_status : a.status;
}
