/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker and a new target, or a new program of its target: the interpreter in it, and the trace.
 */
#include "recorder/worker_private.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/trace_schema.h"
#include "common/xalloc.h"
#include "recorder/python/py_locate.h"
#include "recorder/shim_find.h"
#include "recorder/target/mappings.h"
#include "recorder/trace_writer.h"

static int open_trace(struct worker *w, const struct trace_about *about)
{
	auto_free char *path = xasprintf("%s/" TRACE_FILE_NAME, w->config->folder);
	int r = -ENOENT;

	if (w->config->may_continue)
		r = trace_writer_resume(path, about, channel_read_source, &w->channel, &w->writer);
	/* Its recorder was killed before anything was in it. */
	if (r == -ENODATA && unlink(path) == 0)
		r = -ENOENT;
	if (r == -ENOENT)
		r = trace_writer_create(path, about, channel_read_source, &w->channel, &w->writer);
	if (r < 0)
		return r;
	trace_writer_pause_growth(w->writer, w->may_not_grow);
	w->next_code = trace_writer_next_code(w->writer);
	/* When no number is left, new threads are not recorded any more. */
	w->next_thread = trace_writer_next_thread(w->writer) > UINT16_MAX
			     ? UINT16_MAX
			     : (uint16_t)trace_writer_next_thread(w->writer);
	return 0;
}

int worker_begin_trace(struct worker *w, const struct message *target)
{
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
	    .edges = edge_source_name(edge_rings_source(&w->edges)),
	    .packages = w->config->packages_text,
	    .rate_asked_hz = w->config->rate_hz,
	    .min_wait_ns = w->config->min_wait_ns,
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
	/* The first one soon: that something is recorded is what one looks for. */
	w->next_progress_ns = w->start_ns + PROGRESS_NS / 10;
	w->next_anchor_ns = w->start_ns + ANCHOR_NS;
	return open_trace(w, &about);
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

int worker_find_interpreter(struct worker *w, struct message *target, char *found, size_t size)
{
	struct py_location where;
	int r;

	memory_init_fd(&w->mem, target->fds[0]);
	close_p(&w->maps_fd);
	w->maps_fd = target->fds[1];
	r = locate(w, w->maps_fd, &where, found, size);
	if (r == 0)
		r = py_runtime_open(&w->mem, &where, &w->py, found, size);
	if (r == 0) {
		worker_find_lines(w, where.path);
		if (w->config->needs_lines && w->lines_status < 0 &&
		    !(target->start && shim_tells_lines(w->py.version))) {
			snprintf(found, size, "%s", w->py.version);
			r = -ENOPROTOOPT;
		}
	}
	if (r < 0)
		memory_done(&w->mem);
	return r;
}
