/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: a child that blocks somewhere, and what is to be known of it. */
#ifndef TESTS_SUPPORT_WAITING_H
#define TESTS_SUPPORT_WAITING_H

#include <stdbool.h>

#include "recorder/oncpu/wait_decode.h"
#include "recorder/target/identity.h"
#include "recorder/target/memory.h"

struct waiting {
	pid_t pid, tid;
	struct identity id;
	struct memory mem;
	struct unix_diag *diag; /* NULL where there is none */
};

/* Start a child that calls body(ctx) and ends. What can't be done aborts. */
void waiting_start(struct waiting *w, void (*body)(void *ctx), void *ctx);
/* Kills it. */
void waiting_end(struct waiting *w);

/*
 * Wait until the thread w->tid sleeps in one of the given system calls, a list that ends with -1;
 * then read and decode it, as the two halves of the recorder do. Returns false when it has not
 * come to that within some seconds; says so.
 */
bool waiting_reason(struct waiting *w, const long *calls, struct wait_reason *ret);
#define WAITING_IN(...) ((const long[]){__VA_ARGS__, -1})
/* In the kernel, but in no system call. */
#define WAITING_IN_NO_CALL ((const long[]){-1})

#endif
