/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deleting runs and traces. The order makes it safe to be interrupted: a folder's note goes last,
 * so what is left is found and finished the next time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"
#include "common/trace_folder.h"
#include "common/trace_schema.h"
#include "common/units.h"
#include "common/xalloc.h"
#include "recorder/folder_make.h"
#include "recorder/latest_link.h"
#include "recorder/retention.h"
#include "recorder/retention_files.h"

/* In a folder of ours; more are not told. */
#define FILES_MAX 1000

const char *const retention_trace_files[] = {
    TRACE_FILE_NAME "-journal", TRACE_FILE_NAME "-shm",
    TRACE_FILE_NAME "-wal",	TRACE_FILE_NAME,
    TARGET_NOTE_NAME,		NULL,
};

const char *retention_reason_name(enum retention_reason reason)
{
	static const char *const names[] = {
	    [RETENTION_TOO_OLD] = "too old",
	    [RETENTION_TOO_MUCH] = "traces use too much",
	    [RETENTION_DISK_FULL] = "too little is free",
	};

	return names[reason];
}

/* One deletion on its way. */
struct deleting {
	const struct retention_ops *ops;
	void *ctx;
	const char *run;
	int error; /* the first */
};

static void tell_left(struct deleting *d, const char *trace, const char *file, int error)
{
	auto_free char *path = xasprintf("%s%s%s%s%s", d->run, trace ? "/" : "", trace ? trace : "",
					 file ? "/" : "", file ? file : "");

	d->ops->on_left(d->ctx, path, error);
	/* What is not ours is no failure. */
	if (d->error == 0 && error != -EEXIST)
		d->error = error;
}

static bool accept_all(const char *name)
{
	(void)name;
	return true;
}

/* Tell all that is in a folder of ours by now: it is not ours. */
static void tell_strangers(struct deleting *d, int fd, const char *trace)
{
	auto_folder_names struct folder_names names = {0};

	if (folder_names_read(fd, accept_all, FILES_MAX, &names) < 0)
		return;
	for (size_t i = 0; i < names.n; i++)
		tell_left(d, trace, names.names[i], -EEXIST);
}

static bool is_gone(int result)
{
	return result == 0 || errno == ENOENT;
}

/* Returns whether to go on. What has the name of a file of ours but is a folder is not ours. */
static bool delete_files(struct deleting *d, int fd, const char *trace)
{
	for (size_t i = 0; retention_trace_files[i]; i++) {
		int error = unlinkat(fd, retention_trace_files[i], 0) < 0 ? errno : 0;

		if (error == 0 || error == ENOENT || error == EISDIR)
			continue;
		tell_left(d, trace, retention_trace_files[i], -error);
		return false;
	}
	return true;
}

/* Its note is locked by us meanwhile: nobody starts to record into it. */
static void delete_trace(struct deleting *d, int run_fd, const char *name)
{
	auto_close int fd = folder_open(run_fd, name);
	auto_close int lock_fd =
	    fd < 0 ? fd : folder_note_lock(fd, TARGET_NOTE_NAME, NOTE_EXCLUSIVE);

	if (lock_fd == -ENOENT || lock_fd == -ESTALE)
		return;
	/* Not a file, but named as the note: it can't be locked, nor be ours to begin with. */
	if (lock_fd < 0 && lock_fd != -EBADMSG) {
		tell_left(d, name, NULL, lock_fd);
		return;
	}
	if (!delete_files(d, fd, name))
		return;
	if (is_gone(unlinkat(run_fd, name, AT_REMOVEDIR)))
		return;
	if (errno == ENOTEMPTY || errno == EEXIST)
		tell_strangers(d, fd, name);
	else
		tell_left(d, name, NULL, -errno);
}

