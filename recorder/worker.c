/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Main thread: messages and the writer. Sampler thread: sampler_run() and nothing else. They
 * share the ring, the sampler's progress figures and two atomics.
 */
#include "recorder/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/channel.h"
#include "recorder/handover.h"
#include "recorder/privileges.h"
#include "recorder/python/py_locate.h"
#include "recorder/python/py_runtime.h"
#include "recorder/ring.h"
#include "recorder/target/mappings.h"
#include "recorder/trace_writer.h"

#define RING_BYTES (4u << 20)
/*
 * How long the writer sleeps. A wake-up costs some ten microseconds, so it is rare while little
 * happens, and short beside the time to fill the ring when much does.
 */
#define WAIT_IDLE_MS 50
#define WAIT_BUSY_MS 10
#define BUSY_RECORDS 512
/* Records stored before messages get a look: some milliseconds. */
#define DRAIN_MAX   16384
#define TICK_NS	    (50 * NS_PER_MS)
#define PROGRESS_NS NS_PER_S
#define ANCHOR_NS   (60 * NS_PER_S)

struct worker {
	struct channel channel;
	const struct worker_config *config;

	struct memory mem;
	struct py_runtime py;
	/* Of the executable files mapped when no interpreter was found in them; 0: none. */
	uint64_t rejected_files;
	char rejected_as[MESSAGE_TEXT_MAX];

	struct ring *ring;
	struct sampler *sampler;
	struct sampler_config sampler_config;
	uint32_t next_code;
	uint16_t next_thread;
	pthread_t thread;
	bool is_sampling;
	atomic_bool stop;
	atomic_bool sampler_over;
	int sampler_result; /* valid once sampler_over */

	struct trace_writer *writer;
	int write_error; /* the first refusal of the disk, 0 or a negative errno */
	uint64_t start_ns, gone_ns;
	uint64_t next_tick_ns, next_progress_ns, next_anchor_ns;
	struct record_counters base, counters; /* of earlier samplers; with the present one's */

	bool is_done;
};

static void *sampler_thread(void *arg)
{
	struct worker *w = arg;

	w->sampler_result = sampler_run(w->sampler, &w->stop);
	atomic_store(&w->sampler_over, true);
	return NULL;
}

static int start_sampling(struct worker *w)
{
	int r;

	w->sampler_config = (struct sampler_config){
	    .rate_hz = w->config->rate_hz,
	    .follow = w->config->follow,
	    .packages = w->config->packages,
	    .pid = w->config->pid,
	};
	w->sampler =
	    sampler_new(&w->mem, &w->py, w->ring, &w->sampler_config, w->next_code, w->next_thread);
	atomic_store(&w->stop, false);
	atomic_store(&w->sampler_over, false);
	r = pthread_create(&w->thread, NULL, sampler_thread, w);
	if (r != 0) {
		sampler_free(w->sampler);
		w->sampler = NULL;
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
		note_write_result(w, trace_writer_put(w->writer, record));
		ring_consume(w->ring);
	}
	return n;
}

static int wait_ms(unsigned n_drained)
{
	if (n_drained == DRAIN_MAX)
		return 0;
	return n_drained < BUSY_RECORDS ? WAIT_IDLE_MS : WAIT_BUSY_MS;
}

static void stop_sampling(struct worker *w)
{
	if (!w->is_sampling)
		return;
	atomic_store(&w->stop, true);
	/* It may wait for nothing, but it can need room in the ring for its last records. */
	while (!atomic_load(&w->sampler_over)) {
		drain_ring(w);
		poll(NULL, 0, 1);
	}
	pthread_join(w->thread, NULL);
	while (drain_ring(w))
		;
	w->is_sampling = false;
	w->base = w->counters;
	w->next_code = sampler_next_code(w->sampler);
	w->next_thread = sampler_next_thread(w->sampler);
	sampler_free(w->sampler);
	w->sampler = NULL;
	memory_done(&w->mem);
}

