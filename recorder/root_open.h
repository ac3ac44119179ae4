/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening the root of all traces, component by component, and deciding whether it is safe to
 * write there as root: nobody else may be able to write in it, or to put something else in its
 * place.
 */
#ifndef RECORDER_ROOT_OPEN_H
#define RECORDER_ROOT_OPEN_H

#include <stddef.h>

/*
 * @path  absolute, without ".."
 * @ret_fd  a descriptor of the folder (O_RDONLY | O_DIRECTORY), the caller's
 * Returns 0, or with a sentence in `why` that says what to do:
 * -ENOENT   it or a folder above it does not exist
 * -ELOOP    one of them is a symbolic link
 * -ENOTDIR  one of them is no folder
 * -EPERM    it does not belong to root or to us, or others can write in it; or a folder above it
 *           belongs to someone else, or all can write there and it is not sticky
 * -EINVAL   the path is not absolute, has "..", is too deep or is "/"
 * or another negative errno.
 */
int root_open(const char *path, int *ret_fd, char *why, size_t why_size);

/*
 * The same, and on the way call on_folder for each folder that exists, before what is next in it
 * is looked up and before anything is checked: to watch it without missing what happens between.
 * @folder_fd  O_PATH; lent
 * @next       the name that is looked up in it; NULL for the root itself; lent
 * A negative result of on_folder ends it, and is returned.
 */
typedef int (*root_folder_fn)(void *ctx, int folder_fd, const char *next);
int root_walk(const char *path, root_folder_fn on_folder, void *ctx, int *ret_fd, char *why,
	      size_t why_size);

#define ROOT_DEPTH_MAX 64

#endif
