/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A clock that goes on only when a test says so, or while an invented process is read: readers of
 * stacks look at the clock to tell whether they were interrupted.
 *
 * Defines clock_gettime(), so it is for the one file of a test program, and no .c file here:
 * those are linked into the benchmarks, too.
 */
#ifndef TESTS_SUPPORT_FROZEN_CLOCK_H
#define TESTS_SUPPORT_FROZEN_CLOCK_H

#include <time.h>

#include "common/clock.h"
#include "tests/support/py_image.h"

#define READ_NS 1600

static uint64_t frozen_now_ns = NS_PER_S;

int clock_gettime(clockid_t id, struct timespec *ret)
{
	(void)id;
	ret->tv_sec = (time_t)(frozen_now_ns / NS_PER_S);
	ret->tv_nsec = (long)(frozen_now_ns % NS_PER_S);
	return 0;
}

/* A before_read of struct py_image: each read takes its time. */
static inline void frozen_clock_pass(struct py_image *im, remote_addr addr, size_t len)
{
	(void)im;
	(void)addr;
	(void)len;
	frozen_now_ns += READ_NS;
}

#endif