static int create_trace(struct worker *w, const struct message *target)
{
	auto_free char *path = xasprintf("%s/" TRACE_FILE_NAME, w->config->folder);
	char host[256] = "";
	struct trace_about about = {
	    .name = w->config->name,
	    .pid = w->config->pid,
	    .process_start_ticks = w->config->start_ticks,
	    .command = target->text,
	    .executable = target->path,
	    .python = w->py.version,
	    .python_hexversion = w->py.hexversion,
	    .host = host,
	    .packages = w->config->packages_text,
	    .rate_asked_hz = w->config->rate_hz,
	};
	struct tm local;
	time_t seconds;

	gethostname(host, sizeof(host) - 1);
	about.start_monotonic_ns = clock_monotonic_ns();
	about.start_realtime_ns = clock_realtime_ns();
	seconds = (time_t)(about.start_realtime_ns / NS_PER_S);
	localtime_r(&seconds, &local);
	about.utc_offset_s = (int)local.tm_gmtoff;
	about.time_zone = local.tm_zone;
	w->start_ns = about.start_monotonic_ns;
	w->next_tick_ns = w->start_ns + TICK_NS;
	w->next_progress_ns = w->start_ns + PROGRESS_NS;
	w->next_anchor_ns = w->start_ns + ANCHOR_NS;
	return trace_writer_create(path, &about, channel_read_source, &w->channel, &w->writer);
}

/* FNV-1a over what decides whether there is an interpreter. Never 0. */
static uint64_t hash_executable_files(const struct mappings *maps)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < maps->n; i++) {
		const uint64_t values[] = {maps->items[i].start, maps->items[i].inode};

		if (!maps->items[i].executable)
			continue;
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++)
			hash = (hash ^ values[j]) * UINT64_C(0x100000001b3);
	}
	return hash | 1;
}

/*
 * Look for an interpreter. A command on its way to becoming a Python is looked at many times, so
 * files that hold none are not opened again.
 */
static int locate(struct worker *w, int maps_fd, struct py_location *ret, char *found, size_t size)
{
	auto_mappings struct mappings maps = {0};
	uint64_t hash;
	int r;

	r = mappings_read(maps_fd, &maps);
	if (r < 0)
		return r;
	/* Only anonymous memory: it is being replaced by another program at this moment. */
	if (maps.n == 0)
		return -EAGAIN;
	hash = hash_executable_files(&maps);
	if (hash == w->rejected_files) {
		snprintf(found, size, "%s", w->rejected_as);
		return -EOPNOTSUPP;
	}
	r = py_locate(&maps, channel_open_image, &w->channel, ret, found, size);
	if (r == -EOPNOTSUPP) {
		w->rejected_files = hash;
		snprintf(w->rejected_as, sizeof(w->rejected_as), "%s", found);
	}
	return r;
}

static int find_interpreter(struct worker *w, struct message *target, char *found, size_t size)
{
	struct py_location where;
	int r;

	memory_init_fd(&w->mem, target->fds[0]);
	r = locate(w, target->fds[1], &where, found, size);
	if (r == 0)
		r = py_runtime_open(&w->mem, &where, &w->py, found, size);
	close(target->fds[1]);
	if (r < 0)
		memory_done(&w->mem);
	return r;
}

static void put_gap(struct worker *w)
{
	uint64_t now = clock_monotonic_ns();
	struct record_gap gap = {
	    .h = {.size = sizeof(gap), .kind = RECORD_GAP, .time_ns = now},
	    .start_ns = w->gone_ns,
	    .reason = w->sampler_result == -ESRCH ? GAP_EXEC : GAP_UNREADABLE,
	};

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
	if (target->n_fds != 2 || w->is_sampling) {
		message_close_fds(target);
		return;
	}
	r = find_interpreter(w, target, reply.text, sizeof(reply.text));
	if (r == 0 && !w->writer) {
		r = create_trace(w, target);
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
	};
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

static void on_message(struct worker *w)
{
	struct message m;
	int r;

	r = message_receive(w->channel.sock, &m);
	if (r < 0) {
		channel_want_stop(&w->channel, "recorder ended");
		return;
	}
	switch (m.type) {
	case MSG_TARGET:
		on_target(w, &m);
		break;
	case MSG_STOP:
		message_close_fds(&m);
		channel_want_stop(&w->channel, m.text);
		break;
	default:
		message_close_fds(&m);
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
	};
	unsigned n_drained = 0;
	int r;

	r = privileges_drop(config->folder);
	if (r < 0) {
		send_done(&w, r, "cannot give up privileges", NULL);
		return 1;
	}
	w.ring = ring_new(RING_BYTES);
	while (!w.is_done) {
		struct pollfd p = {.fd = sock, .events = POLLIN};

		if (poll(&p, 1, w.is_sampling ? wait_ms(n_drained) : -1) > 0)
			on_message(&w);
		if (w.is_sampling) {
			n_drained = drain_ring(&w);
			do_periodic(&w);
			if (atomic_load(&w.sampler_over) && !w.channel.stop_wanted)
				on_sampler_over(&w);
		}
		if (w.channel.stop_wanted && !w.is_done)
			finish(&w);
	}
	ring_free(w.ring);
	close(sock);
	return 0;
}
