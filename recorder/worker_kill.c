/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/worker_kill.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int send_signal(int pidfd, int signal)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

/* Of this thread: seteuid() would wait for all others, of which one may hang in the kernel. */
static int set_effective_user(uid_t uid)
{
	return (int)syscall(SYS_setresuid, (uid_t)-1, uid, (uid_t)-1);
}

int worker_kill(int pidfd, uid_t uid, int signal)
{
	uid_t own = geteuid();
	int r = send_signal(pidfd, signal);

	if (r != -EPERM)
		return r;
	/* Capabilities stay permitted, since the saved user is still the own one. */
	if (set_effective_user(uid) < 0)
		return -errno;
	r = send_signal(pidfd, signal);
	/* Going on as somebody else would end in confusion at best. */
	if (set_effective_user(own) < 0)
		abort();
	return r;
}
