/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/sandbox.h"

#include <assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "recorder/call_filter.h"
#include "recorder/landlock.h"
#include "recorder/exact/line_events.h"
#include "recorder/oncpu/edges_coarse.h"
#include "recorder/privileges.h"

/*
 * The database's three files, the socket, some of a target, and twice as many; and what its edges
 * take: two rings for each CPU, or a file for each thread; and a ring for each CPU in exact mode,
 * for a moment those of two.
 */
#define DESCRIPTORS_MAX (64 + 2 * EDGE_CPUS_MAX + 2 * LINE_CPUS_MAX)
static_assert(EDGES_COARSE_MAX <= 2 * EDGE_CPUS_MAX, "edges of either kind need no more");

struct sandbox {
	int folder_fd;
	uid_t uid;
	gid_t gid;
	bool keeps_user;
	char *why;
	size_t why_size;
};

static int fail(const struct sandbox *s, int error, const char *what)
{
	snprintf(s->why, s->why_size, "%s: %s", what, strerror(-error));
	return error;
}

static int check_user(const struct sandbox *s)
{
	if (s->keeps_user)
		return 0;
	if (s->uid != 0 && s->gid != 0 && s->gid != (gid_t)-1)
		return 0;
	snprintf(s->why, s->why_size, "the worker must not be root: give it a user of its own");
	return -EINVAL;
}

/*
 * Returns 1 when this process has no right to: no capability, as in the unit, or a filter of
 * system calls around it that lets nobody (containers have such). Then Landlock has to do.
 */
static int change_root(const struct sandbox *s)
{
	if (fchdir(s->folder_fd) < 0)
		return fail(s, -errno, "cannot enter the trace's folder");
	if (!privileges_have(CAP_SYS_CHROOT))
		return 1;
	if (chroot(".") < 0) {
		if (errno == EPERM || errno == ENOSYS)
			return 1;
		return fail(s, -errno, "cannot make the trace's folder the root");
	}
	return chdir("/") < 0 ? fail(s, -errno, "cannot enter the new root") : 0;
}

/* Landlock also where the root is changed: it holds should a descriptor of a folder get in. */
static int confine_to_folder(const struct sandbox *s)
{
	int not_root, r;

	not_root = change_root(s);
	if (not_root < 0)
		return not_root;
	r = landlock_confine(s->folder_fd);
	if (r == -EOPNOTSUPP) {
		if (not_root && !s->keeps_user)
			return fail(s, -EPERM,
				    "cannot restrict files to the trace's folder: this kernel has "
				    "no Landlock (CONFIG_SECURITY_LANDLOCK, lsm=), so allow "
				    "CAP_SYS_CHROOT and the system call chroot");
		if (not_root)
			snprintf(s->why, s->why_size,
				 "files are not restricted to the trace's folder: this kernel has "
				 "no Landlock, and chroot needs root");
		return 0;
	}
	return r < 0 ? fail(s, r, "cannot restrict files to the trace's folder (Landlock)") : 0;
}

static int change_user(const struct sandbox *s)
{
	int r;

	if (!s->keeps_user) {
		r = privileges_become(s->uid, s->gid);
		if (r < 0)
			return fail(s, r, "cannot become the worker's user");
	} else if (geteuid() == 0 && !s->why[0]) {
		snprintf(s->why, s->why_size, "the worker's user is root");
	}
	r = privileges_drop_all();
	if (r < 0)
		return fail(s, r, "cannot give up capabilities");
	if (!s->keeps_user && (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0))
		return fail(s, -EPERM, "the worker could become root again");
	return 0;
}

static int set_limit(__rlimit_resource_t resource, rlim_t max)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	if (limit.rlim_max > max)
		limit.rlim_max = max;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/*
 * A core would hold a target's memory. Not RLIMIT_NPROC: it counts the threads of all workers,
 * who share a user, so one could keep the others from starting theirs; processes are forbidden by
 * the filter. Not RLIMIT_FSIZE: how large a trace may get is decided elsewhere.
 */
static int set_limits(const struct sandbox *s)
{
	int r = set_limit(RLIMIT_CORE, 0);

	if (r == 0)
		r = set_limit(RLIMIT_NOFILE, DESCRIPTORS_MAX);
	return r < 0 ? fail(s, r, "cannot limit resources") : 0;
}

int sandbox_enter(int folder_fd, uid_t uid, gid_t gid, char *why, size_t why_size)
{
	const struct sandbox s = {
	    .folder_fd = folder_fd,
	    .uid = uid,
	    .gid = gid,
	    .keeps_user = uid == (uid_t)-1,
	    .why = why,
	    .why_size = why_size,
	};
	int r;

	why[0] = '\0';
	r = check_user(&s);
	if (r < 0)
		return r;
	tzset();
	r = privileges_seal();
	if (r < 0)
		return fail(&s, r, "cannot give up future privileges");
	r = confine_to_folder(&s);
	if (r == 0)
		r = change_user(&s);
	if (r == 0)
		r = set_limits(&s);
	if (r < 0)
		return r;
	r = call_filter_install();
	if (r < 0)
		return fail(&s, r, "cannot restrict system calls (seccomp)");
	close(folder_fd);
	return 0;
}
