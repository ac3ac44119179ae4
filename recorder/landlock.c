/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Without glibc functions and partly without names in the kernel headers of Debian 12: versions
 * of the interface that came after them are below.
 */
#include "recorder/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

/* All of version 1. */
#define FS_RIGHTS_1    ((UINT64_C(1) << 13) - 1)
#define FS_REFER_2     (UINT64_C(1) << 13)
#define FS_TRUNCATE_3  (UINT64_C(1) << 14)
#define FS_IOCTL_DEV_5 (UINT64_C(1) << 15)
#define NET_RIGHTS_4   UINT64_C(3) /* bind and connect, TCP */
#define SCOPES_6       UINT64_C(3) /* abstract sockets, signals */

/* What storing a trace takes: READ_DIR is for opening the folder to fsync() it. */
#define GRANTED                                                         \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_REG | FS_TRUNCATE_3)

/* struct landlock_ruleset_attr of version 6. Older kernels take it when what they lack is 0. */
struct ruleset {
	uint64_t forbidden_fs;
	uint64_t forbidden_net;
	uint64_t scopes;
};

/* The interface's version, or a negative errno. */
static int get_version(void)
{
	long version =
	    syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (version > 0)
		return (int)version;
	/* EPERM: a container's filter that does not know of it. */
	if (version == 0 || errno == ENOSYS || errno == EPERM)
		return -EOPNOTSUPP;
	return -errno;
}

static struct ruleset ruleset_of(int version)
{
	struct ruleset r = {.forbidden_fs = FS_RIGHTS_1};

	if (version >= 2)
		r.forbidden_fs |= FS_REFER_2;
	if (version >= 3)
		r.forbidden_fs |= FS_TRUNCATE_3;
	if (version >= 4)
		r.forbidden_net = NET_RIGHTS_4;
	if (version >= 5)
		r.forbidden_fs |= FS_IOCTL_DEV_5;
	if (version >= 6)
		r.scopes = SCOPES_6;
	return r;
}

int landlock_confine(int folder_fd)
{
	struct landlock_path_beneath_attr beneath = {.parent_fd = folder_fd};
	auto_close int fd = -1;
	struct ruleset rules;
	int version = get_version();

	if (version < 0)
		return version;
	rules = ruleset_of(version);
	beneath.allowed_access = GRANTED & rules.forbidden_fs;
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0)
		return -errno;
	return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}
