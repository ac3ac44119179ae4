/* SPDX-License-Identifier: BSD-3-Clause */
/* Any datagram in place of the kernel's process events. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "recorder/proc_events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* As large as it is and no larger, so that reading past its end is seen. */
	uint8_t *datagram = malloc(size ? size : 1);
	struct process_event e = {0};
	int r;

	if (!datagram)
		abort();
	memcpy(datagram, data, size);
	r = proc_events_parse(datagram, size, &e);
	if (r > 0 && e.kind != PROCESS_EVENTS_LOST && (e.pid <= 0 || e.tid <= 0))
		abort();
	free(datagram);
	return 0;
}
