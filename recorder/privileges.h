/* SPDX-License-Identifier: BSD-3-Clause */
/* What this process may do beyond its user, and giving it up. */
#ifndef RECORDER_PRIVILEGES_H
#define RECORDER_PRIVILEGES_H

#include <stdbool.h>

/* Whether a capability (CAP_…, linux/capability.h) is effective. */
bool privileges_have(int capability);

/*
 * Give up, for good, all that working on open descriptors and in one folder does not need: all
 * capabilities, the way back to them, and being inspected by others. The user stays the same.
 * Only where `folder` could not be written otherwise (root in a home folder that is closed to
 * others), CAP_DAC_OVERRIDE is kept.
 * Returns 0 or a negative errno.
 */
int privileges_drop(const char *folder);

#endif
