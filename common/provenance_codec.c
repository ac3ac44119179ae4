/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Layout, all numbers as put_number() writes them: of each run provenance * 2 + begins_stretch,
 * then how many events are in it, at least 1.
 */
#include "common/provenance_codec.h"

#include <stdlib.h>

#include "common/numbers.h"
#include "common/xalloc.h"

void provenance_runs_done(struct provenance_runs *r)
{
	free(r->runs);
	*r = (struct provenance_runs){0};
}

static void add_run(struct provenance_runs *r, struct provenance_run run)
{
	r->runs = xgrow(r->runs, &r->cap, r->n + 1, sizeof(*r->runs));
	r->runs[r->n++] = run;
}

void provenance_runs_add(struct provenance_runs *r, enum provenance p, bool begins_stretch)
{
	struct provenance_run *last = r->n ? &r->runs[r->n - 1] : NULL;

	if (last && last->provenance == p && !begins_stretch)
		last->end++;
	else
		add_run(r, (struct provenance_run){.end = last ? last->end + 1 : 1,
						   .provenance = (uint8_t)p,
						   .begins_stretch = begins_stretch});
}

struct provenance_run provenance_runs_find(const struct provenance_runs *r, uint32_t i)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->runs[middle].end <= i)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->n
		   ? r->runs[low]
		   : (struct provenance_run){.end = UINT32_MAX, .provenance = PROVENANCE_OBSERVED};
}

void provenance_runs_encode(const struct provenance_runs *r, uint8_t **ret, size_t *ret_len)
{
	struct bytes b = {0};
	uint32_t from = 0;

	if (r->n > 1 || (r->n == 1 && r->runs[0].provenance != PROVENANCE_OBSERVED)) {
		for (size_t i = 0; i < r->n; from = r->runs[i++].end) {
			put_number(&b,
				   (uint64_t)r->runs[i].provenance * 2 + r->runs[i].begins_stretch);
			put_number(&b, r->runs[i].end - from);
		}
	}
	*ret = b.data;
	*ret_len = b.len;
}

int provenance_runs_decode(const void *data, size_t len, uint32_t n_events,
			   struct provenance_runs *ret)
{
	struct input in;
	uint32_t kind, n, end = 0;

	*ret = (struct provenance_runs){0};
	if (len == 0)
		return 0;
	in = (struct input){data, (const uint8_t *)data + len};
	while (in.at < in.end) {
		if (get_below(&in, UINT64_C(2) * PROVENANCE_MAX, &kind) < 0 ||
		    get_below(&in, (uint64_t)n_events - end + 1, &n) < 0 || n == 0) {
			provenance_runs_done(ret);
			return -EBADMSG;
		}
		end += n;
		add_run(ret, (struct provenance_run){.end = end,
						     .provenance = (uint8_t)(kind / 2),
						     .begins_stretch = kind % 2});
	}
	return 0;
}
