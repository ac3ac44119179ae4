/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Main thread: messages and the writer. Sampler thread: sampler_run() and nothing else. They
 * share the ring, the sampler's progress figures and two atomics.
 */
#include "recorder/worker_private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/oncpu/edge_inbox.h"
#include "recorder/privileges.h"
#include "recorder/shim_ring.h"
#include "recorder/trace_writer.h"
#include "recorder/wait_places.h"
#include "recorder/wait_queue.h"
#include "recorder/wait_watch.h"

#define RING_BYTES (4u << 20)
/* Of who is only there for exact mode. */
#define EXACT_RING_BYTES (32u << 20)
/*
 * So much longer may it take while nothing happens in the target, or at such rates: then the
 * sampler calls with each batch (see sampler_emit.c).
 */
#define REST_NS	      (3 * NS_PER_S / 2)
#define CALLED_MAX_HZ 50
/* Records stored before messages get a look: some milliseconds. */
#define DRAIN_MAX 16384

static void *sampler_thread(void *arg)
{
	struct worker *w = arg;

	w->sampler_result = sampler_run(w->sampler, &w->stop);
	atomic_store(&w->sampler_over, true);
	ring_call(w->ring);
	return NULL;
}

/* Without it everything works, but nobody knows why a thread waits. */
static void start_watching(struct worker *w)
{
	if (w->waits_sock < 0 || edge_rings_source(&w->edges) == EDGES_NONE)
		return;
	w->wait_queue = wait_queue_new();
	w->wait_places = wait_places_new();
	if (w->wait_queue && wait_watch_new(w->wait_queue, w->wait_places, w->waits_sock, w->mem.fd,
					    w->maps_fd, w->edge_inbox, &w->wait_watch) < 0) {
		wait_queue_free(w->wait_queue);
		w->wait_queue = NULL;
	}
}

/* Once the sampler is over. */
static void stop_watching(struct worker *w)
{
	if (w->wait_watch)
		wait_watch_collect(w->wait_watch, w->writer);
	wait_watch_free(w->wait_watch);
	w->wait_watch = NULL;
	wait_queue_free(w->wait_queue);
	w->wait_queue = NULL;
	wait_places_free(w->wait_places);
	w->wait_places = NULL;
}

static int start_sampling(struct worker *w)
{
	int r;

	start_watching(w);
	w->sampler_config = (struct sampler_config){
	    .rate_hz = w->rate_hz,
	    .follow = w->config->follow,
	    .packages = w->config->packages,
	    .packages_text = w->config->packages_text,
	    .pid = w->config->pid,
	    .slows_when_idle = w->config->slows_when_idle,
	    .min_wait_ns = w->config->min_wait_ns,
	    .stat_fd = w->stat_fd,
	    .edges = &w->edges,
	    .edge_inbox = w->edge_inbox,
	    .waits = w->wait_queue,
	    .places = w->wait_places,
	};
	w->sampler =
	    sampler_new(&w->mem, &w->py, w->ring, &w->sampler_config, w->next_code, w->next_thread);
	atomic_store(&w->stop, false);
	atomic_store(&w->sampler_over, false);
	r = pthread_create(&w->thread, NULL, sampler_thread, w);
	if (r != 0) {
		sampler_free(w->sampler);
		w->sampler = NULL;
		stop_watching(w);
		return -r;
	}
	w->is_sampling = true;
	return 0;
}

static void note_write_result(struct worker *w, int r)
{
	if (r < 0 && w->write_error == 0)
		w->write_error = r;
}

/* Every sampler counts from 0; the trace counts on when a target was attached again. */
static const struct record_header *add_base(struct worker *w, const struct record_counters *now)
{
	struct record_counters *sum = &w->counters;

	*sum = *now;
	sum->snapshots += w->base.snapshots;
	for (int i = 0; i < N_CUT_REASONS; i++)
		sum->cut[i] += w->base.cut[i];
	for (int i = 0; i < N_DROP_REASONS; i++)
		sum->dropped[i] += w->base.dropped[i];
	sum->lines_unknown += w->base.lines_unknown;
	sum->names_truncated += w->base.names_truncated;
	sum->sections += w->base.sections;
	sum->section_records += w->base.section_records;
	sum->section_lost += w->base.section_lost;
	sum->busy_ns += w->base.busy_ns;
	return &sum->h;
}

