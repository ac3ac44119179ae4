/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"
#include "common/trace_schema.h"
#include "recorder/folder_make.h"
#include "recorder/trace_name.h"

/* The highest number behind a name. */
#define NUMBER_MAX 9999
/* How often a name may be snatched away from us. */
#define TRIES 32

/* --- what can go wrong --- */

static int explain(int r, const char *what, const char *name, char *why, size_t size)
{
	auto_free char *shown = text_escape(name, strlen(name), "", TEXT_UTF8);

	switch (-r) {
	case ENOSPC:
	case EDQUOT:
		snprintf(why, size,
			 "cannot make the folder of %s %s: %s; make room on that disk, or let "
			 "`trackexec prune` delete old traces",
			 what, shown, strerror(-r));
		break;
	case EROFS:
		snprintf(why, size,
			 "cannot make the folder of %s %s: %s; mount that file system writable, or "
			 "give another root folder",
			 what, shown, strerror(-r));
		break;
	case EOPNOTSUPP:
		snprintf(why, size,
			 "cannot make the folder of %s %s: that file system does not keep the "
			 "owner, group and mode that it needs; give a root folder on one that does "
			 "(ext4, xfs, btrfs)",
			 what, shown);
		break;
	case EACCES:
	case EPERM:
		snprintf(why, size,
			 "cannot make or open the folder of %s %s: %s; run as root, or give a root "
			 "folder of your own",
			 what, shown, strerror(-r));
		break;
	case EEXIST:
		snprintf(why, size,
			 "cannot make the folder of %s %s: the names up to .%d are all taken; "
			 "remove some",
			 what, shown, NUMBER_MAX);
		break;
	case EBUSY:
		snprintf(why, size,
			 "%s %s is locked: another collector is recording it, or somebody has "
			 "locked the file " TARGET_NOTE_NAME " in its folder",
			 what, shown);
		break;
	case ENOENT:
		snprintf(why, size, "cannot make the folder of %s %s: the one above it is gone",
			 what, shown);
		break;
	default:
		snprintf(why, size, "cannot make or open the folder of %s %s: %s", what, shown,
			 strerror(-r));
	}
	return r;
}

/* --- names and their numbers --- */

/* 1 for BASE itself, N for BASE.N, 0 for anything else. */
static unsigned number_of(const char *name, const char *base)
{
	size_t len = strlen(base);
	char *end;
	unsigned long n;

	if (strncmp(name, base, len) != 0)
		return 0;
	if (!name[len])
		return 1;
	if (name[len] != '.' || name[len + 1] < '1' || name[len + 1] > '9')
		return 0;
	n = strtoul(name + len + 1, &end, 10);
	return *end || n < 2 || n > NUMBER_MAX ? 0 : (unsigned)n;
}

/* The first name behind all that are taken, by whatever has them. Returns 0 or -EEXIST. */
static int choose_name(const struct folder_names *names, const char *base,
		       char ret[static FOLDER_NAME_SIZE])
{
	unsigned last = 0;

	for (size_t i = 0; i < names->n; i++) {
		unsigned n = number_of(names->names[i], base);

		if (n > last)
			last = n;
	}
	if (last >= NUMBER_MAX)
		return -EEXIST;
	if (last == 0)
		snprintf(ret, FOLDER_NAME_SIZE, "%s", base);
	else
		snprintf(ret, FOLDER_NAME_SIZE, "%s.%u", base, last + 1);
	return 0;
}

/* --- runs --- */

int process_start_realtime(uint64_t start_ticks, int64_t *ret_s)
{
	auto_fclose FILE *f = fopen("/proc/stat", "re");
	long per_s = sysconf(_SC_CLK_TCK);
	auto_free char *line = NULL;
	size_t size = 0;
	int64_t boot_s;

	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0) {
		if (sscanf(line, "btime %" SCNd64, &boot_s) != 1)
			continue;
		*ret_s = boot_s + (int64_t)(start_ticks / (uint64_t)(per_s > 0 ? per_s : 100));
		return 0;
	}
	return -EIO;
}

