/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests and benchmarks: a running Python, opened directly (no attacher, no worker). */
#ifndef TESTS_SUPPORT_LIVE_H
#define TESTS_SUPPORT_LIVE_H

#include "recorder/python/py_runtime.h"
#include "recorder/target/memory.h"

/*
 * Open the memory of PID and its interpreter. Waits up to 10 s for a Python that is starting.
 * Returns 0, or a negative errno with a word on it in `found`.
 */
int live_open(int pid, struct memory *mem, struct py_runtime *py, char *found, size_t found_size);

#endif
