/* SPDX-License-Identifier: BSD-3-Clause */
/* What this process may do beyond its user, and giving it up. */
#ifndef RECORDER_PRIVILEGES_H
#define RECORDER_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether a capability (CAP_…, linux/capability.h) is effective. */
bool privileges_have(int capability);

/*
 * All that are effective in this thread, bit N for capability N; what is permitted can become so.
 * Return 0 or a negative errno.
 */
int privileges_get_effective(uint64_t *ret);
int privileges_set_effective(uint64_t capabilities);

/*
 * Give up, for good, all that working on open descriptors and in one folder does not need: all
 * capabilities, the way back to them, and being inspected by others. The user stays the same.
 * Only where `folder` could not be written otherwise (root in a home folder that is closed to
 * others), CAP_DAC_OVERRIDE is kept.
 * Returns 0 or a negative errno.
 */
int privileges_drop(const char *folder);

/*
 * The steps of giving up everything, in this order, in a process that has one thread. Each is for
 * good, and returns 0 or a negative errno.
 *
 * seal: nothing that is executed brings privileges, and others can't look in. What is held stays.
 * Without CAP_SETPCAP the bounding set stays too: no_new_privs makes it worth nothing.
 */
int privileges_seal(void);
/* No other groups either. -EPERM also when the kernel said yes and it did not take effect. */
int privileges_become(uid_t uid, gid_t gid);
/* All capabilities that are held or could be raised. */
int privileges_drop_all(void);

#endif
