/* SPDX-License-Identifier: BSD-3-Clause */
/* What the daemon says of itself: to `trackexec status`, and to the service manager. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control_protocol.h"
#include "common/json.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/collector_private.h"
#include "recorder/notify.h"
#include "recorder/status.h"

static enum status_session_state state_of(const struct session_status *s)
{
	switch (s->state) {
	case SESSION_RECORDING:
		return STATUS_SESSION_RECORDING;
	case SESSION_WAITING:
		return STATUS_SESSION_WAITING;
	case SESSION_ENDING:
	case SESSION_OVER:
		return STATUS_SESSION_ENDING;
	case SESSION_STARTING:
	case SESSION_ATTACHING:
		break;
	}
	return STATUS_SESSION_STARTING;
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static void describe_session(const struct recorded *r, struct status_session *ret)
{
	struct session_status s;

	session_get_status(r->session, &s);
	*ret = (struct status_session){
	    .name = s.name,
	    .run = or_null(s.run),
	    .pid = s.pid,
	    .title = s.title,
	    .python = or_null(s.python),
	    .state = state_of(&s),
	    .since_unix_s = s.since_realtime_ns / (int64_t)NS_PER_S,
	    .rate_asked_hz = s.rate_asked_hz,
	    .rate_allowed_hz = s.rate_allowed_hz,
	    .rate_hz = s.rate_hz,
	    .snapshots = s.totals.snapshots,
	    .cut = s.totals.cut,
	    .dropped = s.totals.dropped,
	    .transitions = s.totals.transitions,
	    .bytes = s.totals.bytes,
	    .gaps = s.totals.gaps,
	    .has_shim = s.has_shim,
	    .sections = s.totals.sections,
	    .section_lost = s.totals.section_lost,
	    .cpu_percent = r->cpu_percent,
	    .worker_pid = s.worker_pid,
	    .restarts = s.n_restarts,
	    .edges = s.state == SESSION_RECORDING ? edge_source_name(s.edges) : NULL,
	    .mode = sampling_mode_name(s.is_exact ? SAMPLING_EXACT : SAMPLING_OBSERVED),
	    .is_exact_wanted = s.is_exact_wanted,
	    .is_exact_through_shim = s.is_exact_through_shim,
	    .exact_until_unix_s = s.exact_until_ns / (int64_t)NS_PER_S,
	    .exact_error = or_null(s.exact_error),
	    .lines = s.totals.lines,
	    .lines_lost = s.totals.lines_lost,
	    .last_error = or_null(s.error),
	};
}

/* Resident memory of a process, 0 when it can't be read. Does not block: not its mappings. */
static uint64_t rss_of(pid_t pid)
{
	auto_free char *path = xasprintf("/proc/%d/statm", (int)pid);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[128], *resident;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	/* "size resident shared ...", in pages */
	resident = strchr(text, ' ');
	return resident ? strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static double cpu_percent(const struct collector *c)
{
	unsigned n = c->n_ticks < CPU_TICKS ? c->n_ticks : CPU_TICKS;
	double sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += c->cpu_percent[i];
	return n ? sum / n : (double)NAN;
}

static void describe(const struct collector *c, struct status *ret)
{
	struct discover_status discovery;
	struct storage_status disk;

	discover_get_status(c->discover, &discovery);
	storage_get_status(c->storage, &disk);
	*ret = (struct status){
	    .version = TRACKEXEC_VERSION,
	    .pid = getpid(),
	    .since_unix_s = c->since_ns / (int64_t)NS_PER_S,
	    .root = c->options.root ? c->options.root : c->config->root,
	    .root_state = c->root_fd >= 0 ? STATUS_ROOT_PRESENT
			  : c->root_why	  ? STATUS_ROOT_REFUSED
					  : STATUS_ROOT_ABSENT,
	    .root_why = c->root_why,
	    .events_error = discovery.events_error,
	    .rate_asked_hz = c->config->rate_hz,
	    .cpu_budget_percent = c->config->cpu_budget_percent,
	    .cpu_percent = cpu_percent(c),
	    .rss_bytes = rss_of(getpid()),
	    .is_disk_known = disk.is_known,
	    .disk_use_bytes = disk.use_bytes,
	    .max_use_bytes = c->config->max_use_bytes,
	    .free_bytes = disk.free_bytes,
	    .keep_free_bytes = c->config->keep_free_bytes,
	    .is_growth_stopped = !disk.may_grow,
	};
}

static void write_status(const struct collector *c, FILE *answer)
{
	auto_free struct status_session *sessions = xcalloc(c->n_recorded + 1, sizeof(sessions[0]));
	auto_free struct status_refused *refused = xcalloc(c->n_refused + 1, sizeof(refused[0]));
	struct status status;

	describe(c, &status);
	for (size_t i = 0; i < c->n_recorded; i++) {
		describe_session(&c->recorded[i], &sessions[i]);
		status.rss_bytes += sessions[i].worker_pid ? rss_of(sessions[i].worker_pid) : 0;
	}
	for (size_t i = 0; i < c->n_refused; i++)
		refused[i] = (struct status_refused){
		    .pid = c->refused[i].pid,
		    .uid = c->refused[i].uid,
		    .title = c->refused[i].title,
		    .reason = c->refused[i].reason,
		};
	status.sessions = sessions;
	status.n_sessions = c->n_recorded;
	status.refused = refused;
	status.n_refused = c->n_refused;
	status_write_json(&status, answer);
}

/* --- requests --- */

static void answer_text(FILE *answer, const char *key, const char *text)
{
	struct json_writer j;

	json_begin(&j, answer);
	json_string(&j, "version", TRACKEXEC_VERSION);
	json_string(&j, key, text);
	json_end(&j);
}

/* By the name of its folder, or by process id. NULL: none, or (*ret_several) more than one. */
static struct session *find_session(const struct collector *c, const char *name, bool *ret_several)
{
	struct session *found = NULL;

	*ret_several = false;
	for (size_t i = 0; i < c->n_recorded; i++) {
		struct session_status s;
		char pid[16];

		session_get_status(c->recorded[i].session, &s);
		snprintf(pid, sizeof(pid), "%d", (int)s.pid);
		if (s.state >= SESSION_ENDING ||
		    (strcmp(s.name, name) != 0 && strcmp(pid, name) != 0))
			continue;
		*ret_several |= found != NULL;
		found = c->recorded[i].session;
	}
	return *ret_several ? NULL : found;
}

/* "on NAME", "off NAME", "for 30s NAME" */
static void set_exact(struct collector *c, const char *words, FILE *answer)
{
	auto_free char *copy = xstrdup(words);
	uint64_t duration_ns = 0;
	char *rest = copy, *verb = strsep(&rest, " ");
	const char *time = rest && strcmp(verb, "for") == 0 ? strsep(&rest, " ") : NULL;
	struct session *s;
	bool several;

	if (!rest || !*rest || (strcmp(verb, "on") != 0 && strcmp(verb, "off") != 0 && !time) ||
	    (time && (parse_duration(time, &duration_ns) < 0 || !duration_ns))) {
		answer_text(answer, "error", "not a request: exact on|off|for TIME NAME");
		return;
	}
	s = find_session(c, rest, &several);
	if (!s) {
		answer_text(answer, "error",
			    several ? "more than one recorded process has this name: give its "
				      "process id"
				    : "no recorded process has this name");
		return;
	}
	session_set_exact(s, strcmp(verb, "off") != 0, duration_ns);
	answer_text(answer, "exact", verb);
}

int collector_on_request(void *ctx, const char *request, FILE *answer)
{
	if (strncmp(request, CONTROL_REQUEST_EXACT " ", strlen(CONTROL_REQUEST_EXACT) + 1) == 0) {
		set_exact(ctx, request + strlen(CONTROL_REQUEST_EXACT) + 1, answer);
		return 0;
	}
	if (strcmp(request, CONTROL_REQUEST_STATUS) != 0)
		return -EOPNOTSUPP;
	write_status(ctx, answer);
	return 0;
}

void collector_tell_status(struct collector *c)
{
	char use[UNITS_MAX] = "-", most[UNITS_MAX];
	struct storage_status disk;
	size_t n = 0;

	if (c->root_fd < 0) {
		notify_status("waiting for %s",
			      c->options.root ? c->options.root : c->config->root);
		return;
	}
	for (size_t i = 0; i < c->n_recorded; i++) {
		struct session_status s;

		session_get_status(c->recorded[i].session, &s);
		n += s.state == SESSION_RECORDING;
	}
	storage_get_status(c->storage, &disk);
	if (disk.is_known)
		format_bytes(disk.use_bytes, use);
	format_bytes(c->config->max_use_bytes, most);
	notify_status("recording %zu process%s, %.1f %% CPU of %.1f %%, %s of %s%s", n,
		      n == 1 ? "" : "es", cpu_percent(c), c->config->cpu_budget_percent, use, most,
		      disk.may_grow ? "" : ", disk full: not growing");
}
