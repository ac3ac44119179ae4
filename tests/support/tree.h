/* SPDX-License-Identifier: BSD-3-Clause */
/* Folders with files in them, to test with. What can't be done aborts. Paths are relative. */
#ifndef TESTS_SUPPORT_TREE_H
#define TESTS_SUPPORT_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A new empty folder under TMPDIR, /dev/shm or /tmp, mode 0755. The caller frees it with
 * tree_free(). */
char *tree_new(void);
/* Removes all that is in it, too. Follows no links, and leaves mounts alone. */
void tree_free(char *root);

int tree_open(const char *root, const char *path); /* a folder, O_RDONLY; the caller closes */
void tree_mkdir(const char *root, const char *path);
/* With a folder above it if need be: one level. */
void tree_write(const char *root, const char *path, const char *text);
/* n bytes on the disk, no hole. */
void tree_fill(const char *root, const char *path, size_t n);
void tree_link(const char *root, const char *path, const char *target); /* symbolic */
void tree_touch(const char *root, const char *path, int64_t mtime_s);
bool tree_has(const char *root, const char *path); /* whatever it is */
/* Target of a symbolic link; "" when it is none. Valid until the next call. */
const char *tree_readlink(const char *root, const char *path);

#endif
