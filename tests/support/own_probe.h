/* SPDX-License-Identifier: BSD-3-Clause */
/* A probe with a semaphore in the test itself, to be set by the test. */
#ifndef TESTS_SUPPORT_OWN_PROBE_H
#define TESTS_SUPPORT_OWN_PROBE_H

#include "recorder/exact/line_events.h"

/* Reaches the probe. */
void own_probe_reach(void);
/* How many have set it, as the program itself sees that. */
unsigned own_probe_semaphore(void);
/* Its address. */
uint64_t own_probe_ip(void);

/* What to open: this probe, one register. A mistake aborts. */
struct line_request own_probe_request(void);
/* Of this process. Returns as line_events_open(). */
int own_probe_open(const struct line_request *request, struct line_events **ret);

#endif