/* Store what the sampler has published; returns how many records, DRAIN_MAX at most. */
static unsigned drain_ring(struct worker *w)
{
	const struct record_header *record;

	unsigned n;

	for (n = 0; n < DRAIN_MAX; n++) {
		record = ring_peek(w->ring);
		if (!record)
			break;
		if (record->kind == RECORD_COUNTERS)
			record = add_base(w, (const struct record_counters *)record);
		w->n_gaps += record->kind == RECORD_GAP;
		note_write_result(w, trace_writer_put(w->writer, record));
		ring_consume(w->ring);
	}
	return n;
}

/* Nothing happens in the target. When something does, that is soon enough to fill the ring. */
static bool is_resting(const struct worker *w)
{
	return w->sampler && atomic_load_explicit(&sampler_get_progress(w->sampler)->is_backed_off,
						  memory_order_relaxed);
}

/*
 * A wake-up costs some fifty microseconds, so what comes is stored once a second; the ring calls
 * when it fills sooner, and the sampler when it tells of a long time at once.
 */
static int wait_ms(const struct worker *w, unsigned n_drained)
{
	uint64_t now_ns = clock_monotonic_ns(), due_ns = w->next_progress_ns;

	/* Exact mode is for a while, and someone waits to be told that it is on. */
	if (!w->is_exact && (is_resting(w) || (w->rate_hz > 0 && w->rate_hz <= CALLED_MAX_HZ)))
		due_ns += REST_NS;
	if (trace_writer_due_ns(w->writer) < due_ns)
		due_ns = trace_writer_due_ns(w->writer);
	if (due_ns < w->next_tick_ns)
		due_ns = w->next_tick_ns;
	if (n_drained == DRAIN_MAX || now_ns >= due_ns)
		return 0;
	return (int)((due_ns - now_ns) / NS_PER_MS) + 1;
}

/* Until there is a message, or something to store or to say. Returns whether there is a message. */
static bool wait_for_work(struct worker *w, unsigned n_drained)
{
	struct pollfd p[2] = {{.fd = w->channel.sock, .events = POLLIN},
			      {.fd = ring_fd(w->ring), .events = POLLIN}};
	int n;

	if (channel_has_message(&w->channel))
		return true;
	if (!w->is_sampling)
		return poll(p, 1, -1) > 0;
	ring_sleep(w->ring);
	n = poll(p, 2, wait_ms(w, n_drained));
	ring_wake_up(w->ring);
	return n > 0 && p[0].revents;
}

static void stop_sampling(struct worker *w)
{
	if (!w->is_sampling)
		return;
	atomic_store(&w->stop, true);
	sampler_wake(w->sampler);
	/* It may wait for nothing, but it can need room in the ring for its last records. */
	while (!atomic_load(&w->sampler_over)) {
		drain_ring(w);
		poll(NULL, 0, 1);
	}
	pthread_join(w->thread, NULL);
	while (drain_ring(w))
		;
	w->is_sampling = false;
	w->is_exact = false;
	line_ring_fds_done(&w->line_fds);
	w->lines_base += atomic_load(&sampler_get_exact_progress(w->sampler)->events);
	w->lost_base += atomic_load(&sampler_get_exact_progress(w->sampler)->lost);
	w->base = w->counters;
	w->next_code = sampler_next_code(w->sampler);
	w->next_thread = sampler_next_thread(w->sampler);
	sampler_free(w->sampler);
	w->sampler = NULL;
	stop_watching(w);
	memory_done(&w->mem);
}

/* Create the database, or go on with the one that is there. */
static void put_gap(struct worker *w)
{
	uint64_t now = clock_monotonic_ns();
	struct record_gap gap = {
	    .h = {.size = sizeof(gap), .kind = RECORD_GAP, .time_ns = now},
	    .start_ns = w->gone_ns,
	    .reason = w->sampler_result == -ESRCH ? GAP_EXEC : GAP_UNREADABLE,
	};

	w->n_gaps++;
	note_write_result(w, trace_writer_put(w->writer, &gap.h));
}

/*
 * @what    that failed, when status is not 0
 * @totals  NULL when nothing was recorded
 */
static void send_done(struct worker *w, int status, const char *what,
		      const struct record_totals *totals)
{
	struct message m;

	message_init(&m, MSG_DONE);
	m.status = status;
	if (totals)
		m.totals = *totals;
	snprintf(m.text, sizeof(m.text), "%s", what);
	message_send(w->channel.sock, &m);
	w->is_done = true;
}

