/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/status_now.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/text.h"
#include "common/trace_folder.h"
#include "common/xalloc.h"
#include "reader/json_value.h"
#include "reader/now.h"
#include "reader/trace.h"

DEFINE_CLEANUP(struct trace *, trace_close)

/* Threads of a session that are shown; a program with more has mostly idle ones. */
#define THREADS_SHOWN 8

struct session {
	const char *run, *name; /* lent */
	struct trace *trace;
	struct now now;
};

/* Returns whether there is anything to tell. */
static bool session_open(struct json_value *status, struct json_value *session, struct session *ret)
{
	const char *root = json_value_text(json_value_member(status, "root"), "path");
	const char *run = json_value_text(session, "run"), *name = json_value_text(session, "name");
	auto_release(trace_close) struct trace *t = NULL;
	auto_free char *path = NULL;
	char why[512];

	if (!root || !run || !name || !folder_name_is_run(run) || !folder_name_is_trace(name))
		return false;
	path = xasprintf("%s/%s/%s", root, run, name);
	if (trace_open(path, &t, why, sizeof(why)) < 0)
		return false;
	if ((int64_t)(clock_realtime_ns() / NS_PER_S) - trace_last_written_s(t) > NOW_FRESH_S)
		return false;
	*ret = (struct session){.run = run, .name = name};
	now_read(t, &ret->now);
	ret->trace = steal_ptr(t);
	return true;
}

static void session_close(struct session *s)
{
	now_done(&s->now);
	trace_close(s->trace);
}

void status_now_print(struct json_value *status, size_t width)
{
	struct json_value *sessions = json_value_member(status, "sessions"), *value;
	bool is_first = true;

	for (size_t i = 0; (value = json_value_item(sessions, i)); i++) {
		struct session s;

		if (!session_open(status, value, &s))
			continue;
		if (s.now.n) {
			auto_free char *name =
			    text_escape(s.name, strlen(s.name), "", text_locale_charset());

			printf("%s%s:\n", is_first ? "\n" : "", name);
			is_first = false;
			now_print(s.trace, &s.now, "  ", THREADS_SHOWN, width);
		}
		session_close(&s);
	}
}

static void session_json(const struct session *s, struct json_writer *j)
{
	for (size_t i = 0; i < s->now.n; i++) {
		json_object(j, NULL);
		json_string(j, "run", s->run);
		json_string(j, "name", s->name);
		now_json_thread(s->trace, &s->now.threads[i], j);
		json_object_end(j);
	}
}

void status_now_json(struct json_value *status, const char *text, size_t len)
{
	struct json_value *sessions = json_value_member(status, "sessions"), *value;
	/* As if all that is in the object already had been written by this one. */
	struct json_writer j = {.out = stdout, .n_members = {1}};

	/* Behind the object's bracket there is nothing but blanks. */
	while (len > 0 && text[len - 1] != '}')
		len--;
	if (len == 0 || !sessions) {
		fputs(text, stdout);
		return;
	}
	len--;
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		len--;
	fwrite(text, 1, len, stdout);
	json_array(&j, "now");
	for (size_t i = 0; (value = json_value_item(sessions, i)); i++) {
		struct session s;

		if (!session_open(status, value, &s))
			continue;
		session_json(&s, &j);
		session_close(&s);
	}
	json_array_end(&j);
	json_end(&j);
}
