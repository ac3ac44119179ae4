/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
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

int privileges_drop(const char *folder)
{
	const uint32_t dac = CAP_TO_MASK(CAP_DAC_OVERRIDE);
	struct __user_cap_data_struct data[N_WORDS];
	uint32_t keep;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	r = get_capabilities(data);
	if (r < 0)
		return r;
	if (!data[0].permitted && !data[1].permitted && !data[0].inheritable &&
	    !data[1].inheritable)
		return 0;
	/* The bounding set is what root would get back by executing something. */
	if (privileges_have(CAP_SETPCAP))
		for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
			if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
				return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	keep = data[0].permitted & dac;
	r = set_capabilities(keep, 0);
	if (r < 0)
		return r;
	if (!keep || faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0)
		return set_capabilities(0, 0);
	return set_capabilities(keep, keep);
}
