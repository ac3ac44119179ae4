/* SPDX-License-Identifier: BSD-3-Clause */
/* Children that enter the sandbox on a folder, for tests. What can't be done aborts. */
#ifndef TESTS_SUPPORT_JAIL_H
#define TESTS_SUPPORT_JAIL_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The user of the worker, and who tries it without privileges. */
#define JAIL_UID 65534
#define JAIL_GID 65534

enum jail_mode {
	JAIL_ROOT, /* root enters it as JAIL_UID */
	JAIL_USER, /* a user without privileges enters it and stays who he is */
	N_JAIL_MODES
};

/* Whether this test can run in that mode; says so when not. */
bool jail_possible(const char *test, enum jail_mode mode);
/* Whether files are kept from a sandboxed process in that mode; says so when not. */
bool jail_hides_files(const char *test, enum jail_mode mode);

/* Give a folder to the user of the sandbox, when that is another one. */
void jail_give(const char *folder);
/* Become, in a child, the user who enters the sandbox. */
void jail_become_user(enum jail_mode mode);
/* Become that user and enter. Returns sandbox_enter()'s. */
int jail_enter(enum jail_mode mode, const char *folder, char *why, size_t why_size);

/*
 * Start a child that enters the sandbox on `folder`, calls body(ctx) there and leaves with 0.
 * Returns its PID.
 */
typedef void (*jail_fn)(void *ctx);
pid_t jail_start(enum jail_mode mode, const char *folder, jail_fn body, void *ctx);
/* Returns its wait status. */
int jail_wait(pid_t pid);
int jail_run(enum jail_mode mode, const char *folder, jail_fn body, void *ctx);

/* Check's own assertions write files, which a child in the sandbox can't. */
#define need(condition)                                                                        \
	do {                                                                                   \
		if (!(condition)) {                                                            \
			fprintf(stderr, "%s:%d: in the sandbox: %s: %s\n", __FILE__, __LINE__, \
				#condition, strerror(errno));                                  \
			_exit(1);                                                              \
		}                                                                              \
	} while (0)
/* A call that is refused by the filter, not by something else. */
#define need_refused(call)                                \
	do {                                              \
		errno = 0;                                \
		need((long)(call) < 0 && errno == EPERM); \
	} while (0)

#endif