static void on_target(struct worker *w, struct message *target)
{
	struct message reply;
	int r;

	message_init(&reply, MSG_ATTACHED);
	if (target->n_fds < 2 || w->is_sampling) {
		message_close_fds(target);
		return;
	}
	if (w->stat_fd >= 0)
		close(w->stat_fd);
	w->stat_fd = target->n_fds > 2 ? target->fds[2] : -1;
	r = worker_find_interpreter(w, target, reply.text, sizeof(reply.text));
	if (r == 0 && !w->writer) {
		r = worker_begin_trace(w, target);
		if (r < 0) {
			send_done(w, r, "cannot create the trace", NULL);
			return;
		}
	} else if (r == 0) {
		put_gap(w);
		w->gone_ns = 0;
	}
	if (r == 0) {
		snprintf(reply.text, sizeof(reply.text), "%s", w->py.version);
		r = start_sampling(w);
		if (r < 0) {
			note_write_result(w, r);
			channel_want_stop(&w->channel, "recorder ended");
			return;
		}
	}
	reply.status = r;
	reply.lines = w->line_plan.request;
	reply.end = (uint64_t)-w->lines_status;
	message_send(w->channel.sock, &reply);
}

static uint64_t sum_up(const uint64_t *counts, size_t n)
{
	uint64_t sum = 0;

	while (n--)
		sum += counts[n];
	return sum;
}

/*
 * At the end, what the trace says as well. While sampling goes on, snapshots are of this moment,
 * for an even rate, though some may still be dropped; the rest is as the sampler told it last.
 */
static void fill_totals(const struct worker *w, struct record_totals *ret)
{
	struct trace_writer_totals written;

	*ret = (struct record_totals){
	    .elapsed_ns = clock_monotonic_ns() - w->start_ns,
	    .snapshots = w->base.snapshots,
	    .cut = sum_up(w->counters.cut, N_CUT_REASONS),
	    .dropped = sum_up(w->counters.dropped, N_DROP_REASONS),
	    .gaps = w->n_gaps,
	    .sections = w->counters.sections,
	    .section_lost = w->counters.section_lost,
	    .rate_hz = w->rate_hz,
	    .lines = w->lines_base,
	    .lines_lost = w->lost_base,
	};
	if (w->sampler) {
		const struct exact_progress *lines = sampler_get_exact_progress(w->sampler);

		ret->is_exact = atomic_load_explicit(&lines->is_on, memory_order_relaxed);
		ret->lines += atomic_load_explicit(&lines->events, memory_order_relaxed);
		ret->lines_lost += atomic_load_explicit(&lines->lost, memory_order_relaxed);
	}
	if (w->sampler)
		ret->is_resting = atomic_load_explicit(
		    &sampler_get_progress(w->sampler)->is_backed_off, memory_order_relaxed);
	if (w->sampler)
		ret->shim_state = atomic_load_explicit(
		    &sampler_get_progress(w->sampler)->shim_state, memory_order_relaxed);
	if (w->sampler)
		ret->snapshots += atomic_load_explicit(&sampler_get_progress(w->sampler)->snapshots,
						       memory_order_relaxed);
	trace_writer_totals(w->writer, &written);
	ret->transitions = written.transitions;
	ret->bytes = written.bytes;
}

