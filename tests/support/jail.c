/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/support/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "recorder/sandbox.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

bool jail_possible(const char *test, enum jail_mode mode)
{
	if (mode == JAIL_USER || geteuid() == 0)
		return true;
	fprintf(stderr, "%s: skipped as root, needs root\n", test);
	return false;
}

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

bool jail_hides_files(const char *test, enum jail_mode mode)
{
	if (mode == JAIL_ROOT || has_landlock())
		return true;
	fprintf(stderr, "%s: skipped as a user, needs a kernel with Landlock\n", test);
	return false;
}

void jail_give(const char *folder)
{
	if (geteuid() == 0)
		must(chown(folder, JAIL_UID, JAIL_GID) == 0, "chown");
}

void jail_become_user(enum jail_mode mode)
{
	if (mode != JAIL_USER || geteuid() != 0)
		return;
	must(setgroups(0, NULL) == 0 && setresgid(JAIL_GID, JAIL_GID, JAIL_GID) == 0 &&
		 setresuid(JAIL_UID, JAIL_UID, JAIL_UID) == 0,
	     "setresuid");
}

/* What would stay when only the user was changed: capabilities and other groups. */
static void be_careless(void)
{
	const gid_t adm = 4;

	must(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, "PR_SET_KEEPCAPS");
	must(setgroups(1, &adm) == 0, "setgroups");
}

int jail_enter(enum jail_mode mode, const char *folder, char *why, size_t why_size)
{
	uid_t uid = mode == JAIL_ROOT ? JAIL_UID : (uid_t)-1;
	int fd, r;

	jail_become_user(mode);
	if (mode == JAIL_ROOT)
		be_careless();
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0, folder);
	r = sandbox_enter(fd, uid, JAIL_GID, why, why_size);
	if (r == 0)
		must(fcntl(fd, F_GETFD) < 0, "the folder's descriptor is still open");
	return r;
}

pid_t jail_start(enum jail_mode mode, const char *folder, jail_fn body, void *ctx)
{
	pid_t pid = fork();
	char why[512];
	int r;

	must(pid >= 0, "fork");
	if (pid > 0)
		return pid;
	r = jail_enter(mode, folder, why, sizeof(why));
	if (r < 0 || (why[0] && (mode == JAIL_ROOT || has_landlock()))) {
		fprintf(stderr, "sandbox_enter() returned %d: %s\n", r, why);
		_exit(1);
	}
	body(ctx);
	_exit(0);
}

int jail_wait(pid_t pid)
{
	int status = -1;

	must(waitpid(pid, &status, 0) == pid, "waitpid");
	return status;
}

int jail_run(enum jail_mode mode, const char *folder, jail_fn body, void *ctx)
{
	return jail_wait(jail_start(mode, folder, body, ctx));
}
