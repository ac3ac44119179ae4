/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where traces of the collector lie, and what the small files there say:
 *
 *     ROOT/latest -> 261122-181900
 *     ROOT/261122-181900/run                   the process whose sub-processes were recorded
 *     ROOT/261122-181900/server-main/target    the process that was recorded
 *     ROOT/261122-181900/server-main/trace.db
 *
 * `run` and `target` are notes, written once when their folder is made. A `target` is locked for
 * writing (an OFD lock) while its trace is being recorded. Recorder and reader take all this from
 * here. Nothing here follows a symbolic link, or believes what a file says without a check.
 */
#ifndef COMMON_TRACE_FOLDER_H
#define COMMON_TRACE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TRACE_ROOT_DEFAULT "/var/log/walt/trackexec"
#define LATEST_NAME	   "latest"
#define RUN_NOTE_NAME	   "run"
#define TARGET_NOTE_NAME   "target"

/* Length of a folder's name with its NUL byte: 64 bytes, and ".2" and so on behind them. */
#define FOLDER_NAME_SIZE 80
#define BOOT_ID_SIZE	 37

/* One process for good: process ids are used again, start times after a boot, too. */
struct process_key {
	pid_t pid;
	uint64_t start_ticks; /* field 22 of /proc/PID/stat */
	char boot_id[BOOT_ID_SIZE];
};

/* Of a process that runs now. Returns 0 or a negative errno. */
int process_key_init(pid_t pid, uint64_t start_ticks, struct process_key *ret);
bool process_key_equal(const struct process_key *a, const struct process_key *b);

struct folder_note {
	struct process_key process;
	int64_t started_s; /* when it started, seconds since 1970; 0: not known */
};

/*
 *     pid 4242
 *     start_ticks 123456
 *     boot_id 0fb2f0d7-7c2b-4a4e-9c27-1f6a41c7b1a5
 *     started 1795371540
 *
 * Returns 0 or -EBADMSG. Lines that are not known are skipped.
 */
int folder_note_parse(const char *text, size_t len, struct folder_note *ret);
#define FOLDER_NOTE_SIZE 256
/* Returns the length. */
size_t folder_note_format(const struct folder_note *note, char buf[static FOLDER_NOTE_SIZE]);
/* Returns 0, -ENOENT, -EBADMSG (also: not a file), or another negative errno. Does not block. */
int folder_note_read(int folder_fd, const char *name, struct folder_note *ret);

/* Whether a name found on disk is that of a run's or a trace's folder as we make them. */
bool folder_name_is_run(const char *name); /* YYMMDD-HHMMSS, or with .2, .3 … behind it */
bool folder_name_is_trace(const char *name);

/*
 * Whether a trace is being recorded now.
 * @trace_fd  its folder
 * Returns 1, 0 (also: no note, so not made by the collector), or a negative errno (-EACCES).
 */
int trace_folder_is_recorded(int trace_fd);

/* Open a folder beneath another one; a symbolic link is none. Returns a descriptor or -errno. */
int folder_open(int parent_fd, const char *name);

struct folder_names {
	char **names;
	size_t n;
};
/*
 * What is in a folder and has an accepted name, whatever it is, in an order in which "x.10" is
 * behind "x.9".
 * @max  entries; more are left out
 * Returns 0 or a negative errno. To be released with folder_names_done().
 */
int folder_names_read(int folder_fd, bool (*accept)(const char *name), size_t max,
		      struct folder_names *ret);
void folder_names_done(struct folder_names *names);
#define auto_folder_names __attribute__((cleanup(folder_names_done)))

/* By that order: less than 0, 0, more than 0. */
int folder_name_compare(const char *a, const char *b);

/* More runs, or traces of a run, are not looked at. */
#define RUNS_MAX   65536
#define TRACES_MAX 4096

#endif