/* The writer's final word on its size comes after everything is in one file. */
static uint64_t trace_size(const struct worker *w)
{
	auto_free char *path = xasprintf("%s/" TRACE_FILE_NAME, w->config->folder);
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void finish(struct worker *w)
{
	struct record_totals totals;
	uint64_t end;

	stop_sampling(w);
	if (!w->writer) {
		send_done(w, 0, "", NULL);
		return;
	}
	/* Once its memory was gone there was nothing to see. */
	end = w->gone_ns ? w->gone_ns : clock_monotonic_ns();
	fill_totals(w, &totals);
	totals.elapsed_ns = end - w->start_ns;
	note_write_result(w, trace_writer_close(w->writer, end, w->channel.stop_reason));
	w->writer = NULL;
	totals.bytes = trace_size(w);
	send_done(w, w->write_error, "the trace is not complete", &totals);
}

/* The sampler gave up: its target ended, executed something else, or makes no sense any more. */
static void on_sampler_over(struct worker *w)
{
	struct message m;

	stop_sampling(w);
	w->gone_ns = clock_monotonic_ns();
	/* Other files may be mapped where the old ones were. */
	w->rejected_files = 0;
	message_init(&m, MSG_GONE);
	m.status = w->sampler_result;
	message_send(w->channel.sock, &m);
}

static void do_periodic(struct worker *w)
{
	uint64_t now = clock_monotonic_ns();
	struct message m;

	if (now >= w->next_tick_ns) {
		w->next_tick_ns = now + TICK_NS;
		note_write_result(w, trace_writer_tick(w->writer, now));
	}
	if (now >= w->next_anchor_ns) {
		w->next_anchor_ns = now + ANCHOR_NS;
		note_write_result(
		    w, trace_writer_anchor(w->writer, clock_monotonic_ns(), clock_realtime_ns()));
	}
	if (now >= w->next_progress_ns) {
		w->next_progress_ns = now + PROGRESS_NS;
		message_init(&m, MSG_PROGRESS);
		m.status = w->write_error;
		fill_totals(w, &m.totals);
		message_send(w->channel.sock, &m);
	}
}

/* What the collector may ask for while a trace is being written. */
static void on_wish(struct worker *w, const struct message *m)
{
	switch (m->type) {
	case MSG_RATE:
		w->rate_hz = m->setup.rate_hz;
		if (w->sampler)
			sampler_set_rate(w->sampler, w->rate_hz);
		break;
	case MSG_TRIM:
		if (w->writer)
			trace_writer_trim(w->writer, m->start);
		break;
	case MSG_GROWTH:
		if (w->writer)
			trace_writer_pause_growth(w->writer, !m->status);
		w->may_not_grow = !m->status;
		break;
	default:
		break;
	}
}

/* Without it, precise sections are seen as all else is. */
static void on_shim(struct worker *w, struct message *m)
{
	struct shim_ring *ring = NULL;

	if (m->n_fds == 0 && w->sampler)
		sampler_set_shim_exact(w->sampler, m->end != 0);
	if (m->n_fds == 1 && w->sampler && shim_ring_open(m->fds[0], &ring) == 0) {
		/* A child has its parent's until it makes one of its own. */
		if (shim_ring_pid(ring) == m->start)
			sampler_offer_shim(w->sampler, steal_ptr(ring));
		shim_ring_close(ring);
	}
	message_close_fds(m);
}

static void on_message(struct worker *w)
{
	struct message m;
	int r;

	r = channel_receive(&w->channel, &m);
	if (r < 0) {
		channel_want_stop(&w->channel, "recorder ended");
		return;
	}
	switch (m.type) {
	case MSG_TARGET:
		on_target(w, &m);
		break;
	case MSG_WAITS:
		if (m.n_fds == 1 && w->waits_sock < 0)
			w->waits_sock = m.fds[0];
		else
			message_close_fds(&m);
		break;
	case MSG_EDGES:
		if (w->is_sampling)
			message_close_fds(&m);
		else
			edge_rings_take(&w->edges, &m);
		break;
	case MSG_LINES:
		worker_on_lines(w, &m);
		break;
	case MSG_SHIM:
		on_shim(w, &m);
		break;
	case MSG_STOP:
		message_close_fds(&m);
		channel_want_stop(&w->channel, m.text);
		break;
	default:
		message_close_fds(&m);
		on_wish(w, &m);
	}
}

int worker_run(int sock, const struct worker_config *config)
{
	struct worker w = {
	    .channel = {.sock = sock},
	    .config = config,
	    .mem = {.fd = -1},
	    .next_code = 1,
	    .next_thread = 1,
	    .rate_hz = config->rate_hz,
	    .stat_fd = -1,
	    .edges = EDGE_RINGS_NONE,
	    .maps_fd = -1,
	    .waits_sock = -1,
	};
	unsigned n_drained = 0;
	int r;

	r = config->is_confined ? 0 : privileges_drop(config->folder);
	if (r < 0) {
		send_done(&w, r, "cannot give up privileges", NULL);
		return 1;
	}
	w.ring = ring_new(config->needs_lines ? EXACT_RING_BYTES : RING_BYTES);
	w.edge_inbox = edge_inbox_new();
	while (!w.is_done) {
		if (wait_for_work(&w, n_drained))
			on_message(&w);
		if (w.is_sampling) {
			/* Why a thread waits is known before the record of its wait comes. */
			if (w.wait_watch)
				wait_watch_collect(w.wait_watch, w.writer);
			n_drained = drain_ring(&w);
			do_periodic(&w);
			if (atomic_load(&w.sampler_over) && !w.channel.stop_wanted)
				on_sampler_over(&w);
		}
		if (w.channel.stop_wanted && !w.is_done)
			finish(&w);
	}
	ring_free(w.ring);
	channel_done(&w.channel);
	edge_rings_done(&w.edges);
	line_ring_fds_done(&w.line_fds);
	edge_inbox_free(w.edge_inbox);
	close_p(&w.maps_fd);
	close_p(&w.waits_sock);
	if (w.stat_fd >= 0)
		close(w.stat_fd);
	close(sock);
	return 0;
}
