/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which configuration files there are, in the order in which they count, and their texts. Root
 * acts on what they say, so they and their folders must belong to root (or to whom we run as) and
 * must not be writable by others.
 */
#ifndef RECORDER_CONFIG_FILES_H
#define RECORDER_CONFIG_FILES_H

#include <stddef.h>

#include "recorder/config_errors.h"

#define CONFIG_FILE_NAME      "collector.conf"
#define CONFIG_DROP_INS_NAME  "collector.conf.d"
#define CONFIG_FOLDERS_MAX    8
#define CONFIG_FILES_MAX      256
#define CONFIG_FILE_MAX_BYTES ((size_t)1 << 20)

struct config_file {
	char *path;
	char *text; /* any bytes */
	size_t len;
};

struct config_files {
	struct config_file *items;
	size_t n;
};

/*
 * Read them: first collector.conf of the first folder that has one, then collector.conf.d of all
 * the folders sorted by file name; of files with the same name that of the first folder counts. A
 * symbolic link to /dev/null stands for an empty file and so hides others.
 * @folders  NULL-terminated, at most CONFIG_FOLDERS_MAX; need not exist
 * @errors   gets an entry for each file that cannot be used
 * @ret      the caller's, to be released with config_files_done()
 */
void config_files_read(const char *const *folders, struct config_errors *errors,
		       struct config_files *ret);
void config_files_done(struct config_files *files);

static inline void config_files_done_p(struct config_files *files)
{
	config_files_done(files);
}
#define auto_config_files __attribute__((cleanup(config_files_done_p)))

#endif
