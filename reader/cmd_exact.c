/* SPDX-License-Identifier: BSD-3-Clause */
/* trackexec exact: has the collector record each line of a process, for as long as that is wanted.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/control_protocol.h"
#include "common/log.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/json_value.h"
#include "reader/status_client.h"

/* Until the probes are set, or taken away. */
#define PATIENCE_NS (10 * NS_PER_S)
#define PAUSE_NS    (50 * NS_PER_MS)

struct order {
	const char *socket;
	const char *verb; /* on, off, for */
	const char *time; /* of "for" */
	const char *name;
};

static char *shown(const char *text)
{
	return text_escape(text, strlen(text), "", text_locale_charset());
}

static int ask(const char *socket, const char *request, struct json_value **ret)
{
	auto_free char *text = NULL, *path = shown(socket);
	const char *error;
	size_t len = 0;
	int r = status_client_ask(socket, request, &text, &len);

	if (r == -EACCES || r == -EPERM) {
		log_error("not permitted to ask the collector at %s: try as root", path);
		return EXIT_NOT_ALLOWED;
	}
	if (r == -ENOENT || r == -ECONNREFUSED) {
		log_error("the collector does not run: nobody answers at %s; `trackexec record "
			  "--mode exact` needs none",
			  path);
		return EXIT_FAILED;
	}
	if (r < 0) {
		log_error("cannot ask the collector at %s: %s", path, strerror(-r));
		return EXIT_FAILED;
	}
	if (json_value_parse(text, len, ret) < 0 || !json_value_is_object(*ret)) {
		log_error("%s: the answer of the collector is not complete", path);
		return EXIT_FAILED;
	}
	error = json_value_text(*ret, "error");
	if (error) {
		auto_free char *why = shown(error);

		log_error("%s", why);
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

/* The session of this name or process id, lent, or NULL. */
static struct json_value *find_session(struct json_value *status, const char *name)
{
	struct json_value *sessions = json_value_member(status, "sessions"), *session;

	for (size_t i = 0; (session = json_value_item(sessions, i)); i++) {
		const char *text = json_value_text(session, "name");
		char pid[24];

		snprintf(pid, sizeof(pid), "%llu",
			 (unsigned long long)json_value_count(session, "pid"));
		if ((text && strcmp(text, name) == 0) || strcmp(pid, name) == 0)
			return session;
	}
	return NULL;
}

/* Whether it has come to that, or will not: then why. */
static bool is_settled(struct json_value *session, bool is_on, int *ret)
{
	const char *error = json_value_text(session, "exact_error");
	const char *mode = json_value_text(session, "mode");

	*ret = EXIT_OK;
	if (is_on && error) {
		auto_free char *why = shown(error);

		log_error("%s", why);
		*ret = EXIT_FAILED;
		return true;
	}
	return mode && (strcmp(mode, "exact") == 0) == is_on;
}

static void pause_for(uint64_t ns)
{
	struct timespec t = {.tv_sec = 0, .tv_nsec = (long)ns};

	nanosleep(&t, NULL);
}

static int wait_for(const struct order *o)
{
	uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
	bool is_on = strcmp(o->verb, "off") != 0;
	auto_free char *name = shown(o->name);

	for (;;) {
		auto_json_value struct json_value *status = NULL;
		struct json_value *session;
		int r = ask(o->socket, CONTROL_REQUEST_STATUS, &status);

		if (r != EXIT_OK)
			return r;
		session = find_session(status, o->name);
		if (!session) {
			log_error("%s has ended", name);
			return EXIT_FAILED;
		}
		if (is_settled(session, is_on, &r))
			return r;
		if (clock_monotonic_ns() > deadline_ns) {
			log_error("%s: exact mode is not %s yet: `trackexec status` says how it is",
				  name, is_on ? "on" : "off");
			return EXIT_FAILED;
		}
		pause_for(PAUSE_NS);
	}
}

static int give(const struct order *o)
{
	auto_json_value struct json_value *answer = NULL;
	auto_free char *request =
	    o->time ? xasprintf(CONTROL_REQUEST_EXACT " for %s %s", o->time, o->name)
		    : xasprintf(CONTROL_REQUEST_EXACT " %s %s", o->verb, o->name);
	int r = ask(o->socket, request, &answer);

	return r == EXIT_OK ? wait_for(o) : r;
}

/* "on NAME", "off NAME", "for TIME NAME" */
static int take_words(int n, char **words, struct order *o)
{
	bool is_for = n > 0 && strcmp(words[0], "for") == 0;
	uint64_t duration_ns;

	if (n == 0 || (!is_for && strcmp(words[0], "on") != 0 && strcmp(words[0], "off") != 0)) {
		log_error("say what to do: on, off, or for and a time");
		return -EINVAL;
	}
	if (n != (is_for ? 3 : 2)) {
		log_error("give %s one process, as `trackexec status` names them",
			  is_for ? "a time and" : words[0]);
		return -EINVAL;
	}
	o->verb = words[0];
	o->time = is_for ? words[1] : NULL;
	o->name = words[n - 1];
	if (is_for && (parse_duration(o->time, &duration_ns) < 0 || !duration_ns)) {
		log_error("'%s' is not a time: give seconds, or a unit as in 500ms, 30s, 5min",
			  o->time);
		return -EINVAL;
	}
	return 0;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
	    {"socket", required_argument, NULL, 's'},
	    {"help", no_argument, NULL, 'h'},
	    {0},
	};
	struct order o = {.socket = CONTROL_SOCKET_DEFAULT};
	int option;

	while ((option = getopt_long(argc, argv, "s:h", options, NULL)) != -1) {
		switch (option) {
		case 's':
			o.socket = optarg;
			break;
		case 'h':
			fputs(cmd_exact.help, stdout);
			return EXIT_OK;
		default:
			return command_usage_error(&cmd_exact);
		}
	}
	if (take_words(argc - optind, argv + optind, &o) < 0)
		return command_usage_error(&cmd_exact);
	return give(&o);
}

const struct command cmd_exact = {
    .name = "exact",
    .summary = "record each line of a process, for a while",
    .help = "Usage: trackexec exact on NAME\n"
	    "       trackexec exact off NAME\n"
	    "       trackexec exact for TIME NAME\n"
	    "\n"
	    "Have the collector record each line that a process runs, instead of looking at\n"
	    "it often: until it is switched off, the time is over, or the collector ends.\n"
	    "The interpreter's own probe python:line tells them, at some microseconds a line\n"
	    "for the process; afterwards it is as fast as before. CPython 3.8 to 3.11 built\n"
	    "with it (as Debian's are) can do that. From 3.12 on the shim tells them, where\n"
	    "the process has loaded it, from its next section on. For others the command says\n"
	    "why not, and fails.\n"
	    "NAME is that of the trace in `trackexec status`, or a process id.\n"
	    "Waits until it is on, or off.\n"
	    "\n"
	    "Options:\n"
	    "  -s, --socket PATH  where the collector answers;\n"
	    "                     default " CONTROL_SOCKET_DEFAULT "\n"
	    "  -h, --help         show this help\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec exact for 30s server-main\n"
	    "  trackexec exact on server-main; ...; trackexec exact off server-main\n",
    .run = run,
};
