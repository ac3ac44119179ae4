/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening the files that native_symbols.h asks for, for the half of the recorder that may: what a
 * target has mapped, as target_files.h does it, and debug files below our own /usr/lib/debug. Only
 * root can have put those there; nothing else is opened, whatever is asked for.
 */
#ifndef RECORDER_ONCPU_NATIVE_FILES_H
#define RECORDER_ONCPU_NATIVE_FILES_H

#include "recorder/oncpu/native_symbols.h"

struct identity;

#define DEBUG_FILES_FOLDER "/usr/lib/debug"

/* Returns a descriptor, or a negative errno. */
int native_file_open(const struct identity *id, const struct native_file *file);

/*
 * Open FOLDER/.build-id/xx/yyy.debug.
 * @folder  must belong to root, as must the file, and be writable for nobody else
 */
int debug_file_open_by_id(const char *folder, const struct elf_build_id *id);

/*
 * Open FOLDER/<folder of path>/<name>.
 * @path  of the file that has the link, as the target names it; absolute
 * @name  what the link says; -EINVAL when that is no plain file name
 */
int debug_file_open_by_link(const char *folder, const char *path, const char *name);

#endif
