/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a folder with a note in it, all at once: nobody ever finds it without its note, with
 * other permissions, or half made. It is made under a temporary name and then renamed.
 */
#ifndef RECORDER_FOLDER_MAKE_H
#define RECORDER_FOLDER_MAKE_H

#include <stddef.h>
#include <sys/types.h>

struct folder_note;

/*
 * Locks on notes are OFD locks, they belong to the open file: one holds until the last descriptor
 * of it, also those passed to other processes, is closed.
 */
enum note_lock {
	NOTE_SHARED,	/* several may have it: a run that somebody records into */
	NOTE_EXCLUSIVE, /* a trace that is recorded; also whatever is being deleted */
};

struct folder_recipe {
	const char *name;
	const char *note_name;
	const struct folder_note *note;
	enum note_lock lock;
	uid_t uid; /* the folder's owner; (uid_t)-1: whoever makes it, who also owns the note */
	gid_t gid; /* of both; (gid_t)-1: left as it comes */
};

/*
 * Make it in a folder in which only we may write, with mode 0750. The note (0640) is locked
 * before it can be found. It is made in the owner's name (see act_as.h), never given away.
 * @ret_lock_fd  the note: holds the lock
 * Returns 0, -EEXIST when the name is taken, by whatever it is, -EOPNOTSUPP when the file system
 * does not keep owner, group or mode, or another negative errno; then nothing is left.
 */
int folder_make(int parent_fd, const struct folder_recipe *recipe, int *ret_fd, int *ret_lock_fd);

/*
 * Open a note and lock it, without waiting.
 * Returns a descriptor; -EBUSY when a lock stands against it, -ESTALE when it was deleted
 * meanwhile, -EBADMSG when it is no file, or another negative errno.
 */
int folder_note_lock(int folder_fd, const char *note_name, enum note_lock lock);

#define TEMP_NAME_SIZE 40
/* ".new.0123456789abcdef" and the like: never the name of a run or a trace. */
void folder_temp_name(const char *prefix, char buf[static TEMP_NAME_SIZE]);
#define TEMP_FOLDER_PREFIX ".new."
#define TEMP_LATEST_PREFIX ".latest."
/* Remove what somebody who was killed has left under such names more than ten minutes ago. */
void folder_remove_leftovers(int folder_fd);

#endif
