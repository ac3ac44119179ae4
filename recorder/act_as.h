/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making and opening files in the name of another user. What is made belongs to that user and
 * group at once, for which no right to give files away (CAP_CHOWN) is needed, but that to become
 * others (CAP_SETUID, CAP_SETGID); what is opened is what that user may open.
 *
 * Only the calling thread acts so: others, of which one may hang in the kernel, are neither
 * changed nor waited for.
 */
#ifndef RECORDER_ACT_AS_H
#define RECORDER_ACT_AS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct actor {
	uid_t uid;	     /* (uid_t)-1: as we are */
	gid_t gid;	     /* (gid_t)-1: as we are */
	const gid_t *groups; /* the other ones; NULL: as we are */
	size_t n_groups;
	/*
	 * Whether what we may write regardless of permissions (CAP_DAC_OVERRIDE) stays so. All
	 * other rights over files that are not that user's are gone, unless it is our own.
	 */
	bool overrides;
};

/* How this thread was before, to become so again. */
struct act_as {
	bool acting;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* NULL: they were not changed */
	size_t n_groups;
	uint64_t capabilities; /* effective ones */
};

/*
 * Scopes don't nest in one another.
 * @ret  acts until act_as_end(); declare it `auto_act_as`, so that no way out is forgotten
 * Returns 0; -EPERM when this process may not act as that user, or another negative errno: then
 * nothing has changed.
 */
int act_as_begin(const struct actor *actor, struct act_as *ret);
/* Does nothing when it does not act (any more). Aborts if it can't: nobody may go on like that. */
void act_as_end(struct act_as *before);
#define auto_act_as __attribute__((cleanup(act_as_end)))

/*
 * Give a file or folder that was just made in that name, and while acting so, its mode, whatever
 * the umask says, and its group, also where the folder above passes its own one on
 * (set-group-ID); then see that all are as wanted.
 * Returns 0, -EOPNOTSUPP when the file system does not keep them, or another negative errno.
 */
int act_as_settle(const struct actor *actor, int fd, mode_t mode);

#endif