static int format_run_name(int64_t started_s, char buf[static FOLDER_NAME_SIZE])
{
	time_t t = (time_t)started_s;
	struct tm tm;

	if (!localtime_r(&t, &tm))
		return -EINVAL;
	snprintf(buf, FOLDER_NAME_SIZE, "%02d%02d%02d-%02d%02d%02d", tm.tm_year % 100,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return 0;
}

/* What locking a note says when it goes away under our hands. */
static bool is_being_deleted(int r)
{
	return r == -ESTALE || r == -ENOENT || r == -EBUSY;
}

/* Take a run that is there if it is of this daemon. Returns 1, 0, or a negative errno. */
static int open_if_same(int root_fd, const char *name, const struct process_key *parent,
			struct run_folder *ret)
{
	auto_close int fd = folder_open(root_fd, name);
	auto_close int lock_fd = -1;
	struct folder_note note;

	/* Files, links, folders of others: somebody else's. */
	if (fd < 0 || folder_note_read(fd, RUN_NOTE_NAME, &note) < 0)
		return fd == -EMFILE || fd == -ENFILE ? fd : 0;
	if (!process_key_equal(&note.process, parent))
		return 0;
	lock_fd = folder_note_lock(fd, RUN_NOTE_NAME, NOTE_SHARED);
	if (is_being_deleted(lock_fd))
		return 0;
	if (lock_fd < 0)
		return lock_fd;
	ret->fd = steal_fd(&fd);
	ret->lock_fd = steal_fd(&lock_fd);
	ret->started_s = note.started_s;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	return 1;
}

/* Newest first: there it will be. Returns 1, 0 when there is none, or a negative errno. */
static int find_run(int root_fd, const struct folder_names *names, const struct process_key *parent,
		    struct run_folder *ret)
{
	int r = 0;

	for (size_t i = names->n; r == 0 && i > 0; i--)
		r = open_if_same(root_fd, names->names[i - 1], parent, ret);
	return r;
}

static int make_run(int root_fd, const struct folder_names *names, const char *base,
		    const struct folder_note *note, gid_t gid, struct run_folder *ret)
{
	const struct folder_recipe recipe = {
	    .name = ret->name,
	    .note_name = RUN_NOTE_NAME,
	    .note = note,
	    .lock = NOTE_SHARED,
	    .uid = (uid_t)-1,
	    .gid = gid,
	};
	int r = choose_name(names, base, ret->name);

	if (r < 0)
		return -ENAMETOOLONG;
	ret->started_s = note->started_s;
	return folder_make(root_fd, &recipe, &ret->fd, &ret->lock_fd);
}

/* One look and one try. Returns 1 when made, 0 when found, -EEXIST when others were faster. */
static int find_or_make_run(int root_fd, const char *base, const struct folder_note *note,
			    gid_t gid, struct run_folder *ret)
{
	auto_folder_names struct folder_names names = {0};
	int r = folder_names_read(root_fd, folder_name_is_run, RUNS_MAX, &names);

	if (r < 0)
		return r;
	r = find_run(root_fd, &names, &note->process, ret);
	if (r != 0)
		return r < 0 ? r : 0;
	folder_remove_leftovers(root_fd);
	r = make_run(root_fd, &names, base, note, gid, ret);
	return r < 0 ? r : 1;
}

int run_folder_open(int root_fd, const struct process_key *parent, int64_t started_s,
		    const struct folder_access *access, struct run_folder *ret, char *why,
		    size_t why_size)
{
	struct folder_note note = {.process = *parent, .started_s = started_s};
	auto_run_folder struct run_folder run = RUN_FOLDER_NONE;
	char base[FOLDER_NAME_SIZE] = "";
	int r = format_run_name(started_s, base);

	if (r == 0)
		r = -EEXIST;
	for (int i = 0; r == -EEXIST && i < TRIES; i++)
		r = find_or_make_run(root_fd, base, &note, access->gid, &run);
	if (r < 0)
		return explain(r == -ENAMETOOLONG ? -EEXIST : r, "run", base, why, why_size);
	*ret = run;
	run = RUN_FOLDER_NONE;
	return r;
}

void run_folder_close(struct run_folder *run)
{
	if (run->fd >= 0)
		close(run->fd);
	if (run->lock_fd >= 0)
		close(run->lock_fd);
	*run = RUN_FOLDER_NONE;
}

/* --- traces --- */

int run_folder_lock(int trace_fd)
{
	return folder_note_lock(trace_fd, TARGET_NOTE_NAME, NOTE_EXCLUSIVE);
}

/* A folder that belongs to another user is none that the worker could write in. */
static bool is_of_worker(int fd, uid_t uid)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (uid == (uid_t)-1 || st.st_uid == uid);
}

