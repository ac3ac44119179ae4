/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The privileged half of the recorder: opens what needs privilege and hands it to the worker,
 * follows the target's life, and says when to stop. It never looks at a byte of the target's
 * memory, nor into its files.
 */
#ifndef RECORDER_ATTACH_H
#define RECORDER_ATTACH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "recorder/handover.h"
#include "recorder/oncpu/edge_choice.h"
#include "recorder/target/identity.h"

struct attach_config {
	const struct identity *target; /* lent */
	bool is_command;	       /* our own child: wait for it, pass its status on */
	uint64_t duration_ns;	       /* 0: unlimited */
	bool quiet;
	enum edge_wish edges;
	bool is_exact;	    /* each line, as probes or the shim tell it; otherwise an error */
	const char *folder; /* of the trace, for messages */
	int sock;	    /* to the worker; taken over */
	pid_t worker;
	int signal_fd; /* SIGINT, SIGTERM, SIGHUP: stop */
};

struct attach_result {
	int exit_status; /* of the recorder, or of the command when that failed */
	bool has_trace;
};

/* Record until the end of the target, of the duration, or until asked to stop; reports by itself.
 */
void attach_run(const struct attach_config *config, struct attach_result *ret);

#endif
