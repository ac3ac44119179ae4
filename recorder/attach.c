/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/attach.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "recorder/denial.h"
#include "recorder/exact/line_handover.h"
#include "recorder/oncpu/edge_handover.h"
#include "recorder/oncpu/net_cache.h"
#include "recorder/oncpu/unix_diag.h"
#include "recorder/oncpu/wait_link.h"
#include "recorder/oncpu/wait_source.h"
#include "recorder/progress.h"
#include "recorder/shim_find.h"
#include "recorder/target_files.h"

/* How long a target that executes another program, or that is being set up, may take for it. */
#define PATIENCE_NS (2 * NS_PER_S)
/* A process younger than this may not have loaded its interpreter yet. */
#define YOUNG_NS     (1 * NS_PER_S)
#define RETRY_MIN_NS (1 * NS_PER_MS)
#define RETRY_MAX_NS (20 * NS_PER_MS)

enum phase {
	ATTACHING,   /* no interpreter seen yet, no trace */
	RECORDING,   /* the worker samples */
	REATTACHING, /* the address space that was recorded is gone, the process is not */
	ENDING,	     /* the worker was told to stop */
	OVER,	     /* the worker is done */
};

struct attach {
	const struct attach_config *config;
	const struct identity *target;
	enum phase phase;
	bool awaits_reply; /* to MSG_TARGET */
	bool target_over, command_over;
	bool stopped_by_user;
	bool has_trace;
	bool warned_waiting, warned_disk, told_edges;
	uint64_t retry_at_ns, retry_delay_ns;
	uint64_t give_up_at_ns;
	uint64_t shim_at_ns; /* when its shim is looked for, 0: not any more */
	unsigned n_shim_looks;
	uint64_t end_at_ns;	   /* the duration's end, 0: none */
	int last_status;	   /* of the last try to attach */
	struct edge_choice edges;  /* of what the worker has */
	struct line_events *lines; /* NULL: none */
	int waits_sock;		   /* where the worker asks why a thread waits; -1: nowhere */
	struct socket_sources sockets;
	char found[MESSAGE_TEXT_MAX];
	char python[MESSAGE_TEXT_MAX];
	int status; /* enum exit_status */
	int command_status;
	struct record_totals totals;
	struct progress progress;
};

static int pid_of(const struct attach *a)
{
	return (int)a->target->pid;
}

static void stop(struct attach *a, const char *reason)
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

/* The first failure decides the exit status. */
static void note_failure(struct attach *a, int status)
{
	if (a->status == EXIT_OK)
		a->status = status;
}

/* File names of the target are in it: nothing of them may reach a terminal as a command. */
static void keep_text(char *buf, size_t size, const char *text)
{
	auto_free char *escaped = text_escape(text, strlen(text), "", TEXT_UTF8);

	snprintf(buf, size, "%s", escaped);
}

static void fail_not_allowed(struct attach *a)
{
	struct denial denial;
	char why[512];

	denial_collect(a->target->pid, a->target, &denial);
	denial_explain(&denial, why, sizeof(why));
	log_error("%s", why);
	note_failure(a, EXIT_NOT_ALLOWED);
	stop(a, "not allowed");
}

static void fail_no_python(struct attach *a)
{
	log_error("process %d is not a CPython 3.8 to 3.15: found %s", pid_of(a), a->found);
	note_failure(a, EXIT_NO_PYTHON);
	stop(a, "no Python");
}

/* It was neither refused nor seen as something else, but there was no interpreter in time. */
static void fail_not_ready(struct attach *a)
{
	if (a->last_status == -EAGAIN) {
		log_error("process %d has a CPython loaded that is not initialised: record it "
			  "again once it runs Python code",
			  pid_of(a));
		note_failure(a, EXIT_NO_PYTHON);
	} else {
		log_error("cannot read the memory of process %d: %s", pid_of(a),
			  strerror(-a->last_status));
		note_failure(a, EXIT_FAILED);
	}
	stop(a, "not ready");
}

static void fail_after_exec(struct attach *a)
{
	progress_clear(&a->progress);
	if (a->last_status == -EOPNOTSUPP)
		log_error("process %d executed another program, which is not a CPython 3.8 to "
			  "3.15: found %s; the trace ends there",
			  pid_of(a), a->found);
	else
		log_error("process %d cannot be read any more (%s); the trace ends there",
			  pid_of(a), strerror(-a->last_status));
	note_failure(a, EXIT_FAILED);
	stop(a, "target executed another program");
}

static void fail_ended_early(struct attach *a)
{
	if (a->config->is_command && *a->found)
		log_error("process %d ended before it became a Python that can be recorded (found "
			  "%s): nothing was recorded",
			  pid_of(a), a->found);
	else
		log_error("process %d ended before it could be recorded: nothing was recorded",
			  pid_of(a));
	note_failure(a, a->config->is_command ? EXIT_NO_PYTHON : EXIT_FAILED);
	stop(a, "target exited");
}

