/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Included before all else in what becomes a part of the extension (see the Makefile): each call of
 * SQLite goes to the library of the program that loaded it. A second copy of SQLite in one process
 * would take away the locks of the first one on the same file.
 */
#ifndef SQLEXT_HOST_SQLITE_H
#define SQLEXT_HOST_SQLITE_H

#include <sqlite3ext.h>

SQLITE_EXTENSION_INIT3

#endif
