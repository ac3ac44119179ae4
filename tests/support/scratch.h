/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Folders for tests to write to, which go away with the test's program however the test ended:
 * Check runs each test in a child, and one that fails, crashes or takes too long never gets to its
 * teardown.
 */
#ifndef TESTS_SUPPORT_SCRATCH_H
#define TESTS_SUPPORT_SCRATCH_H

/*
 * A new empty folder, mode 0700, under TMPDIR or, when that is not set, under `base`. Its path is
 * the caller's to free. What can't be done aborts.
 */
char *scratch_new(const char *base);

/* With all that is in it. Follows no links, and leaves mounts alone. */
void scratch_remove(const char *path);

#endif
