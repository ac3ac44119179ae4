/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker and exact mode: the interpreter's probes, and the rings in which they tell. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "recorder/python/py_locate.h"
#include "recorder/target/elf_image.h"
#include "recorder/target/mappings.h"
#include "recorder/worker_private.h"

/* After that the sampler has begun, and it can be told. */
#define BEGUN_NS (20 * NS_PER_MS)

static const struct mapping *find_code(const struct mappings *maps, const char *path)
{
	for (size_t i = 0; i < maps->n; i++) {
		const struct mapping *map = &maps->items[i];

		if (map->executable && map->path && strcmp(map->path, path) == 0)
			return map;
	}
	return NULL;
}

static int plan_lines(struct worker *w, const struct mapping *map)
{
	auto_elf_image struct elf_image *image = NULL;
	auto_close int fd = channel_open_image(&w->channel, map);
	int r;

	if (fd < 0)
		return fd;
	r = elf_image_open(fd, &image);
	return r < 0 ? r : line_plan_make(image, map, &w->line_plan);
}

void worker_find_lines(struct worker *w, const char *interpreter)
{
	auto_mappings struct mappings maps = {0};
	const struct mapping *map;
	int r;

	w->line_plan = (struct line_plan){0};
	r = mappings_read(w->maps_fd, &maps);
	map = r == 0 ? find_code(&maps, interpreter) : NULL;
	w->lines_status = r < 0 ? r : map ? plan_lines(w, map) : -ENOENT;
}

/* All rings are there: the sampler begins with them. */
static void begin(struct worker *w)
{
	struct exact_source *source = xcalloc(1, sizeof(*source));
	struct line_ring_fds *fds = &w->line_fds;
	int r = line_rings_new(fds->fds, fds->n_cpus, fds->ring_bytes, w->line_plan.request.regs,
			       &source->rings);

	source->is_inherited = fds->is_inherited;
	/* They have been taken over, or closed. */
	fds->n_here = 0;
	line_ring_fds_done(fds);
	if (r < 0) {
		free(source);
		return;
	}
	source->plan = w->line_plan;
	sampler_set_exact(w->sampler, source);
	w->is_exact = true;
	w->next_progress_ns = clock_monotonic_ns() + BEGUN_NS;
}

void worker_on_lines(struct worker *w, struct message *m)
{
	int r;

	/* They are those of an address space that is gone. */
	if (!w->is_sampling || !w->line_plan.request.n_probes) {
		message_close_fds(m);
		return;
	}
	r = line_ring_fds_take(&w->line_fds, m);
	if (r == 1) {
		begin(w);
	} else if (r < 0) {
		sampler_set_exact(w->sampler, NULL);
		w->is_exact = false;
	}
}
