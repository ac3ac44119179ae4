/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The names carry the id of the program that runs the tests, so that it can find at its end what
 * its children have left.
 */
#include "tests/support/scratch.h"

#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/xalloc.h"

/* Open descriptors while a folder is being removed. */
#define DESCRIPTORS 16

/* Of the program, not of its children. */
static pid_t owner;

static const char *base_of(const char *base)
{
	const char *tmp = getenv("TMPDIR");

	return tmp && *tmp ? tmp : base;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void scratch_remove(const char *path)
{
	nftw(path, remove_entry, DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void remove_left_in(const char *base)
{
	auto_free char *pattern = xasprintf("%s/trackexec-test-%d-*", base, (int)owner);
	glob_t found;

	if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		scratch_remove(found.gl_pathv[i]);
	globfree(&found);
}

static void remove_left(void)
{
	/* A child of a test ends in the same way. */
	if (getpid() != owner)
		return;
	remove_left_in(base_of("/tmp"));
	if (!getenv("TMPDIR"))
		remove_left_in("/dev/shm");
}

__attribute__((constructor)) static void note_owner(void)
{
	owner = getpid();
	atexit(remove_left);
}

char *scratch_new(const char *base)
{
	char *path = xasprintf("%s/trackexec-test-%d-XXXXXX", base_of(base), (int)owner);

	if (!mkdtemp(path)) {
		perror(path);
		abort();
	}
	return path;
}
