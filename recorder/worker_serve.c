/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker of the collector, from its start to the sandbox. Until then it has the privileges of
 * the attacher, but has not seen a byte of a target yet.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/handover.h"
#include "recorder/sandbox.h"
#include "recorder/trace_writer.h"
#include "recorder/worker.h"

/* What the trace says of one whose recorder and target were gone when it was found. */
#define ABANDONED_REASON "recorder was killed"

static void tell_done(int sock, int status, const char *what)
{
	struct message m;

	message_init(&m, MSG_DONE);
	m.status = status;
	snprintf(m.text, sizeof(m.text), "%s", what);
	message_send(sock, &m);
}

/* "a,b" as a NULL-terminated list; the caller frees both. */
static const char **split_packages(char *text)
{
	const char **list = xcalloc(strlen(text) / 2 + 2, sizeof(*list));
	size_t n = 0;

	for (char *name = strtok(text, ","); name; name = strtok(NULL, ","))
		list[n++] = name;
	return list;
}

static int record(int sock, const struct message *setup)
{
	auto_free char *packages = xstrdup(setup->path);
	auto_free const char **list = split_packages(packages);
	struct worker_config config = {
	    .name = setup->text,
	    .folder = ".", /* the working folder, whether that is the root or not */
	    .pid = setup->setup.pid,
	    .start_ticks = setup->setup.start_ticks,
	    .rate_hz = setup->setup.rate_hz,
	    .min_wait_ns = setup->setup.min_wait_ns,
	    .follow = (enum follow_mode)setup->setup.follow,
	    .packages = list,
	    .packages_text = setup->path,
	    .may_continue = true,
	    .slows_when_idle = true,
	    .is_confined = true,
	};

	return worker_run(sock, &config);
}

static int repair(int sock)
{
	int r = trace_writer_end_abandoned("./" TRACE_FILE_NAME, ABANDONED_REASON);

	tell_done(sock, r, r < 0 ? "cannot end the trace" : "");
	return 0;
}

int worker_serve(int sock)
{
	struct message m;
	char why[256] = "";
	int r;

	r = message_receive(sock, &m);
	if (r < 0 || m.type != MSG_SETUP || m.n_fds != 2)
		return 1;
	prctl(PR_SET_NAME, "trackexec-work", 0, 0, 0);
	/* Traces hold source text. */
	umask(0027);
	/* The zone's file can't be read from in there. */
	tzset();
	r = sandbox_enter(m.fds[0], m.setup.uid, m.setup.gid, why, sizeof(why));
	if (r < 0) {
		tell_done(sock, r, why);
		return 1;
	}
	/* m.fds[1] is the lock on the folder: held until this process ends, whatever ends it. */
	return m.setup.task == TASK_REPAIR ? repair(sock) : record(sock, &m);
}
