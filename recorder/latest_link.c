/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/latest_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/trace_folder.h"
#include "recorder/folder_make.h"

/* When a run started, by its note; -1 when it is not there, or not ours. */
static int64_t read_start(int root_fd, const char *run_name)
{
	auto_close int fd = -1;
	struct folder_note note;

	if (!folder_name_is_run(run_name))
		return -1;
	fd = folder_open(root_fd, run_name);
	if (fd < 0 || folder_note_read(fd, RUN_NOTE_NAME, &note) < 0)
		return -1;
	return note.started_s;
}

/* Its target; "" when that can be no run of ours. */
static int read_link(int root_fd, char buf[static FOLDER_NAME_SIZE])
{
	ssize_t n = readlinkat(root_fd, LATEST_NAME, buf, FOLDER_NAME_SIZE);

	if (n < 0)
		return -errno;
	buf[n < FOLDER_NAME_SIZE ? n : 0] = '\0';
	return 0;
}

static int replace(int root_fd, const char *run_name)
{
	char temp[TEMP_NAME_SIZE];
	int r = 0;

	folder_temp_name(TEMP_LATEST_PREFIX, temp);
	if (symlinkat(run_name, root_fd, temp) < 0)
		return -errno;
	if (renameat(root_fd, temp, root_fd, LATEST_NAME) < 0) {
		r = -errno;
		unlinkat(root_fd, temp, 0);
	}
	return r;
}

static int explain(int r, char *why, size_t why_size)
{
	if (r == -EEXIST || r == -EISDIR)
		snprintf(why, why_size,
			 LATEST_NAME " is not a symbolic link: rename it, so that it can be one to "
				     "the newest run");
	else
		snprintf(why, why_size, "cannot replace the link " LATEST_NAME ": %s",
			 strerror(-r));
	return r;
}

int latest_link_update(int root_fd, const char *run_name, int64_t started_s, char *why,
		       size_t why_size)
{
	char old[FOLDER_NAME_SIZE];
	int r = read_link(root_fd, old);

	/* EINVAL: it is there, but not a link. */
	if (r == -EINVAL)
		return explain(-EEXIST, why, why_size);
	if (r < 0 && r != -ENOENT)
		return explain(r, why, why_size);
	if (r == 0 && strcmp(old, run_name) == 0)
		return 0;
	if (r == 0 && read_start(root_fd, old) > started_s)
		return 0;
	r = replace(root_fd, run_name);
	return r < 0 ? explain(r, why, why_size) : 1;
}

/* The newest run with a note, by its name; NULL when there is none. */
static const char *find_newest(int root_fd, const struct folder_names *runs)
{
	for (size_t i = runs->n; i > 0; i--) {
		if (read_start(root_fd, runs->names[i - 1]) >= 0)
			return runs->names[i - 1];
	}
	return NULL;
}

int latest_link_repair(int root_fd)
{
	auto_folder_names struct folder_names runs = {0};
	char old[FOLDER_NAME_SIZE];
	const char *newest;
	int r = read_link(root_fd, old);

	if (r == -ENOENT || r == -EINVAL)
		return 0;
	if (r < 0)
		return r;
	if (read_start(root_fd, old) >= 0)
		return 0;
	r = folder_names_read(root_fd, folder_name_is_run, RUNS_MAX, &runs);
	if (r < 0)
		return r;
	newest = find_newest(root_fd, &runs);
	if (newest)
		r = replace(root_fd, newest);
	else if (unlinkat(root_fd, LATEST_NAME, 0) < 0)
		r = -errno;
	return r < 0 ? r : 1;
}
