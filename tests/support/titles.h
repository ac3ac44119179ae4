/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: processes that write over their command line, as setproctitle() does. It takes a
 * long one; a test's main() begins with titles_init().
 */
#ifndef TESTS_SUPPORT_TITLES_H
#define TESTS_SUPPORT_TITLES_H

#include <stddef.h>

/* Room for titles, in bytes. */
#define TITLES_ROOM 16000

/*
 * Runs the program anew with an argument that makes room. Every argument given survives; what was
 * added is not to be looked at.
 */
void titles_init(int argc, char **argv);

/* Of the calling process; its children carry it on. */
void title_set(const char *title);

#endif
