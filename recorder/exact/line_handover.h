/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rings of a target's line events on their way from the attacher, which opens them, to the
 * worker, which reads them: MSG_LINES of handover.h, several for a machine with many CPUs.
 */
#ifndef RECORDER_EXACT_LINE_HANDOVER_H
#define RECORDER_EXACT_LINE_HANDOVER_H

#include <stddef.h>

#include "recorder/exact/line_events.h"
#include "recorder/handover.h"

/*
 * @events  NULL: exact mode ends
 * Returns 0 or a negative errno of message_send().
 */
int line_handover_send(int sock, const struct line_events *events);

/* As they arrive. All zeros: nothing has. */
struct line_ring_fds {
	int *fds; /* by CPU */
	unsigned n_cpus, n_here;
	size_t ring_bytes;
	bool is_inherited; /* see line_events.h */
};

/*
 * Take a MSG_LINES, and its descriptors. What came before and was not taken out is closed.
 * Returns 1 once all are there; 0 while some are missing; -ENODATA when exact mode ends; or
 * -EBADMSG.
 */
int line_ring_fds_take(struct line_ring_fds *r, struct message *m);
/* Close what is there. */
void line_ring_fds_done(struct line_ring_fds *r);

#endif