static bool is_trace(int run_fd, const char *name)
{
	auto_close int fd = folder_open(run_fd, name);
	struct stat st;

	return fd >= 0 && fstatat(fd, TARGET_NOTE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void delete_traces(struct deleting *d, int run_fd)
{
	auto_folder_names struct folder_names names = {0};
	int r = folder_names_read(run_fd, folder_name_is_trace, TRACES_MAX, &names);

	if (r < 0)
		tell_left(d, NULL, NULL, r);
	for (size_t i = 0; i < names.n; i++) {
		if (is_trace(run_fd, names.names[i]))
			delete_trace(d, run_fd, names.names[i]);
	}
}

static void delete_run(struct deleting *d, int root_fd, int run_fd)
{
	auto_close int lock_fd = folder_note_lock(run_fd, RUN_NOTE_NAME, NOTE_EXCLUSIVE);

	if (lock_fd == -ENOENT || lock_fd == -ESTALE)
		return;
	if (lock_fd < 0) {
		tell_left(d, NULL, NULL, lock_fd);
		return;
	}
	delete_traces(d, run_fd);
	if (d->error < 0)
		return;
	if (!is_gone(unlinkat(run_fd, RUN_NOTE_NAME, 0))) {
		tell_left(d, NULL, RUN_NOTE_NAME, -errno);
		return;
	}
	if (is_gone(unlinkat(root_fd, d->run, AT_REMOVEDIR)))
		return;
	if (errno == ENOTEMPTY || errno == EEXIST)
		tell_strangers(d, run_fd, NULL);
	else
		tell_left(d, NULL, NULL, -errno);
}

int retention_delete(int root_fd, const struct retention_deletion *deletion,
		     const struct retention_ops *ops, void *ctx)
{
	struct deleting d = {.ops = ops, .ctx = ctx, .run = deletion->run};
	auto_close int run_fd = -1;

	if (!folder_name_is_run(deletion->run) ||
	    (deletion->trace && !folder_name_is_trace(deletion->trace)))
		return -EINVAL;
	run_fd = folder_open(root_fd, deletion->run);
	if (run_fd == -ENOENT)
		return 0;
	if (run_fd < 0)
		tell_left(&d, NULL, NULL, run_fd);
	else if (deletion->trace)
		delete_trace(&d, run_fd, deletion->trace);
	else
		delete_run(&d, root_fd, run_fd);
	if (d.error == 0)
		ops->on_deleted(ctx, deletion);
	return d.error;
}

int retention_apply(int root_fd, const struct retention_plan *plan, const struct retention_ops *ops,
		    void *ctx, uint64_t *ret_bytes)
{
	int error = 0, r;

	*ret_bytes = 0;
	for (size_t i = 0; i < plan->n_deletions; i++) {
		r = retention_delete(root_fd, &plan->deletions[i], ops, ctx);
		if (r == 0)
			*ret_bytes += plan->deletions[i].bytes;
		else if (error == 0)
			error = r;
	}
	for (size_t i = 0; ops->shrink && i < plan->n_shrinks; i++)
		ops->shrink(ctx, &plan->shrinks[i]);
	r = plan->n_deletions ? latest_link_repair(root_fd) : 0;
	if (r < 0)
		ops->on_left(ctx, LATEST_NAME, r);
	return error;
}

/* --- for the daemon --- */

static void log_deleted(void *ctx, const struct retention_deletion *d)
{
	auto_free char *trace =
	    text_escape(d->trace ? d->trace : "", d->trace ? strlen(d->trace) : 0, "", TEXT_UTF8);
	char bytes[UNITS_MAX], date[32] = "?";
	time_t newest = (time_t)d->newest_s;
	struct tm tm;

	(void)ctx;
	format_bytes(d->bytes, bytes);
	if (localtime_r(&newest, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
	log_info("deleted %s %s%s%s (%s, last written %s): %s", d->trace ? "trace" : "run", d->run,
		 d->trace ? "/" : "", trace, bytes, date, retention_reason_name(d->reason));
}

static void log_left(void *ctx, const char *path, int error)
{
	auto_free char *shown = text_escape(path, strlen(path), "", TEXT_UTF8);

	(void)ctx;
	if (error == -EEXIST)
		log_warning("%s is not ours: left where it is, with its folder", shown);
	else if (error == -EBUSY)
		log_info("%s is being recorded: not deleted", shown);
	else
		log_warning("cannot delete %s: %s", shown, strerror(-error));
}

const struct retention_ops retention_log_ops = {
    .on_deleted = log_deleted,
    .on_left = log_left,
};
