/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/oncpu/edge_choice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "recorder/oncpu/edges_coarse.h"

const char *edge_source_name(enum edge_source source)
{
	static const char *const names[] = {
	    [EDGES_NONE] = "none",
	    [EDGES_COARSE] = "coarse",
	    [EDGES_EXACT] = "exact",
	};

	return names[source];
}

/* Whether this kernel keeps the figures: they are zeros where it does not. */
static bool has_figures(const struct identity *id)
{
	auto_close int fd = openat(id->proc_fd, "schedstat", O_RDONLY | O_CLOEXEC);
	struct sched_figures f;

	return fd >= 0 && sched_figures_read(fd, &f) == 0 && f.run_ns && f.n_slices;
}

struct edge_choice edge_choice_make(const struct identity *id, enum edge_wish wish)
{
	struct edge_choice c = EDGE_CHOICE_NONE;

	if (wish == EDGE_WISH_AUTO || wish == EDGE_WISH_EXACT) {
		c.status = edge_events_open(id, &c.events);
		if (c.status == 0)
			c.source = EDGES_EXACT;
	}
	if (c.source == EDGES_NONE && (wish == EDGE_WISH_AUTO || wish == EDGE_WISH_COARSE) &&
	    has_figures(id))
		c.source = EDGES_COARSE;
	return c;
}

void edge_choice_done(struct edge_choice *c)
{
	edge_events_free(c->events);
	*c = EDGE_CHOICE_NONE;
}

/* Its setting, or an empty text where there is none. */
static void read_paranoid(char buf[static 16])
{
	auto_close int fd = open("/proc/sys/kernel/perf_event_paranoid", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, 15);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

void edge_choice_explain(int status, char *buf, size_t size)
{
	char paranoid[16];

	switch (status) {
	case -EACCES:
	case -EPERM:
		read_paranoid(paranoid);
		snprintf(
		    buf, size,
		    "the kernel's context-switch records are not permitted (%s): give the "
		    "recorder CAP_PERFMON, or set kernel.perf_event_paranoid to 2 or less (it is "
		    "%s)",
		    strerror(-status), *paranoid ? paranoid : "not known");
		break;
	case -ENOSYS:
	case -ENOENT:
	case -EOPNOTSUPP:
		snprintf(buf, size,
			 "this kernel has no context-switch records (%s): it needs "
			 "CONFIG_PERF_EVENTS",
			 strerror(-status));
		break;
	case -E2BIG:
		snprintf(buf, size,
			 "it has too many threads, on a machine with that many CPUs, for "
			 "context-switch records");
		break;
	case -EMFILE:
	case -ENFILE:
		snprintf(buf, size,
			 "context-switch records need more open files than are permitted (%s): "
			 "raise the limit (ulimit -n, LimitNOFILE=)",
			 strerror(-status));
		break;
	default:
		snprintf(buf, size, "there are no context-switch records: %s", strerror(-status));
	}
}
