/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said of a recording that fails, or can't begin yet. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "common/log.h"
#include "recorder/attach_private.h"
#include "recorder/denial.h"

void attach_note_failure(struct attach *a, int status)
{
	if (a->status == EXIT_OK)
		a->status = status;
}

void attach_fail_not_allowed(struct attach *a)
{
	struct denial denial;
	char why[512];

	denial_collect(a->target->pid, a->target, &denial);
	denial_explain(&denial, why, sizeof(why));
	log_error("%s", why);
	attach_note_failure(a, EXIT_NOT_ALLOWED);
	attach_stop(a, "not allowed");
}

void attach_fail_no_python(struct attach *a)
{
	log_error("process %d is not a CPython 3.8 to 3.15: found %s", pid_of(a), a->found);
	attach_note_failure(a, EXIT_NO_PYTHON);
	attach_stop(a, "no Python");
}

void attach_fail_not_ready(struct attach *a)
{
	if (a->last_status == -EAGAIN) {
		log_error("process %d has a CPython loaded that is not initialised: record it "
			  "again once it runs Python code",
			  pid_of(a));
		attach_note_failure(a, EXIT_NO_PYTHON);
	} else {
		log_error("cannot read the memory of process %d: %s", pid_of(a),
			  strerror(-a->last_status));
		attach_note_failure(a, EXIT_FAILED);
	}
	attach_stop(a, "not ready");
}

void attach_fail_after_exec(struct attach *a)
{
	progress_clear(&a->progress);
	if (a->last_status == -EOPNOTSUPP)
		log_error("process %d executed another program, which is not a CPython 3.8 to "
			  "3.15: found %s; the trace ends there",
			  pid_of(a), a->found);
	else
		log_error("process %d cannot be read any more (%s); the trace ends there",
			  pid_of(a), strerror(-a->last_status));
	attach_note_failure(a, EXIT_FAILED);
	attach_stop(a, "target executed another program");
}

void attach_fail_ended_early(struct attach *a)
{
	if (a->config->is_command && *a->found)
		log_error("process %d ended before it became a Python that can be recorded (found "
			  "%s): nothing was recorded",
			  pid_of(a), a->found);
	else
		log_error("process %d ended before it could be recorded: nothing was recorded",
			  pid_of(a));
	attach_note_failure(a, a->config->is_command ? EXIT_NO_PYTHON : EXIT_FAILED);
	attach_stop(a, "target exited");
}

void attach_fail_no_edges(struct attach *a, const char *why)
{
	bool is_forbidden = a->edges.status == -EACCES || a->edges.status == -EPERM;

	progress_clear(&a->progress);
	log_error("process %d cannot be recorded with --edges exact: %s", pid_of(a), why);
	attach_note_failure(a, is_forbidden ? EXIT_NOT_ALLOWED : EXIT_FAILED);
	attach_stop(a, "no exact edges");
}

void attach_warn_disk(struct attach *a, int status)
{
	if (a->warned_disk)
		return;
	a->warned_disk = true;
	progress_clear(&a->progress);
	log_warning("cannot write to %s: %s; recording goes on, what is lost becomes a gap in the "
		    "trace: make room",
		    a->config->folder, strerror(-status));
}

void attach_warn_waiting(struct attach *a)
{
	if (a->warned_waiting)
		return;
	a->warned_waiting = true;
	log_warning("process %d is not a CPython 3.8 to 3.15 yet (found %s): waiting for it to "
		    "execute one",
		    pid_of(a), *a->found ? a->found : "one that is not initialised");
}
