/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/folder_make.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/trace_folder.h"
#include "recorder/act_as.h"

#define LEFTOVER_S    600
#define LEFTOVERS_MAX 1000

void folder_temp_name(const char *prefix, char buf[static TEMP_NAME_SIZE])
{
	uint64_t random = 0;

	/* Up to 256 bytes come whole; early at boot it may fail, and the clock has to do. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = clock_monotonic_ns() ^ ((uint64_t)getpid() << 40);
	snprintf(buf, TEMP_NAME_SIZE, "%s%016" PRIx64, prefix, random);
}

static int write_text(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int lock_note(int fd, enum note_lock lock)
{
	struct flock whole = {
	    .l_type = lock == NOTE_SHARED ? F_RDLCK : F_WRLCK,
	    .l_whence = SEEK_SET,
	};

	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/*
 * A folder with its temporary name. It is its owner's from now on: should he get at it, he can do
 * no more than later, since the note is made anew or not at all. Returns a descriptor.
 */
static int make_owned(int parent_fd, const char *temp, const struct actor *owner)
{
	auto_act_as struct act_as scope = {0};
	auto_close int fd = -1;
	int r = act_as_begin(owner, &scope);

	if (r < 0)
		return r;
	if (mkdirat(parent_fd, temp, 0750) < 0)
		return -errno;
	fd = folder_open(parent_fd, temp);
	r = fd < 0 ? fd : act_as_settle(owner, fd, 0750);
	if (r == 0)
		return steal_fd(&fd);
	unlinkat(parent_fd, temp, AT_REMOVEDIR);
	return r;
}

/* Returns the note's descriptor. */
static int make_note(int folder_fd, const struct folder_recipe *recipe)
{
	const struct actor owner = {.uid = (uid_t)-1, .gid = recipe->gid};
	auto_act_as struct act_as scope = {0};
	auto_close int fd = -1;
	char text[FOLDER_NOTE_SIZE];
	size_t len = folder_note_format(recipe->note, text);
	int r = act_as_begin(&owner, &scope);

	if (r < 0)
		return r;
	fd = openat(folder_fd, recipe->note_name,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	r = act_as_settle(&owner, fd, 0640);
	if (r == 0)
		r = write_text(fd, text, len);
	if (r == 0)
		r = lock_note(fd, recipe->lock);
	return r < 0 ? r : steal_fd(&fd);
}

static int rename_to_free_name(int parent_fd, const char *from, const char *to)
{
	struct stat st;

	if (renameat2(parent_fd, from, parent_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/*
	 * The file system can't do that (NFS). Without it a folder replaces an empty folder only,
	 * and ours are never empty.
	 */
	if (fstatat(parent_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (renameat(parent_fd, from, parent_fd, to) == 0)
		return 0;
	return errno == ENOTEMPTY || errno == ENOTDIR ? -EEXIST : -errno;
}

static void unmake(int parent_fd, const char *temp, int folder_fd, const char *note_name)
{
	unlinkat(folder_fd, note_name, 0);
	unlinkat(parent_fd, temp, AT_REMOVEDIR);
}

int folder_make(int parent_fd, const struct folder_recipe *recipe, int *ret_fd, int *ret_lock_fd)
{
	/* The folder above is ours, not the owner's. */
	const struct actor owner = {.uid = recipe->uid, .gid = recipe->gid, .overrides = true};
	auto_close int fd = -1, note_fd = -1;
	char temp[TEMP_NAME_SIZE];
	int r;

	folder_temp_name(TEMP_FOLDER_PREFIX, temp);
	fd = make_owned(parent_fd, temp, &owner);
	if (fd < 0)
		return fd;
	note_fd = make_note(fd, recipe);
	r = note_fd < 0 ? note_fd : rename_to_free_name(parent_fd, temp, recipe->name);
	if (r < 0) {
		unmake(parent_fd, temp, fd, recipe->note_name);
		return r;
	}
	*ret_fd = steal_fd(&fd);
	*ret_lock_fd = steal_fd(&note_fd);
	return 0;
}

int folder_note_lock(int folder_fd, const char *note_name, enum note_lock lock)
{
	auto_close int fd =
	    openat(folder_fd, note_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ELOOP || errno == EISDIR || errno == ENXIO ? -EBADMSG : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	r = lock_note(fd, lock);
	if (r < 0)
		return r;
	/* Whoever deletes it has it locked meanwhile. */
	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_nlink == 0 ? -ESTALE : steal_fd(&fd);
}

static bool is_temporary(const char *name)
{
	return strncmp(name, TEMP_FOLDER_PREFIX, strlen(TEMP_FOLDER_PREFIX)) == 0 ||
	       strncmp(name, TEMP_LATEST_PREFIX, strlen(TEMP_LATEST_PREFIX)) == 0;
}

static void remove_leftover(int folder_fd, const char *name)
{
	auto_close int fd = folder_open(folder_fd, name);

	if (fd < 0) {
		unlinkat(folder_fd, name, 0);
		return;
	}
	unlinkat(fd, RUN_NOTE_NAME, 0);
	unlinkat(fd, TARGET_NOTE_NAME, 0);
	unlinkat(folder_fd, name, AT_REMOVEDIR);
}

void folder_remove_leftovers(int folder_fd)
{
	auto_folder_names struct folder_names names = {0};
	int64_t now_s = (int64_t)(clock_realtime_ns() / NS_PER_S);
	struct stat st;

	if (folder_names_read(folder_fd, is_temporary, LEFTOVERS_MAX, &names) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		if (fstatat(folder_fd, names.names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtime < now_s - LEFTOVER_S)
			remove_leftover(folder_fd, names.names[i]);
	}
}
