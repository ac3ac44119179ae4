/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/status.h"

#include <string.h>

#include "common/control_protocol.h"
#include "common/json.h"

/* A byte becomes at most six, as in \ufffd; then there are the keys and the numbers. */
#define JSON_PER_TEXT	 (6 * STATUS_TEXT_MAX)
#define JSON_PER_SESSION (6 * JSON_PER_TEXT + 1800)
#define JSON_PER_REFUSED (2 * JSON_PER_TEXT + 300)
#define JSON_REST	 (3 * JSON_PER_TEXT + 2000)
_Static_assert(STATUS_SESSIONS_MAX *JSON_PER_SESSION + STATUS_REFUSED_MAX * JSON_PER_REFUSED +
		       JSON_REST <=
		   CONTROL_ANSWER_MAX,
	       "a client would not take the largest status");

const char *status_session_state_name(enum status_session_state state)
{
	static const char *const names[] = {
	    [STATUS_SESSION_STARTING] = "starting",
	    [STATUS_SESSION_RECORDING] = "recording",
	    [STATUS_SESSION_WAITING] = "waiting",
	    [STATUS_SESSION_ENDING] = "ending",
	};

	return names[state];
}

static const char *root_state_name(enum status_root state)
{
	static const char *const names[] = {
	    [STATUS_ROOT_ABSENT] = "absent",
	    [STATUS_ROOT_PRESENT] = "present",
	    [STATUS_ROOT_REFUSED] = "refused",
	};

	return names[state];
}

/* Cut between two characters: a continuation byte of UTF-8 is not left without its first one. */
static void put_text(struct json_writer *j, const char *key, const char *text)
{
	char cut[STATUS_TEXT_MAX + 1];
	size_t len = text ? strnlen(text, sizeof(cut)) : 0;

	if (len <= STATUS_TEXT_MAX) {
		json_string(j, key, text);
		return;
	}
	len = STATUS_TEXT_MAX;
	for (int i = 0; i < 3 && ((unsigned char)text[len] & 0xc0) == 0x80; i++)
		len--;
	memcpy(cut, text, len);
	cut[len] = '\0';
	json_string(j, key, cut);
}

/* 0 is a rate, too: of something that does not run. */
static void put_limit_rate(struct json_writer *j, const char *key, double hz)
{
	if (hz > 0)
		json_real(j, key, hz, 1);
	else
		json_null(j, key);
}

static void put_limit_bytes(struct json_writer *j, const char *key, uint64_t bytes)
{
	if (bytes)
		json_count(j, key, bytes);
	else
		json_null(j, key);
}

static void put_known(struct json_writer *j, const char *key, bool is_known, uint64_t bytes)
{
	if (is_known)
		json_count(j, key, bytes);
	else
		json_null(j, key);
}

static void put_session(struct json_writer *j, const struct status_session *s)
{
	json_object(j, NULL);
	put_text(j, "name", s->name);
	put_text(j, "run", s->run);
	json_int(j, "pid", s->pid);
	put_text(j, "title", s->title);
	put_text(j, "python", s->python);
	json_string(j, "state", status_session_state_name(s->state));
	json_int(j, "since_unix_s", s->since_unix_s);
	put_limit_rate(j, "rate_asked_hz", s->rate_asked_hz);
	put_limit_rate(j, "rate_allowed_hz", s->rate_allowed_hz);
	json_real(j, "rate_hz", s->rate_hz, 1);
	json_count(j, "snapshots", s->snapshots);
	json_count(j, "cut", s->cut);
	json_count(j, "dropped", s->dropped);
	json_count(j, "transitions", s->transitions);
	json_count(j, "bytes", s->bytes);
	json_count(j, "gaps", s->gaps);
	json_bool(j, "shim", s->has_shim);
	json_count(j, "sections", s->sections);
	json_count(j, "section_records_lost", s->section_lost);
	json_real(j, "cpu_percent", s->cpu_percent, 2);
	json_string(j, "mode", s->mode);
	json_bool(j, "exact_wanted", s->is_exact_wanted);
	json_bool(j, "exact_through_shim", s->is_exact_through_shim);
	if (s->exact_until_unix_s)
		json_int(j, "exact_until_unix_s", s->exact_until_unix_s);
	else
		json_null(j, "exact_until_unix_s");
	put_text(j, "exact_error", s->exact_error);
	json_count(j, "probe_events", s->lines);
	json_count(j, "probe_events_lost", s->lines_lost);
	if (s->worker_pid)
		json_int(j, "worker_pid", s->worker_pid);
	else
		json_null(j, "worker_pid");
	json_count(j, "restarts", s->restarts);
	json_string(j, "edges", s->edges);
	put_text(j, "last_error", s->last_error);
	json_object_end(j);
}

static void put_refused(struct json_writer *j, const struct status_refused *r)
{
	json_object(j, NULL);
	json_int(j, "pid", r->pid);
	json_count(j, "uid", r->uid);
	put_text(j, "title", r->title);
	put_text(j, "reason", r->reason);
	json_object_end(j);
}

static void put_root(struct json_writer *j, const struct status *s)
{
	json_object(j, "root");
	put_text(j, "path", s->root);
	json_string(j, "state", root_state_name(s->root_state));
	put_text(j, "why", s->root_why);
	json_object_end(j);
}

static void put_disk(struct json_writer *j, const struct status *s)
{
	if (s->root_state != STATUS_ROOT_PRESENT) {
		json_null(j, "disk");
		return;
	}
	json_object(j, "disk");
	put_known(j, "use_bytes", s->is_disk_known, s->disk_use_bytes);
	put_limit_bytes(j, "max_use_bytes", s->max_use_bytes);
	put_known(j, "free_bytes", s->is_disk_known, s->free_bytes);
	put_limit_bytes(j, "keep_free_bytes", s->keep_free_bytes);
	json_bool(j, "growth_stopped", s->is_growth_stopped);
	json_object_end(j);
}

static void put_events(struct json_writer *j, int error)
{
	json_bool(j, "process_events", error == 0);
	json_string(j, "process_events_error", error ? strerror(-error) : NULL);
}

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

void status_write_json(const struct status *s, FILE *out)
{
	size_t n_sessions = at_most(s->n_sessions, STATUS_SESSIONS_MAX);
	size_t n_refused = at_most(s->n_refused, STATUS_REFUSED_MAX);
	struct json_writer j;

	json_begin(&j, out);
	json_bool(&j, "running", true);
	put_text(&j, "version", s->version);
	json_int(&j, "pid", s->pid);
	json_int(&j, "since_unix_s", s->since_unix_s);
	put_root(&j, s);
	put_events(&j, s->events_error);
	put_limit_rate(&j, "rate_asked_hz", s->rate_asked_hz);
	json_real(&j, "cpu_budget_percent", s->cpu_budget_percent, 2);
	json_real(&j, "cpu_percent", s->cpu_percent, 2);
	json_count(&j, "rss_bytes", s->rss_bytes);
	put_disk(&j, s);
	json_array(&j, "sessions");
	for (size_t i = 0; i < n_sessions; i++)
		put_session(&j, &s->sessions[i]);
	json_array_end(&j);
	json_count(&j, "sessions_not_listed", s->n_sessions - n_sessions);
	json_array(&j, "refused");
	for (size_t i = 0; i < n_refused; i++)
		put_refused(&j, &s->refused[i]);
	json_array_end(&j);
	json_count(&j, "refused_not_listed", s->n_refused - n_refused);
	json_end(&j);
}
