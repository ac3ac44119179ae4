/* SPDX-License-Identifier: BSD-3-Clause */
/* What a test checks of its own process: that no thread or descriptor is left behind. */
#ifndef TESTS_SUPPORT_TASK_CHECKS_H
#define TESTS_SUPPORT_TASK_CHECKS_H

#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>

#include "common/clock.h"

#define THREADS_END_NS (20 * NS_PER_S)

/* Also "." and "..". */
static inline int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline void *do_nothing(void *arg)
{
	return arg;
}

/* How many threads there are now; the thread sanitizer starts its own along with the first. */
static inline int count_threads(void)
{
	pthread_t id;

	ck_assert_int_eq(pthread_create(&id, NULL, do_nothing, NULL), 0);
	pthread_join(id, NULL);
	return count_entries("/proc/self/task");
}

/* Threads end by themselves, a little later. */
static inline void wait_for_threads(int n)
{
	uint64_t end_ns = clock_monotonic_ns() + THREADS_END_NS;

	while (count_entries("/proc/self/task") > n && clock_monotonic_ns() < end_ns)
		poll(NULL, 0, 1);
	ck_assert_int_le(count_entries("/proc/self/task"), n);
}

#endif
