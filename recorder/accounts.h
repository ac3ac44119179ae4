/* SPDX-License-Identifier: BSD-3-Clause */
/* Users and groups by their names, or by their numeric ids, which need not have a name. */
#ifndef RECORDER_ACCOUNTS_H
#define RECORDER_ACCOUNTS_H

#include <sys/types.h>

/*
 * Both return 0; -ENOENT when there is none of that name (or the number is not an id); or another
 * negative errno when the name service could not say. They may wait for it.
 */
int account_find_user(const char *name, uid_t *ret);
int account_find_group(const char *name, gid_t *ret);

#endif
