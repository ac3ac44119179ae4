/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/selection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "reader/clock_map.h"
#include "reader/trace.h"
#include "reader/trace_seek.h"
#include "reader/when.h"

/* Threads that a message lists. */
#define MAX_LISTED 12

struct resolver {
	struct trace *trace;
	const struct selection_options *options;
	struct trace_thread *threads;
	size_t n_threads;
	struct clock_map clock;
	uint64_t start_ns, end_ns; /* of the trace */
	char *why;
	size_t why_size;
};

/* --- threads --- */

static bool has_thread(const struct resolver *q, uint64_t id)
{
	for (size_t i = 0; i < q->n_threads; i++) {
		if (q->threads[i].id == id)
			return true;
	}
	return false;
}

static int refuse_thread(const struct resolver *q, const char *word)
{
	auto_free char *text = text_escape(word, strlen(word), "", text_locale_charset());
	auto_free char *known = NULL;
	size_t len;
	FILE *f = open_memstream(&known, &len);

	if (!f)
		xalloc_failed();
	for (size_t i = 0; i < q->n_threads && i < MAX_LISTED; i++)
		fprintf(f, "%s%u (%" PRIu64 ")", i ? ", " : "", (unsigned)q->threads[i].id,
			q->threads[i].native_id);
	if (q->n_threads > MAX_LISTED)
		fprintf(f, " and %zu more", q->n_threads - MAX_LISTED);
	fclose(f);
	snprintf(q->why, q->why_size,
		 "--thread: there is no thread '%s'; there are, by number (and id): %s", text,
		 q->n_threads ? known : "none");
	return -EINVAL;
}

/* @wanted  of each thread number */
static int parse_threads(const struct resolver *q, bool *wanted)
{
	auto_free char *list = xstrdup(q->options->thread);
	char *rest = list, *word;
	uint64_t id;

	while ((word = strsep(&rest, ","))) {
		if (parse_count(word, UINT16_MAX, &id) < 0 || !has_thread(q, id))
			return refuse_thread(q, word);
		wanted[id] = true;
	}
	return 0;
}

static int resolve_threads(const struct resolver *q, struct selection *s)
{
	auto_free bool *wanted = xcalloc((size_t)UINT16_MAX + 1, sizeof(*wanted));
	int r = q->options->thread ? parse_threads(q, wanted) : 0;

	if (r < 0)
		return r;
	s->threads = xreallocarray(NULL, q->n_threads + 1, sizeof(*s->threads));
	for (size_t i = 0; i < q->n_threads; i++) {
		if (!q->options->thread || wanted[q->threads[i].id])
			s->threads[s->n_threads++] = q->threads[i].id;
	}
	return 0;
}

bool selection_has(const struct selection *s, uint16_t thread)
{
	size_t low = 0, high = s->n_threads;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->threads[middle] == thread)
			return true;
		if (s->threads[middle] < thread)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* --- the interval --- */

/* So that no block lies outside. */
static int widen_to_blocks(struct resolver *q)
{
	struct block_row row;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < q->n_threads; i++) {
		r = trace_block_end(q->trace, q->threads[i].id, FORWARDS, &row);
		if (r == 1 && row.first_ns < q->start_ns)
			q->start_ns = row.first_ns;
		if (r >= 0)
			r = trace_block_end(q->trace, q->threads[i].id, BACKWARDS, &row);
		if (r == 1 && row.last_ns > q->end_ns)
			q->end_ns = row.last_ns;
	}
	return r < 0 ? r : 0;
}

static int find_bounds(struct resolver *q)
{
	int r = trace_bounds(q->trace, &q->start_ns, &q->end_ns), r_blocks;

	if (r < 0) {
		q->start_ns = UINT64_MAX;
		q->end_ns = 0;
	}
	r_blocks = widen_to_blocks(q);
	/* A damaged trace can lack its bounds and still have blocks. */
	return r < 0 && q->start_ns < q->end_ns ? 0 : r < 0 ? r : r_blocks;
}