static void fail_no_probes(struct attach *a, const char *python)
{
	char version[64];

	keep_text(version, sizeof(version), python);
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
	note_failure(a, EXIT_FAILED);
	stop(a, "no exact mode");
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
	note_failure(a, r == -EACCES || r == -EPERM ? EXIT_NOT_ALLOWED : EXIT_FAILED);
	stop(a, "no exact mode");
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

static void fail_no_edges(struct attach *a, const char *why)
{
	bool is_forbidden = a->edges.status == -EACCES || a->edges.status == -EPERM;

	progress_clear(&a->progress);
	log_error("process %d cannot be recorded with --edges exact: %s", pid_of(a), why);
	note_failure(a, is_forbidden ? EXIT_NOT_ALLOWED : EXIT_FAILED);
	stop(a, "no exact edges");
}

static void tell_edges(struct attach *a, const char *why)
{
	if (a->told_edges)
		return;
	a->told_edges = true;
	if (a->edges.source == EDGES_COARSE)
		log_debug(
		    "process %d: waits are known to some 20 ms only, shorter ones not at all: %s",
		    pid_of(a), why);
	else
		log_debug("process %d: waits are not known, since there are no scheduler's figures "
			  "(schedstat) either: %s",
			  pid_of(a), why);
}

/*
 * Those of an address space before this one end here.
 * Returns whether there is what was asked for.
 */
static bool send_edges(struct attach *a)
{
	char why[512];

	edge_choice_done(&a->edges);
	a->edges = edge_choice_make(a->target, a->config->edges);
	/* Its end is told elsewhere. */
	if (a->edges.status < 0 && a->edges.status != -ESRCH) {
		edge_choice_explain(a->edges.status, why, sizeof(why));
		if (a->config->edges == EDGE_WISH_EXACT) {
			fail_no_edges(a, why);
			return false;
		}
		tell_edges(a, why);
	}
	edge_handover_send(a->config->sock, &a->edges);
	return true;
}

/* Where the worker can ask why a thread waits. */
static void send_waits(struct attach *a)
{
	struct message m;
	int pair[2];

	if (a->waits_sock >= 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	a->waits_sock = pair[0];
	message_init(&m, MSG_WAITS);
	m.fds[0] = pair[1];
	m.n_fds = 1;
	message_send(a->config->sock, &m);
	message_close_fds(&m);
}

static void on_wait_asked(struct attach *a)
{
	struct wait_answer answer;
	struct wait_ask ask;
	int r = wait_link_receive(a->waits_sock, &ask);

	if (r == -EAGAIN)
		return;
	if (r == 0) {
		wait_link_answer(a->target, &a->sockets, &ask, &answer);
		r = wait_link_reply(a->waits_sock, &answer);
	}
	/* It does not ask any more; that costs reasons, not the trace. */
	if (r < 0)
		close_p(&a->waits_sock);
	if (r < 0)
		a->waits_sock = -1;
}

static bool has_shim(const struct attach *a)
{
	uint64_t pid;
	auto_close int fd = shim_find(a->target, &pid);

	return fd >= 0;
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
		if (r == -EACCES || r == -EPERM)
			fail_not_allowed(a);
		else
			retry_later(a, now);
		return;
	}
	m.n_fds = 2;
	send_waits(a);
	if (!send_edges(a)) {
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
		keep_text(a->python, sizeof(a->python), m->text);
	}
	if (a->phase >= ENDING)
		return;
	a->last_status = m->status;
	if (m->status == -EOPNOTSUPP) {
		keep_text(a->found, sizeof(a->found), m->text);
		if (a->phase == ATTACHING && !a->config->is_command && !is_young(a)) {
			fail_no_python(a);
			return;
		}
	}
	if (m->status == -ENOPROTOOPT && !may_load_shim(a, m->text)) {
		fail_no_probes(a, m->text);
		return;
	}
	if (m->status == -ENOPROTOOPT)
		keep_text(a->python, sizeof(a->python), m->text);
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

static void warn_disk(struct attach *a, int status)
{
	if (a->warned_disk)
		return;
	a->warned_disk = true;
	progress_clear(&a->progress);
	log_warning("cannot write to %s: %s; recording goes on, what is lost becomes a gap in the "
		    "trace: make room",
		    a->config->folder, strerror(-status));
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
	note_failure(a, m->status == -EACCES ? EXIT_NOT_ALLOWED : EXIT_FAILED);
}

static void on_worker_lost(struct attach *a)
{
	progress_clear(&a->progress);
	log_error("the recording process ended unexpectedly%s",
		  a->has_trace ? ": the trace holds what was written until then" : "");
	note_failure(a, EXIT_FAILED);
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
			warn_disk(a, m.status);
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
	stop(a, "stopped by user");
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

/* A command may run for long before it becomes a Python, or never become one: say so once. */
static void warn_waiting(struct attach *a)
{
	if (a->warned_waiting)
		return;
	a->warned_waiting = true;
	log_warning("process %d is not a CPython 3.8 to 3.15 yet (found %s): waiting for it to "
		    "execute one",
		    pid_of(a), *a->found ? a->found : "one that is not initialised");
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
			fail_ended_early(a);
		else
			stop(a, "target exited");
	} else if (a->end_at_ns && now >= a->end_at_ns) {
		stop(a, "duration reached");
	} else if (a->phase != RECORDING && now >= a->give_up_at_ns) {
		struct process_stat stat;

		if (identity_read_stat(a->target, &stat) == 0 && process_is_exiting(&stat))
			a->give_up_at_ns = now + PATIENCE_NS; /* its end is on the way */
		else if (a->last_status == -ENOPROTOOPT)
			fail_no_probes(a, a->python);
		else if (a->phase == REATTACHING)
			fail_after_exec(a);
		else if (a->config->is_command)
			warn_waiting(a);
		else if (a->last_status == -EOPNOTSUPP)
			fail_no_python(a);
		else
			fail_not_ready(a);
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
		on_wait_asked(a);
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
		note_failure(a, EXIT_FAILED);
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
