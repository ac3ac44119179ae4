/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A collector without its life: configured, on a root of its own, with nobody looked for. Workers
 * are fake (fake_worker.h); what one does is in the title of the target.
 */
#ifndef TESTS_SUPPORT_COLLECTOR_SCENE_H
#define TESTS_SUPPORT_COLLECTOR_SCENE_H

#include "recorder/collector_private.h"

struct collector_scene {
	struct collector c;
	char *root;
	int root_fd;
	unsigned n_over; /* sessions that were told to be over; they are not freed */
};

/* @config  text of a configuration file, which must be good */
void collector_scene_begin(struct collector_scene *s, const char *config);
void collector_scene_end(struct collector_scene *s);

/* Replace the configuration, as a reload does. */
void collector_scene_configure(struct collector_scene *s, const char *config);

/* One turn of its loop, some milliseconds at most. */
void collector_scene_turn(struct collector_scene *s);

#endif