static int parse_time(const struct resolver *q, const char *option, const char *text,
		      uint64_t here_ns, uint64_t *ret_ns)
{
	const struct when_context ctx = {
	    .clock = &q->clock, .start_ns = q->start_ns, .end_ns = q->end_ns, .here_ns = here_ns};
	char why[256];
	int r = when_parse(text, &ctx, ret_ns, why, sizeof(why));

	if (r < 0)
		snprintf(q->why, q->why_size, "%s '%s': %s", option, text, why);
	return r;
}

static int check_order(const struct resolver *q, const struct selection *s)
{
	char start[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];

	if (q->options->since && q->options->until && s->until_ns <= s->since_ns) {
		snprintf(q->why, q->why_size, "--until is not after --since");
		return -EINVAL;
	}
	if (s->since_ns < q->end_ns && s->until_ns > q->start_ns)
		return 0;
	clock_map_format(&q->clock, q->start_ns, start);
	clock_map_format(&q->clock, q->end_ns, end);
	snprintf(q->why, q->why_size, "the trace has nothing of that time: it is from %s to %s",
		 start, end);
	return -EINVAL;
}

/* Whether a block of the selected threads has a part in the interval. */
static int has_blocks(const struct resolver *q, const struct selection *s)
{
	struct block_row row;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < s->n_threads; i++) {
		r = trace_block_at(q->trace, s->threads[i], s->until_ns - 1, &row);
		if (r == 1 && row.last_ns > s->since_ns)
			return 1;
	}
	return r < 0 ? r : 0;
}

static int check_blocks(const struct resolver *q, const struct selection *s)
{
	struct trace_trimmed trimmed = {0};
	int r = has_blocks(q, s);

	/* What is damaged is told when it is read. */
	if (r != 0)
		return 0;
	if (trace_get_trimmed(q->trace, &trimmed) == 0 && s->until_ns <= trimmed.until_ns)
		snprintf(
		    q->why, q->why_size,
		    "the trace has nothing of that time any more: it was deleted to save space");
	else
		snprintf(q->why, q->why_size, "nothing was observed of that %s in that time",
			 q->options->thread ? "thread" : "process");
	return -EINVAL;
}

static int resolve_interval(struct resolver *q, struct selection *s)
{
	const struct selection_options *o = q->options;
	int r = 0;

	s->since_ns = q->start_ns;
	s->until_ns = q->end_ns;
	if (o->since)
		r = parse_time(q, "--since", o->since, q->start_ns, &s->since_ns);
	if (r == 0 && o->until)
		r = parse_time(q, "--until", o->until, s->since_ns, &s->until_ns);
	if (r == 0 && (o->since || o->until))
		r = check_order(q, s);
	if (r < 0)
		return r;
	if (s->since_ns < q->start_ns)
		s->since_ns = q->start_ns;
	if (s->until_ns > q->end_ns)
		s->until_ns = q->end_ns;
	return o->since || o->until || o->thread ? check_blocks(q, s) : 0;
}

static int resolve(struct resolver *q, struct selection *s)
{
	int r = find_bounds(q);

	if (r == 0)
		r = resolve_threads(q, s);
	if (r == 0)
		r = resolve_interval(q, s);
	if (r < 0)
		return r;
	s->is_whole =
	    s->since_ns == q->start_ns && s->until_ns == q->end_ns && s->n_threads == q->n_threads;
	return 0;
}

int selection_resolve(struct trace *t, const struct selection_options *options,
		      struct selection *ret, char *why, size_t why_size)
{
	struct resolver q = {.trace = t, .options = options, .why = why, .why_size = why_size};
	auto_free struct trace_thread *threads = NULL;
	int r;

	*ret = (struct selection){0};
	if (why_size)
		*why = 0;
	r = trace_threads(t, &threads, &q.n_threads);
	q.threads = threads;
	/* Times of the clock need it; all of a damaged trace can be had without. */
	if (r == 0 && (options->since || options->until))
		r = clock_map_init(&q.clock, t);
	if (r == 0) {
		r = resolve(&q, ret);
		clock_map_done(&q.clock);
	}
	if (r < 0 && why_size && !*why)
		snprintf(why, why_size, "%s",
			 r == -EBADMSG ? "the trace is damaged" : strerror(-r));
	if (r < 0)
		selection_done(ret);
	return r;
}

void selection_done(struct selection *s)
{
	free(s->threads);
	*s = (struct selection){0};
}
