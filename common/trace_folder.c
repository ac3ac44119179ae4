/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/trace_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define RUN_NAME_LEN 13

/* Up to size - 1 bytes, NUL-terminated; returns how many. */
static int read_text(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1) {
		n = read(fd, buf + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return (int)len;
}

static bool is_boot_id(const char *s)
{
	return strlen(s) == BOOT_ID_SIZE - 1 && strspn(s, "0123456789abcdef-") == BOOT_ID_SIZE - 1;
}

int process_key_init(pid_t pid, uint64_t start_ticks, struct process_key *ret)
{
	struct process_key key = {.pid = pid, .start_ticks = start_ticks};
	auto_close int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = read_text(fd, key.boot_id, sizeof(key.boot_id));
	if (r < 0)
		return r;
	if (!is_boot_id(key.boot_id))
		return -EIO;
	*ret = key;
	return 0;
}

bool process_key_equal(const struct process_key *a, const struct process_key *b)
{
	return a->pid == b->pid && a->start_ticks == b->start_ticks &&
	       strcmp(a->boot_id, b->boot_id) == 0;
}

/* A whole number up to max and nothing behind it. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (*text < '0' || *text > '9' || digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*ret = value;
	return true;
}

/* Returns whether the line is one that may be there. */
static bool parse_line(const char *key, const char *value, struct folder_note *note)
{
	uint64_t n;

	if (strcmp(key, "pid") == 0) {
		if (!parse_number(value, INT_MAX, &n))
			return false;
		note->process.pid = (pid_t)n;
	} else if (strcmp(key, "start_ticks") == 0) {
		return parse_number(value, UINT64_MAX, &note->process.start_ticks);
	} else if (strcmp(key, "boot_id") == 0) {
		if (!is_boot_id(value))
			return false;
		memcpy(note->process.boot_id, value, BOOT_ID_SIZE);
	} else if (strcmp(key, "started") == 0) {
		if (!parse_number(value, INT64_MAX, &n))
			return false;
		note->started_s = (int64_t)n;
	}
	return true;
}

int folder_note_parse(const char *text, size_t len, struct folder_note *ret)
{
	struct folder_note note = {0};
	char buf[FOLDER_NOTE_SIZE];
	char *line, *value, *rest = NULL;

	if (len >= sizeof(buf) || memchr(text, 0, len))
		return -EBADMSG;
	memcpy(buf, text, len);
	buf[len] = '\0';
	for (line = strtok_r(buf, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		value = strchr(line, ' ');
		if (!value)
			return -EBADMSG;
		*value++ = '\0';
		if (!parse_line(line, value, &note))
			return -EBADMSG;
	}
	if (note.process.pid <= 0 || !note.process.boot_id[0])
		return -EBADMSG;
	*ret = note;
	return 0;
}

size_t folder_note_format(const struct folder_note *note, char buf[static FOLDER_NOTE_SIZE])
{
	return (size_t)snprintf(buf, FOLDER_NOTE_SIZE,
				"pid %d\nstart_ticks %" PRIu64 "\nboot_id %s\nstarted %" PRId64
				"\n",
				(int)note->process.pid, note->process.start_ticks,
				note->process.boot_id, note->started_s > 0 ? note->started_s : 0);
}

/* O_NONBLOCK: whoever may write in the folder could have put a FIFO there. */
static int open_note(int folder_fd, const char *name)
{
	auto_close int fd =
	    openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	return steal_fd(&fd);
}

int folder_note_read(int folder_fd, const char *name, struct folder_note *ret)
{
	auto_close int fd = open_note(folder_fd, name);
	/* One byte more than a note may have, to see that it is too long. */
	char text[FOLDER_NOTE_SIZE + 1];
	int r;

	if (fd < 0)
		return fd;
	r = read_text(fd, text, sizeof(text));
	return r < 0 ? r : folder_note_parse(text, (size_t)r, ret);
}

bool folder_name_is_run(const char *name)
{
	static const char pattern[] = "######-######";

	for (size_t i = 0; i < RUN_NAME_LEN; i++) {
		if (pattern[i] == '#' ? name[i] < '0' || name[i] > '9' : name[i] != pattern[i])
			return false;
	}
	name += RUN_NAME_LEN;
	if (!*name)
		return true;
	return name[0] == '.' && name[1] >= '1' && name[1] <= '9' &&
	       strspn(name + 1, "0123456789") == strlen(name + 1) && strlen(name) <= 6;
}

bool folder_name_is_trace(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= FOLDER_NAME_SIZE || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c < 0x20 || c == 0x7f || c == '/')
			return false;
	}
	return true;
}

/*
 * Asking with a read lock: only a write lock stands against it, and for that one must be allowed
 * to write the note. Who may merely read cannot make a trace look as if it were being recorded.
 */
int trace_folder_is_recorded(int trace_fd)
{
	auto_close int fd = open_note(trace_fd, TARGET_NOTE_NAME);
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	if (fd == -ENOENT || fd == -EBADMSG)
		return 0;
	if (fd < 0)
		return fd;
	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}

int folder_open(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

/* By what stands before the last point if a number follows it, then by the number. */
int folder_name_compare(const char *a, const char *b)
{
	const char *a_dot = strrchr(a, '.'), *b_dot = strrchr(b, '.');
	size_t a_len = a_dot && is_number(a_dot + 1) ? (size_t)(a_dot - a) : strlen(a);
	size_t b_len = b_dot && is_number(b_dot + 1) ? (size_t)(b_dot - b) : strlen(b);
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
	size_t a_rest, b_rest;

	if (order)
		return order;
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	a_rest = strlen(a + a_len);
	b_rest = strlen(b + b_len);
	/* Our numbers have no leading zeros: the longer one is larger. */
	if (a_rest != b_rest)
		return a_rest < b_rest ? -1 : 1;
	return strcmp(a + a_len, b + b_len);
}

static int compare_names(const void *a, const void *b)
{
	return folder_name_compare(*(char *const *)a, *(char *const *)b);
}

DEFINE_CLEANUP(DIR *, closedir)

/* The next one whose name is accepted; NULL at the end, or with errno. */
static const struct dirent *read_accepted(DIR *dir, bool (*accept)(const char *name))
{
	const struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(dir);
	} while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			   !accept(entry->d_name)));
	return entry;
}

int folder_names_read(int folder_fd, bool (*accept)(const char *name), size_t max,
		      struct folder_names *ret)
{
	/* A descriptor of its own: the position in the folder belongs to it. */
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_release(closedir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct folder_names names = {0};
	const struct dirent *entry;
	size_t cap = 0;

	if (!dir) {
		int r = -errno;

		if (fd >= 0)
			close(fd);
		return r;
	}
	while (names.n < max && (entry = read_accepted(dir, accept))) {
		names.names = xgrow(names.names, &cap, names.n + 1, sizeof(*names.names));
		names.names[names.n++] = xstrdup(entry->d_name);
	}
	if (names.n < max && errno) {
		int r = -errno;

		folder_names_done(&names);
		return r;
	}
	if (names.n)
		qsort(names.names, names.n, sizeof(*names.names), compare_names);
	*ret = names;
	return 0;
}

void folder_names_done(struct folder_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct folder_names){0};
}
