/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/trace_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/trace_folder.h"
#include "common/xalloc.h"
#include "reader/trace.h"

const char *listed_state_name(enum listed_state state)
{
	static const char *const names[] = {
	    [LISTED_RECORDING] = "recording", [LISTED_STARTING] = "starting",
	    [LISTED_ENDED] = "ended",	      [LISTED_KILLED] = "killed",
	    [LISTED_EMPTY] = "empty",	      [LISTED_DAMAGED] = "damaged",
	    [LISTED_NEWER] = "newer",	      [LISTED_UNREADABLE] = "unreadable",
	};

	return names[state];
}

DEFINE_CLEANUP(struct trace *, trace_close)

static void take_meta(struct trace *t, struct listed_trace *l)
{
	uint64_t start_ns = 0, end_ns = 0;

	trace_meta_int(t, META_PID, &l->pid);
	trace_meta_text(t, META_PYTHON, &l->python);
	trace_meta_int(t, META_START_REALTIME, &l->start_realtime_ns);
	trace_meta_int(t, META_UTC_OFFSET, &l->utc_offset_s);
	if (trace_span(t, &start_ns, &end_ns) == 0)
		l->duration_ns = end_ns - start_ns;
}

static enum listed_state state_of_error(int r)
{
	switch (r) {
	case -ENOENT:
		return LISTED_EMPTY;
	case -EBADMSG:
		return LISTED_DAMAGED;
	case -EPROTONOSUPPORT:
		return LISTED_NEWER;
	default:
		return LISTED_UNREADABLE;
	}
}

/* Of one whose folder is locked. Busy is one that is being written to at this moment. */
static enum listed_state state_while_recorded(int r, bool is_blank)
{
	if (is_blank)
		return LISTED_STARTING;
	return r == -EBUSY ? LISTED_RECORDING : state_of_error(r);
}

/* @is_blank  its database is not there, or nothing is in it */
static void read_trace(const char *path, bool is_recorded, bool is_blank, struct listed_trace *l)
{
	auto_release(trace_close) struct trace *t = NULL;
	char why[512] = "";
	int r = trace_open(path, &t, why, sizeof(why));

	if (r < 0) {
		l->state = is_recorded ? state_while_recorded(r, is_blank) : state_of_error(r);
		if (l->state > LISTED_EMPTY)
			l->detail = xstrdup(why);
		return;
	}
	take_meta(t, l);
	if (is_recorded)
		l->state = LISTED_RECORDING;
	else if (trace_is_damaged(t))
		l->state = LISTED_DAMAGED;
	else if (trace_meta_text(t, META_END_REASON, &l->detail) == 0)
		l->state = LISTED_ENDED;
	else
		l->state = LISTED_KILLED;
}

static uint64_t read_size(int trace_fd)
{
	static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
	char name[sizeof(TRACE_FILE_NAME "-journal")];
	uint64_t bytes = 0;
	struct stat st;

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(name, sizeof(name), TRACE_FILE_NAME "%s", endings[i]);
		if (fstatat(trace_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_blocks * 512;
	}
	return bytes;
}

/* What the folder says, then what the trace in it says. Returns whether it is one. */
static bool list_trace(const char *root, const char *run, int run_fd, const char *name,
		       struct listed_trace *ret)
{
	auto_close int fd = folder_open(run_fd, name);
	auto_free char *path = xasprintf("%s/%s/%s", root, run, name);
	struct listed_trace l = {0};
	struct folder_note note;
	struct stat st;
	bool has_note, has_database;

	if (fd < 0)
		return false;
	has_note = folder_note_read(fd, TARGET_NOTE_NAME, &note) == 0;
	has_database = fstatat(fd, TRACE_FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!has_note && !has_database)
		return false;
	l.run = xstrdup(run);
	l.name = xstrdup(name);
	l.pid = has_note ? note.process.pid : 0;
	l.bytes = read_size(fd);
	if (has_database && !S_ISREG(st.st_mode)) {
		l.state = LISTED_DAMAGED;
		l.detail = xstrdup(TRACE_FILE_NAME " is not a file");
	} else {
		read_trace(path, trace_folder_is_recorded(fd) > 0, !has_database || st.st_size == 0,
			   &l);
	}
	*ret = l;
	return true;
}

static int list_run(const char *root, int root_fd, const char *run, size_t *cap,
		    struct trace_list *list)
{
	auto_close int run_fd = folder_open(root_fd, run);
	auto_folder_names struct folder_names names = {0};
	int r;

	/* Files and links are no runs. */
	if (run_fd < 0)
		return run_fd == -ENOTDIR || run_fd == -ELOOP || run_fd == -ENOENT ? 0 : run_fd;
	r = folder_names_read(run_fd, folder_name_is_trace, TRACES_MAX, &names);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		list->traces = xgrow(list->traces, cap, list->n + 1, sizeof(*list->traces));
		if (list_trace(root, run, run_fd, names.names[i], &list->traces[list->n]))
			list->n++;
	}
	return r;
}

static char *read_latest(int root_fd)
{
	char buf[FOLDER_NAME_SIZE];
	ssize_t n = readlinkat(root_fd, LATEST_NAME, buf, sizeof(buf) - 1);

	if (n < 0)
		return NULL;
	buf[n] = '\0';
	return folder_name_is_run(buf) ? xstrdup(buf) : NULL;
}

int trace_list_read(const char *root, struct trace_list *ret)
{
	auto_close int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_folder_names struct folder_names runs = {0};
	struct trace_list list = {0};
	size_t cap = 0;
	int r;

	if (root_fd < 0)
		return -errno;
	r = folder_names_read(root_fd, folder_name_is_run, RUNS_MAX, &runs);
	if (r < 0)
		return r;
	list.latest = read_latest(root_fd);
	for (size_t i = 0; i < runs.n; i++) {
		r = list_run(root, root_fd, runs.names[i], &cap, &list);
		if (r == 0)
			continue;
		list.n_unreadable++;
		list.unreadable_error = r;
	}
	*ret = list;
	return 0;
}

void trace_list_done(struct trace_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->traces[i].run);
		free(list->traces[i].name);
		free(list->traces[i].detail);
		free(list->traces[i].python);
	}
	free(list->traces);
	free(list->latest);
	*list = (struct trace_list){0};
}
