/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/target/thread_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

/* The list is read until it shows no new one, at most so often. */
#define MAX_PASSES 8

DEFINE_CLEANUP(DIR *, closedir)

struct visits {
	int (*visit)(void *arg, int task_fd, uint32_t tid);
	void *arg;
	uint32_t *tids; /* that were visited */
	size_t n, cap;
};

static bool is_visited(const struct visits *v, uint32_t tid)
{
	for (size_t i = 0; i < v->n; i++) {
		if (v->tids[i] == tid)
			return true;
	}
	return false;
}

static int visit_new(struct visits *v, int task_fd)
{
	int fd = openat(task_fd, ".", O_RDONLY | O_CLOEXEC), r = 0;
	auto_release(closedir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	for (struct dirent *d; r == 0 && (d = readdir(dir));) {
		uint32_t tid = (uint32_t)strtoul(d->d_name, NULL, 10);

		if (!tid || is_visited(v, tid))
			continue;
		v->tids = xgrow(v->tids, &v->cap, v->n + 1, sizeof(*v->tids));
		v->tids[v->n++] = tid;
		r = v->visit(v->arg, task_fd, tid);
	}
	return r;
}

int thread_list_visit(const struct identity *id, int (*visit)(void *arg, int task_fd, uint32_t tid),
		      void *arg)
{
	auto_close int task_fd = openat(id->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct visits v = {.visit = visit, .arg = arg};
	struct process_stat stat;
	size_t n_before = SIZE_MAX;
	int r = 0;

	if (task_fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	for (int i = 0; r == 0 && v.n != n_before && i < MAX_PASSES; i++) {
		n_before = v.n;
		r = visit_new(&v, task_fd);
	}
	/* Numbers may stand for others by now only if it has ended. */
	if (r == 0)
		r = identity_read_stat(id, &stat);
	free(v.tids);
	return r == 0 && !v.n ? -ESRCH : r;
}
