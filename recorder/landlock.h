/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's Landlock: what anyone may forbid himself. */
#ifndef RECORDER_LANDLOCK_H
#define RECORDER_LANDLOCK_H

/*
 * From now on this thread, and those that it starts, can open, create and remove regular files
 * beneath a folder and no others, nor any device, and where the kernel knows that can neither use
 * TCP nor reach what is outside by signals and abstract sockets. Descriptors that are open or that
 * are received keep what they can do; the attributes of other files stay visible. For good.
 * @folder_fd  lent
 * The thread must have no_new_privs.
 * Returns 0; -EOPNOTSUPP when this kernel has no Landlock or it is off; or another negative errno.
 */
int landlock_confine(int folder_fd);

#endif