static bool has_database(int fd)
{
	struct stat st;

	return fstatat(fd, TRACE_FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Take a trace that is there if it is of this process. Returns 1, 0, or a negative errno. */
static int open_trace_if_same(const struct run_folder *run, const char *name,
			      const struct process_key *target, uid_t uid, struct trace_folder *ret)
{
	auto_close int fd = folder_open(run->fd, name);
	struct folder_note note;

	if (fd < 0 || folder_note_read(fd, TARGET_NOTE_NAME, &note) < 0)
		return fd == -EMFILE || fd == -ENFILE ? fd : 0;
	if (!process_key_equal(&note.process, target) || !is_of_worker(fd, uid))
		return 0;
	ret->lock_fd = run_folder_lock(fd);
	/* Deleted just now. */
	if (ret->lock_fd == -ESTALE || ret->lock_fd == -ENOENT)
		return 0;
	if (ret->lock_fd < 0)
		return ret->lock_fd;
	ret->state = has_database(fd) ? TRACE_FOLDER_CONTINUE : TRACE_FOLDER_NEW;
	ret->fd = steal_fd(&fd);
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	return 1;
}

/* All numbers, also behind a gap: the oldest may have been deleted. As open_trace_if_same(). */
static int find_trace(const struct run_folder *run, const struct folder_names *names,
		      const char *base, const struct process_key *target, uid_t uid,
		      struct trace_folder *ret)
{
	int r = 0;

	for (size_t i = names->n; r == 0 && i > 0; i--) {
		if (number_of(names->names[i - 1], base))
			r = open_trace_if_same(run, names->names[i - 1], target, uid, ret);
	}
	return r;
}

/* One look and one try. Returns 0, or -EEXIST when others were faster. */
static int find_or_make_trace(const struct run_folder *run, const char *name,
			      const struct process_key *target, const struct folder_access *access,
			      struct trace_folder *ret)
{
	auto_folder_names struct folder_names names = {0};
	const struct folder_note note = {.process = *target};
	const struct folder_recipe recipe = {
	    .name = ret->name,
	    .note_name = TARGET_NOTE_NAME,
	    .note = &note,
	    .lock = NOTE_EXCLUSIVE,
	    .uid = access->worker_uid,
	    .gid = access->gid,
	};
	int r = folder_names_read(run->fd, folder_name_is_trace, TRACES_MAX, &names);

	if (r < 0)
		return r;
	r = find_trace(run, &names, name, target, access->worker_uid, ret);
	if (r != 0)
		return r < 0 ? r : 0;
	folder_remove_leftovers(run->fd);
	r = choose_name(&names, name, ret->name);
	if (r < 0)
		return -ENAMETOOLONG;
	ret->state = TRACE_FOLDER_NEW;
	return folder_make(run->fd, &recipe, &ret->fd, &ret->lock_fd);
}

int run_folder_open_trace(const struct run_folder *run, const char *name,
			  const struct process_key *target, const struct folder_access *access,
			  struct trace_folder *ret, char *why, size_t why_size)
{
	auto_trace_folder struct trace_folder trace = TRACE_FOLDER_NONE;
	const char *fault;
	int r = -EEXIST;

	fault = trace_name_find_fault(name, strlen(name));
	if (fault) {
		snprintf(why, why_size, "the name for the trace %s", fault);
		return -EINVAL;
	}
	for (int i = 0; r == -EEXIST && i < TRIES; i++)
		r = find_or_make_trace(run, name, target, access, &trace);
	if (r < 0)
		return explain(r == -ENAMETOOLONG ? -EEXIST : r, "trace", name, why, why_size);
	*ret = trace;
	trace = TRACE_FOLDER_NONE;
	return 0;
}

void trace_folder_close(struct trace_folder *trace)
{
	if (trace->fd >= 0)
		close(trace->fd);
	if (trace->lock_fd >= 0)
		close(trace->lock_fd);
	*trace = TRACE_FOLDER_NONE;
}
