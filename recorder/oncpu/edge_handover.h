/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rings of a target's edges on their way from the attacher, which opens them, to the worker,
 * which reads them: MSG_EDGES of handover.h, several for a machine with many CPUs.
 */
#ifndef RECORDER_ONCPU_EDGE_HANDOVER_H
#define RECORDER_ONCPU_EDGE_HANDOVER_H

#include <stdbool.h>

#include "recorder/handover.h"
#include "recorder/oncpu/edge_choice.h"

/* Returns 0 or a negative errno of message_send(). */
int edge_handover_send(int sock, const struct edge_choice *choice);

/* As they arrive. All zeros but tasks_fd -1: nothing has. */
struct edge_rings {
	int *fds; /* records and alarm of each CPU */
	unsigned n_cpus, n_cpus_here;
	int tasks_fd;
	int status;	/* 0 once all are there */
	bool is_coarse; /* there are none, but figures can be asked for */
};

#define EDGE_RINGS_NONE ((struct edge_rings){.tasks_fd = -1, .status = -ENOENT})

/* Take a MSG_EDGES, and its descriptors. What came before and was not taken out is closed. */
void edge_rings_take(struct edge_rings *rings, struct message *m);
/* What of it can be used: EDGES_EXACT once all are there. */
enum edge_source edge_rings_source(const struct edge_rings *rings);
/* Close what is there. */
void edge_rings_done(struct edge_rings *rings);

#endif
