/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first two bytes are the number of events, the rest is decoded; what that gives, encoded and
 * decoded again, must be the same.
 */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/provenance_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct provenance_runs *runs, uint32_t n_events)
{
	struct provenance_runs again;
	auto_free uint8_t *bytes = NULL;
	size_t len;

	provenance_runs_encode(runs, &bytes, &len);
	if (provenance_runs_decode(bytes, len, n_events, &again) < 0)
		abort();
	for (uint32_t i = 0; i < n_events && i < 4096; i++) {
		struct provenance_run a = provenance_runs_find(runs, i);
		struct provenance_run b = provenance_runs_find(&again, i);

		if (a.provenance != b.provenance || (bytes && a.end != b.end))
			abort();
	}
	provenance_runs_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct provenance_runs runs;
	uint32_t n_events, end = 0;

	if (size < 2)
		return 0;
	n_events = data[0] + 256u * data[1];
	if (provenance_runs_decode(data + 2, size - 2, n_events, &runs) < 0) {
		if (runs.n)
			abort();
		return 0;
	}
	for (size_t i = 0; i < runs.n; i++) {
		if (runs.runs[i].end <= end || runs.runs[i].end > n_events ||
		    runs.runs[i].provenance >= PROVENANCE_MAX)
			abort();
		end = runs.runs[i].end;
	}
	round_trip(&runs, n_events);
	provenance_runs_done(&runs);
	return 0;
}
