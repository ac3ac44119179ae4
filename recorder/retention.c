/* SPDX-License-Identifier: BSD-3-Clause */
/* Looking and deciding; what deletes is retention_delete.c. */
#include "recorder/retention.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/trace_folder.h"
#include "common/xalloc.h"
#include "recorder/retention_files.h"

/* A run without traces may be about to get its first one. */
#define EMPTY_RUN_S 60
/* Live traces are cut to MaxUse less this part of it. */
#define SHRINK_PART 16
/* Growing is resumed with this part of KeepFree more. */
#define RESUME_PART 8

/* --- looking --- */

static void note_file(int folder_fd, const char *name, uint64_t *bytes, int64_t *newest_s)
{
	struct stat st;

	if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return;
	*bytes += (uint64_t)st.st_blocks * 512;
	if (st.st_mtime > *newest_s)
		*newest_s = st.st_mtime;
}

static bool is_listed(const char *run, const char *trace, const char *const *live, size_t n_live)
{
	size_t len = strlen(run);

	for (size_t i = 0; i < n_live; i++) {
		if (strncmp(live[i], run, len) == 0 && live[i][len] == '/' &&
		    strcmp(live[i] + len + 1, trace) == 0)
			return true;
	}
	return false;
}

/* Returns whether it is a trace of ours. */
static bool look_at_trace(int run_fd, const char *name, struct retention_trace *ret)
{
	struct retention_trace trace = {0};
	auto_close int fd = folder_open(run_fd, name);
	struct stat st;

	if (fd < 0 || fstatat(fd, TARGET_NOTE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	for (size_t i = 0; retention_trace_files[i]; i++)
		note_file(fd, retention_trace_files[i], &trace.bytes, &trace.newest_s);
	/* When that can't be found out, better leave it alone. */
	trace.is_live = trace_folder_is_recorded(fd) != 0;
	trace.name = xstrdup(name);
	*ret = trace;
	return true;
}

/* Whether somebody has the run's note locked; also for sharing. */
static bool run_is_locked(int run_fd)
{
	auto_close int fd =
	    openat(run_fd, RUN_NOTE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fd < 0 || fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return true;
	return lock.l_type != F_UNLCK;
}

static int look_at_traces(int run_fd, struct retention_run *run, const char *const *live,
			  size_t n_live)
{
	auto_folder_names struct folder_names names = {0};
	int r = folder_names_read(run_fd, folder_name_is_trace, TRACES_MAX, &names);
	struct retention_trace *trace;
	size_t cap = 0;

	for (size_t i = 0; r == 0 && i < names.n; i++) {
		run->traces = xgrow(run->traces, &cap, run->n_traces + 1, sizeof(*run->traces));
		trace = &run->traces[run->n_traces];
		if (!look_at_trace(run_fd, names.names[i], trace))
			continue;
		run->n_traces++;
		trace->is_live |= is_listed(run->name, trace->name, live, n_live);
		run->is_open |= trace->is_live;
		run->bytes += trace->bytes;
		if (trace->newest_s > run->newest_s)
			run->newest_s = trace->newest_s;
	}
	return r;
}

/* Returns 1, 0 when it is no run of ours, or a negative errno. */
static int look_at_run(int root_fd, const char *name, const char *const *live, size_t n_live,
		       struct retention_run *ret)
{
	auto_close int fd = folder_open(root_fd, name);
	struct stat st;

	if (fd == -EMFILE || fd == -ENFILE)
		return fd;
	if (fd < 0 || fstatat(fd, RUN_NOTE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	*ret = (struct retention_run){.name = xstrdup(name), .is_open = run_is_locked(fd)};
	note_file(fd, RUN_NOTE_NAME, &ret->bytes, &ret->newest_s);
	/* A folder that was just emptied, or can't be read, has no traces that matter. */
	look_at_traces(fd, ret, live, n_live);
	return 1;
}

static int look_at_disk(int root_fd, uint64_t *ret_free)
{
	struct statvfs fs;

	if (fstatvfs(root_fd, &fs) < 0)
		return -errno;
	*ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

int retention_scan(int root_fd, const char *const *live, size_t n_live, struct retention_scan *ret)
{
	auto_folder_names struct folder_names names = {0};
	struct retention_scan scan = {0};
	size_t cap = 0;
	int r = look_at_disk(root_fd, &scan.free_bytes);

	if (r == 0)
		r = folder_names_read(root_fd, folder_name_is_run, RUNS_MAX, &names);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		scan.runs = xgrow(scan.runs, &cap, scan.n_runs + 1, sizeof(*scan.runs));
		r = look_at_run(root_fd, names.names[i], live, n_live, &scan.runs[scan.n_runs]);
		if (r <= 0)
			continue;
		scan.bytes += scan.runs[scan.n_runs++].bytes;
		r = 0;
	}
	if (r < 0) {
		retention_scan_done(&scan);
		return r;
	}
	*ret = scan;
	return 0;
}

void retention_scan_done(struct retention_scan *scan)
{
	for (size_t i = 0; i < scan->n_runs; i++) {
		for (size_t k = 0; k < scan->runs[i].n_traces; k++)
			free(scan->runs[i].traces[k].name);
		free(scan->runs[i].traces);
		free(scan->runs[i].name);
	}
	free(scan->runs);
	*scan = (struct retention_scan){0};
}

/* --- deciding --- */

struct deletable {
	struct retention_deletion *list;
	size_t n, cap;
};

static void add_deletable(struct deletable *all, const struct retention_run *run,
			  const struct retention_trace *trace)
{
	all->list = xgrow(all->list, &all->cap, all->n + 1, sizeof(*all->list));
	all->list[all->n++] = (struct retention_deletion){
	    .run = run->name,
	    .trace = trace ? trace->name : NULL,
	    .bytes = trace ? trace->bytes : run->bytes,
	    .newest_s = trace ? trace->newest_s : run->newest_s,
	};
}

static int compare_age(const void *a, const void *b)
{
	const struct retention_deletion *x = a, *y = b;
	int order;

	if (x->newest_s != y->newest_s)
		return x->newest_s < y->newest_s ? -1 : 1;
	order = folder_name_compare(x->run, y->run);
	/* A whole run has no other entry. */
	return order || !x->trace || !y->trace ? order : folder_name_compare(x->trace, y->trace);
}

static void collect_deletable(const struct retention_scan *scan, int64_t now_s,
			      struct deletable *all)
{
	for (size_t i = 0; i < scan->n_runs; i++) {
		const struct retention_run *run = &scan->runs[i];

		if (!run->is_open && (run->n_traces || run->newest_s < now_s - EMPTY_RUN_S))
			add_deletable(all, run, NULL);
		for (size_t k = 0; run->is_open && k < run->n_traces; k++) {
			if (!run->traces[k].is_live)
				add_deletable(all, run, &run->traces[k]);
		}
	}
	if (all->n)
		qsort(all->list, all->n, sizeof(*all->list), compare_age);
}

/* Whether it must go, with what is left after those before it. */
static bool must_go(const struct retention_limits *limits, const struct retention_plan *plan,
		    int64_t now_s, struct retention_deletion *d)
{
	if (limits->max_age_s && d->newest_s < now_s &&
	    (uint64_t)(now_s - d->newest_s) > limits->max_age_s)
		d->reason = RETENTION_TOO_OLD;
	else if (limits->max_use_bytes && plan->left_bytes > limits->max_use_bytes)
		d->reason = RETENTION_TOO_MUCH;
	else if (limits->delete_to_keep_free && plan->free_bytes < limits->keep_free_bytes)
		d->reason = RETENTION_DISK_FULL;
	else
		return false;
	return true;
}

/* The list is ordered by age, and only age and sums decide: what must go is its beginning. */
static void plan_deletions(const struct retention_scan *scan, const struct retention_limits *limits,
			   int64_t now_s, struct retention_plan *plan)
{
	struct deletable all = {0};

	collect_deletable(scan, now_s, &all);
	plan->deletions = all.list;
	for (size_t i = 0; i < all.n && must_go(limits, plan, now_s, &all.list[i]); i++) {
		plan->n_deletions++;
		plan->delete_bytes += all.list[i].bytes;
		plan->left_bytes -= all.list[i].bytes;
		plan->free_bytes += all.list[i].bytes;
	}
}

static void add_shrink(struct retention_plan *plan, size_t *cap, const struct retention_run *run,
		       const struct retention_trace *trace)
{
	plan->shrinks = xgrow(plan->shrinks, cap, plan->n_shrinks + 1, sizeof(*plan->shrinks));
	plan->shrinks[plan->n_shrinks++] = (struct retention_shrink){
	    .run = run->name,
	    .trace = trace->name,
	    .bytes = trace->bytes,
	};
}

/* Rounded up, so that it is enough. */
static void share_loss(struct retention_shrink *s, uint64_t lose_bytes, uint64_t live_bytes)
{
	double share = (double)lose_bytes * (double)s->bytes / (double)live_bytes;
	uint64_t up = (uint64_t)share + 1;

	s->lose_bytes = (double)(up - 1) == share ? up - 1 : up < s->bytes ? up : s->bytes;
}

static void plan_shrinks(const struct retention_scan *scan, uint64_t max_use_bytes,
			 struct retention_plan *plan)
{
	uint64_t live_bytes = 0, lose_bytes;
	size_t cap = 0;

	if (!max_use_bytes || plan->left_bytes <= max_use_bytes)
		return;
	for (size_t i = 0; i < scan->n_runs; i++) {
		for (size_t k = 0; k < scan->runs[i].n_traces; k++) {
			if (!scan->runs[i].traces[k].is_live || !scan->runs[i].traces[k].bytes)
				continue;
			add_shrink(plan, &cap, &scan->runs[i], &scan->runs[i].traces[k]);
			live_bytes += scan->runs[i].traces[k].bytes;
		}
	}
	lose_bytes = plan->left_bytes - (max_use_bytes - max_use_bytes / SHRINK_PART);
	if (lose_bytes > live_bytes)
		lose_bytes = live_bytes;
	for (size_t i = 0; i < plan->n_shrinks; i++)
		share_loss(&plan->shrinks[i], lose_bytes, live_bytes);
}

void retention_plan(const struct retention_scan *scan, const struct retention_limits *limits,
		    int64_t now_s, bool is_stopped, struct retention_plan *ret)
{
	struct retention_plan plan = {
	    .free_bytes = scan->free_bytes,
	    .left_bytes = scan->bytes,
	};
	uint64_t enough = limits->keep_free_bytes;

	plan_deletions(scan, limits, now_s, &plan);
	plan_shrinks(scan, limits->max_use_bytes, &plan);
	if (is_stopped)
		enough += enough / RESUME_PART;
	plan.stop_growing = plan.free_bytes < enough;
	*ret = plan;
}

void retention_plan_done(struct retention_plan *plan)
{
	free(plan->deletions);
	free(plan->shrinks);
	*plan = (struct retention_plan){0};
}
