/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SQLite makes each path absolute and opens that. The worker stands in its trace's folder and may
 * have no right to pass through those above it (the root is for root and one group, and so may be
 * /var/log/walt), nor to know their names. With this, a path is opened as it was given.
 */
#include "recorder/trace_store_private.h"

#include <string.h>

#include "common/xalloc.h"

static int keep_path(sqlite3_vfs *vfs, const char *path, int size, char *ret)
{
	size_t len = strlen(path);

	(void)vfs;
	if (size <= 0 || len >= (size_t)size)
		return SQLITE_CANTOPEN;
	memcpy(ret, path, len + 1);
	return SQLITE_OK;
}

const char *trace_store_vfs(void)
{
	static const char name[] = "trackexec";
	const sqlite3_vfs *usual;
	sqlite3_vfs *vfs;

	if (sqlite3_vfs_find(name))
		return name;
	usual = sqlite3_vfs_find(NULL);
	if (!usual)
		return NULL;
	vfs = xmalloc(sizeof(*vfs));
	*vfs = *usual;
	vfs->pNext = NULL;
	vfs->zName = name;
	vfs->xFullPathname = keep_path;
	/* SQLite's from here on, for as long as the process lives. */
	if (sqlite3_vfs_register(vfs, 0) != SQLITE_OK)
		xalloc_failed();
	return name;
}
