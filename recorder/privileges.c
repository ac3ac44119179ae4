/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define N_WORDS _LINUX_CAPABILITY_U32S_3

static int get_capabilities(struct __user_cap_data_struct data[N_WORDS])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

/* Effective and permitted become these, inheritable nothing. */
static int set_capabilities(uint32_t permitted, uint32_t effective)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[N_WORDS] = {
	    {.permitted = permitted, .effective = effective},
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

bool privileges_have(int capability)
{
	struct __user_cap_data_struct data[N_WORDS];

	if (get_capabilities(data) < 0)
		return false;
	return data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

int privileges_get_effective(uint64_t *ret)
{
	struct __user_cap_data_struct data[N_WORDS];
	int r = get_capabilities(data);

	if (r < 0)
		return r;
	*ret = data[0].effective | (uint64_t)data[1].effective << 32;
	return 0;
}

int privileges_set_effective(uint64_t capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[N_WORDS];
	int r = get_capabilities(data);

	if (r < 0)
		return r;
	data[0].effective = (uint32_t)capabilities;
	data[1].effective = (uint32_t)(capabilities >> 32);
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* A change of user makes it what fs.suid_dumpable says. */
static int hide_from_others(void)
{
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

int privileges_seal(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* The bounding set is what root would get back by executing something. */
	if (privileges_have(CAP_SETPCAP))
		for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
			if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
				return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	return hide_from_others();
}

static bool is_user(uid_t uid, gid_t gid)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0)
		return false;
	return ruid == uid && euid == uid && suid == uid && rgid == gid && egid == gid &&
	       sgid == gid && getgroups(0, NULL) == 0;
}

int privileges_become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	if (!is_user(uid, gid))
		return -EPERM;
	return hide_from_others();
}

int privileges_drop_all(void)
{
	struct __user_cap_data_struct data[N_WORDS] = {0};
	int r = set_capabilities(0, 0);

	if (r == 0)
		r = get_capabilities(data);
	if (r < 0)
		return r;
	for (int i = 0; i < N_WORDS; i++)
		if (data[i].permitted || data[i].effective || data[i].inheritable)
			return -EPERM;
	return 0;
}

int privileges_drop(const char *folder)
{
	const uint32_t dac = CAP_TO_MASK(CAP_DAC_OVERRIDE);
	struct __user_cap_data_struct data[N_WORDS] = {0};
	uint32_t keep;
	int r;

	r = privileges_seal();
	if (r == 0)
		r = get_capabilities(data);
	if (r < 0)
		return r;
	keep = data[0].permitted & dac;
	r = set_capabilities(keep, 0);
	if (r < 0)
		return r;
	if (!keep || faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0)
		return privileges_drop_all();
	return set_capabilities(keep, keep);
}
