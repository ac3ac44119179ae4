/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/act_as.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/xalloc.h"
#include "recorder/privileges.h"

#define BIT(capability) (UINT64_C(1) << (capability))

/*
 * What the kernel takes away from root's file system user when it becomes another one
 * (capabilities(7)). It does not always: not from one that was another already, and not with
 * SECBIT_NO_SETUID_FIXUP. So it is done here.
 */
#define FILE_CAPABILITIES                                                                      \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | \
	 BIT(CAP_FSETID) | BIT(CAP_LINUX_IMMUTABLE) | BIT(CAP_MKNOD) | BIT(CAP_MAC_OVERRIDE))

/* Of this thread, as all that follows: the library's setgroups() would change all threads. */
static int set_groups(size_t n, const gid_t *groups)
{
	return syscall(SYS_setgroups, n, groups) < 0 ? -errno : 0;
}

static int get_groups(struct act_as *ret)
{
	gid_t *groups;
	int n = getgroups(0, NULL);

	if (n < 0)
		return -errno;
	/* Never of size 0, which would be no pointer. */
	groups = xcalloc((size_t)n + 1, sizeof(*groups));
	n = getgroups(n, groups);
	if (n < 0) {
		free(groups);
		return -errno;
	}
	ret->groups = groups;
	ret->n_groups = (size_t)n;
	return 0;
}

/* These two return the old one, whether they did it or not. */
static int set_user(uid_t uid)
{
	setfsuid(uid);
	return (uid_t)setfsuid((uid_t)-1) == uid ? 0 : -EPERM;
}

static int set_group(gid_t gid)
{
	setfsgid(gid);
	return (gid_t)setfsgid((gid_t)-1) == gid ? 0 : -EPERM;
}

static int set_capabilities(uint64_t wanted)
{
	uint64_t now;
	int r = privileges_get_effective(&now);

	return r < 0 || now == wanted ? r : privileges_set_effective(wanted);
}

static int replace_groups(const struct actor *actor, struct act_as *before)
{
	int r = get_groups(before);

	if (r == 0)
		r = set_groups(actor->n_groups, actor->groups);
	if (r < 0) {
		free(before->groups);
		before->groups = NULL;
	}
	return r;
}

static int become(const struct actor *actor, struct act_as *before)
{
	uint64_t keep = before->capabilities & ~FILE_CAPABILITIES;
	int r = 0;

	if (actor->groups)
		r = replace_groups(actor, before);
	if (r == 0 && actor->gid != (gid_t)-1)
		r = set_group(actor->gid);
	if (r < 0 || actor->uid == (uid_t)-1 || actor->uid == before->uid)
		return r;
	r = set_user(actor->uid);
	if (actor->overrides)
		keep |= before->capabilities & BIT(CAP_DAC_OVERRIDE);
	return r < 0 ? r : set_capabilities(keep);
}

int act_as_begin(const struct actor *actor, struct act_as *ret)
{
	int r;

	*ret = (struct act_as){
	    .uid = (uid_t)setfsuid((uid_t)-1),
	    .gid = (gid_t)setfsgid((gid_t)-1),
	};
	r = privileges_get_effective(&ret->capabilities);
	if (r < 0)
		return r;
	ret->acting = true;
	r = become(actor, ret);
	if (r < 0)
		act_as_end(ret);
	return r;
}

void act_as_end(struct act_as *before)
{
	int r;

	if (!before->acting)
		return;
	/* The user's change may bring capabilities that were not in force before. */
	r = set_user(before->uid);
	if (r == 0)
		r = set_capabilities(before->capabilities);
	if (r == 0)
		r = set_group(before->gid);
	if (r == 0 && before->groups)
		r = set_groups(before->n_groups, before->groups);
	if (r < 0)
		abort();
	free(before->groups);
	*before = (struct act_as){0};
}

static bool has_owner(const struct actor *actor, const struct stat *st)
{
	return actor->uid == (uid_t)-1 || st->st_uid == actor->uid;
}

static bool has_group(const struct actor *actor, const struct stat *st)
{
	return actor->gid == (gid_t)-1 || st->st_gid == actor->gid;
}

int act_as_settle(const struct actor *actor, int fd, mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!has_owner(actor, &st))
		return -EOPNOTSUPP;
	/*
	 * Owners may give what is theirs to a group of theirs, without CAP_CHOWN, and set its mode;
	 * the mode last, as a change of group may take bits away.
	 */
	if ((!has_group(actor, &st) && fchown(fd, (uid_t)-1, actor->gid) < 0) ||
	    fchmod(fd, mode) < 0)
		return errno == EPERM ? -EOPNOTSUPP : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return has_group(actor, &st) && (st.st_mode & 07777) == mode ? 0 : -EOPNOTSUPP;
}
