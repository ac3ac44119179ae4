/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/denial.h"

#include <linux/capability.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "recorder/privileges.h"
#include "recorder/target/identity.h"

static int read_yama_scope(void)
{
	auto_fclose FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope;

	/* Yama is in force for a scope above 0 only; where it is not built in there is no file. */
	return f && fscanf(f, "%d", &scope) == 1 ? scope : 0;
}

void denial_collect(pid_t pid, const struct identity *id, struct denial *ret)
{
	struct credentials target;

	*ret = (struct denial){
	    .pid = pid,
	    .hidden = !id,
	    .has_capability = privileges_have(CAP_SYS_PTRACE),
	    .yama_scope = read_yama_scope(),
	};
	if (id && identity_read_credentials(id, &target) == 0) {
		ret->owner = target.euid;
		ret->other_user = target.euid != geteuid();
	}
}

void denial_explain(const struct denial *d, char *buf, size_t size)
{
	int pid = (int)d->pid;

	if (d->hidden)
		snprintf(
		    buf, size,
		    "/proc hides process %d from this user (it is mounted with hidepid): run "
		    "trackexec as root, or as a member of the group in that mount's gid= option",
		    pid);
	else if (d->yama_scope >= 3)
		snprintf(
		    buf, size,
		    "not allowed to read the memory of process %d: kernel.yama.ptrace_scope is "
		    "%d, which forbids it to everyone, root included; set it to 2 or less in "
		    "/etc/sysctl.d and reboot",
		    pid, d->yama_scope);
	else if (d->has_capability)
		snprintf(buf, size,
			 "not allowed to read the memory of process %d although CAP_SYS_PTRACE is "
			 "there: a security module (SELinux, AppArmor) forbids it, or the process "
			 "runs in a user namespace outside of this one; allow it there, or run "
			 "trackexec on the host",
			 pid);
	else if (d->other_user)
		snprintf(buf, size,
			 "not allowed to read the memory of process %d, which runs as user %u: run "
			 "trackexec as root or as that user, or give it CAP_SYS_PTRACE "
			 "(setcap cap_sys_ptrace=ep on its file)",
			 pid, (unsigned)d->owner);
	else if (d->yama_scope == 2)
		snprintf(
		    buf, size,
		    "not allowed to read the memory of process %d: kernel.yama.ptrace_scope is "
		    "2, which asks for CAP_SYS_PTRACE; run trackexec as root or give it that "
		    "capability",
		    pid);
	else if (d->yama_scope == 1)
		snprintf(
		    buf, size,
		    "not allowed to read the memory of process %d: kernel.yama.ptrace_scope is "
		    "1, so only own children may be read; start the program with `trackexec "
		    "record -- COMMAND`, run trackexec as root, or set "
		    "kernel.yama.ptrace_scope=0 with sysctl",
		    pid);
	else
		snprintf(
		    buf, size,
		    "not allowed to read the memory of process %d: it has more privileges than "
		    "its user, or protects itself (PR_SET_DUMPABLE); run trackexec as root or "
		    "give it CAP_SYS_PTRACE",
		    pid);
}
